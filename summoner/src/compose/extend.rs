//! `extends`: a service takes over another one, of the same file or of a second, and lays its own keys on top.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::work::{Work, absolute};
use super::{document, merge, rebase};
use crate::fault::did_you_mean;
use crate::yaml::{Fields, Key, Node, Value};

/// How many services may stand in one chain of `extends`.
const MAX_CHAIN: usize = 32;

/// The tag of a service whose `extends` failed; no file can write it.
pub(super) const BROKEN: &str = " broken";

/// Resolves every `extends` of a file; `path` is the file's own, `folder` what its paths are relative to.
pub(super) fn apply(work: &mut Work, root: &mut Node, path: &Path, folder: &Path, variables: &BTreeMap<String, String>) {
    let Some(Value::Map(services)) = root.get("services").map(|node| &node.value) else { return };
    if !services.iter().any(|(_, service)| service.get("extends").is_some()) {
        return;
    }
    let services = services.clone();
    let main = Document { path: path.to_path_buf(), folder: folder.to_path_buf(), services: services.clone() };
    let mut extender = Extender { work, variables, documents: vec![main] };
    let mut resolved = Vec::with_capacity(services.len());
    for (key, service) in services {
        let node = if service.get("extends").is_some() { extender.resolve(0, &key.text, &mut Vec::new()) } else { Some(service) };
        // What cannot be resolved stays known by name, or every reference to it would be a fault too.
        let node = node.unwrap_or_else(|| Node { value: Value::Map(Vec::new()), tag: Some(BROKEN.into()), span: key.span.clone() });
        if !extender.work.spend(&node) {
            break;
        }
        resolved.push((key, node));
    }
    if let Some(node) = rebase::child(root, "services") {
        node.value = Value::Map(resolved);
    }
}

struct Document {
    path: PathBuf,
    folder: PathBuf,
    services: Vec<(Key, Node)>,
}

struct Extender<'e, 'a> {
    work: &'e mut Work<'a>,
    variables: &'e BTreeMap<String, String>,
    documents: Vec<Document>,
}

impl Extender<'_, '_> {
    /// The service with everything it extends under it; the chain holds who asked for it.
    fn resolve(&mut self, document: usize, name: &str, chain: &mut Vec<(usize, String)>) -> Option<Node> {
        let (_, service) = self.documents[document].services.iter().find(|(key, _)| key.text == name)?;
        let mut service = service.clone();
        let Some(extends) = take(&mut service, "extends") else { return Some(service) };
        let (target, file) = self.target(&extends, name)?;
        chain.push((document, name.to_owned()));
        let base = match file {
            None => Some(document),
            Some(file) => self.document(document, &file),
        };
        let base = base.and_then(|base| self.base(base, &target, &extends, chain).map(|node| (base, node)));
        chain.pop();
        let (base, mut node) = base?;
        if self.documents[base].folder != self.documents[document].folder {
            rebase::service(&mut node, &self.documents[base].folder);
        }
        Some(merge::merge(node, service))
    }

    fn base(&mut self, document: usize, name: &str, extends: &Node, chain: &mut Vec<(usize, String)>) -> Option<Node> {
        if let Some(at) = chain.iter().position(|(d, n)| *d == document && n == name) {
            let mut names: Vec<&str> = chain[at..].iter().map(|(_, name)| name.as_str()).collect();
            names.push(name);
            let message = format!("services.{name} extends itself: {}", names.join(" → "));
            // Every member of the circle would tell the same; the first one in the file does.
            if at == 0 && chain.iter().all(|(d, n)| self.rank(document, name) <= self.rank(*d, n)) {
                self.work.faults.error(&extends.span, message);
            }
            return None;
        }
        if chain.len() >= MAX_CHAIN {
            self.work.faults.error(&extends.span, format!("more than {MAX_CHAIN} services extend one another"));
            return None;
        }
        let services = &self.documents[document].services;
        if !services.iter().any(|(key, _)| key.text == name) {
            let help = did_you_mean(name, services.iter().map(|(key, _)| key.text.as_str()));
            let message = format!("services.{}.extends names a service `{name}` that is not there", chain.last().map_or("", |(_, n)| n));
            match help {
                Some(help) => self.work.faults.error_with_help(&extends.span, message, help),
                None => self.work.faults.error(&extends.span, message),
            }
            return None;
        }
        self.resolve(document, name, chain)
    }

    fn rank(&self, document: usize, name: &str) -> (usize, usize) {
        (document, self.documents[document].services.iter().position(|(key, _)| key.text == name).unwrap_or_default())
    }

    /// The service and the file that `extends` names.
    fn target(&mut self, extends: &Node, name: &str) -> Option<(String, Option<String>)> {
        if let Some(target) = extends.as_str() {
            return Some((target.to_owned(), None));
        }
        let mut fields = Fields::open(extends, format!("services.{name}.extends"), &mut self.work.faults)?;
        let what = fields.name("service");
        let service = fields.require("service", &mut self.work.faults).and_then(|node| node.text(&what, &mut self.work.faults));
        let file = fields.text("file", &mut self.work.faults);
        fields.finish(&mut self.work.faults);
        Some((service?, file))
    }

    /// Reads the other file, once.
    fn document(&mut self, from: usize, file: &str) -> Option<usize> {
        let path = absolute(&self.documents[from].folder, file);
        if let Some(known) = self.documents.iter().position(|document| document.path == path) {
            return Some(known);
        }
        let span = self.file_span(from, file);
        let index = self.work.open(&path, &span)?;
        let mut root = document::parse(self.work, index)?;
        document::interpolate(self.work, &mut root, self.variables);
        let services = match rebase::child(&mut root, "services").map(|node| node.value.clone()) {
            Some(Value::Map(services)) => services,
            _ => Vec::new(),
        };
        let folder = path.parent().unwrap_or(&path).to_path_buf();
        self.documents.push(Document { path, folder, services });
        Some(self.documents.len() - 1)
    }

    fn file_span(&self, document: usize, file: &str) -> std::ops::Range<usize> {
        let named = |service: &Node| {
            service.get("extends").and_then(|e| e.get("file")).filter(|f| f.as_str() == Some(file)).map(|f| f.span.clone())
        };
        self.documents[document].services.iter().find_map(|(_, service)| named(service)).unwrap_or(0..0)
    }
}

fn take(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|(known, _)| known.text == key)?;
    Some(entries.remove(at).1).filter(|node| !node.is_null())
}
