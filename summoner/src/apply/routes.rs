//! Routes open one by one, each when its instance works; what was open stays open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{World, crash, probe};
use crate::ban;
use crate::config::Access;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::minion::Smoke;
use crate::name::{Domain, InstanceId};
use crate::nginx::{Nginx, features};
use crate::observe::Situation;
use crate::plan::route::ProxySettings;
use crate::plan::route::guard::Means;
use crate::plan::route::resolve::Refused;
use crate::plan::state::KnownNginx;
use crate::plan::wanted::InstanceWanted;
use crate::plan::{deploy, sites};
use crate::vhost::HostName;

/// How long an instance that is healthy may take to answer through the proxy.
const SMOKE: Duration = Duration::from_secs(60);

pub(super) struct Routes<'a, E> {
    world: &'a World<'a, E>,
    situation: &'a Situation,
    open: BTreeSet<InstanceId>,
    /// Hosts that the proxy refused when it was last told, each with its reason.
    refused: BTreeMap<Domain, String>,
    told: BTreeSet<HostName>,
    /// What is asked for and not served, as far as it was told.
    wished: BTreeSet<Refused>,
    settings: ProxySettings,
    nginx: Option<KnownNginx>,
}

/// What nginx reads beside its configuration: it does not start without it.
pub(super) async fn lists<E: Engine>(world: &World<'_, E>, settings: &ProxySettings) -> Result<()> {
    if settings.guard.as_ref().is_some_and(|guard| guard.means == Means::Map) {
        ban::prepare(world.layout(), world.now).await?;
    }
    Ok(())
}

/// What proves that an instance is served, from this machine and without a password: behind a closed door, that it is closed.
fn at_the_door(smoke: &Smoke, access: &Access) -> Smoke {
    if access.is_open() {
        return smoke.clone();
    }
    let inside = match &smoke.expect[..] {
        _ if access.auth.is_some() => Vec::new(),
        [] => vec![200, 201, 202, 204],
        expect => expect.to_vec(),
    };
    Smoke { expect: inside.into_iter().chain([401, 403]).collect(), contains: None, ..smoke.clone() }
}

impl<'a, E: Engine> Routes<'a, E> {
    /// Starts with the instances whose routes are never closed by an install.
    pub(super) fn new(world: &'a World<'a, E>, situation: &'a Situation) -> Self {
        let (wanted, observed) = (&situation.wanted, &situation.observed);
        let open = wanted.instances.iter().filter(|instance| deploy::stays_open(wanted, observed, instance));
        Self {
            world,
            situation,
            open: open.map(|instance| instance.id.clone()).collect(),
            refused: BTreeMap::new(),
            told: BTreeSet::new(),
            wished: BTreeSet::new(),
            settings: world.proxy_settings(situation),
            nginx: observed.nginx.clone(),
        }
    }

    /// nginx runs: what it can is known from now on. Gives it; None when it does not say.
    pub(super) async fn learn(&mut self) -> Result<Option<KnownNginx>> {
        let name = self.container()?;
        let Some(found) = self.world.engine.inspect(&name).await? else { return Ok(None) };
        if self.nginx.as_ref().is_none_or(|known| known.container != found.id) {
            let features = match features::in_container(self.world.engine, &found.id).await {
                Ok(features) => features,
                Err(error) => {
                    self.world.tell(&Event::Note { message: format!("{error}; only what every nginx of its tag can is used") });
                    return Ok(None);
                }
            };
            self.settings.features = features.clone();
            self.nginx = Some(KnownNginx { container: found.id, features });
        }
        Ok(self.nginx.clone())
    }

    fn container(&self) -> Result<String> {
        let proxy = self.situation.wanted.instances.iter().find(|instance| instance.proxy).and_then(|proxy| proxy.containers.first());
        proxy.map(|container| container.name.clone()).ok_or_else(|| Error::internal("the proxy has no container"))
    }

    /// Opens the routes of these as well.
    pub(super) async fn open(&mut self, more: &[&InstanceWanted]) -> Result<()> {
        self.open.extend(more.iter().map(|instance| instance.id.clone()));
        let instances = self.situation.wanted.instances.iter().filter(|instance| self.open.contains(&instance.id));
        let sites = sites::sites(instances, &self.situation.wanted, &self.situation.observed, &self.settings);
        let container = self.container()?;
        crash::point();
        let nginx = Nginx::new(self.world.engine, self.world.layout(), &container);
        lists(self.world, &self.settings).await?;
        let installed = nginx.install(&sites.all, &self.settings).await?;
        for refused in sites.refused.into_iter().filter(|refused| !self.wished.contains(refused)).collect::<Vec<_>>() {
            self.world.tell(&Event::Note { message: refused.to_string() });
            self.wished.insert(refused);
        }
        for closed in installed.quarantined.iter().filter(|closed| self.told.insert(closed.host.clone())) {
            self.world.tell(&Event::Note { message: format!("the route of {} is closed: {}", closed.host, closed.reason) });
        }
        let ours = installed.quarantined.into_iter().filter_map(|closed| Some((closed.host.to_string().parse().ok()?, closed.reason)));
        self.refused = ours.collect();
        Ok(())
    }

    /// An instance came up: opens its route and proves that it answers through the proxy.
    pub(super) async fn finish(&mut self, instance: &InstanceWanted) -> Result<()> {
        self.open(&[instance]).await?;
        self.accepted(instance)?;
        let (Some(smoke), Some(route)) = (&instance.smoke, instance.routes.first()) else { return Ok(()) };
        self.world.tell(&Event::Progress {
            instance: Some(instance.id.to_string()),
            message: format!("asking {} through the proxy", route.host),
        });
        let smoke = at_the_door(smoke, &instance.access);
        probe::smoke(self.world.config, &route.host, &smoke, SMOKE)
            .await
            .map_err(|error| error.next(format!("summoner logs {}", instance.id)))
    }

    /// Whether the proxy took all hosts of an instance.
    pub(super) fn accepted(&self, instance: &InstanceWanted) -> Result<()> {
        match self.refused(instance).into_iter().next() {
            None => Ok(()),
            Some((host, reason)) => Err(Error::external(format!("the proxy refuses the route of {host}"))
                .cause(reason)
                .next("summoner install   once what it names is mended in config.yml or in the minion's route")),
        }
    }

    /// The hosts of an instance that the proxy refuses; None when it was not told of them.
    pub(super) fn known(&self, instance: &InstanceWanted) -> Option<BTreeMap<Domain, String>> {
        self.open.contains(&instance.id).then(|| self.refused(instance))
    }

    fn refused(&self, instance: &InstanceWanted) -> BTreeMap<Domain, String> {
        let reasons = instance.routes.iter().filter_map(|route| self.refused.get_key_value(&route.host));
        reasons.map(|(host, reason)| (host.clone(), reason.clone())).collect()
    }

    /// The end: routes of instances that are no more wanted are gone with this.
    pub(super) async fn close(&mut self) -> Result<()> {
        self.open(&[]).await
    }
}
