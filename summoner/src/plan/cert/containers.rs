//! The certificates of containers that ask: by their own words, else as config.yml has it for every host.

use std::collections::BTreeSet;

use super::wanted::{Wanted, of_hosts};
use crate::config::Config;
use crate::config::certificates::Issuer;
use crate::name::Domain;
use crate::plan::route::resolve::Asking;
use crate::vhost::{CertificateWish, HostName, HttpsMethod};

/// Who signs what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct All {
    /// By the own authority, for containers: the names of each certificate, the host first.
    pub own: Vec<Vec<Domain>>,
    /// By authorities on the network, for everybody: an entry a certificate.
    pub network: Vec<Wanted>,
    /// Hosts of containers that have a certificate or shall have one.
    pub hosts: Vec<Domain>,
}

/// All certificates of an installation: of its own hosts (each with its aliases), and of containers.
#[must_use]
pub fn of_all(config: &Config, ours: &[(Domain, Vec<Domain>)], asking: &[Asking]) -> All {
    let taken: BTreeSet<String> =
        ours.iter().flat_map(|(host, aliases)| std::iter::once(host).chain(aliases)).map(Domain::to_string).collect();
    let settings = &config.certificates;
    let internal = |name: &str| settings.issuer_of(name) == Issuer::Internal;
    let (mut all, mut network, mut wished) = (All::default(), ours.to_vec(), Vec::new());
    for container in asking {
        match &container.asked.certificate {
            Some(wish) => {
                let (own, others) = by_wish(wish, &taken, &internal);
                all.own.extend(own);
                wished.extend(Wanted::of_container(settings, &others));
            }
            None => {
                for host in plain(container).into_iter().filter(|host| !taken.contains(host.as_str())) {
                    if internal(host.as_str()) { all.own.push(vec![host]) } else { network.push((host, Vec::new())) }
                }
            }
        }
    }
    all.network = of_hosts(config, &network);
    let known: BTreeSet<String> = all.network.iter().map(|wanted| wanted.stem.clone()).collect();
    all.network.extend(wished.into_iter().filter(|wanted| !known.contains(&wanted.stem)));
    all.network.sort_by(|one, other| one.stem.cmp(&other.stem));
    all.network.dedup_by(|one, other| one.stem == other.stem);
    all.own.sort();
    all.own.dedup_by(|one, other| one.first() == other.first());
    let signed = all.network.iter().flat_map(|wanted| &wanted.hosts).filter(|host| !taken.contains(*host));
    let hosts: BTreeSet<Domain> =
        signed.filter_map(|host| host.parse().ok()).chain(all.own.iter().filter_map(|names| names.first().cloned())).collect();
    all.hosts = hosts.into_iter().collect();
    all
}

/// What a container asks for in so many words, without names of ours: the own authority signs where config.yml says so and
/// the container names no other.
fn by_wish(wish: &CertificateWish, taken: &BTreeSet<String>, internal: &dyn Fn(&str) -> bool) -> (Vec<Vec<Domain>>, CertificateWish) {
    let free = |names: &Vec<String>| -> Vec<String> { names.iter().filter(|name| !taken.contains(*name)).cloned().collect() };
    let all = wish.certificates.iter().map(free).filter(|names| !names.is_empty());
    let (own, network): (Vec<_>, Vec<_>) = all.partition(|names| wish.directory.is_none() && names.iter().all(|name| internal(name)));
    let own = own.into_iter().map(|names| names.iter().filter_map(|name| name.parse().ok()).collect::<Vec<Domain>>());
    (own.filter(|names| !names.is_empty()).collect(), CertificateWish { certificates: network, ..wish.clone() })
}

/// The hosts of a container that says nothing of certificates and wants https.
fn plain(container: &Asking) -> BTreeSet<Domain> {
    if container.asked.settings.https_method == Some(HttpsMethod::NoHttps) || container.asked.settings.cert_name.is_some() {
        return BTreeSet::new();
    }
    let exact = container.asked.wishes.iter().filter_map(|wish| if let HostName::Exact(name) = &wish.host { Some(name) } else { None });
    exact.filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
