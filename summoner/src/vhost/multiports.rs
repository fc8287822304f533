//! `VIRTUAL_HOST_MULTIPORTS`: hosts, their paths and ports in one YAML or JSON document.

use crate::fault::{Faults, Source};
use crate::yaml::{self, Limits, Node};

use super::read::{Route, protocol};
use super::words::{MAX_LIST, Read, Words, port, shown};
use super::{Wish, host, path};

const KEY: &str = "VIRTUAL_HOST_MULTIPORTS";
/// Deep enough for host, path and its words; a document that needs more is none of ours.
const LIMITS: Limits = Limits { bytes: MAX_LIST, depth: 4, nodes: 4000, expanded_bytes: 4 * MAX_LIST };

/// Reads the document; each host that does not parse is refused by itself.
pub(super) fn read(words: &mut Words<'_>, text: &str, root: Option<&str>) -> Vec<Wish> {
    let document = document(text);
    let hosts = match document.as_ref().map(Node::as_map) {
        Ok(Some(hosts)) => hosts,
        Ok(None) => {
            words.refuse(KEY, "it is not a mapping of hosts to paths");
            return Vec::new();
        }
        Err(reason) => {
            words.refuse(KEY, reason.clone());
            return Vec::new();
        }
    };
    let mut wishes = Vec::new();
    for (key, node) in hosts {
        match one_host(&key.text, node, root) {
            Ok(more) => wishes.extend(more),
            Err(reason) => {
                let name = host::parse(key.text.trim()).ok().and_then(|names| names.first().map(ToString::to_string));
                words.refuse_of(KEY, reason, name);
            }
        }
    }
    wishes
}

/// A YAML or JSON document of a variable, within bounds. The reason repeats nothing of it.
pub(super) fn document(text: &str) -> Read<Node> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err("it holds a control character".into());
    }
    let mut faults = Faults::new(&Source::new("", text));
    let node = yaml::parse(LIMITS, &mut faults);
    match (node, faults.errors.first()) {
        (Some(node), None) => Ok(node),
        (_, Some(fault)) => {
            let (line, column) = fault.source.position(fault.span.start);
            Err(format!("it cannot be read as YAML or JSON: line {line}, column {column}"))
        }
        (None, None) => Err("it cannot be read as YAML or JSON".into()),
    }
}

fn one_host(name: &str, node: &Node, root: Option<&str>) -> Read<Vec<Wish>> {
    let hosts = host::parse(name.trim())?;
    let (mut external, mut routes) = ((None, None), Vec::new());
    for (key, value) in entries(node, name)? {
        match key.text.trim() {
            "external_http_port" => external.0 = scalar(value).map(port).transpose()?,
            "external_https_port" => external.1 = scalar(value).map(port).transpose()?,
            text => routes.push(one_path(text, value, root)?),
        }
    }
    if routes.is_empty() {
        routes.push(Route { root: root.map(str::to_owned), ..Route::default() });
    }
    Ok(hosts.into_iter().flat_map(|host| routes.iter().map(move |route| route.clone().wish(host.clone(), external))).collect())
}

fn one_path(text: &str, node: &Node, root: Option<&str>) -> Read<Route> {
    let mut route = Route { path: path::parse(text)?, root: root.map(str::to_owned), ..Route::default() };
    for (key, value) in entries(node, text)? {
        if value.is_null() || value.as_str() == Some("") {
            continue;
        }
        let word = scalar(value).ok_or_else(|| format!("{} under {} is not a single value", shown(&key.text), shown(text)))?;
        match key.text.as_str() {
            "port" => route.port = Some(port(word)?),
            "dest" => route.dest = Some(path::dest(word)?),
            "proto" => route.protocol = protocol(word)?,
            other => return Err(format!("{} under {} is none of port, dest, proto", shown(other), shown(text))),
        }
    }
    route.check()
}

fn entries<'a>(node: &'a Node, under: &str) -> Read<&'a [(yaml::Key, Node)]> {
    if node.is_null() {
        return Ok(&[]);
    }
    node.as_map().ok_or_else(|| format!("what stands under {} is not a mapping", shown(under)))
}

fn scalar(node: &Node) -> Option<&str> {
    node.as_str().map(str::trim)
}
