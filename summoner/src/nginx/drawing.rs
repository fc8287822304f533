//! Sites as [`super::live`] draws them: the configuration for any of them, and which part of it is whose.
//!
//! Decides nothing: `plan::route` writes every byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::route::{self, Generation, Part, ProxySettings, Site};

/// A host that is not served, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name.
    pub host: String,
    /// Why.
    pub reason: String,
}

/// What is to be drawn.
pub struct Drawing<'a> {
    /// All sites.
    pub sites: &'a [Site],
    /// The proxy's settings.
    pub settings: &'a ProxySettings,
}

/// One configuration, and which part of it is whose.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    /// The files.
    pub generation: Generation,
    /// The part of each host.
    pub hosts: BTreeMap<String, Part>,
    /// Hosts that cannot be written.
    pub rejected: Vec<Closed>,
}

impl Drawing<'_> {
    /// All hosts.
    pub(super) fn hosts(&self) -> BTreeSet<String> {
        self.sites.iter().map(|site| site.name.to_string()).collect()
    }

    /// The configuration for these of them.
    pub(super) fn draw(&self, hosts: &BTreeSet<String>) -> Drawn {
        let sites: Vec<Site> = self.sites.iter().filter(|site| hosts.contains(&site.name.to_string())).cloned().collect();
        let route::Rendered { generation, rejected, parts } = route::render(&sites, self.settings);
        let closed = |rejected: route::Rejected| Closed { host: rejected.host.to_string(), reason: rejected.reason };
        Drawn { generation, hosts: parts, rejected: rejected.into_iter().map(closed).collect() }
    }
}

impl Drawn {
    /// What is written of a host.
    pub(super) fn text(&self, host: &str) -> Option<String> {
        let part = self.hosts.get(host)?;
        let text = self.generation.files.get(&part.file)?;
        let Some((first, last)) = part.lines else { return Some(text.clone()) };
        Some(text.lines().skip(first.saturating_sub(1)).take(last.saturating_sub(first) + 1).collect::<Vec<_>>().join("\n"))
    }
}
