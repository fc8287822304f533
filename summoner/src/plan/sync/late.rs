//! Whether a copy is missing for longer than its schedule allows: what makes `status` red.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::name::InstanceId;
use crate::plan::schedule::{Clock, JobSpec};
use crate::plan::snapshot::{Snapshot, SnapshotId};

/// A copy may take this long, at least, before anybody worries.
const LEAST_GRACE: TimeDelta = TimeDelta::hours(1);
/// And this long when no job catches up: then only the backup itself carries its snapshot there.
const UNSCHEDULED: TimeDelta = TimeDelta::hours(24);

/// A snapshot whose copy is missing for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The newest good one of its instance.
    pub id: SnapshotId,
    /// The newest that is there; none at all.
    pub newest_there: Option<DateTime<Utc>>,
}

/// Whether the newest good snapshot of an instance is missing at a place although the job that catches up, `spec`, should
/// have run since, its half period of grace included.
#[must_use]
pub fn late(instance: &InstanceId, here: &[Snapshot], there: &BTreeSet<SnapshotId>, spec: Option<&JobSpec>, clock: &Clock) -> Option<Late> {
    let of = here.iter().filter(|snapshot| snapshot.manifest.id.instance == *instance && snapshot.is_good());
    let newest = of.max_by_key(|snapshot| snapshot.manifest.id.time)?;
    let id = &newest.manifest.id;
    if there.contains(id) {
        return None;
    }
    let ended_at = newest.manifest.ended_at.max(id.time);
    let deadline = spec.and_then(|spec| {
        let at = spec.times.next_after(ended_at, clock.zone)?;
        let period = spec.times.next_after(at, clock.zone)? - at;
        let start = spec.quiet.map_or(at + spec.offset, |quiet| quiet.after(at + spec.offset, clock.zone));
        Some(start + (period / 2).max(LEAST_GRACE))
    });
    let deadline = deadline.unwrap_or(ended_at + UNSCHEDULED);
    let newest_there = there.iter().filter(|there| there.instance == *instance).map(|there| there.time).max();
    (clock.now > deadline).then(|| Late { id: id.clone(), newest_there })
}
