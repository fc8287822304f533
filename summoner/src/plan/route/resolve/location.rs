//! One path of one host: its servers, or why there is none yet, and the owner's files for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::merge::take;
use super::{Asking, Claim, Health, Refused, World, address, names, refused};
use crate::plan::route::site::{Location, LocationSettings, Server, Target, Upstream};
use crate::vhost::{HostName, KeepAlive, PathMatch};

/// When to come back to a container that is starting.
const STARTING: Duration = Duration::from_secs(5);
/// To one whose health check fails.
const UNHEALTHY: Duration = Duration::from_secs(20);
/// Most names that the waiting page tells.
const MAX_NAMED: usize = 3;

/// Decides a path; the claims are by the containers' names.
pub(super) fn decide(
    host: &HostName,
    path: &PathMatch,
    claims: &[Claim<'_>],
    world: &World<'_>,
    upstreams: &mut BTreeSet<String>,
    told: &mut Vec<Refused>,
) -> Option<Location> {
    let first = claims.first()?;
    let claims = same_way(host, first, claims, told);
    let (mut keepalive, mut balance) = (None, None);
    for claim in &claims {
        let mut tell = |what: &str| told.push(refused(&claim.by.name, Some(host), disagrees(what, path)));
        take(&mut keepalive, &claim.by.asked.settings.keepalive, "keepalive", &mut tell);
        take(&mut balance, &claim.by.asked.settings.balance, "loadbalance", &mut tell);
    }
    let target = waiting(&claims, world).unwrap_or_else(|| {
        Target::Upstream(Upstream {
            name: names::upstream(host, path, world.globals.sha1_upstream, upstreams),
            protocol: first.wish.protocol,
            servers: servers(host, &claims, world, told),
            keepalive: keepalive.unwrap_or(KeepAlive::Auto),
            balance,
            dest: first.wish.dest.clone(),
            root: first.wish.root.clone(),
        })
    });
    Some(Location {
        path: path.clone(),
        target,
        settings: LocationSettings::default(),
        replaced_by: names::replacement(host, path, &world.files.vhosts),
        include: names::location(host, path, &world.files.vhosts),
        passwords: names::passwords(host, path, &world.files.passwords),
    })
}

fn disagrees(what: &str, path: &PathMatch) -> String {
    format!("{what}: another container says otherwise for {path} and is first by name")
}

/// Those who are spoken to as the first one is. Another protocol, or another destination, would only give wrong answers.
fn same_way<'a, 'b>(host: &HostName, first: &Claim<'a>, claims: &'b [Claim<'a>], told: &mut Vec<Refused>) -> Vec<&'b Claim<'a>> {
    let mut same = Vec::new();
    for claim in claims {
        let (a, b) = (first.wish, claim.wish);
        let differs = [("VIRTUAL_PROTO", a.protocol != b.protocol), ("VIRTUAL_DEST", a.dest != b.dest), ("VIRTUAL_ROOT", a.root != b.root)];
        match differs.iter().find(|(_, differs)| *differs) {
            Some((what, _)) => told.push(refused(&claim.by.name, Some(host), disagrees(what, &a.path))),
            None => same.push(claim),
        }
    }
    same
}

fn ready(container: &Asking) -> bool {
    matches!(container.health, Health::None | Health::Healthy)
}

/// The waiting page, while nobody is ready and somebody will be.
fn waiting(claims: &[&Claim<'_>], world: &World<'_>) -> Option<Target> {
    let reached = |claim: &&&Claim<'_>| address::address(claim.by, world.proxy, world.globals.prefer_ipv6).is_some();
    if claims.iter().filter(reached).any(|claim| ready(claim.by)) {
        return None;
    }
    let late: Vec<&Asking> = claims.iter().map(|claim| claim.by).filter(|container| !ready(container)).collect();
    let starting = late.iter().any(|container| container.health == Health::Starting);
    let names: BTreeSet<&str> = late.iter().map(|container| container.name.as_str()).filter(|name| plain(name)).collect();
    if late.is_empty() {
        return None;
    }
    let who = match names.len() {
        0 => "the application".to_owned(),
        1..=MAX_NAMED => names.into_iter().collect::<Vec<_>>().join(", "),
        many => format!("{many} containers"),
    };
    let verb = if late.len() == 1 || who == "the application" { "is" } else { "are" };
    Some(match starting {
        true => Target::Waiting { retry_after: STARTING, reason: format!("{who} {verb} starting") },
        false => Target::Waiting { retry_after: UNHEALTHY, reason: format!("{who} {verb} not healthy") },
    })
}

/// As the engine names containers; nothing else gets into a page.
fn plain(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Each ready container once. None in reach is an empty list: 502, and the others are not hurt.
fn servers(host: &HostName, claims: &[&Claim<'_>], world: &World<'_>, told: &mut Vec<Refused>) -> Vec<Server> {
    let mut servers = BTreeSet::new();
    for claim in claims.iter().filter(|claim| ready(claim.by)) {
        match address::address(claim.by, world.proxy, world.globals.prefer_ipv6) {
            Some(address) => {
                servers.insert(Server { address, port: address::port(claim.by, claim.wish), weight: None });
            }
            None => told.push(refused(&claim.by.name, Some(host), "it is on no network that the proxy is on")),
        }
    }
    servers.into_iter().collect()
}
