//! The jobs that run, those that are due, and what is remembered of them.
//!
//! Owned by one loop: the daemon's, or that of `run-due`. A run is written down before it begins and after it ended,
//! so that whoever comes next knows of a run that never ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::outside::{Happened, Teller};
use super::runner::{Cancel, Runner, Setup};
use crate::config::Instance;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::minion::catalogue::Catalogue;
use crate::notify::Ended;
use crate::plan::schedule::{self, Clock, Due, JobSpec, Outcome, RunMemory};
use crate::state::runs;

/// No backup takes longer; one that does hangs.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);

/// All jobs of an installation.
pub struct Jobs<R> {
    runner: Arc<R>,
    setup: Arc<Setup>,
    specs: Vec<JobSpec>,
    memory: RunMemory,
    running: JoinSet<Result<String>>,
    tasks: HashMap<Id, JobSpec>,
    stop: watch::Sender<bool>,
    cancel: Cancel,
    listener: Box<dyn Listener>,
    teller: Teller,
    /// Runs of this process that ended, and those of them that failed.
    counts: (usize, usize),
}

/// One run that ended, by its task.
pub type Joined = std::result::Result<(Id, Result<String>), JoinError>;

/// The jobs of a setup. An instance has something to dump when its minion has a database, or dumps itself.
#[must_use]
pub fn specs(setup: &Setup) -> Vec<JobSpec> {
    schedule::jobs(&setup.config, &|instance| dumps(&setup.catalogue, instance))
}

fn dumps(catalogue: &Catalogue, instance: &Instance) -> bool {
    catalogue.get(&instance.minion).is_ok_and(|minion| !minion.databases.is_empty() || minion.dump.is_some())
}

impl<R: Runner> Jobs<R> {
    /// Reads what ran before; runs that never ended are marked, since their process is gone: the caller holds the lock.
    ///
    /// # Errors
    /// The history was written by a newer Summoner, or cannot be read.
    pub(super) async fn open(
        runner: Arc<R>,
        setup: Arc<Setup>,
        listener: Box<dyn Listener>,
        teller: Teller,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let (stop, cancel) = Cancel::new();
        let (mut memory, damaged) = runs::load(&setup.config.layout)?;
        if damaged.is_some() {
            runs::set_aside(&setup.config.layout)?;
        }
        let interrupted = memory.interrupt(now);
        let specs = specs(&setup);
        memory.meet(&specs, now);
        let (running, tasks) = (JoinSet::new(), HashMap::new());
        let mut jobs = Self { runner, setup, specs, memory, running, tasks, stop, cancel, listener, teller, counts: (0, 0) };
        if let Some(note) = damaged {
            jobs.note(&note);
        }
        for id in interrupted {
            jobs.note(&format!("{id} was interrupted; it is tried again"));
        }
        jobs.save_or_note().await;
        Ok(jobs)
    }

    /// Takes over another configuration; what runs goes on with its own.
    pub async fn adopt(&mut self, setup: Arc<Setup>, now: DateTime<Utc>) {
        self.specs = specs(&setup);
        self.setup = setup;
        if self.memory.meet(&self.specs, now) {
            self.save_or_note().await;
        }
    }

    /// The present configuration.
    #[must_use]
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The moment, for plans.
    #[must_use]
    pub fn clock(&self, now: DateTime<Utc>, started_at: Option<DateTime<Utc>>) -> Clock {
        Clock { zone: self.setup.config.zone(), now, started_at }
    }

    /// Starts what is due and has room: one job an instance, `parallel` in all. Gives how many run.
    pub async fn start_due(&mut self, clock: &Clock) -> usize {
        if self.memory.meet(&self.specs, clock.now) {
            self.save_or_note().await;
        }
        let specs = self.specs.clone();
        let most = usize::try_from(self.setup.config.parallel).unwrap_or(1);
        for due in schedule::due(&specs, &self.memory, clock) {
            let busy = self.tasks.values().any(|running| running.instance == due.spec.instance);
            if self.running.len() < most && !busy {
                self.start(&due, clock.now).await;
            }
        }
        self.running.len()
    }

    async fn start(&mut self, due: &Due<'_>, now: DateTime<Utc>) {
        let message = match (due.missed, due.attempt) {
            (0, 0) => String::new(),
            (0, attempt) => format!("retry {attempt}"),
            (1, _) => "catches up with 1 missed run".to_owned(),
            (missed, _) => format!("catches up with {missed} missed runs"),
        };
        let said = if message.is_empty() { String::new() } else { format!(" ({message})") };
        self.note(&format!("{} begins{said}", due.spec.id));
        self.memory.begin(due.spec, due.attempt, &message, now);
        self.save_or_note().await;
        self.tell(Happened::Begun(due.spec.clone()), now);
        let (runner, setup, spec, cancel) = (Arc::clone(&self.runner), Arc::clone(&self.setup), due.spec.clone(), self.cancel.clone());
        let attempt = due.attempt;
        let task = self.running.spawn(async move {
            let run = runner.run(setup, &spec, attempt, cancel);
            tokio::time::timeout(LONGEST_RUN, run)
                .await
                .unwrap_or_else(|_| Err(Error::external(format!("{} took longer than a day and was stopped", spec.id))))
        });
        self.tasks.insert(task.id(), due.spec.clone());
    }

    /// Waits for a run to end; for ever when none runs.
    pub async fn joined(&mut self) -> Joined {
        match self.running.join_next_with_id().await {
            Some(joined) => joined,
            None => std::future::pending().await,
        }
    }

    /// Writes down how a run ended.
    pub async fn ended(&mut self, joined: Joined, now: DateTime<Utc>) {
        let (task, result) = match joined {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(Error::internal("the job broke off").cause(error))),
        };
        let Some(spec) = self.tasks.remove(&task) else { return };
        let id = spec.id.clone();
        let (outcome, message) = match result {
            Ok(message) => (Outcome::Ok, message),
            Err(error) if error.kind == Kind::Interrupted || self.cancel.is_cancelled() => (Outcome::Interrupted, line(&error)),
            Err(error) => (Outcome::Failed, line(&error)),
        };
        self.counts.0 += 1;
        self.counts.1 += usize::from(outcome != Outcome::Ok);
        self.memory.end(&id, outcome, &message, now);
        self.save_or_note().await;
        let result = if outcome == Outcome::Ok { Ok(message.clone()) } else { Err(message.clone()) };
        // What was interrupted is tried again, and has neither gone well nor failed.
        if outcome != Outcome::Interrupted {
            self.tell(Happened::Ended(Ended { id: spec.id, job: spec.job, instance: spec.instance, result }), now);
        }
        if outcome == Outcome::Ok {
            self.note(&format!("{id}: ok: {message}"));
        } else {
            let said = if outcome == Outcome::Failed { message } else { format!("{}: {message}", outcome.as_str()) };
            self.listener.hear(&Event::Failed { instance: id, message: said });
        }
    }

    /// Tells what runs to stop, waits as long as `deadline`, and ends the rest by force.
    pub async fn stop(&mut self, deadline: Duration, now: impl Fn() -> DateTime<Utc>) {
        self.stop.send_replace(true);
        let until = tokio::time::Instant::now() + deadline;
        while !self.running.is_empty() {
            match tokio::time::timeout_at(until, self.joined()).await {
                Ok(joined) => self.ended(joined, now()).await,
                Err(_) => break,
            }
        }
        self.running.abort_all();
        while let Some(joined) = self.running.join_next_with_id().await {
            self.ended(joined, now()).await;
        }
    }

    /// When the next job starts.
    #[must_use]
    pub fn next(&self, clock: &Clock) -> Option<DateTime<Utc>> {
        self.specs.iter().filter_map(|spec| schedule::next(spec, &self.memory, clock)).min()
    }

    /// What runs, in words; with what comes next when nothing does.
    #[must_use]
    pub fn status(&self, clock: &Clock) -> String {
        let mut names: Vec<&str> = self.tasks.values().map(|running| running.id.as_str()).collect();
        names.sort_unstable();
        match (names.as_slice(), self.next(clock)) {
            ([], None) => "nothing is scheduled".to_owned(),
            ([], Some(next)) => format!("next job at {}", next.with_timezone(&clock.zone).format("%Y-%m-%d %H:%M")),
            (names, _) => format!("running {}", names.join(", ")),
        }
    }

    /// Runs of this process that ended, and those of them that did not succeed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.counts
    }

    /// Hands on what those outside may want to hear of.
    fn tell(&self, happened: Happened, now: DateTime<Utc>) {
        if !self.teller.tell(&self.setup, happened, now) {
            self.note("more happens than hooks and pings can be told of");
        }
    }

    /// Says something that a person should know.
    pub fn note(&self, message: &str) {
        self.listener.hear(&Event::Note { message: message.to_owned() });
    }

    /// A disk that is full stops no loop: what is not written is still known here.
    async fn save_or_note(&mut self) {
        if let Err(error) = self.save().await {
            self.note(&line(&error));
        }
    }

    /// Writes down what ran.
    pub(super) async fn save(&mut self) -> Result<()> {
        let (layout, memory) = (self.setup.config.layout.clone(), self.memory.clone());
        let saved = tokio::task::spawn_blocking(move || runs::save(&layout, &memory)).await;
        saved.map_err(|error| Error::internal("writing the history broke off").cause(error))?
    }
}

/// An error as one line: what and why.
pub(super) fn line(error: &Error) -> String {
    let cause = error.cause.as_deref().map(|cause| cause.lines().next().unwrap_or_default());
    cause.map_or_else(|| error.message.clone(), |cause| format!("{}: {cause}", error.message))
}
