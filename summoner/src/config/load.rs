//! The way from text to [`Config`]: parse, tell the form, read it, fill in defaults, resolve.

use std::sync::Arc;

use super::apps::Resolver;
use super::hosts::Hosts;
use super::{Backup, Config, Proxy, Surroundings, VERSION, certificates, encryption, legacy, repositories, routes, storage, today, values};
use crate::fault::{Fault, Faults, Source};
use crate::yaml::{Limits, Node, kind_of, parse};

impl Default for Proxy {
    fn default() -> Self {
        Self { address: None, http_port: 80, https_port: 443, trusted: Vec::new() }
    }
}

/// Reads a config.yml and fills in every default.
///
/// Gives the configuration and the warnings.
///
/// # Errors
/// Everything that is wrong with the file, in its order.
pub fn load(source: &Arc<Source>, surroundings: &Surroundings<'_>) -> Result<(Config, Vec<Fault>), Vec<Fault>> {
    let mut faults = Faults::new(source);
    let root = parse(Limits::CONFIG, &mut faults);
    if root.is_none() {
        explain_stars(&mut faults);
    }
    let config = root.and_then(|root| resolve(&root, surroundings, &mut faults));
    faults.finish(config)
}

/// Schedules begin with a star more often than people know that YAML takes one for an alias.
fn explain_stars(faults: &mut Faults) {
    let source = faults.source().clone();
    for fault in &mut faults.errors {
        let before = source.text[..source.text.floor_char_boundary(fault.span.start)].rfind('\n').map_or(0, |at| at + 1);
        let line = source.text[before..].lines().next().unwrap_or_default();
        if line.contains(": *") {
            fault.help = Some("put quotes around a value that begins with a star: \"*/30 * * * *\"".to_owned());
        }
    }
}

fn resolve(root: &Node, surroundings: &Surroundings<'_>, faults: &mut Faults) -> Option<Config> {
    let written = if legacy::is_legacy(root) {
        legacy::read(root, faults)?
    } else {
        check_version(root, faults)?;
        today::read(root, faults)?
    };
    let layout = storage::layout(&written, surroundings, faults);
    let timezone = written.timezone.clone().unwrap_or_else(|| host_timezone(surroundings.host_timezone, faults));
    let backup = written.backup.over(&Backup::default(), faults);
    let repositories = repositories::read(root.get("repositories"), surroundings, layout.as_ref(), backup.keep, faults);
    let mut resolver = Resolver { minions: surroundings.minions, base: written.domain.as_ref(), backup, hosts: Hosts::default() };
    let (proxy_instance, instances) = resolver.resolve(&written, faults);
    let (recipients, recipients_file) = encryption::resolve(&written, surroundings, faults);
    let routes = routes::read(root.get("routes"), &mut resolver.hosts, faults);
    Some(Config {
        path: surroundings.path.to_path_buf(),
        domain: written.domain?.value,
        certificates: certificates::Certificates {
            email: written.certificates.email.or_else(|| written.email.clone()),
            ..written.certificates
        },
        email: written.email?,
        layout: layout?,
        timezone,
        daemon: written.daemon.unwrap_or(true),
        parallel: written.parallel.unwrap_or(1),
        proxy: written.proxy,
        bans: written.bans,
        network_range: written.network_range,
        edge_network: written.edge_network.unwrap_or_else(|| super::EDGE_NETWORK.to_owned()),
        proxy_instance: proxy_instance?,
        instances,
        routes,
        repositories,
        recipients,
        recipients_file,
        outside: written.outside,
    })
}

/// Stops at a form that this Summoner does not know: every other fault would be a guess.
fn check_version(root: &Node, faults: &mut Faults) -> Option<()> {
    let help = "begin the file with `version: 1`";
    if root.as_map().is_none() {
        let message = if root.is_null() {
            "the file holds no settings".into()
        } else {
            format!("the file must hold keys such as `domain:`, but {} stands here", kind_of(root))
        };
        faults.error_with_help(&root.span, message, "`summoner init` writes one to begin with");
        return None;
    }
    let Some(node) = root.get("version").filter(|node| !node.is_null()) else {
        faults.error_with_help(&(0..1), "`version` is missing", help);
        return Some(());
    };
    match node.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(VERSION) => Some(()),
        Some(newer) if newer > VERSION => {
            faults.error_with_help(
                &node.span,
                format!("version {newer} was written by a newer Summoner; this one reads version {VERSION}"),
                "update Summoner",
            );
            None
        }
        _ => {
            faults.error_with_help(&node.span, format!("version must be {VERSION}"), help);
            Some(())
        }
    }
}

fn host_timezone(name: &str, faults: &mut Faults) -> String {
    values::timezone(name).unwrap_or_else(|_| {
        let help = "write `timezone: Europe/Paris` (yours) into the file";
        faults.warning(&(0..0), format!("the host's time zone `{}` is unknown: schedules run in UTC", values::short(name)), help);
        "UTC".to_owned()
    })
}

#[cfg(test)]
pub(in crate::config) mod tests;
