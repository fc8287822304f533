//! Routes open one by one, each when its instance works; what was open stays open.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{World, crash, probe};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::{Domain, InstanceId};
use crate::nginx::Nginx;
use crate::observe::Situation;
use crate::plan::deploy;
use crate::plan::wanted::InstanceWanted;

/// How long an instance that is healthy may take to answer through the proxy.
const SMOKE: Duration = Duration::from_secs(60);

pub(super) struct Routes<'a, E> {
    world: &'a World<'a, E>,
    situation: &'a Situation,
    open: BTreeSet<InstanceId>,
    told: BTreeSet<Domain>,
}

impl<'a, E: Engine> Routes<'a, E> {
    /// Starts with the instances whose routes are never closed by an install.
    pub(super) fn new(world: &'a World<'a, E>, situation: &'a Situation) -> Self {
        let (wanted, observed) = (&situation.wanted, &situation.observed);
        let open = wanted.instances.iter().filter(|instance| deploy::stays_open(wanted, observed, instance));
        Self { world, situation, open: open.map(|instance| instance.id.clone()).collect(), told: BTreeSet::new() }
    }

    /// Opens the routes of these as well.
    pub(super) async fn open(&mut self, more: &[&InstanceWanted]) -> Result<()> {
        self.open.extend(more.iter().map(|instance| instance.id.clone()));
        let instances = self.situation.wanted.instances.iter().filter(|instance| self.open.contains(&instance.id));
        let routes = deploy::routes(instances, &self.situation.observed);
        let Some(container) =
            self.situation.wanted.instances.iter().find(|instance| instance.proxy).and_then(|proxy| proxy.containers.first())
        else {
            return Err(Error::internal("the proxy has no container"));
        };
        crash::point();
        let nginx = Nginx::new(self.world.engine, self.world.layout(), &container.name);
        let installed = nginx.install(&routes, &self.world.proxy_settings()).await?;
        for closed in installed.quarantined.iter().filter(|closed| self.told.insert(closed.host.clone())) {
            self.world.tell(&Event::Note { message: format!("the route of {} is closed: {}", closed.host, closed.reason) });
        }
        Ok(())
    }

    /// An instance came up: opens its route and proves that it answers through the proxy.
    pub(super) async fn finish(&mut self, instance: &InstanceWanted) -> Result<()> {
        self.open(&[instance]).await?;
        let (Some(smoke), Some(route)) = (&instance.smoke, instance.routes.first()) else { return Ok(()) };
        self.world.tell(&Event::Progress {
            instance: Some(instance.id.to_string()),
            message: format!("asking {} through the proxy", route.host),
        });
        probe::smoke(self.world.config, &route.host, smoke, SMOKE)
            .await
            .map_err(|error| error.next(format!("summoner logs {}", instance.id)))
    }

    /// The end: routes of instances that are no more wanted are gone with this.
    pub(super) async fn close(&mut self) -> Result<()> {
        self.open(&[]).await
    }
}
