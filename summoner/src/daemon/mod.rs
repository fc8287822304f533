//! The daemon: one loop that owns all state, starts what is due, and lives through what happens to a machine.
//!
//! Sleeps in slices of a minute at most and looks at the wall clock again: the machine may have been suspended, or its
//! clock set. What a job does is its [`runner::Runner`]'s matter. Called by the command line.

pub mod clock;
pub mod companions;
pub mod guard;
pub mod jobs;
pub mod keeper;
pub mod look;
pub mod meter;
mod outside;
pub mod program;
pub mod runner;
mod systemd;
mod tender;
pub mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::companions::{Companion, Companions};
use self::jobs::Jobs;
use self::outside::Outside;
use self::runner::{Runner, Setup};
use self::tender::Tender;
use self::watch::Watch;
use crate::error::{Kind, Result};
use crate::event::Listener;
use crate::lock::Lock;

/// The longest sleep: within a minute of waking up, or of a new time on the clock, what is due begins.
const SLICE: Duration = Duration::from_secs(60);
/// The shortest: a second is as exact as a schedule needs.
const SHORTEST: Duration = Duration::from_secs(1);
/// A job that is told to stop has this long to start its application again. The service's `TimeoutStopSec` is longer.
const STOP_DEADLINE: Duration = Duration::from_secs(90);

/// News that wait are told within this; what does not arrive is told after the next start.
const NEWS_DEADLINE: Duration = Duration::from_secs(30);
/// Where nothing stays, a look at everything and its news are waited for.
const LOOK_DEADLINE: Duration = Duration::from_secs(180);
/// Its companions have less: what they hold is written within a second.
const COMPANIONS_DEADLINE: Duration = Duration::from_secs(15);

/// Stays until `stopped` and runs every job at its time.
///
/// # Errors
/// Another daemon holds the lock, or the history cannot be read.
pub async fn run<R: Runner>(
    runner: Arc<R>,
    setup: Arc<Setup>,
    companions: Vec<Companion>,
    mut watch: Watch,
    listener: Box<dyn Listener>,
    now: impl Fn() -> DateTime<Utc>,
    stopped: impl Future<Output = ()>,
) -> Result<()> {
    let started_at = now();
    let _lock = Lock::take_runs(&setup.config.layout, "daemon", started_at).await?;
    let mut tender = Tender::new(Arc::clone(&runner));
    let mut outside = Outside::start(Arc::clone(&runner));
    let mut jobs = Jobs::open(runner, setup, listener, outside.teller(), started_at).await?;
    let mut companions = Companions::start(companions, jobs.setup());
    systemd::ready();
    tokio::pin!(stopped);
    loop {
        match watch.look(jobs.setup()) {
            Ok(None) => {}
            Ok(Some(setup)) => {
                jobs.note(&format!("{} was edited and is taken over", setup.config.path.display()));
                jobs.adopt(setup, now()).await;
                tender.hurry();
                companions.adopt(jobs.setup());
            }
            Err(error) => jobs.note(&format!("the edited configuration is refused, the old one stays: {error}")),
        }
        let clock = jobs.clock(now(), Some(started_at));
        jobs.start_due(&clock).await;
        tender.start_due(jobs.setup());
        outside.turn(jobs.setup(), clock.now);
        systemd::alive(&jobs.status(&clock));
        let pause = pause(jobs.next(&clock), clock.now);
        tokio::select! {
            joined = jobs.joined() => jobs.ended(joined, now()).await,
            said = tender.ended() => said.iter().for_each(|said| jobs.note(said)),
            said = companions.said() => jobs.note(&said),
            said = outside.said() => jobs.note(&said),
            () = tokio::time::sleep(pause) => {}
            () = &mut stopped => break,
        }
    }
    systemd::stopping();
    companions.stop(COMPANIONS_DEADLINE).await.iter().for_each(|said| jobs.note(said));
    tender.stop(STOP_DEADLINE).await;
    jobs.stop(STOP_DEADLINE, &now).await;
    outside.stop(jobs.setup(), NEWS_DEADLINE).await.iter().for_each(|said| jobs.note(said));
    Ok(())
}

/// Until the next job, or a slice.
fn pause(next: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    let slice = systemd::watchdog().map_or(SLICE, |period| period.min(SLICE));
    // What is due and has no room begins when a run ends, which wakes the loop.
    let until = next.filter(|next| *next > now).and_then(|next| (next - now).to_std().ok()).unwrap_or(slice);
    until.clamp(SHORTEST, slice.max(SHORTEST))
}

/// Runs what is due and ends. Gives how many ran, and how many of them did not succeed; none when another runs them.
///
/// # Errors
/// The history cannot be read or written.
pub async fn run_due<R: Runner>(
    runner: Arc<R>,
    setup: Arc<Setup>,
    listener: Box<dyn Listener>,
    now: impl Fn() -> DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    stopped: impl Future<Output = ()>,
) -> Result<Option<(usize, usize)>> {
    let _lock = match Lock::take_runs(&setup.config.layout, "run-due", now()).await {
        Ok(lock) => lock,
        Err(error) if error.kind == Kind::Locked => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut tender = Tender::new(Arc::clone(&runner));
    let mut outside = Outside::start(Arc::clone(&runner));
    let mut jobs = Jobs::open(runner, setup, listener, outside.teller(), now()).await?;
    tender.start_due(jobs.setup());
    // What cannot be written down would run again at the next call, every five minutes.
    jobs.save().await?;
    tokio::pin!(stopped);
    loop {
        let clock = jobs.clock(now(), started_at);
        if jobs.start_due(&clock).await == 0 && !tender.runs() {
            outside.turn(jobs.setup(), clock.now);
            outside.finish(jobs.setup(), LOOK_DEADLINE).await.iter().for_each(|said| jobs.note(said));
            return Ok(Some(jobs.counts()));
        }
        tokio::select! {
            joined = jobs.joined() => jobs.ended(joined, now()).await,
            said = tender.ended() => said.iter().for_each(|said| jobs.note(said)),
            said = outside.said() => jobs.note(&said),
            () = &mut stopped => break,
        }
    }
    tender.stop(STOP_DEADLINE).await;
    jobs.stop(STOP_DEADLINE, &now).await;
    outside.stop(jobs.setup(), NEWS_DEADLINE).await.iter().for_each(|said| jobs.note(said));
    Ok(Some(jobs.counts()))
}

/// Returns when somebody asks the process to end: Ctrl-C, or SIGTERM.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
