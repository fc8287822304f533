//! One service of the Compose file at a time.

use super::Lint;
use crate::compose::{Condition, Service};

pub(super) fn check(lint: &mut Lint<'_>, name: &str, service: &Service) {
    let place = format!("services.{name}");
    if lint.minion.role(name).is_err() {
        lint.find(&place, "a service is `app`, a declared database, or one of the helper words such as redis, cron, worker");
    }
    image(lint, &place, &service.image);
    powers(lint, &place, service);
    health(lint, name, service);
    let argv = service.command.iter().chain(&service.entrypoint).chain(service.healthcheck.as_ref().map(|check| &check.test));
    if argv.flatten().any(|word| lint.holds_secret(word)) {
        lint.find(&place, "a secret stands in an argument, which `docker inspect` and every process show: give it as a file");
    }
    for (other, dependency) in &service.depends_on {
        let database = lint.minion.databases.iter().any(|database| database.service == *other);
        if database && dependency.condition != Condition::Healthy {
            lint.find(format!("{place}.depends_on.{other}"), "wait for a database until it is healthy: {condition: service_healthy}");
        }
    }
}

fn image(lint: &mut Lint<'_>, place: &str, image: &str) {
    match tag(image) {
        None => lint.find(format!("{place}.image"), format!("`{image}` names no tag: pin an exact version")),
        Some(tag) if !tag.contains(|c: char| c.is_ascii_digit()) => {
            lint.find(format!("{place}.image"), format!("`{tag}` means another image every week: pin an exact version"));
        }
        Some(_) => {}
    }
}

/// What a minion may not ask for.
fn powers(lint: &mut Lint<'_>, place: &str, service: &Service) {
    let proxy = lint.minion.proxy;
    let rules = [
        (!service.ports.is_empty() && !proxy, "ports", "only the proxy publishes ports: declare a route in minion.yml"),
        (service.container_name.is_some(), "container_name", "Summoner names the containers"),
        (service.privileged, "privileged", "no container of the catalogue has all powers"),
        (service.build.is_some(), "build", "the catalogue uses images of the application's own makers"),
        (service.network_mode.is_some(), "network_mode", "Summoner gives each instance its own network"),
        (service.networks.keys().any(|network| network != "default"), "networks", "Summoner gives each instance its own network"),
        (service.pid.is_some() || service.ipc.as_deref() == Some("host"), "pid", "no container sees the host's processes or memory"),
        (!service.devices.is_empty(), "devices", "no container uses the host's devices"),
        (
            service.restart.as_deref() != Some("unless-stopped"),
            "restart",
            "write restart: unless-stopped, so that it runs again after a reboot",
        ),
    ];
    for (broken, key, message) in rules {
        if broken {
            lint.find(format!("{place}.{key}"), message);
        }
    }
}

fn health(lint: &mut Lint<'_>, name: &str, service: &Service) {
    // The proxy is asked which generation of its configuration it runs, which says more.
    if lint.minion.proxy {
        return;
    }
    let place = format!("services.{name}.healthcheck");
    let own = lint.minion.image_healthchecks.iter().any(|service| service == name);
    let Some(check) = &service.healthcheck else {
        if !own {
            lint.find(place, "a check is missing that holds only while the service works");
        }
        return;
    };
    if check.test.is_empty() && !own {
        lint.find(&place, "`test` is missing; when the image brings its own, list the service in image_healthchecks");
    }
    if check.test.first().is_some_and(|word| word == "NONE") {
        lint.find(&place, "the check is switched off: nobody would know when the service works");
    }
    if check.start_period_ms.is_none() {
        lint.find(&place, "start_period is missing: the first start would count as a failure");
    }
    if check.interval_ms.is_none_or(|interval| interval > 15_000) {
        lint.find(&place, "write an interval of at most 15s: each start waits for the next check");
    }
}

pub(super) fn check_names(lint: &mut Lint<'_>) {
    if !lint.project.services.contains_key("app") {
        lint.find("services", "the application's own service is named `app`");
    }
    for database in &lint.minion.databases {
        lint.service_exists("databases", &database.service);
    }
    for service in &lint.minion.image_healthchecks {
        lint.service_exists("image_healthchecks", service);
    }
}

/// What belongs to the application moves with it.
pub(super) fn check_versions(lint: &mut Lint<'_>) {
    let (minion, project) = (lint.minion, lint.project);
    let image = |name: &str| project.services.get(name).map(|service| service.image.as_str()).unwrap_or_default();
    let own = image("app");
    let own_tag = tag(own).unwrap_or_default();
    if !minion.versions.matches(own_tag) {
        lint.find("versions.tags", format!("the tag of the service app, `{own_tag}`, does not match"));
    }
    for name in &minion.versions.services {
        lint.service_exists("versions.services", name);
        if project.services.contains_key(name) && tag(image(name)) != tag(own) {
            lint.find(format!("services.{name}.image"), format!("it moves together with app and so must have the tag `{own_tag}`"));
        }
    }
    for name in project.services.keys().filter(|name| !minion.versions.services.contains(name)) {
        if repository(image(name)) == repository(own) {
            lint.find("versions.services", format!("`{name}` has app's image and must move with it: services: [app, {name}]"));
        }
    }
}

/// The tag of an image reference; a colon before the last slash belongs to a registry's port.
pub(super) fn tag(image: &str) -> Option<&str> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let (repository, tag) = name.rsplit_once(':')?;
    (!tag.contains('/') && !repository.is_empty()).then_some(tag)
}

pub(super) fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    tag(image).map_or(name, |tag| &name[..name.len() - tag.len() - 1])
}
