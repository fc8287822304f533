//! Positioned YAML: text in, nodes out, every node with its place in the file.
//!
//! Serde stops at the first error and forgets where a value stood; people deserve all faults at once, each with its
//! line. So files that people write are parsed into [`Node`]s here and read field by field with [`Fields`]. This
//! module knows no schema. It refuses what YAML 1.2 refuses (duplicate keys) and whatever would not fit in memory.

mod parse;
mod read;

use std::ops::Range;

pub use parse::{Limits, parse};
pub use read::{Fields, kind_of};

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// A tag such as `!reset`, without the exclamation mark.
    pub tag: Option<String>,
    /// The bytes of the file it came from.
    pub span: Range<usize>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value, as text: `1.10` stays `1.10`, `0440` stays `0440`.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file, keys unique.
    Map(Vec<(Key, Node)>),
}

/// The text of a scalar and whether it was written without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unquoting.
    pub text: String,
    /// Only a plain scalar can be null, a boolean or a number.
    pub plain: bool,
}

/// A key with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The text.
    pub text: String,
    /// The bytes of the file it came from.
    pub span: Range<usize>,
}

impl Node {
    /// True for `null`, `~` and nothing at all.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(s) if s.plain && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar that is not null.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a sequence.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value under a key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }
}
