//! Routes as nginx's configuration: what the proxy should do, in; the bytes of every file, out.
//!
//! Pure, and the same bytes for the same routes. Nothing is pasted: see `writer`. `crate::nginx` brings the files to life.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::minion;
use crate::name::{Domain, InstanceId};

mod base;
pub mod files;
mod host;
mod pages;
pub mod resolve;
pub mod site;
mod writer;

pub use writer::Unsafe;

pub use crate::vhost::POLICIES;

/// The port inside the proxy's container that answers with the generation's id; never published.
pub const MARKER_PORT: u16 = 8199;
/// Where the folder of generations is, inside the proxy's container.
pub const INSIDE: &str = "/etc/nginx/summoner";
/// Where `<host>.crt` and `<host>.key` are, inside the proxy's container.
pub const CERTS: &str = "/etc/nginx/certs";
/// Folder of the files that are one for each host, below a generation.
pub const HOSTS: &str = "hosts";
/// Pages come through the link, so that a removed generation takes none with it.
const PAGES: &str = "/etc/nginx/summoner/current/pages";
const MARKER: &str = "marker.conf";

/// One host that the proxy serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// Whose it is.
    pub instance: InstanceId,
    /// Where people go.
    pub host: Domain,
    /// Names that redirect to it.
    pub aliases: Vec<Domain>,
    /// The container's name on the proxy's network.
    pub container: String,
    /// What the minion asks for.
    pub settings: minion::Route,
    /// Fingerprint of the host's certificate (hexadecimal): a new one makes a new generation, so nginx loads it.
    pub certificate: String,
}

/// The proxy's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// Port on the host for https; part of every URL when it is not 443.
    pub https_port: u16,
    /// The network that nginx shares with what it routes to.
    pub network: String,
}

/// All files of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// First 16 hexadecimal digits of the SHA-256 over all files but the marker, which holds it.
    pub id: String,
    /// Relative path and text.
    pub files: BTreeMap<String, String>,
}

/// A route that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its host.
    pub host: Domain,
    /// Why.
    pub reason: String,
}

/// What came of the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The files, without the rejected routes.
    pub generation: Generation,
    /// Routes that cannot be written; the others do not suffer from them.
    pub rejected: Vec<Rejected>,
}

/// Writes the configuration for these routes; their order does not matter.
#[must_use]
pub fn render(routes: &[RouteSpec], settings: &ProxySettings) -> Rendered {
    let mut sorted: Vec<&RouteSpec> = routes.iter().collect();
    sorted.sort_by(|a, b| (&a.host, &a.instance, &a.container).cmp(&(&b.host, &b.instance, &b.container)));
    let mut files = BTreeMap::from([("nginx.conf".to_owned(), base::nginx_conf()), ("pages/unknown.html".to_owned(), pages::unknown())]);
    let mut rejected = Vec::new();
    let hosts: BTreeSet<&Domain> = sorted.iter().map(|route| &route.host).collect();
    let mut taken = BTreeSet::new();
    for route in sorted {
        let written = free(route, &hosts, &taken).and_then(|()| host::write(route, settings).map_err(|e| e.to_string()));
        match written {
            Ok(text) => {
                taken.extend(std::iter::once(&route.host).chain(&route.aliases));
                files.insert(host_file(&route.host), text);
                files.insert(format!("pages/starting/{}.html", route.host), pages::starting(&route.instance.app, &route.host));
            }
            Err(reason) => rejected.push(Rejected { host: route.host.clone(), reason }),
        }
    }
    let id = hash(&files);
    files.insert(MARKER.to_owned(), base::marker(&id));
    Rendered { generation: Generation { id, files }, rejected }
}

/// The file of a host, below a generation.
#[must_use]
pub fn host_file(host: &Domain) -> String {
    format!("{HOSTS}/{host}.conf")
}

/// nginx would serve one of two equal names and only warn.
fn free(route: &RouteSpec, hosts: &BTreeSet<&Domain>, taken: &BTreeSet<&Domain>) -> Result<(), String> {
    if taken.contains(&route.host) {
        return Err(format!("another instance is at {} already", route.host));
    }
    let clash = route.aliases.iter().find(|alias| **alias != route.host && (hosts.contains(alias) || taken.contains(alias)));
    clash.map_or(Ok(()), |alias| Err(format!("its alias {alias} leads to another instance")))
}

/// Lengths are hashed too, so that no text can move from one file to the next.
fn hash(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in files.iter().flat_map(|(path, text)| [path, text]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample;
