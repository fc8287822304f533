//! config.yml, the one file a person edits: text and catalogue in, a resolved [`Config`] or every fault out.
//!
//! Knows today's form and the 2017 form. Touches nothing on the host and asks no engine.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::layout::Layout;
use crate::name::{Domain, InstanceId};

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
    /// Who signs certificates.
    pub certificates: Issuer,
    /// The proxy's own settings.
    pub proxy: Proxy,
    /// Private range that networks get their subnets from (CIDR); None chooses one that is free on the host.
    pub network_range: Option<String>,
    /// The minion that is the proxy, on the first domain.
    pub proxy_instance: Instance,
    /// Everything else that was asked for, in the order of the file.
    pub instances: Vec<Instance>,
}

/// Who signs certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// An own authority, for tests and local networks.
    Internal,
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
    /// Cron expression of the hot dumps; None is never.
    pub dump: Option<String>,
    /// Cron expression of the cold backups; None is never.
    pub cold: Option<String>,
    /// How many of each to keep.
    pub keep: Keep,
}

/// How many snapshots to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// One a day.
    pub daily: u32,
    /// One a week.
    pub weekly: u32,
    /// One a month.
    pub monthly: u32,
}
