//! Lays one mapping over another, as `extends` and a second file do (compose-spec, 13-merge.md).
//!
//! Works on nodes, so that every value keeps the place it came from. Mappings are merged, lists are appended, anything
//! else is replaced; the few keys with rules of their own are named here.

use crate::yaml::{Key, Node, Scalar, Value};

/// Lays `over` on `base`; both are whole services or whole sections.
pub(super) fn merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (Value::Map(base_entries), Value::Map(entries)) => {
            let value = Value::Map(merge_entries(base_entries, entries));
            Node { value, tag: over.tag, span: over.span }
        }
        (Value::List(mut items), Value::List(more)) => {
            items.extend(more);
            Node { value: Value::List(items), tag: over.tag, span: over.span }
        }
        (_, value) => Node { value, tag: over.tag, span: over.span },
    }
}

fn merge_entries(mut base: Vec<(Key, Node)>, over: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    for (key, value) in over {
        let known = base.iter().position(|(known, _)| known.text == key.text);
        match (known, value.tag.as_deref()) {
            (Some(at), Some("reset")) => {
                base.remove(at);
            }
            (None, Some("reset")) => {}
            (Some(at), Some("override")) => base[at] = (key, value),
            (Some(_), _) if value.is_null() => {}
            (Some(at), _) => {
                let (_, old) = base.remove(at);
                let merged = if old.is_null() { value } else { merge_field(&key.text, old, value) };
                base.insert(at, (key, merged));
            }
            (None, _) => base.push((key, value)),
        }
    }
    base
}

fn merge_field(key: &str, base: Node, over: Node) -> Node {
    match key {
        // A command line is one thing: half of one and half of another is none.
        "command" | "entrypoint" | "test" => over,
        "environment" | "labels" | "sysctls" | "args" => merge(pairs(base), pairs(over)),
        "depends_on" | "networks" => merge(keys(base), keys(over)),
        "build" => merge(context(base), context(over)),
        "tmpfs" | "dns" | "dns_search" | "env_file" | "label_file" => merge(list(base), list(over)),
        "extra_hosts" => merge(hosts(base), hosts(over)),
        "volumes" => merge_mounts(base, over),
        // Options belong to their driver.
        "logging" if differ(&base, &over, "driver") => over,
        _ => merge(base, over),
    }
}

/// A mount takes the place of the one at its target.
fn merge_mounts(base: Node, over: Node) -> Node {
    let (Value::List(mut items), Value::List(more)) = (base.value, &over.value) else { return over };
    let inherited = items.len();
    for mount in more {
        match items[..inherited].iter().position(|known| mount_target(known) == mount_target(mount)) {
            Some(at) => items[at] = mount.clone(),
            None => items.push(mount.clone()),
        }
    }
    Node { value: Value::List(items), tag: over.tag, span: over.span }
}

fn mount_target(mount: &Node) -> String {
    let target = match mount.as_str() {
        Some(text) => text.split(':').nth(1).unwrap_or(text),
        None => mount.get("target").and_then(Node::as_str).unwrap_or_default(),
    };
    target.trim_end_matches('/').to_owned()
}

fn differ(base: &Node, over: &Node, key: &str) -> bool {
    let of = |node: &Node| node.get(key).and_then(Node::as_str).map(str::to_owned);
    of(over).is_some_and(|driver| of(base).is_some_and(|other| other != driver))
}

fn map_of(node: Node, entry: impl Fn(Node) -> (Key, Node)) -> Node {
    match node.value {
        Value::List(items) => {
            let mut entries: Vec<(Key, Node)> = Vec::new();
            for (key, value) in items.into_iter().map(entry) {
                entries.retain(|(known, _)| known.text != key.text);
                entries.push((key, value));
            }
            Node { value: Value::Map(entries), tag: node.tag, span: node.span }
        }
        value => Node { value, tag: node.tag, span: node.span },
    }
}

/// `[A=1, B]` as `{A: "1", B: null}`.
fn pairs(node: Node) -> Node {
    map_of(node, |item| {
        let text = item.as_str().unwrap_or_default();
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        let scalar = Scalar { text: value.unwrap_or_default().to_owned(), plain: value.is_none() };
        (Key { text: key.to_owned(), span: item.span.clone() }, Node { value: Value::Scalar(scalar), tag: None, span: item.span.clone() })
    })
}

/// `[a, b]` as `{a: null, b: null}`.
fn keys(node: Node) -> Node {
    map_of(node, |item| {
        let key = Key { text: item.as_str().unwrap_or_default().to_owned(), span: item.span.clone() };
        (key, Node { value: Value::Scalar(Scalar { text: String::new(), plain: true }), tag: None, span: item.span })
    })
}

fn context(node: Node) -> Node {
    if node.as_str().is_none() {
        return node;
    }
    let span = node.span.clone();
    Node { span: span.clone(), tag: None, value: Value::Map(vec![(Key { text: "context".into(), span }, node)]) }
}

fn list(node: Node) -> Node {
    if node.as_str().is_none() && node.as_map().is_none() {
        return node;
    }
    Node { span: node.span.clone(), tag: node.tag.clone(), value: Value::List(vec![node]) }
}

/// `{host: address}` as `["host=address"]`; a host may have several addresses, so a list it stays.
fn hosts(node: Node) -> Node {
    let Value::Map(entries) = node.value else { return node };
    let mut items = Vec::new();
    for (key, value) in entries {
        let addresses = match value.value {
            Value::List(all) => all,
            _ => vec![value],
        };
        for address in addresses {
            let text = format!("{}={}", key.text, address.as_str().unwrap_or_default());
            items.push(Node { value: Value::Scalar(Scalar { text, plain: false }), tag: None, span: address.span });
        }
    }
    Node { value: Value::List(items), tag: node.tag, span: node.span }
}
