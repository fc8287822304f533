//! What was seen and what is remembered, as values: the engine's lists, and the few facts that only we know.
//!
//! Filled by `observe` and `state`; decisions read it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cert;
use super::route::features::Features;
use super::route::files::UserFiles;
use super::route::resolve::Asking;
use crate::name::{Domain, InstanceId};

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// The engine is starting it again.
    Restarting,
    /// Stands still with its memory kept.
    Paused,
    /// Ended.
    Exited,
    /// The engine could not remove it.
    Dead,
}

impl Running {
    /// Docker's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There is no check.
    None,
    /// Not decided yet.
    Starting,
    /// It works.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl Health {
    /// Docker's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One container of a list: everything the engine tells in one call for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// The image reference it was made from.
    pub image: String,
    /// The image's id, `sha256:…`.
    pub image_id: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs.
    pub running: Running,
    /// What its health check says.
    pub health: Health,
    /// "Up 3 minutes (healthy)".
    pub status: String,
    /// Networks by name, with its address on each (empty when it does not run).
    pub networks: BTreeMap<String, String>,
    /// The ids of the networks it was last on, by name; one that never started has none.
    pub network_ids: BTreeMap<String, String>,
    /// Ports published on the host.
    pub published: Vec<u16>,
    /// When it was made, seconds since 1970.
    pub created_at: i64,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Subnets (CIDR).
    pub subnets: Vec<String>,
    /// No way out.
    pub internal: bool,
}

/// A network to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Subnet (CIDR).
    pub subnet: String,
    /// No way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// An image on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// References that lead to it.
    pub tags: Vec<String>,
    /// `repository@sha256:…`, when it came from a registry.
    pub digests: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Everything that a plan is decided on besides what is wanted.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// All containers of the engine, ours or not.
    pub containers: Vec<Container>,
    /// All networks of the engine.
    pub networks: Vec<Network>,
    /// Images that are wanted and on this host, by reference.
    pub images: BTreeMap<String, Image>,
    /// The range that our networks get their subnets from.
    pub range: String,
    /// What we remember.
    pub memory: Memory,
    /// Folders that are wanted and absent.
    pub absent_folders: Vec<std::path::PathBuf>,
    /// Certificates on disk by host.
    pub certificates: BTreeMap<Domain, cert::Observed>,
    /// Hosts whose certificates the own authority does not decide on: an authority on the network signs them, or the
    /// files are a person's own.
    pub not_ours_to_sign: BTreeMap<Domain, cert::Signer>,
    /// Name of the own authority, once it exists.
    pub authority: Option<String>,
    /// The generation of nginx's configuration that is linked as current.
    pub generation: Option<String>,
    /// The hosts that this generation serves.
    pub served: BTreeSet<Domain>,
    /// Containers on the proxy's network that are not of this installation and ask for something, by name.
    pub asking: Vec<Asking>,
    /// Certificates of hosts that no instance has and the own authority signs, or stands in for: the names, the host first.
    pub outside: Vec<Vec<Domain>>,
    /// What the owner put into the proxy's folders.
    pub files: UserFiles,
    /// The owner's own page for failures is there.
    pub error_page: bool,
    /// What the nginx of the proxy's container can, as it says itself; None until it could be asked.
    pub nginx: Option<KnownNginx>,
}

/// What no engine can tell: kept in `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Form of the file.
    pub version: u32,
    /// Range that our networks get their subnets from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_range: Option<String>,
    /// What the proxy's nginx said that it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx: Option<KnownNginx>,
    /// Facts of each instance, kept also after it is removed: its data may come back.
    #[serde(default)]
    pub instances: BTreeMap<InstanceId, InstanceMemory>,
}

/// What an nginx can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownNginx {
    /// The engine's id of its container: another one is asked anew.
    pub container: String,
    /// What it can.
    pub features: Features,
}

/// What is remembered of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceMemory {
    /// Its network's subnet: applications trust it by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// What each image reference meant when it was first used here.
    #[serde(default)]
    pub images: BTreeMap<String, ImageLock>,
    /// When it first came up. Until then no data depends on what its images mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_at: Option<DateTime<Utc>>,
    /// When its first administrator was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator_at: Option<DateTime<Utc>>,
    /// Hash of the containers that its settings were last made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured: Option<String>,
    /// Hash of the containers that last answered through the proxy as they should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<String>,
    /// Hosts that the proxy refused when it was last told of them, each with its reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<Domain, String>,
    /// A person stopped it by a command, so that nobody starts it by himself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// The image that a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLock {
    /// The engine's id.
    pub id: String,
    /// `repository@sha256:…`; none for an image that was built here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Observed {
    /// Why the proxy does not serve a host that it was told of; None when it serves it, or was never asked.
    #[must_use]
    pub fn refused(&self, id: &InstanceId, host: &Domain) -> Option<&str> {
        let reason = self.memory.instance(id)?.refused.get(host)?;
        (!self.served.contains(host)).then_some(reason)
    }
}

impl Memory {
    /// What is remembered of an instance, if anything.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&InstanceMemory> {
        self.instances.get(id)
    }

    /// The image that a reference stood for when the instance was installed; before that nothing is locked.
    #[must_use]
    pub fn lock(&self, id: &InstanceId, reference: &str) -> Option<&ImageLock> {
        self.instance(id).filter(|memory| memory.installed_at.is_some())?.images.get(reference)
    }
}
