//! Looks at the host and the engine once, and gives what is wanted beside what is there.
//!
//! Changes nothing. Two calls of the engine for everything (containers, networks), one more for each image wanted and for
//! each stranger's container on the proxy's network; nginx is asked what it can once for each of its containers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::acme;
use crate::config::Config;
use crate::config::certificates::Issuer;
use crate::disk;
use crate::docker::{Described, Engine};
use crate::error::{Error, Result};
use crate::minion::catalogue::Catalogue;
use crate::name::{Domain, InstanceId};
use crate::nginx;
use crate::nginx::files::{self, Folders};
use crate::plan::cert::{self, Lying, Signer};
use crate::plan::deploy;
use crate::plan::route::resolve::Asking;
use crate::plan::state::{Container, Image, KnownNginx, Memory, Network, Observed, Running};
use crate::plan::subnet::{Cidr, free_range};
use crate::plan::wanted::{ContainerWanted, Given, InstanceWanted, LABEL_OWNER, Wanted, wanted};
use crate::state::{self, secrets};

/// What is wanted and what is there.
#[derive(Debug)]
pub struct Situation {
    /// What is wanted.
    pub wanted: Wanted,
    /// What is there.
    pub observed: Observed,
    /// Subnets of the instances' own networks.
    pub subnets: BTreeMap<InstanceId, String>,
}

impl Situation {
    /// The container that stands for a service of an instance now.
    #[must_use]
    pub fn chosen(&self, instance: &InstanceWanted, container: &ContainerWanted) -> Option<&Container> {
        deploy::chosen(&self.wanted, &self.observed, &instance.id, container)
    }
}

/// Secrets that one instance shall have, instead of those on disk.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    /// Whose.
    pub instance: &'a InstanceId,
    /// By name.
    pub secrets: &'a BTreeMap<String, String>,
}

/// Looks at everything.
///
/// # Errors
/// The engine does not answer, the state is damaged, a minion is broken, no private range is free.
pub async fn observe<E: Engine>(engine: &E, config: &Config, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<Situation> {
    observe_with(engine, config, catalogue, now, None).await
}

/// As [`observe`], with the secrets that an instance will have.
///
/// # Errors
/// As [`observe`].
pub async fn observe_with<E: Engine>(
    engine: &E,
    config: &Config,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
    overlay: Option<Overlay<'_>>,
) -> Result<Situation> {
    let layout = &config.layout;
    let memory = state::load(layout)?;
    let (containers, networks) = tokio::try_join!(engine.containers(), engine.networks())?;
    let range = range(config, &memory, &networks)?;
    let subnets = subnets(config, &memory, &networks, range)?;
    let wanted = resolve(config, catalogue, range, &subnets, overlay)?;
    let mut observed = Observed { containers, networks, memory, range: range.to_string(), ..Observed::default() };
    observed.images = images(engine, &wanted, &observed.memory).await?;
    observed.absent_folders = wanted
        .instances
        .iter()
        .flat_map(|instance| &instance.folders)
        .filter(|folder| !folder.path.is_dir())
        .map(|folder| folder.path.clone())
        .collect();
    observed.asking = asking(engine, config, &observed.containers).await?;
    proxy(engine, config, catalogue, &wanted, &mut observed).await?;
    if layout.authority().exists() {
        observed.authority = Some(acme::Authority::open(layout, &config.domain, now)?.key_id().to_owned());
    }
    certificates(config, &wanted, &mut observed)?;
    let proxy = nginx::Nginx::new(engine, layout, "");
    observed.generation = proxy.whole()?;
    observed.served = proxy.hosts()?;
    Ok(Situation { wanted, observed, subnets })
}

/// What lies there for each host, and who signs for it.
fn certificates(config: &Config, wanted: &Wanted, observed: &mut Observed) -> Result<()> {
    let layout = &config.layout;
    let (places, known) = (acme::Places::of(layout), acme::remembered(&acme::Places::of(layout))?);
    let hosts = wanted.instances.iter().flat_map(|instance| &instance.routes).map(|route| &route.host);
    let hosts: BTreeSet<Domain> = hosts.chain(observed.outside.iter().filter_map(|names| names.first())).cloned().collect();
    for host in hosts {
        if matches!(acme::look(&places, host.as_str(), &known)?, Lying::Theirs(_) | Lying::Broken(_)) {
            observed.not_ours_to_sign.insert(host.clone(), Signer::Person);
        } else if config.certificates.issuer_of(host.as_str()) == Issuer::Acme {
            observed.not_ours_to_sign.insert(host.clone(), Signer::Network);
        }
        if let Some(certificate) = acme::observe(layout, &host)? {
            observed.certificates.insert(host, certificate);
        }
    }
    Ok(())
}

/// What the owner of the proxy put there, what containers want certificates for, and what nginx can.
async fn proxy<E: Engine>(engine: &E, config: &Config, catalogue: &Catalogue, wanted: &Wanted, observed: &mut Observed) -> Result<()> {
    let folders = Folders::of(&config.layout);
    observed.files = files::read(&folders)?;
    observed.error_page = folders.html.join(files::ERROR_PAGE).is_file();
    let all = cert::of_all(config, &cert::hosts(config, catalogue)?, &observed.asking);
    let routes = cert::of_routes(config).map(|(host, aliases)| std::iter::once(host).chain(aliases).collect());
    observed.outside = routes.chain(all.own).collect();
    observed.nginx = nginx_of(engine, wanted, observed).await?;
    Ok(())
}

/// What the proxy's nginx can: remembered, else asked. None while it does not run, or does not answer: then the tag of its
/// image has to tell.
async fn nginx_of<E: Engine>(engine: &E, wanted: &Wanted, observed: &Observed) -> Result<Option<KnownNginx>> {
    let proxy = wanted.instances.iter().find(|instance| instance.proxy);
    let container = proxy.and_then(|proxy| deploy::chosen(wanted, observed, &proxy.id, proxy.containers.first()?));
    let Some(container) = container else { return Ok(None) };
    if let Some(known) = observed.memory.nginx.as_ref().filter(|known| known.container == container.id) {
        return Ok(Some(known.clone()));
    }
    if container.running != Running::Running {
        return Ok(None);
    }
    match nginx::features::in_container(engine, &container.id).await {
        Ok(features) => Ok(Some(KnownNginx { container: container.id.clone(), features })),
        // It is going down, or is no nginx: the install that follows says so.
        Err(error) => {
            tracing::debug!(%error, "nginx does not say what it can");
            Ok(None)
        }
    }
}

/// The containers of others on the proxy's network that ask for something, by name.
///
/// # Errors
/// The engine does not answer.
pub async fn asking<E: Engine>(engine: &E, config: &Config, containers: &[Container]) -> Result<Vec<Asking>> {
    let owner = config.layout.files.display().to_string();
    let stranger = |known: &Container| known.networks.contains_key(&config.edge_network) && known.labels.get(LABEL_OWNER) != Some(&owner);
    let ids: Vec<String> = containers.iter().filter(|known| stranger(known)).map(|known| known.id.clone()).collect();
    let questions = ids.into_iter().map(|id| async move { engine.describe(&id).await });
    let found: Vec<Option<Described>> = stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
    // One that went away meanwhile asks for nothing.
    let mut asking: Vec<Asking> = found.into_iter().flatten().filter_map(nginx::asking::asking).collect();
    asking.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(asking)
}

fn resolve(
    config: &Config,
    catalogue: &Catalogue,
    range: Cidr,
    subnets: &BTreeMap<InstanceId, String>,
    overlay: Option<Overlay<'_>>,
) -> Result<Wanted> {
    // The resolver is pure and asks for one value at a time; the first unreadable secret is remembered here.
    let unreadable = RefCell::new(None);
    let laid_over = |id: &InstanceId, name: &str| overlay.filter(|over| over.instance == id)?.secrets.get(name).cloned();
    let on_disk = |id: &InstanceId, name: &str| match secrets::read(&config.layout, id, name) {
        Ok(value) => value,
        Err(error) => {
            unreadable.borrow_mut().get_or_insert(error);
            None
        }
    };
    let secret = |id: &InstanceId, name: &str| laid_over(id, name).or_else(|| on_disk(id, name));
    let minions = |name: &str| catalogue.get(name).cloned();
    let edge = range.edge().to_string();
    let wanted = wanted(config, &Given { secret: &secret, edge_subnet: &edge, subnets, minions: &minions })?;
    match unreadable.into_inner() {
        Some(error) => Err(error),
        None => Ok(wanted),
    }
}

/// The range of our networks: the remembered one, unless somebody took it before we had a network in it.
fn range(config: &Config, memory: &Memory, networks: &[Network]) -> Result<Cidr> {
    let owner = config.layout.files.display().to_string();
    let ours = |network: &Network| network.labels.get(LABEL_OWNER) == Some(&owner);
    let remembered = memory.network_range.as_deref().map(str::parse::<Cidr>).transpose().map_err(Error::usage)?;
    if let Some(range) = remembered {
        let free = !taken(networks, |network| !ours(network)).any(|other| other.overlaps(range));
        if free || networks.iter().any(ours) {
            return Ok(range);
        }
    }
    if let Some(text) = &config.network_range {
        return text.parse().map_err(Error::usage);
    }
    let in_use: Vec<Cidr> = taken(networks, |_| true).chain(host_routes()?).collect();
    free_range(&in_use)
        .ok_or_else(|| Error::external("no private network range is free on this host").next("name one in config.yml: networks.range"))
}

fn subnets(config: &Config, memory: &Memory, networks: &[Network], range: Cidr) -> Result<BTreeMap<InstanceId, String>> {
    let owner = config.layout.files.display().to_string();
    let mut taken: Vec<Cidr> =
        taken(networks, |network| network.labels.get(LABEL_OWNER) != Some(&owner) || network.name != config.edge_network).collect();
    taken.extend(memory.instances.values().filter_map(|instance| instance.subnet.as_deref()?.parse::<Cidr>().ok()));
    let mut subnets = BTreeMap::new();
    for instance in &config.instances {
        let id = &instance.id;
        let there = networks.iter().find(|network| network.name == id.to_string() && network.labels.get(LABEL_OWNER) == Some(&owner));
        let within = |subnet: &String| subnet.parse::<Cidr>().is_ok_and(|subnet| subnet.overlaps(range));
        let remembered = || memory.instance(id)?.subnet.clone().filter(within);
        let known = there.and_then(|network| network.subnets.first().cloned()).or_else(remembered);
        let subnet = match known {
            Some(subnet) => subnet,
            None => {
                let piece = range.free_piece(&taken).ok_or_else(|| {
                    Error::external(format!("the range {range} has no room for another network"))
                        .next("name a larger range in config.yml: networks.range (a /16 holds about 2,000 instances)")
                })?;
                taken.push(piece);
                piece.to_string()
            }
        };
        subnets.insert(id.clone(), subnet);
    }
    Ok(subnets)
}

fn taken<'a>(networks: &'a [Network], counts: impl Fn(&Network) -> bool + 'a) -> impl Iterator<Item = Cidr> + 'a {
    networks.iter().filter(move |network| counts(network)).flat_map(|network| &network.subnets).filter_map(|subnet| subnet.parse().ok())
}

/// Networks that the host can reach: `/proc/net/route`, little-endian hexadecimal.
fn host_routes() -> Result<Vec<Cidr>> {
    let path = Path::new("/proc/net/route");
    let text = String::from_utf8_lossy(&disk::read_if_there(path, 1 << 20)?.unwrap_or_default()).into_owned();
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = u32::from_str_radix(fields.get(1)?, 16).ok()?.swap_bytes();
        let mask = u32::from_str_radix(fields.get(7)?, 16).ok()?.swap_bytes();
        // The default route leads everywhere and takes nothing.
        (mask != 0).then(|| Cidr::new(address.into(), u8::try_from(mask.count_ones()).unwrap_or(32)))
    };
    Ok(text.lines().skip(1).filter_map(parse).collect())
}

/// How many questions are asked of the engine at once.
const AT_ONCE: usize = 8;

/// The images that are wanted and here: the locked one where there is a lock, else what the reference stands for now.
async fn images<E: Engine>(engine: &E, wanted: &Wanted, memory: &Memory) -> Result<BTreeMap<String, Image>> {
    let mut asked = BTreeSet::new();
    for instance in &wanted.instances {
        for container in &instance.containers {
            let locked = memory.lock(&instance.id, &container.image).map_or(container.image.as_str(), |lock| lock.id.as_str());
            asked.insert((locked.to_owned(), container.image.clone()));
        }
    }
    let questions = asked.into_iter().map(|(locked, reference)| async move { Ok::<_, Error>((reference, engine.image(&locked).await?)) });
    let answers: Vec<(String, Option<Image>)> = stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().filter_map(|(reference, image)| Some((reference, image?))).collect())
}
