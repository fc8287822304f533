//! Keeps routes live between installs: hears what happens at the engine and has `apply::front` look again.
//!
//! A task beside the jobs. An event means *look*, never *do this*; whoever holds the host's lock goes first. Started by
//! `super::program`, owned by `super::front`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clock;
use super::jobs::line;
use super::runner::{Cancel, Setup};
use crate::apply::World;
use crate::apply::front::{Front, Kept};
use crate::docker::engine::Docker;
use crate::docker::{Engine, Happened};
use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use crate::nginx::files::{Folders, Stamp};
use crate::plan::route::resolve::Asking;
use crate::proxy::{Serve, watch as follow};

/// After an engine that is not there; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Says what happens on the daemon's own log; what nobody takes in time is lost there, never waited for.
#[derive(Clone)]
struct Notes(mpsc::Sender<String>);

impl Notes {
    fn say(&self, message: String) {
        // Full, or the daemon is going down.
        let said = self.0.try_send(message);
        tracing::debug!(?said, "a note of the routes");
    }
}

impl Listener for Notes {
    fn hear(&self, event: &Event) {
        match event {
            Event::Note { message } => self.say(message.clone()),
            Event::Failed { instance, message } => self.say(format!("{instance}: {message}")),
            Event::Begin { .. } | Event::Progress { .. } | Event::Ready { .. } => {}
        }
    }
}

/// Keeps them until it is told to stop.
pub(super) async fn keep(setups: watch::Receiver<Arc<Setup>>, notes: mpsc::Sender<String>, cancel: Cancel) {
    let notes = Notes(notes);
    let mut pause = PAUSE;
    loop {
        let begun = Instant::now();
        let ended = match Docker::connect().await {
            Ok(engine) => once(&engine, setups.clone(), &notes, &cancel).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else { return };
        notes.say(format!("routes: {}", line(&error)));
        pause = if begun.elapsed() > LONGEST { PAUSE } else { (pause * 2).min(LONGEST) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return,
        }
    }
}

async fn once(engine: &Docker, setups: watch::Receiver<Arc<Setup>>, notes: &Notes, cancel: &Cancel) -> Result<()> {
    let mut keeper = Keeper::new(engine, setups, notes.clone());
    follow(engine, &mut keeper, &[], cancel.cancelled()).await
}

/// What the loop of events calls.
pub(super) struct Keeper<'a, E> {
    engine: &'a E,
    setups: watch::Receiver<Arc<Setup>>,
    notes: Notes,
    front: Front,
    /// Another command was at work, or the last look failed.
    again: bool,
    /// The owner's files and certificates, when they were looked at.
    stamp: Option<Stamp>,
    failure: String,
}

impl<'a, E: Engine> Keeper<'a, E> {
    fn new(engine: &'a E, setups: watch::Receiver<Arc<Setup>>, notes: Notes) -> Self {
        Self { engine, setups, notes, front: Front::default(), again: false, stamp: None, failure: String::new() }
    }

    fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setups.borrow())
    }

    fn proxy(&self) -> String {
        self.setup().config.proxy_instance.id.to_string()
    }
}

impl<E: Engine> Serve for Keeper<'_, E> {
    async fn serve(&mut self, _: &[Asking], _: bool, _: Instant) -> Result<()> {
        let setup = Arc::clone(&self.setups.borrow_and_update());
        self.stamp = Some(Folders::of(&setup.config.layout).stamp()?);
        let world = World {
            engine: self.engine,
            config: &setup.config,
            catalogue: &setup.catalogue,
            listener: &self.notes,
            now: clock::now(),
            restored: false,
        };
        self.again = self.front.keep(&world).await? == Kept::Busy;
        self.failure.clear();
        Ok(())
    }

    async fn changed(&mut self) -> Result<bool> {
        if self.again || self.setups.has_changed().unwrap_or(false) {
            return Ok(true);
        }
        let setup = self.setup();
        let layout = &setup.config.layout;
        // The link is followed: a generation that somebody removed is no folder any more.
        let gone = layout.nginx_current().is_symlink() && !layout.nginx_current().is_dir();
        Ok(gone || self.stamp != Some(Folders::of(layout).stamp()?))
    }

    /// Certificates are tended by the daemon itself; their files tell.
    async fn woken(&mut self) {
        std::future::pending().await
    }

    fn concerns(&self, happened: &Happened) -> bool {
        happened.name == self.proxy()
    }

    fn ready(&mut self) {}

    fn failed(&mut self, error: &Error) {
        let said = line(error);
        // Said once, however often it is tried.
        if said != self.failure {
            self.notes.say(format!("routes: {said}; it is tried again"));
            self.failure = said;
        }
    }
}
