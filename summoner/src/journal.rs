//! What was begun and must be ended, also after `kill -9`, a power cut or a restart of Docker: one file an instance.
//!
//! Written and flushed before each stop and each move, removed when everything stands again. Holds facts only; what
//! they ask for is done by `apply::recover`.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::InstanceId;

/// The newest form of an entry.
const VERSION: u32 = 1;
/// No entry is longer.
const MAX_BYTES: u64 = 1 << 20;

/// What was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// A cold backup.
    Backup,
    /// A restore, its undo, or its confirmation.
    Restore,
}

/// One thing that takes the place of another on one file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Where it is used.
    pub live: PathBuf,
    /// What shall be there; absent when `live` shall only go away.
    pub new: PathBuf,
    /// Where what was there is kept.
    pub old: PathBuf,
    /// Whether there was anything.
    pub had_live: bool,
}

/// One operation on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Form of the file.
    pub version: u32,
    /// Whose.
    pub instance: InstanceId,
    /// What.
    pub doing: Doing,
    /// Since when.
    pub begun_at: DateTime<Utc>,
    /// Containers that ran and were, or are about to be, stopped; in the order in which they start.
    #[serde(default)]
    pub stopped: Vec<String>,
    /// The application was asked to stand still.
    #[serde(default)]
    pub quiesced: bool,
    /// What takes the place of what.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// The moves are proven and stay.
    #[serde(default)]
    pub settled: bool,
    /// Of a restore: the snapshot that the moves bring; none when they bring an earlier state back.
    #[serde(default)]
    pub snapshot: Option<String>,
}

impl Entry {
    /// An operation of which nothing is done yet.
    #[must_use]
    pub fn new(instance: InstanceId, doing: Doing, now: DateTime<Utc>) -> Self {
        Self {
            version: VERSION,
            instance,
            doing,
            begun_at: now,
            stopped: Vec::new(),
            quiesced: false,
            moves: Vec::new(),
            settled: false,
            snapshot: None,
        }
    }
}

/// An entry on disk.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    entry: Entry,
}

impl Journal {
    /// Writes a new entry.
    ///
    /// # Errors
    /// An earlier one of the instance is still open, or the disk refuses: then nothing may be stopped.
    pub fn begin(layout: &Layout, entry: Entry) -> Result<Self> {
        refuse_open(layout, &entry.instance)?;
        disk::ensure_own_folder(&layout.own(), 0o700, None)?;
        disk::ensure_own_folder(&layout.journal(), 0o700, None)?;
        let journal = Self { path: layout.journal_of(&entry.instance), entry };
        journal.write()?;
        Ok(journal)
    }

    /// What it says.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Changes what it says; on disk before this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn change(&mut self, change: impl FnOnce(&mut Entry)) -> Result<()> {
        change(&mut self.entry);
        self.write()
    }

    /// Everything stands again.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn end(self) -> Result<()> {
        crash::point();
        disk::remove_file(&self.path)
    }

    fn write(&self) -> Result<()> {
        crash::point();
        let text =
            serde_json::to_vec_pretty(&self.entry).map_err(|error| Error::internal("the journal does not serialise").cause(error))?;
        disk::write_atomic(&self.path, &text, 0o600)
    }
}

/// What an open entry says was stopped would be forgotten by a second one.
///
/// # Errors
/// The instance has an open entry.
pub fn refuse_open(layout: &Layout, id: &InstanceId) -> Result<()> {
    if layout.journal_of(id).symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::external(format!("an earlier command on {id} was interrupted and could not be ended yet"))
        .next(format!("summoner start {id}   tries again and says what is in the way")))
}

/// All entries, sorted by instance; none in the ordinary case.
///
/// # Errors
/// An entry that cannot be read: what it holds must not be forgotten.
pub fn open(layout: &Layout) -> Result<Vec<Journal>> {
    let mut found = Vec::new();
    for path in disk::files_in(&layout.journal())? {
        if path.extension().is_some_and(|ending| ending == "json") {
            found.push(read(&path)?);
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(path: &Path) -> Result<Journal> {
    let damaged = |why: &dyn std::fmt::Display| {
        Error::external(format!("the journal {} is damaged", path.display()))
            .cause(why)
            .next("start what is stopped (summoner start '*'), then move that file away")
    };
    let bytes = disk::read_bounded(path, MAX_BYTES)?;
    let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
    if entry.version > VERSION {
        return Err(damaged(&"a newer Summoner wrote it").next("use that Summoner again"));
    }
    Ok(Journal { path: path.to_owned(), entry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        assert!(open(&layout).unwrap().is_empty());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut journal = Journal::begin(&layout, Entry::new("ghost-a.fr".parse().unwrap(), Doing::Backup, now)).unwrap();
        journal.change(|entry| entry.stopped.push("ghost-a.fr".into())).unwrap();
        let found = open(&layout).unwrap();
        assert_eq!(found[0].entry(), journal.entry());
        let second = Journal::begin(&layout, Entry::new("ghost-a.fr".parse().unwrap(), Doing::Restore, now)).unwrap_err();
        assert!(second.message.contains("could not be ended yet"), "{second}");
        journal.end().unwrap();
        assert!(open(&layout).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_entry_is_an_error_and_not_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        std::fs::create_dir_all(layout.journal()).unwrap();
        for text in ["", "{}", "{\"version\":1}"] {
            std::fs::write(layout.journal().join("ghost-a.fr.json"), text).unwrap();
            assert!(open(&layout).unwrap_err().message.ends_with("is damaged"), "{text}");
        }
    }
}
