//! Whether the newest good backup is older than its schedule allows: what makes `status` red.
//!
//! Pure. Knows what should have been stored by now, not why it was not.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::{Clock, Job, JobSpec};
use crate::name::InstanceId;

/// A run may take this long, at least, before anybody worries.
const LEAST_GRACE: TimeDelta = TimeDelta::hours(1);

/// A job whose result is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The job.
    pub id: String,
    /// When the missing one was due.
    pub expected_at: DateTime<Utc>,
    /// The newest good one; none since the installation.
    pub newest_good: Option<DateTime<Utc>>,
}

impl Overdue {
    /// As a person reads it.
    #[must_use]
    pub fn message(&self) -> String {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let newest =
            self.newest_good.map_or_else(|| "there is no good one".to_owned(), |at| format!("the newest good one is of {}", time(at)));
        format!("{} was due at {} and is missing: {newest}", self.id, time(self.expected_at))
    }
}

/// Every dump and backup that is missing. `newest_good` is asked for the newest good snapshot of an instance that holds
/// what a job makes (a backup holds its databases too), `installed_at` since when the instance is there.
#[must_use]
pub fn all_overdue(
    specs: &[JobSpec],
    newest_good: &dyn Fn(&InstanceId, Job) -> Option<DateTime<Utc>>,
    installed_at: &dyn Fn(&InstanceId) -> DateTime<Utc>,
    clock: &Clock,
) -> Vec<Overdue> {
    let stores = |spec: &&JobSpec| matches!(spec.job, Job::Dump | Job::Backup);
    let look = |spec: &JobSpec| {
        let instance = spec.instance.as_ref()?;
        overdue(newest_good(instance, spec.job), spec, installed_at(instance), clock)
    };
    specs.iter().filter(stores).filter_map(look).collect()
}

/// Whether a good one is missing: the newest is older than the period of the schedule and a grace of half a period, at
/// least an hour. Before the first one, the time counts from the installation. `at start` is never overdue.
#[must_use]
pub fn overdue(newest_good: Option<DateTime<Utc>>, spec: &JobSpec, installed_at: DateTime<Utc>, clock: &Clock) -> Option<Overdue> {
    // One from the future proves nothing about today.
    let newest_good = newest_good.filter(|at| *at <= clock.now);
    let from = newest_good.unwrap_or(installed_at);
    let expected = spec.times.next_after(from, clock.zone)?;
    let period = spec.times.next_after(expected, clock.zone)? - expected;
    let start = spec.quiet.map_or(expected + spec.offset, |quiet| quiet.after(expected + spec.offset, clock.zone));
    let deadline = start + (period / 2).max(LEAST_GRACE);
    (clock.now > deadline).then(|| Overdue { id: spec.id.clone(), expected_at: expected, newest_good })
}
