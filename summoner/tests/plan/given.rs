//! A host as values: what config.yml asks for, and an engine that holds exactly that.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use summoner::config::{self, Config, Surroundings};
use summoner::fault::Source;
use summoner::name::InstanceId;
use summoner::plan::Action;
use summoner::plan::cert;
use summoner::plan::deploy::{Scope, deploy, generation};
use summoner::plan::route::ProxySettings;
use summoner::plan::state::{Container, Health, Image, ImageLock, InstanceMemory, Memory, Network, Observed, Running};
use summoner::plan::wanted::{ContainerWanted, Given, InstanceWanted, Wanted, wanted};

use super::minions;

/// What is wanted and what is there, both to be changed by a test.
pub struct Host {
    pub wanted: Wanted,
    pub observed: Observed,
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn settings() -> ProxySettings {
    ProxySettings::own(80, 443, "summoner-edge")
}

fn config(apps: &str) -> Config {
    let text = format!(
        "version: 1\ndomain: team.test\nemail: you@team.test\ntimezone: UTC\nstorage: {{files: /srv/data, databases: /srv/data/database}}\napps: {apps}\n"
    );
    let surroundings =
        Surroundings { path: Path::new("/srv/team/config.yml"), home: None, host_timezone: "UTC", minions: minions::catalogue() };
    let loaded = config::load(&Source::new("config.yml", text), &surroundings);
    loaded.unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<String>())).0
}

/// What config.yml asks for; `secret` tells whether the secrets exist.
pub fn wants(apps: &str, secret: bool) -> Wanted {
    let config = config(apps);
    let subnets = config.instances.iter().enumerate();
    let subnets: BTreeMap<InstanceId, String> =
        subnets.map(|(at, instance)| (instance.id.clone(), format!("10.213.4.{}/27", 32 * at))).collect();
    let given = Given {
        secret: &|_, name| secret.then(|| format!("the-{name}")),
        edge_subnet: "10.213.0.0/22",
        subnets: &subnets,
        minions: &|name| minions::catalogue().get(name).cloned(),
    };
    wanted(&config, &given).unwrap()
}

impl Host {
    /// Nothing is there.
    pub fn empty(apps: &str) -> Self {
        let wanted = wants(apps, false);
        let folders = wanted.instances.iter().flat_map(|instance| &instance.folders).map(|folder| folder.path.clone());
        let observed = Observed { absent_folders: folders.collect(), range: RANGE.into(), ..Observed::default() };
        Self { wanted, observed }
    }

    /// Everything is there as asked.
    pub fn installed(apps: &str) -> Self {
        let wanted = wants(apps, true);
        let networks = std::iter::once(&wanted.edge).chain(wanted.instances.iter().filter_map(|instance| instance.network.as_ref()));
        let networks = networks.map(|network| Network {
            id: format!("id-of-{}", network.name),
            name: network.name.clone(),
            labels: network.labels.clone(),
            subnets: vec![network.subnet.clone()],
            internal: false,
        });
        let containers = || wanted.instances.iter().flat_map(|instance| &instance.containers);
        let hosts = || wanted.instances.iter().flat_map(|instance| &instance.routes);
        let mut observed = Observed {
            range: RANGE.into(),
            containers: containers().map(container).collect(),
            networks: networks.collect(),
            images: containers().map(|container| (container.image.clone(), image(&container.image))).collect(),
            memory: Memory {
                version: 1,
                network_range: Some(RANGE.into()),
                instances: wanted.instances.iter().map(|instance| (instance.id.clone(), memory(instance))).collect(),
                nginx: None,
            },
            certificates: hosts().map(|route| (route.host.clone(), certificate(&route.names()))).collect(),
            authority: Some("01".into()),
            served: hosts().map(|route| route.host.clone()).collect(),
            ..Observed::default()
        };
        observed.generation = Some(generation(&wanted, &observed, &Scope::default(), &settings()).id);
        Self { wanted, observed }
    }

    /// The plan of everything, one step a line.
    pub fn plan(&self) -> String {
        self.plan_of(&Scope::default())
    }

    pub fn plan_of(&self, scope: &Scope) -> String {
        let plan = deploy(&self.wanted, &self.observed, scope, &settings(), now());
        let steps = plan.steps.iter().map(|step| {
            let whose = step.instance.as_ref().map_or_else(|| "host".into(), ToString::to_string);
            let text = if step.action == Action::Route { step.to_string().replace(&step.object, "GENERATION") } else { step.to_string() };
            format!("{whose} | {text}")
        });
        let obstacles = plan.obstacles.iter().map(|found| format!("{} ! {}; {}", found.instance, found.message, found.hint));
        steps.chain(obstacles).collect::<Vec<_>>().join("\n")
    }

    /// A container that is there.
    pub fn container(&mut self, name: &str) -> &mut Container {
        self.observed.containers.iter_mut().find(|known| known.name == name).unwrap()
    }

    pub fn memory(&mut self, id: &str) -> &mut InstanceMemory {
        self.observed.memory.instances.get_mut(&id.parse().unwrap()).unwrap()
    }
}

fn container(wanted: &ContainerWanted) -> Container {
    Container {
        id: format!("id-of-{}", wanted.name),
        name: wanted.name.clone(),
        image: wanted.image.clone(),
        image_id: image(&wanted.image).id,
        labels: wanted.labels.clone(),
        running: Running::Running,
        health: Health::Healthy,
        status: "Up 3 days (healthy)".into(),
        networks: wanted.body.networks.keys().map(|name| (name.clone(), "10.213.0.9".to_owned())).collect(),
        network_ids: wanted.body.networks.keys().map(|name| (name.clone(), format!("id-of-{name}"))).collect(),
        published: Vec::new(),
        created_at: 1_799_000_000,
    }
}

/// The range of our networks.
const RANGE: &str = "10.213.0.0/16";

pub fn image(reference: &str) -> Image {
    Image {
        id: format!("sha256:{}", reference.replace([':', '/'], "-")),
        tags: vec![reference.to_owned()],
        digests: vec![format!("{}@sha256:d", reference.split(':').next().unwrap_or_default())],
        labels: BTreeMap::new(),
    }
}

fn memory(instance: &InstanceWanted) -> InstanceMemory {
    let lock = |container: &ContainerWanted| {
        let image = image(&container.image);
        (container.image.clone(), ImageLock { id: image.id, digest: image.digests.first().cloned() })
    };
    InstanceMemory {
        subnet: instance.network.as_ref().map(|network| network.subnet.clone()),
        images: instance.containers.iter().map(lock).collect(),
        installed_at: Some(now()),
        administrator_at: Some(now()),
        configured: Some(instance.hash()),
        proven: Some(instance.hash()),
        refused: BTreeMap::new(),
        stopped: false,
    }
}

fn certificate(names: &[summoner::name::Domain]) -> cert::Observed {
    cert::Observed {
        host: names[0].clone(),
        names: names.iter().map(ToString::to_string).collect(),
        issuer: "Summoner CA team.test".into(),
        issuer_key: "01".into(),
        not_before: now() - TimeDelta::days(1),
        not_after: now() + TimeDelta::days(89),
        fingerprint: "ab".into(),
    }
}
