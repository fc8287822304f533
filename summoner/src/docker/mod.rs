//! The engine's verbs that Summoner needs, in our own types. `engine` speaks to a real Docker Engine, `fake` to none.
//!
//! Decides nothing and prints nothing. Callers pass what to do; the answers are ours, so that nobody else imports the
//! client library.

mod attach;
mod body;
mod carry;
pub mod engine;
mod events;
mod exec;
mod failure;
pub mod fake;
mod login;
mod session;
mod terminal;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::compose::Service;
use crate::error::Result;
pub use crate::plan::state::{Container, Health, Image, Network, NetworkSpec, Running};
pub use events::{Described, Events, Happened, Place, Subject};
pub use session::{ExecPiece, ExecSession, ExecState};

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `28.5.2`.
    pub version: String,
    /// `1.51`.
    pub api: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `1` or `2`.
    pub cgroup: String,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Where the engine keeps its data.
    pub root: String,
    /// Storage driver.
    pub storage_driver: String,
    /// Its clock.
    pub system_time: Option<DateTime<Utc>>,
}

/// One container in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetail {
    /// The engine's id.
    pub id: String,
    /// Whether it runs.
    pub running: Running,
    /// What its health check says.
    pub health: Health,
    /// The last output of the health check.
    pub health_output: Option<String>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// What the engine says of a failed start.
    pub error: Option<String>,
    /// How often the engine started it again.
    pub restarts: i64,
    /// Networks by name, with its address on each.
    pub networks: BTreeMap<String, String>,
    /// The variables it was made with.
    pub environment: BTreeMap<String, String>,
    /// Its first process as the engine's host numbers it, while it runs.
    pub pid: Option<i64>,
}

/// A container to make.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image's id, already on this host.
    pub image: &'a str,
    /// Everything else, long form, paths absolute, networks by their real names.
    pub service: &'a Service,
    /// All labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Secret and config files: path on the host, path inside.
    pub files: &'a [(String, String)],
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// argv.
    pub command: Vec<String>,
    /// `uid[:gid]` or a name.
    pub user: Option<String>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Sent to the command, then closed.
    pub stdin: Option<Vec<u8>>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What a command gave. Output is bounded: the first [`MAX_OUTPUT`] bytes of each stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub exit_code: i64,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// How much output of a command is kept.
pub const MAX_OUTPUT: usize = 1 << 20;

/// The verbs.
pub trait Engine: Send + Sync {
    /// What the engine says of itself.
    fn info(&self) -> impl Future<Output = Result<EngineInfo>> + Send;
    /// All containers, running or not, in one call.
    fn containers(&self) -> impl Future<Output = Result<Vec<Container>>> + Send;
    /// Ids of the containers, running or not, that the engine's own filters leave: (`label`, `a=b`); those of one name are
    /// alternatives.
    fn matching(&self, filters: &[(String, String)]) -> impl Future<Output = Result<BTreeSet<String>>> + Send;
    /// One container in detail; None when there is none of that name or id.
    fn inspect(&self, container: &str) -> impl Future<Output = Result<Option<ContainerDetail>>> + Send;
    /// One container as the proxy needs to know it, by one question; None when there is none of that name or id.
    fn describe(&self, container: &str) -> impl Future<Output = Result<Option<Described>>> + Send;
    /// What happens from now on, or since a time of the engine's (nanoseconds since 1970); that is what it kept of the past.
    fn events(&self, since_ns: Option<i64>) -> Events;
    /// All networks.
    fn networks(&self) -> impl Future<Output = Result<Vec<Network>>> + Send;
    /// An image by reference or id; None when it is not on this host.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<Image>>> + Send;
    /// Fetches an image from its registry; `progress` hears a few words now and then.
    fn pull(&self, reference: &str, progress: &(dyn Fn(&str) + Send + Sync)) -> impl Future<Output = Result<()>> + Send;
    /// Makes a network.
    fn create_network(&self, spec: &NetworkSpec) -> impl Future<Output = Result<()>> + Send;
    /// Removes a network; absent is fine.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<()>> + Send;
    /// Joins a container to a network; joined already is fine.
    fn connect(&self, network: &str, container: &str, aliases: &[String]) -> impl Future<Output = Result<()>> + Send;
    /// Takes a container off a network; absent is fine.
    fn disconnect(&self, network: &str, container: &str) -> impl Future<Output = Result<()>> + Send;
    /// Makes a named volume; there already is fine.
    fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> impl Future<Output = Result<()>> + Send;
    /// Removes a named volume; absent is fine.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<()>> + Send;
    /// Makes a container and gives its id.
    fn create(&self, spec: &CreateSpec<'_>) -> impl Future<Output = Result<String>> + Send;
    /// Starts a container; running already is fine.
    fn start(&self, container: &str) -> impl Future<Output = Result<()>> + Send;
    /// Stops a container within its own grace period, or this one; stopped already is fine.
    fn stop(&self, container: &str, grace: Option<Duration>) -> impl Future<Output = Result<()>> + Send;
    /// Removes a container by force; its named volumes stay; absent is fine.
    fn remove(&self, container: &str) -> impl Future<Output = Result<()>> + Send;
    /// As [`Engine::remove`]; its anonymous volumes go too.
    fn discard(&self, container: &str) -> impl Future<Output = Result<()>> + Send;
    /// Gives a container another name.
    fn rename(&self, container: &str, name: &str) -> impl Future<Output = Result<()>> + Send;
    /// The last lines of a container's log, both streams.
    fn logs(&self, container: &str, lines: usize) -> impl Future<Output = Result<String>> + Send;
    /// Runs a command in a container to its end.
    fn exec(&self, container: &str, spec: &ExecSpec) -> impl Future<Output = Result<ExecOutput>> + Send;
    /// Begins a command whose streams the caller holds; neither `stdin` nor `timeout` of the spec is used.
    fn open_exec(&self, container: &str, spec: &ExecSpec) -> impl Future<Output = Result<ExecSession>> + Send;
    /// What became of a command that was begun.
    fn exec_state(&self, id: &str) -> impl Future<Output = Result<ExecState>> + Send;
}
