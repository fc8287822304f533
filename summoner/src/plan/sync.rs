//! Copies of snapshots at another place: what lies there, what is missing, in which order it goes there, what may be
//! forgotten there, and why.
//!
//! Pure. `sync` looks, has this decided, and acts. A deletion here never travels: what goes there goes by that place's
//! own `keep`, judged over what lies there and what is about to.

mod late;
pub mod memory;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::retention::{Judged, Standing, Verdict, judge};
use super::snapshot::{Consistency, Kind, Purpose, Snapshot, SnapshotId};
use crate::config::Keep;
use crate::name::InstanceId;

pub use late::{Late, late};
pub use memory::Memory;

/// The newest form of `parts.json` that this Summoner reads and writes.
pub const VERSION: u32 = 1;
/// Records of the installation that are kept at a place.
pub const RECORDS: usize = 5;

/// `parts.json` of a snapshot that lies elsewhere: what it is made of there, as anybody may read it. Written when all of
/// that was read back, before the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Form of the file.
    pub version: u32,
    /// The snapshot.
    pub id: SnapshotId,
    /// The id of the repository that it was copied from.
    pub origin: String,
    /// What was taken.
    pub kind: Kind,
    /// What its artefacts are to each other.
    pub consistency: Consistency,
    /// Why it was taken.
    pub purpose: Purpose,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// When it was found whole where it was copied from.
    pub verified_at: DateTime<Utc>,
    /// When everything named here was read back at this place.
    pub copied_at: DateTime<Utc>,
    /// Everything that it holds, uncompressed.
    pub bytes_total: u64,
    /// Packs, their lists and artefacts, by name.
    pub blobs: Vec<Part>,
}

/// A blob as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its whole name.
    pub name: String,
    /// Its size there: of an encrypted one, what anybody sees.
    pub bytes: u64,
    /// SHA-256 of the same.
    pub sha256: String,
}

impl Parts {
    /// What all of it takes there; packs that it shares with others count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|part| part.bytes).sum()
    }
}

/// A snapshot at the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// What it is made of.
    pub parts: Parts,
    /// How it lies there.
    pub state: State,
}

/// How a snapshot lies at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All of it, by names and sizes.
    Whole,
    /// Something is missing or has another size: this.
    Broken(String),
    /// It has no manifest: it is on its way there, or half forgotten.
    Unfinished,
}

/// What holds at the place.
pub struct Rules<'a> {
    /// How many an instance keeps there.
    pub keep: &'a dyn Fn(&InstanceId) -> Keep,
    /// Whether a snapshot there is this host's matter.
    pub ours: &'a dyn Fn(&Parts) -> bool,
    /// Whatever lies there stays.
    pub append_only: bool,
    /// Zone of the days that `keep` counts.
    pub zone: Tz,
    /// Now.
    pub now: DateTime<Utc>,
}

/// A snapshot that is missing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub id: SnapshotId,
    /// How.
    pub reason: String,
}

/// What is to be done at one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncPlan {
    /// What is missing there, in the order in which it goes.
    pub copies: Vec<Missing>,
    /// What is forgotten there once all of its instance has arrived; none keeps.
    pub forgets: Vec<Verdict>,
}

/// Decides for one place. `here` are this repository's snapshots, `there` everything that lies at the place.
#[must_use]
pub fn sync(here: &[Snapshot], there: &[There], rules: &Rules<'_>) -> SyncPlan {
    let mut instances: BTreeSet<&InstanceId> = here.iter().map(|snapshot| &snapshot.manifest.id.instance).collect();
    let ours: Vec<&There> = there.iter().filter(|there| (rules.ours)(&there.parts)).collect();
    instances.extend(ours.iter().map(|there| &there.parts.id.instance));
    let mut ranked: Vec<(usize, Missing)> = Vec::new();
    let mut plan = SyncPlan::default();
    for instance in instances {
        let (copies, forgets) = of_instance(instance, here, &ours, rules);
        ranked.extend(copies.into_iter().enumerate());
        plan.forgets.extend(forgets);
    }
    // The newest of every instance before the second newest of any.
    ranked.sort_by(|(a, left), (b, right)| (a, &left.id.instance).cmp(&(b, &right.id.instance)));
    plan.copies = ranked.into_iter().map(|(_, missing)| missing).collect();
    plan
}

fn of_instance(instance: &InstanceId, here: &[Snapshot], there: &[&There], rules: &Rules<'_>) -> (Vec<Missing>, Vec<Verdict>) {
    let lies: BTreeMap<&SnapshotId, &There> =
        there.iter().filter(|there| there.parts.id.instance == *instance).map(|there| (&there.parts.id, *there)).collect();
    let good = here.iter().filter(|snapshot| snapshot.manifest.id.instance == *instance && snapshot.is_good());
    let mut missing: BTreeMap<&SnapshotId, Missing> = BTreeMap::new();
    let mut judged: Vec<Judged> = Vec::new();
    for snapshot in good {
        let id = &snapshot.manifest.id;
        let reason = match lies.get(id).map(|there| &there.state) {
            Some(State::Whole) => continue,
            None => "it is not there".to_owned(),
            Some(State::Unfinished) => "its copy was begun and has not ended".to_owned(),
            Some(State::Broken(why)) => format!("its copy is broken: {why}"),
        };
        missing.insert(id, Missing { id: id.clone(), reason });
        // Once it has arrived it is as good there as here.
        judged.push(Judged::of(snapshot));
    }
    let mut forgets = Vec::new();
    for (id, there) in lies.iter().filter(|(id, _)| !missing.contains_key(*id)) {
        let standing = match &there.state {
            State::Whole => Standing::Good,
            State::Broken(why) => Standing::Faulty(why.clone()),
            State::Unfinished => {
                let reason = "its copy never ended, and it is not here any more".to_owned();
                forgets.push(Verdict { id: (*id).clone(), keep: false, reason });
                continue;
            }
        };
        judged.push(Judged { id: (*id).clone(), kind: there.parts.kind, purpose: there.parts.purpose, standing });
    }
    let mut copies = Vec::new();
    // Newest first.
    for verdict in judge(&judged, &(rules.keep)(instance), rules.zone, rules.now) {
        match missing.remove(&verdict.id) {
            Some(missing) if verdict.keep => copies.push(missing),
            _ if !verdict.keep && lies.contains_key(&verdict.id) => forgets.push(verdict),
            _ => {}
        }
    }
    if rules.append_only {
        forgets.clear();
    }
    (copies, forgets)
}

#[cfg(test)]
mod tests;
