//! All sites of an installation, decided in one place: its instances, `routes:` of config.yml, and containers that ask.
//!
//! Pure. What an install gives to nginx, what a plan compares with what is there, what the daemon keeps live and what people
//! are shown come from here alone: otherwise planning right after applying would not be empty.

use std::collections::{BTreeMap, BTreeSet};

use super::deploy;
use super::route::files::UserFiles;
use super::route::resolve::{self, Joined, ProxyView, Refused};
use super::route::settings::ProxySettings;
use super::route::site::Certificate;
use super::route::{self, Site, configured};
use super::state::Observed;
use super::wanted::{InstanceWanted, Wanted};
use crate::config::Route;
use crate::name::Domain;
use crate::vhost::{Globals, HttpsMethod};

/// What people call the part of config.yml.
pub const ROUTES: &str = "routes: of config.yml";

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// What is served.
    pub all: Vec<Site>,
    /// What is asked for and not served, or not as asked, and why.
    pub refused: Vec<Refused>,
}

/// Decides all of them, with the routes of these instances open. A host that an instance or config.yml has is nobody else's,
/// whether it is open by now or not.
#[must_use]
pub fn sites<'a>(
    open: impl IntoIterator<Item = &'a InstanceWanted>,
    wanted: &Wanted,
    observed: &Observed,
    settings: &ProxySettings,
) -> Sites {
    let mut sites = Sites { all: route::sites(&deploy::routes(open, observed), settings), refused: Vec::new() };
    for route in &wanted.routes {
        match configured(route, certificate(route, observed), &observed.files, settings) {
            Ok(site) => sites.all.push(site),
            Err(reason) => sites.refused.push(Refused { source: ROUTES.to_owned(), host: Some(route.host.to_string()), reason }),
        }
    }
    for site in &mut sites.all {
        resolve::adopt(site, &observed.files);
    }
    foreign(&mut sites, wanted, observed, settings);
    sites
}

/// The certificate of a configured host, once one lies there.
fn certificate(route: &Route, observed: &Observed) -> Option<Certificate> {
    let found = observed.certificates.get(&route.host).filter(|_| route.https != HttpsMethod::NoHttps)?;
    Some(Certificate {
        stem: route.host.to_string(),
        fingerprint: found.fingerprint.clone(),
        dhparam: false,
        client_ca: None,
        client_crl: None,
    })
}

/// Adds the sites of containers that are not of this installation.
fn foreign(sites: &mut Sites, wanted: &Wanted, observed: &Observed, settings: &ProxySettings) {
    let claimed = claimed(wanted);
    let mut asking = observed.asking.clone();
    for container in &mut asking {
        let name = &container.name;
        let mut lost = BTreeSet::new();
        container.asked.wishes.retain(|wish| {
            let host = wish.host.to_string();
            let free = !claimed.contains_key(&host);
            if !free {
                lost.insert(host);
            }
            free
        });
        sites.refused.extend(lost.into_iter().map(|host| {
            let whose = claimed.get(&host).map_or("another", String::as_str);
            Refused { source: name.clone(), reason: format!("{host} belongs to {whose} already"), host: Some(host) }
        }));
    }
    let network = BTreeMap::from([(settings.network.clone(), Joined::default())]);
    let view = ProxyView { networks: network, host_mode: false, resolve_names: settings.features.resolve };
    let resolved = resolve::sites(&asking, &view, &not_of_ours(observed, &claimed), &globals(settings));
    sites.all.extend(resolved.sites);
    sites.refused.extend(resolved.refused);
}

/// Whose each host is.
fn claimed(wanted: &Wanted) -> BTreeMap<String, String> {
    let names = |host: &Domain, aliases: &[Domain], whose: &str| -> Vec<(String, String)> {
        std::iter::once(host).chain(aliases).map(|name| (name.to_string(), whose.to_owned())).collect()
    };
    let instances = wanted.instances.iter().flat_map(|instance| {
        let whose = instance.id.to_string();
        instance.routes.iter().flat_map(|route| names(&route.host, &route.aliases, &whose)).collect::<Vec<_>>()
    });
    let routes = wanted.routes.iter().flat_map(|route| names(&route.host, &route.aliases, ROUTES));
    // An instance's own word last: it wins.
    routes.chain(instances).collect()
}

/// The files without the pairs of our own hosts, which hold one name each: `x.a.org` must not be shown that of `a.org` only
/// because it lies one level above. One with a star is for those below.
fn not_of_ours(observed: &Observed, claimed: &BTreeMap<String, String>) -> UserFiles {
    let mut files = observed.files.clone();
    let for_those_below = |stem: &str| {
        let held = stem.parse::<Domain>().ok().and_then(|host| observed.certificates.get(&host));
        held.is_some_and(|held| held.names.iter().any(|name| name.strip_prefix("*.") == Some(stem)))
    };
    files.certificates.retain(|stem, _| !claimed.contains_key(stem) || for_those_below(stem));
    files
}

/// What the managed proxy says for all containers.
fn globals(settings: &ProxySettings) -> Globals {
    let mut globals = Globals { http_port: settings.http_port, https_port: settings.https_port, ..Globals::default() };
    // A browser would hold a test server's promise against every other port of that name.
    globals.settings.hsts = (settings.https_port != 443).then_some(None);
    globals
}

#[cfg(test)]
mod tests;
