//! What the engine should hold: config.yml and the catalogue, resolved to containers, networks and folders.
//!
//! Pure: secrets, subnets and the host's facts are handed in. The same input gives the same bytes, so the hash of a
//! container's specification tells whether it must be made again.

mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::compose::Service;
use crate::config::{self, Access, Config};
use crate::error::Result;
use crate::minion::{Action, Administrator, Database, Exec, Minion, OwnDump, RestorePolicy, Route, SecretSpec, SignIn, Smoke};
use crate::name::{Domain, InstanceId, Role};

/// Label of everything that is ours: the storage root of the installation it belongs to.
pub const LABEL_OWNER: &str = "summoner.root";
/// Label with the instance's id.
pub const LABEL_INSTANCE: &str = "summoner.instance";
/// Label with the minion's name.
pub const LABEL_MINION: &str = "summoner.minion";
/// Label with the container's role.
pub const LABEL_ROLE: &str = "summoner.role";
/// Label with the database kind.
pub const LABEL_DATABASE: &str = "summoner.database";
/// Label of what a drill made: the storage root of the installation whose drill it is.
pub const LABEL_DRILL: &str = "summoner.drill";
/// Compose's label with the service's name.
pub const LABEL_SERVICE: &str = "com.docker.compose.service";
/// Compose's label with the hash of the specification.
pub const LABEL_HASH: &str = "com.docker.compose.config-hash";

/// Everything that config.yml asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The storage root: the mark of this installation.
    pub owner: String,
    /// The network where applications meet the proxy.
    pub edge: NetworkWanted,
    /// The proxy first, then the order of the file.
    pub instances: Vec<InstanceWanted>,
    /// Hosts that lead to something that is no instance.
    pub routes: Vec<config::Route>,
}

/// A network to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkWanted {
    /// Its name.
    pub name: String,
    /// Its subnet.
    pub subnet: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An instance to have.
#[derive(Debug, Clone)]
pub struct InstanceWanted {
    /// Its id.
    pub id: InstanceId,
    /// Its minion.
    pub minion: String,
    /// It is the proxy.
    pub proxy: bool,
    /// Where people go.
    pub url: Option<String>,
    /// Its own network; the proxy has none.
    pub network: Option<NetworkWanted>,
    /// Named volumes, with labels.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Containers in the order in which they start.
    pub containers: Vec<ContainerWanted>,
    /// Folders on the host.
    pub folders: Vec<FolderWanted>,
    /// Its secrets; those that do not exist yet are generated first.
    pub secrets: Vec<SecretSpec>,
    /// Names of secrets that do not exist yet.
    pub absent_secrets: Vec<String>,
    /// Host names and where they lead.
    pub routes: Vec<RouteWanted>,
    /// How its first administrator comes to be.
    pub administrator: Option<Administrator>,
    /// Settings made when the administrator is there and the route is not yet open.
    pub configure: Vec<Action>,
    /// What proves that it works.
    pub smoke: Option<Smoke>,
    /// Where people sign in, for the proxy to watch.
    pub sign_in: Vec<SignIn>,
    /// Who may come to it.
    pub access: Access,
    /// What backups and restores must know.
    pub keeping: Keeping,
}

/// What backups and restores must know of an instance; commands are filled in.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// Its databases.
    pub databases: Vec<Database>,
    /// Folders that a backup leaves out, absolute.
    pub regenerable: Vec<PathBuf>,
    /// Makes the application stand still without a stop.
    pub quiesce: Vec<Exec>,
    /// Lets it go on.
    pub unquiesce: Vec<Exec>,
    /// What follows a restore.
    pub after_restore: Vec<Exec>,
    /// How it dumps a database that is part of it.
    pub dump: Option<OwnDump>,
    /// Variables that keep the application from sending mail, for a drill.
    pub mail: BTreeMap<String, String>,
    /// Which version may read the data of a snapshot.
    pub policy: RestorePolicy,
    /// The tag of the application's image.
    pub version: Option<String>,
}

/// A container to have.
#[derive(Debug, Clone)]
pub struct ContainerWanted {
    /// Its name.
    pub name: String,
    /// Its service in the Compose file.
    pub service: String,
    /// What it is.
    pub role: Role,
    /// Image reference.
    pub image: String,
    /// Everything else; networks by their real names, paths absolute.
    pub body: Service,
    /// All labels, the hash among them.
    pub labels: BTreeMap<String, String>,
    /// Secret and config files: path on the host, path inside.
    pub files: Vec<(String, String)>,
    /// Hash of the specification.
    pub hash: String,
}

/// A folder to have on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderWanted {
    /// Absolute.
    pub path: PathBuf,
    /// uid and gid; None leaves root.
    pub owner: Option<(u32, u32)>,
}

/// A host name and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteWanted {
    /// The name.
    pub host: Domain,
    /// Names that redirect to it.
    pub aliases: Vec<Domain>,
    /// The container behind it, by its name on the edge network.
    pub container: String,
    /// What the proxy must know.
    pub settings: Route,
}

impl InstanceWanted {
    /// Hash of all its containers' specifications.
    #[must_use]
    pub fn hash(&self) -> String {
        let hashes: Vec<&str> = self.containers.iter().map(|container| container.hash.as_str()).collect();
        hex::encode(Sha256::digest(hashes.join("\n")))
    }
}

impl RouteWanted {
    /// All names that its certificate is for, the host first.
    #[must_use]
    pub fn names(&self) -> Vec<Domain> {
        std::iter::once(self.host.clone()).chain(self.aliases.clone()).collect()
    }
}

/// Facts that are not in config.yml.
pub struct Given<'a> {
    /// Value of a secret of an instance, when it exists.
    pub secret: &'a dyn Fn(&InstanceId, &str) -> Option<String>,
    /// Subnet of the edge network.
    pub edge_subnet: &'a str,
    /// Subnet of each instance's own network.
    pub subnets: &'a BTreeMap<InstanceId, String>,
    /// The catalogue.
    pub minions: &'a dyn Fn(&str) -> Result<Minion>,
}

/// Resolves everything that config.yml asks for.
///
/// # Errors
/// A minion that is broken, or whose Compose file does not resolve with these settings.
pub fn wanted(config: &Config, given: &Given<'_>) -> Result<Wanted> {
    let owner = config.layout.files.display().to_string();
    let edge = NetworkWanted {
        name: config.edge_network.clone(),
        subnet: given.edge_subnet.to_owned(),
        labels: BTreeMap::from([(LABEL_OWNER.to_owned(), owner.clone())]),
    };
    let all = std::iter::once(&config.proxy_instance).chain(&config.instances);
    let instances = all.map(|instance| resolve::Resolver { config, given, instance, owner: &owner }.resolve()).collect::<Result<_>>()?;
    Ok(Wanted { owner, edge, instances, routes: config.routes.clone() })
}

/// Every image that config.yml needs, each once, sorted. Needs neither secrets nor an engine.
///
/// # Errors
/// As [`wanted`].
pub fn images(config: &Config, minions: &dyn Fn(&str) -> Result<Minion>) -> Result<BTreeSet<String>> {
    let given = Given { secret: &|_, _| None, edge_subnet: "0.0.0.0/0", subnets: &BTreeMap::new(), minions };
    let wanted = wanted(config, &given)?;
    Ok(wanted.instances.into_iter().flat_map(|instance| instance.containers).map(|container| container.image).collect())
}

/// An instance's id as a Compose project name, which knows no dots; domains know no underscores.
#[must_use]
pub fn project_name(id: &InstanceId) -> String {
    id.to_string().replace('.', "_")
}
