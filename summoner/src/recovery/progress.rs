//! How far a recovery is: a file of Summoner's own that is there only until everything is back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::name::InstanceId;
use crate::plan::snapshot::SnapshotId;

const VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// A recovery under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Form of the file.
    version: u32,
    /// Where it comes from, as it was asked for.
    pub place: String,
    /// The record, by its stamp.
    pub record: String,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// The record is at its places.
    pub unpacked: bool,
    /// Instances whose data is back.
    pub done: BTreeMap<InstanceId, Done>,
}

/// What an instance came back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The snapshot; none is a new, empty instance.
    pub snapshot: Option<SnapshotId>,
    /// What a person has to know, a sentence each.
    #[serde(default)]
    pub says: Vec<String>,
}

impl Progress {
    /// One that begins now.
    #[must_use]
    pub fn new(place: &str, record: &str, now: DateTime<Utc>) -> Self {
        Self { version: VERSION, place: place.to_owned(), record: record.to_owned(), begun_at: now, unpacked: false, done: BTreeMap::new() }
    }

    /// That of an installation; None when none is under way.
    ///
    /// # Errors
    /// It is damaged, or a newer Summoner wrote it.
    pub fn find(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.recovery();
        let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(None) };
        let damaged = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Config, format!("{} is damaged", path.display()))
                .cause(why)
                .next("use the Summoner that began the recovery, or empty the storage folders and begin anew")
        };
        let found: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        if found.version > VERSION {
            return Err(damaged(&"a newer Summoner wrote it"));
        }
        Ok(Some(found))
    }

    /// Refuses what would get in the way of one that is not finished.
    ///
    /// # Errors
    /// One is under way.
    pub fn refuse_open(layout: &Layout) -> Result<()> {
        match Self::find(layout)? {
            None => Ok(()),
            Some(found) => Err(Error::external(format!(
                "the recovery from {} of {} is not finished, and an instance that is not back yet would be installed empty",
                found.place,
                found.begun_at.format("%Y-%m-%d %H:%M UTC")
            ))
            .next(format!("summoner install --restore-from {}   goes on with it", found.place))
            .next(format!("to give it up: rm {}", layout.recovery().display()))),
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        disk::ensure_folder(&layout.files, 0o755, None)?;
        disk::ensure_own_folder(&layout.own(), 0o700, None)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::internal("the progress does not serialise").cause(error))?;
        crash::point();
        disk::write_atomic(&layout.recovery(), &text, 0o600)
    }

    /// Everything is back.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn end(layout: &Layout) -> Result<()> {
        crash::point();
        disk::remove_file(&layout.recovery())
    }
}
