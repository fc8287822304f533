//! Reading nodes field by field, with one wording for every wrong type and every unknown key.

use std::ops::Range;

use super::{Node, Value};
use crate::fault::{Faults, did_you_mean};

/// "a list", "text" …: what a person calls the thing that stands there.
#[must_use]
pub fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        _ if node.is_null() => "nothing",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
        Value::Scalar(scalar) if !scalar.plain => "text",
        Value::Scalar(scalar) if matches!(scalar.text.as_str(), "true" | "false") => "true or false",
        Value::Scalar(scalar) if scalar.text.parse::<f64>().is_ok() => "a number",
        Value::Scalar(_) => "text",
    }
}

impl Node {
    /// Text, also when it looks like a number.
    pub fn text(&self, what: &str, faults: &mut Faults) -> Option<String> {
        let text = self.as_str().map(str::to_owned);
        self.or_wrong(text, what, "text", faults)
    }

    /// `true` or `false`.
    pub fn boolean(&self, what: &str, faults: &mut Faults) -> Option<bool> {
        let value = match self.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        self.or_wrong(value, what, "true or false", faults)
    }

    /// A whole number that fits the type asked for.
    pub fn integer<T: TryFrom<i64>>(&self, what: &str, faults: &mut Faults) -> Option<T> {
        let value = self.as_str().and_then(|text| text.parse::<i64>().ok()).and_then(|n| T::try_from(n).ok());
        self.or_wrong(value, what, "a whole number in its range", faults)
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn texts(&self, what: &str, faults: &mut Faults) -> Option<Vec<String>> {
        if let Some(text) = self.as_str() {
            return Some(vec![text.to_owned()]);
        }
        let items = self.or_wrong(self.as_list(), what, "a list", faults)?;
        items.iter().enumerate().map(|(at, item)| item.text(&format!("{what}[{at}]"), faults)).collect()
    }

    /// The entries of a mapping; nothing at all counts as an empty one.
    pub fn entries(&self, what: &str, faults: &mut Faults) -> Option<&[(super::Key, Self)]> {
        if self.is_null() {
            return Some(&[]);
        }
        self.or_wrong(self.as_map(), what, "a mapping", faults)
    }

    fn or_wrong<T>(&self, value: Option<T>, what: &str, wanted: &str, faults: &mut Faults) -> Option<T> {
        if value.is_none() {
            faults.error(&self.span, format!("{what} must be {wanted}, but {} stands here", kind_of(self)));
        }
        value
    }
}

/// The fields of one mapping: each is taken once, and what nobody took is an error.
pub struct Fields<'a> {
    entries: &'a [(super::Key, Node)],
    span: Range<usize>,
    /// Where in the file, for messages: "apps.ghost".
    pub path: String,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping; nothing at all counts as an empty one.
    pub fn open(node: &'a Node, path: impl Into<String>, faults: &mut Faults) -> Option<Self> {
        let path = path.into();
        let entries = node.entries(&path, faults)?;
        Some(Self { entries, span: node.span.clone(), path, known: Vec::new() })
    }

    /// The value of a key, unless it is absent or null.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.entries.iter().find(|(k, node)| k.text == key && !node.is_null()).map(|(_, node)| node)
    }

    /// The value of a key that must be there.
    pub fn require(&mut self, key: &'static str, faults: &mut Faults) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            let (place, at) = (self.place(), self.span.start);
            faults.error(&(at..at + 1), format!("`{key}` is missing{place}"));
        }
        node
    }

    /// "apps.ghost.memory": the name of a field for messages.
    #[must_use]
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a text.
    pub fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        let what = self.name(key);
        self.take(key)?.text(&what, faults)
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        let what = self.name(key);
        self.take(key)?.boolean(&what, faults)
    }

    /// Takes a whole number.
    pub fn integer<T: TryFrom<i64>>(&mut self, key: &'static str, faults: &mut Faults) -> Option<T> {
        let what = self.name(key);
        self.take(key)?.integer(&what, faults)
    }

    /// Takes a list of texts; absent is empty.
    pub fn texts(&mut self, key: &'static str, faults: &mut Faults) -> Vec<String> {
        let what = self.name(key);
        self.take(key).and_then(|node| node.texts(&what, faults)).unwrap_or_default()
    }

    /// Reports every key that nobody asked for. `x-…` keys are everyone's own.
    pub fn finish(self, faults: &mut Faults) {
        for (key, _) in self.entries {
            if self.known.contains(&key.text.as_str()) || key.text.starts_with("x-") {
                continue;
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            let help = did_you_mean(&key.text, known.iter().copied()).unwrap_or_else(|| format!("allowed: {}", known.join(", ")));
            faults.error_with_help(&key.span, format!("unknown key `{}`{}", key.text, self.place()), help);
        }
    }

    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in {}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;
    use crate::yaml::{Limits, parse};

    #[test]
    fn all_faults_of_a_mapping_come_at_once() {
        let mut faults = Faults::new(&Source::new("f.yml", "prot: 80\ndebug: yes\nsize: [1]\n"));
        let node = parse(Limits::CONFIG, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "", &mut faults).unwrap();
        assert_eq!(fields.integer::<u16>("port", &mut faults), None);
        assert_eq!(fields.boolean("debug", &mut faults), None);
        assert_eq!(fields.text("size", &mut faults), None);
        assert!(fields.require("name", &mut faults).is_none());
        fields.finish(&mut faults);
        let lines: Vec<_> = faults.finish(Some(())).unwrap_err().iter().map(crate::fault::Fault::line).collect();
        assert_eq!(
            lines,
            [
                "f.yml:1:1: `name` is missing",
                "f.yml:1:1: unknown key `prot`",
                "f.yml:2:8: debug must be true or false, but text stands here",
                "f.yml:3:7: size must be text, but a list stands here",
            ]
        );
    }
}
