//! One Compose file into nodes: parsed, files of 2014 given their `services:`, tags checked, variables filled in.
//!
//! Knows nothing of what keys mean beyond the top level.

use std::collections::BTreeMap;

use super::work::Work;
use crate::yaml::{Key, Node, Scalar, Value};

/// Parses a file and gives its top-level mapping, not yet interpolated.
pub(super) fn parse(work: &mut Work, file: usize) -> Option<Node> {
    let node = work.parse(file)?;
    if node.is_null() {
        work.faults.error(&node.span, "the file is empty: a Compose file has `services:`");
        return None;
    }
    if node.as_map().is_none() {
        work.faults.error(&node.span, "a Compose file is a mapping with `services:`");
        return None;
    }
    Some(wrap_v1(work, node))
}

/// Checks the tags and fills in the variables.
pub(super) fn interpolate(work: &mut Work, node: &mut Node, variables: &BTreeMap<String, String>) {
    check_tags(work, node);
    work.interpolate(node, variables);
}

/// Removes what `!reset` marks; done when nothing is left to be merged.
pub(super) fn drop_resets(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            items.retain(|item| item.tag.as_deref() != Some("reset"));
            items.iter_mut().for_each(drop_resets);
        }
        Value::Map(entries) => {
            entries.retain(|(_, value)| value.tag.as_deref() != Some("reset"));
            entries.iter_mut().for_each(|(_, value)| drop_resets(value));
        }
    }
}

fn check_tags(work: &mut Work, node: &Node) {
    if let Some(tag) = node.tag.as_deref().filter(|tag| !matches!(*tag, "reset" | "override")) {
        let help = "Compose knows `!reset` and `!override`";
        work.faults.error_with_help(&node.span, format!("unknown tag `!{tag}`"), help);
    }
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| check_tags(work, item)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| check_tags(work, value)),
    }
}

/// A file of 2014 has its services at the top level; they are moved under `services:`.
fn wrap_v1(work: &mut Work, node: Node) -> Node {
    let is_service = |node: &Node| node.get("image").is_some() || node.get("build").is_some();
    let old = node.get("services").is_none()
        && node.as_map().is_some_and(|entries| entries.iter().any(|(key, value)| !is_top_level(&key.text) && is_service(value)));
    if !old {
        return node;
    }
    let Value::Map(entries) = node.value else { return node };
    let (services, mut rest): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, value)| !is_top_level(&key.text) && is_service(value));
    let at = services.first().map_or(0..0, |(key, _)| key.span.clone());
    work.faults.warning(
        &at,
        "the services stand at the top level, as in files of 2014",
        "put them under `services:`; they are read as if they stood there, on one network of the project",
    );
    let volumes = v1_volumes(&services);
    if !volumes.is_empty() && !rest.iter().any(|(key, _)| key.text == "volumes") {
        rest.push((Key { text: "volumes".into(), span: at.clone() }, Node { value: Value::Map(volumes), tag: None, span: at.clone() }));
    }
    rest.push((Key { text: "services".into(), span: at }, Node { value: Value::Map(services), tag: None, span: node.span.clone() }));
    Node { value: Value::Map(rest), tag: None, span: node.span }
}

/// Old files could not declare volumes: a name in `name:/path` was the engine's own name of a volume.
fn v1_volumes(services: &[(Key, Node)]) -> Vec<(Key, Node)> {
    let mut found: Vec<(Key, Node)> = Vec::new();
    for (_, service) in services {
        for item in service.get("volumes").and_then(Node::as_list).unwrap_or_default() {
            let Some((source, _)) = item.as_str().and_then(|text| text.split_once(':')) else { continue };
            let named = source.starts_with(|c: char| c.is_ascii_alphanumeric());
            if named && !found.iter().any(|(key, _)| key.text == source) {
                let name =
                    Node { value: Value::Scalar(Scalar { text: source.to_owned(), plain: false }), tag: None, span: item.span.clone() };
                let key = |text: &str| Key { text: text.to_owned(), span: item.span.clone() };
                found.push((key(source), Node { value: Value::Map(vec![(key("name"), name)]), tag: None, span: item.span.clone() }));
            }
        }
    }
    found
}

fn is_top_level(key: &str) -> bool {
    matches!(key, "version" | "name" | "services" | "networks" | "volumes" | "secrets" | "configs" | "include" | "models")
        || key.starts_with("x-")
}
