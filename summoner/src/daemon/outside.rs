//! Tells those outside of what happens to jobs, beside the loop: a hook that hangs holds up no job.
//!
//! One at a time and in order, so that a switch hears of the start before the end. Owned by the loop, which says what
//! happened and when; whom to tell, and whether, is `crate::notify`'s.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::jobs;
use super::runner::{Cancel, Runner, Setup};
use crate::error::Error;
use crate::notify::{Desk, Ended};
use crate::plan::schedule::JobSpec;

/// What may wait to be told; a job a minute for half a day.
const WAITING: usize = 1024;
/// Notes for the loop that may wait; more are dropped.
const WORDS: usize = 256;
/// How often it is asked whether anything is to be said again.
const TURN: Duration = Duration::from_secs(60);
/// A look at everything takes no longer.
const LOOK: Duration = Duration::from_secs(120);

/// What happened.
pub enum Happened {
    /// A run begins.
    Begun(JobSpec),
    /// A run ended.
    Ended(Ended),
    /// Time passed.
    Turn,
    /// Nothing more will.
    End,
}

struct Message {
    setup: Arc<Setup>,
    at: DateTime<Utc>,
    happened: Happened,
}

/// Hands on what happened.
#[derive(Clone)]
pub struct Teller(mpsc::Sender<Message>);

impl Teller {
    /// False when too much waits already.
    pub(super) fn tell(&self, setup: &Arc<Setup>, happened: Happened, at: DateTime<Utc>) -> bool {
        if !Desk::is_wanted(&setup.config) {
            return true;
        }
        self.0.try_send(Message { setup: Arc::clone(setup), at, happened }).is_ok()
    }
}

/// The task that tells.
pub(super) struct Outside {
    teller: Teller,
    heard: mpsc::Receiver<String>,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    turned: Option<Instant>,
}

impl Outside {
    pub(super) fn start<R: Runner>(runner: Arc<R>) -> Self {
        let (to, from) = mpsc::channel(WAITING);
        let (say, heard) = mpsc::channel(WORDS);
        let (stop, cancel) = Cancel::new();
        let task = tokio::spawn(work(runner, from, say, cancel));
        Self { teller: Teller(to), heard, task, stop, turned: None }
    }

    pub(super) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// The loop turned: once a minute it is asked whether anything is to be said again.
    pub(super) fn turn(&mut self, setup: &Arc<Setup>, now: DateTime<Utc>) {
        if self.turned.is_none_or(|turned| turned.elapsed() >= TURN) {
            self.turned = Some(Instant::now());
            // When too much waits, the next turn does as well.
            let _later = self.teller.tell(setup, Happened::Turn, now);
        }
    }

    /// Waits for the next note; for ever when there is none.
    pub(super) async fn said(&mut self) -> String {
        match self.heard.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }

    /// Tells what waits, without looking at anything any more, and ends; gives the last notes.
    pub(super) async fn stop(self, setup: &Arc<Setup>, deadline: Duration) -> Vec<String> {
        self.stop.send_replace(true);
        self.finish(setup, deadline).await
    }

    /// Tells what waits, and ends; gives the last notes.
    pub(super) async fn finish(mut self, setup: &Arc<Setup>, deadline: Duration) -> Vec<String> {
        let until = Instant::now() + deadline;
        let end = Message { setup: Arc::clone(setup), at: DateTime::<Utc>::MIN_UTC, happened: Happened::End };
        let ended = timeout_at(until, async {
            // Whoever would hear it is gone otherwise.
            let _gone = self.teller.0.send(end).await;
            (&mut self.task).await
        });
        if ended.await.is_err() {
            self.task.abort();
        }
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

async fn work<R: Runner>(runner: Arc<R>, mut from: mpsc::Receiver<Message>, say: mpsc::Sender<String>, cancel: Cancel) {
    while let Some(Message { setup, at, happened }) = from.recv().await {
        let ids = jobs::specs(&setup).into_iter().map(|spec| spec.id).collect();
        let notes = match (happened, Desk::of(&setup.config, ids)) {
            (Happened::End, _) => return,
            (_, None) => Vec::new(),
            (Happened::Begun(spec), Some(desk)) => desk.begun(spec.job, &spec.id, spec.instance.as_ref(), at).await,
            (Happened::Ended(ended), Some(desk)) => desk.ended(&ended, at).await,
            (Happened::Turn, Some(desk)) => turn(&runner, &setup, &desk, at, &cancel).await,
        };
        for note in notes {
            if say.try_send(note).is_err() {
                tracing::debug!("those who tell others say more than can be told");
            }
        }
    }
}

async fn turn<R: Runner>(runner: &Arc<R>, setup: &Arc<Setup>, desk: &Desk, now: DateTime<Utc>, cancel: &Cancel) -> Vec<String> {
    let mut notes = Vec::new();
    if !cancel.is_cancelled() && desk.look_is_due(now).await {
        let look = timeout(LOOK, runner.look(Arc::clone(setup), cancel.clone())).await;
        let looked = look.unwrap_or_else(|_| Err(Error::external(format!("looking at everything took longer than {} s", LOOK.as_secs()))));
        // A look that was cut off by our own end says nothing.
        if cancel.is_cancelled() {
            return notes;
        }
        notes.extend(desk.looked(looked, now).await);
    }
    notes.extend(desk.remind(now).await);
    notes
}
