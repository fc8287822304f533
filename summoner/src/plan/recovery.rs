//! The record of an installation as a value, and which snapshots a bare server is rebuilt from. Pure.
//!
//! The repository writes and reads records, `recovery` makes them and carries them out; `wiki/repository.md` documents
//! the form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::snapshot::{Kind, Purpose, Snapshot, SnapshotId};
use super::state::{ImageLock, Memory};
use crate::layout::Layout;
use crate::name::{Domain, InstanceId};

/// The newest form of a record that this Summoner reads and writes.
pub const VERSION: u32 = 1;
/// So many records are kept in the repository of the host.
pub const KEPT: usize = 5;
/// So many snapshots of an instance are tried, newest first.
pub const TRIES: usize = 5;

/// `manifest.json` of a record: written last, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Form of the file, and of what lies beside it.
    pub version: u32,
    /// When it was made, whole seconds.
    pub at: DateTime<Utc>,
    /// The first domain.
    pub domain: Domain,
    /// Version of the Summoner that made it.
    pub summoner: String,
    /// Version of the Docker Engine.
    pub engine: String,
    /// Where config.yml was.
    pub config: PathBuf,
    /// Where application files were.
    pub files: PathBuf,
    /// Where database files were.
    pub databases: PathBuf,
    /// Size of the archive beside it.
    pub bytes: u64,
    /// Its size before compression.
    pub bytes_raw: u64,
    /// SHA-256 of the archive.
    pub sha256: String,
    /// What was installed.
    pub instances: Vec<Installed>,
}

/// One instance of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// `<app>-<domain>`.
    pub id: InstanceId,
    /// Name in the catalogue.
    pub minion: String,
    /// Its images by reference, as they were locked.
    pub images: BTreeMap<String, ImageLock>,
}

impl Record {
    /// How its time is spelled in the names of its files.
    #[must_use]
    pub fn stamp(&self) -> String {
        stamp(self.at)
    }

    /// Whether it says the same as another one: then it need not be written. The version of the engine alone is no news.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let timeless = |record: &Self| Self { at: DateTime::UNIX_EPOCH, engine: String::new(), bytes: 0, ..record.clone() };
        timeless(self) == timeless(other)
    }

    /// Where it goes: the places of the record, or everything below one folder.
    #[must_use]
    pub fn target(&self, data: Option<&Path>, config: Option<&Path>) -> Target {
        let layout = match data {
            Some(data) => Layout { files: data.to_owned(), databases: data.join(DATABASES) },
            None => Layout { files: self.files.clone(), databases: self.databases.clone() },
        };
        Target { layout, config: config.unwrap_or(&self.config).to_owned() }
    }
}

/// The folder of databases below a root that was named by hand.
const DATABASES: &str = "database";

/// A time as it is spelled in names of files.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Where a recovery puts things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Storage roots.
    pub layout: Layout,
    /// config.yml.
    pub config: PathBuf,
}

/// What an instance comes back from: snapshots to try, best first; none is a new, empty instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Whose.
    pub instance: InstanceId,
    /// What to try.
    pub candidates: Vec<Snapshot>,
    /// A dump that is newer than the backup: it is not brought back by itself, since files and database would not match.
    pub newer_dump: Option<SnapshotId>,
}

/// Chooses among all snapshots of a place, which come oldest first. One that was found damaged is no candidate; one that
/// nobody has read yet is, since it is read before it is used. A dump alone comes after every backup.
#[must_use]
pub fn choose(instances: &[InstanceId], snapshots: &[Snapshot], at: Option<DateTime<Utc>>) -> Vec<Choice> {
    let usable = |snapshot: &&Snapshot| {
        let manifest = &snapshot.manifest;
        let whole = snapshot.verified.as_ref().is_none_or(|verified| verified.fault.is_none());
        whole && manifest.purpose != Purpose::PreRestore && at.is_none_or(|at| manifest.id.time <= at)
    };
    let of = |id: &InstanceId| {
        let own = || snapshots.iter().rev().filter(|snapshot| snapshot.manifest.id.instance == *id).filter(usable);
        let backups: Vec<&Snapshot> = own().filter(|snapshot| snapshot.manifest.kind == Kind::Backup).collect();
        let dumps = || own().filter(|snapshot| snapshot.manifest.kind == Kind::Dump);
        let newer_dump = backups
            .first()
            .and_then(|newest| dumps().map(|dump| &dump.manifest.id).find(|dump| dump.time > newest.manifest.id.time).cloned());
        let candidates = backups.iter().copied().chain(dumps()).take(TRIES).cloned().collect();
        Choice { instance: id.clone(), candidates, newer_dump }
    };
    instances.iter().map(of).collect()
}

/// What is remembered, without what another machine decides anew: networks, what nginx can, what was proven here.
#[must_use]
pub fn moved(memory: &Memory) -> Memory {
    let mut moved = Memory { network_range: None, nginx: None, ..memory.clone() };
    for known in moved.instances.values_mut() {
        known.subnet = None;
        known.configured = None;
        known.proven = None;
        known.refused.clear();
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::snapshot::{Verified, example};

    fn snapshot(id: &str, kind: Kind, purpose: Purpose, fault: Option<Option<&str>>) -> Snapshot {
        let manifest = super::super::snapshot::Manifest { kind, purpose, ..example(id, None) };
        let at = manifest.id.time;
        let verified = fault.map(|fault| Verified { version: 1, at, read_data: false, fault: fault.map(str::to_owned) });
        Snapshot { manifest, verified }
    }

    #[test]
    fn the_newest_whole_backup_comes_first_and_a_dump_last() {
        let all = [
            snapshot("ghost-a.fr/20261117T020000Z", Kind::Dump, Purpose::Schedule, Some(None)),
            snapshot("ghost-a.fr/20261118T020000Z", Kind::Backup, Purpose::Schedule, Some(None)),
            snapshot("ghost-a.fr/20261119T020000Z", Kind::Backup, Purpose::Schedule, None),
            snapshot("ghost-a.fr/20261120T020000Z", Kind::Backup, Purpose::Schedule, Some(Some("a flipped byte"))),
            snapshot("ghost-a.fr/20261121T020000Z", Kind::Backup, Purpose::PreRestore, Some(None)),
            snapshot("ghost-a.fr/20261121T030000Z", Kind::Dump, Purpose::Schedule, Some(None)),
        ];
        let ids = ["ghost-a.fr".parse().unwrap(), "wekan-a.fr".parse().unwrap()];
        let of = |at: Option<&str>| {
            let chosen = choose(&ids, &all, at.map(|at| at.parse().unwrap()));
            assert!(chosen[1].candidates.is_empty());
            let stamps: Vec<String> = chosen[0].candidates.iter().map(|found| found.manifest.id.stamp()).collect();
            (stamps, chosen[0].newer_dump.as_ref().map(SnapshotId::stamp))
        };
        let (stamps, dump) = of(None);
        assert_eq!(stamps, ["20261119T020000Z", "20261118T020000Z", "20261121T030000Z", "20261117T020000Z"]);
        assert_eq!(dump.as_deref(), Some("20261121T030000Z"));
        assert_eq!(of(Some("2026-11-18T12:00:00Z")), (vec!["20261118T020000Z".into(), "20261117T020000Z".into()], None));
    }

    #[test]
    fn an_unchanged_record_says_the_same_later() {
        let record = Record {
            version: VERSION,
            at: "2026-11-21T02:00:00Z".parse().unwrap(),
            domain: "a.fr".parse().unwrap(),
            summoner: "0.1.0".into(),
            engine: "20.10.24".into(),
            config: "/root/config.yml".into(),
            files: "/srv/data".into(),
            databases: "/srv/data/database".into(),
            bytes: 10,
            bytes_raw: 20,
            sha256: "00".into(),
            instances: vec![],
        };
        assert!(record.says_the_same(&Record { at: "2026-11-22T02:00:00Z".parse().unwrap(), ..record.clone() }));
        assert!(!record.says_the_same(&Record { sha256: "01".into(), ..record.clone() }));
        let moved = record.target(Some(Path::new("/new")), None);
        assert_eq!((moved.config, moved.layout.databases), ("/root/config.yml".into(), "/new/database".into()));
    }

    #[test]
    fn what_this_machine_decides_is_not_taken_along() {
        let mut memory = Memory { network_range: Some("10.213.0.0/16".into()), ..Memory::default() };
        let known = memory.instances.entry("ghost-a.fr".parse().unwrap()).or_default();
        known.subnet = Some("10.213.4.0/27".into());
        known.proven = Some("hash".into());
        known.administrator_at = Some(DateTime::UNIX_EPOCH);
        let moved = moved(&memory);
        let known = &moved.instances[&"ghost-a.fr".parse().unwrap()];
        assert!(moved.network_range.is_none() && known.subnet.is_none() && known.proven.is_none());
        assert_eq!(known.administrator_at, Some(DateTime::UNIX_EPOCH), "there is one in the database that comes back");
    }
}
