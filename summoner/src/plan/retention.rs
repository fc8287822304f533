//! Which snapshots of an instance stay, which go, and why.
//!
//! Pure. `forget` shows these verdicts and removes what they name. Only what was read back and found whole counts;
//! whatever is in doubt is kept. Dumps and backups are judged apart, and so is what was taken before a change.

mod slots;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::snapshot::{Kind, Purpose, Snapshot, SnapshotId};
use crate::config::Keep;

use slots::Slots;

/// A snapshot that was found faulty is kept this long after it was taken, for a person to look at.
const FAULTY_DAYS: i64 = 7;
/// What was taken before an update or a restore is kept this long.
const CHANGE_DAYS: i64 = 30;

/// Each is judged by itself: what it holds, and the change that it was taken before.
const GROUPS: [(Kind, Option<Purpose>); 6] = [
    (Kind::Dump, None),
    (Kind::Dump, Some(Purpose::PreRestore)),
    (Kind::Dump, Some(Purpose::PreUpdate)),
    (Kind::Backup, None),
    (Kind::Backup, Some(Purpose::PreRestore)),
    (Kind::Backup, Some(Purpose::PreUpdate)),
];

/// What happens to one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub id: SnapshotId,
    /// Whether it stays.
    pub keep: bool,
    /// Why, in words.
    pub reason: String,
}

/// All that is looked at of a snapshot: what another place tells of one without its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Which.
    pub id: SnapshotId,
    /// What it holds.
    pub kind: Kind,
    /// Why it was taken.
    pub purpose: Purpose,
    /// What is known of it.
    pub standing: Standing,
}

/// What is known of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was read back and found whole.
    Good,
    /// Nobody looked.
    Unverified,
    /// This is wrong with it.
    Faulty(String),
}

impl Judged {
    /// A snapshot as it is judged.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let manifest = &snapshot.manifest;
        let standing = match &snapshot.verified {
            None => Standing::Unverified,
            Some(verified) => verified.fault.clone().map_or(Standing::Good, Standing::Faulty),
        };
        Self { id: manifest.id.clone(), kind: manifest.kind, purpose: manifest.purpose, standing }
    }

    fn is_good(&self) -> bool {
        self.standing == Standing::Good
    }
}

/// Judges all snapshots of one instance; the verdicts come newest first.
#[must_use]
pub fn retention(snapshots: &[Snapshot], keep: &Keep, zone: Tz, now: DateTime<Utc>) -> Vec<Verdict> {
    let judged: Vec<Judged> = snapshots.iter().map(Judged::of).collect();
    judge(&judged, keep, zone, now)
}

/// As [`retention`], of what is known of snapshots elsewhere.
#[must_use]
pub fn judge(snapshots: &[Judged], keep: &Keep, zone: Tz, now: DateTime<Utc>) -> Vec<Verdict> {
    let (future, past): (Vec<&Judged>, Vec<&Judged>) = snapshots.iter().partition(|snapshot| time(snapshot) > now);
    let mut verdicts: Vec<Verdict> =
        future.into_iter().map(|snapshot| stays(snapshot, "its time has not come yet: the clock was wrong then, or is now")).collect();
    if past.iter().max_by_key(|snapshot| time(snapshot)).is_some_and(|newest| !newest.is_good()) {
        verdicts.extend(past.into_iter().map(untouched));
    } else {
        for (kind, change) in GROUPS {
            let mut group: Vec<&Judged> = past.iter().copied().filter(|snapshot| belongs(snapshot, kind, change)).collect();
            group.sort_by_key(|snapshot| std::cmp::Reverse(time(snapshot)));
            verdicts.extend(match change {
                None => scheduled(&group, kind, keep, zone, now),
                Some(purpose) => before_a_change(&group, purpose, now),
            });
        }
    }
    verdicts.sort_by(|a, b| b.id.cmp(&a.id));
    verdicts
}

fn belongs(snapshot: &Judged, kind: Kind, change: Option<Purpose>) -> bool {
    let before = match snapshot.purpose {
        Purpose::Asked | Purpose::Schedule => None,
        purpose @ (Purpose::PreRestore | Purpose::PreUpdate) => Some(purpose),
    };
    snapshot.kind == kind && before == change
}

/// Those that a person or the schedule asked for, newest first.
fn scheduled(group: &[&Judged], kind: Kind, keep: &Keep, zone: Tz, now: DateTime<Utc>) -> Vec<Verdict> {
    if group.first().is_some_and(|newest| !newest.is_good()) {
        return group.iter().copied().map(untouched).collect();
    }
    let what = match kind {
        Kind::Dump => "dump",
        Kind::Backup => "backup",
    };
    // At least one, whatever the file says: the newest good one is never removed.
    let most = keep.at_most.map_or(usize::MAX, |most| usize::try_from(most.max(1)).unwrap_or(usize::MAX));
    let mut slots = Slots::new(keep, zone, now);
    let mut kept = 0;
    group
        .iter()
        .map(|snapshot| {
            if !snapshot.is_good() {
                return doubtful(snapshot, now);
            }
            let mut reasons = slots.take(time(snapshot));
            if kept == 0 && reasons.is_empty() {
                reasons.push(format!("the newest good {what}"));
            }
            if reasons.is_empty() {
                return goes(snapshot, "older than all slots");
            }
            if kept >= most {
                return goes(snapshot, &format!("more than at most {most}"));
            }
            kept += 1;
            stays(snapshot, &reasons.join(", "))
        })
        .collect()
}

/// One that does not count; a newer good one is there.
fn doubtful(snapshot: &Judged, now: DateTime<Utc>) -> Verdict {
    match &snapshot.standing {
        Standing::Good | Standing::Unverified => goes(snapshot, "never verified, and a newer good one is there"),
        Standing::Faulty(fault) if now - time(snapshot) < TimeDelta::days(FAULTY_DAYS) => {
            stays(snapshot, &format!("faulty, kept {FAULTY_DAYS} days to look at: {fault}"))
        }
        Standing::Faulty(_) => goes(snapshot, &format!("faulty, older than {FAULTY_DAYS} days, and a newer good one is there")),
    }
}

/// Those before a change, newest first: a month each, and always the newest, and the newest good one.
fn before_a_change(group: &[&Judged], purpose: Purpose, now: DateTime<Utc>) -> Vec<Verdict> {
    let what = if purpose == Purpose::PreUpdate { "an update" } else { "a restore" };
    let newest_good = group.iter().find(|snapshot| snapshot.is_good()).map(|snapshot| time(snapshot));
    group
        .iter()
        .enumerate()
        .map(|(at, snapshot)| {
            if at == 0 {
                stays(snapshot, &format!("the newest before {what}"))
            } else if Some(time(snapshot)) == newest_good {
                stays(snapshot, &format!("the newest good one before {what}"))
            } else if now - time(snapshot) < TimeDelta::days(CHANGE_DAYS) {
                stays(snapshot, &format!("before {what}, within {CHANGE_DAYS} days"))
            } else {
                goes(snapshot, &format!("before {what}, older than {CHANGE_DAYS} days"))
            }
        })
        .collect()
}

fn untouched(snapshot: &Judged) -> Verdict {
    stays(snapshot, "the newest is not verified: nothing is forgotten")
}

fn time(snapshot: &Judged) -> DateTime<Utc> {
    snapshot.id.time
}

fn stays(snapshot: &Judged, reason: &str) -> Verdict {
    Verdict { id: snapshot.id.clone(), keep: true, reason: reason.to_owned() }
}

fn goes(snapshot: &Judged, reason: &str) -> Verdict {
    Verdict { id: snapshot.id.clone(), keep: false, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
