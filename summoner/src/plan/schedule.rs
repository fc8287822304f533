//! Which jobs there are, when each is next, which are due, and which backups are too old.
//!
//! Pure: what ran before comes as a [`RunMemory`], the time as a [`Clock`]. The daemon and `run-due` act on it,
//! `schedule` and `status` show it. A job is due again and again until a run of it began: nothing is lost by looking
//! twice, and however many runs were missed, one catches up with all of them.

pub mod memory;
mod overdue;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::config::quiet::Quiet;
use crate::config::schedule::Times;
use crate::config::{Backup, Config, Instance};
use crate::name::InstanceId;

pub use memory::{History, Outcome, Run, RunMemory};
pub use overdue::{Overdue, all_overdue, overdue};

/// After a failure, before the next regular time: as often and after as long.
pub const RETRIES: [TimeDelta; 3] = [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(4)];
/// What starts later than this was missed.
const LATE: TimeDelta = TimeDelta::hours(1);
/// Beyond it nobody counts what was missed.
const MOST_MISSED: u32 = 999;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Dumps the databases.
    Dump,
    /// Copies files, databases and secrets at one point.
    Backup,
    /// Reads back what is stored.
    Verify,
    /// Brings to other places what is missing there.
    Sync,
    /// Removes what is no longer wanted.
    Forget,
    /// Restores the newest backup in a throw-away place.
    Drill,
}

impl Job {
    /// All of them, in the order in which they run when due at once.
    pub const ALL: [Self; 6] = [Self::Dump, Self::Backup, Self::Verify, Self::Sync, Self::Forget, Self::Drill];

    /// Its word, also in the command line's contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Sync => "sync",
            Self::Forget => "forget",
            Self::Drill => "drill",
        }
    }

    fn times(self, backup: &Backup) -> Option<&Times> {
        match self {
            Self::Dump => backup.dump.as_ref(),
            Self::Backup => backup.cold.as_ref(),
            Self::Verify => backup.verify.as_ref(),
            Self::Sync => backup.sync.as_ref(),
            Self::Forget => backup.forget.as_ref(),
            // Without backups there is nothing to restore.
            Self::Drill => backup.drill.as_ref().filter(|_| backup.cold.is_some()),
        }
    }
}

/// One job of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// `backup ghost-a.fr`: the key of its history.
    pub id: String,
    /// What it does.
    pub job: Job,
    /// For whom; none is for the host.
    pub instance: Option<InstanceId>,
    /// When.
    pub times: Times,
    /// The same, as config.yml says it.
    pub cron: String,
    /// It always starts this much later: its share of `jitter`.
    pub offset: TimeDelta,
    /// Hours in which it does not start.
    pub quiet: Option<Quiet>,
}

/// The moment for which is decided.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Zone of the schedules.
    pub zone: Tz,
    /// Now.
    pub now: DateTime<Utc>,
    /// When the daemon, or the machine, started; none takes `at start` out.
    pub started_at: Option<DateTime<Utc>>,
}

/// A job that should run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<'a> {
    /// Which.
    pub spec: &'a JobSpec,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How many of its times passed without a run; one run catches up with all.
    pub missed: u32,
    /// 0 at its own time, else which retry it is.
    pub attempt: u32,
}

/// All jobs that config.yml asks for, in its order. `dumps` says whether an instance has anything to dump while it
/// runs; the proxy has nothing that `install` would not make again.
#[must_use]
pub fn jobs(config: &Config, dumps: &dyn Fn(&Instance) -> bool) -> Vec<JobSpec> {
    let of_instance = |instance: &'_ Instance| {
        let wanted = Job::ALL.into_iter().filter(|job| match job {
            Job::Dump => dumps(instance),
            Job::Sync => !config.repositories.is_empty(),
            Job::Backup | Job::Verify | Job::Forget | Job::Drill => true,
        });
        wanted.filter_map(|job| spec(job, instance)).collect::<Vec<_>>()
    };
    config.instances.iter().flat_map(of_instance).collect()
}

fn spec(job: Job, instance: &Instance) -> Option<JobSpec> {
    let times = job.times(&instance.backup)?.clone();
    let id = format!("{} {}", job.as_str(), instance.id);
    let offset = share(&id, instance.backup.jitter);
    Some(JobSpec { job, instance: Some(instance.id.clone()), cron: times.to_string(), times, offset, quiet: instance.backup.quiet, id })
}

/// A share of the jitter that depends on the job's id alone, in whole seconds (FNV-1a, 64 bits).
fn share(id: &str, jitter: Duration) -> TimeDelta {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The upper bits: the lower ones of two ids that differ in their last letter are alike.
    let seconds = (hash >> 32).checked_rem(jitter.as_secs()).unwrap_or(0);
    TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0))
}

/// The jobs to start now, in this order. Whether there is room for them, and no other of the same instance runs, is
/// the caller's matter.
#[must_use]
pub fn due<'a>(specs: &'a [JobSpec], memory: &RunMemory, clock: &Clock) -> Vec<Due<'a>> {
    let mut due: Vec<Due<'a>> = specs
        .iter()
        .filter_map(|spec| {
            let planned = planned(spec, memory.history(&spec.id), clock)?;
            let ready = planned.at <= clock.now;
            let missed = if ready && planned.attempt == 0 { missed(spec, planned.at, clock) } else { 0 };
            ready.then_some(Due { spec, since: planned.at, missed, attempt: planned.attempt })
        })
        .collect();
    due.sort_by(|a, b| (a.since, a.spec.job, &a.spec.id).cmp(&(b.since, b.spec.job, &b.spec.id)));
    due
}

/// When a job starts next, now included; none for `at start` until the next start.
#[must_use]
pub fn next(spec: &JobSpec, memory: &RunMemory, clock: &Clock) -> Option<DateTime<Utc>> {
    let history = memory.history(&spec.id);
    if history.is_some_and(|history| history.running().is_some()) {
        return regular(spec, clock.now, clock);
    }
    planned(spec, history, clock).map(|planned| planned.at.max(clock.now))
}

struct Planned {
    at: DateTime<Utc>,
    attempt: u32,
}

/// The first start that no run has begun for; none while it runs.
fn planned(spec: &JobSpec, history: Option<&History>, clock: &Clock) -> Option<Planned> {
    if history.is_some_and(|history| history.running().is_some()) {
        return None;
    }
    let last = history.and_then(|history| history.last_until(clock.now));
    let since = history.map_or(clock.now, |history| history.since.min(clock.now));
    let own = if spec.times.at_start() {
        clock.started_at.filter(|started| last.is_none_or(|last| last.at < *started)).map(|at| quieter(spec, at.min(clock.now), clock))
    } else {
        regular(spec, last.map_or(since, |last| last.at.max(since)), clock)
    };
    let own = own.map(|at| Planned { at, attempt: 0 });
    let retry = last.and_then(|last| retry(spec, last, clock));
    match (own, retry) {
        // When both have passed, its own time says how much was missed.
        (Some(own), Some(retry)) => Some(if own.at <= retry.at.max(clock.now) { own } else { retry }),
        (own, retry) => own.or(retry),
    }
}

fn retry(spec: &JobSpec, last: &Run, clock: &Clock) -> Option<Planned> {
    let delay = RETRIES.get(usize::try_from(last.attempt).ok()?).filter(|_| last.result != Outcome::Ok)?;
    // An end that lies ahead was written by a clock that ran ahead.
    let at = last.ended_at.unwrap_or(last.at).min(clock.now).max(last.at) + *delay;
    Some(Planned { at: quieter(spec, at, clock), attempt: last.attempt + 1 })
}

/// The first own time after a moment, its share of the jitter added, outside of quiet hours.
fn regular(spec: &JobSpec, after: DateTime<Utc>, clock: &Clock) -> Option<DateTime<Utc>> {
    let time = spec.times.next_after(after - spec.offset, clock.zone)? + spec.offset;
    Some(quieter(spec, time, clock))
}

fn quieter(spec: &JobSpec, at: DateTime<Utc>, clock: &Clock) -> DateTime<Utc> {
    // A moment that passed in quiet hours waits for their end, and one that passed before them for the present ones.
    let at = spec.quiet.map_or(at, |quiet| quiet.after(at, clock.zone));
    let quiet_now = spec.quiet.filter(|quiet| at <= clock.now && quiet.holds(clock.now, clock.zone));
    quiet_now.map_or(at, |quiet| quiet.after(clock.now, clock.zone))
}

/// How many of a job's times are so long past that nobody would call them a little late.
fn missed(spec: &JobSpec, first: DateTime<Utc>, clock: &Clock) -> u32 {
    let (mut at, mut count) = (Some(first), 0);
    while let Some(time) = at.filter(|time| *time + LATE < clock.now && count < MOST_MISSED) {
        count += 1;
        at = spec.times.next_after(time - spec.offset, clock.zone).map(|next| next + spec.offset);
    }
    count
}

#[cfg(test)]
mod tests;
