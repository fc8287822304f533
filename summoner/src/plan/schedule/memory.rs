//! What ran before: the last runs of each job, as `runs.json` holds them.
//!
//! Pure. Runs are begun and ended here by those who run jobs; what never ended is found at the next start.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::JobSpec;

/// The newest form of a memory that this Summoner reads and writes.
pub const VERSION: u32 = 1;
/// Runs that are remembered of each job.
const MOST_RUNS: usize = 20;
/// Clocks are set by less than this without having been wrong.
const LEEWAY: TimeDelta = TimeDelta::hours(1);
/// Longer messages are cut: the whole story is in the log.
const MOST_CHARACTERS: usize = 500;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not ended yet.
    Running,
    /// It did what it should.
    Ok,
    /// It did not.
    Failed,
    /// It was stopped, or the machine was.
    Interrupted,
}

impl Outcome {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How.
    pub result: Outcome,
    /// What a person should know.
    pub message: String,
    /// 0 at its own time, else which retry it was.
    #[serde(default)]
    pub attempt: u32,
}

/// What is remembered of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Its schedule when it was last looked at; another one counts from its change on.
    pub cron: String,
    /// Since when it is waited for.
    pub since: DateTime<Utc>,
    /// The last runs, oldest first.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// When the last run began that did what it should.
    #[serde(default)]
    pub last_success: Option<DateTime<Utc>>,
    /// Runs that ended, ever.
    #[serde(default)]
    pub ended: u64,
    /// Those of them that failed.
    #[serde(default)]
    pub failed: u64,
}

/// What is remembered of all jobs, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMemory {
    /// Form of the file.
    pub version: u32,
    /// By job id.
    #[serde(default)]
    pub jobs: BTreeMap<String, History>,
}

impl History {
    /// The last run.
    #[must_use]
    pub fn last(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// The run that has not ended.
    #[must_use]
    pub fn running(&self) -> Option<&Run> {
        self.last().filter(|run| run.result == Outcome::Running)
    }

    /// The last run that began until now; those that a wrong clock put into the future do not count. A clock that was
    /// set back a little has not made a run undone.
    #[must_use]
    pub fn last_until(&self, now: DateTime<Utc>) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.at <= now + LEEWAY)
    }
}

impl RunMemory {
    /// What is remembered of a job.
    #[must_use]
    pub fn history(&self, id: &str) -> Option<&History> {
        self.jobs.get(id)
    }

    /// Learns which jobs there are: a new one, or one with another schedule, is waited for from now on. True when
    /// there was anything to learn. Jobs that are gone stay remembered while their last run is young.
    pub fn meet(&mut self, specs: &[JobSpec], now: DateTime<Utc>) -> bool {
        let before = self.clone();
        self.version = VERSION;
        for spec in specs {
            let known = self.entry(spec, now);
            if known.cron != spec.cron || known.since > now {
                known.cron.clone_from(&spec.cron);
                known.since = now;
            }
        }
        let wanted = |id: &str| specs.iter().any(|spec| spec.id == id);
        let young = |history: &History| history.last().is_some_and(|run| now - run.at < TimeDelta::days(30));
        self.jobs.retain(|id, history| wanted(id) || young(history));
        *self != before
    }

    /// A run begins.
    pub fn begin(&mut self, spec: &JobSpec, attempt: u32, message: &str, now: DateTime<Utc>) {
        self.version = VERSION;
        let history = self.entry(spec, now);
        history.runs.push(Run { at: now, ended_at: None, result: Outcome::Running, message: short(message), attempt });
        let surplus = history.runs.len().saturating_sub(MOST_RUNS);
        history.runs.drain(..surplus);
    }

    /// The run that began last has ended.
    pub fn end(&mut self, id: &str, result: Outcome, message: &str, now: DateTime<Utc>) {
        let Some(history) = self.jobs.get_mut(id) else { return };
        let Some(run) = history.runs.last_mut().filter(|run| run.result == Outcome::Running) else { return };
        // What a run said when it began stays in front: how much it catches up with.
        run.message = if run.message.is_empty() { short(message) } else { short(&format!("{}; {message}", run.message)) };
        run.result = result;
        run.ended_at = Some(now);
        history.ended += 1;
        history.failed += u64::from(result == Outcome::Failed);
        if result == Outcome::Ok {
            history.last_success = Some(run.at);
        }
    }

    /// Runs that began and never ended, when nobody can be running them: their process was killed. Gives their ids.
    pub fn interrupt(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let running: Vec<String> = self.jobs.iter().filter(|(_, history)| history.running().is_some()).map(|(id, _)| id.clone()).collect();
        for id in &running {
            self.end(id, Outcome::Interrupted, "the program or the machine was stopped", now);
        }
        running
    }

    fn entry(&mut self, spec: &JobSpec, now: DateTime<Utc>) -> &mut History {
        let new = || History { cron: spec.cron.clone(), since: now, runs: Vec::new(), last_success: None, ended: 0, failed: 0 };
        self.jobs.entry(spec.id.clone()).or_insert_with(new)
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}
