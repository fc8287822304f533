//! The variables or labels of one container, read one by one: absent, typed, or refused with a reason.
//!
//! The values are a stranger's: bounded before they are looked at, and never repeated in a reason unless they are short and
//! of printable ASCII.

use std::collections::BTreeMap;

use super::Refusal;

/// Longest value of a variable that holds one thing.
const MAX_VALUE: usize = 2048;
/// Longest value of one that holds a list or a document; nginx-proxy's people have lists of hundreds of hosts.
pub(super) const MAX_LIST: usize = 16 << 10;
/// Longest value that a reason repeats.
const SHOWN: usize = 60;

/// What a reader of one value says: the value, or why not.
pub(super) type Read<T> = Result<T, String>;

/// Texts by name, and what was refused of them.
pub(super) struct Words<'a> {
    texts: &'a BTreeMap<String, String>,
    prefix: &'static str,
    /// So far.
    pub(super) refusals: Vec<Refusal>,
}

impl<'a> Words<'a> {
    /// Names are looked up with the prefix before them.
    pub(super) fn new(texts: &'a BTreeMap<String, String>, prefix: &'static str) -> Self {
        Self { texts, prefix, refusals: Vec::new() }
    }

    /// The value without blanks around it. An empty one counts as absent: Compose's `${X:-}` leaves it.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let text = if self.prefix.is_empty() { self.texts.get(key) } else { self.texts.get(&format!("{}{key}", self.prefix)) };
        text.map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// The value of one thing, typed; what does not parse is refused.
    pub(super) fn take<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Read<T>) -> Option<T> {
        let text = self.get(key)?;
        let value = one(text).and_then(parse);
        value.map_err(|reason| self.refuse(key, reason)).ok()
    }

    /// The first of two names that is said.
    pub(super) fn either<T>(&mut self, key: &str, old: &str, parse: impl FnOnce(&str) -> Read<T>) -> Option<T> {
        let key = if self.get(key).is_some() { key } else { old };
        self.take(key, parse)
    }

    /// True or false, as Go's `strconv.ParseBool` reads it, and on/off, yes/no.
    pub(super) fn switch(&mut self, key: &str) -> Option<bool> {
        self.take(key, switch)
    }

    /// Records a refusal that concerns all that is asked for.
    pub(super) fn refuse(&mut self, key: &str, reason: impl Into<String>) {
        self.refuse_of(key, reason, None);
    }

    /// Records a refusal that one host suffers from.
    pub(super) fn refuse_of(&mut self, key: &str, reason: impl Into<String>, host: Option<String>) {
        self.refusals.push(Refusal { key: format!("{}{key}", self.prefix), reason: reason.into(), host });
    }
}

/// Bounds of a value that is not a list.
fn one(text: &str) -> Read<&str> {
    if text.len() > MAX_VALUE {
        return Err(format!("it has {} bytes; at most {MAX_VALUE} are read", text.len()));
    }
    match text.chars().any(char::is_control) {
        true => Err("it holds a control character".into()),
        false => Ok(text),
    }
}

/// See [`Words::switch`].
pub(super) fn switch(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "no" => Ok(false),
        _ => Err(format!("{} is neither true nor false", shown(text))),
    }
}

/// A port.
pub(super) fn port(text: &str) -> Read<u16> {
    let port = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse::<u16>().ok());
    port.filter(|port| *port != 0).ok_or_else(|| format!("{} is not a port from 1 to 65535", shown(text)))
}

/// A whole number within bounds.
pub(super) fn number(text: &str, least: u32, most: u32) -> Read<u32> {
    let number = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse::<u32>().ok());
    number.filter(|n| (least..=most).contains(n)).ok_or_else(|| format!("{} is not a whole number from {least} to {most}", shown(text)))
}

/// One of some words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Read<T> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{} is none of {}", shown(text), known.join(", "))
    })
}

/// Printable ASCII of one word, for what is passed on to others as it is.
pub(super) fn token(text: &str, most: usize) -> Read<String> {
    match text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(format!("it is not one word of at most {most} printable characters")),
    }
}

/// A value for people: itself when it can do no harm.
pub(super) fn shown(text: &str) -> String {
    match text.len() <= SHOWN && text.chars().all(|c| (' '..='~').contains(&c)) {
        true => format!("`{text}`"),
        false => "the value".to_owned(),
    }
}
