//! Entries of `apps` into instances: minion, domains, hosts; and the proxy, of which a host has exactly one.

use super::hosts::Hosts;
use super::values::short;
use super::written::{At, Written, WrittenApp};
use super::{Access, Backup, Instance, Minions, Resources};
use crate::fault::{Faults, did_you_mean};
use crate::name::{App, Domain, InstanceId};

/// Turns entries into instances; holds what all of them need.
pub(super) struct Resolver<'a> {
    pub(super) minions: &'a dyn Minions,
    /// The first domain; None when it is faulty, and then only the entries with their own domain are resolved.
    pub(super) base: Option<&'a At<Domain>>,
    /// The backup that applies to every app.
    pub(super) backup: Backup,
    pub(super) hosts: Hosts,
}

impl Resolver<'_> {
    /// The proxy's instance and all others, in the order of the file.
    pub(super) fn resolve(&mut self, written: &Written, faults: &mut Faults) -> (Option<Instance>, Vec<Instance>) {
        let proxy = self.proxy_minion(written, faults);
        let mut proxy_entry = None;
        let mut instances = Vec::new();
        for app in &written.apps {
            let (minion, span) = app.minion();
            if !known(minion, span, self.minions, faults) {
                continue;
            }
            if Some(minion) == proxy.as_deref() {
                proxy_entry = proxy_entry.or_else(|| self.proxy_entry(app, minion, faults));
            } else if Some(app.name.value.as_str()) == proxy.as_deref() {
                faults.error_with_help(&app.name.span, format!("`{}` is the proxy's name", app.name.value), "give this app another name");
            } else if self.minions.is_proxy(minion) {
                let help = format!("to use it instead: `proxy: {{minion: {minion}}}`");
                faults.error_with_help(span, format!("`{minion}` is a proxy, and a host has exactly one"), help);
            } else {
                instances.extend(self.instances(app, minion, faults));
            }
        }
        let proxy = proxy_entry.or_else(|| self.plain_proxy(&proxy?));
        (proxy, instances)
    }

    /// `proxy.minion`, or the only proxy there is.
    fn proxy_minion(&self, written: &Written, faults: &mut Faults) -> Option<String> {
        let proxies: Vec<String> = self.minions.names().into_iter().filter(|name| self.minions.is_proxy(name)).collect();
        let Some(At { value, span }) = &written.proxy_minion else {
            if proxies.len() != 1 {
                let message = if proxies.is_empty() {
                    "no minion of the catalogue is a proxy".into()
                } else {
                    format!("several minions are proxies: {}", proxies.join(", "))
                };
                faults.error_with_help(&(0..0), message, "say which one: `proxy: {minion: …}`");
            }
            return (proxies.len() == 1).then(|| proxies[0].clone());
        };
        if !known(value, span, self.minions, faults) {
            return None;
        }
        if !proxies.contains(value) {
            faults.error_with_help(span, format!("`{value}` is not a proxy"), format!("allowed: {}", proxies.join(", ")));
            return None;
        }
        Some(value.clone())
    }

    fn plain_proxy(&self, minion: &str) -> Option<Instance> {
        let id = InstanceId { app: minion.parse().ok()?, domain: self.base?.value.clone() };
        Some(Instance {
            id,
            minion: minion.to_owned(),
            host: None,
            aliases: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            resources: Resources::default(),
            version: None,
            access: Access::default(),
            backup: self.backup.clone(),
        })
    }

    /// An entry may set the proxy's environment, resources, version and backup; where it lives is not a choice.
    fn proxy_entry(&mut self, app: &WrittenApp, minion: &str, faults: &mut Faults) -> Option<Instance> {
        if app.name.value.as_str() != minion {
            let help = format!("name the entry `{minion}`, or leave it out: the proxy is always there");
            faults.error_with_help(
                &app.name.span,
                format!("`{}` would be a second {minion}, and a host has exactly one proxy", app.name.value),
                help,
            );
            return None;
        }
        if let Some(domain) = app.domains.first() {
            faults.error(&domain.span, format!("apps.{minion} serves all domains and needs none of its own"));
        }
        let backup = app.backup.over(&self.backup, faults);
        self.instance(app, minion, self.base?, backup, faults)
    }

    fn instances(&mut self, app: &WrittenApp, minion: &str, faults: &mut Faults) -> Vec<Instance> {
        if let ([_, _, ..], Some(alias)) = (&app.domains[..], app.aliases.first()) {
            let help = "give each domain its own entry, with `minion:` and `aliases:`";
            faults.error_with_help(&alias.span, format!("apps.{}.aliases would lead to several instances", app.name.value), help);
        }
        let domains: Vec<&At<Domain>> = if app.domains.is_empty() { self.base.into_iter().collect() } else { app.domains.iter().collect() };
        let backup = app.backup.over(&self.backup, faults);
        domains.into_iter().filter_map(|domain| self.instance(app, minion, domain, backup.clone(), faults)).collect()
    }

    fn instance(&mut self, app: &WrittenApp, minion: &str, domain: &At<Domain>, backup: Backup, faults: &mut Faults) -> Option<Instance> {
        let host = if self.minions.routed(minion) {
            let host = host(app, self.minions.subdomain(minion)?, domain, faults)?;
            self.hosts.claim(&host, &format!("apps.{}", app.name.value), faults);
            Some(host.value)
        } else {
            no_host(app, minion, faults);
            None
        };
        if app.domains.len() < 2 {
            for alias in &app.aliases {
                self.hosts.claim(alias, &format!("apps.{}", app.name.value), faults);
            }
        }
        Some(Instance {
            id: InstanceId { app: app.name.value.clone(), domain: domain.value.clone() },
            minion: minion.to_owned(),
            host,
            aliases: app.aliases.iter().map(|alias| alias.value.clone()).collect(),
            environment: app.environment.clone(),
            resources: app.resources.clone(),
            version: app.version.clone(),
            access: app.access.clone(),
            backup,
        })
    }
}

fn host(app: &WrittenApp, default: String, domain: &At<Domain>, faults: &mut Faults) -> Option<At<Domain>> {
    let subdomain = app.subdomain.as_ref().map_or(default, |at| at.value.clone());
    // The fault stands where the person chose: the subdomain, else the domain of its own, else the app.
    let own = app.domains.iter().any(|own| own.span == domain.span);
    let span = app.subdomain.as_ref().map_or(if own { &domain.span } else { &app.name.span }, |at| &at.span);
    let full = subdomain.to_lowercase();
    if let Some(label) = full.strip_suffix(domain.value.as_str()).and_then(|rest| rest.strip_suffix('.').or(rest.is_empty().then_some("@")))
    {
        faults.error_with_help(
            span,
            format!("apps.{}.subdomain holds the domain as well", app.name.value),
            format!("write `subdomain: \"{label}\"`"),
        );
        return None;
    }
    match domain.value.host(&subdomain) {
        Ok(host) => Some(At::new(host, span)),
        Err(error) => {
            let help = "a subdomain is a word such as blog; \"@\" is the domain itself";
            faults.error_with_help(span, format!("apps.{}.subdomain: {error}", app.name.value), help);
            None
        }
    }
}

fn no_host(app: &WrittenApp, minion: &str, faults: &mut Faults) {
    let name = &app.name.value;
    if let Some(subdomain) = &app.subdomain {
        faults.error(&subdomain.span, format!("apps.{name}.subdomain has no effect: `{minion}` answers on no host name"));
    }
    if let Some(alias) = app.aliases.first() {
        faults.error(&alias.span, format!("apps.{name}.aliases has no effect: `{minion}` answers on no host name"));
    }
    if !app.access.is_open() {
        faults.error(&app.name.span, format!("apps.{name}.access has no effect: `{minion}` answers on no host name"));
    }
}

/// Whether the catalogue has a minion; the fault says which one may be meant.
fn known(minion: &str, span: &std::ops::Range<usize>, minions: &dyn Minions, faults: &mut Faults) -> bool {
    let found = minions.subdomain(minion).is_some();
    if !found {
        let names = minions.names();
        let near = did_you_mean(minion, names.iter().map(String::as_str)).map_or_else(String::new, |near| format!("{near} "));
        faults.error_with_help(span, format!("there is no minion `{}`", short(minion)), format!("{near}`summoner minions` lists them all"));
    }
    found
}

/// The name of an entry, checked.
pub(super) fn app_name(text: &str, span: &std::ops::Range<usize>, faults: &mut Faults) -> Option<At<App>> {
    match text.parse::<App>() {
        Ok(app) => Some(At::new(app, span)),
        Err(error) => {
            let help = "choose a short name and say with `minion:` which application it is, such as `blog: {minion: ghost}`";
            faults.error_with_help(span, error.to_string(), help);
            None
        }
    }
}
