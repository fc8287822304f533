//! What a service is given by name: `environment` with `env_file`, `labels` with `label_file`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dotenv;
use super::values::{flag, pairs, word};
use super::work::{Work, absolute};
use crate::fault::Source;
use crate::yaml::{Fields, Node};

/// The variables of a service: its own over those of its files, passed-through ones looked up.
pub(super) fn variables(work: &mut Work, fields: &mut Fields) -> BTreeMap<String, Option<String>> {
    let what = fields.name("environment");
    let mut own = fields.take("environment").map(|node| pairs(node, &what, &mut work.faults)).unwrap_or_default();
    for (name, value) in &mut own {
        if value.is_none() {
            *value = work.variables.get(name).cloned();
        }
    }
    let what = fields.name("env_file");
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    for file in fields.take("env_file").map(|node| files(work, node, &what)).unwrap_or_default() {
        let Some(source) = open(work, &file) else { continue };
        // Compose's order: the project's variables, the service's own, the file's earlier lines, the earlier files.
        let found = {
            let (project, files) = (&work.variables, &all);
            let first = |name: &str| project.get(name).cloned().or_else(|| own.get(name).cloned().flatten());
            let last = |name: &str| files.get(name).cloned().flatten();
            if file.raw { dotenv::read_raw(&source.1.text, &first) } else { dotenv::read_over(&source.1.text, &first, &last) }
        };
        all.extend(values(work, source.0, found).into_iter().map(|(name, value)| (name, Some(value))));
    }
    all.extend(own);
    all
}

/// The labels of a service: its own over those of its files.
pub(super) fn labels(work: &mut Work, fields: &mut Fields) -> BTreeMap<String, String> {
    let what = fields.name("label_file");
    let mut all = BTreeMap::new();
    for file in fields.take("label_file").map(|node| files(work, node, &what)).unwrap_or_default() {
        let Some((index, source)) = open(work, &file) else { continue };
        let found = dotenv::read(&source.text, &|_| None);
        all.extend(values(work, index, found));
    }
    all.extend(super::values::texts_by_name(fields, "labels", &mut work.faults));
    all
}

/// One entry of `env_file`.
struct File<'n> {
    path: String,
    required: bool,
    raw: bool,
    node: &'n Node,
}

fn files<'n>(work: &mut Work, node: &'n Node, what: &str) -> Vec<File<'n>> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut all = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let what = format!("{what}[{at}]");
        if item.as_map().is_none() {
            all.extend(item.text(&what, &mut work.faults).map(|path| File { path, required: true, raw: false, node: item }));
            continue;
        }
        let faults = &mut work.faults;
        let Some(mut fields) = Fields::open(item, what.as_str(), faults) else { continue };
        let path = fields.require("path", faults).and_then(|node| node.text(&format!("{what}.path"), faults));
        let required = flag(&mut fields, "required", faults).unwrap_or(true);
        let raw = word(&mut fields, "format", &["raw"], faults).is_some();
        fields.finish(faults);
        all.extend(path.map(|path| File { path, required, raw, node: item }));
    }
    all
}

/// The file's index and text; None for one that may be absent and is, or cannot be read.
fn open(work: &mut Work, file: &File) -> Option<(usize, Arc<Source>)> {
    let path = absolute(work.input.folder, &file.path);
    if !file.required && !path.exists() {
        return None;
    }
    let index = work.open(&path, &file.node.span)?;
    Some((index, work.text(index)))
}

fn values(work: &mut Work, index: usize, found: Result<dotenv::Dotenv, dotenv::DotenvError>) -> BTreeMap<String, String> {
    match found {
        Ok(found) => {
            for (line, name) in found.missing {
                let span = work.line_span(index, line);
                work.missing(&span, &name);
            }
            found.values
        }
        Err(error) => {
            let span = work.line_span(index, error.line);
            work.faults.error(&span, error.message);
            BTreeMap::new()
        }
    }
}
