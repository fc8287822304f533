//! Kernel settings with the least values that minions ask for. With `--fix` and as root they are raised, now and for
//! the next start; never lowered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Check, NO_CONFIG, brief};
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::budget::{Budget, Least};

/// No setting is longer.
const MAX_BYTES: u64 = 4096;
/// Above every comment of our own file.
const HEAD: &str = "# Written by `summoner doctor --fix`: what the applications of this machine need. Values are only ever raised.\n";
const WHY: &str = "Some applications refuse to start, or fail under load, below a certain kernel setting.";

/// Where the settings are.
pub(super) struct Places {
    /// Each setting is a file here.
    now: PathBuf,
    /// What the next start reads. It sorts behind what distributions bring.
    next_start: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { now: "/proc/sys".into(), next_start: "/etc/sysctl.d/99-summoner.conf".into() }
    }
}

pub(super) fn checks(budget: Option<&Budget>, fix: bool, places: &Places) -> Vec<Check> {
    let check = || Check::new("sysctl", "kernel", WHY);
    match budget {
        None => vec![check().unknown(NO_CONFIG)],
        Some(budget) if budget.sysctls.is_empty() => vec![check().ok("no application asks for a setting")],
        Some(budget) => budget.sysctls.iter().map(|(name, least)| one(name, least, fix, places)).collect(),
    }
}

fn one(name: &str, least: &Least, fix: bool, places: &Places) -> Check {
    let check = judge(name, least, read(name, places));
    if !fix || !check.fixable {
        return check;
    }
    match raise(name, least.value, places) {
        Ok(()) => check.mended(format!("{name} was raised to {}, and stays so ({})", least.value, places.next_start.display())),
        Err(error) => check.not_mended(&error),
    }
}

/// The file of a setting: `vm.max_map_count` is `vm/max_map_count`. Nothing else than plain words, so that no name leads elsewhere.
fn file(name: &str, places: &Places) -> Option<PathBuf> {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let parts: Vec<&str> = name.split('.').collect();
    (parts.len() > 1 && parts.iter().all(|part| plain(part))).then(|| parts.iter().fold(places.now.clone(), |path, part| path.join(part)))
}

/// The value now; None when this kernel has no such setting.
fn read(name: &str, places: &Places) -> Result<Option<u64>> {
    let path = file(name, places).ok_or_else(|| Error::external(format!("{name} is no name of a kernel setting")))?;
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    text.parse().map(Some).map_err(|_| Error::external(format!("{name} is `{text}`, which is no number")))
}

fn judge(name: &str, least: &Least, value: Result<Option<u64>>) -> Check {
    let check = Check::new(format!("sysctl:{name}"), "kernel", WHY);
    let (wanted, who) = (least.value, least.instances.join(" and "));
    match value {
        Ok(Some(value)) if value >= wanted => check.ok(format!("{name} is {value}")),
        Ok(Some(value)) => check
            .failed(format!("{name} is {value}, {who} needs at least {wanted}"))
            .fix(format!("sysctl -w {name}={wanted}, or as root: summoner doctor --fix"))
            .fixable(),
        Ok(None) => check
            .failed(format!("this kernel has no setting {name}, which {who} needs to be at least {wanted}"))
            .fix("use a full virtual machine: containers of a hosting provider often hide kernel settings"),
        Err(error) => check.unknown(brief(&error)),
    }
}

fn raise(name: &str, value: u64, places: &Places) -> Result<()> {
    let path = file(name, places).ok_or_else(|| Error::internal(format!("{name} was judged and has no file")))?;
    // The kernel's own file: written in place, there is nothing to rename.
    disk::write_in_place(&path, &format!("{value}\n"))?;
    let before = disk::read_if_there(&places.next_start, MAX_BYTES)?.unwrap_or_default();
    let text = merge(&String::from_utf8_lossy(&before), name, value);
    disk::ensure_folder(places.next_start.parent().unwrap_or(Path::new("/")), 0o755, None)?;
    disk::write_atomic(&places.next_start, text.as_bytes(), 0o644)
}

/// Our file with this setting, at the greater of both values: another installation may have asked for more.
fn merge(before: &str, name: &str, value: u64) -> String {
    let pairs = before.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])).filter_map(|line| line.split_once('='));
    let mut settings: BTreeMap<&str, String> = pairs.map(|(key, value)| (key.trim(), value.trim().to_owned())).collect();
    let known = settings.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    settings.insert(name, value.max(known).to_string());
    settings.iter().fold(HEAD.to_owned(), |text, (key, value)| format!("{text}{key} = {value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::minion::Needs;

    const NAME: &str = "vm.max_map_count";

    fn elastic() -> Budget {
        let mut budget = Budget::default();
        budget.add("elastic-a.fr", &Needs { sysctls: [(NAME.to_owned(), 1_048_576)].into(), ..Needs::default() }, false);
        budget
    }

    fn places(value: &str) -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { now: folder.path().join("sys"), next_start: folder.path().join("sysctl.d/99-summoner.conf") };
        std::fs::create_dir_all(places.now.join("vm")).unwrap();
        std::fs::write(places.now.join("vm/max_map_count"), value).unwrap();
        (folder, places)
    }

    #[test]
    fn a_low_setting_fails_and_is_only_raised_when_asked() {
        let (_folder, places) = places("65530\n");
        let checks = checks(Some(&elastic()), false, &places);
        assert_eq!((checks[0].id.as_str(), checks[0].state), ("sysctl:vm.max_map_count", State::Failed));
        assert_eq!(checks[0].message, "vm.max_map_count is 65530, elastic-a.fr needs at least 1048576");
        assert!(!places.next_start.exists(), "nothing was asked for");
        let mended = super::checks(Some(&elastic()), true, &places).remove(0);
        assert!(mended.fixed && mended.state == State::Ok, "{mended:?}");
        assert!(mended.message.starts_with("vm.max_map_count was raised to 1048576, and stays so"));
        assert_eq!(read(NAME, &places).unwrap(), Some(1_048_576));
        assert_eq!(std::fs::read_to_string(&places.next_start).unwrap(), format!("{HEAD}vm.max_map_count = 1048576\n"));
        let again = super::checks(Some(&elastic()), true, &places).remove(0);
        assert_eq!((again.state, again.fixed, again.message.as_str()), (State::Ok, false, "vm.max_map_count is 1048576"));
    }

    #[test]
    fn what_cannot_be_read_is_never_ok() {
        let (_folder, places) = places("many");
        assert_eq!(checks(Some(&elastic()), false, &places)[0].message, "vm.max_map_count is `many`, which is no number");
        std::fs::remove_file(places.now.join("vm/max_map_count")).unwrap();
        let check = checks(Some(&elastic()), true, &places).remove(0);
        assert!(check.message.starts_with("this kernel has no setting vm.max_map_count"), "{check:?}");
        assert_eq!(checks(None, false, &places)[0].state, State::Unknown);
    }

    #[test]
    fn a_setting_that_cannot_be_raised_stays_failed_and_says_why() {
        let (_folder, mut places) = places("65530");
        places.next_start = places.now.join("vm/max_map_count/99-summoner.conf");
        let check = checks(Some(&elastic()), true, &places).remove(0);
        assert!(check.state == State::Failed && !check.fixed && check.message.contains("mending it failed: "), "{check:?}");
    }

    #[test]
    fn no_name_leads_out_of_the_settings() {
        let (_folder, places) = places("1");
        for name in ["vm.../../etc", "vm", "..", "vm./etc/passwd", ""] {
            assert!(file(name, &places).is_none(), "{name}");
        }
    }

    #[test]
    fn the_file_keeps_what_others_asked_for() {
        let text = merge("# by hand\nfs.file-max = 131072\nvm.max_map_count=2000000\n", NAME, 1_048_576);
        assert_eq!(text, format!("{HEAD}fs.file-max = 131072\nvm.max_map_count = 2000000\n"));
    }
}
