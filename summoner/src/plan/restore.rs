//! What a restore would do, and why it may not: versions, what was asked for, space. Pure.

use chrono::{DateTime, SecondsFormat, Utc};

use super::snapshot::{Content, Kind, Manifest, Purpose, Snapshot};
use super::{Action, Plan, Step};
use crate::error::{Error, Result};
use crate::minion::RestorePolicy;
use crate::name::InstanceId;

/// Which snapshot is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest good one.
    Latest,
    /// The newest good one that was taken at or before this time.
    At(DateTime<Utc>),
    /// This one: the whole id, or its time alone.
    Named(String),
}

/// Which part of a snapshot is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Everything that it holds.
    Everything,
    /// Its databases.
    Databases,
    /// Its files.
    Files,
    /// These paths, relative to the instance's folder.
    Paths(Vec<String>),
}

impl Part {
    /// Whether databases are among it.
    #[must_use]
    pub fn databases(&self) -> bool {
        matches!(self, Self::Everything | Self::Databases)
    }

    /// Whether files are among it.
    #[must_use]
    pub fn files(&self) -> bool {
        !matches!(self, Self::Databases)
    }
}

/// Chooses a snapshot among those of an instance, which come oldest first.
///
/// # Errors
/// None fits; the sentence says which there are.
pub fn choose<'a>(snapshots: &'a [Snapshot], instance: &InstanceId, which: &Which, part: &Part) -> Result<&'a Snapshot> {
    // What a restore took before it changed anything is brought back by its name alone: a second try must not mean the
    // state that the first one was to mend.
    let fits = |snapshot: &&Snapshot| holds(&snapshot.manifest, part) && snapshot.manifest.purpose != Purpose::PreRestore;
    let found = match which {
        Which::Named(name) => {
            let named = |snapshot: &&Snapshot| snapshot.manifest.id.stamp() == *name || snapshot.manifest.id.to_string() == *name;
            return snapshots.iter().find(named).ok_or_else(|| {
                Error::usage(format!("{instance} has no snapshot `{name}`")).next(format!("summoner snapshots {instance}"))
            });
        }
        Which::Latest => snapshots.iter().rev().find(|snapshot| snapshot.is_good() && fits(snapshot)),
        Which::At(time) => {
            snapshots.iter().rev().find(|snapshot| snapshot.manifest.id.time <= *time && snapshot.is_good() && fits(snapshot))
        }
    };
    found.ok_or_else(|| {
        let when = match which {
            Which::At(time) => format!(" at or before {}", time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            _ => String::new(),
        };
        Error::external(format!("{instance} has no good snapshot{when} that holds what you want"))
            .next(format!("summoner snapshots {instance}"))
    })
}

/// Whether a snapshot holds a part.
fn holds(manifest: &Manifest, part: &Part) -> bool {
    let dumped = manifest.artefacts.iter().any(|artefact| matches!(artefact.content, Content::Dump | Content::Files));
    match part {
        // A backup is the whole; a dump alone would leave the files as they are.
        Part::Everything => manifest.kind == Kind::Backup,
        Part::Databases => dumped,
        Part::Files | Part::Paths(_) => manifest.files.is_some(),
    }
}

/// Whether the version that is installed may read the data of a snapshot.
///
/// # Errors
/// It may not; the sentence says which version could.
pub fn compare_versions(manifest: &Manifest, policy: RestorePolicy, installed: Option<&str>) -> Result<()> {
    let (Some(then), Some(now)) = (manifest.minion_version.as_deref(), installed) else { return Ok(()) };
    let (old, new) = (numbers(then), numbers(now));
    let fits = then == now
        || match policy {
            RestorePolicy::Exact => false,
            RestorePolicy::SameMajor => old.first() == new.first() && new >= old,
            RestorePolicy::Newer => new >= old,
        };
    if fits {
        return Ok(());
    }
    let rule = match policy {
        RestorePolicy::Exact => "only the same version may read it",
        RestorePolicy::SameMajor => "only the same first number, not older, may read it",
        RestorePolicy::Newer => "an older version may not read it",
    };
    Err(Error::external(format!("the snapshot {} is of {} {then}, installed is {now}: {rule}", manifest.id, manifest.minion))
        .next(format!("write `version: {then}` for {} into config.yml, then run the same command again", manifest.id.instance)))
}

/// The numbers of a tag, in order: `6.59.0` is 6, 59, 0; what follows a hyphen says nothing about order.
fn numbers(tag: &str) -> Vec<u64> {
    let core = tag.trim_start_matches('v').split('-').next().unwrap_or_default();
    core.split('.').map_while(|part| part.parse().ok()).collect()
}

/// What is there before a restore.
#[derive(Debug, Clone, Copy)]
pub struct Present {
    /// The application's folder holds something.
    pub files: bool,
    /// Its containers run, so a snapshot of the present state can be taken.
    pub running: bool,
}

/// The steps of a restore.
#[must_use]
pub fn restore(manifest: &Manifest, target: &InstanceId, part: &Part, present: Present) -> Plan {
    let mut plan = Plan::default();
    let mut step = |action, object: String, reason: &str| {
        plan.steps.push(Step { action, instance: Some(target.clone()), object, reason: reason.to_owned(), destructive: false });
    };
    step(Action::VerifySnapshot, manifest.id.to_string(), "nothing is touched before every hash is checked");
    if present.running {
        step(Action::TakeSnapshot, target.to_string(), "the present state, whatever happens");
    }
    if part.files() && manifest.files.is_some() {
        step(Action::StageFiles, "files".into(), "beside the live ones");
    }
    if part.databases() {
        for artefact in manifest.artefacts.iter().filter(|artefact| artefact.content == Content::Dump) {
            step(Action::StageDatabase, artefact.name.clone(), "into a server of its own");
        }
    }
    let reason = if present.files { "what is replaced is kept until summoner restore --confirm" } else { "nothing is there" };
    step(Action::Swap, target.to_string(), reason);
    step(Action::Verify, target.to_string(), "healthy, and it answers through the proxy; else the old state comes back");
    plan
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Verified;
    use super::*;

    #[test]
    fn the_latest_is_never_the_state_that_a_restore_was_to_mend() {
        let snapshot = |id: &str, purpose, fault: Option<&str>| {
            let manifest = Manifest { purpose, ..crate::plan::snapshot::example(id, None) };
            let verified = Verified { version: 1, at: manifest.id.time, read_data: false, fault: fault.map(str::to_owned) };
            Snapshot { manifest, verified: Some(verified) }
        };
        let all = [
            snapshot("ghost-a.fr/20261119T020000Z", Purpose::Schedule, None),
            snapshot("ghost-a.fr/20261120T020000Z", Purpose::Schedule, Some("a flipped byte")),
            snapshot("ghost-a.fr/20261121T090000Z", Purpose::PreRestore, None),
        ];
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        let chosen = |which| choose(&all, &id, &which, &Part::Everything).map(|snapshot| snapshot.manifest.id.stamp());
        assert_eq!(chosen(Which::Latest).unwrap(), "20261119T020000Z");
        assert_eq!(chosen(Which::At("2026-11-21T12:00:00Z".parse().unwrap())).unwrap(), "20261119T020000Z");
        assert_eq!(chosen(Which::Named("20261121T090000Z".into())).unwrap(), "20261121T090000Z");
        let none = chosen(Which::At("2026-11-18T12:00:00Z".parse().unwrap())).unwrap_err();
        assert_eq!(none.message, "ghost-a.fr has no good snapshot at or before 2026-11-18T12:00:00Z that holds what you want");
    }

    #[test]
    fn a_version_that_may_not_read_it_is_refused() {
        let verdict = |policy, then: &str, now: &str| {
            let manifest = crate::plan::snapshot::example("ghost-a.fr/20261121T020000Z", Some(then));
            compare_versions(&manifest, policy, Some(now)).is_ok()
        };
        use RestorePolicy::{Exact, Newer, SameMajor};
        assert!(verdict(Exact, "19.3.0-ce.0", "19.3.0-ce.0"));
        assert!(!verdict(Exact, "19.3.0-ce.0", "19.3.1-ce.0"));
        assert!(verdict(SameMajor, "6.59.0", "6.60.1"));
        assert!(!verdict(SameMajor, "6.59.0", "6.58.9"));
        assert!(!verdict(SameMajor, "6.59.0", "7.0.0"));
        assert!(verdict(Newer, "v11.07", "v12.01"));
        assert!(!verdict(Newer, "v11.07", "v11.06"));
        assert!(verdict(Newer, "9.9", "9.10"));
    }
}
