//! What the proxy serves and does not, on disk for whoever asks (`summoner routes`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::acme::Shown;
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::route::Site;
use crate::plan::route::site::{Address, Source, Target};

const VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 20;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the form.
    pub version: u32,
    /// The generation that nginx is to run.
    pub generation: String,
    /// nginx said that it runs it.
    pub live: bool,
    /// By host and path.
    pub routes: Vec<Told>,
    /// By host.
    #[serde(default)]
    pub certificates: Vec<Shown>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Told {
    /// The host.
    pub host: String,
    /// The path.
    pub path: String,
    /// Where it leads.
    pub target: String,
    /// Whose it is.
    pub source: String,
    /// How it stands.
    pub state: State,
    /// Why, when it is not open.
    pub reason: Option<String>,
}

/// How a route stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It leads to its target.
    Open,
    /// The target is not ready: a page says so.
    Waiting,
    /// Nobody can be reached there.
    Down,
    /// It is not served.
    Closed,
}

impl State {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Down => "down",
            Self::Closed => "closed",
        }
    }
}

/// The routes of sites; `closed` are the hosts that nginx refused, each with its reason.
#[must_use]
pub fn told(sites: &[Site], closed: &BTreeMap<String, String>) -> Vec<Told> {
    let mut all = Vec::new();
    for site in sites {
        let host = site.name.to_string();
        let source = source(&site.source);
        for location in &site.locations {
            let (target, state, reason) = match &location.target {
                Target::Upstream(upstream) => {
                    let servers: Vec<String> = upstream.servers.iter().map(|server| place(&source, server)).collect();
                    let down = servers.is_empty();
                    let state = if down { State::Down } else { State::Open };
                    (if down { source.clone() } else { servers.join(", ") }, state, down.then(|| "no server can be reached".to_owned()))
                }
                Target::Redirect { to, .. } => (to.clone(), State::Open, None),
                Target::Folder(path) => (path.clone(), State::Open, None),
                Target::Waiting { reason, .. } => (source.clone(), State::Waiting, Some(reason.clone())),
                Target::Status(status) if site.source == Source::Config => (format!("status {status}"), State::Open, None),
                Target::Status(_) => continue,
            };
            let refused = closed.get(&host);
            all.push(Told {
                host: host.clone(),
                path: location.path.to_string(),
                target,
                source: source.clone(),
                state: if refused.is_some() { State::Closed } else { state },
                reason: refused.cloned().or(reason),
            });
        }
    }
    all.sort();
    all
}

fn source(source: &Source) -> String {
    match source {
        Source::Instance(id) => id.to_string(),
        Source::Containers(names) => names.join(", "),
        Source::Config => "config.yml".to_owned(),
    }
}

/// A server by the name that a person knows, where there is only one it can be.
fn place(source: &str, server: &crate::plan::route::site::Server) -> String {
    match &server.address {
        Address::Ip(_) if !source.contains(", ") => format!("{source}:{}", server.port),
        Address::Ip(address) => format!("{}:{}", address, server.port),
        Address::Name(name) => format!("{name}:{}", server.port),
    }
}

/// Writes the file when it says something else than before.
pub(super) fn write(layout: &Layout, status: &Status) -> Result<()> {
    let text = serde_json::to_vec_pretty(status).map_err(|error| Error::internal("cannot write the state of the proxy").cause(error))?;
    let path = layout.proxy_status();
    if disk::read_if_there(&path, MAX_BYTES)?.as_deref() == Some(&text) {
        return Ok(());
    }
    disk::write_atomic(&path, &text, 0o600)
}

/// What the proxy of this storage said last; None when there was none.
///
/// # Errors
/// The file cannot be read, or a newer Summoner wrote it.
pub fn read(layout: &Layout) -> Result<Option<Status>> {
    let path = layout.proxy_status();
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(None) };
    let status: Status = serde_json::from_slice(&bytes).map_err(|error| {
        Error::external(format!("{} is damaged", path.display())).cause(error).next("it is written anew by: summoner proxy")
    })?;
    if status.version > VERSION {
        return Err(Error::external(format!("{} was written by a newer Summoner", path.display())));
    }
    Ok(Some(status))
}

impl Status {
    /// As it stands now.
    pub(super) fn new(generation: &str, live: bool, routes: Vec<Told>, certificates: Vec<Shown>) -> Self {
        Self { version: VERSION, generation: generation.to_owned(), live, routes, certificates }
    }
}
