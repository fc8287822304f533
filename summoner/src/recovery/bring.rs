//! Brings the data of every instance back, one after the other, while the next one's snapshot is already on its way.
//!
//! Each step is written down before the next: whoever comes again after a crash goes on, and nothing is done twice.

use std::collections::BTreeMap;

use futures_util::future::join;

use super::{Done, Progress, images};
use crate::apply::{World, crash};
use crate::backup::blocking;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::observe;
use crate::plan::recovery::Choice;
use crate::plan::restore::Part;
use crate::plan::snapshot::{Kind, Snapshot};
use crate::repository::Repository;
use crate::restore::{self, Restoring, kept};
use crate::state;

/// A recovery under way.
pub struct Rebuilding<'a, E> {
    /// Engine, the configuration of the record, catalogue, listener.
    pub world: &'a World<'a, E>,
    /// The place.
    pub from: &'a Repository,
    /// The host's own repository, that snapshots come to first.
    pub local: &'a Repository,
}

/// What could not be brought back, by instance: the same command tries again.
pub type Failed = BTreeMap<InstanceId, Error>;

/// A snapshot that is on this host, and what was wrong with better ones.
struct Fetched<'a> {
    snapshot: &'a Snapshot,
    /// Its place among the candidates.
    at: usize,
    says: Vec<String>,
}

/// Brings back what is not yet, and writes down how far it is. Instances that fail stop no other.
///
/// # Errors
/// What concerns the whole host: the disk, the engine.
pub async fn all<E: Engine>(rebuilding: &Rebuilding<'_, E>, choices: &[Choice], progress: &mut Progress) -> Result<Failed> {
    let world = rebuilding.world;
    for (id, done) in &progress.done {
        if done.snapshot.is_some() && kept::find(world.layout(), id)?.is_some() {
            settle(world, id).await?;
        }
    }
    proxy(rebuilding).await?;
    let open: Vec<&Choice> = choices.iter().filter(|choice| !progress.done.contains_key(&choice.instance)).collect();
    let mut failed = Failed::new();
    let mut next = match open.first() {
        Some(choice) => Some(rebuilding.fetch(choice, 0).await),
        None => None,
    };
    for (number, choice) in open.iter().enumerate() {
        let fetched = next.take().unwrap_or(Ok(None));
        let later = async {
            match open.get(number + 1) {
                Some(choice) => Some(rebuilding.fetch(choice, 0).await),
                None => None,
            }
        };
        let (done, later) = join(rebuilding.one(choice, fetched), later).await;
        next = later;
        match done {
            Ok(done) => {
                progress.done.insert(choice.instance.clone(), done);
                progress.save(world.layout())?;
                settle(world, &choice.instance).await?;
            }
            Err(error) => {
                world.tell(&Event::Failed { instance: choice.instance.to_string(), message: error.message.clone() });
                failed.insert(choice.instance.clone(), error);
            }
        }
    }
    Ok(failed)
}

/// There was nothing before the restore that anybody could want back.
async fn settle<E: Engine>(world: &World<'_, E>, id: &InstanceId) -> Result<()> {
    if kept::find(world.layout(), id)?.is_none() {
        return Ok(());
    }
    let (layout, id) = (world.layout().clone(), id.clone());
    blocking(move |_| kept::confirm(&layout, &id)).await
}

/// The proxy has no snapshot: it is made from config.yml, with the image that it ran where that can be had.
async fn proxy<E: Engine>(rebuilding: &Rebuilding<'_, E>) -> Result<()> {
    let world = rebuilding.world;
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    for says in images::keep_or_forget(world, &situation, &world.config.proxy_instance.id).await? {
        world.tell(&Event::Note { message: says });
    }
    Ok(())
}

impl<E: Engine> Rebuilding<'_, E> {
    fn say(&self, id: &InstanceId, message: impl Into<String>) {
        self.world.tell(&Event::Progress { instance: Some(id.to_string()), message: message.into() });
    }

    /// Gets the first whole snapshot from here on; None when there is none.
    async fn fetch<'c>(&self, choice: &'c Choice, from: usize) -> Result<Option<Fetched<'c>>> {
        let mut says = Vec::new();
        for (at, snapshot) in choice.candidates.iter().enumerate().skip(from) {
            let id = &snapshot.manifest.id;
            self.say(&choice.instance, format!("fetching {id}"));
            match self.bring_here(snapshot).await {
                Ok(()) => return Ok(Some(Fetched { snapshot, at, says })),
                Err(error) => match self.fault_at_place(snapshot).await {
                    Some(fault) => says.push(format!("{id} is damaged ({fault})")),
                    None => return Err(error),
                },
            }
        }
        for says in says {
            self.world.tell(&Event::Note { message: says });
        }
        Ok(None)
    }

    /// Puts a snapshot into the host's own repository.
    async fn bring_here(&self, snapshot: &Snapshot) -> Result<()> {
        if self.from.location() == self.local.location() {
            return Ok(());
        }
        let (from, local, id, now) = (self.from.clone(), self.local.clone(), snapshot.manifest.id.clone(), self.world.now);
        crash::point();
        blocking(move |cancel| local.receive(&from, &id, now, cancel)).await.map(drop)
    }

    /// What is wrong with a snapshot where it comes from; none when it is the way that failed.
    async fn fault_at_place(&self, snapshot: &Snapshot) -> Option<String> {
        let (from, id) = (self.from.clone(), snapshot.manifest.id.clone());
        // A place that does not answer says nothing about the snapshot.
        blocking(move |_| from.inspect(&id)).await.ok().flatten()
    }

    /// Restores one instance, from the best snapshot that is whole.
    async fn one(&self, choice: &Choice, fetched: Result<Option<Fetched<'_>>>) -> Result<Done> {
        let id = &choice.instance;
        let mut says = Vec::new();
        let mut fetched = fetched?;
        while let Some(found) = fetched {
            says.extend(found.says);
            let manifest = &found.snapshot.manifest;
            match self.restore(id, found.snapshot).await {
                Ok(told) => {
                    says.extend(told);
                    if !says.is_empty() {
                        says.push(format!("{id} is as it was on {}", manifest.id.time.format("%Y-%m-%d %H:%M:%S UTC")));
                    }
                    if manifest.kind == Kind::Dump {
                        says.push(format!("{id} has its database and no files: there was no whole backup"));
                    }
                    return Ok(Done { snapshot: Some(manifest.id.clone()), says });
                }
                Err(error) => match self.found_damaged(found.snapshot)? {
                    Some(fault) => says.push(format!("{} is damaged ({fault})", manifest.id)),
                    None => return Err(error),
                },
            }
            fetched = self.fetch(choice, found.at + 1).await?;
        }
        says.push(format!("{id} is new and empty: there was no good snapshot of it"));
        self.forget(id)?;
        Ok(Done { snapshot: None, says })
    }

    /// What the restore found out about a snapshot; one that could not be read back is none to rely on either.
    fn found_damaged(&self, snapshot: &Snapshot) -> Result<Option<String>> {
        let now = self.local.snapshot(&snapshot.manifest.id)?;
        Ok(now.and_then(|found| found.verified).and_then(|verified| verified.fault))
    }

    async fn restore(&self, id: &InstanceId, snapshot: &Snapshot) -> Result<Vec<String>> {
        let world = self.world;
        let name = snapshot.manifest.id.to_string();
        if kept::find(world.layout(), id)?.is_some_and(|record| record.snapshot.as_ref() == Some(&name)) {
            // It came back just before a crash, and was not written down here.
            return Ok(Vec::new());
        }
        let before = observe(world.engine, world.config, world.catalogue, world.now).await?;
        let not_there = || Error::internal(format!("{id} is in no plan"));
        let instance = before.wanted.instances.iter().find(|wanted| wanted.id == *id).ok_or_else(not_there)?;
        let says = images::lock(world, instance, &snapshot.manifest.images).await?;
        let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
        let instance = situation.wanted.instances.iter().find(|wanted| wanted.id == *id).ok_or_else(not_there)?;
        let settings = world.config.instances.iter().find(|instance| instance.id == *id).ok_or_else(not_there)?;
        let part = Part::Everything;
        let restoring =
            Restoring { world, situation: &situation, instance, settings: &settings.backup, repository: self.local, snapshot, part: &part };
        restore::run(&restoring).await?;
        Ok(says)
    }

    /// A new instance has no first administrator yet, and is locked to no image.
    fn forget(&self, id: &InstanceId) -> Result<()> {
        let mut memory = state::load(self.world.layout())?;
        if memory.instances.remove(id).is_some() {
            crash::point();
            state::save(self.world.layout(), &memory)?;
        }
        Ok(())
    }
}
