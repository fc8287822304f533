//! Texts with nginx's variables in them, taken apart: what is text, and which variables, each one that is known to exist.
//!
//! nginx has no escape for `$`, and a variable that it does not know stops it; so nothing is passed on unread.

use std::fmt;

use super::words::{Read, shown};

/// Variables with a free end: nginx makes them of the client's headers, cookies and arguments; absent ones are empty.
pub const OF_REQUESTS: [&str; 3] = ["cookie_", "arg_", "http_"];
/// Longest name of a variable.
const MAX_NAME: usize = 64;

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Printable ASCII without `$`.
    Text(String),
    /// Its name without `$`: letters, digits and underscores.
    Variable(String),
}

/// Text and variables in turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Part>);

impl Template {
    /// Takes a text apart; variables are those of the list, and those that begin like one of the families.
    pub(super) fn parse(text: &str, known: &[&str], families: &[&str]) -> Read<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            push(&mut parts, &rest[..at])?;
            rest = &rest[at + 1..];
            let braced = rest.starts_with('{');
            let name = if braced { &rest[1..] } else { rest };
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            rest = match braced {
                true => after.strip_prefix('}').ok_or("a variable has no closing brace")?,
                false => after,
            };
            parts.push(Part::Variable(allowed(name, known, families)?));
        }
        push(&mut parts, rest)?;
        Ok(Self(parts))
    }
}

fn push(parts: &mut Vec<Part>, text: &str) -> Read<()> {
    if text.is_empty() {
        return Ok(());
    }
    if !text.chars().all(|c| (' '..='~').contains(&c)) {
        return Err("it holds more than printable ASCII".into());
    }
    parts.push(Part::Text(text.to_owned()));
    Ok(())
}

fn allowed(name: &str, known: &[&str], families: &[&str]) -> Read<String> {
    let family = families.iter().any(|family| name.len() > family.len() && name.starts_with(*family));
    match name.len() <= MAX_NAME && (family || known.contains(&name)) {
        true => Ok(name.to_owned()),
        false => Err(format!("the variable {} is not one that can be used here", shown(&format!("${name}")))),
    }
}

/// As nginx writes it, with braces where the text behind would make the name longer.
impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let longer = matches!(self.0.get(at + 1), Some(Part::Text(text)) if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '{'));
            match part {
                Part::Text(text) => out.write_str(text)?,
                Part::Variable(name) if longer => write!(out, "${{{name}}}")?,
                Part::Variable(name) => write!(out, "${name}")?,
            }
        }
        Ok(())
    }
}
