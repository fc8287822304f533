//! The resolved configuration for people and programs; secrets stay hidden.

mod outside;
mod repositories;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::certificates::{Challenge, Issuer, Staging, key_word};
use super::schedule::Times;
use super::values::shown_duration;
use super::{Compression, Config, Instance, Route, RouteTarget, VERSION};
use crate::name::Domain;
use crate::vhost::HttpsMethod;

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// Parts of the names of variables that hold secrets.
const SECRET: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL"];

/// The resolved configuration as YAML, every default filled in.
#[must_use]
pub fn show(config: &Config) -> String {
    // Only texts, numbers, lists and mappings with text keys: nothing that YAML could refuse.
    serde_yaml::to_string(&Shown::of(config)).expect("plain values are YAML")
}

/// The same for programs.
#[must_use]
pub fn show_json(config: &Config) -> serde_json::Value {
    // Only texts, numbers, lists and mappings with text keys: nothing that JSON could refuse.
    serde_json::to_value(Shown::of(config)).expect("plain values are JSON")
}

#[derive(Serialize)]
struct Shown<'a> {
    version: i64,
    path: &'a Path,
    domain: &'a Domain,
    email: &'a str,
    storage: Storage<'a>,
    timezone: &'a str,
    daemon: bool,
    parallel: u32,
    certificates: Certificates<'a>,
    proxy: Proxy<'a>,
    bans: Bans,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<repositories::Shown<'a>>,
    networks: Networks<'a>,
    instances: Vec<App<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<ShownRoute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<super::encryption::Shown<'a>>,
    metrics: Option<outside::Metrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hooks: Option<outside::ShownHooks<'a>>,
    ping: Option<String>,
}

#[derive(Serialize)]
struct Storage<'a> {
    files: &'a Path,
    databases: &'a Path,
}

#[derive(Serialize)]
struct Certificates<'a> {
    issuer: &'static str,
    email: Option<&'a str>,
    authorities: Vec<Authority<'a>>,
    challenge: &'static str,
    dns: Option<String>,
    profile: Option<&'a str>,
    key: String,
    wildcard: bool,
    staging: &'static str,
    preflight: bool,
}

#[derive(Serialize)]
struct Authority<'a> {
    name: &'a str,
    directory: &'a str,
    staging: Option<&'a str>,
    root: Option<&'a Path>,
    eab: Option<&'a str>,
}

#[derive(Serialize)]
struct Proxy<'a> {
    address: Option<String>,
    http_port: u16,
    https_port: u16,
    trusted: Vec<String>,
    instance: App<'a>,
}

#[derive(Serialize)]
struct Bans {
    enabled: bool,
    failures: u32,
    within: String,
    steps: Vec<String>,
    forgive: String,
    allow: Vec<String>,
}

#[derive(Serialize)]
struct Networks<'a> {
    range: Option<&'a str>,
    edge: &'a str,
}

#[derive(Serialize)]
struct App<'a> {
    id: String,
    minion: &'a str,
    domain: &'a Domain,
    host: Option<&'a Domain>,
    aliases: &'a [Domain],
    version: Option<&'a str>,
    environment: BTreeMap<&'a str, Cow<'a, str>>,
    resources: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Access<'a>>,
    backup: Backup<'a>,
}

#[derive(Serialize)]
struct Access<'a> {
    allow: Vec<String>,
    auth: Option<&'a str>,
}

#[derive(Serialize)]
struct Resources {
    memory_bytes: Option<u64>,
    cpus: Option<f64>,
}

#[derive(Serialize)]
struct Backup<'a> {
    dump: Option<&'a str>,
    cold: Option<&'a str>,
    verify: Option<&'a str>,
    drill: Option<&'a str>,
    sync: Option<&'a str>,
    forget: Option<&'a str>,
    keep: Keep,
    compression: &'static str,
    downtime_budget: Option<String>,
    jitter: String,
    quiet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<String>,
}

#[derive(Serialize)]
struct Keep {
    last: u32,
    hourly: u32,
    daily: u32,
    weekly: u32,
    monthly: u32,
    yearly: u32,
    within: Option<String>,
    at_most: Option<u32>,
}

impl<'a> Shown<'a> {
    fn of(config: &'a Config) -> Self {
        Self {
            version: VERSION,
            path: &config.path,
            domain: &config.domain,
            email: &config.email,
            storage: Storage { files: &config.layout.files, databases: &config.layout.databases },
            timezone: &config.timezone,
            daemon: config.daemon,
            parallel: config.parallel,
            certificates: Certificates::of(&config.certificates),
            proxy: Proxy {
                address: config.proxy.address.map(|address| address.to_string()),
                http_port: config.proxy.http_port,
                https_port: config.proxy.https_port,
                trusted: config.proxy.trusted.iter().map(ToString::to_string).collect(),
                instance: App::of(&config.proxy_instance),
            },
            bans: Bans {
                enabled: config.bans.enabled,
                failures: config.bans.failures,
                within: shown_duration(config.bans.within),
                steps: config.bans.steps.iter().copied().map(shown_duration).collect(),
                forgive: shown_duration(config.bans.forgive),
                allow: config.bans.allow.iter().map(ToString::to_string).collect(),
            },
            repositories: config.repositories.iter().map(repositories::Shown::of).collect(),
            networks: Networks { range: config.network_range.as_deref(), edge: &config.edge_network },
            instances: config.instances.iter().map(App::of).collect(),
            routes: config.routes.iter().map(ShownRoute::of).collect(),
            encryption: super::encryption::Shown::of(config),
            metrics: config.outside.metrics_port.map(|port| outside::Metrics { port }),
            hooks: outside::ShownHooks::of(&config.outside.hooks),
            ping: config.outside.ping.as_ref().map(outside::hidden),
        }
    }
}

/// A route in one line for each of its paths.
#[derive(Serialize)]
struct ShownRoute<'a> {
    host: &'a Domain,
    aliases: &'a [Domain],
    https: &'static str,
    leads: BTreeMap<&'a str, String>,
    auth: Option<&'a str>,
    allow: Vec<String>,
    body_bytes: Option<u64>,
    read_timeout: Option<String>,
}

impl<'a> ShownRoute<'a> {
    fn of(route: &'a Route) -> Self {
        let whole = route.to.iter().map(|target| ("/", target));
        Self {
            host: &route.host,
            aliases: &route.aliases,
            https: match route.https {
                HttpsMethod::Redirect => "redirect",
                HttpsMethod::NoRedirect => "both",
                HttpsMethod::NoHttp => "only",
                HttpsMethod::NoHttps => "never",
            },
            leads: whole.chain(route.paths.iter().map(|(path, to)| (path.as_str(), to))).map(|(path, to)| (path, leads(to))).collect(),
            auth: route.auth.as_deref(),
            allow: route.allow.iter().map(ToString::to_string).collect(),
            body_bytes: route.body_bytes,
            read_timeout: route.read_timeout.map(shown_duration),
        }
    }
}

fn leads(target: &RouteTarget) -> String {
    match target {
        RouteTarget::Redirect(to) => format!("redirect to {to}"),
        RouteTarget::Folder(name) => format!("folder {name}"),
        RouteTarget::Answer(status) => format!("answer {status}"),
        RouteTarget::Servers { tls, servers, path } => {
            let scheme = if *tls { "https" } else { "http" };
            let path = path.as_deref().unwrap_or_default();
            let one = |(host, port, weight): &(String, u16, Option<u32>)| {
                let share = weight.map_or_else(String::new, |weight| format!(" weight {weight}"));
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("{scheme}://{host}:{port}{path}{share}")
            };
            servers.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    }
}

impl<'a> Certificates<'a> {
    fn of(found: &'a super::certificates::Certificates) -> Self {
        let authority = |known: &'a super::certificates::Authority| Authority {
            name: &known.name,
            directory: &known.directory,
            staging: known.staging.as_deref(),
            root: known.root.as_deref(),
            eab: known.eab.as_ref().map(|eab| eab.kid.as_str()),
        };
        Self {
            issuer: match found.issuer {
                None => "by the name",
                Some(Issuer::Acme) => "acme",
                Some(Issuer::Internal) => "internal",
            },
            email: found.email.as_deref(),
            authorities: found.authorities.iter().map(authority).collect(),
            challenge: match found.challenge {
                Challenge::Http => "http-01",
                Challenge::Dns => "dns-01",
            },
            dns: found.dns.as_ref().map(|dns| dns.provider.word().to_owned()),
            profile: found.profile.as_deref(),
            key: key_word(found.key),
            wildcard: found.wildcard,
            staging: match found.staging {
                Staging::First => "first",
                Staging::Only => "only",
                Staging::Never => "never",
            },
            preflight: found.preflight,
        }
    }
}

impl<'a> App<'a> {
    fn of(instance: &'a Instance) -> Self {
        Self {
            id: instance.id.to_string(),
            minion: &instance.minion,
            domain: &instance.id.domain,
            host: instance.host.as_ref(),
            aliases: &instance.aliases,
            version: instance.version.as_deref(),
            environment: instance.environment.iter().map(|(name, value)| (name.as_str(), shown(name, value))).collect(),
            resources: Resources {
                memory_bytes: instance.resources.memory_bytes,
                cpus: instance.resources.nano_cpus.map(|nano| nano as f64 / 1e9),
            },
            access: (!instance.access.is_open()).then(|| Access {
                allow: instance.access.allow.iter().map(ToString::to_string).collect(),
                auth: instance.access.auth.as_deref(),
            }),
            backup: Backup::of(&instance.backup),
        }
    }
}

impl<'a> Backup<'a> {
    fn of(backup: &'a super::Backup) -> Self {
        Self {
            dump: backup.dump.as_ref().map(Times::as_str),
            cold: backup.cold.as_ref().map(Times::as_str),
            verify: backup.verify.as_ref().map(Times::as_str),
            drill: backup.drill.as_ref().map(Times::as_str),
            sync: backup.sync.as_ref().map(Times::as_str),
            forget: backup.forget.as_ref().map(Times::as_str),
            keep: Keep::of(backup.keep),
            compression: match backup.compression {
                Compression::Zstd => "zstd",
                Compression::Gzip => "gzip",
            },
            downtime_budget: backup.downtime_budget.map(shown_duration),
            jitter: shown_duration(backup.jitter),
            quiet: backup.quiet.map(|quiet| quiet.to_string()),
            ping: backup.ping.as_ref().map(outside::hidden),
        }
    }
}

impl Keep {
    fn of(keep: super::Keep) -> Self {
        let super::Keep { last, hourly, daily, weekly, monthly, yearly, within, at_most } = keep;
        Self { last, hourly, daily, weekly, monthly, yearly, within: within.map(shown_duration), at_most }
    }
}

/// Hides the value of a variable whose name sounds like a secret, and passwords inside URLs.
fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let name = name.to_ascii_uppercase();
    if SECRET.iter().any(|part| name.contains(part)) {
        return HIDDEN.into();
    }
    let Some((scheme, rest)) = value.split_once("://") else { return value.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@').and_then(|(user, _)| Some((user.split_once(':')?.0, user.len()))) {
        Some((user, end)) => format!("{scheme}://{user}:{HIDDEN}{}", &rest[end..]).into(),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::loaded;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a golden is as long as what it shows")]
    fn everything_is_shown_but_secrets() {
        let (config, _) = loaded(
            "version: 1\ndomain: a.org\nemail: you@a.org\napps:\n  ghost:\n    environment: {db_password: hunter2, API_KEY: hunter2, URL: 'smtp://me:hunter2@mail.a.org/x', PORT: 587, SITE: 'https://a.org'}\n    resources: {cpus: 1.5}\n",
        );
        let text = show(&config);
        assert!(!text.contains("hunter2") && !show_json(&config).to_string().contains("hunter2"));
        insta::assert_snapshot!(text, @r"
        version: 1
        path: /srv/team/config.yml
        domain: a.org
        email: you@a.org
        storage:
          files: /srv/team/data
          databases: /srv/team/data/database
        timezone: Europe/Paris
        daemon: true
        parallel: 1
        certificates:
          issuer: by the name
          email: you@a.org
          authorities:
          - name: letsencrypt
            directory: https://acme-v02.api.letsencrypt.org/directory
            staging: https://acme-staging-v02.api.letsencrypt.org/directory
            root: null
            eab: null
          challenge: http-01
          dns: null
          profile: null
          key: ec-256
          wildcard: false
          staging: first
          preflight: true
        proxy:
          address: null
          http_port: 80
          https_port: 443
          trusted: []
          instance:
            id: nginx-a.org
            minion: nginx
            domain: a.org
            host: null
            aliases: []
            version: null
            environment: {}
            resources:
              memory_bytes: null
              cpus: null
            backup:
              dump: 0 2 * * *
              cold: 0 3 * * *
              verify: 0 5 * * 0
              drill: 0 6 * * 0
              sync: 0 6 * * *
              forget: 30 5 * * *
              keep:
                last: 3
                hourly: 0
                daily: 7
                weekly: 4
                monthly: 6
                yearly: 0
                within: null
                at_most: null
              compression: zstd
              downtime_budget: null
              jitter: 0s
              quiet: null
        bans:
          enabled: true
          failures: 10
          within: 10m
          steps:
          - 5m
          - 7d
          - 60d
          forgive: 180d
          allow: []
        networks:
          range: null
          edge: summoner-edge
        instances:
        - id: ghost-a.org
          minion: ghost
          domain: a.org
          host: blog.a.org
          aliases: []
          version: null
          environment:
            API_KEY: '***'
            PORT: '587'
            SITE: https://a.org
            URL: smtp://me:***@mail.a.org/x
            db_password: '***'
          resources:
            memory_bytes: null
            cpus: 1.5
          backup:
            dump: 0 2 * * *
            cold: 0 3 * * *
            verify: 0 5 * * 0
            drill: 0 6 * * 0
            sync: 0 6 * * *
            forget: 30 5 * * *
            keep:
              last: 3
              hourly: 0
              daily: 7
              weekly: 4
              monthly: 6
              yearly: 0
              within: null
              at_most: null
            compression: zstd
            downtime_budget: null
            jitter: 0s
            quiet: null
        metrics: null
        ping: null
        ");
        assert_eq!((&show_json(&config)["version"], &show_json(&config)["instances"][0]["resources"]["cpus"]), (&1.into(), &1.5.into()));
    }
}
