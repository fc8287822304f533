//! The storage roots and the secrets: there, writable, and closed to others. With `--fix` folders are made and closed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Check, NO_CONFIG, Patient, brief, count};
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::wanted::LABEL_OWNER;
use crate::state::secrets::guard;

/// As every command that makes it.
const ROOT_MODE: u32 = 0o755;
/// Below our own folder, as `state::secrets` makes it.
const SECRETS: &str = "secrets";
/// A thousand instances have fewer secrets.
const MAX_SECRETS: usize = 100_000;

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let Some(config) = patient.config() else {
        return vec![new("storage:files", "files").unknown(NO_CONFIG)];
    };
    let layout = &config.layout;
    // Containers that were made with these roots: then the folders have been there.
    let owner = layout.files.display().to_string();
    let installed = patient
        .engine
        .as_ref()
        .map_or(0, |seen| seen.containers.iter().filter(|container| container.labels.get(LABEL_OWNER) == Some(&owner)).count());
    vec![
        root("storage:files", "files", &layout.files, installed, patient.fix),
        root("storage:databases", "databases", &layout.databases, installed, patient.fix),
        closed(layout, patient.fix),
    ]
}

fn new(id: &str, title: &str) -> Check {
    Check::new(id, title, "Applications keep everything that they know below the storage roots.")
}

fn root(id: &str, title: &str, path: &Path, installed: usize, fix: bool) -> Check {
    let check = judge_root(new(id, title), path, installed);
    if !fix || !check.fixable {
        return check;
    }
    match disk::ensure_folder(path, ROOT_MODE, None) {
        Ok(_) => check.mended(format!("made {}", path.display())),
        Err(error) => check.not_mended(&error),
    }
}

fn judge_root(check: Check, path: &Path, installed: usize) -> Check {
    let shown = path.display();
    match disk::is_folder(path) {
        Err(error) => check.failed(brief(&error)).fix(error.next.first().cloned().unwrap_or_else(|| "sudo summoner doctor".into())),
        Ok(true) => match access(path, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => check.ok(format!("{shown} can be written")),
            Err(rustix::io::Errno::ROFS) => check
                .failed(format!("{shown} is on a disk that can only be read"))
                .fix("see why in dmesg; then mount -o remount,rw, or repair the disk"),
            Err(error) => check.failed(format!("{shown} cannot be written: {error}")).fix("run Summoner as root (sudo)"),
        },
        // An empty folder in place of the data would look like a fresh machine.
        Ok(false) if installed > 0 => check
            .failed(format!("{shown} is gone, and {} made with it", count_were(installed)))
            .fix("mount its disk (see: findmnt, lsblk), then: summoner doctor"),
        Ok(false) => {
            let parent = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
            match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => check.warning(format!("{shown} is not there yet")).fix("summoner install, or summoner doctor --fix").fixable(),
                Err(error) => check.failed(format!("{shown} cannot be made: {error}")).fix("run Summoner as root (sudo)"),
            }
        }
    }
}

fn count_were(installed: usize) -> String {
    format!("{} {}", count(installed, "container"), if installed == 1 { "was" } else { "were" })
}

fn closed(layout: &Layout, fix: bool) -> Check {
    let new = || Check::new("secrets", "secrets", "Whoever reads the secrets of an application owns its data.");
    let open = match open(layout) {
        Ok(open) => open,
        Err(error) => return new().unknown(brief(&error)).fix("sudo summoner doctor"),
    };
    let Some((first, mode)) = open.first() else { return new().ok("closed to others") };
    let more = if open.len() > 1 { format!(", and {} more", open.len() - 1) } else { String::new() };
    let check = new()
        .failed(format!("{} is open to others ({mode:04o}){more}", first.display()))
        .fix(format!("chmod go-rwx {}, or: summoner doctor --fix", first.display()))
        .fixable();
    if !fix {
        return check;
    }
    match close(layout, &open) {
        Ok(()) => check.mended(format!("closed {} (was {mode:04o}){more}; change what others may have read", first.display())),
        Err(error) => check.not_mended(&error),
    }
}

/// Our own folder and everything among the secrets that others may enter or read, with its mode. Links are not followed.
fn open(layout: &Layout) -> Result<Vec<(PathBuf, u32)>> {
    let own = layout.own();
    let mut waiting = vec![own.clone()];
    let mut open = Vec::new();
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let fail = |source: &std::io::Error| Error::io("look at", &path, source);
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(fail(&error)),
        };
        if !found.is_symlink() && found.mode() & 0o077 != 0 {
            open.push((path.clone(), found.mode() & 0o7777));
        }
        seen += 1;
        if seen > MAX_SECRETS {
            return Err(Error::external(format!("{} holds more than {MAX_SECRETS} files", own.display())));
        }
        if path == own {
            waiting.push(own.join(SECRETS));
        } else if found.is_dir() {
            for entry in fs::read_dir(&path).map_err(|error| fail(&error))? {
                waiting.push(entry.map_err(|error| fail(&error))?.path());
            }
        }
    }
    open.sort();
    Ok(open)
}

fn close(layout: &Layout, open: &[(PathBuf, u32)]) -> Result<()> {
    guard(layout)?;
    for (path, mode) in open {
        // The folders around it are closed by now: nobody else can put a link in its place.
        let permissions = fs::Permissions::from_mode(mode & 0o700);
        fs::set_permissions(path, permissions).map_err(|error| Error::io("close", path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
