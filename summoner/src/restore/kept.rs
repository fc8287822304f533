//! What restores replaced, kept until a person confirms: one record an instance.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::journal::{Entry, Move};
use crate::layout::Layout;
use crate::name::InstanceId;

const VERSION: u32 = 1;
const MAX_BYTES: u64 = 4 << 20;
/// What a restore replaced is kept this long when nobody confirms: as long as the snapshot before it.
pub const KEPT_DAYS: i64 = 30;

/// What a restore replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Form of the file.
    pub version: u32,
    /// Whose.
    pub instance: InstanceId,
    /// When.
    pub at: DateTime<Utc>,
    /// The snapshot that is live now; none when it is the state before one.
    pub snapshot: Option<String>,
    /// What was replaced by what.
    pub moves: Vec<Move>,
    /// What was replaced is being deleted: there is no way back.
    #[serde(default)]
    pub confirmed: bool,
}

impl Record {
    /// Until when what was replaced is kept without a word from a person.
    #[must_use]
    pub fn kept_until(&self) -> DateTime<Utc> {
        self.at + TimeDelta::days(KEPT_DAYS)
    }

    /// Whether it may be deleted: nobody took it back in time, or somebody confirmed and the deleting was cut off.
    #[must_use]
    pub fn may_go(&self, now: DateTime<Utc>) -> bool {
        self.confirmed || self.kept_until() <= now
    }

    /// The way back, from what is live now.
    #[must_use]
    pub fn reversed(&self) -> Vec<Move> {
        let back = |each: &Move| Move {
            live: each.live.clone(),
            new: each.old.clone(),
            old: each.new.clone(),
            had_live: each.live.symlink_metadata().is_ok(),
        };
        self.moves.iter().map(back).collect()
    }

    /// Where the replaced data is.
    pub fn kept(&self) -> impl Iterator<Item = &PathBuf> {
        self.moves.iter().map(|each| &each.old)
    }
}

fn path(layout: &Layout, id: &InstanceId) -> PathBuf {
    layout.restored().join(format!("{id}.json"))
}

/// The record of an instance.
///
/// # Errors
/// There is none, or it is damaged.
pub fn load(layout: &Layout, id: &InstanceId) -> Result<Record> {
    find(layout, id)?
        .ok_or_else(|| Error::usage(format!("no restore of {id} waits to be confirmed or undone")).next(format!("summoner snapshots {id}")))
}

/// As [`load`], for the way back.
///
/// # Errors
/// As [`load`], or it was confirmed.
pub(super) fn to_undo(layout: &Layout, id: &InstanceId) -> Result<Record> {
    let record = load(layout, id)?;
    if record.confirmed {
        return Err(Error::usage(format!("the restore of {id} was confirmed, and what it replaced is being deleted"))
            .next(format!("summoner restore --confirm {id}   ends that"))
            .next(format!("summoner snapshots {id}   shows what else there is")));
    }
    Ok(record)
}

/// As [`load`]; None when there is none.
///
/// # Errors
/// It is damaged.
pub fn find(layout: &Layout, id: &InstanceId) -> Result<Option<Record>> {
    let path = path(layout, id);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::new(Kind::Config, format!("{} is damaged", path.display()))
            .cause(error)
            .next(format!("look into {}, then move that file away", layout.beside_files(id).display()))
    })
}

/// Records of all instances.
///
/// # Errors
/// One is damaged.
pub fn all(layout: &Layout) -> Result<Vec<Record>> {
    let names = disk::files_in(&layout.restored())?;
    let ids = names.iter().filter_map(|path| path.file_stem()?.to_str()?.parse().ok());
    ids.filter_map(|id: InstanceId| find(layout, &id).transpose()).collect()
}

fn save(layout: &Layout, record: &Record) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    disk::ensure_own_folder(&layout.restored(), 0o700, None)?;
    crash::point();
    let text = serde_json::to_vec_pretty(record).map_err(|error| Error::internal("the record does not serialise").cause(error))?;
    disk::write_atomic(&path(layout, &record.instance), &text, 0o600)
}

/// Writes down what a settled entry of the journal replaced; it may be done twice.
///
/// # Errors
/// The disk refuses.
pub(crate) fn record(layout: &Layout, entry: &Entry) -> Result<()> {
    if entry.moves.is_empty() {
        return Ok(());
    }
    let (instance, snapshot, moves) = (entry.instance.clone(), entry.snapshot.clone(), entry.moves.clone());
    save(layout, &Record { version: VERSION, instance, at: entry.begun_at, snapshot, moves, confirmed: false })
}

/// A second restore would have to keep two old states, and undo could not tell which is meant.
pub(super) fn refuse_unconfirmed(layout: &Layout, id: &InstanceId) -> Result<()> {
    let Some(record) = find(layout, id)? else { return Ok(()) };
    if record.confirmed {
        return confirm(layout, id);
    }
    Err(Error::usage(format!("the restore of {id} of {} is not confirmed yet", record.at.format("%Y-%m-%d %H:%M UTC")))
        .next(format!("summoner restore --confirm {id}   deletes what it replaced"))
        .next(format!("summoner restore --undo {id}      brings that back")))
}

/// The restored state stays: what it replaced is deleted.
///
/// # Errors
/// There is nothing to confirm, or the disk refuses; the command may be repeated.
pub fn confirm(layout: &Layout, id: &InstanceId) -> Result<()> {
    let mut record = load(layout, id)?;
    if !record.confirmed {
        // From the first deleted file on there is no way back.
        record.confirmed = true;
        save(layout, &record)?;
    }
    for kept in record.kept() {
        crash::point();
        disk::remove_tree(kept)?;
    }
    let mut beside: Vec<PathBuf> = vec![layout.beside_files(id), layout.beside_databases(id)];
    beside.extend(record.kept().filter_map(|kept| Layout::beside_of(kept)).map(Path::to_owned));
    for folder in beside {
        crash::point();
        disk::remove_tree(&folder)?;
    }
    crash::point();
    disk::remove_file(&path(layout, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Doing;

    #[test]
    fn what_was_replaced_is_kept_until_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let old = layout.beside_files(&id).join("old");
        std::fs::create_dir_all(&old).unwrap();
        std::fs::create_dir_all(layout.own()).unwrap();
        let one = Move { live: layout.instance_files(&id), new: folder.path().join("new"), old: old.clone(), had_live: true };
        assert!(confirm(&layout, &id).unwrap_err().message.contains("no restore"));
        let mut entry = Entry::new(id.clone(), Doing::Restore, now);
        entry.snapshot = Some("ghost-a.fr/20261121T020000Z".into());
        entry.moves.push(one);
        record(&layout, &entry).unwrap();
        assert!(refuse_unconfirmed(&layout, &id).unwrap_err().message.contains("is not confirmed yet"));
        let all = all(&layout).unwrap();
        assert_eq!(all.len(), 1);
        assert!(!all[0].may_go(now + TimeDelta::days(29)) && all[0].may_go(now + TimeDelta::days(30)));
        confirm(&layout, &id).unwrap();
        assert!(!old.exists());
        refuse_unconfirmed(&layout, &id).unwrap();
        assert!(!layout.beside_files(&id).exists());
    }

    /// Half of what it replaced is deleted: there is no way back, and the next restore ends it.
    #[test]
    fn a_confirmation_that_was_killed_is_never_undone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        std::fs::create_dir_all(layout.beside_files(&id).join("old")).unwrap();
        let moves = vec![Move {
            live: layout.instance_files(&id),
            new: layout.beside_files(&id).join("new"),
            old: layout.beside_files(&id).join("old"),
            had_live: true,
        }];
        save(&layout, &Record { version: VERSION, instance: id.clone(), at: now, snapshot: None, moves, confirmed: true }).unwrap();
        assert!(to_undo(&layout, &id).unwrap_err().message.contains("is being deleted"));
        refuse_unconfirmed(&layout, &id).unwrap();
        assert!(find(&layout, &id).unwrap().is_none() && !layout.beside_files(&id).exists());
    }
}
