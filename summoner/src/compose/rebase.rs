//! Makes the paths of a service or file from another folder absolute, before it is merged into ours.
//!
//! Only what is relative to its own file is touched. Asks no file system.

use std::path::Path;

use super::work::absolute;
use crate::yaml::{Node, Value};

/// True for a build context that is no folder of this host.
pub(super) fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/")
}

/// True for the source of a mount that is a path rather than a volume's name.
pub(super) fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// Rebases every section of a whole file.
pub(super) fn document(root: &mut Node, folder: &Path) {
    for (_, service) in entries(root, "services") {
        self::service(service, folder);
    }
    for section in ["secrets", "configs"] {
        for (_, item) in entries(root, section) {
            if let Some(file) = child(item, "file") {
                path(file, folder);
            }
        }
    }
    for (_, volume) in entries(root, "volumes") {
        if let Some(options) = child(volume, "driver_opts")
            && is_bind(options)
            && let Some(device) = child(options, "device")
        {
            path(device, folder);
        }
    }
}

/// Rebases one service.
pub(super) fn service(service: &mut Node, folder: &Path) {
    if let Some(build) = child(service, "build") {
        let context = if build.as_str().is_some() { Some(build) } else { child(build, "context") };
        if let Some(context) = context.filter(|node| !node.as_str().is_some_and(is_remote)) {
            path(context, folder);
        }
    }
    for key in ["env_file", "label_file"] {
        let Some(files) = child(service, key) else { continue };
        each(files, |item| {
            let file = if item.as_map().is_some() { child(item, "path") } else { Some(item) };
            if let Some(file) = file {
                path(file, folder);
            }
        });
    }
    let Some(volumes) = child(service, "volumes") else { return };
    each(volumes, |item| {
        if let Some(text) = item.as_str() {
            let (source, rest) = text.split_once(':').unwrap_or((text, ""));
            if source.starts_with('.') && !rest.is_empty() {
                let text = format!("{}:{rest}", absolute(folder, source).display());
                set(item, text);
            }
        } else if item.get("type").and_then(Node::as_str) == Some("bind")
            && let Some(source) = child(item, "source").filter(|node| !node.as_str().is_some_and(|text| text.starts_with('~')))
        {
            path(source, folder);
        }
    });
}

/// True for the options of a named volume that is a bind mount in disguise.
pub(super) fn is_bind(options: &Node) -> bool {
    options.get("o").and_then(Node::as_str) == Some("bind")
}

fn entries<'a>(root: &'a mut Node, section: &str) -> impl Iterator<Item = (&'a str, &'a mut Node)> {
    let map = child(root, section).and_then(|node| match &mut node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    map.into_iter().flatten().map(|(key, value)| (key.text.as_str(), value))
}

/// The value under a key, to be changed.
pub(super) fn child<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|(known, _)| known.text == key).map(|(_, value)| value),
        _ => None,
    }
}

fn each(node: &mut Node, change: impl Fn(&mut Node)) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(change),
        _ => change(node),
    }
}

fn path(node: &mut Node, folder: &Path) {
    if let Some(text) = node.as_str() {
        let text = absolute(folder, text).display().to_string();
        set(node, text);
    }
}

fn set(node: &mut Node, text: String) {
    if let Value::Scalar(scalar) = &mut node.value {
        scalar.text = text;
    }
}
