//! What this host remembers of another place: what was proven there and no `parts.json` says yet, and which snapshots lay
//! there at the last look.
//!
//! Pure. A memory that is lost costs reading or sending again, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Part, There};
use crate::name::InstanceId;
use crate::plan::snapshot::SnapshotId;

/// The newest form of a memory that this Summoner reads and writes.
pub const VERSION: u32 = 1;

/// What is remembered of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Form of the file.
    pub version: u32,
    /// The id of the repository there: another one, or none, is a disk that is not mounted.
    #[serde(default)]
    pub repository: Option<String>,
    /// Snapshots that are whole there.
    #[serde(default)]
    pub snapshots: BTreeSet<SnapshotId>,
    /// What was sent and read back, and belongs to no finished copy yet.
    #[serde(default)]
    pub sent: BTreeMap<String, Proof>,
    /// What was sent and not read back yet: a place that may only be added to takes no second one of that name.
    #[serde(default)]
    pub begun: BTreeMap<String, Proof>,
    /// What was found to be other than it was sent: it is sent again.
    #[serde(default)]
    pub broken: BTreeSet<String>,
    /// Records of the installation that were sent from here, by their times.
    #[serde(default)]
    pub records: BTreeMap<String, Vec<Part>>,
}

/// A blob as it was read back there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its size.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: String,
}

impl Memory {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// Takes over which snapshots of these instances are whole there.
    pub fn saw(&mut self, there: &[There], looked_at: &dyn Fn(&InstanceId) -> bool) {
        self.snapshots.retain(|id| !looked_at(&id.instance));
        let whole = there.iter().filter(|there| there.state == super::State::Whole);
        self.snapshots.extend(whole.map(|there| there.parts.id.clone()));
    }

    /// A blob was read back and is as it was sent.
    pub fn proven(&mut self, part: &Part) {
        self.broken.remove(&part.name);
        self.begun.remove(&part.name);
        self.sent.insert(part.name.clone(), Proof { bytes: part.bytes, sha256: part.sha256.clone() });
    }

    /// A copy is finished: its own parts say from now on what was proven.
    pub fn finished(&mut self, id: &SnapshotId, parts: &[Part]) {
        self.snapshots.insert(id.clone());
        for part in parts {
            self.sent.remove(&part.name);
        }
    }

    /// A blob was sent and is about to be read back.
    pub fn began(&mut self, part: &Part) {
        self.begun.insert(part.name.clone(), Proof { bytes: part.bytes, sha256: part.sha256.clone() });
    }

    /// What is remembered of a blob that was read back.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<Part> {
        self.sent.get(name).map(|proof| proof.part(name))
    }

    /// What is remembered of a blob that was sent.
    #[must_use]
    pub fn unproven(&self, name: &str) -> Option<Part> {
        self.begun.get(name).map(|proof| proof.part(name))
    }
}

impl Proof {
    fn part(&self, name: &str) -> Part {
        Part { name: name.to_owned(), bytes: self.bytes, sha256: self.sha256.clone() }
    }
}
