//! `sign_in`: where people sign in, and how the outside sees that it failed.
//!
//! Only what can be seen without the application's help: a status at the proxy, or a line of the application's own log.
//! Counting and banning are decided in `plan::ban`.

use regex::Regex;

use super::reader::Reader;
use crate::yaml::{Fields, Node};

/// One way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Paths of the instance's own host; `*` stands for any characters.
    pub paths: Vec<String>,
    /// The method that signs in; others only show the form.
    pub method: String,
    /// Statuses of a failed sign-in; empty when the status does not tell.
    pub failed: Vec<u16>,
    /// Statuses of a sign-in that succeeded.
    pub succeeded: Vec<u16>,
    /// The application's log, when the status does not tell.
    pub log: Option<SignInLog>,
}

/// A log in which the application tells of sign-ins, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLog {
    /// Where it is.
    pub place: LogPlace,
    /// A line of a failed sign-in: a regular expression whose group `address` is the client's.
    pub failed: String,
    /// A line of a sign-in that succeeded.
    pub succeeded: Option<String>,
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// A file below the instance's folder (`${FILES}`).
    File(String),
    /// What the container of a service writes on its outputs.
    Service(String),
}

/// The group that holds the client's address.
pub const ADDRESS: &str = "address";

const METHODS: [(&str, &str); 4] = [("POST", "POST"), ("PUT", "PUT"), ("GET", "GET"), ("PATCH", "PATCH")];
const MAX_PATH: usize = 200;

pub(super) fn read(node: &Node, path: String, reader: &mut Reader) -> Option<SignIn> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let paths = paths(&mut fields, reader);
    let method = reader.word(&mut fields, "method", &METHODS).unwrap_or("POST").to_owned();
    let failed = statuses(&mut fields, "failed", reader);
    let succeeded = statuses(&mut fields, "succeeded", reader);
    let log_name = fields.name("log");
    let log = fields.take("log").and_then(|node| log(node, log_name, reader));
    let name = fields.path.clone();
    fields.finish(&mut reader.faults);
    if node.get("failed").is_none() && node.get("log").is_none() {
        let help = "write `failed: [401]`, or a `log:` with the line that tells";
        reader.faults.error_with_help(&node.span, format!("{name} does not say how a failed sign-in looks"), help);
        return None;
    }
    if let Some(both) = failed.iter().find(|status| succeeded.contains(status)) {
        reader.faults.error(&node.span, format!("{name} calls {both} both failed and succeeded"));
    }
    (!paths.is_empty()).then_some(SignIn { paths, method, failed, succeeded, log })
}

fn paths(fields: &mut Fields<'_>, reader: &mut Reader) -> Vec<String> {
    let name = fields.name("path");
    let Some(node) = fields.require("path", &mut reader.faults) else { return Vec::new() };
    let all = node.texts(&name, &mut reader.faults).unwrap_or_default();
    // nginx compares with the decoded path, so nothing encoded ever matches.
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_.-*".contains(c);
    for path in &all {
        if !path.starts_with('/') || path.len() > MAX_PATH || !path.chars().all(fits) {
            reader.faults.error_with_help(
                &node.span,
                format!("{name} must be a path such as /login or /users/login*, but `{path}` stands here"),
                "letters, digits, `/`, `_`, `.`, `-`, and `*` for any characters",
            );
        }
    }
    all
}

fn statuses(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Vec<u16> {
    let mut all = Vec::new();
    for (name, node) in reader.list(fields, key) {
        let Some(status) = node.integer::<u16>(&name, &mut reader.faults) else { continue };
        if (200..600).contains(&status) {
            all.push(status);
        } else {
            reader.faults.error(&node.span, format!("{name} must be a status of HTTP, 200 to 599, but {status} stands here"));
        }
    }
    all
}

fn log(node: &Node, path: String, reader: &mut Reader) -> Option<SignInLog> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let file = file(&mut fields, reader);
    let service = fields.text("service", &mut reader.faults);
    let failed = pattern(&mut fields, "failed", reader);
    let succeeded = pattern(&mut fields, "succeeded", reader);
    let name = fields.path.clone();
    fields.finish(&mut reader.faults);
    let place = match (file, service) {
        (Some(file), None) => Some(LogPlace::File(file)),
        (None, Some(service)) => Some(LogPlace::Service(service)),
        _ => {
            reader.faults.error(&node.span, format!("{name} must hold either `file` or `service`"));
            None
        }
    };
    if failed.is_none() && node.get("failed").is_none() {
        reader.faults.error(&node.span, format!("`failed` is missing in {name}"));
    }
    Some(SignInLog { place: place?, failed: failed?, succeeded })
}

fn file(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<String> {
    let name = fields.name("file");
    let node = fields.take("file")?;
    let text = node.text(&name, &mut reader.faults)?;
    let plain = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !plain || text.chars().any(char::is_control) {
        let message = format!("{name} names no file of the instance: a relative path without `.` and `..`, but `{text}` stands here");
        reader.faults.error(&node.span, message);
        return None;
    }
    Some(text)
}

fn pattern(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Option<String> {
    let name = fields.name(key);
    let node = fields.take(key)?;
    let text = node.text(&name, &mut reader.faults)?;
    match Regex::new(&text) {
        Ok(regex) if regex.capture_names().flatten().any(|group| group == ADDRESS) => Some(text),
        Ok(_) => {
            let help = "write (?<address>[0-9a-fA-F.:]+) where the client's address stands";
            reader.faults.error_with_help(&node.span, format!("{name} has no group `{ADDRESS}`"), help);
            None
        }
        Err(error) => {
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default().trim().to_owned();
            reader.faults.error(&node.span, format!("{name} is no regular expression: {last}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
