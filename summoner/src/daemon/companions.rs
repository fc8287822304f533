//! Long tasks beside the jobs: each has a name, is started again when it fails, and is awaited at the end.
//!
//! Knows when, not what: a [`Companion`] says what it does and for which configurations. Another configuration ends it and
//! starts it anew. Owned by the daemon's loop, which tells what its companions say.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::jobs::line;
use super::runner::{Cancel, Setup};
use crate::error::Result;
use crate::event::{Event, Listener};

/// Before one that failed is started again; doubles with every failure.
const AGAIN: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(300);
/// One that lived for so long is healthy: its next failure is a first one.
const STEADY: Duration = Duration::from_secs(600);
/// How long one may take to put things in order when it is told to end.
const END: Duration = Duration::from_secs(10);
/// What may wait to be told; more is dropped.
const WORDS: usize = 256;

/// What a companion does, until it is told to stop.
pub type Work = Box<dyn Fn(Arc<Setup>, Cancel, Arc<dyn Listener>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// A long task.
pub struct Companion {
    /// What people call it.
    pub name: &'static str,
    /// Whether this configuration asks for it.
    pub wanted: fn(&Setup) -> bool,
    /// What it does.
    pub work: Work,
}

/// All of them, at work.
pub(super) struct Companions {
    setup: watch::Sender<Arc<Setup>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    heard: mpsc::Receiver<String>,
}

impl Companions {
    /// Starts them.
    pub(super) fn start(companions: Vec<Companion>, setup: &Arc<Setup>) -> Self {
        let (setup, told) = watch::channel(Arc::clone(setup));
        let (stop, cancel) = Cancel::new();
        let (to, heard) = mpsc::channel(WORDS);
        let task = |companion| tokio::spawn(keep(companion, told.clone(), cancel.clone(), Arc::new(Teller(to.clone()))));
        let tasks = companions.into_iter().map(task).collect();
        Self { setup, stop, tasks, heard }
    }

    /// Another configuration counts from now on.
    pub(super) fn adopt(&self, setup: &Arc<Setup>) {
        self.setup.send_replace(Arc::clone(setup));
    }

    /// Waits for the next thing that one of them says; for ever when none is left.
    pub(super) async fn said(&mut self) -> String {
        match self.heard.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }

    /// Tells all of them to end, and ends by force those that do not; gives what they said last.
    pub(super) async fn stop(mut self, deadline: Duration) -> Vec<String> {
        self.stop.send_replace(true);
        let end = Instant::now() + deadline;
        for task in &mut self.tasks {
            if tokio::time::timeout_at(end, &mut *task).await.is_err() {
                task.abort();
            }
        }
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// Hands words to the daemon's loop.
struct Teller(mpsc::Sender<String>);

impl Teller {
    fn tell(&self, message: String) {
        if self.0.try_send(message).is_err() {
            tracing::debug!("a companion says more than can be told");
        }
    }
}

impl Listener for Teller {
    fn hear(&self, event: &Event) {
        if let Event::Note { message } | Event::Progress { message, .. } = event {
            self.tell(message.clone());
        }
    }
}

/// Keeps one at work until `stop`.
async fn keep(companion: Companion, mut setup: watch::Receiver<Arc<Setup>>, stop: Cancel, teller: Arc<Teller>) {
    let mut pause = AGAIN;
    while !stop.is_cancelled() {
        let current = Arc::clone(&setup.borrow_and_update());
        if !(companion.wanted)(&current) {
            another(&mut setup, &stop).await;
            continue;
        }
        let (end, cancel) = Cancel::new();
        let began = Instant::now();
        // In a set, so that the task ends with this one whatever happens.
        let mut work = JoinSet::new();
        work.spawn((companion.work)(current, cancel, Arc::<Teller>::clone(&teller)));
        let ended = tokio::select! {
            ended = work.join_next() => ended,
            () = another(&mut setup, &stop) => {
                end.send_replace(true);
                if timeout(END, work.join_next()).await.is_err() {
                    teller.tell(format!("{} does not end, and was cut off", companion.name));
                }
                pause = AGAIN;
                continue;
            }
        };
        if began.elapsed() >= STEADY {
            pause = AGAIN;
        }
        let why = match ended {
            Some(Ok(Ok(()))) | None => "it ended by itself".to_owned(),
            Some(Ok(Err(error))) => line(&error),
            Some(Err(error)) => format!("it broke off: {error}"),
        };
        teller.tell(format!("{} is started again in {} s: {why}", companion.name, pause.as_secs()));
        tokio::select! {
            () = sleep(pause) => {}
            () = another(&mut setup, &stop) => {}
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// Returns when another configuration is there, or all is to end.
async fn another(setup: &mut watch::Receiver<Arc<Setup>>, stop: &Cancel) {
    tokio::select! {
        () = stop.cancelled() => {}
        changed = setup.changed() => if changed.is_err() {
            // Whoever could tell is gone; it has said stop before.
            stop.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::tests::Bed;
    use super::*;
    use crate::error::Error;

    #[derive(Default)]
    struct Seen {
        started: AtomicUsize,
        ended: AtomicUsize,
        at: Mutex<Vec<u64>>,
    }

    /// Fails so often at once, then stays until it is told to end.
    fn companion(seen: &Arc<Seen>, failures: usize, wanted: fn(&Setup) -> bool) -> Companion {
        let (seen, since) = (Arc::clone(seen), Instant::now());
        let work: Work = Box::new(move |_, cancel, listener| {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                seen.at.lock().unwrap().push(since.elapsed().as_secs());
                if seen.started.fetch_add(1, Ordering::SeqCst) < failures {
                    return Err(Error::external("no socket"));
                }
                listener.hear(&Event::Note { message: "at work".into() });
                cancel.cancelled().await;
                seen.ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        });
        Companion { name: "the guard", wanted, work }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_one_comes_back_later_and_later_and_is_told() {
        let (bed, seen) = (Bed::new("2026-11-21T12:00:00Z"), Arc::new(Seen::default()));
        let mut companions = Companions::start(vec![companion(&seen, 3, |_| true)], &bed.setup());
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(companions.said().await);
        }
        assert_eq!(said[0], "the guard is started again in 1 s: no socket");
        assert_eq!((said[2].as_str(), said[3].as_str()), ("the guard is started again in 4 s: no socket", "at work"));
        assert_eq!(*seen.at.lock().unwrap(), [0, 1, 3, 7]);
        assert_eq!(companions.stop(Duration::from_secs(5)).await, Vec::<String>::new());
        assert_eq!(seen.ended.load(Ordering::SeqCst), 1, "it was awaited");
    }

    #[tokio::test(start_paused = true)]
    async fn another_configuration_starts_it_anew_or_ends_it() {
        let (bed, seen) = (Bed::new("2026-11-21T12:00:00Z"), Arc::new(Seen::default()));
        let mut companions = Companions::start(vec![companion(&seen, 0, |setup| setup.config.bans.enabled)], &bed.setup());
        assert_eq!(companions.said().await, "at work");
        companions.adopt(&bed.setup());
        assert_eq!(companions.said().await, "at work");
        let mut off = bed.loaded();
        off.config.bans.enabled = false;
        companions.adopt(&Arc::new(off));
        sleep(Duration::from_secs(1)).await;
        assert_eq!((seen.started.load(Ordering::SeqCst), seen.ended.load(Ordering::SeqCst)), (2, 2));
        companions.stop(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_deaf_one_is_cut_off() {
        let bed = Bed::new("2026-11-21T12:00:00Z");
        let deaf = Companion { name: "deaf", wanted: |_| true, work: Box::new(|_, _, _| Box::pin(std::future::pending())) };
        let companions = Companions::start(vec![deaf], &bed.setup());
        sleep(Duration::from_secs(1)).await;
        let since = Instant::now();
        companions.stop(Duration::from_secs(30)).await;
        assert!(since.elapsed() <= END, "{:?}", since.elapsed());
    }
}
