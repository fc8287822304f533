//! The difference between what is wanted and what was observed, as steps with reasons.
//!
//! Only containers, networks and volumes that carry our owner's label are ever removed or made again. The order:
//! preparations on the host, images, networks, then each instance; routes open last, orphans go at the very end.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::cert::{self, Verdict};
use super::route::site::UserFile;
use super::route::{Generation, PASSWORDS, ProxySettings, RouteSpec, render};
use super::sites::sites;
use super::state::{Container, Observed, Running};
use super::wanted::{ContainerWanted, InstanceWanted, LABEL_HASH, LABEL_INSTANCE, LABEL_OWNER, LABEL_SERVICE, NetworkWanted, Wanted};
use super::{Action, Obstacle, Plan, Step};
use crate::name::{Domain, InstanceId};

/// Ends the name of a container that will take the place of another; no domain holds an underscore, so the name parses
/// as nothing.
pub const SUCCESSOR: &str = "_new";

/// What is done apart from the difference itself.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only these instances and the proxy; None is all, orphans included.
    pub only: Option<BTreeSet<InstanceId>>,
    /// Takes this one away although the scope is narrow.
    pub removed: Option<InstanceId>,
}

impl Scope {
    /// Whether an instance is part of it; the proxy always is.
    #[must_use]
    pub fn holds(&self, instance: &InstanceWanted) -> bool {
        instance.proxy || self.only.as_ref().is_none_or(|only| only.contains(&instance.id))
    }
}

/// Decides the steps.
#[must_use]
pub fn deploy(wanted: &Wanted, observed: &Observed, scope: &Scope, settings: &ProxySettings, now: DateTime<Utc>) -> Plan {
    let mut planner = Planner { wanted, observed, plan: Plan::default() };
    let instances: Vec<&InstanceWanted> = wanted.instances.iter().filter(|instance| scope.holds(instance)).collect();
    match observed.memory.network_range.as_ref() {
        Some(remembered) if *remembered == observed.range => {}
        Some(remembered) => {
            planner.step(Action::ChooseNetworkRange, None, &observed.range, &format!("somebody else uses {remembered} now"));
        }
        None => planner.step(Action::ChooseNetworkRange, None, &observed.range, "first install on this host"),
    }
    for instance in &instances {
        planner.preparations(instance, now);
    }
    for names in &observed.outside {
        planner.certificate(None, names, now);
    }
    planner.network(None, &wanted.edge);
    for instance in &instances {
        planner.instance(instance);
    }
    planner.routes(settings, scope);
    planner.orphans(scope);
    planner.plan
}

/// The routes that should be open, with the certificates that are there.
#[must_use]
pub fn routes<'a>(instances: impl IntoIterator<Item = &'a InstanceWanted>, observed: &Observed) -> Vec<RouteSpec> {
    let specs = instances.into_iter().flat_map(|instance| {
        instance.routes.iter().map(|route| RouteSpec {
            instance: instance.id.clone(),
            host: route.host.clone(),
            aliases: route.aliases.clone(),
            container: route.container.clone(),
            settings: route.settings.clone(),
            sign_ins: instance.sign_in.clone(),
            allow: instance.access.allow.clone(),
            passwords: instance.access.auth.as_deref().map(|name| password_file(name, observed)),
            certificate: observed.certificates.get(&route.host).map(|certificate| certificate.fingerprint.clone()).unwrap_or_default(),
        })
    });
    specs.collect()
}

/// A file of names and passwords; one that is not there has no fingerprint, and the renderer keeps its host closed.
fn password_file(name: &str, observed: &Observed) -> UserFile {
    UserFile { path: format!("{PASSWORDS}/{name}"), fingerprint: observed.files.passwords.get(name).cloned().unwrap_or_default() }
}

/// nginx's configuration once a scope is done: with all of its routes, and those of others that are there already.
#[must_use]
pub fn generation(wanted: &Wanted, observed: &Observed, scope: &Scope, settings: &ProxySettings) -> Generation {
    render(&sites(open(wanted, observed, scope), wanted, observed, settings).all, settings).generation
}

/// The instances whose routes are open once a scope is done.
pub fn open<'a>(wanted: &'a Wanted, observed: &'a Observed, scope: &'a Scope) -> impl Iterator<Item = &'a InstanceWanted> {
    wanted.instances.iter().filter(|instance| scope.holds(instance) || stays_open(wanted, observed, instance))
}

/// Why the own authority signs for a host (the first of these names) now; None keeps what lies there.
#[must_use]
pub fn certificate(observed: &Observed, names: &[Domain], now: DateTime<Utc>) -> Option<String> {
    let host = names.first()?;
    let known = observed.certificates.get(host);
    let verdict = match observed.not_ours_to_sign.get(host) {
        Some(signer) => cert::stand_in(*signer, known, now),
        None => cert::decide(names, known, observed.authority.as_deref(), now),
    };
    if let Verdict::Issue { reason } = verdict { Some(reason) } else { None }
}

/// Whether the routes of an instance lead to it whatever this install does: it is there, and it is served already, or it
/// came up whole once and somebody can sign in.
#[must_use]
pub fn stays_open(wanted: &Wanted, observed: &Observed, instance: &InstanceWanted) -> bool {
    let there = instance.containers.iter().all(|container| chosen(wanted, observed, &instance.id, container).is_some());
    let served = instance.routes.iter().any(|route| observed.served.contains(&route.host));
    let memory = observed.memory.instance(&instance.id);
    let administered = memory.is_some_and(|memory| memory.administrator_at.is_some())
        || instance.administrator.as_ref().is_none_or(|administrator| administrator.create.is_empty());
    there && (served || administered && memory.is_some_and(|memory| memory.installed_at.is_some()))
}

/// The one container that stands for a service; others are leftovers of an interrupted install.
#[must_use]
pub fn chosen<'a>(wanted: &Wanted, observed: &'a Observed, id: &InstanceId, container: &ContainerWanted) -> Option<&'a Container> {
    let id = id.to_string();
    let stands_for_it = |known: &&Container| {
        let label = |key: &str| known.labels.get(key).map(String::as_str);
        label(LABEL_OWNER) == Some(&wanted.owner) && label(LABEL_INSTANCE) == Some(&id) && label(LABEL_SERVICE) == Some(&container.service)
    };
    // The id last: two of the same second must not change places with the engine's order.
    let rank = |known: &&Container| {
        let same = known.labels.get(LABEL_HASH) == Some(&container.hash);
        (known.name == container.name, same, known.created_at, known.id.clone())
    };
    observed.containers.iter().filter(stands_for_it).max_by_key(rank)
}

struct Planner<'a> {
    wanted: &'a Wanted,
    observed: &'a Observed,
    plan: Plan,
}

impl Planner<'_> {
    fn step(&mut self, action: Action, instance: Option<&InstanceId>, object: &str, reason: &str) {
        self.plan.steps.push(Step {
            action,
            instance: instance.cloned(),
            object: object.to_owned(),
            reason: reason.to_owned(),
            destructive: false,
        });
    }

    fn preparations(&mut self, instance: &InstanceWanted, now: DateTime<Utc>) {
        let id = Some(&instance.id);
        for folder in &instance.folders {
            if self.observed.absent_folders.contains(&folder.path) {
                self.step(Action::MakeFolder, id, &folder.path.display().to_string(), "absent");
            }
        }
        for secret in &instance.absent_secrets {
            self.step(Action::GenerateSecret, id, secret, "absent");
        }
        for route in &instance.routes {
            self.certificate(id, &route.names(), now);
        }
    }

    fn certificate(&mut self, instance: Option<&InstanceId>, names: &[Domain], now: DateTime<Utc>) {
        if let (Some(host), Some(reason)) = (names.first(), certificate(self.observed, names, now)) {
            self.step(Action::IssueCertificate, instance, host.as_str(), &reason);
        }
    }

    fn network(&mut self, instance: Option<&InstanceId>, network: &NetworkWanted) {
        if !self.observed.networks.iter().any(|known| known.name == network.name) {
            self.step(Action::CreateNetwork, instance, &network.name, "absent");
        }
    }

    fn instance(&mut self, instance: &InstanceWanted) {
        if let Some(obstacle) = self.obstacle(instance) {
            self.plan.obstacles.push(obstacle);
            return;
        }
        if let Some(network) = &instance.network {
            self.network(Some(&instance.id), network);
        }
        for volume in instance.volumes.keys() {
            if !self.has_volume_user(instance) {
                self.step(Action::CreateVolume, Some(&instance.id), volume, "absent");
            }
        }
        self.surplus(instance);
        let steps_before = self.plan.steps.len();
        for container in &instance.containers {
            self.container(instance, container);
        }
        let made =
            self.plan.steps[steps_before..].iter().any(|step| matches!(step.action, Action::CreateContainer | Action::RecreateContainer));
        self.pulls(instance, steps_before);
        self.settings(instance, made);
    }

    /// What is done in running containers before a route leads there; a crash in between must not make it forgotten.
    fn settings(&mut self, instance: &InstanceWanted, made: bool) {
        let (id, object) = (Some(&instance.id), instance.id.to_string());
        let memory = self.observed.memory.instance(&instance.id).cloned().unwrap_or_default();
        let creates = instance.administrator.as_ref().is_some_and(|administrator| !administrator.create.is_empty());
        if creates && memory.administrator_at.is_none() {
            self.step(Action::CreateAdministrator, id, &object, "nobody can sign in yet");
        }
        if !instance.configure.is_empty() && (made || memory.configured != Some(instance.hash())) {
            self.step(Action::Configure, id, &object, "its settings were not made yet for these containers");
        }
        if memory.proven != Some(instance.hash()) {
            self.step(Action::Verify, id, &object, "these containers have not proven yet that they work");
        }
    }

    /// A named volume is there as soon as a container uses it; creating it again is harmless.
    fn has_volume_user(&self, instance: &InstanceWanted) -> bool {
        instance.containers.iter().any(|container| self.chosen(&instance.id, container).is_some())
    }

    /// Names that something else holds: never touched, so the instance cannot be made.
    fn obstacle(&self, instance: &InstanceWanted) -> Option<Obstacle> {
        let foreign = |name: &str| self.observed.containers.iter().find(|known| known.name == name && !self.is_ours(known));
        let taken = instance.containers.iter().find_map(|container| foreign(&container.name));
        if let Some(taken) = taken {
            let owner = taken
                .labels
                .get(LABEL_OWNER)
                .map_or_else(|| "Summoner did not make it".to_owned(), |owner| format!("it belongs to the installation at {owner}"));
            return Some(Obstacle {
                instance: instance.id.clone(),
                message: format!("the name {} is taken by another container: {owner}", taken.name),
                hint: format!("docker rename {0} old-{0}   (Summoner never touches what it did not make)", taken.name),
            });
        }
        let networks = instance.network.iter().chain(std::iter::once(&self.wanted.edge));
        for network in networks {
            let known = self.observed.networks.iter().find(|known| known.name == network.name);
            if known.is_some_and(|known| known.labels.get(LABEL_OWNER) != Some(&self.wanted.owner)) {
                return Some(Obstacle {
                    instance: instance.id.clone(),
                    message: format!("the network {} exists and is not of this installation", network.name),
                    hint: format!(
                        "docker network rm {}   if nobody needs it, or choose another name in config.yml: networks.edge",
                        network.name
                    ),
                });
            }
        }
        None
    }

    fn is_ours(&self, container: &Container) -> bool {
        container.labels.get(LABEL_OWNER) == Some(&self.wanted.owner)
    }

    fn chosen(&self, id: &InstanceId, wanted: &ContainerWanted) -> Option<&Container> {
        chosen(self.wanted, self.observed, id, wanted)
    }

    fn container(&mut self, instance: &InstanceWanted, wanted: &ContainerWanted) {
        let id = &instance.id;
        let Some(known) = self.chosen(id, wanted) else {
            self.step(Action::CreateContainer, Some(id), &wanted.name, "absent");
            return;
        };
        if let Some(reason) = self.reason_to_recreate(id, wanted, known) {
            self.step(Action::RecreateContainer, Some(id), &wanted.name, &reason);
            return;
        }
        let absent: Vec<String> = wanted.body.networks.keys().filter(|name| !known.networks.contains_key(*name)).cloned().collect();
        let (renamed, started) = (known.name != wanted.name, matches!(known.running, Running::Running | Running::Restarting));
        let (old_name, status) = (known.name.clone(), known.status.clone());
        if renamed {
            let reason = if old_name.strip_suffix(SUCCESSOR) == Some(&wanted.name) {
                "left half made by an interrupted install".to_owned()
            } else {
                format!("somebody named it {old_name}")
            };
            self.step(Action::RenameContainer, Some(id), &wanted.name, &reason);
        }
        for network in absent {
            self.step(Action::ConnectNetwork, Some(id), &wanted.name, &format!("it is not on the network {network}"));
        }
        if !started {
            let reason = if status.is_empty() { "never started".to_owned() } else { format!("it does not run: {status}") };
            self.step(Action::StartContainer, Some(id), &wanted.name, &reason);
        }
    }

    fn reason_to_recreate(&self, id: &InstanceId, wanted: &ContainerWanted, known: &Container) -> Option<String> {
        if known.image != wanted.image && known.labels.get(LABEL_HASH) != Some(&wanted.hash) {
            return Some(format!("its image changes from {} to {}", known.image, wanted.image));
        }
        if known.labels.get(LABEL_HASH) != Some(&wanted.hash) {
            return Some("its settings changed".into());
        }
        let lock = self.observed.memory.lock(id, &wanted.image).map(|lock| &lock.id);
        let expected = lock.or_else(|| self.observed.images.get(&wanted.image).map(|image| &image.id));
        if expected.is_some_and(|expected| *expected != known.image_id) {
            return Some(match lock {
                Some(_) => format!("it runs another image than the one locked for {}", wanted.image),
                None => format!("{} means another image now, and it was never installed whole", wanted.image),
            });
        }
        if matches!(known.running, Running::Paused | Running::Dead) {
            return Some(format!("it is {}", known.running.as_str()));
        }
        let networks = &self.observed.networks;
        if let Some(name) = wanted.body.networks.keys().find(|name| !networks.iter().any(|network| network.name == **name)) {
            return Some(format!("its network {name} was removed"));
        }
        // A network that was removed and made again has another id: the container would never start on it.
        let other = |name: &&String| known.network_ids.get(*name).is_some_and(|id| !networks.iter().any(|network| network.id == *id));
        wanted.body.networks.keys().find(other).map(|name| format!("its network {name} was removed and made again"))
    }

    /// Images come before anything that runs is touched.
    fn pulls(&mut self, instance: &InstanceWanted, from: usize) {
        let made: BTreeSet<&str> = self.plan.steps[from..]
            .iter()
            .filter(|step| matches!(step.action, Action::CreateContainer | Action::RecreateContainer))
            .map(|step| step.object.as_str())
            .collect();
        let images: BTreeSet<&str> = instance
            .containers
            .iter()
            .filter(|container| made.contains(container.name.as_str()))
            .map(|container| container.image.as_str())
            .collect();
        let absent: Vec<Step> = images
            .into_iter()
            .filter(|image| !self.observed.images.contains_key(*image))
            .map(|image| Step {
                action: Action::PullImage,
                instance: Some(instance.id.clone()),
                object: image.to_owned(),
                reason: "not on this host".into(),
                destructive: false,
            })
            .collect();
        let at = self
            .plan
            .steps
            .iter()
            .position(|step| !step.action.is_preparation() && step.action != Action::PullImage)
            .unwrap_or(self.plan.steps.len());
        for step in absent.into_iter().rev() {
            if !self.plan.steps.iter().any(|known| known.action == Action::PullImage && known.object == step.object) {
                self.plan.steps.insert(at, step);
            }
        }
    }

    fn surplus(&mut self, instance: &InstanceWanted) {
        let id = instance.id.to_string();
        let kept: BTreeSet<&str> =
            instance.containers.iter().filter_map(|wanted| self.chosen(&instance.id, wanted)).map(|known| known.id.as_str()).collect();
        let mut surplus: Vec<(String, &str)> = self
            .observed
            .containers
            .iter()
            .filter(|known| self.is_ours(known) && known.labels.get(LABEL_INSTANCE) == Some(&id) && !kept.contains(known.id.as_str()))
            .map(|known| {
                let wanted = instance.containers.iter().any(|wanted| known.labels.get(LABEL_SERVICE) == Some(&wanted.service));
                (
                    known.name.clone(),
                    if wanted { "left over from an interrupted install" } else { "the minion has no such service any more" },
                )
            })
            .collect();
        surplus.sort_unstable();
        for (name, reason) in surplus {
            self.step(Action::RemoveContainer, Some(&instance.id), &name, reason);
        }
    }

    fn routes(&mut self, settings: &ProxySettings, scope: &Scope) {
        let wanted = generation(self.wanted, self.observed, scope, settings).id;
        // A host that was refused is asked for again: what was wrong with it may be mended, and until then it is not as wanted.
        let refused = open(self.wanted, self.observed, scope).find_map(|instance| {
            let why = |host| self.observed.refused(&instance.id, host).map(|why| format!("the proxy refused {host}: {why}"));
            instance.routes.iter().find_map(|route| why(&route.host))
        });
        if self.observed.generation.as_deref() == Some(wanted.as_str()) && refused.is_none() {
            return;
        }
        let changed = if self.observed.generation.is_some() { "the routes changed" } else { "no routes yet" };
        let reason = refused.as_deref().unwrap_or(changed);
        let id = self.wanted.instances.iter().find(|instance| instance.proxy).map(|instance| instance.id.clone());
        self.step(Action::Route, id.as_ref(), &wanted, reason);
    }

    /// What is ours and in no file any more: containers and networks go, data stays.
    fn orphans(&mut self, scope: &Scope) {
        let ids: BTreeSet<String> = self.wanted.instances.iter().map(|instance| instance.id.to_string()).collect();
        let orphan = |labels: &std::collections::BTreeMap<String, String>| {
            let id = labels.get(LABEL_INSTANCE).filter(|id| !ids.contains(*id))?;
            let id = (labels.get(LABEL_OWNER) == Some(&self.wanted.owner)).then(|| id.parse::<InstanceId>().ok())??;
            (scope.only.is_none() || scope.removed.as_ref() == Some(&id)).then_some(id)
        };
        let containers =
            self.observed.containers.iter().filter_map(|known| Some((Action::RemoveContainer, orphan(&known.labels)?, known.name.clone())));
        let networks =
            self.observed.networks.iter().filter_map(|known| Some((Action::RemoveNetwork, orphan(&known.labels)?, known.name.clone())));
        let mut all: Vec<_> = containers.chain(networks).collect();
        all.sort_unstable_by_key(|(action, _, name)| (*action == Action::RemoveNetwork, name.clone()));
        for (action, id, name) in all {
            self.step(action, Some(&id), &name, "orphan: its application is not in config.yml; its data stays");
        }
    }
}
