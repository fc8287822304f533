//! `secrets` and `configs` of a service, and where they come from at the top level.

use std::collections::BTreeMap;

use super::model::{FileSource, Grant};
use super::refused;
use super::values::{file_mode, flag_of, refuse};
use super::work::{Work, absolute};
use crate::fault::Faults;
use crate::yaml::{Fields, Node, Value};

/// Secrets and configs differ in where they appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Under `/run/secrets`.
    Secret,
    /// Under `/`.
    Config,
}

impl Kind {
    fn target(self, name: &str) -> String {
        match self {
            _ if name.starts_with('/') => name.to_owned(),
            Self::Secret => format!("/run/secrets/{name}"),
            Self::Config => format!("/{name}"),
        }
    }
}

/// Reads the list in a service.
pub(super) fn grants(node: &Node, what: &str, kind: Kind, faults: &mut Faults) -> Vec<Grant> {
    let Some(items) = node.as_list() else {
        faults.error(&node.span, format!("{what} must be a list"));
        return Vec::new();
    };
    let mut all: Vec<Grant> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(grant) = grant(item, &format!("{what}[{at}]"), kind, faults) else { continue };
        // As mounts: of two at one place the later wins.
        all.retain(|known| known.target != grant.target);
        all.push(grant);
    }
    all
}

fn grant(node: &Node, what: &str, kind: Kind, faults: &mut Faults) -> Option<Grant> {
    if let Some(name) = node.as_str() {
        return Some(Grant { source: name.to_owned(), target: kind.target(name), uid: None, gid: None, mode: None });
    }
    let mut fields = Fields::open(node, what, faults)?;
    let source = fields.require("source", faults).and_then(|node| node.text(&format!("{what}.source"), faults));
    let target = fields.text("target", faults);
    let uid = fields.text("uid", faults);
    let gid = fields.text("gid", faults);
    let mode = file_mode(&mut fields, "mode", faults);
    fields.finish(faults);
    let source = source?;
    let target = kind.target(target.as_deref().unwrap_or(&source));
    Some(Grant { source, target, uid, gid, mode })
}

/// Reads the section at the top level.
pub(super) fn sources(work: &mut Work, node: &Node, section: &str, kind: Kind) -> BTreeMap<String, FileSource> {
    let mut all = BTreeMap::new();
    let Some(entries) = node.entries(section, &mut work.faults) else { return all };
    for (key, value) in entries {
        let path = format!("{section}.{}", key.text);
        let Some(mut fields) = Fields::open(value, path.as_str(), &mut work.faults) else { continue };
        let faults = &mut work.faults;
        refuse(value, &mut fields, refused::SOURCE, faults);
        let (external, external_name) = external(&mut fields, faults);
        let mut source = FileSource {
            file: fields.text("file", faults),
            environment: fields.text("environment", faults),
            content: if kind == Kind::Config { fields.text("content", faults) } else { None },
            external,
            name: fields.text("name", faults).or(external_name),
        };
        fields.finish(faults);
        let given = [source.file.is_some(), source.environment.is_some(), source.content.is_some(), external];
        if given.iter().filter(|given| **given).count() != 1 {
            let forms = if kind == Kind::Config { "file, environment, content, external" } else { "file, environment, external" };
            faults.error(&key.span, format!("{path} needs exactly one of {forms}"));
        }
        let folder = work.input.folder;
        source.file = source.file.map(|file| absolute(folder, &file).display().to_string());
        all.insert(key.text.clone(), source);
    }
    all
}

/// `external: true`, or the old `external: {name: …}`.
pub(super) fn external(fields: &mut Fields, faults: &mut Faults) -> (bool, Option<String>) {
    let path = fields.name("external");
    let Some(node) = fields.take("external") else { return (false, None) };
    if !matches!(node.value, Value::Map(_)) {
        return (flag_of(node, &path, faults).unwrap_or_default(), None);
    }
    let Some(mut old) = Fields::open(node, path, faults) else { return (true, None) };
    let name = old.text("name", faults);
    old.finish(faults);
    (true, name)
}
