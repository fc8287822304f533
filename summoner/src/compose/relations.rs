//! What ties a service to others: `depends_on`, `links`, `volumes_from`, shared namespaces, and `networks`.

use std::collections::BTreeMap;

use super::model::{Attachment, Condition, Dependency, Service};
use super::refused;
use super::values::{converted, flag, refuse, unique};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// Reads everything that names other services, into the service.
pub(super) fn read(service: &mut Service, fields: &mut Fields, faults: &mut Faults) {
    let what = fields.name("depends_on");
    service.depends_on = fields.take("depends_on").map(|node| dependencies(node, &what, faults)).unwrap_or_default();
    service.links = unique(fields, "links", faults);
    service.volumes_from = unique(fields, "volumes_from", faults);
    service.network_mode = fields.text("network_mode", faults);
    service.pid = fields.text("pid", faults);
    service.ipc = fields.text("ipc", faults);
    service.userns_mode = fields.text("userns_mode", faults);
    let what = fields.name("networks");
    let networks = fields.take("networks");
    service.networks = networks.map(|node| attachments(node, &what, faults)).unwrap_or_default();
    if let (Some(node), Some(_)) = (networks, &service.network_mode) {
        faults.error(&node.span, format!("{what} and network_mode exclude each other"));
    } else if service.network_mode.is_none() && (networks.is_none() || service.networks.is_empty()) {
        service.networks.insert("default".into(), Attachment::default());
    }
    imply(service);
}

/// Sharing something with a service means that it must run first, as Compose has it; a shared namespace also ends with
/// its owner, a shared volume does not.
fn imply(service: &mut Service) {
    let mut needed: Vec<String> = Vec::new();
    needed.extend(service.links.iter().map(|link| link.split(':').next().unwrap_or_default().to_owned()));
    let spaces = [&service.network_mode, &service.ipc, &service.pid];
    needed.extend(spaces.into_iter().flatten().filter_map(|space| space.strip_prefix("service:")).map(str::to_owned));
    for name in needed {
        service.depends_on.entry(name).or_insert(Dependency { condition: Condition::Started, required: true, restart: true });
    }
    let volumes = service.volumes_from.iter().filter(|from| !from.starts_with("container:"));
    for from in volumes {
        let name = from.split(':').next().unwrap_or_default().to_owned();
        service.depends_on.entry(name).or_insert(Dependency { condition: Condition::Started, required: true, restart: false });
    }
}

fn dependencies(node: &Node, what: &str, faults: &mut Faults) -> BTreeMap<String, Dependency> {
    let plain = Dependency { condition: Condition::Started, required: true, restart: false };
    if node.as_list().is_some() || node.as_str().is_some() {
        let names = node.texts(what, faults).unwrap_or_default();
        return names.into_iter().map(|name| (name, plain.clone())).collect();
    }
    let mut all = BTreeMap::new();
    for (key, value) in node.entries(what, faults).unwrap_or_default() {
        let Some(mut fields) = Fields::open(value, format!("{what}.{}", key.text), faults) else { continue };
        let condition = fields.take("condition").and_then(|node| {
            let wanted = "service_started, service_healthy or service_completed_successfully";
            converted(node, &format!("{what}.{}.condition", key.text), wanted, condition, faults)
        });
        let required = flag(&mut fields, "required", faults).unwrap_or(true);
        let restart = flag(&mut fields, "restart", faults).unwrap_or_default();
        fields.finish(faults);
        all.insert(key.text.clone(), Dependency { condition: condition.unwrap_or(Condition::Started), required, restart });
    }
    all
}

fn condition(text: &str) -> Option<Condition> {
    match text {
        "service_started" => Some(Condition::Started),
        "service_healthy" => Some(Condition::Healthy),
        "service_completed_successfully" => Some(Condition::Completed),
        _ => None,
    }
}

fn attachments(node: &Node, what: &str, faults: &mut Faults) -> BTreeMap<String, Attachment> {
    if node.as_list().is_some() || node.as_str().is_some() {
        let names = node.texts(what, faults).unwrap_or_default();
        return names.into_iter().map(|name| (name, Attachment::default())).collect();
    }
    let mut all = BTreeMap::new();
    for (key, value) in node.entries(what, faults).unwrap_or_default() {
        let Some(mut fields) = Fields::open(value, format!("{what}.{}", key.text), faults) else { continue };
        refuse(value, &mut fields, refused::ATTACHMENT, faults);
        let attachment = Attachment {
            aliases: unique(&mut fields, "aliases", faults),
            ipv4_address: fields.text("ipv4_address", faults),
            ipv6_address: fields.text("ipv6_address", faults),
        };
        fields.finish(faults);
        all.insert(key.text.clone(), attachment);
    }
    all
}
