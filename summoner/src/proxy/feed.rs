//! The engine's events, for as long as we work: connects again when the connection ends, with what was missed.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::docker::{Engine, Events, Happened};
use crate::error::Error;

/// How many events wait for us; more are made good by a look at everything.
const WAITING: usize = 4096;
/// The first pause before another connection; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// What comes of the engine.
pub(super) enum News {
    /// Something happened.
    Happened(Happened),
    /// The connection ended; the next one is made after a pause.
    Lost(Error),
    /// A new connection is wanted now: look at everything once it is made.
    Again,
}

enum Line {
    Open(Receiver<crate::error::Result<Happened>>, JoinHandle<()>),
    Closed(Instant),
}

/// The events of an engine.
pub(super) struct Feed<'a, E> {
    engine: &'a E,
    line: Line,
    pause: Duration,
    /// The engine's time of the last event.
    last_ns: Option<i64>,
}

impl<'a, E: Engine> Feed<'a, E> {
    /// Listens from now on, or since a time of the engine's.
    pub(super) fn new(engine: &'a E, since_ns: Option<i64>) -> Self {
        Self { engine, line: open(engine.events(since_ns)), pause: PAUSE, last_ns: since_ns }
    }

    /// The next news; may be dropped and asked for again.
    pub(super) async fn next(&mut self) -> News {
        match &mut self.line {
            Line::Open(receiver, _) => match receiver.recv().await {
                Some(Ok(happened)) => {
                    self.pause = PAUSE;
                    // The next second: the engine compares seconds and nanoseconds.
                    self.last_ns = Some(happened.at_ns.saturating_add(1));
                    News::Happened(happened)
                }
                Some(Err(error)) => self.lost(error),
                None => self.lost(Error::external("Docker ended the connection")),
            },
            Line::Closed(until) => {
                sleep_until(*until).await;
                self.line = open(self.engine.events(self.last_ns));
                News::Again
            }
        }
    }

    fn lost(&mut self, error: Error) -> News {
        if let Line::Open(_, pump) = &self.line {
            pump.abort();
        }
        self.line = Line::Closed(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        News::Lost(error)
    }
}

impl<E> Drop for Feed<'_, E> {
    fn drop(&mut self) {
        if let Line::Open(_, pump) = &self.line {
            pump.abort();
        }
    }
}

/// Reads while we are at work: the engine throws away what nobody takes from it.
fn open(mut events: Events) -> Line {
    let (sender, receiver) = channel(WAITING);
    let pump = tokio::spawn(async move {
        while let Some(item) = events.next().await {
            // Full: the line is cut, and the next one begins with a look at everything.
            if sender.try_send(item).is_err() {
                break;
            }
        }
    });
    Line::Open(receiver, pump)
}
