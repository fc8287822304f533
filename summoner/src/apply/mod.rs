//! Carries a plan out: preparations on the host, images, networks, instances, routes, and last the orphans.
//!
//! Decides nothing: after the preparations it looks and plans again, and so does the next command after a crash. One
//! instance that fails stops no other. The loop in [`run`] alone writes the state and changes routes.

mod administrator;
mod aside;
pub mod command;
pub mod crash;
pub mod data;
pub mod front;
pub mod health;
pub mod image;
mod instance;
pub mod lifecycle;
pub mod moves;
mod prepare;
pub mod probe;
pub mod recover;
mod routes;
pub mod service;

use std::time::{Duration, Instant};

use aside::Aside;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use crate::config::Config;
use crate::docker::Engine;
use crate::doctor;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::layout::Layout;
use crate::minion::catalogue::Catalogue;
use crate::name::InstanceId;
use crate::observe::{Situation, observe};
use crate::plan::deploy::{Scope, deploy};
use crate::plan::route::features::Features;
use crate::plan::route::guard::{Guard, Means};
use crate::plan::route::settings::Trust;
use crate::plan::route::site::UserFile;
use crate::plan::route::{INSIDE, ProxySettings};
use crate::plan::state::{InstanceMemory, KnownNginx, Memory};
use crate::plan::wanted::InstanceWanted;
use crate::plan::{Action, Plan};
use crate::state;

/// The owner's own configuration, as nginx sees it.
const CONF: &str = "/etc/nginx/conf.d";

/// How many instances come up at the same time: databases start on few cores.
const TOGETHER: usize = 3;

/// How long the engine may take to tell of a container that an interrupted command started.
const STILL_STARTING: Duration = Duration::from_secs(2);

/// Everything that carrying out needs.
pub struct World<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// What is asked for.
    pub config: &'a Config,
    /// The minions.
    pub catalogue: &'a Catalogue,
    /// Hears what happens.
    pub listener: &'a dyn Listener,
    /// The time of the command.
    pub now: DateTime<Utc>,
    /// Data was just restored: what a minion wants then is done before anybody waits for its health.
    pub restored: bool,
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Instances that are as wanted; those with steps were probed.
    pub ready: Vec<InstanceId>,
    /// Instances that are not, and why.
    pub failed: Vec<(InstanceId, Error)>,
    /// Nothing had to be done.
    pub unchanged: bool,
}

impl Outcome {
    /// Whose matter the failures are: of the whole command, or of a part while the rest is as wanted. None without any.
    #[must_use]
    pub fn failure(&self) -> Option<Kind> {
        let kind = if self.ready.is_empty() { Kind::External } else { Kind::Partial };
        (!self.failed.is_empty()).then_some(kind)
    }
}

impl Outcome {
    fn holds(&self, id: &InstanceId) -> bool {
        self.ready.contains(id) || self.failed.iter().any(|(failed, _)| failed == id)
    }
}

impl<E: Engine> World<'_, E> {
    /// Where things lie.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.config.layout
    }

    /// Tells what happens.
    pub fn tell(&self, event: &Event) {
        self.listener.hear(event);
    }

    fn begin(&self, instance: Option<&InstanceId>, doing: impl Into<String>) {
        self.tell(&Event::Begin { instance: instance.map(ToString::to_string), doing: doing.into() });
    }

    /// The proxy's settings that its configuration depends on.
    #[must_use]
    pub fn proxy_settings(&self, situation: &Situation) -> ProxySettings {
        proxy_settings(self.config, situation)
    }

    /// Looks, then decides.
    ///
    /// # Errors
    /// See [`observe`].
    pub async fn plan(&self, scope: &Scope) -> Result<(Situation, Plan)> {
        let situation = observe(self.engine, self.config, self.catalogue, self.now).await?;
        let plan = deploy(&situation.wanted, &situation.observed, scope, &self.proxy_settings(&situation), self.now);
        Ok((situation, plan))
    }
}

/// The proxy's settings that its configuration depends on.
#[must_use]
pub fn proxy_settings(config: &Config, situation: &Situation) -> ProxySettings {
    let own = ProxySettings::own(config.proxy.http_port, config.proxy.https_port, &config.edge_network);
    let trusted = &config.proxy.trusted;
    let observed = &situation.observed;
    let proxy = situation.wanted.instances.iter().find(|instance| instance.proxy).and_then(|proxy| proxy.containers.first());
    let features = match &observed.nginx {
        Some(known) => known.features.clone(),
        None => proxy.and_then(|container| Features::of_image(&container.image)).unwrap_or_default(),
    };
    let conf = observed.files.conf.iter();
    let conf = conf.map(|(name, fingerprint)| UserFile { path: format!("{CONF}/{name}"), fingerprint: fingerprint.clone() });
    let default = observed.files.certificates.get("default").filter(|pair| pair.fault.is_none());
    // By the image's name alone, so that the plan and what is applied are of one mind before there is a container to ask.
    let means = proxy.map_or(Means::Map, |container| Means::of_image(&container.image));
    ProxySettings {
        features,
        guard: config.bans.enabled.then(|| Guard { means, folder: INSIDE.to_owned() }),
        trust: if trusted.is_empty() { Trust::Nobody } else { Trust::Networks(trusted.clone()) },
        conf: conf.collect(),
        default_certificate: default.map(|pair| pair.fingerprint.clone()),
        error_page: observed.error_page,
        ..own
    }
}

/// Makes the host what config.yml says.
///
/// # Errors
/// What concerns the whole host: no engine, a full disk, something in the proxy's way. What concerns one instance is in
/// the outcome: a name that somebody holds, an image that cannot be had, containers that do not come up.
pub async fn run<E: Engine>(world: &World<'_, E>, scope: &Scope) -> Result<Outcome> {
    for folder in state::secrets::guard(world.layout())? {
        world.tell(&Event::Note { message: format!("{} could be entered by others; now only root can", folder.display()) });
    }
    let (mut situation, mut plan, mut aside) = prepared(world, scope).await?;
    let mut outcome = Outcome { unchanged: plan.is_empty(), ..Outcome::default() };
    let doubtful = health::doubtful(&situation, scope);
    if outcome.unchanged && doubtful.is_empty() {
        let mut memory = situation.observed.memory.clone();
        know(world, &mut memory, situation.observed.nginx.clone())?;
        outcome.ready = situation.wanted.instances.iter().map(|instance| instance.id.clone()).collect();
        return Ok(outcome);
    }
    image::all(world, &mut situation, &mut plan, &mut aside).await?;
    network(world, &situation, &plan, None).await?;
    let mut routes = routes::Routes::new(world, &situation);
    let (proxy, others): (Vec<_>, Vec<_>) = situation
        .wanted
        .instances
        .iter()
        .filter(|instance| !aside.holds(&instance.id) && (plan.concerns(&instance.id) || doubtful.contains(&instance.id)))
        .partition(|instance| instance.proxy);
    outcome.failed = aside.tell(world);
    routes.open(&[]).await?;
    let mut memory = situation.observed.memory.clone();
    let since = Instant::now();
    for instance in &proxy {
        bring_up(world, &situation, &plan, instance).await.result?;
    }
    let coming: Vec<_> = others.into_iter().map(|instance| bring_up(world, &situation, &plan, instance)).collect();
    let mut coming = stream::iter(coming).buffer_unordered(TOGETHER);
    // The proxy proves itself while the first of the others comes up; no route opens before both.
    let settled = async {
        for instance in &proxy {
            instance::settled(world, instance).await?;
            world.tell(&Event::Ready { instance: instance.id.to_string(), url: None, elapsed: since.elapsed() });
        }
        Ok::<_, Error>(())
    };
    let ((), mut next) = tokio::try_join!(settled, async { Ok(coming.next().await) })?;
    for instance in proxy {
        remember(world, &mut memory, instance, |known| prove(known, instance, world.now))?;
    }
    know(world, &mut memory, routes.learn().await?)?;
    while let Some(up) = next {
        let finished = match up.result {
            Ok(made_at) => {
                remember(world, &mut memory, up.instance, |known| {
                    known.administrator_at = known.administrator_at.or(made_at);
                    known.configured = Some(up.instance.hash());
                    // Until it answers: what fails now is not green at the next install.
                    known.proven = None;
                })?;
                routes.finish(up.instance).await
            }
            Err(error) => Err(error),
        };
        if finished.is_ok() {
            remember(world, &mut memory, up.instance, |known| prove(known, up.instance, world.now))?;
        }
        report(world, &mut outcome, up.instance, up.since, finished);
        next = coming.next().await;
    }
    routes.close().await?;
    orphans(world, &plan).await?;
    for instance in situation.wanted.instances.iter().filter(|instance| !instance.proxy) {
        if let Some(refused) = routes.known(instance) {
            remember(world, &mut memory, instance, |known| known.refused = refused)?;
        }
        if scope.holds(instance) && !outcome.holds(&instance.id) {
            // Nothing of it had to be done; but its route may not be what it was.
            match routes.accepted(instance) {
                Ok(()) => outcome.ready.push(instance.id.clone()),
                Err(error) => report(world, &mut outcome, instance, since, Err(error)),
            }
        }
    }
    outcome.ready.sort();
    Ok(outcome)
}

/// What is to be done once the host is prepared, without the instances that something stands in the way of.
async fn prepared<E: Engine>(world: &World<'_, E>, scope: &Scope) -> Result<(Situation, Plan, Aside)> {
    let (situation, mut plan) = world.plan(scope).await?;
    let aside = Aside::obstacles(&situation, &mut plan)?;
    refuse_taken_ports(world, &situation, &plan).await?;
    if !plan.steps.iter().any(|step| step.action.is_preparation()) {
        return Ok((situation, plan, aside));
    }
    prepare::all(world, &situation, &plan)?;
    let (situation, mut plan) = world.plan(scope).await?;
    let aside = Aside::obstacles(&situation, &mut plan)?;
    refuse_preparations(&plan)?;
    Ok((situation, plan, aside))
}

/// These containers came up and answered: from now on their images are locked.
fn prove(known: &mut InstanceMemory, instance: &InstanceWanted, now: DateTime<Utc>) {
    known.installed_at = known.installed_at.or(Some(now));
    known.proven = Some(instance.hash());
    known.stopped = false;
}

/// Writes down what nginx said that it can, so that it need not be asked again.
fn know<E: Engine>(world: &World<'_, E>, memory: &mut Memory, nginx: Option<KnownNginx>) -> Result<()> {
    if nginx.is_none() || memory.nginx == nginx {
        return Ok(());
    }
    memory.nginx = nginx;
    crash::point();
    state::save(world.layout(), memory)
}

/// Writes a new fact about an instance; a fact that is known already is not written again.
fn remember<E: Engine>(
    world: &World<'_, E>,
    memory: &mut Memory,
    instance: &InstanceWanted,
    fact: impl FnOnce(&mut InstanceMemory),
) -> Result<()> {
    let known = memory.instances.entry(instance.id.clone()).or_default();
    let before = known.clone();
    fact(known);
    if *known == before {
        return Ok(());
    }
    crash::point();
    state::save(world.layout(), memory)
}

struct Up<'a> {
    instance: &'a InstanceWanted,
    since: Instant,
    result: Result<Option<DateTime<Utc>>>,
}

async fn bring_up<'a, E: Engine>(world: &World<'_, E>, situation: &Situation, plan: &Plan, instance: &'a InstanceWanted) -> Up<'a> {
    let since = Instant::now();
    let result = async {
        network(world, situation, plan, Some(&instance.id)).await?;
        instance::up(world, situation, plan, instance).await
    };
    Up { instance, since, result: result.await }
}

fn report<E: Engine>(world: &World<'_, E>, outcome: &mut Outcome, instance: &InstanceWanted, since: Instant, finished: Result<()>) {
    let id = instance.id.clone();
    match finished {
        Ok(()) => {
            world.tell(&Event::Ready { instance: id.to_string(), url: instance.url.clone(), elapsed: since.elapsed() });
            outcome.ready.push(id);
        }
        Err(error) => {
            world.tell(&Event::Failed { instance: id.to_string(), message: error.message.clone() });
            outcome.failed.push((id, error));
        }
    }
}

async fn network<E: Engine>(world: &World<'_, E>, situation: &Situation, plan: &Plan, instance: Option<&InstanceId>) -> Result<()> {
    let steps = plan.steps.iter().filter(|step| step.action == Action::CreateNetwork && step.instance.as_ref() == instance);
    for step in steps {
        let networks = std::iter::once(&situation.wanted.edge)
            .chain(situation.wanted.instances.iter().filter_map(|instance| instance.network.as_ref()));
        for network in networks.filter(|network| network.name == step.object) {
            world.begin(instance, format!("network {}", network.name));
            crash::point();
            let spec = crate::plan::state::NetworkSpec {
                name: network.name.clone(),
                subnet: network.subnet.clone(),
                internal: false,
                labels: network.labels.clone(),
            };
            world.engine.create_network(&spec).await?;
        }
    }
    Ok(())
}

async fn orphans<E: Engine>(world: &World<'_, E>, plan: &Plan) -> Result<()> {
    for step in plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::RemoveContainer | Action::RemoveNetwork) && step.reason.starts_with("orphan"))
    {
        world.begin(step.instance.as_ref(), format!("remove {}", step.object));
        crash::point();
        match step.action {
            Action::RemoveNetwork => world.engine.remove_network(&step.object).await?,
            _ => {
                world.engine.stop(&step.object, None).await?;
                world.engine.remove(&step.object).await?;
            }
        }
    }
    Ok(())
}

/// A port that somebody else holds is told before anything is made; a proxy that runs holds its own.
async fn refuse_taken_ports<E: Engine>(world: &World<'_, E>, situation: &Situation, plan: &Plan) -> Result<()> {
    let proxy = situation.wanted.instances.iter().find(|instance| instance.proxy);
    let starts = |step: &&crate::plan::Step| {
        matches!(step.action, Action::CreateContainer | Action::RecreateContainer | Action::StartContainer)
            && step.instance.as_ref() == proxy.map(|proxy| &proxy.id)
    };
    if !plan.steps.iter().any(|step| starts(&step)) || doctor::refuse_taken(world.config, &situation.observed.containers).is_ok() {
        return Ok(());
    }
    // The engine may still be at what an interrupted command asked of it: then the port is about to be our own.
    tokio::time::sleep(STILL_STARTING).await;
    doctor::refuse_taken(world.config, &world.engine.containers().await?)
}

/// A preparation that is wanted again right after it was done would be done for ever.
fn refuse_preparations(plan: &Plan) -> Result<()> {
    match plan.steps.iter().find(|step| step.action.is_preparation()) {
        Some(step) => Err(Error::internal(format!("the preparation did not hold: {step}"))),
        None => Ok(()),
    }
}
