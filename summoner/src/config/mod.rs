//! config.yml, the one file a person edits: text and catalogue in, a resolved [`Config`] or every fault out.
//!
//! Knows today's form and the 2017 form. [`read()`] is all that touches a disk; nothing here writes or asks an engine.
//! Commands, the daemon and the dashboard call it; plans are made from what it gives.

mod access;
mod apps;
mod backup;
mod bans;
pub mod certificates;
pub mod dns;
pub mod edit;
pub mod encryption;
pub mod home;
mod hosts;
mod init;
mod legacy;
mod load;
mod migrate;
pub mod outside;
pub mod quiet;
mod read;
pub mod repositories;
mod routes;
pub mod schedule;
mod schema;
mod show;
mod storage;
mod today;
mod values;
mod written;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use self::quiet::Quiet;
use self::schedule::Times;
use crate::layout::Layout;
use crate::minion::catalogue::Catalogue;
use crate::name::{Domain, InstanceId};

pub use access::Access;
pub use bans::Bans;
pub use init::{InitAnswers, Preset, init, presets};
pub use load::load;
#[cfg(test)]
pub(crate) use load::tests::loaded;
pub use migrate::migrate;
pub use read::read;
pub use routes::{Route, RouteTarget};
pub use schema::schema;
pub use show::{show, show_json};
pub use values::duration as length;

/// The newest form of config.yml that this Summoner reads and writes.
pub const VERSION: i64 = 1;

/// A config.yml with every key, each explained: the reference.
pub const EXAMPLE: &str = include_str!("example.yml");

/// Where applications meet the proxy, unless config.yml names another network.
pub const EDGE_NETWORK: &str = "summoner-edge";

/// What config.yml is read against: everything that is not in the file itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The file, absolute; relative storage roots start at its folder.
    pub path: &'a Path,
    /// What `~` stands for; None when the user has no home.
    pub home: Option<&'a Path>,
    /// IANA name of the host's time zone.
    pub host_timezone: &'a str,
    /// The catalogue.
    pub minions: &'a dyn Minions,
}

/// What config.yml must know of the catalogue.
pub trait Minions {
    /// All names.
    fn names(&self) -> Vec<String>;
    /// The default subdomain of a minion; `@` is the domain itself. None when there is no such minion.
    fn subdomain(&self, minion: &str) -> Option<String>;
    /// Whether it is a reverse proxy.
    fn is_proxy(&self, minion: &str) -> bool;
    /// Whether the proxy routes anything to it.
    fn routed(&self, minion: &str) -> bool;
}

impl Minions for Catalogue {
    fn names(&self) -> Vec<String> {
        Self::names(self).map(str::to_owned).collect()
    }

    fn subdomain(&self, minion: &str) -> Option<String> {
        // A broken minion has a name: its faults are told when it is used.
        Self::names(self)
            .any(|name| name == minion)
            .then(|| self.get(minion).map_or_else(|_| minion.to_owned(), |found| found.subdomain.clone()))
    }

    fn is_proxy(&self, minion: &str) -> bool {
        self.get(minion).is_ok_and(|found| found.proxy)
    }

    fn routed(&self, minion: &str) -> bool {
        self.get(minion).is_ok_and(|found| !found.routes.is_empty())
    }
}

/// What config.yml asks for, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file, absolute.
    pub path: PathBuf,
    /// The first domain.
    pub domain: Domain,
    /// The person to write to; certificates and first administrators use it.
    pub email: String,
    /// Storage roots, absolute.
    pub layout: Layout,
    /// IANA name.
    pub timezone: String,
    /// Whether `install` sees to it that scheduled jobs run.
    pub daemon: bool,
    /// How many scheduled jobs run at once.
    pub parallel: u32,
    /// Who signs certificates.
    pub certificates: certificates::Certificates,
    /// The proxy's own settings.
    pub proxy: Proxy,
    /// When an address is locked out after failed sign-ins.
    pub bans: Bans,
    /// Private range that networks get their subnets from (CIDR); None chooses one that is free on the host.
    pub network_range: Option<String>,
    /// Name of the network where applications meet the proxy; a second installation on one host needs its own.
    pub edge_network: String,
    /// The minion that is the proxy, on the first domain.
    pub proxy_instance: Instance,
    /// Everything else that was asked for, in the order of the file.
    pub instances: Vec<Instance>,
    /// Hosts that lead to something that is no app.
    pub routes: Vec<Route>,
    /// Other places that hold snapshots.
    pub repositories: Vec<repositories::RepositorySettings>,
    /// Public keys that these are encrypted for; none: they are not.
    pub recipients: Vec<String>,
    /// The file with further ones; [`encryption::add_listed`] adds them.
    pub recipients_file: Option<PathBuf>,
    /// How the server is seen from outside.
    pub outside: outside::Outside,
}

impl Config {
    /// The time zone of schedules.
    #[must_use]
    pub fn zone(&self) -> chrono_tz::Tz {
        // Its name was checked when the file was read.
        self.timezone.parse().unwrap_or(chrono_tz::UTC)
    }
}

/// The proxy's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Address on the host that the ports are published on; None is all.
    pub address: Option<IpAddr>,
    /// Port for http.
    pub http_port: u16,
    /// Port for https.
    pub https_port: u16,
    /// Networks of proxies in front of this one, whose word about the client counts.
    pub trusted: Vec<IpNet>,
}

/// One minion on one domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `<app>-<domain>`.
    pub id: InstanceId,
    /// Name in the catalogue.
    pub minion: String,
    /// Where it answers; None when the minion routes nothing.
    pub host: Option<Domain>,
    /// More host names that lead there.
    pub aliases: Vec<Domain>,
    /// Variables that replace or join those of the application's containers.
    pub environment: BTreeMap<String, String>,
    /// Limits that replace those of the application's container.
    pub resources: Resources,
    /// Tag that replaces the catalogue's for the application's image.
    pub version: Option<String>,
    /// Who may come to it.
    pub access: Access,
    /// When it is backed up and what is kept.
    pub backup: Backup,
}

/// Limits of the application's container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory limit.
    pub memory_bytes: Option<u64>,
    /// CPU limit in billionths.
    pub nano_cpus: Option<u64>,
}

/// When an instance is backed up and what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// When databases are dumped; None is never.
    pub dump: Option<Times>,
    /// When files are copied; None is never.
    pub cold: Option<Times>,
    /// When snapshots are read back; None is never.
    pub verify: Option<Times>,
    /// When the newest backup is restored in a throw-away place; None is never.
    pub drill: Option<Times>,
    /// When what is missing at other places is brought there; None is never.
    pub sync: Option<Times>,
    /// When snapshots beyond `keep` are removed; None is never.
    pub forget: Option<Times>,
    /// How many of each to keep.
    pub keep: Keep,
    /// What artefacts are compressed with.
    pub compression: Compression,
    /// Past it a cold backup starts the application and fails; None waits.
    pub downtime_budget: Option<Duration>,
    /// Jobs start up to this much later, each always by the same time.
    pub jitter: Duration,
    /// Hours in which no scheduled job starts.
    pub quiet: Option<Quiet>,
    /// The address that expects to hear of its good backups.
    pub ping: Option<outside::Address>,
}

/// What artefacts are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Faster and smaller.
    Zstd,
    /// For machines that have nothing else to open it.
    Gzip,
}

/// How many good snapshots of each kind to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// One an hour.
    pub hourly: u32,
    /// One a day.
    pub daily: u32,
    /// One a week.
    pub weekly: u32,
    /// One a month.
    pub monthly: u32,
    /// One a year.
    pub yearly: u32,
    /// All that are younger.
    pub within: Option<Duration>,
    /// Never more than this, whatever the others say; the newest always stays.
    pub at_most: Option<u32>,
}
