//! What a config.yml says, before any default: the common ground of today's form and that of 2017.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Access, Bans, Proxy, Resources};
use crate::config::backup::WrittenBackup;
use crate::config::certificates::Certificates;
use crate::config::encryption::WrittenEncryption;
use crate::config::outside::Outside;
use crate::name::{App, Domain};

/// A value and the bytes of the file that it came from.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    pub(super) fn new(value: T, span: &Range<usize>) -> Self {
        Self { value, span: span.clone() }
    }
}

/// What a config.yml says.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) domain: Option<At<Domain>>,
    pub(super) email: Option<String>,
    /// As written: relative, absolute or with `~`.
    pub(super) files: Option<At<String>>,
    pub(super) databases: Option<At<String>>,
    pub(super) timezone: Option<String>,
    pub(super) certificates: Certificates,
    pub(super) proxy: Proxy,
    pub(super) proxy_minion: Option<At<String>>,
    pub(super) network_range: Option<String>,
    pub(super) edge_network: Option<String>,
    pub(super) daemon: Option<bool>,
    pub(super) parallel: Option<u32>,
    pub(super) bans: Bans,
    pub(super) encryption: WrittenEncryption,
    pub(super) outside: Outside,
    pub(super) backup: WrittenBackup,
    pub(super) apps: Vec<WrittenApp>,
}

/// One entry of `apps`.
#[derive(Debug)]
pub(super) struct WrittenApp {
    pub(super) name: At<App>,
    pub(super) minion: Option<At<String>>,
    pub(super) subdomain: Option<At<String>>,
    /// Empty is the first domain.
    pub(super) domains: Vec<At<Domain>>,
    pub(super) aliases: Vec<At<Domain>>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) resources: Resources,
    pub(super) version: Option<String>,
    pub(super) access: Access,
    pub(super) backup: WrittenBackup,
}

impl WrittenApp {
    pub(super) fn named(name: At<App>) -> Self {
        Self {
            name,
            minion: None,
            subdomain: None,
            domains: Vec::new(),
            aliases: Vec::new(),
            environment: BTreeMap::new(),
            resources: Resources::default(),
            version: None,
            access: Access::default(),
            backup: WrittenBackup::default(),
        }
    }

    /// The name in the catalogue and where it was written.
    pub(super) fn minion(&self) -> (&str, &Range<usize>) {
        match &self.minion {
            Some(minion) => (&minion.value, &minion.span),
            None => (self.name.value.as_str(), &self.name.span),
        }
    }
}
