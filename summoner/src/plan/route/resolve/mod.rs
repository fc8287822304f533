//! From what containers ask for to the sites that are served: nginx-proxy's semantics, decided once and with reasons.
//!
//! Pure: the same containers in any order give the same sites. Whoever watches the engine fills in [`Asking`]; `super::render`
//! writes what comes out. Source of the semantics: nginx-proxy `nginx.tmpl` and `docs/README.md` (1.11, MIT).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::files::UserFiles;
use super::site::{Site, Source};
use crate::vhost::{Asked, CertificateWish, Globals, HostName, PathMatch, Wish};

mod address;
mod certificate;
mod debug;
mod location;
mod merge;
mod names;
mod site;

pub use names::adopt;

/// A container that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Its name, without a slash.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What it asks for.
    pub asked: Asked,
    /// Its networks by name.
    pub networks: BTreeMap<String, Joined>,
    /// The TCP ports that its image exposes.
    pub exposed: Vec<u16>,
    /// It is on the host's network.
    pub host_mode: bool,
    /// What its health check says.
    pub health: Health,
    /// It runs, and is not paused.
    pub running: bool,
}

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// Its address there.
    pub ipv4: Option<IpAddr>,
    /// The same in IPv6.
    pub ipv6: Option<IpAddr>,
    /// The host's address there.
    pub gateway: Option<IpAddr>,
    /// The network reaches nothing outside.
    pub internal: bool,
}

/// What a container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There is none.
    None,
    /// Not yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// Where nginx stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyView {
    /// The networks that it is on; their gateways are the way to containers on the host's network.
    pub networks: BTreeMap<String, Joined>,
    /// It is on the host's network, from where every container's address can be reached.
    pub host_mode: bool,
    /// It can look names up again by itself (`resolve`), so servers on user-defined networks are known by name.
    pub resolve_names: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By name.
    pub sites: Vec<Site>,
    /// What is not served, or not as asked, and why.
    pub refused: Vec<Refused>,
    /// Certificates that are asked for, with the proxy's defaults; those of containers that are stopped too, so that a
    /// certificate stays good until they are back.
    pub certificates: Vec<Wanted>,
}

/// Something that is not served, or not as asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The container.
    pub source: String,
    /// The host that it is about; None is all that the container asks for.
    pub host: Option<String>,
    /// Why, for people.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.host.as_ref().map_or_else(|| "what it asks for".to_owned(), |host| format!("the route of {host}"));
        write!(out, "{}: {what} is not served as asked: {}", self.source, self.reason)
    }
}

/// Certificates of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The container's name.
    pub container: String,
    /// Its id.
    pub id: String,
    /// What it wants.
    pub wish: CertificateWish,
}

/// Everything that the decisions look at.
struct World<'a> {
    proxy: &'a ProxyView,
    files: &'a UserFiles,
    globals: &'a Globals,
}

/// A running container's wish for one path of one host.
struct Claim<'a> {
    by: &'a Asking,
    wish: &'a Wish,
}

/// The paths of one host and who wants to answer them, each list by the containers' names.
type Paths<'a> = BTreeMap<PathMatch, Vec<Claim<'a>>>;

/// Decides. Order does not matter; where two containers disagree, the first by name wins and the other is told.
#[must_use]
pub fn sites(asking: &[Asking], proxy: &ProxyView, files: &UserFiles, globals: &Globals) -> Resolved {
    let world = World { proxy, files, globals };
    let mut sorted: Vec<&Asking> = asking.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut resolved = Resolved::default();
    for container in &sorted {
        told(container, &mut resolved.refused);
        if let Some(wish) = &container.asked.certificate {
            let wish = wish.clone().or(&globals.certificate);
            resolved.certificates.push(Wanted { container: container.name.clone(), id: container.id.clone(), wish });
        }
    }
    let mut upstreams = BTreeSet::new();
    for (host, paths) in hosts(&sorted) {
        match site::decide(host, &paths, &world, &mut upstreams, &mut resolved.refused) {
            Ok(site) => resolved.sites.push(site),
            Err(reason) => {
                let by: BTreeSet<&str> = paths.values().flatten().map(|claim| claim.by.name.as_str()).collect();
                resolved.refused.extend(by.into_iter().map(|name| refused(name, Some(host), reason.clone())));
            }
        }
    }
    resolved.refused.sort();
    resolved.refused.dedup();
    resolved
}

/// What was refused when the container's words were read.
fn told(container: &Asking, refused: &mut Vec<Refused>) {
    for refusal in &container.asked.refusals {
        let reason = format!("{}: {}", refusal.key, refusal.reason);
        refused.push(Refused { source: container.name.clone(), host: refusal.host.clone(), reason });
    }
}

fn refused(container: &str, host: Option<&HostName>, reason: impl Into<String>) -> Refused {
    Refused { source: container.to_owned(), host: host.map(ToString::to_string), reason: reason.into() }
}

/// Running containers' wishes by host and path. A stopped container's routes vanish, as in nginx-proxy.
fn hosts<'a>(sorted: &[&'a Asking]) -> BTreeMap<&'a HostName, Paths<'a>> {
    let mut hosts: BTreeMap<&HostName, Paths<'_>> = BTreeMap::new();
    for by in sorted.iter().copied().filter(|container| container.running) {
        for wish in &by.asked.wishes {
            hosts.entry(&wish.host).or_default().entry(wish.path.clone()).or_default().push(Claim { by, wish });
        }
    }
    hosts
}

fn source(paths: &Paths<'_>) -> Source {
    let names: BTreeSet<&String> = paths.values().flatten().map(|claim| &claim.by.name).collect();
    Source::Containers(names.into_iter().cloned().collect())
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
mod tests;
