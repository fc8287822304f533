//! Keeps the proxy live between installs: the same sites that an install would serve, with what it needs to serve them.
//!
//! Called by the daemon whenever something happened. Looks first, and takes the host's lock only when something is to be
//! done; while another command has it, nothing is. Never makes, changes or starts anything but the proxy, and that only
//! where it was installed before and nobody stopped it on purpose.

use std::collections::BTreeSet;

use super::{World, crash, prepare, recover, routes};
use crate::docker::Engine;
use crate::error::{Kind, Result};
use crate::event::Event;
use crate::lock::Lock;
use crate::nginx::Nginx;
use crate::observe::{Situation, observe};
use crate::plan::deploy::{self, Scope};
use crate::plan::route::{self, Generation, Rejected};
use crate::plan::sites::{Sites, sites};
use crate::plan::state::Running;
use crate::plan::wanted::{ContainerWanted, InstanceWanted, RouteWanted};

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Everything is as it should be, by now or before.
    Live,
    /// Another command is at work: look again when it has ended.
    Busy,
    /// There is no proxy of this installation to keep.
    Absent,
}

/// What was told, and what nginx refused: neither is done twice for nothing.
#[derive(Debug, Default)]
pub struct Front {
    told: BTreeSet<String>,
    refused: Option<Refused>,
}

/// An installation that left hosts out.
#[derive(Debug)]
struct Refused {
    /// The generation that was wanted.
    wanted: String,
    /// The one that came of it.
    came: String,
    /// nginx itself refused them, and was not only expected to.
    asked: bool,
}

/// What is to be done.
struct Due {
    /// Hosts that the own authority signs for.
    certificates: Vec<String>,
    /// The proxy's container is not there, or does not run.
    container: Option<&'static str>,
    /// nginx does not run what it should.
    routes: bool,
}

impl Due {
    fn nothing(&self) -> bool {
        self.certificates.is_empty() && self.container.is_none() && !self.routes
    }
}

impl Front {
    /// Looks, and does what is to be done.
    ///
    /// # Errors
    /// The engine does not answer, or nginx does not take its configuration: what ran before still runs.
    pub async fn keep<E: Engine>(&mut self, world: &World<'_, E>) -> Result<Kept> {
        let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
        let Some((proxy, container)) = installed(&situation) else { return Ok(Kept::Absent) };
        if self.due(world, &situation, proxy, container).await?.nothing() {
            return Ok(Kept::Live);
        }
        let _lock = match Lock::take(world.layout(), "daemon (routes)", false, world.now).await {
            Ok(lock) => lock,
            Err(error) if error.kind == Kind::Locked => return Ok(Kept::Busy),
            Err(error) => return Err(error),
        };
        recover::recover(world).await?;
        // Whoever had the lock may have done it.
        let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
        let Some((proxy, container)) = installed(&situation) else { return Ok(Kept::Absent) };
        let due = self.due(world, &situation, proxy, container).await?;
        self.act(world, situation, due).await
    }

    async fn due<E: Engine>(
        &self,
        world: &World<'_, E>,
        situation: &Situation,
        proxy: &InstanceWanted,
        container: &ContainerWanted,
    ) -> Result<Due> {
        let (wanted, observed) = (&situation.wanted, &situation.observed);
        let stopped = observed.memory.instance(&proxy.id).is_some_and(|memory| memory.stopped);
        let down = match situation.chosen(proxy, container) {
            _ if stopped => None,
            None => Some("is gone"),
            Some(known) if known.running == Running::Running || known.running == Running::Restarting => None,
            Some(_) => Some("does not run"),
        };
        let names = open(situation).flat_map(|instance| instance.routes.iter().map(RouteWanted::names)).chain(observed.outside.clone());
        let certificates = names.filter(|names| deploy::certificate(observed, names, world.now).is_some());
        let certificates: Vec<String> = certificates.filter_map(|names| names.first().map(ToString::to_string)).collect();
        let settings = world.proxy_settings(situation);
        let generation = route::render(&sites(open(situation), wanted, observed, &settings).all, &settings).generation;
        let nginx = Nginx::new(world.engine, world.layout(), &container.name);
        let changed = match self.refused_before(&generation, observed.generation.as_deref()) {
            Some(refused) => !refused.asked && nginx.running().await?.is_some(),
            None => !nginx.settled(&generation).await?,
        };
        Ok(Due { certificates, container: down, routes: changed })
    }

    /// Whether nginx was asked for exactly this, and refused a part of it; the rest is there.
    fn refused_before(&self, generation: &Generation, current: Option<&str>) -> Option<&Refused> {
        self.refused.as_ref().filter(|refused| refused.wanted == generation.id && current == Some(&refused.came))
    }

    async fn act<E: Engine>(&mut self, world: &World<'_, E>, mut situation: Situation, due: Due) -> Result<Kept> {
        for host in &due.certificates {
            world.tell(&Event::Note { message: format!("the own authority signs for {host}") });
            crash::point();
            prepare::certificate(world, &situation, host)?;
        }
        if !due.certificates.is_empty() {
            situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
        }
        let Some((proxy, container)) = installed(&situation) else { return Ok(Kept::Absent) };
        if due.container.is_none() {
            return self.install(world, &situation, container).await;
        }
        world.tell(&Event::Note { message: format!("{} {}: it is started again", container.name, due.container.unwrap_or_default()) });
        if let Some(known) = situation.chosen(proxy, container) {
            // First the files, for nginx would not start from a folder that is gone.
            self.install(world, &situation, container).await?;
            crash::point();
            world.engine.start(&known.id).await?;
        } else {
            let scope = Scope { only: Some(BTreeSet::new()), removed: None };
            super::run(world, &scope).await?;
        }
        Ok(Kept::Live)
    }

    async fn install<E: Engine>(&mut self, world: &World<'_, E>, situation: &Situation, container: &ContainerWanted) -> Result<Kept> {
        let settings = world.proxy_settings(situation);
        let Sites { all, refused } = sites(open(situation), &situation.wanted, &situation.observed, &settings);
        let wanted = route::render(&all, &settings).generation.id;
        crash::point();
        routes::lists(world, &settings).await?;
        let nginx = Nginx::new(world.engine, world.layout(), &container.name);
        let before = nginx.hosts()?;
        let installed = nginx.install(&all, &settings).await?;
        self.refused = (installed.id != wanted).then(|| Refused { wanted, came: installed.id.clone(), asked: installed.live });
        let closed = |closed: Rejected| format!("the route of {} is closed: {}", closed.host, closed.reason);
        let mut said: BTreeSet<String> = installed.quarantined.into_iter().map(closed).collect();
        said.extend(refused.iter().map(ToString::to_string));
        for message in said.difference(&self.told) {
            world.tell(&Event::Note { message: message.clone() });
        }
        self.told = said;
        if !installed.unchanged {
            let after = nginx.hosts()?;
            let changes = after.difference(&before).map(|host| format!("the route of {host} is open"));
            let changes = changes.chain(before.difference(&after).map(|host| format!("the route of {host} is gone")));
            changes.for_each(|message| world.tell(&Event::Note { message }));
        }
        Ok(Kept::Live)
    }
}

/// The instances whose routes are open whatever happens: one that is being installed is opened by who installs it.
fn open(situation: &Situation) -> impl Iterator<Item = &InstanceWanted> {
    let (wanted, observed) = (&situation.wanted, &situation.observed);
    wanted.instances.iter().filter(move |instance| deploy::stays_open(wanted, observed, instance))
}

/// The proxy and its container, where it was installed.
fn installed(situation: &Situation) -> Option<(&InstanceWanted, &ContainerWanted)> {
    let proxy = situation.wanted.instances.iter().find(|instance| instance.proxy)?;
    let memory = situation.observed.memory.instance(&proxy.id)?;
    memory.installed_at?;
    Some((proxy, proxy.containers.first()?))
}
