//! `summoner schedule`

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::daemon::jobs;
use crate::daemon::runner::Setup;
use crate::error::Result;
use crate::plan::schedule::{Clock, JobSpec, Run, RunMemory, next};
use crate::state::runs;

/// Show the scheduled jobs, when each runs next, and how it ended last
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    jobs: Vec<JobJson<'a>>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    id: &'a str,
    job: &'static str,
    instance: Option<String>,
    cron: &'a str,
    next_at: Option<String>,
    last: Option<RunJson<'a>>,
}

#[derive(Serialize)]
struct RunJson<'a> {
    at: String,
    result: &'static str,
    message: &'a str,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let setup = Setup { config: loaded.config, catalogue: loaded.catalogue };
    let (mut memory, damaged) = runs::load(&setup.config.layout)?;
    if let Some(note) = damaged {
        context.note(&note);
    }
    let specs = jobs::specs(&setup);
    // Only looked at: whoever runs jobs writes it down.
    memory.meet(&specs, context.now);
    let clock = Clock { zone: setup.config.zone(), now: context.now, started_at: None };
    if args.json {
        let jobs = specs.iter().map(|spec| describe(spec, &memory, &clock)).collect();
        show::json(&Json { version: JSON_VERSION, jobs })?;
        return Ok(0);
    }
    if specs.is_empty() {
        context.note("nothing is scheduled: every job of every app is set to never");
    } else {
        let rows: Vec<Vec<String>> = specs.iter().map(|spec| row(spec, &memory, &clock)).collect();
        show::text(&show::table(&["JOB", "INSTANCE", "WHEN", "NEXT", "LAST"], &rows))?;
    }
    Ok(0)
}

fn describe<'a>(spec: &'a JobSpec, memory: &'a RunMemory, clock: &Clock) -> JobJson<'a> {
    let last = last(spec, memory).map(|run| RunJson { at: time(run.at), result: run.result.as_str(), message: &run.message });
    JobJson {
        id: &spec.id,
        job: spec.job.as_str(),
        instance: spec.instance.as_ref().map(ToString::to_string),
        cron: &spec.cron,
        next_at: next(spec, memory, clock).map(time),
        last,
    }
}

fn row(spec: &JobSpec, memory: &RunMemory, clock: &Clock) -> Vec<String> {
    let local = |at: DateTime<Utc>| at.with_timezone(&clock.zone).format("%Y-%m-%d %H:%M").to_string();
    let last = last(spec, memory)
        .map_or_else(|| "never".to_owned(), |run| format!("{}, {}", run.result.as_str(), age(clock.now - run.ended_at.unwrap_or(run.at))));
    let instance = spec.instance.as_ref().map(ToString::to_string).unwrap_or_default();
    let next = next(spec, memory, clock).map_or_else(|| "at the next start".to_owned(), local);
    vec![spec.job.as_str().to_owned(), instance, spec.cron.clone(), next, last]
}

fn last<'a>(spec: &JobSpec, memory: &'a RunMemory) -> Option<&'a Run> {
    memory.history(&spec.id)?.last()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn age(age: TimeDelta) -> String {
    let minutes = age.num_minutes();
    match minutes {
        ..0 => "in the future".to_owned(),
        0 => "just now".to_owned(),
        1..120 => format!("{minutes} min ago"),
        120..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let said = [-5, 0, 90, 7000, 100_000, 400_000].map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(said, ["just now", "just now", "1 min ago", "116 min ago", "27 h ago", "4 days ago"]);
        assert_eq!(age(TimeDelta::minutes(-2)), "in the future");
    }
}
