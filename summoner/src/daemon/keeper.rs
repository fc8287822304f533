//! Keeps routes live between installs: hears what happens at the engine and has `apply::front` look again.
//!
//! A companion of the daemon. An event means *look*, never *do this*; whoever holds the host's lock goes first.

use std::sync::Arc;

use tokio::time::Instant;

use super::clock;
use super::companions::Companion;
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

/// Keeps the routes of an installation live.
#[must_use]
pub fn companion() -> Companion {
    Companion {
        name: "the keeper of routes",
        wanted: |_| true,
        work: Box::new(|setup, cancel, listener| Box::pin(async move { keep(setup, cancel, &*listener).await })),
    }
}

async fn keep(setup: Arc<Setup>, cancel: Cancel, listener: &dyn Listener) -> Result<()> {
    let engine = Docker::connect().await?;
    let mut keeper =
        Keeper { engine: &engine, setup, listener, front: Front::default(), again: false, stamp: None, failure: String::new() };
    follow(&engine, &mut keeper, &[], cancel.cancelled()).await
}

/// What the loop of events calls.
struct Keeper<'a, E> {
    engine: &'a E,
    setup: Arc<Setup>,
    listener: &'a dyn Listener,
    front: Front,
    /// Another command was at work, or the last look failed.
    again: bool,
    /// The owner's files and certificates, when they were looked at.
    stamp: Option<Stamp>,
    failure: String,
}

impl<E: Engine> Serve for Keeper<'_, E> {
    async fn serve(&mut self, _: &[Asking], _: bool, _: Instant) -> Result<()> {
        let setup = Arc::clone(&self.setup);
        self.stamp = Some(Folders::of(&setup.config.layout).stamp()?);
        let world = World {
            engine: self.engine,
            config: &setup.config,
            catalogue: &setup.catalogue,
            listener: self.listener,
            now: clock::now(),
            restored: false,
        };
        self.again = self.front.keep(&world).await? == Kept::Busy;
        self.failure.clear();
        Ok(())
    }

    async fn changed(&mut self) -> Result<bool> {
        if self.again {
            return Ok(true);
        }
        let layout = &self.setup.config.layout;
        // The link is followed: a generation that somebody removed is no folder any more.
        let gone = layout.nginx_current().is_symlink() && !layout.nginx_current().is_dir();
        Ok(gone || self.stamp != Some(Folders::of(layout).stamp()?))
    }

    fn concerns(&mut self, happened: &Happened) -> bool {
        happened.name == self.setup.config.proxy_instance.id.to_string()
    }

    /// Certificates come by the scheduled look, which has the proxy load them itself.
    async fn woken(&mut self) {
        std::future::pending::<()>().await;
    }

    fn ready(&mut self) {}

    fn failed(&mut self, error: &Error) {
        let said = line(error);
        // Said once, however often it is tried.
        if said != self.failure {
            self.listener.hear(&Event::Note { message: format!("routes: {said}; it is tried again") });
            self.failure = said;
        }
    }
}
