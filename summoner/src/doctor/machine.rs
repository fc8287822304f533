//! Memory and disk of this machine against what config.yml asks for.

use std::path::{Path, PathBuf};

use super::{Check, NO_CONFIG, Patient, read_text};
use crate::error::{Error, Result};
use crate::plan::budget::{Budget, Fit, gigabytes, largest, total};

/// Below this a database stops and an engine can write no log.
const FULL_BYTES: u64 = 1 << 30;
/// A disk with less than this share of free space or free files is nearly full.
const NEARLY_FULL_PERCENT: u64 = 5;

pub(super) fn checks(patient: &Patient<'_>, budget: Option<&Budget>) -> [Check; 2] {
    let meminfo = read_text("/proc/meminfo").ok().flatten().and_then(|text| parse_memory(&text));
    [judge_memory(meminfo, budget), judge_disk(&disks(patient), budget)]
}

/// Memory and swap, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory {
    memory: u64,
    swap: u64,
}

/// `/proc/meminfo`, which counts in kibibytes.
fn parse_memory(meminfo: &str) -> Option<Memory> {
    let value = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { memory: value("MemTotal")?, swap: value("SwapTotal").unwrap_or(0) })
}

fn judge_memory(found: Option<Memory>, budget: Option<&Budget>) -> Check {
    let check = Check::new("memory", "memory", "When memory ends, the kernel kills the largest program, which is a database or GitLab.");
    let Some(found) = found else { return check.unknown("/proc/meminfo does not tell how much memory there is") };
    let here = match found.swap {
        0 => gigabytes(found.memory),
        swap => format!("{} and {} of swap", gigabytes(found.memory), gigabytes(swap)),
    };
    let Some(budget) = budget else {
        return check.unknown(format!("{here}; {NO_CONFIG}"));
    };
    let needed = gigabytes(total(&budget.memory));
    match budget.memory_fit(found.memory, found.swap) {
        Fit::Well => check.ok(format!("{here}, {needed} needed")),
        Fit::Tight => check
            .warning(format!("the applications need {needed}, this machine has {here}: that is tight ({})", largest(&budget.memory)))
            .fix("add memory, or take an application out of config.yml"),
        Fit::Not => check
            .failed(format!("the applications need {needed}, this machine has {here} ({})", largest(&budget.memory)))
            .fix("add memory or swap, or take an application out of config.yml"),
    }
}

/// One file system that our data or Docker's lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Disk {
    /// A folder on it.
    folder: PathBuf,
    /// The number of the device.
    device: u64,
    free_bytes: u64,
    total_bytes: u64,
    free_files: u64,
    total_files: u64,
}

/// Each file system once; a folder that does not exist yet lies where its nearest parent lies.
fn disks(patient: &Patient<'_>) -> Result<Vec<Disk>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(config) = patient.config() {
        folders.extend([config.layout.files.clone(), config.layout.databases.clone()]);
    }
    // Docker's own folder is here only when the engine is.
    let root = patient.engine.as_ref().ok().map(|seen| PathBuf::from(&seen.info.root));
    folders.extend(root.filter(|root| root.is_absolute() && root.exists()));
    if folders.is_empty() {
        folders.push("/".into());
    }
    let mut disks: Vec<Disk> = Vec::new();
    for folder in folders {
        let disk = look(&folder)?;
        if !disks.iter().any(|known| known.device == disk.device) {
            disks.push(disk);
        }
    }
    Ok(disks)
}

fn look(folder: &Path) -> Result<Disk> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let fail = |source: rustix::io::Errno| Error::io("ask for the free space of", there, &source.into());
    let found = rustix::fs::statvfs(there).map_err(fail)?;
    let device = rustix::fs::stat(there).map_err(fail)?.st_dev;
    Ok(Disk {
        folder: folder.to_owned(),
        device,
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free_files: found.f_favail,
        total_files: found.f_files,
    })
}

fn judge_disk(disks: &Result<Vec<Disk>>, budget: Option<&Budget>) -> Check {
    let check = Check::new("disk", "disk", "A full disk stops every database and makes the next backup impossible.");
    let disks = match disks {
        Ok(disks) => disks,
        Err(error) => return check.unknown(super::brief(error)),
    };
    let clear = "free space there: docker system df, docker image prune, du -xh --max-depth=2 /";
    if let Some(full) = disks.iter().find(|disk| disk.free_bytes < FULL_BYTES) {
        return check.failed(format!("only {} are free at {}", gigabytes(full.free_bytes), full.folder.display())).fix(clear);
    }
    // Images, files and databases share it in a way that nobody knows before; together there must be room.
    let free = disks.iter().fold(0, |sum: u64, disk| sum.saturating_add(disk.free_bytes));
    let needed = budget.map(|budget| total(&budget.disk)).filter(|needed| *needed > free);
    if let (Some(needed), Some(budget)) = (needed, budget) {
        let message =
            format!("what is not installed yet needs {}, {} are free ({})", gigabytes(needed), gigabytes(free), largest(&budget.disk));
        return check.failed(message).fix("add a disk and name it in config.yml (storage.files), or take an application out");
    }
    if let Some(near) = disks.iter().find(|disk| disk.free_bytes < disk.total_bytes / 100 * NEARLY_FULL_PERCENT) {
        return check.warning(format!("{} is nearly full: {} are free", near.folder.display(), gigabytes(near.free_bytes))).fix(clear);
    }
    // A file system without a fixed number of files says 0 of 0.
    if let Some(near) = disks.iter().find(|disk| disk.free_files < disk.total_files / 100 * NEARLY_FULL_PERCENT) {
        return check
            .warning(format!("{} can hold only {} more files, however small", near.folder.display(), near.free_files))
            .fix("remove what makes many small files (df -i shows where)");
    }
    match budget {
        Some(budget) if total(&budget.disk) > 0 => check.ok(format!("{} free, {} needed", gigabytes(free), gigabytes(total(&budget.disk)))),
        Some(_) => check.ok(format!("{} free", gigabytes(free))),
        None => check.unknown(format!("{} free; {NO_CONFIG}", gigabytes(free))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::minion::Needs;

    const GB: u64 = 1 << 30;

    fn gitlab() -> Budget {
        let mut budget = Budget::default();
        budget.add("gitlab-a.fr", &Needs { memory_bytes: 4 * GB, disk_bytes: 20 * GB, ..Needs::default() }, false);
        budget
    }

    fn disk(folder: &str, free: u64, total: u64) -> Disk {
        Disk { folder: folder.into(), device: 1, free_bytes: free, total_bytes: total, free_files: 1000, total_files: 2000 }
    }

    #[test]
    fn memory_that_does_not_suffice_is_named_with_who_needs_it() {
        let small = parse_memory("MemTotal:        2097152 kB\nMemFree:          100 kB\nSwapTotal:             0 kB\n");
        assert_eq!(small, Some(Memory { memory: 2 * GB, swap: 0 }));
        let check = judge_memory(small, Some(&gitlab()));
        assert_eq!(check.state, State::Failed);
        assert_eq!(check.message, "the applications need 4 GB, this machine has 2 GB (gitlab-a.fr 4 GB)");
        let check = judge_memory(Some(Memory { memory: 2 * GB, swap: 4 * GB }), Some(&gitlab()));
        assert_eq!(check.state, State::Warning);
        assert_eq!(check.message, "the applications need 4 GB, this machine has 2 GB and 4 GB of swap: that is tight (gitlab-a.fr 4 GB)");
        assert_eq!(judge_memory(Some(Memory { memory: 8 * GB, swap: 0 }), Some(&gitlab())).message, "8 GB, 4 GB needed");
        assert_eq!(judge_memory(None, Some(&gitlab())).state, State::Unknown);
        assert_eq!(judge_memory(small, None).state, State::Unknown);
        assert_eq!(parse_memory("MemTotal: many kB"), None);
    }

    #[test]
    fn a_disk_that_is_too_small_full_or_nearly_full_is_named() {
        let gitlab = gitlab();
        let judge = |disk: Disk, budget| judge_disk(&Ok(vec![disk]), budget);
        let check = judge(disk("/srv", 10 * GB, 50 * GB), Some(&gitlab));
        assert_eq!(check.state, State::Failed);
        assert_eq!(check.message, "what is not installed yet needs 20 GB, 10 GB are free (gitlab-a.fr 20 GB)");
        let check = judge(disk("/srv", GB / 2, 50 * GB), None);
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "only 512 MB are free at /srv"));
        let check = judge(disk("/srv", 30 * GB, 1000 * GB), Some(&gitlab));
        assert_eq!((check.state, check.message.as_str()), (State::Warning, "/srv is nearly full: 30 GB are free"));
        let crowded = Disk { free_files: 12, total_files: 1_000_000, ..disk("/srv", 30 * GB, 50 * GB) };
        assert_eq!(judge(crowded, Some(&gitlab)).message, "/srv can hold only 12 more files, however small");
        let check = judge(disk("/srv", 30 * GB, 50 * GB), Some(&gitlab));
        assert_eq!(check.message, "30 GB free, 20 GB needed");
        assert_eq!(judge_disk(&Err(Error::external("cannot ask")), None).state, State::Unknown);
    }

    #[test]
    fn two_disks_count_together() {
        let two = vec![disk("/srv", 15 * GB, 50 * GB), disk("/var/lib/docker", 15 * GB, 50 * GB)];
        assert_eq!(judge_disk(&Ok(two), Some(&gitlab())).state, State::Ok);
        assert!(look(Path::new("/not/there/yet")).unwrap().total_bytes > 0);
    }
}
