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
    /// How long it may take until the application takes a connection.
    pub connect_timeout: Duration,
    /// How long the application may be silent.
    pub read_timeout: Duration,
    /// How long it may take nothing of a request; None is as long as it may be silent.
    pub send_timeout: Option<Duration>,
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
    /// Paths that behave in their own way.
    pub paths: Vec<RoutePath>,
}

/// A path of a route that behaves in its own way; what it does not say is as the route says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePath {
    /// Begins with a slash.
    pub path: String,
    /// This path alone, nothing below it.
    pub exact: bool,
    /// Where it leads.
    pub to: PathTarget,
    /// Largest request body in bytes; 0 is without limit.
    pub body_bytes: Option<u64>,
    /// How long the application may be silent.
    pub read_timeout: Option<Duration>,
    /// Whether the proxy keeps answers.
    pub response_buffering: Option<bool>,
    /// Whether the proxy keeps requests.
    pub request_buffering: Option<bool>,
    /// Whether connections may be upgraded.
    pub websocket: Option<bool>,
}

/// Where a path of a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathTarget {
    /// To this port of the same service; None is the route's own.
    Port(Option<u16>),
    /// Elsewhere.
    Redirect(String),
    /// An empty answer with this status.
    Answer(u16),
}

const BODY_BYTES: u64 = 32 << 20;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// An instance stands beside the proxy: who does not answer by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most paths of one route.
const MAX_PATHS: usize = 50;

pub(super) fn read(node: &Node, path: String, reader: &mut Reader) -> Option<Route> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let service = fields.text("service", &mut reader.faults).unwrap_or_else(|| "app".into());
    let (port_name, label_name) = (fields.name("port"), fields.name("subdomain"));
    let port = fields.require("port", &mut reader.faults).and_then(|node| node.integer::<u16>(&port_name, &mut reader.faults));
    let subdomain = fields.take("subdomain").and_then(|node| label(node, &label_name, reader));
    let body_bytes = size(&mut fields, "body", reader).unwrap_or(BODY_BYTES);
    let read_timeout = duration(&mut fields, "read_timeout", reader).unwrap_or(READ_TIMEOUT);
    let websocket = fields.boolean("websocket", &mut reader.faults).unwrap_or(false);
    let connect_timeout = duration(&mut fields, "connect_timeout", reader).unwrap_or(CONNECT_TIMEOUT);
    let send_timeout = duration(&mut fields, "send_timeout", reader);
    let (request, response) = buffering(&mut fields, reader);
    let (request_buffering, response_buffering) = (request.unwrap_or(true), response.unwrap_or(true));
    let paths = paths(&mut fields, reader);
    let redirects = redirects(&mut fields, reader);
    let headers = reader.text_map(&mut fields, "headers", false);
    fields.finish(&mut reader.faults);
    let port = port?;
    Some(Route {
        service,
        port,
        subdomain,
        body_bytes,
        connect_timeout,
        read_timeout,
        send_timeout,
        response_buffering,
        request_buffering,
        websocket,
        redirects,
        headers,
        paths,
    })
}

fn paths(fields: &mut Fields<'_>, reader: &mut Reader) -> Vec<RoutePath> {
    let name = fields.name("paths");
    let nodes = reader.list(fields, "paths");
    if let Some((_, node)) = nodes.get(MAX_PATHS) {
        reader.faults.error(&node.span, format!("{name} holds more than {MAX_PATHS} paths"));
    }
    let mut all: Vec<RoutePath> = Vec::new();
    for (name, node) in nodes.into_iter().take(MAX_PATHS) {
        let Some(path) = one_path(node, &name, reader) else { continue };
        if all.iter().any(|known| (&known.path, known.exact) == (&path.path, path.exact)) {
            reader.faults.error(&node.span, format!("{name}: {} is there twice", path.path));
        } else {
            all.push(path);
        }
    }
    all
}

fn one_path(node: &Node, name: &str, reader: &mut Reader) -> Option<RoutePath> {
    let mut fields = Fields::open(node, name, &mut reader.faults)?;
    let path = reader.required(&mut fields, "path");
    let exact = fields.boolean("exact", &mut reader.faults).unwrap_or(false);
    let port = fields.integer::<u16>("port", &mut reader.faults);
    let redirect = fields.text("redirect", &mut reader.faults);
    let answer = fields.integer::<u16>("answer", &mut reader.faults);
    let body_bytes = size(&mut fields, "body", reader);
    let read_timeout = duration(&mut fields, "read_timeout", reader);
    let websocket = fields.boolean("websocket", &mut reader.faults);
    let (request_buffering, response_buffering) = buffering(&mut fields, reader);
    fields.finish(&mut reader.faults);
    let path = path?;
    if !path.starts_with('/') || path == "/" && !exact {
        reader.faults.error(&node.span, format!("{name}.path is one such as /api/ below the route, but `{path}` stands here"));
        return None;
    }
    let to = match (port, redirect, answer) {
        (port, None, None) => PathTarget::Port(port),
        (None, Some(to), None) => PathTarget::Redirect(to),
        (None, None, Some(status)) if (200..600).contains(&status) => PathTarget::Answer(status),
        (None, None, Some(status)) => {
            reader.faults.error(&node.span, format!("{name}.answer is a status such as 404, not {status}"));
            return None;
        }
        _ => {
            reader.faults.error(&node.span, format!("{name} leads to one place: `port`, `redirect` or `answer`"));
            return None;
        }
    };
    Some(RoutePath { path, exact, to, body_bytes, read_timeout, response_buffering, request_buffering, websocket })
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

/// Of requests and of answers; None is not said.
fn buffering(fields: &mut Fields<'_>, reader: &mut Reader) -> (Option<bool>, Option<bool>) {
    let name = fields.name("buffering");
    let Some(mut inner) = fields.take("buffering").and_then(|node| Fields::open(node, name, &mut reader.faults)) else {
        return (None, None);
    };
    let request = inner.boolean("request", &mut reader.faults);
    let response = inner.boolean("response", &mut reader.faults);
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
