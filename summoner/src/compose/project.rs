//! The whole project: its name, its sections, the services that the profiles select, and what they refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::model::{MountKind, Project, Service};
use super::values::refuse;
use super::work::{Work, absolute};
use super::{document, extend, grants, include, order, refused, sections, service};
use crate::fault::did_you_mean;
use crate::yaml::{Fields, Key, Node};

/// Reads the main file and everything that it names.
pub(super) fn read(work: &mut Work) -> Option<Project> {
    let mut root = document::parse(work, 0)?;
    let name = name(work, &root);
    work.variables.insert("COMPOSE_PROJECT_NAME".into(), name.clone());
    let variables = work.variables.clone();
    document::interpolate(work, &mut root, &variables);
    let folder = work.input.folder;
    let file = Path::new(&work.input.source.path)
        .file_name()
        .map_or_else(|| folder.to_path_buf(), |file| absolute(folder, &file.to_string_lossy()));
    extend::apply(work, &mut root, &file, folder, &variables);
    include::apply(work, &mut root, folder, &variables, &mut vec![file]);
    document::drop_resets(&mut root);
    resolve(work, &root, name)
}

/// The name asked for, else the file's, else the folder's made fit.
fn name(work: &mut Work, root: &Node) -> String {
    let asked = work.input.project.or(work.input.variables.get("COMPOSE_PROJECT_NAME").map(String::as_str)).filter(|name| !name.is_empty());
    let fits = |name: &str| normalise(name) == name;
    if let Some(asked) = asked {
        if !fits(asked) {
            work.faults.error(
                &(0..0),
                format!("`{asked}` is no name for a project: lower-case letters, digits, - and _, the first a letter or digit"),
            );
        }
        return asked.to_owned();
    }
    if let Some(node) = root.get("name").filter(|node| !node.is_null()) {
        let mut node = node.clone();
        let variables = work.variables.clone();
        work.interpolate(&mut node, &variables);
        let name = node.text("name", &mut work.faults).unwrap_or_default();
        if !fits(&name) || name.is_empty() {
            let help = format!("write `{}`", normalise(&name));
            work.faults.error_with_help(
                &node.span,
                format!("`{name}` is no name for a project: lower-case letters, digits, - and _, the first a letter or digit"),
                help,
            );
        }
        return name;
    }
    let folder = work.input.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = normalise(&folder);
    if name.is_empty() {
        work.faults.error_with_help(
            &(0..0),
            format!("the folder `{folder}` gives no name for the project"),
            "write `name:` at the top level",
        );
    }
    name
}

/// A project's name as Compose makes it of a folder's: lower case, nothing but letters, digits, `-` and `_`.
fn normalise(name: &str) -> String {
    let kept: String =
        name.to_lowercase().chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

fn resolve(work: &mut Work, root: &Node, name: String) -> Option<Project> {
    let mut fields = Fields::open(root, "", &mut work.faults)?;
    refuse(root, &mut fields, refused::TOP, &mut work.faults);
    fields.take("name");
    fields.take("include");
    if let Some(node) = fields.take("version") {
        work.faults.warning(&node.span, "`version` is obsolete and has no meaning", "remove it");
    }
    let networks = sections::networks(work, fields.take("networks"), &name);
    let volumes = sections::volumes(work, fields.take("volumes"), &name);
    let secrets = fields.take("secrets").map(|node| grants::sources(work, node, "secrets", grants::Kind::Secret)).unwrap_or_default();
    let configs = fields.take("configs").map(|node| grants::sources(work, node, "configs", grants::Kind::Config)).unwrap_or_default();
    let nodes = fields.take("services").and_then(|node| node.entries("services", &mut work.faults)).unwrap_or_default();
    fields.finish(&mut work.faults);
    if nodes.is_empty() {
        work.faults.error(&root.span, "there are no services");
    }
    let mut services = BTreeMap::new();
    for (key, node) in nodes {
        services.extend(service::read(work, key, node).map(|service| (key.text.clone(), service)));
    }
    let profiles = work.input.profiles;
    let mut project = Project { name, services, networks, volumes, secrets, configs };
    project.services.retain(|_, service| is_active(service, profiles));
    check(work, &mut project, nodes);
    keep_used(&mut project);
    Some(project)
}

fn is_active(service: &Service, profiles: &[String]) -> bool {
    service.profiles.is_empty() || profiles.iter().any(|profile| profile == "*" || service.profiles.contains(profile))
}

/// Every name that a service uses must stand for something.
fn check(work: &mut Work, project: &mut Project, nodes: &[(Key, Node)]) {
    let declared: BTreeSet<&str> = nodes.iter().map(|(key, _)| key.text.as_str()).collect();
    let broken: BTreeSet<&str> =
        nodes.iter().filter(|(_, node)| node.tag.as_deref() == Some(extend::BROKEN)).map(|(key, _)| key.text.as_str()).collect();
    let active: BTreeSet<String> = project.services.keys().cloned().collect();
    for (key, node) in nodes {
        let Some(service) = project.services.get_mut(&key.text) else { continue };
        let unknown: Vec<String> =
            service.depends_on.keys().filter(|need| !active.contains(*need) && !broken.contains(need.as_str())).cloned().collect();
        for need in unknown {
            if service.depends_on.get(&need).is_some_and(|dependency| !dependency.required) {
                service.depends_on.remove(&need);
                continue;
            }
            let (message, help) = if declared.contains(need.as_str()) {
                (
                    format!("services.{} needs `{need}`, which no active profile selects", key.text),
                    Some("activate one of its profiles".to_owned()),
                )
            } else {
                (format!("services.{} needs a service `{need}` that is not there", key.text), did_you_mean(&need, declared.iter().copied()))
            };
            error_at(work, node, key, &["depends_on", "links", "volumes_from", "network_mode", "ipc", "pid"], &need, message, help);
        }
        check_names(work, (&project.networks, &project.volumes), (&project.secrets, &project.configs), service, key, node);
    }
    if let Some(circle) = order::cycle(project) {
        let at = nodes.iter().find(|(key, _)| key.text == circle[0]).map_or(0..0, |(key, _)| key.span.clone());
        work.faults.error(&at, format!("services depend on each other in a circle: {}", circle.join(" → ")));
    }
}

type Places<'p> = (&'p BTreeMap<String, super::Network>, &'p BTreeMap<String, super::Volume>);
type Files<'p> = (&'p BTreeMap<String, super::FileSource>, &'p BTreeMap<String, super::FileSource>);

fn check_names(work: &mut Work, (networks, volumes): Places, (secrets, configs): Files, service: &Service, key: &Key, node: &Node) {
    let mut missing: Vec<(&'static str, &str, Option<String>)> = Vec::new();
    for name in service.networks.keys().filter(|name| !networks.contains_key(*name)) {
        missing.push(("networks", name, did_you_mean(name, networks.keys().map(String::as_str))));
    }
    let named = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume).filter_map(|mount| mount.source.as_deref());
    for name in named.filter(|name| !volumes.contains_key(*name)) {
        let help = did_you_mean(name, volumes.keys().map(String::as_str))
            .unwrap_or_else(|| format!("a path of the host begins with `./`: ./{name}"));
        missing.push(("volumes", name, Some(help)));
    }
    for (section, grants, known) in [("secrets", &service.secrets, secrets), ("configs", &service.configs, configs)] {
        for grant in grants.iter().filter(|grant| !known.contains_key(&grant.source)) {
            missing.push((section, &grant.source, did_you_mean(&grant.source, known.keys().map(String::as_str))));
        }
    }
    for (section, name, help) in missing {
        let message = format!("services.{} uses `{name}`, which the top-level {section} do not declare", key.text);
        error_at(work, node, key, &[section], name, message, help);
    }
}

/// Records an error at the scalar or key of a service that begins with a name.
fn error_at(work: &mut Work, node: &Node, key: &Key, keys: &[&str], name: &str, message: String, help: Option<String>) {
    let place = keys.iter().filter_map(|key| node.get(key)).find_map(|node| find(node, name));
    let span = place.unwrap_or_else(|| key.span.clone());
    match help {
        Some(help) => work.faults.error_with_help(&span, message, help),
        None => work.faults.error(&span, message),
    }
}

fn find(node: &Node, name: &str) -> Option<std::ops::Range<usize>> {
    let names = |text: &str| text == name || text.strip_prefix("service:") == Some(name) || text.split(':').next() == Some(name);
    if let Some(entries) = node.as_map() {
        let key = entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key.span.clone());
        return key.or_else(|| entries.iter().find_map(|(_, value)| find(value, name)));
    }
    if let Some(items) = node.as_list() {
        return items.iter().find_map(|item| find(item, name));
    }
    node.as_str().filter(|text| names(text)).map(|_| node.span.clone())
}

/// Only what a service uses is part of the project, as `docker compose config` prints it.
fn keep_used(project: &mut Project) {
    let services: Vec<&Service> = project.services.values().collect();
    project.networks.retain(|name, _| services.iter().any(|service| service.networks.contains_key(name)));
    project.volumes.retain(|name, _| {
        services
            .iter()
            .any(|service| service.volumes.iter().any(|mount| mount.kind == MountKind::Volume && mount.source.as_ref() == Some(name)))
    });
    project.secrets.retain(|name, _| services.iter().any(|service| service.secrets.iter().any(|grant| grant.source == *name)));
    project.configs.retain(|name, _| services.iter().any(|service| service.configs.iter().any(|grant| grant.source == *name)));
}
