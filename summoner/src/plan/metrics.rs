//! The numbers of an installation in Prometheus' text format (exposition format 0.0.4).
//!
//! Pure: facts in, text out, byte for byte the same for the same facts. `crate::metrics` finds the facts and serves the
//! text. Names and units are Prometheus' own: seconds, bytes, `_total` for what only grows. What never happened is 0, and
//! an age without a beginning is `+Inf`, so that an alert on either fires.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::schedule::{Clock, JobSpec, Outcome, RunMemory, next};
use super::snapshot::{Kind, Snapshot};
use super::told;
use crate::name::InstanceId;

/// Everything that is shown.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Now, and the zone of schedules.
    pub clock: Clock,
    /// Version of this program.
    pub summoner: &'a str,
    /// The instances of config.yml, and whether each runs and is healthy; none when the engine does not answer.
    pub instances: Vec<(InstanceId, Option<bool>)>,
    /// Whether the engine answers.
    pub engine: bool,
    /// What the repository holds.
    pub snapshots: &'a [Snapshot],
    /// When an instance's newest snapshot that was proven by a drill was drilled.
    pub drilled: Vec<(InstanceId, Kind, DateTime<Utc>)>,
    /// Manifests that cannot be read.
    pub unreadable: usize,
    /// The jobs.
    pub specs: &'a [JobSpec],
    /// What ran.
    pub runs: &'a RunMemory,
    /// Hosts, and when their certificates end; none has none.
    pub certificates: Vec<(String, Option<DateTime<Utc>>)>,
    /// What people were told of.
    pub told: &'a told::Memory,
}

/// A value as Prometheus reads it.
enum Value {
    Whole(u64),
    /// Thousandths.
    Milli(u64),
    Infinite,
}

/// One family of samples.
struct Family<'a> {
    name: &'a str,
    kind: &'static str,
    help: &'a str,
    samples: Vec<(Vec<(&'static str, String)>, Value)>,
}

impl Family<'_> {
    fn write(self, out: &mut String) {
        let Self { name, kind, help, samples } = self;
        if samples.is_empty() {
            return;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = match value {
                Value::Whole(number) => writeln!(out, "{name}{braces} {number}"),
                Value::Milli(number) => writeln!(out, "{name}{braces} {}.{:03}", number / 1000, number % 1000),
                Value::Infinite => writeln!(out, "{name}{braces} +Inf"),
            };
        }
    }
}

/// The text.
#[must_use]
pub fn render(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let gauge = |name, help, samples| Family { name, kind: "gauge", help, samples };
    let flag = |yes: bool| Value::Whole(u64::from(yes));
    let version = vec![("version", facts.summoner.to_owned())];
    gauge("summoner_build_info", "Version of this program.", vec![(version, Value::Whole(1))]).write(&mut out);
    gauge("summoner_engine_up", "Whether the Docker Engine answers.", vec![(vec![], flag(facts.engine))]).write(&mut out);
    let up = facts.instances.iter().filter_map(|(id, up)| Some((instance(id), flag((*up)?)))).collect();
    gauge("summoner_instance_up", "Whether all containers of the instance run and none is unhealthy.", up).write(&mut out);
    backups(facts, &mut out);
    let unreadable = Value::Whole(u64::try_from(facts.unreadable).unwrap_or(u64::MAX));
    let help = "Snapshots in the repository whose manifest cannot be read.";
    gauge("summoner_repository_unreadable_snapshots", help, vec![(vec![], unreadable)]).write(&mut out);
    jobs(facts, &mut out);
    let ends = facts.certificates.iter().map(|(host, end)| (vec![("host", host.clone())], Value::Whole(seconds(*end)))).collect();
    let help = "When the certificate that is served for the host ends; 0 when there is none.";
    gauge("summoner_certificate_expiry_timestamp_seconds", help, ends).write(&mut out);
    let open = facts.told.problems.values().filter(|problem| problem.open).count();
    let open = Value::Whole(u64::try_from(open).unwrap_or(u64::MAX));
    gauge("summoner_problems", "Problems that hooks were or will be told of.", vec![(vec![], open)]).write(&mut out);
    let silent = facts.told.silent.iter();
    let silent = silent.map(|(name, silent)| (vec![("channel", name.clone())], Value::Whole(seconds(Some(silent.since))))).collect();
    let help = "Since when a hook or ping does not work; absent when it does.";
    gauge("summoner_notification_failing_since_timestamp_seconds", help, silent).write(&mut out);
    out
}

/// What an instance's snapshots of one kind tell.
struct Row<'a> {
    labels: Vec<(&'static str, String)>,
    /// The newest that was read back and found whole.
    good: Option<&'a Snapshot>,
    verified_at: Option<DateTime<Utc>>,
    drilled_at: Option<DateTime<Utc>>,
    damaged: usize,
    count: usize,
}

fn row<'a>(facts: &Facts<'a>, id: &InstanceId, kind: Kind) -> Row<'a> {
    let of = || facts.snapshots.iter().filter(|snapshot| snapshot.manifest.id.instance == *id && snapshot.manifest.kind == kind);
    let fault = |snapshot: &&Snapshot| snapshot.verified.as_ref().is_some_and(|verified| verified.fault.is_some());
    let drilled = facts.drilled.iter().filter(|(of, what, _)| of == id && *what == kind);
    let mut labels = instance(id);
    labels.push(("kind", if kind == Kind::Dump { "dump" } else { "backup" }.to_owned()));
    Row {
        labels,
        good: of().filter(|snapshot| snapshot.is_good()).max_by_key(|snapshot| snapshot.manifest.id.time),
        verified_at: of().filter(|snapshot| snapshot.is_good()).filter_map(|snapshot| Some(snapshot.verified.as_ref()?.at)).max(),
        drilled_at: drilled.map(|(_, _, at)| *at).max(),
        damaged: of().filter(fault).count(),
        count: of().count(),
    }
}

fn backups(facts: &Facts<'_>, out: &mut String) {
    // What is asked for and was never taken is shown too: its zero is the alarm.
    let scheduled = |id: &InstanceId, kind| {
        let job = if kind == Kind::Dump { super::schedule::Job::Dump } else { super::schedule::Job::Backup };
        facts.specs.iter().any(|spec| spec.job == job && spec.instance.as_ref() == Some(id))
    };
    let both = |(id, _): &(InstanceId, Option<bool>)| {
        [Kind::Dump, Kind::Backup].map(|kind| (row(facts, id, kind), scheduled(id, kind))).into_iter().collect::<Vec<_>>()
    };
    let rows: Vec<Row<'_>> =
        facts.instances.iter().flat_map(both).filter(|(row, scheduled)| *scheduled || row.count > 0).map(|(row, _)| row).collect();
    let mut family = |name: &str, help: &str, value: &dyn Fn(&Row<'_>) -> Option<Value>| {
        let samples = rows.iter().filter_map(|row| Some((row.labels.clone(), value(row)?))).collect();
        Family { name, kind: "gauge", help, samples }.write(out);
    };
    let count = |count: usize| Some(Value::Whole(u64::try_from(count).unwrap_or(u64::MAX)));
    let ended = |row: &Row<'_>| Some(Value::Whole(seconds(row.good.map(|good| good.manifest.ended_at))));
    let help = "When the newest snapshot that was read back and found whole was finished; 0 when there is none.";
    family("summoner_backup_last_success_timestamp_seconds", help, &ended);
    let help = "When a snapshot was last read back and found whole; 0 when never.";
    family("summoner_backup_last_verified_timestamp_seconds", help, &|row| Some(Value::Whole(seconds(row.verified_at))));
    let help = "When a snapshot was last restored for practice and proven; 0 when never.";
    family("summoner_backup_last_drilled_timestamp_seconds", help, &|row| Some(Value::Whole(seconds(row.drilled_at))));
    let help = "Age of the data in the newest good snapshot; +Inf when there is none.";
    family("summoner_backup_age_seconds", help, &|row| Some(age(row.good, facts.clock.now)));
    let help = "What the newest good snapshot holds, uncompressed.";
    family("summoner_backup_size_bytes", help, &|row| Some(Value::Whole(row.good?.manifest.bytes_total)));
    let help = "What the newest good snapshot added to the repository, compressed.";
    family("summoner_backup_added_bytes", help, &|row| Some(Value::Whole(row.good?.manifest.bytes_added)));
    let help = "How long taking the newest good snapshot took.";
    family("summoner_backup_duration_seconds", help, &|row| Some(Value::Milli(row.good?.manifest.duration_ms)));
    let help = "How long the application stood still for the newest good snapshot.";
    family("summoner_backup_downtime_seconds", help, &|row| row.good?.manifest.downtime_ms.map(Value::Milli));
    family("summoner_backup_snapshots", "Snapshots in the repository.", &|row| count(row.count));
    family("summoner_backup_damaged_snapshots", "Snapshots that were found damaged.", &|row| count(row.damaged));
}

fn jobs(facts: &Facts<'_>, out: &mut String) {
    let labels = |spec: &JobSpec| {
        let mut labels: Vec<_> = spec.instance.iter().flat_map(instance).collect();
        // Not `job`: that is the label of whoever scrapes.
        labels.push(("kind", spec.job.as_str().to_owned()));
        labels
    };
    let mut family = |name: &str, kind: &'static str, help: &str, value: &dyn Fn(&JobSpec) -> Option<Value>| {
        let samples = facts.specs.iter().filter_map(|spec| Some((labels(spec), value(spec)?))).collect();
        Family { name, kind, help, samples }.write(out);
    };
    let history = |spec: &JobSpec| facts.runs.history(&spec.id);
    let ended = |spec: &JobSpec| history(spec)?.runs.iter().rev().find(|run| run.result != Outcome::Running).cloned();
    family("summoner_job_runs_total", "counter", "Runs of the job that ended.", &|spec| {
        Some(Value::Whole(history(spec).map_or(0, |history| history.ended)))
    });
    family("summoner_job_failures_total", "counter", "Runs of the job that failed.", &|spec| {
        Some(Value::Whole(history(spec).map_or(0, |history| history.failed)))
    });
    family(
        "summoner_job_last_success_timestamp_seconds",
        "gauge",
        "When the last run began that did what it should; 0 when none did.",
        &|spec| Some(Value::Whole(seconds(history(spec).and_then(|history| history.last_success)))),
    );
    family("summoner_job_last_run_ok", "gauge", "Whether the last run that ended did what it should.", &|spec| {
        Some(Value::Whole(u64::from(ended(spec)?.result == Outcome::Ok)))
    });
    family("summoner_job_last_run_duration_seconds", "gauge", "How long the last run that ended took.", &|spec| {
        let run = ended(spec)?;
        Some(Value::Milli(u64::try_from((run.ended_at? - run.at).num_milliseconds()).unwrap_or(0)))
    });
    family("summoner_job_running", "gauge", "Whether the job runs.", &|spec| {
        Some(Value::Whole(u64::from(history(spec).is_some_and(|history| history.running().is_some()))))
    });
    family("summoner_job_next_run_timestamp_seconds", "gauge", "When the job starts next.", &|spec| {
        next(spec, facts.runs, &facts.clock).map(|at| Value::Whole(seconds(Some(at))))
    });
}

fn instance(id: &InstanceId) -> Vec<(&'static str, String)> {
    vec![("instance", id.to_string())]
}

/// Since 1970; 0 is never.
fn seconds(at: Option<DateTime<Utc>>) -> u64 {
    at.and_then(|at| u64::try_from(at.timestamp()).ok()).unwrap_or(0)
}

fn age(good: Option<&Snapshot>, now: DateTime<Utc>) -> Value {
    // One from the future proves nothing about today, and its age is not negative.
    good.map_or(Value::Infinite, |good| Value::Whole(u64::try_from((now - good.manifest.id.time).num_seconds()).unwrap_or(0)))
}

/// A label's value: backslash, quote and line feed are escaped, as the format says.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
