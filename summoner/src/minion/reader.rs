//! What reading one minion.yml carries along: its faults, and the names whose meaning is known at the end only.

use std::collections::BTreeSet;
use std::ops::Range;

use super::template::{self, VARIABLES};
use crate::compose::interpolate;
use crate::fault::{Faults, did_you_mean};
use crate::yaml::{Fields, Node, kind_of};

/// The state of one reading.
pub(super) struct Reader {
    /// Everything wrong so far.
    pub faults: Faults,
    secrets: Vec<(Range<usize>, String)>,
    templates: Vec<(Range<usize>, String)>,
    /// Requests that named no port: where, and the service whose route will tell.
    pub portless: Vec<(Range<usize>, String)>,
}

impl Reader {
    pub fn new(faults: Faults) -> Self {
        Self { faults, secrets: Vec::new(), templates: Vec::new(), portless: Vec::new() }
    }

    /// The items of a list; a mapping or text in its place is a fault.
    pub fn list<'a>(&mut self, fields: &mut Fields<'a>, key: &'static str) -> Vec<(String, &'a Node)> {
        let name = fields.name(key);
        let Some(node) = fields.take(key) else { return Vec::new() };
        let Some(items) = node.as_list() else {
            self.faults.error(&node.span, format!("{name} must be a list, but {} stands here", kind_of(node)));
            return Vec::new();
        };
        items.iter().enumerate().map(|(at, item)| (format!("{name}[{at}]"), item)).collect()
    }

    /// The entries of a mapping: key, its place, its full name and value.
    pub fn map<'a>(&mut self, fields: &mut Fields<'a>, key: &'static str) -> Vec<Entry<'a>> {
        let name = fields.name(key);
        let entries = fields.take(key).and_then(|node| node.entries(&name, &mut self.faults)).unwrap_or_default();
        entries
            .iter()
            .map(|(key, node)| Entry { key: key.text.clone(), span: key.span.clone(), path: format!("{name}.{}", key.text), node })
            .collect()
    }

    /// A mapping of texts; with `template`, variables in the values are checked.
    pub fn text_map(&mut self, fields: &mut Fields<'_>, key: &'static str, template: bool) -> std::collections::BTreeMap<String, String> {
        let mut all = std::collections::BTreeMap::new();
        for entry in self.map(fields, key) {
            if let Some(text) = entry.node.text(&entry.path, &mut self.faults) {
                if template {
                    self.note_template(&entry.node.span, &text);
                }
                all.insert(entry.key, text);
            }
        }
        all
    }

    /// A text in which variables are interpolated later.
    pub fn template(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let name = fields.name(key);
        let node = fields.take(key)?;
        let text = node.text(&name, &mut self.faults)?;
        self.note_template(&node.span, &text);
        Some(text)
    }

    /// A text that must be there.
    pub fn required(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let name = fields.name(key);
        fields.require(key, &mut self.faults)?.text(&name, &mut self.faults)
    }

    /// A text that must be there, in which variables are interpolated later.
    pub fn required_template(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let name = fields.name(key);
        let node = fields.require(key, &mut self.faults)?;
        let text = node.text(&name, &mut self.faults)?;
        self.note_template(&node.span, &text);
        Some(text)
    }

    /// Remembers a text whose variables must be known.
    pub fn note_template(&mut self, span: &Range<usize>, text: &str) {
        self.templates.push((span.clone(), text.to_owned()));
    }

    /// The name of a secret that must be declared.
    pub fn secret(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let name = fields.name(key);
        let node = fields.require(key, &mut self.faults)?;
        let text = node.text(&name, &mut self.faults)?;
        self.secrets.push((node.span.clone(), text.clone()));
        Some(text)
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, fields: &mut Fields<'_>, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let name = fields.name(key);
        let node = fields.take(key)?;
        self.word_of(node, &name, words)
    }

    /// One of some words.
    pub fn word_of<T: Copy>(&mut self, node: &Node, name: &str, words: &[(&'static str, T)]) -> Option<T> {
        let text = node.text(name, &mut self.faults)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.faults.error_with_help(&node.span, format!("{name} cannot be `{text}`"), format!("one of: {}", known.join(", ")));
        }
        found
    }

    /// Checks what could only be checked at the end, and gives the faults back.
    pub fn finish(mut self, declared: &BTreeSet<String>, own: &[String]) -> Faults {
        for (span, name) in &self.secrets {
            if !declared.contains(name) {
                let help = did_you_mean(name, declared.iter().map(String::as_str))
                    .unwrap_or_else(|| format!("declare it: secrets: {{{name}: {{}}}}"));
                self.faults.error_with_help(span, format!("no secret is named `{name}`"), help);
            }
        }
        let mut known: Vec<String> = VARIABLES.iter().map(|variable| variable.name.to_owned()).chain(own.iter().cloned()).collect();
        known.extend(declared.iter().map(|name| template::secret_variable(name)));
        for (span, text) in &self.templates {
            check_template(span, text, &known, &mut self.faults);
        }
        self.faults
    }
}

/// One entry of a mapping.
pub(super) struct Entry<'a> {
    pub key: String,
    pub span: Range<usize>,
    pub path: String,
    pub node: &'a Node,
}

fn check_template(span: &Range<usize>, text: &str, known: &[String], faults: &mut Faults) {
    let unknown = std::cell::RefCell::new(Vec::new());
    let result = interpolate(text, &|name| {
        if !known.iter().any(|word| word == name) {
            unknown.borrow_mut().push(name.to_owned());
        }
        Some(String::new())
    });
    if let Err(error) = result {
        faults.error(span, error.to_string());
    }
    for name in unknown.into_inner() {
        let help = did_you_mean(&name, known.iter().map(String::as_str))
            .unwrap_or_else(|| "wiki/minions.md lists the variables; a dollar sign itself is `$$`".into());
        faults.error_with_help(span, format!("no variable is named `{name}`"), help);
    }
}
