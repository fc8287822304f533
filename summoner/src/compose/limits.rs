//! How much a service may use and how it is kept running: memory, CPUs, processes, `ulimits`, `deploy`, `restart`.
//!
//! Old keys (`mem_limit`, `cpus`) and `deploy.resources` say the same; where both stand they must agree.

use std::collections::BTreeMap;

use super::model::{Resources, Service, Ulimit};
use super::refused;
use super::values::{bytes, converted, inert, milliseconds, nano_cpus, refuse, word};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

const ONE_ENGINE: &str = "it is for Swarm; one engine does not act on it";

/// Reads every limit into the service.
pub(super) fn read(service: &mut Service, fields: &mut Fields, faults: &mut Faults) {
    let what = fields.name("memswap_limit");
    let swap = fields.take("memswap_limit").and_then(|node| converted(node, &what, "a size such as 1g, or -1", swap, faults));
    service.resources = Resources {
        nano_cpus: nano_cpus(fields, "cpus", faults).filter(|cpus| *cpus > 0),
        memory_bytes: bytes(fields, "mem_limit", faults),
        memory_reservation_bytes: bytes(fields, "mem_reservation", faults),
        memory_swap_bytes: swap,
        pids: fields.integer("pids_limit", faults),
        cpu_shares: fields.integer("cpu_shares", faults),
        cpuset: fields.text("cpuset", faults),
    };
    service.replicas = fields.integer("scale", faults);
    let what = fields.name("restart");
    let restart = fields.take("restart");
    service.restart =
        restart.and_then(|node| converted(node, &what, "no, always, unless-stopped or on-failure[:n]", self::restart, faults));
    service.shm_size_bytes = bytes(fields, "shm_size", faults);
    service.stop_grace_period_ms = milliseconds(fields, "stop_grace_period", faults);
    let what = fields.name("ulimits");
    service.ulimits = fields.take("ulimits").map(|node| ulimits(node, &what, faults)).unwrap_or_default();
    let what = fields.name("deploy");
    if let Some(node) = fields.take("deploy") {
        deploy(service, node, what, faults);
    }
}

fn swap(text: &str) -> Option<i64> {
    if text == "-1" { Some(-1) } else { super::units::bytes(text).and_then(|bytes| i64::try_from(bytes).ok()) }
}

fn restart(text: &str) -> Option<String> {
    let times = text.strip_prefix("on-failure:");
    // Plain `no` is a word here, and `false` is what a reader of YAML 1.1 makes of it.
    match text {
        "no" | "false" => Some("no".into()),
        "always" | "unless-stopped" | "on-failure" => Some(text.into()),
        _ if times.is_some_and(|times| times.parse::<u32>().is_ok()) => Some(text.into()),
        _ => None,
    }
}

fn ulimits(node: &Node, what: &str, faults: &mut Faults) -> BTreeMap<String, Ulimit> {
    let mut all = BTreeMap::new();
    for (key, value) in node.entries(what, faults).unwrap_or_default() {
        let what = format!("{what}.{}", key.text);
        if value.as_map().is_none() {
            all.extend(value.integer::<i64>(&what, faults).map(|limit| (key.text.clone(), Ulimit { soft: limit, hard: limit })));
            continue;
        }
        let Some(mut fields) = Fields::open(value, what.as_str(), faults) else { continue };
        let mut part = |key| fields.require(key, faults).and_then(|node| node.integer::<i64>(&format!("{what}.{key}"), faults));
        let (soft, hard) = (part("soft"), part("hard"));
        fields.finish(faults);
        if let (Some(soft), Some(hard)) = (soft, hard) {
            all.insert(key.text.clone(), Ulimit { soft, hard });
        }
    }
    all
}

fn deploy(service: &mut Service, node: &Node, path: String, faults: &mut Faults) {
    let Some(mut fields) = Fields::open(node, path, faults) else { return };
    refuse(node, &mut fields, refused::DEPLOY, faults);
    word(&mut fields, "mode", &["replicated"], faults);
    let replicas = fields.integer::<u32>("replicas", faults);
    agree(&mut service.replicas, replicas, ("scale", "deploy.replicas"), node, faults);
    let path = fields.name("restart_policy");
    if let Some(node) = fields.take("restart_policy") {
        let policy = restart_policy(node, path, faults);
        service.restart = service.restart.take().or(policy);
    }
    let path = fields.name("resources");
    if let Some(node) = fields.take("resources") {
        resources(service, node, path, faults);
    }
    fields.finish(faults);
}

/// The restart policy of Swarm as the engine's own.
fn restart_policy(node: &Node, path: String, faults: &mut Faults) -> Option<String> {
    let mut fields = Fields::open(node, path, faults)?;
    let condition = word(&mut fields, "condition", &["none", "on-failure", "any", "unless-stopped"], faults);
    let attempts = fields.integer::<u32>("max_attempts", faults);
    inert(&mut fields, "delay", ONE_ENGINE, faults);
    inert(&mut fields, "window", ONE_ENGINE, faults);
    fields.finish(faults);
    Some(match (condition.as_deref(), attempts) {
        (Some("none"), _) => "no".into(),
        (Some("on-failure"), Some(times)) => format!("on-failure:{times}"),
        (Some(word @ ("on-failure" | "unless-stopped")), _) => word.to_owned(),
        _ => "always".into(),
    })
}

fn resources(service: &mut Service, node: &Node, path: String, faults: &mut Faults) {
    let Some(mut fields) = Fields::open(node, path, faults) else { return };
    let mine = &mut service.resources;
    let path = fields.name("limits");
    if let Some(node) = fields.take("limits")
        && let Some(mut limits) = Fields::open(node, path, faults)
    {
        let cpus = nano_cpus(&mut limits, "cpus", faults).filter(|cpus| *cpus > 0);
        agree(&mut mine.nano_cpus, cpus, ("cpus", "deploy.resources.limits.cpus"), node, faults);
        let memory = bytes(&mut limits, "memory", faults);
        agree(&mut mine.memory_bytes, memory, ("mem_limit", "deploy.resources.limits.memory"), node, faults);
        let pids = limits.integer("pids", faults);
        agree(&mut mine.pids, pids, ("pids_limit", "deploy.resources.limits.pids"), node, faults);
        limits.finish(faults);
    }
    let path = fields.name("reservations");
    if let Some(node) = fields.take("reservations")
        && let Some(mut reservations) = Fields::open(node, path, faults)
    {
        refuse(node, &mut reservations, refused::RESERVATIONS, faults);
        inert(&mut reservations, "cpus", ONE_ENGINE, faults);
        let memory = bytes(&mut reservations, "memory", faults);
        agree(&mut mine.memory_reservation_bytes, memory, ("mem_reservation", "deploy.resources.reservations.memory"), node, faults);
        reservations.finish(faults);
    }
    fields.finish(faults);
}

/// Two keys for one thing: either, or both with one value.
fn agree<T: PartialEq>(mine: &mut Option<T>, other: Option<T>, names: (&str, &str), node: &Node, faults: &mut Faults) {
    match (&*mine, &other) {
        (Some(old), Some(new)) if old != new => faults.error(&node.span, format!("{} and {} say different things", names.0, names.1)),
        (None, Some(_)) => *mine = other,
        _ => {}
    }
}
