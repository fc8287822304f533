//! `routes`: what the proxy sends to which service.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Reader;
use super::units;
use crate::yaml::{Fields, Node};

/// One host name that the proxy sends to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Service of the Compose file.
    pub service: String,
    /// Port inside.
    pub port: u16,
    /// Label of a further host (`registry` gives `registry-<subdomain>.<domain>`); None is the instance's own host.
    pub subdomain: Option<String>,
    /// Largest request body in bytes; 0 is without limit.
    pub body_bytes: u64,
    /// How long the application may be silent.
    pub read_timeout: Duration,
    /// Whether the proxy keeps answers before it sends them on.
    pub response_buffering: bool,
    /// Whether the proxy keeps requests before it sends them on.
    pub request_buffering: bool,
    /// Whether connections may be upgraded.
    pub websocket: bool,
    /// Paths that are answered with a redirect: from, to.
    pub redirects: Vec<(String, String)>,
    /// Headers added to every answer.
    pub headers: BTreeMap<String, String>,
}

const BODY_BYTES: u64 = 32 << 20;
const READ_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn read(node: &Node, path: String, reader: &mut Reader) -> Option<Route> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let service = fields.text("service", &mut reader.faults).unwrap_or_else(|| "app".into());
    let (port_name, label_name) = (fields.name("port"), fields.name("subdomain"));
    let port = fields.require("port", &mut reader.faults).and_then(|node| node.integer::<u16>(&port_name, &mut reader.faults));
    let subdomain = fields.take("subdomain").and_then(|node| label(node, &label_name, reader));
    let body_bytes = size(&mut fields, "body", reader).unwrap_or(BODY_BYTES);
    let read_timeout = duration(&mut fields, "read_timeout", reader).unwrap_or(READ_TIMEOUT);
    let websocket = fields.boolean("websocket", &mut reader.faults).unwrap_or(false);
    let (request_buffering, response_buffering) = buffering(&mut fields, reader);
    let redirects = redirects(&mut fields, reader);
    let headers = reader.text_map(&mut fields, "headers", false);
    fields.finish(&mut reader.faults);
    let port = port?;
    Some(Route { service, port, subdomain, body_bytes, read_timeout, response_buffering, request_buffering, websocket, redirects, headers })
}

/// One label of a host name.
pub(super) fn label(node: &Node, what: &str, reader: &mut Reader) -> Option<String> {
    let text = node.text(what, &mut reader.faults)?;
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
        reader.faults.error(
            &node.span,
            format!("{what} must be one label of a host name (lower-case letters, digits, hyphens), but `{text}` stands here"),
        );
        return None;
    }
    Some(text)
}

pub(super) fn size(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Option<u64> {
    let name = fields.name(key);
    units::size_of(fields.take(key)?, &name, &mut reader.faults)
}

pub(super) fn duration(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Option<Duration> {
    let name = fields.name(key);
    units::duration_of(fields.take(key)?, &name, &mut reader.faults)
}

fn buffering(fields: &mut Fields<'_>, reader: &mut Reader) -> (bool, bool) {
    let name = fields.name("buffering");
    let Some(mut inner) = fields.take("buffering").and_then(|node| Fields::open(node, name, &mut reader.faults)) else {
        return (true, true);
    };
    let request = inner.boolean("request", &mut reader.faults).unwrap_or(true);
    let response = inner.boolean("response", &mut reader.faults).unwrap_or(true);
    inner.finish(&mut reader.faults);
    (request, response)
}

fn redirects(fields: &mut Fields<'_>, reader: &mut Reader) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in reader.map(fields, "redirects") {
        let Some(to) = entry.node.text(&entry.path, &mut reader.faults) else { continue };
        if !entry.key.starts_with('/') {
            reader.faults.error(&entry.span, format!("a redirect starts at a path such as /feed, but `{}` stands here", entry.key));
            continue;
        }
        all.push((entry.key, to));
    }
    all
}
