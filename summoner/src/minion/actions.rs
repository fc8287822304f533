//! What is done inside a running instance: commands in its containers and requests to its services.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Reader;
use super::route::duration;
use crate::yaml::{Fields, Node, Value, kind_of};

/// A command inside a container of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Service of the Compose file.
    pub service: String,
    /// argv; never a line for a shell built from data. `${…}` is interpolated.
    pub command: Vec<String>,
    /// `uid[:gid]` or a name.
    pub user: Option<String>,
    /// Sent to the command: the place for secrets.
    pub stdin: Option<String>,
    /// Variables for the command: another place for secrets.
    pub environment: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An HTTP request to a service of the instance, on the instance's own network. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Service of the Compose file.
    pub service: String,
    /// Port inside.
    pub port: u16,
    /// `GET`, `POST`, `PUT` …
    pub method: String,
    /// Path and query. `${…}` is interpolated here, in headers and in the body.
    pub path: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Body,
    /// Statuses that mean it worked; empty is any 2xx.
    pub expect: Vec<u16>,
    /// Text that the answer must hold.
    pub contains: Option<String>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON; texts in it are interpolated after parsing, so no value can break out.
    Json(serde_json::Value),
    /// A form, values encoded.
    Form(BTreeMap<String, String>),
}

impl Eq for Body {}

/// One action on a running instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command in a container.
    Exec(Exec),
    /// A request to a service.
    Request(Request),
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// A list of commands.
pub(super) fn execs(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Vec<Exec> {
    reader.list(fields, key).into_iter().filter_map(|(path, node)| exec(node, path, reader)).collect()
}

/// A list of `{exec: …}` and `{request: …}`.
pub(super) fn actions(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Vec<Action> {
    reader.list(fields, key).into_iter().filter_map(|(path, node)| action(node, path, reader)).collect()
}

fn action(node: &Node, path: String, reader: &mut Reader) -> Option<Action> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let (exec_path, request_path) = (fields.name("exec"), fields.name("request"));
    let found = match (fields.take("exec"), fields.take("request")) {
        (Some(inner), None) => exec(inner, exec_path, reader).map(Action::Exec),
        (None, Some(inner)) => request(inner, request_path, reader).map(Action::Request),
        _ => {
            let message = format!("{} must hold either `exec` or `request`", fields.path);
            reader.faults.error(&(node.span.start..node.span.start + 1), message);
            None
        }
    };
    fields.finish(&mut reader.faults);
    found
}

pub(super) fn exec(node: &Node, path: String, reader: &mut Reader) -> Option<Exec> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let service = fields.text("service", &mut reader.faults).unwrap_or_else(|| "app".into());
    let command = command(&mut fields, reader);
    let user = fields.text("user", &mut reader.faults);
    let stdin = reader.template(&mut fields, "stdin");
    let environment = reader.text_map(&mut fields, "environment", true);
    let timeout = duration(&mut fields, "timeout", reader).unwrap_or(TIMEOUT);
    fields.finish(&mut reader.faults);
    Some(Exec { service, command: command?, user, stdin, environment, timeout })
}

fn command(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Vec<String>> {
    let name = fields.name("command");
    let node = fields.require("command", &mut reader.faults)?;
    let Some(items) = node.as_list().filter(|items| !items.is_empty()) else {
        let message = format!("{name} must be a list, the program and its arguments, but {} stands here", kind_of(node));
        reader.faults.error_with_help(&node.span, message, "write [php, occ, status]: no shell splits or expands it");
        return None;
    };
    let mut argv = Vec::new();
    for (at, item) in items.iter().enumerate() {
        // An empty argument is a value too; YAML writes it in quotes.
        let empty = matches!(&item.value, Value::Scalar(scalar) if !scalar.plain && scalar.text.is_empty());
        let text = if empty { String::new() } else { item.text(&format!("{name}[{at}]"), &mut reader.faults)? };
        reader.note_template(&item.span, &text);
        argv.push(text);
    }
    Some(argv)
}

/// A request that stands under a `request` key.
pub(super) fn request(node: &Node, path: String, reader: &mut Reader) -> Option<Request> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let service = fields.text("service", &mut reader.faults).unwrap_or_else(|| "app".into());
    let port = fields.integer::<u16>("port", &mut reader.faults);
    if port.is_none() {
        reader.portless.push((node.span.clone(), service.clone()));
    }
    let body = body(&mut fields, reader);
    let default = if body == Body::Empty { "GET" } else { "POST" };
    let words = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map(|word| (word, word));
    let method = reader.word(&mut fields, "method", &words).unwrap_or(default).to_owned();
    let (target, expect, contains) = answer(&mut fields, reader);
    let headers = reader.text_map(&mut fields, "headers", true);
    let timeout = duration(&mut fields, "timeout", reader).unwrap_or(TIMEOUT);
    fields.finish(&mut reader.faults);
    // Port 0 stands for "the port of the service's route" until all routes are read.
    Some(Request { service, port: port.unwrap_or(0), method, path: target?, headers, body, expect, contains, timeout })
}

/// `path`, `expect` and `contains`, which requests and smoke probes share.
pub(super) fn answer(fields: &mut Fields<'_>, reader: &mut Reader) -> (Option<String>, Vec<u16>, Option<String>) {
    let name = fields.name("path");
    let path = fields.require("path", &mut reader.faults).and_then(|node| {
        let path = node.text(&name, &mut reader.faults)?;
        reader.note_template(&node.span, &path);
        if !path.starts_with('/') {
            reader.faults.error(&node.span, format!("{name} must begin with `/`, but `{path}` stands here"));
        }
        Some(path)
    });
    (path, statuses(fields, reader), reader.template(fields, "contains"))
}

fn statuses(fields: &mut Fields<'_>, reader: &mut Reader) -> Vec<u16> {
    let name = fields.name("expect");
    let Some(node) = fields.take("expect") else { return Vec::new() };
    let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut all = Vec::new();
    for node in nodes {
        match node.integer::<u16>(&name, &mut reader.faults) {
            Some(status) if (100..600).contains(&status) => all.push(status),
            Some(status) => reader.faults.error(&node.span, format!("{name} must be an HTTP status, but {status} stands here")),
            None => {}
        }
    }
    all
}

fn body(fields: &mut Fields<'_>, reader: &mut Reader) -> Body {
    let name = fields.name("json");
    let form = reader.text_map(fields, "form", true);
    match fields.take("json") {
        Some(node) if !form.is_empty() => {
            reader.faults.error(&node.span, format!("{name} and form: a request has one body"));
            Body::Empty
        }
        Some(node) => Body::Json(json(node, reader)),
        None if form.is_empty() => Body::Empty,
        None => Body::Form(form),
    }
}

/// YAML into JSON: quoted scalars are texts, plain ones what JSON would make of them.
fn json(node: &Node, reader: &mut Reader) -> serde_json::Value {
    match &node.value {
        _ if node.is_null() => serde_json::Value::Null,
        Value::List(items) => items.iter().map(|item| json(item, reader)).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.text.clone(), json(value, reader))).collect(),
        Value::Scalar(scalar) => {
            let plain = scalar.plain.then(|| serde_json::from_str::<serde_json::Value>(&scalar.text).ok()).flatten();
            plain.filter(|value| value.is_number() || value.is_boolean()).unwrap_or_else(|| {
                reader.note_template(&node.span, &scalar.text);
                scalar.text.clone().into()
            })
        }
    }
}
