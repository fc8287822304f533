//! The loop: it alone owns what is known, and tells whoever serves when to serve what.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::feed::{Feed, News};
use super::known::{Known, Means};
use super::pace::Pace;
use crate::docker::{Engine, Happened};
use crate::error::{Error, Result};
use crate::plan::route::resolve::Asking;

/// How often everything is compared, whatever the events say.
const RESYNC: Duration = Duration::from_secs(180);
/// How often the owner's files are looked at.
const FILES: Duration = Duration::from_secs(3);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(60);

/// Serves what is asked for.
pub trait Serve: Send {
    /// Makes nginx serve this; `whole` trusts nothing that was found out before. `since` is the first change.
    fn serve(&mut self, asking: &[Asking], whole: bool, since: Instant) -> impl Future<Output = Result<()>> + Send;
    /// Whether something besides the containers changed: the owner's files, certificates.
    fn changed(&mut self) -> impl Future<Output = Result<bool>> + Send;
    /// Returns when something came that was waited for beside the loop; may be dropped and asked for again.
    fn woken(&mut self) -> impl Future<Output = ()> + Send;
    /// Whether an event is about the proxy itself.
    fn concerns(&mut self, happened: &Happened) -> bool;
    /// Everything is served for the first time.
    fn ready(&mut self);
    /// Something failed; it is tried again.
    fn failed(&mut self, error: &Error);
}

/// Stays until `stopped` and serves what containers ask for that pass these filters of the engine's. A failure of the engine or of nginx ends nothing.
///
/// # Errors
/// The first look fails: there is no engine.
pub async fn watch<E: Engine, S: Serve>(
    engine: &E,
    serve: &mut S,
    filters: &[(String, String)],
    stopped: impl Future<Output = ()>,
) -> Result<()> {
    // The engine's own time, asked before the list: what happens in between is told again.
    let since = engine.info().await?.system_time.and_then(|time| time.timestamp_nanos_opt());
    let mut feed = Feed::new(engine, since);
    let (mut known, mut pace) = (Known::new(filters), Pace::default());
    known.resync(engine).await?;
    let (mut whole, mut force, mut ready, mut pause) = (true, true, false, AGAIN);
    pace.touch(Instant::now());
    let mut resync = interval_at(Instant::now() + RESYNC, RESYNC);
    let mut files = interval_at(Instant::now() + FILES, FILES);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    files.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    tokio::pin!(stopped);
    loop {
        let due = pace.due().map(|due| due.max(not_before));
        tokio::select! {
            biased;
            () = &mut stopped => return Ok(()),
            news = feed.next() => match news {
                News::Happened(happened) => force |= hears(&mut known, &mut pace, serve, &happened),
                News::Lost(error) => serve.failed(&error),
                News::Again => {
                    whole = true;
                    resync.reset_immediately();
                }
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let since = pace.applied(Instant::now());
                let done = apply(engine, &mut known, serve, force, (whole, since)).await;
                if let Err(error) = done {
                    serve.failed(&error);
                    (force, not_before) = (true, Instant::now() + pause);
                    pause = (pause * 2).min(LONGEST);
                    pace.touch(Instant::now());
                } else {
                    (force, whole, pause) = (false, false, AGAIN);
                    if !std::mem::replace(&mut ready, true) {
                        serve.ready();
                    }
                }
            }
            () = serve.woken() => {
                force = true;
                pace.touch(Instant::now());
            }
            _ = resync.tick() => match known.resync(engine).await {
                Ok(()) => {
                    force = true;
                    pace.touch(Instant::now());
                }
                // The events' own connection says it too, and comes back with a look at everything.
                Err(error) => {
                    serve.failed(&error);
                    resync.reset_after(LONGEST.min(pause));
                    pause = (pause * 2).min(LONGEST);
                }
            },
            _ = files.tick() => match serve.changed().await {
                Ok(false) => {}
                Ok(true) => {
                    force = true;
                    pace.touch(Instant::now());
                }
                Err(error) => serve.failed(&error),
            },
        }
    }
}

/// True when it must be applied even if nobody asks for anything else.
fn hears<S: Serve>(known: &mut Known, pace: &mut Pace, serve: &mut S, happened: &Happened) -> bool {
    let now = Instant::now();
    if serve.concerns(happened) {
        pace.touch(now);
        return true;
    }
    match known.hears(happened) {
        Means::Nothing => pace.arrived(&happened.id, false, now),
        Means::Joins => pace.joins(&happened.id, now),
        Means::Change => {
            pace.arrived(&happened.id, happened.action == "start", now);
            pace.touch(now);
        }
    }
    false
}

async fn apply<E: Engine, S: Serve>(engine: &E, known: &mut Known, serve: &mut S, force: bool, how: (bool, Instant)) -> Result<()> {
    let changed = known.look(engine).await?;
    if changed || force { serve.serve(&known.asking(), how.0, how.1).await } else { Ok(()) }
}
