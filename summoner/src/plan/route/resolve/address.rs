//! Where nginx reaches a container: which network, which address, which port.

use std::net::{IpAddr, Ipv4Addr};

use super::{Asking, Joined, ProxyView};
use crate::plan::route::site::Address;
use crate::vhost::Wish;

/// Swarm's own network: no container answers there.
const INGRESS: &str = "ingress";
/// The name server of the engine knows names on networks that people made, not on its own.
const BUILT_IN: [&str; 3] = ["bridge", "host", "none"];
/// Longest label of a name that can be looked up.
const MAX_LABEL: usize = 63;

/// The port: what is asked for, else the only exposed one, else 80.
pub(super) fn port(container: &Asking, wish: &Wish) -> u16 {
    match (wish.port, container.exposed.as_slice()) {
        (Some(port), _) => port,
        (None, [only]) if *only != 0 => *only,
        (None, _) => 80,
    }
}

/// One address of a container: that of the first network, by name, that nginx is on too. None is out of reach.
pub(super) fn address(container: &Asking, proxy: &ProxyView, prefer_ipv6: bool) -> Option<Address> {
    if container.host_mode {
        return of_host(proxy).map(Address::Ip);
    }
    let shared = || {
        let reachable = |name: &str| name != INGRESS && (proxy.host_mode || proxy.networks.contains_key(name));
        container.networks.iter().filter(move |(name, _)| reachable(name))
    };
    let mut with_address = shared().filter(|(_, joined)| joined.ipv4.is_some() || joined.ipv6.is_some());
    if proxy.resolve_names
        && !proxy.host_mode
        && let Some((network, _)) = with_address.find(|(network, _)| !BUILT_IN.contains(&network.as_str()))
        && let Some(name) = looked_up(&container.name, network)
    {
        return Some(Address::Name(name));
    }
    let v4 = shared().find_map(|(_, joined)| joined.ipv4);
    let v6 = shared().find_map(|(_, joined)| joined.ipv6);
    let (first, second) = if prefer_ipv6 { (v6, v4) } else { (v4, v6) };
    first.or(second).map(Address::Ip)
}

/// A container on the host's network: the host itself, seen from where nginx is.
fn of_host(proxy: &ProxyView) -> Option<IpAddr> {
    if proxy.host_mode {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let outward = |joined: &&Joined| !joined.internal && joined.gateway.is_some();
    proxy.networks.values().find(outward).and_then(|joined| joined.gateway)
}

/// The name with the network's behind it: the engine's name server answers it in that form too, and never asks the public one
/// for it when the container is gone.
fn looked_up(container: &str, network: &str) -> Option<String> {
    let label = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let short = text.split('.').all(|label| (1..=MAX_LABEL).contains(&label.len()));
        plain && short && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    (label(container) && label(network)).then(|| format!("{container}.{network}"))
}
