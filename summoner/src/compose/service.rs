//! One service: every key is read by the module that knows it, and what nobody read is refused.

use super::grants::{Kind, grants};
use super::model::Service;
use super::values::{flag, refuse, texts_by_name, unique};
use super::work::Work;
use super::{environment, extend, limits, mounts, ports, process, refused, relations};
use crate::fault::Faults;
use crate::yaml::{Fields, Key, Node};

/// Reads a service; None when it is not even a mapping, with the reason recorded.
pub(super) fn read(work: &mut Work, key: &Key, node: &Node) -> Option<Service> {
    if node.tag.as_deref() == Some(extend::BROKEN) {
        return None;
    }
    if !is_name(&key.text) {
        work.faults.error(&key.span, format!("`{}` is no name for a service: letters, digits and . _ - only", key.text));
    }
    let mut fields = Fields::open(node, format!("services.{}", key.text), &mut work.faults)?;
    refuse(node, &mut fields, refused::SERVICE, &mut work.faults);
    let mut service = Service::default();
    let path = fields.name("build");
    service.build = fields.take("build").and_then(|node| process::build(work, node, path));
    service.image = fields.text("image", &mut work.faults).unwrap_or_default();
    if service.image.is_empty() && service.build.is_none() {
        work.faults.error(&key.span, format!("services.{} has neither image nor build", key.text));
    }
    service.environment = environment::variables(work, &mut fields);
    service.labels = environment::labels(work, &mut fields);
    let what = fields.name("volumes");
    service.volumes = fields.take("volumes").map(|node| mounts::read(work, node, &what)).unwrap_or_default();
    let what = fields.name("tmpfs");
    let tmpfs = fields.take("tmpfs").map(|node| mounts::tmpfs(work, node, &what));
    service.volumes.extend(tmpfs.unwrap_or_default());
    let faults = &mut work.faults;
    relations::read(&mut service, &mut fields, faults);
    limits::read(&mut service, &mut fields, faults);
    read_process(&mut service, &mut fields, faults);
    read_lists(&mut service, &mut fields, faults);
    fields.finish(faults);
    Some(service)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn read_process(service: &mut Service, fields: &mut Fields, faults: &mut Faults) {
    service.command = process::command(fields, "command", faults);
    service.entrypoint = process::command(fields, "entrypoint", faults);
    let path = fields.name("healthcheck");
    service.healthcheck = fields.take("healthcheck").and_then(|node| process::healthcheck(node, path, faults));
    let path = fields.name("logging");
    service.logging = fields.take("logging").and_then(|node| process::logging(node, path, faults));
    service.user = fields.text("user", faults);
    service.working_dir = fields.text("working_dir", faults);
    service.hostname = fields.text("hostname", faults);
    service.domainname = fields.text("domainname", faults);
    service.container_name = fields.text("container_name", faults);
    service.stop_signal = fields.text("stop_signal", faults);
    service.runtime = fields.text("runtime", faults);
    service.platform = fields.text("platform", faults);
    service.pull_policy = fields.text("pull_policy", faults);
    service.init = flag(fields, "init", faults);
    service.privileged = flag(fields, "privileged", faults).unwrap_or_default();
    service.read_only = flag(fields, "read_only", faults).unwrap_or_default();
    service.stdin_open = flag(fields, "stdin_open", faults).unwrap_or_default();
    service.tty = flag(fields, "tty", faults).unwrap_or_default();
}

fn read_lists(service: &mut Service, fields: &mut Fields, faults: &mut Faults) {
    let what = fields.name("ports");
    service.ports = fields.take("ports").map(|node| ports::published(node, &what, faults)).unwrap_or_default();
    let what = fields.name("expose");
    service.expose = fields.take("expose").map(|node| ports::exposed(node, &what, faults)).unwrap_or_default();
    let what = fields.name("secrets");
    service.secrets = fields.take("secrets").map(|node| grants(node, &what, Kind::Secret, faults)).unwrap_or_default();
    let what = fields.name("configs");
    service.configs = fields.take("configs").map(|node| grants(node, &what, Kind::Config, faults)).unwrap_or_default();
    service.group_add = unique(fields, "group_add", faults);
    service.cap_add = unique(fields, "cap_add", faults);
    service.cap_drop = unique(fields, "cap_drop", faults);
    service.security_opt = unique(fields, "security_opt", faults);
    service.dns = unique(fields, "dns", faults);
    service.dns_search = unique(fields, "dns_search", faults);
    service.profiles = unique(fields, "profiles", faults);
    service.sysctls = texts_by_name(fields, "sysctls", faults);
    let what = fields.name("devices");
    service.devices = fields.take("devices").map(|node| devices(node, &what, faults)).unwrap_or_default();
    let what = fields.name("extra_hosts");
    service.extra_hosts = fields.take("extra_hosts").map(|node| hosts(node, &what, faults)).unwrap_or_default();
}

/// `/dev/a:/dev/b:rw` of any device, long or short.
fn devices(node: &Node, what: &str, faults: &mut Faults) -> Vec<String> {
    let mut all = Vec::new();
    for (at, item) in node.as_list().unwrap_or(std::slice::from_ref(node)).iter().enumerate() {
        let what = format!("{what}[{at}]");
        if item.as_map().is_none() {
            let Some(text) = item.text(&what, faults) else { continue };
            let mut parts = text.splitn(3, ':');
            let source = parts.next().unwrap_or_default();
            let target = parts.next().unwrap_or(source);
            all.push(format!("{source}:{target}:{}", parts.next().unwrap_or("rwm")));
            continue;
        }
        let Some(mut fields) = Fields::open(item, what.as_str(), faults) else { continue };
        let source = fields.require("source", faults).and_then(|node| node.text(&format!("{what}.source"), faults));
        let target = fields.text("target", faults);
        let permissions = fields.text("permissions", faults).unwrap_or_else(|| "rwm".into());
        fields.finish(faults);
        if let Some(source) = source {
            all.push(format!("{source}:{}:{permissions}", target.as_deref().unwrap_or(&source)));
        }
    }
    all
}

/// `host:address` of a list (`host:address`, `host=address`) or a mapping.
fn hosts(node: &Node, what: &str, faults: &mut Faults) -> Vec<String> {
    let mut all = Vec::new();
    if node.as_map().is_some() {
        for (key, value) in node.entries(what, faults).unwrap_or_default() {
            let addresses = value.texts(&format!("{what}.{}", key.text), faults).unwrap_or_default();
            all.extend(addresses.iter().map(|address| format!("{}:{}", key.text, bare(address))));
        }
        return all;
    }
    for (at, text) in node.texts(what, faults).unwrap_or_default().iter().enumerate() {
        // An address of IPv6 is full of colons, so the first `=` or else the first `:` ends the name.
        match text.split_once('=').or_else(|| text.split_once(':')) {
            Some((host, address)) if !host.is_empty() && !address.is_empty() => all.push(format!("{host}:{}", bare(address))),
            _ => faults.error(&node.span, format!("{what}[{at}] `{text}` must be host=address")),
        }
    }
    all.dedup();
    all
}

fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address)
}
