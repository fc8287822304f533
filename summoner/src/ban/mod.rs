//! The guard: hears who fails to sign in, locks out as `plan::ban` decides, and tells nginx.
//!
//! Owned as a task by the daemon and by `summoner proxy`: [`Guard::run`]. Its words reach nginx as a file beside the
//! configuration, which nginx itself reads: nothing is lost when either of both restarts, and bans hold while the guard is
//! absent. `summoner bans` changes the same files; the guard takes that over within half a second.

mod failures;
mod listen;
mod reload;
pub mod sources;
pub mod store;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::listen::Socket;
pub use self::reload::InContainer;
use self::sources::Source;
use self::store::{SelfTest, Stamp, Stored};
use crate::config::Bans;
use crate::docker::Engine;
use crate::docker::engine::Docker;
use crate::doctor::own_addresses;
use crate::error::{Error, Kind, Result};
use crate::event::{Event as Told, Listener};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::plan::ban::{Ban, Book, Event, Ground, Proof, Subject, Verdict, line};

/// How often the guard looks whether another process changed the list.
const LOOK: Duration = Duration::from_millis(500);
/// Two changes of the list are at least this far apart: the first is written at once, a flood of them in batches.
const WRITE: Duration = Duration::from_millis(250);
/// Two reloads of an nginx without njs are at least this far apart.
const RELOAD: Duration = Duration::from_secs(10);
/// How often networks are looked at again, and what has no meaning any more is forgotten.
const TIDY: Duration = Duration::from_secs(60);
/// A self-test that says the same is written down this often.
const TEST: Duration = Duration::from_secs(600);
/// Failed sign-ins that are no ban yet are written down this long after the first of them: a kill forgives no more.
const FAILURES: Duration = Duration::from_secs(5);
/// After a failed write or reload.
const AGAIN: Duration = Duration::from_secs(10);
/// Events of applications' logs that may wait.
const QUEUE: usize = 1024;
/// How long another process may hold the list.
const LOCK: Duration = Duration::from_secs(5);
/// How long the engine may take to name its networks.
const ENGINE: Duration = Duration::from_secs(10);

/// How an nginx without njs is told that its list changed; [`guard::Means`](crate::plan::route::guard::Means) says which
/// kind it is.
pub trait Reload: Send + Sync {
    /// Loads the configuration that the link names.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;
}

/// What the guard needs.
pub struct Setup {
    /// Where its files lie; nginx must see the folder [`Layout::nginx`].
    pub layout: Layout,
    /// `bans:` of config.yml.
    pub policy: Bans,
    /// Proxies in front of this one, whose word nginx believes (`proxy.trusted`).
    pub trusted: Vec<IpNet>,
    /// Applications' logs: [`sources::sources`].
    pub sources: Vec<Source>,
    /// Follows containers' logs; without it only files are.
    pub docker: Option<Docker>,
    /// Set where nginx has no njs.
    pub reload: Option<Arc<dyn Reload>>,
}

/// The addresses of this machine, and the gateways of the engine's networks. None when either is not known: then a
/// gateway could not be told from a client.
pub async fn ground<E: Engine>(engine: &E, trusted: &[IpNet]) -> Ground {
    let own = tokio::task::spawn_blocking(|| own_addresses::read().all().to_vec()).await.unwrap_or_default();
    let networks = tokio::time::timeout(ENGINE, engine.networks()).await;
    let own = match networks {
        Ok(Ok(networks)) if !own.is_empty() => {
            let subnets = networks.iter().flat_map(|network| &network.subnets).filter_map(|subnet| subnet.parse::<IpNet>().ok());
            // Docker gives a bridge the first address unless somebody says otherwise; ours never do.
            let gateways = subnets.filter_map(|subnet| subnet.hosts().next());
            Some(own.into_iter().chain(gateways).map(|address| address.to_canonical()).collect::<BTreeSet<IpAddr>>())
        }
        _ => None,
    };
    Ground { own, trusted: trusted.to_vec() }
}

/// Sees to it that nginx's lists are there: an nginx without njs does not start without its own. Keeps what holds.
///
/// # Errors
/// The disk refuses, or a newer Summoner wrote the list.
pub async fn prepare(layout: &Layout, now: DateTime<Utc>) -> Result<()> {
    let _lock = locked(layout, "bans", now).await?;
    let layout = layout.clone();
    blocking(move || {
        crate::disk::ensure_own_folder(&layout.nginx(), 0o755, None)?;
        let (stored, _) = store::read(&layout)?;
        store::lists(&layout, &stored.bans, now).map(|_| ())
    })
    .await
}

/// Changes the list from a command: reads it under the lock, lets `change` decide, and writes what came of it.
///
/// # Errors
/// The disk refuses, a newer Summoner wrote the list, or `change` does.
pub async fn change<T: Send + 'static>(
    layout: &Layout,
    policy: &Bans,
    now: DateTime<Utc>,
    change: impl FnOnce(&mut Book) -> Result<T> + Send + 'static,
) -> Result<T> {
    let _lock = locked(layout, "bans", now).await?;
    let (layout, policy) = (layout.clone(), policy.clone());
    blocking(move || {
        let (stored, _) = store::read(&layout)?;
        let mut book = Book::with(stored.bans, &policy, now);
        let outcome = change(&mut book)?;
        store::write(&layout, &Stored { bans: book.bans().cloned().collect(), test: stored.test }, now)?;
        Ok(outcome)
    })
    .await
}

async fn locked(layout: &Layout, who: &str, now: DateTime<Utc>) -> Result<Lock> {
    let taken = tokio::time::timeout(LOCK, Lock::take_bans(layout, who, now)).await;
    taken.map_err(|_| Error::new(Kind::Locked, format!("another process has held {} for too long", layout.bans_lock().display())))?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("writing the list of bans was cut off").cause(error))?
}

/// One guard at work.
pub struct Guard<'a, E, N> {
    setup: Setup,
    engine: &'a E,
    listener: &'a dyn Listener,
    now: N,
    book: Book,
    ground: Ground,
    proof: Proof,
    /// What the file said when both sides last knew the same.
    known: BTreeSet<Subject>,
    stamp: Option<Stamp>,
    test: Option<SelfTest>,
    /// Something is to be written, at this moment.
    write_at: Option<Instant>,
    written: Option<Instant>,
    /// Failed sign-ins are to be written, at this moment.
    failures_at: Option<Instant>,
    reload_at: Option<Instant>,
    reloaded: Option<Instant>,
    /// The end of the next ban in a list that nginx cannot read by itself.
    next_end: Option<DateTime<Utc>>,
    /// A failure that was told already.
    complaint: Option<String>,
}

impl<'a, E: Engine, N: Fn() -> DateTime<Utc>> Guard<'a, E, N> {
    /// Works until `stopped`; what is to be written by then is written.
    ///
    /// # Errors
    /// The socket cannot be opened, or the list was written by a newer Summoner. Later failures are told and tried again.
    pub async fn run(setup: Setup, engine: &'a E, listener: &'a dyn Listener, now: N, stopped: impl Future<Output = ()>) -> Result<()> {
        let mut guard = Guard {
            ground: ground(engine, &setup.trusted).await,
            setup,
            engine,
            listener,
            now,
            book: Book::default(),
            proof: Proof::default(),
            known: BTreeSet::new(),
            stamp: None,
            test: None,
            write_at: None,
            written: None,
            failures_at: None,
            reload_at: None,
            reloaded: None,
            next_end: None,
            complaint: None,
        };
        prepare(&guard.setup.layout, (guard.now)()).await?;
        guard.load().await?;
        guard.recall().await;
        let mut socket = Socket::open(&guard.setup.layout)?;
        let (to, mut events) = mpsc::channel(QUEUE);
        let mut tails = JoinSet::new();
        for source in std::mem::take(&mut guard.setup.sources) {
            tails.spawn(sources::follow(source, guard.setup.docker.clone(), to.clone()));
        }
        // The loop ends with `stopped`, not when the last log does.
        let outcome = guard.stay(&mut socket, &mut events, stopped).await;
        drop(to);
        tails.shutdown().await;
        if guard.write_at.is_some() {
            guard.save().await?;
        }
        if guard.failures_at.is_some() {
            guard.save_failures().await?;
        }
        outcome
    }

    async fn stay(&mut self, socket: &mut Socket, events: &mut mpsc::Receiver<Event>, stopped: impl Future<Output = ()>) -> Result<()> {
        tokio::pin!(stopped);
        let mut look = tokio::time::interval(LOOK);
        let mut tidy = tokio::time::interval(TIDY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.write_at.into_iter().chain(self.reload_at).chain(self.failures_at).min();
            tokio::select! {
                () = &mut stopped => return Ok(()),
                () = sleep_until(due) => self.act().await,
                _ = look.tick() => self.look().await,
                _ = tidy.tick() => {
                    self.tidy().await;
                    // Somebody swept the folder: nginx would speak to nobody.
                    if !self.setup.layout.nginx_sign_ins().exists() {
                        *socket = Socket::open(&self.setup.layout)?;
                    }
                }
                datagram = socket.hear() => {
                    let read = line::read(datagram?);
                    if let Some((address, event)) = read {
                        if self.proof.hear(&self.ground, address) {
                            self.note_test();
                        }
                        if let Some(event) = event {
                            self.hear(&event);
                        }
                    }
                }
                Some(event) = events.recv() => self.hear(&event),
            }
        }
    }

    fn hear(&mut self, event: &Event) {
        let now = (self.now)();
        let verdict = self.book.hear(&self.setup.policy, &self.ground, event, now);
        if matches!(verdict, Verdict::Counted { .. } | Verdict::Reset | Verdict::Banned(_)) {
            self.failures_at.get_or_insert_with(|| Instant::now() + FAILURES);
        }
        if let Verdict::Banned(ban) = verdict {
            let Ban { subject, until, level, reason, instance, .. } = &ban;
            let message = format!("{subject} is locked out until {} (level {level}): {reason} at {instance}", until.format("%F %T UTC"));
            self.listener.hear(&Told::Note { message });
            self.plan_write();
        }
    }

    /// At once, or a little later when something was just written.
    fn plan_write(&mut self) {
        let now = Instant::now();
        let earliest = self.written.map_or(now, |written| (written + WRITE).max(now));
        self.write_at = Some(self.write_at.map_or(earliest, |at| at.min(earliest)));
    }

    fn plan_reload(&mut self) {
        if self.setup.reload.is_some() {
            let now = Instant::now();
            let earliest = self.reloaded.map_or(now, |reloaded| (reloaded + RELOAD).max(now));
            self.reload_at = Some(self.reload_at.map_or(earliest, |at| at.min(earliest)));
        }
    }

    fn note_test(&mut self) {
        let verdict = self.proof.verdict(&self.ground);
        let now = (self.now)();
        let young = |test: &SelfTest| (now - test.at).to_std().is_ok_and(|age| age < TEST);
        let same = self.test.as_ref().is_some_and(|test| test.verdict == verdict && (test.proof == self.proof || young(test)));
        if !same {
            self.test = Some(SelfTest { verdict, proof: self.proof.clone(), at: now });
            self.plan_write();
        }
    }

    async fn act(&mut self) {
        let now = Instant::now();
        if self.write_at.is_some_and(|at| at <= now) {
            self.write_at = None;
            let saved = self.save().await;
            self.written = Some(Instant::now());
            if saved.is_err() {
                self.write_at = Some(Instant::now() + AGAIN);
            }
            self.complain(saved);
        }
        if self.failures_at.is_some_and(|at| at <= now) {
            self.failures_at = None;
            let saved = self.save_failures().await;
            if saved.is_err() {
                self.failures_at = Some(Instant::now() + AGAIN);
            }
            self.complain(saved);
        }
        if self.reload_at.is_some_and(|at| at <= now)
            && let Some(reload) = self.setup.reload.clone()
        {
            self.reload_at = None;
            let outcome = reload.reload().await;
            self.reloaded = Some(Instant::now());
            if outcome.is_err() {
                self.reload_at = Some(Instant::now() + AGAIN);
            }
            self.complain(outcome);
        }
    }

    /// Another process may have lifted or added; and bans end, which an nginx without njs must be told.
    async fn look(&mut self) {
        let outcome = match store::stamp(&self.setup.layout) {
            Ok(stamp) if stamp == self.stamp => Ok(()),
            Ok(_) => self.load().await,
            Err(error) => Err(error),
        };
        self.complain(outcome);
        if self.setup.reload.is_some() && self.next_end.is_some_and(|end| end <= (self.now)()) {
            self.next_end = None;
            self.plan_write();
        }
    }

    async fn tidy(&mut self) {
        self.ground = ground(self.engine, &self.setup.trusted).await;
        self.note_test();
        if self.book.tidy(&self.setup.policy, (self.now)()) {
            self.plan_write();
        }
    }

    /// Takes over what the file says.
    async fn load(&mut self) -> Result<()> {
        let layout = self.setup.layout.clone();
        let (stamp, (stored, damaged)) = blocking(move || Ok((store::stamp(&layout)?, store::read(&layout)?))).await?;
        self.adopt(stored, stamp);
        if let Some(message) = damaged {
            self.listener.hear(&Told::Note { message });
        }
        self.plan_reload();
        Ok(())
    }

    fn adopt(&mut self, stored: Stored, stamp: Option<Stamp>) {
        let now = (self.now)();
        let theirs = Book::with(stored.bans, &self.setup.policy, now);
        let told: BTreeSet<Subject> = theirs.bans().map(|ban| ban.subject).collect();
        self.book.adopt(theirs, &self.known);
        self.known = told;
        self.stamp = stamp;
        if self.test.is_none()
            && let Some(test) = stored.test
        {
            // What was seen before a restart was seen: the numbers go on.
            self.proof = test.proof.clone();
            self.test = Some(test);
        }
    }

    /// Writes what is held, with what another process did in the meantime.
    async fn save(&mut self) -> Result<()> {
        let now = (self.now)();
        let _lock = locked(&self.setup.layout, "the guard", now).await?;
        if store::stamp(&self.setup.layout)? != self.stamp {
            self.load().await?;
        }
        let bans: Vec<Ban> = self.book.bans().cloned().collect();
        self.known = bans.iter().map(|ban| ban.subject).collect();
        self.next_end = bans.iter().map(|ban| ban.until).filter(|until| *until > now).min();
        let layout = self.setup.layout.clone();
        let stored = Stored { bans, test: self.test.clone() };
        let (stamp, changed) = blocking(move || {
            let changed = store::write(&layout, &stored, now)?;
            Ok((store::stamp(&layout)?, changed))
        })
        .await?;
        self.stamp = stamp;
        if changed {
            self.plan_reload();
        }
        Ok(())
    }

    async fn save_failures(&self) -> Result<()> {
        let (layout, failures) = (self.setup.layout.clone(), self.book.failures());
        blocking(move || failures::write(&layout, &failures)).await
    }

    /// Takes up what was counted before a restart; what cannot be read is told, and keeps nobody from counting.
    async fn recall(&mut self) {
        let layout = self.setup.layout.clone();
        match blocking(move || failures::read(&layout)).await {
            Ok((failures, damaged)) => {
                self.book.recall(failures, &self.setup.policy, (self.now)());
                damaged.into_iter().for_each(|message| self.listener.hear(&Told::Note { message }));
            }
            Err(error) => self.complain(Err(error)),
        }
    }

    /// Tells a failure once, until something else happens.
    fn complain(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else {
            self.complaint = None;
            return;
        };
        let message = format!("the guard goes on, but {}", error.message);
        if self.complaint.as_ref() != Some(&message) {
            self.listener.hear(&Told::Note { message: message.clone() });
            self.complaint = Some(message);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
