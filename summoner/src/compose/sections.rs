//! `networks` and `volumes` at the top level, with their real names.

use std::collections::BTreeMap;

use super::model::{Network, Subnet, Volume};
use super::values::{flag, refuse, texts_by_name};
use super::work::{Work, absolute};
use super::{grants, rebase, refused};
use crate::fault::Faults;
use crate::yaml::{Fields, Key, Node};

/// Reads `networks`; `project` is the prefix of real names.
pub(super) fn networks(work: &mut Work, node: Option<&Node>, project: &str) -> BTreeMap<String, Network> {
    let mut all = BTreeMap::new();
    for (key, value) in node.and_then(|node| node.entries("networks", &mut work.faults)).unwrap_or_default() {
        all.extend(network(value, key, project, &mut work.faults).map(|network| (key.text.clone(), network)));
    }
    all.entry("default".to_owned()).or_insert_with(|| Network { name: format!("{project}_default"), ..Network::default() });
    all
}

fn network(node: &Node, key: &Key, project: &str, faults: &mut Faults) -> Option<Network> {
    let mut fields = Fields::open(node, format!("networks.{}", key.text), faults)?;
    refuse(node, &mut fields, refused::NETWORK, faults);
    let (external, old_name) = grants::external(&mut fields, faults);
    let name = fields.text("name", faults).or(old_name);
    let mut network = Network {
        name: real_name(name, external, &key.text, project),
        external,
        driver: fields.text("driver", faults),
        driver_opts: texts_by_name(&mut fields, "driver_opts", faults),
        internal: flag(&mut fields, "internal", faults).unwrap_or_default(),
        enable_ipv6: flag(&mut fields, "enable_ipv6", faults).unwrap_or_default(),
        attachable: flag(&mut fields, "attachable", faults).unwrap_or_default(),
        subnets: Vec::new(),
        labels: texts_by_name(&mut fields, "labels", faults),
    };
    let path = fields.name("ipam");
    if let Some(node) = fields.take("ipam") {
        network.subnets = ipam(node, path, faults);
    }
    fields.finish(faults);
    let bare = Network { name: network.name.clone(), external, ..Network::default() };
    if external && network != bare {
        faults.error(&key.span, format!("networks.{} is external: nothing but its name can be set", key.text));
    }
    Some(network)
}

fn ipam(node: &Node, path: String, faults: &mut Faults) -> Vec<Subnet> {
    let Some(mut fields) = Fields::open(node, path, faults) else { return Vec::new() };
    refuse(node, &mut fields, refused::IPAM, faults);
    super::values::word(&mut fields, "driver", &["default"], faults);
    let what = fields.name("config");
    let mut all = Vec::new();
    if let Some(node) = fields.take("config") {
        if node.as_list().is_none() {
            faults.error(&node.span, format!("{what} must be a list"));
        }
        for (at, item) in node.as_list().unwrap_or_default().iter().enumerate() {
            let Some(mut subnet) = Fields::open(item, format!("{what}[{at}]"), faults) else { continue };
            refuse(item, &mut subnet, refused::SUBNET, faults);
            all.push(Subnet {
                subnet: subnet.text("subnet", faults),
                gateway: subnet.text("gateway", faults),
                ip_range: subnet.text("ip_range", faults),
            });
            subnet.finish(faults);
        }
    }
    fields.finish(faults);
    all
}

/// Reads `volumes`; `project` is the prefix of real names.
pub(super) fn volumes(work: &mut Work, node: Option<&Node>, project: &str) -> BTreeMap<String, Volume> {
    let mut all = BTreeMap::new();
    for (key, value) in node.and_then(|node| node.entries("volumes", &mut work.faults)).unwrap_or_default() {
        all.extend(volume(work, value, key, project).map(|volume| (key.text.clone(), volume)));
    }
    all
}

fn volume(work: &mut Work, node: &Node, key: &Key, project: &str) -> Option<Volume> {
    let faults = &mut work.faults;
    let mut fields = Fields::open(node, format!("volumes.{}", key.text), faults)?;
    let (external, old_name) = grants::external(&mut fields, faults);
    let name = fields.text("name", faults).or(old_name);
    let mut volume = Volume {
        name: real_name(name, external, &key.text, project),
        external,
        driver: fields.text("driver", faults),
        driver_opts: texts_by_name(&mut fields, "driver_opts", faults),
        labels: texts_by_name(&mut fields, "labels", faults),
    };
    fields.finish(faults);
    // A named volume can be a bind mount in disguise; its path is relative to the file like any other.
    if node.get("driver_opts").is_some_and(rebase::is_bind)
        && let Some(device) = volume.driver_opts.get_mut("device")
    {
        *device = absolute(work.input.folder, device).display().to_string();
    }
    let bare = Volume { name: volume.name.clone(), external, ..Volume::default() };
    if external && volume != bare {
        work.faults.error(&key.span, format!("volumes.{} is external: nothing but its name can be set", key.text));
    }
    Some(volume)
}

fn real_name(name: Option<String>, external: bool, key: &str, project: &str) -> String {
    name.unwrap_or_else(|| if external { key.to_owned() } else { format!("{project}_{key}") })
}
