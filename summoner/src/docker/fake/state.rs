//! What the engine holds, and Docker's rules for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rand::RngExt;
use sha2::{Digest, Sha256};

use super::listen::{Listener, listen};
use super::{Behaviour, Fault, SharedProgram, refuse};
use crate::compose::{MountKind, Port, Service};
use crate::docker::{Container, CreateSpec, Health, Image, Network, NetworkSpec, Running};
use crate::error::Result;
use crate::plan::subnet::Cidr;

/// How many looks find a container starting before it is healthy.
const LOOKS: u32 = 1;
/// How many addresses are tried for a program's ports.
const ADDRESSES: usize = 20;

/// Everything.
#[derive(Default)]
pub(super) struct State {
    pub images: Vec<Image>,
    /// Every image that the registry ever gave, by digest.
    pub registry: BTreeMap<String, Image>,
    /// How often a tag was moved in the registry.
    pub moved: BTreeMap<String, u32>,
    /// What the registry says of references that it does not give.
    pub refused: BTreeMap<String, String>,
    pub networks: Vec<Network>,
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    pub containers: Vec<Known>,
    /// Ports that something outside Docker holds.
    pub busy_ports: BTreeSet<u16>,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub programs: BTreeMap<String, SharedProgram>,
    pub logs: BTreeMap<String, String>,
    pub calls: Vec<String>,
    /// The exit codes of commands whose streams are held.
    pub sessions: Vec<Arc<AtomicI64>>,
    pub fault: Option<(usize, Fault)>,
    /// What happened, and who listens.
    pub heard: super::events::Heard,
    made: u64,
}

/// A container: what the list shows, and the rest.
pub(super) struct Known {
    pub shown: Container,
    pub service: Service,
    pub exit_code: Option<i64>,
    pub error: Option<String>,
    pub restarts: i64,
    pub looks: u32,
    /// Stopped by a person: only `restart: always` brings it back.
    pub by_hand: bool,
    listeners: Vec<Listener>,
}

impl Known {
    fn is(&self, container: &str) -> bool {
        self.shown.id == container || self.shown.name == container
    }

    fn has_check(&self) -> bool {
        self.service.healthcheck.as_ref().is_some_and(|check| check.test.first().is_none_or(|word| word != "NONE"))
    }

    fn comes_back(&self) -> bool {
        !matches!(self.service.restart.as_deref(), None | Some("no"))
    }

    /// It ends, or is made to.
    pub fn end(&mut self, code: i64, by_hand: bool) {
        self.shown.running = Running::Exited;
        self.exit_code = Some(code);
        self.by_hand = by_hand;
        self.listeners.clear();
        self.shown.networks.values_mut().for_each(String::clear);
        self.shown.published.clear();
        self.describe(Health::None);
    }

    /// A new address, on which its program answers.
    fn address(&mut self, program: Option<&SharedProgram>) -> String {
        let (address, listeners) = program.map_or_else(|| (address(), Vec::new()), answering);
        self.listeners.extend(listeners);
        address.to_string()
    }

    /// Health, and the words of the list.
    pub fn describe(&mut self, health: Health) {
        let code = self.exit_code.unwrap_or(0);
        self.shown.health = health;
        self.shown.status = match (self.shown.running, health) {
            (Running::Created, _) => "Created".to_owned(),
            (Running::Running, Health::None) => "Up 1 second".to_owned(),
            (Running::Running, Health::Starting) => "Up 1 second (health: starting)".to_owned(),
            (Running::Running, other) => format!("Up 1 second ({})", other.as_str()),
            (Running::Restarting, _) => format!("Restarting ({code}) 1 second ago"),
            (Running::Paused, _) => "Up 1 second (Paused)".to_owned(),
            (Running::Exited, _) => format!("Exited ({code}) 1 second ago"),
            (Running::Dead, _) => "Dead".to_owned(),
        };
    }
}

impl State {
    pub fn id(&mut self) -> String {
        self.made += 1;
        hex::encode(Sha256::digest(self.made.to_be_bytes()))
    }

    pub fn find(&mut self, container: &str) -> Option<&mut Known> {
        self.containers.iter_mut().find(|known| known.is(container))
    }

    /// The name behind a name or id, for the list of calls.
    pub fn name(&self, container: &str) -> String {
        self.containers.iter().find(|known| known.is(container)).map_or_else(|| container.to_owned(), |known| known.shown.name.clone())
    }

    /// The container, or Docker's refusal.
    pub fn need(&mut self, container: &str, doing: &str) -> Result<&mut Known> {
        match self.containers.iter().position(|known| known.is(container)) {
            Some(at) => Ok(&mut self.containers[at]),
            None => refuse(doing, 404, format!("No such container: {container}")),
        }
    }

    pub fn image(&self, reference: &str) -> Option<&Image> {
        let stands_for = |image: &&Image| {
            image.id == reference || image.tags.iter().any(|tag| tag == reference) || image.digests.iter().any(|digest| digest == reference)
        };
        self.images.iter().find(stands_for)
    }

    /// What the registry holds under a reference; the tag leads to it from now on.
    pub fn fetch(&mut self, reference: &str) -> Option<Image> {
        if let Some(image) = self.registry.get(reference) {
            let image = image.clone();
            self.images.retain(|known| known.id != image.id);
            self.images.push(image.clone());
            return Some(image);
        }
        if reference.contains('@') {
            return None;
        }
        let version = self.moved.get(reference).copied().unwrap_or(0);
        let hash = |what: &str| format!("sha256:{}", hex::encode(Sha256::digest(format!("{what} {reference} {version}"))));
        let repository = reference.rsplit_once(':').map_or(reference, |(repository, _)| repository);
        let digest = format!("{repository}@{}", hash("manifest"));
        let mut image = Image { id: hash("image"), tags: Vec::new(), digests: vec![digest.clone()], labels: BTreeMap::new() };
        self.registry.insert(digest, image.clone());
        for known in &mut self.images {
            known.tags.retain(|tag| tag != reference);
        }
        self.images.retain(|known| known.id != image.id);
        image.tags = vec![reference.to_owned()];
        self.images.push(image.clone());
        Some(image)
    }

    pub fn create_network(&mut self, spec: &NetworkSpec) -> Result<()> {
        let doing = format!("make the network {} ({})", spec.name, spec.subnet);
        if self.networks.iter().any(|known| known.name == spec.name) {
            return refuse(&doing, 409, format!("network with name {} already exists", spec.name));
        }
        let Ok(wanted) = spec.subnet.parse::<Cidr>() else {
            return refuse(&doing, 400, format!("invalid network config: invalid subnet {}", spec.subnet));
        };
        let others = self.networks.iter().flat_map(|known| &known.subnets).filter_map(|subnet| subnet.parse::<Cidr>().ok());
        if others.into_iter().any(|other| other.overlaps(wanted)) {
            return refuse(&doing, 403, "invalid pool request: Pool overlaps with other one on this address space");
        }
        let network = Network {
            id: self.id(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            subnets: vec![spec.subnet.clone()],
            internal: spec.internal,
        };
        self.networks.push(network);
        Ok(())
    }

    pub fn remove_network(&mut self, name: &str) -> Result<()> {
        let user = self.containers.iter().find(|known| known.shown.networks.get(name).is_some_and(|address| !address.is_empty()));
        if let Some(user) = user {
            let words = format!("error while removing network: network {name} has active endpoints (name:\"{}\")", user.shown.name);
            return refuse(&format!("remove the network {name}"), 403, words);
        }
        self.networks.retain(|known| known.name != name);
        Ok(())
    }

    pub fn connect(&mut self, network: &str, container: &str) -> Result<()> {
        let doing = format!("join {container} to the network {network}");
        let Some(id) = self.networks.iter().find(|known| known.name == network).map(|known| known.id.clone()) else {
            return refuse(&doing, 404, format!("network {network} not found"));
        };
        let program = self.programs.get(&self.name(container)).cloned();
        let known = self.need(container, &doing)?;
        if known.shown.networks.contains_key(network) {
            return Ok(());
        }
        let runs = matches!(known.shown.running, Running::Running | Running::Paused);
        let address = if runs { known.address(program.as_ref()) } else { String::new() };
        known.shown.networks.insert(network.to_owned(), address);
        known.shown.network_ids.insert(network.to_owned(), id);
        self.joins("connect", network, container);
        Ok(())
    }

    pub fn create(&mut self, spec: &CreateSpec<'_>) -> Result<String> {
        let doing = format!("make the container {}", spec.name);
        if let Some(other) = self.containers.iter().find(|known| known.shown.name == spec.name) {
            return refuse(&doing, 409, conflict(spec.name, &other.shown.id));
        }
        let Some(image_id) = self.image(spec.image).map(|image| image.id.clone()) else {
            return refuse(&doing, 404, format!("No such image: {}", spec.image));
        };
        let binds = spec.service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind).filter_map(|mount| mount.source.as_deref());
        for source in binds.chain(spec.files.iter().map(|(source, _)| source.as_str())) {
            if !std::path::Path::new(source).exists() {
                let words = format!("invalid mount config for type \"bind\": bind source path does not exist: {source}");
                return refuse(&doing, 400, words);
            }
        }
        let id = self.id();
        let mut known = Known {
            shown: Container {
                id: id.clone(),
                name: spec.name.to_owned(),
                image: spec.image.to_owned(),
                image_id,
                labels: spec.labels.clone(),
                running: Running::Created,
                health: Health::None,
                status: String::new(),
                networks: spec.service.networks.keys().map(|name| (name.clone(), String::new())).collect(),
                network_ids: BTreeMap::new(),
                published: Vec::new(),
                created_at: i64::try_from(self.made).unwrap_or(i64::MAX),
            },
            service: spec.service.clone(),
            exit_code: None,
            error: None,
            restarts: 0,
            looks: 0,
            by_hand: false,
            listeners: Vec::new(),
        };
        known.describe(Health::None);
        self.containers.push(known);
        Ok(id)
    }

    pub fn rename(&mut self, container: &str, name: &str) -> Result<()> {
        let doing = format!("rename the container {container} to {name}");
        if let Some(other) = self.containers.iter().find(|known| known.shown.name == name) {
            return refuse(&doing, 409, conflict(name, &other.shown.id));
        }
        self.need(container, &doing)?.shown.name = name.to_owned();
        self.happens("rename", name);
        Ok(())
    }

    pub fn start(&mut self, container: &str) -> Result<()> {
        let doing = format!("start the container {container}");
        let known = self.need(container, &doing)?;
        match known.shown.running {
            Running::Running | Running::Restarting => return Ok(()),
            Running::Paused => return refuse(&doing, 409, "cannot start a paused container, try unpause instead"),
            _ => {}
        }
        let (id, wanted_ports) = (known.shown.id.clone(), known.service.ports.clone());
        let ids = match self.endpoints(&id) {
            Ok(ids) => ids,
            Err(words) => return self.failed(&id, &doing, 404, words),
        };
        if let Some(port) = self.taken(&id, &wanted_ports) {
            let words = format!(
                "driver failed programming external connectivity on endpoint {container}: Bind for 0.0.0.0:{port} failed: port is already allocated"
            );
            return self.failed(&id, &doing, 500, words);
        }
        let name = self.name(&id);
        let program = self.programs.get(&name).cloned();
        let behaviour = match program.as_ref().and_then(|program| program.start()) {
            Some(code) => Behaviour::Exits(code),
            None => self.behaviours.get(&name).copied().unwrap_or_default(),
        };
        let known = self.need(&id, &doing)?;
        known.error = None;
        known.restarts = 0;
        known.looks = 0;
        known.by_hand = false;
        known.shown.network_ids = ids;
        if let Behaviour::Exits(code) = behaviour {
            known.end(code, false);
            if known.comes_back() {
                known.shown.running = Running::Restarting;
                known.describe(Health::None);
            }
            self.happens("start", &id);
            self.happens("die", &id);
            return Ok(());
        }
        known.exit_code = Some(0);
        known.shown.running = Running::Running;
        known.shown.published = wanted_ports.iter().filter_map(|port| port.published).collect();
        known.listeners.clear();
        for network in known.shown.networks.keys().cloned().collect::<Vec<_>>() {
            let address = known.address(program.as_ref());
            known.shown.networks.insert(network, address);
        }
        let health = if known.has_check() { Health::Starting } else { Health::None };
        known.describe(health);
        let networks: Vec<String> = known.shown.networks.keys().cloned().collect();
        networks.iter().for_each(|network| self.joins("connect", network, &id));
        self.happens("start", &id);
        Ok(())
    }

    /// The networks that a container starts on: those that it knows by id, else by name.
    fn endpoints(&self, id: &str) -> Result<BTreeMap<String, String>, String> {
        let Some(known) = self.containers.iter().find(|known| known.shown.id == id) else { return Ok(BTreeMap::new()) };
        let found = known.shown.networks.keys().map(|name| {
            let of_before = known.shown.network_ids.get(name);
            let network = self.networks.iter().find(|network| of_before.map_or(network.name == *name, |id| network.id == *id));
            let found = network.map(|network| (name.clone(), network.id.clone()));
            found.ok_or_else(|| format!("network {} not found", of_before.unwrap_or(name)))
        });
        found.collect()
    }

    /// The first of these ports that something else holds.
    fn taken(&self, id: &str, ports: &[Port]) -> Option<u16> {
        let others = || self.containers.iter().filter(|known| known.shown.id != id);
        let held = |port: &u16| self.busy_ports.contains(port) || others().any(|known| known.shown.published.contains(port));
        ports.iter().filter_map(|port| port.published).find(held)
    }

    fn failed(&mut self, id: &str, doing: &str, status: u16, words: String) -> Result<()> {
        self.need(id, doing)?.error = Some(words.clone());
        refuse(doing, status, words)
    }

    /// Time passes for a container that is looked at.
    pub fn looked(&mut self, container: &str) {
        let Some(known) = self.containers.iter().position(|known| known.is(container)) else { return };
        let behaviour = self.behaviours.get(&self.containers[known].shown.name).copied().unwrap_or_default();
        let known = &mut self.containers[known];
        known.looks += 1;
        if known.shown.running == Running::Restarting {
            known.restarts += 1;
        }
        if known.shown.running == Running::Running && known.has_check() && known.looks > LOOKS {
            known.describe(if behaviour == Behaviour::Unhealthy { Health::Unhealthy } else { Health::Healthy });
        }
    }

    /// The daemon or the machine was restarted: what may comes back, on other addresses.
    pub fn restart(&mut self) -> Result<()> {
        let mut back = Vec::new();
        for known in &mut self.containers {
            let ran = matches!(known.shown.running, Running::Running | Running::Restarting | Running::Paused);
            let always = known.service.restart.as_deref() == Some("always");
            if known.comes_back() && (ran || (always && known.by_hand)) {
                back.push(known.shown.id.clone());
            }
            if ran {
                known.end(255, false);
            }
        }
        back.iter().try_for_each(|id| self.start(id))
    }
}

fn conflict(name: &str, id: &str) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    )
}

/// A loopback address of its own: tests of one machine run side by side.
fn address() -> Ipv4Addr {
    let mut random = rand::rng();
    Ipv4Addr::new(127, random.random_range(1..=254), random.random_range(0..=255), random.random_range(1..=254))
}

/// An address on which all ports of a program answer.
fn answering(program: &SharedProgram) -> (Ipv4Addr, Vec<Listener>) {
    let all = |address: Ipv4Addr| program.ports().into_iter().map(|port| listen(address, port, program.clone())).collect::<Result<_, _>>();
    let found = (0..ADDRESSES).find_map(|_| {
        let address = address();
        Some((address, all(address).ok()?))
    });
    found.unwrap_or_else(|| (address(), Vec::new()))
}
