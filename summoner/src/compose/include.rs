//! `include`: another file's services, networks, volumes, secrets and configs, with its own folder and variables.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::work::{Work, absolute};
use super::{document, dotenv, extend, merge, rebase};
use crate::yaml::{Fields, Key, Node, Scalar, Value};

const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "secrets", "configs"];

/// Brings in every file that `include` names; `chain` holds the files that led here. A file may come in many times over
/// by different ways: [`Work::spend`] bounds that.
pub(super) fn apply(work: &mut Work, root: &mut Node, folder: &Path, variables: &BTreeMap<String, String>, chain: &mut Vec<PathBuf>) {
    let Some(list) = rebase::child(root, "include").map(|node| node.clone()).filter(|node| !node.is_null()) else { return };
    let Some(items) = list.as_list() else {
        work.faults.error(&list.span, "include must be a list");
        return;
    };
    for (at, item) in items.iter().enumerate() {
        let Some(entry) = read(work, item, &format!("include[{at}]"), folder) else { continue };
        let scope = scope(work, &entry, variables);
        if let Some(included) = load(work, &entry, &scope, chain) {
            import(work, root, included);
        }
    }
}

/// One entry in its long form.
struct Entry {
    paths: Vec<(PathBuf, Range<usize>)>,
    folder: PathBuf,
    env_files: Option<Vec<(PathBuf, Range<usize>)>>,
}

fn read(work: &mut Work, item: &Node, what: &str, folder: &Path) -> Option<Entry> {
    if let Some(path) = item.as_str() {
        let path = absolute(folder, path);
        let own = path.parent().unwrap_or(folder).to_path_buf();
        return Some(Entry { paths: vec![(path, item.span.clone())], folder: own, env_files: None });
    }
    let mut fields = Fields::open(item, what, &mut work.faults)?;
    let paths = fields.require("path", &mut work.faults).map(|node| located(work, node, folder)).unwrap_or_default();
    let env_files = fields.take("env_file").map(|node| located(work, node, folder));
    let project = fields.text("project_directory", &mut work.faults);
    fields.finish(&mut work.faults);
    let first = paths.first()?.0.parent().unwrap_or(folder).to_path_buf();
    Some(Entry { paths, folder: project.map_or(first, |text| absolute(folder, &text)), env_files })
}

fn located(work: &mut Work, node: &Node, folder: &Path) -> Vec<(PathBuf, Range<usize>)> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    let texts = items
        .iter()
        .filter_map(|item| item.text("a path of include", &mut work.faults).map(|text| (absolute(folder, &text), item.span.clone())));
    texts.collect()
}

/// The variables of the included file: its own `.env` or `env_file` under those of the file that includes it.
fn scope(work: &mut Work, entry: &Entry, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let default = entry.folder.join(".env");
    let files = match &entry.env_files {
        Some(files) => files.clone(),
        None if entry.folder != work.input.folder && default.is_file() => vec![(default, entry.paths[0].1.clone())],
        None => Vec::new(),
    };
    let mut all = BTreeMap::new();
    for (path, span) in files {
        let Some(index) = work.open(&path, &span) else { continue };
        match dotenv::read(&work.text(index).text, &|name| variables.get(name).cloned()) {
            Ok(file) => all.extend(file.values),
            Err(error) => {
                let span = work.line_span(index, error.line);
                work.faults.error(&span, error.message);
            }
        }
    }
    all.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}

fn load(work: &mut Work, entry: &Entry, variables: &BTreeMap<String, String>, chain: &mut Vec<PathBuf>) -> Option<Node> {
    let mut merged: Option<Node> = None;
    for (path, span) in &entry.paths {
        if chain.contains(path) {
            work.faults.error(span, "a file includes itself");
            return None;
        }
        let index = work.open(path, span)?;
        let mut root = document::parse(work, index)?;
        document::interpolate(work, &mut root, variables);
        if !work.spend(&root) {
            return None;
        }
        extend::apply(work, &mut root, path, &entry.folder, variables);
        chain.push(path.clone());
        apply(work, &mut root, &entry.folder, variables, chain);
        chain.pop();
        merged = Some(match merged {
            None => root,
            Some(base) => merge_documents(base, root),
        });
    }
    let mut root = merged?;
    rebase::document(&mut root, &entry.folder);
    pass_variables(&mut root, variables);
    Some(root)
}

/// Second and further paths of one entry lie over the first.
fn merge_documents(base: Node, over: Node) -> Node {
    let (Value::Map(mut entries), Value::Map(more)) = (base.value, over.value) else {
        return Node { value: Value::Map(Vec::new()), tag: None, span: base.span };
    };
    for (key, value) in more {
        match entries.iter().position(|(known, _)| known.text == key.text) {
            Some(at) => {
                let (known, old) = entries.remove(at);
                entries.insert(at, (known, merge_section(old, value)));
            }
            None => entries.push((key, value)),
        }
    }
    Node { value: Value::Map(entries), tag: None, span: base.span }
}

fn merge_section(base: Node, over: Node) -> Node {
    let (Value::Map(_), Value::Map(_)) = (&base.value, &over.value) else { return over };
    merge::merge(base, over)
}

/// A variable named without a value is the included file's own, so it is looked up here.
fn pass_variables(root: &mut Node, variables: &BTreeMap<String, String>) {
    let Some(Value::Map(services)) = rebase::child(root, "services").map(|node| &mut node.value) else { return };
    for (_, service) in services {
        match rebase::child(service, "environment").map(|node| &mut node.value) {
            Some(Value::Map(entries)) => {
                for (key, value) in entries.iter_mut().filter(|(_, value)| value.is_null()) {
                    if let Some(text) = variables.get(&key.text) {
                        value.value = Value::Scalar(Scalar { text: text.clone(), plain: false });
                    }
                }
            }
            Some(Value::List(items)) => {
                for item in items {
                    let Value::Scalar(scalar) = &mut item.value else { continue };
                    if let Some(value) = variables.get(&scalar.text) {
                        scalar.text = format!("{}={value}", scalar.text);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Moves the sections over; the same name twice must mean the same thing.
fn import(work: &mut Work, root: &mut Node, included: Node) {
    let (Value::Map(entries), Value::Map(sections)) = (&mut root.value, included.value) else { return };
    for (section, node) in sections {
        if !SECTIONS.contains(&section.text.as_str()) {
            check_other(work, &section);
            continue;
        }
        let Value::Map(items) = node.value else {
            if !node.is_null() {
                work.faults.error(&node.span, format!("{} must be a mapping", section.text));
            }
            continue;
        };
        let at = entries.iter().position(|(key, _)| key.text == section.text).unwrap_or_else(|| {
            entries.push((section.clone(), Node { value: Value::Map(Vec::new()), tag: None, span: node.span.clone() }));
            entries.len() - 1
        });
        if entries[at].1.is_null() {
            entries[at].1.value = Value::Map(Vec::new());
        }
        let Value::Map(known) = &mut entries[at].1.value else { continue };
        for (key, value) in items {
            match known.iter().find(|(other, _)| other.text == key.text) {
                None => known.push((key, value)),
                Some((_, other)) if same(other, &value) => {}
                Some(_) => {
                    work.faults
                        .error(&key.span, format!("{}.{} of an included file is something else in this one", section.text, key.text));
                }
            }
        }
    }
}

fn check_other(work: &mut Work, section: &Key) {
    if !matches!(section.text.as_str(), "version" | "name" | "include") && !section.text.starts_with("x-") {
        work.faults.error(&section.span, format!("unknown key `{}` in an included file", section.text));
    }
}

/// Equal, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.iter().any(|(other, node)| other.text == key.text && same(value, node)))
        }
        _ => false,
    }
}
