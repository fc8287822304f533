//! Who holds a port: a process by its sockets, or the container that it is published for.
//!
//! `apply` asks before anything is touched; `doctor` shows it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::sockets::{Listener, Process, listeners, process};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::plan::state::Container;
use crate::plan::wanted::LABEL_OWNER;

/// The program that holds a port for a container.
const DOCKER_PROXY: &str = "docker-proxy";

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A program.
    Process {
        /// Its name.
        name: String,
        /// Its number.
        id: u32,
        /// The service that it belongs to, `nginx.service`.
        unit: Option<String>,
    },
    /// A container.
    Container {
        /// Its name.
        name: String,
        /// The installation of Summoner that it belongs to.
        owner: Option<String>,
    },
    /// Somebody, whom only root can see.
    Hidden,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, id, .. } => write!(out, "{name} (process {id})"),
            Self::Container { name, .. } => write!(out, "the container {name}"),
            Self::Hidden => out.write_str("a program that only root can name"),
        }
    }
}

impl Holder {
    /// Whether it belongs to the installation with this storage root.
    #[must_use]
    pub fn is_of(&self, root: &str) -> bool {
        matches!(self, Self::Container { owner: Some(owner), .. } if owner == root)
    }

    /// The command that frees the port.
    pub(super) fn stop(&self) -> String {
        match self {
            Self::Process { unit: Some(unit), .. } => format!("systemctl disable --now {unit}"),
            // It comes back with the next start of Docker: the container is what to stop.
            Self::Process { name, .. } if name == DOCKER_PROXY => "docker ps   (names the container that publishes it)".into(),
            Self::Process { id, .. } => format!("kill {id}"),
            Self::Container { owner: Some(owner), .. } => format!("stop the other installation of Summoner ({owner})"),
            Self::Container { name, .. } => format!("docker stop {name}"),
            Self::Hidden => "sudo summoner doctor   (names it)".into(),
        }
    }
}

/// Who listens on a port of this machine, on any address; containers are seen as the program that stands for them.
///
/// # Errors
/// When the kernel's list of sockets cannot be read.
pub fn holder(port: u16) -> Result<Option<Holder>> {
    let sockets = listeners()?.into_iter().filter(|listener| listener.port == port).map(|listener| listener.inode).collect();
    Ok(name(port, &sockets, &[]))
}

/// Who is in the way of publishing a port on an address (None is all), among programs and these containers.
///
/// # Errors
/// As [`holder`].
pub fn in_the_way(port: u16, address: Option<IpAddr>, containers: &[Container]) -> Result<Option<Holder>> {
    let listeners: Vec<Listener> = listeners()?.into_iter().filter(|listener| listener.port == port).collect();
    if listeners.is_empty() {
        // Docker without its helper program publishes by the firewall alone: no socket shows it. On which address is
        // not told, so only a wish for all addresses is known to clash.
        let publisher = containers.iter().find(|container| container.published.contains(&port));
        return Ok(publisher.filter(|_| address.is_none()).map(of_container));
    }
    let sockets = listeners.iter().filter(|listener| clashes(address, listener.address)).map(|listener| listener.inode).collect();
    Ok(name(port, &sockets, containers))
}

/// Whether a socket there keeps the wanted address from being used. `::` serves both families.
fn clashes(wanted: Option<IpAddr>, held: IpAddr) -> bool {
    match wanted {
        // All addresses of the proxy are those of IPv4.
        None => held.is_ipv4() || held.is_unspecified(),
        Some(wanted) if wanted.is_unspecified() => held.is_unspecified() || held.is_ipv4() == wanted.is_ipv4(),
        Some(wanted) => held == wanted || (held.is_unspecified() && (held.is_ipv6() || wanted.is_ipv4())),
    }
}

fn name(port: u16, sockets: &BTreeSet<u64>, containers: &[Container]) -> Option<Holder> {
    if sockets.is_empty() {
        return None;
    }
    let publisher = || containers.iter().find(|container| container.published.contains(&port));
    Some(match process(sockets) {
        Some(found) => recognise(&found, port, containers),
        None => publisher().map_or(Holder::Hidden, of_container),
    })
}

/// A program that stands for a container, or runs in one, is that container.
fn recognise(found: &Process, port: u16, containers: &[Container]) -> Holder {
    let inside = container_id(&found.cgroup).and_then(|id| containers.iter().find(|container| container.id == id));
    let behind = (found.name == DOCKER_PROXY).then(|| {
        let by_address = argument(&found.arguments, "-container-ip")
            .and_then(|ip| containers.iter().find(|container| container.networks.values().any(|address| address == ip)));
        by_address.or_else(|| containers.iter().find(|container| container.published.contains(&port)))
    });
    match inside.or(behind.flatten()) {
        Some(container) => of_container(container),
        None => Holder::Process { name: found.name.clone(), id: found.id, unit: unit(&found.cgroup) },
    }
}

fn of_container(container: &Container) -> Holder {
    Holder::Container { name: container.name.clone(), owner: container.labels.get(LABEL_OWNER).cloned() }
}

/// The value behind a flag.
fn argument<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    arguments.iter().skip_while(|argument| *argument != flag).nth(1).map(String::as_str)
}

/// The container that a process runs in: 64 hexadecimal digits in the name of its control group.
fn container_id(cgroup: &str) -> Option<&str> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    cgroup.split(|c: char| !c.is_ascii_alphanumeric()).find(is_id)
}

/// The service of systemd that a process belongs to. Docker's own is never the one to stop.
fn unit(cgroup: &str) -> Option<String> {
    let last = cgroup.lines().filter_map(|line| line.rsplit('/').next()).find(|part| part.ends_with(".service"))?;
    (!last.starts_with("docker") && !last.starts_with("user@")).then(|| last.to_owned())
}

/// Refuses to begin when somebody else has a port of the proxy.
///
/// # Errors
/// "port 80 is taken by nginx (process 812)", with how to free it; or the kernel's list cannot be read.
pub fn refuse_taken(config: &Config, containers: &[Container]) -> Result<()> {
    let root = config.layout.files.display().to_string();
    for (port, key) in of_proxy(config) {
        // What this very process holds is no stranger's.
        let foreign = |holder: &Holder| !holder.is_of(&root) && !matches!(holder, Holder::Process { id, .. } if *id == std::process::id());
        if let Some(holder) = in_the_way(port, config.proxy.address, containers)?.filter(foreign) {
            return Err(taken(port, key, &holder));
        }
    }
    Ok(())
}

fn taken(port: u16, key: &str, holder: &Holder) -> Error {
    Error::external(format!("port {port} is taken by {holder}"))
        .next(holder.stop())
        .next(format!("or choose another port in config.yml: proxy.{key}"))
}

/// The ports of the proxy and their keys in config.yml.
pub(super) fn of_proxy(config: &Config) -> [(u16, &'static str); 2] {
    [(config.proxy.http_port, "http_port"), (config.proxy.https_port, "https_port")]
}

#[cfg(test)]
mod tests;
