//! The form of 2017: everything below one key `summoner`, the applications in one line.

use super::apps::app_name;
use super::today::{checked, domain, path};
use super::values;
use super::written::{At, Written, WrittenApp};
use crate::fault::Faults;
use crate::yaml::{Fields, Node, Value};

/// The key that everything stood under.
pub(super) const ROOT: &str = "summoner";

/// Whether a file has the form of 2017.
pub(super) fn is_legacy(root: &Node) -> bool {
    let today = ["version", "domain", "apps"];
    root.get(ROOT).is_some_and(|node| node.as_map().is_some()) && !today.iter().any(|key| root.get(key).is_some())
}

/// Reads the form of 2017 and warns that it has a successor.
pub(super) fn read(root: &Node, faults: &mut Faults) -> Option<Written> {
    let mut top = Fields::open(root, "", faults)?;
    let node = top.take(ROOT)?;
    top.finish(faults);
    if let Some((key, _)) = root.as_map().and_then(|entries| entries.iter().find(|(key, _)| key.text == ROOT)) {
        faults.warning(
            &key.span,
            "this file has the form of 2017",
            "`summoner config migrate` rewrites it in today's form and keeps the comments",
        );
    }
    let mut fields = Fields::open(node, ROOT, faults)?;
    let mut written = Written {
        domain: fields.require("domain", faults).and_then(|node| domain(node, "summoner.domain", faults)),
        email: fields.take("email").and_then(|node| checked(node, "summoner.email", values::email, faults)),
        files: fields.take("vsroot").and_then(|node| path(node, "summoner.vsroot", faults)),
        databases: fields.take("dbsroot").and_then(|node| path(node, "summoner.dbsroot", faults)),
        ..Written::default()
    };
    if written.email.is_none() {
        written.email = written.domain.as_ref().map(|domain| default_email(domain.value.as_str()));
    }
    for word in fields.take("applications").map(|node| words(node, faults)).unwrap_or_default() {
        if written.apps.iter().any(|app: &WrittenApp| app.name.value.as_str() == word.value) {
            faults.error(&word.span, format!("`{}` is there twice", word.value));
        } else {
            written.apps.extend(app_name(&word.value, &word.span, faults).map(WrittenApp::named));
        }
    }
    fields.finish(faults);
    Some(written)
}

/// Nobody gave an address in 2017.
pub(super) fn default_email(domain: &str) -> String {
    format!("admin@{domain}")
}

/// The applications with their places, from one line or from a list.
pub(super) fn words(node: &Node, faults: &mut Faults) -> Vec<At<String>> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut all = Vec::new();
    for item in items {
        let Some(text) = item.text("summoner.applications", faults) else { continue };
        let source = faults.source().clone();
        let mut from = item.span.start;
        for word in text.split_whitespace() {
            // Within the scalar's own bytes words come in order, whatever quotes or line ends lie between.
            let at = source.text.get(from..item.span.end).and_then(|rest| rest.find(word)).map_or(item.span.start, |offset| from + offset);
            from = at + word.len();
            all.push(At::new(word.to_owned(), &(at..from)));
        }
    }
    all
}
