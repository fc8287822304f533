//! Makes an application stand still and lets it go on, whatever happens in between.
//!
//! The journal is on disk before the first stop; `apply::recover` ends what a killed process began.

use std::time::{Duration, Instant};

use super::Taking;
use crate::apply::{command, lifecycle};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::journal::{Doing, Entry, Journal};
use crate::name::Role;
use crate::nginx::waiting;
use crate::plan::state::Running;
use crate::plan::wanted::{ContainerWanted, InstanceWanted};
use crate::vhost::HostName;

/// The end of a process that did not obey and was killed.
const KILLED: i64 = 137;
/// How often an application is asked to go on.
const ATTEMPTS: u32 = 3;
/// What visitors are told before anything was measured.
const USUAL: Duration = Duration::from_secs(20);

/// An application that stands still.
pub(super) struct Pause<'a, E> {
    taking: &'a Taking<'a, E>,
    journal: Journal,
    /// What is to be stopped: its name, and the engine's id of it.
    standing: Vec<(String, String)>,
    since: Instant,
    /// What did not end by itself: its files are as after a power cut.
    pub(super) killed: Vec<String>,
}

/// What writes files or to databases: the application, and helpers with a folder of it.
pub(super) fn writers(instance: &InstanceWanted) -> impl Iterator<Item = &ContainerWanted> {
    let app = instance.containers.iter().find(|container| container.role == Role::App).map(|container| container.image.as_str());
    instance.containers.iter().filter(move |container| match container.role {
        Role::Database(_) => false,
        Role::App => true,
        _ => Some(container.image.as_str()) == app || container.body.volumes.iter().any(|mount| !mount.read_only && mount.source.is_some()),
    })
}

impl<'a, E: Engine> Pause<'a, E> {
    /// Asks the application to stand still, or stops it.
    ///
    /// `expected` is how long it stood still the last time: visitors are told so meanwhile.
    pub(super) async fn begin(taking: &'a Taking<'a, E>, expected: Option<Duration>) -> Result<Self> {
        let instance = taking.instance;
        let mut standing = running(taking).await?;
        let names: Vec<String> = standing.iter().map(|(name, _)| name.clone()).collect();
        let mut entry = Entry::new(instance.id.clone(), Doing::Backup, taking.world.now);
        entry.quiesced = !instance.keeping.quiesce.is_empty() && !names.is_empty();
        if entry.quiesced {
            standing.clear();
        } else {
            entry.stopped = names;
        }
        let journal = Journal::begin(taking.world.layout(), entry)?;
        announce(taking, expected.unwrap_or(USUAL));
        let mut pause = Self { taking, journal, standing, since: Instant::now(), killed: Vec::new() };
        match pause.still().await {
            Ok(()) => Ok(pause),
            Err(error) => match pause.end().await {
                Ok(_) => Err(error),
                Err(second) => Err(error.also(&second)),
            },
        }
    }

    async fn still(&mut self) -> Result<()> {
        let (instance, engine) = (self.taking.instance, self.taking.world.engine);
        if self.journal.entry().quiesced {
            self.taking.say("asking it to stand still");
            for exec in &instance.keeping.quiesce {
                command::run(engine, instance, exec).await?;
            }
            return Ok(());
        }
        for (name, id) in self.standing.iter().rev() {
            self.taking.say(format!("stopping {name}"));
            crate::apply::crash::point();
            engine.stop(id, None).await?;
            let detail = engine.inspect(id).await?.ok_or_else(|| Error::external(format!("{name} was removed while it was stopped")))?;
            if detail.exit_code == Some(KILLED) {
                self.killed.push(name.clone());
            }
        }
        Ok(())
    }

    /// How long it has stood still.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Starts what was stopped; gives how long it stood still. An error here leaves the journal, so the next command
    /// tries again.
    pub(super) async fn end(self) -> Result<Duration> {
        let Self { taking, journal, standing, since, .. } = self;
        let meddled = meddled(taking, &standing).await;
        let started = start(taking, &journal.entry().stopped).await;
        conclude(taking);
        started?;
        if journal.entry().quiesced {
            go_on(taking).await?;
        }
        let elapsed = since.elapsed();
        journal.end()?;
        meddled?;
        Ok(elapsed)
    }
}

fn hosts<E: Engine>(taking: &Taking<'_, E>) -> impl Iterator<Item = HostName> {
    taking.instance.routes.iter().map(|route| HostName::Exact(route.host.as_str().to_owned()))
}

/// Tells visitors. A page is never worth a backup, so a fault of the disk here is only told: the next write meets it too.
fn announce<E: Engine>(taking: &Taking<'_, E>, expected: Duration) {
    for host in hosts(taking) {
        let app = taking.instance.id.app.as_str();
        if let Err(error) = waiting::put(taking.world.layout(), &host, app, "is being backed up", expected) {
            tracing::warn!(%error, %host, "visitors are not told");
        }
    }
}

/// It stays until the application answers: nginx shows it only when that does not.
fn conclude<E: Engine>(taking: &Taking<'_, E>) {
    for host in hosts(taking) {
        if let Err(error) = waiting::remove(taking.world.layout(), &host) {
            tracing::warn!(%error, %host, "a page for visitors is left behind");
        }
    }
}

/// What runs now: since the backup began somebody may have stopped it, and then it stays stopped.
pub(super) async fn running<E: Engine>(taking: &Taking<'_, E>) -> Result<Vec<(String, String)>> {
    let mut running = Vec::new();
    for container in writers(taking.instance) {
        let Some(known) = taking.situation.chosen(taking.instance, container) else { continue };
        let detail = taking.world.engine.inspect(&known.id).await?;
        let detail = detail.ok_or_else(|| {
            Error::external(format!("{} was replaced while it was being backed up", container.name))
                .next(format!("summoner backup {}", taking.instance.id))
        })?;
        if matches!(detail.running, Running::Running | Running::Restarting) {
            running.push((container.name.clone(), known.id.clone()));
        }
    }
    Ok(running)
}

/// Somebody who started it in between changed what was copied.
async fn meddled<E: Engine>(taking: &Taking<'_, E>, standing: &[(String, String)]) -> Result<()> {
    for (name, id) in standing {
        let detail = taking.world.engine.inspect(id).await?;
        if detail.is_some_and(|detail| detail.running == Running::Running) {
            return Err(Error::external(format!("{name} was started by somebody else while its files were copied"))
                .next(format!("summoner backup {}", taking.instance.id)));
        }
    }
    Ok(())
}

/// An engine that hesitates is asked again: nobody else would, until the next command.
async fn start<E: Engine>(taking: &Taking<'_, E>, names: &[String]) -> Result<()> {
    let mut attempt = 1;
    while let Err(error) = lifecycle::start_these(taking.world, taking.situation, taking.instance, names).await {
        if attempt == ATTEMPTS {
            return Err(error.next(format!("summoner start {}", taking.instance.id)));
        }
        attempt += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn go_on<E: Engine>(taking: &Taking<'_, E>) -> Result<()> {
    for exec in &taking.instance.keeping.unquiesce {
        let mut attempt = 1;
        while let Err(error) = command::run(taking.world.engine, taking.instance, exec).await {
            if attempt == ATTEMPTS {
                return Err(error.next(format!("summoner restart {}", taking.instance.id)));
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(())
}
