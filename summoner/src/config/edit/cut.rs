//! Cuts into a text at the places that the parser gave: the only part that knows how YAML is laid out on lines.
//!
//! Each method gives None when the shape is not one it is sure of.

use std::ops::Range;

use crate::yaml::{Key, Node, Value};

/// A text and what is to be put in place of some of its ranges.
pub(super) struct Cuts<'a> {
    text: &'a str,
    cuts: Vec<(Range<usize>, String)>,
}

/// How a collection is written.
#[derive(PartialEq, Eq)]
enum Flow {
    /// Between braces or brackets.
    Braces,
    /// By indentation.
    Block,
}

impl<'a> Cuts<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, cuts: Vec::new() }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The line end that the file uses.
    pub(super) fn eol(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    pub(super) fn replace(&mut self, range: &Range<usize>, with: &str) -> Option<()> {
        self.text.get(range.clone())?;
        self.cuts.push((range.clone(), with.to_owned()));
        Some(())
    }

    pub(super) fn apply(&self) -> String {
        let mut cuts = self.cuts.clone();
        cuts.sort_by_key(|(range, _)| range.start);
        let mut new = self.text.to_owned();
        for (range, with) in cuts.iter().rev() {
            new.replace_range(range.clone(), with);
        }
        new
    }

    /// Whether every line that is a comment, outside what was cut away, is still there.
    pub(super) fn keeps_comments(&self, new: &str) -> bool {
        let mut at = 0;
        let mut left: Vec<&str> = new.lines().filter(|line| line.trim_start().starts_with('#')).collect();
        self.text.split_inclusive('\n').all(|line| {
            let start = at;
            at += line.len();
            let ours = line.trim_start().starts_with('#') && !self.cuts.iter().any(|(range, _)| range.contains(&start));
            let found = left.iter().position(|known| *known == line.trim_end_matches(['\r', '\n']));
            !ours || found.map(|found| left.remove(found)).is_some()
        })
    }

    /// Adds a key at the end of the document, which is in block style.
    pub(super) fn append_block(&mut self, key: &str, below: &str) -> bool {
        let (eol, end) = (self.eol(), self.text.len());
        let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { eol };
        self.replace(&(end..end), &format!("{gap}{key}:{eol}{below}")).is_some()
    }

    /// Adds an entry at the end of the mapping under a key, which may hold nothing yet.
    pub(super) fn add_entry(&mut self, key: &Key, map: &Node, name: &str, lines: &[String]) -> Option<()> {
        let entries = map.as_map().unwrap_or_default();
        let Some((last, node)) = entries.last() else {
            let indent = format!("{}  ", self.indent(key)?);
            self.clear_value(key, map)?;
            return self.insert_lines(self.line_end(key.span.end), &indent, &super::block(name, lines, &indent, self.eol()));
        };
        // What a merge key brought stands elsewhere.
        if last.span.start < map.span.start {
            return None;
        }
        let end = self.content_end(last, node);
        if self.flow(map) == Flow::Braces {
            let at = self.flow_end(end);
            // libyaml wants a blank between the colon of an empty value and a comma or brace.
            let before = if at > end { " " } else { "" };
            let after = if lines.is_empty() && !self.text[at..].starts_with(' ') { " " } else { "" };
            let value = if lines.is_empty() { String::new() } else { format!(" {{{}}}", lines.join(", ")) };
            return self.replace(&(at..at), &format!("{before}, {name}:{value}{after}"));
        }
        let indent = self.indent(last)?;
        self.insert_lines(self.line_end(end), indent, &super::block(name, lines, indent, self.eol()))
    }

    /// Adds an entry at the beginning of the mapping under a key, which may hold nothing yet.
    pub(super) fn add_first(&mut self, key: &Key, map: &Node, name: &str, value: &str) -> Option<()> {
        let Some((first, _)) = map.as_map().and_then(|entries| entries.first()) else {
            let indent = format!("{}  ", self.indent(key)?);
            self.clear_value(key, map)?;
            let at = self.line_end(key.span.end);
            return self.insert_at_line(at, &format!("{indent}{name}: {value}{}", self.eol()));
        };
        if self.flow(map) == Flow::Braces {
            return self.replace(&(first.span.start..first.span.start), &format!("{name}: {value}, "));
        }
        let indent = self.indent(first)?;
        self.insert_at_line(first.span.start - indent.len(), &format!("{indent}{name}: {value}{}", self.eol()))
    }

    /// Adds an item at the end of a list.
    pub(super) fn add_item(&mut self, list: &Node, item: &str) -> Option<()> {
        let last = list.as_list()?.last()?;
        if self.flow(list) == Flow::Braces {
            return self.replace(&(last.span.end..last.span.end), &format!(", {item}"));
        }
        let indent = self.dash(last)?;
        self.insert_at_line(self.line_end(last.span.end), &format!("{indent}- {item}{}", self.eol()))
    }

    /// Takes an item out of a list that holds others.
    pub(super) fn remove_item(&mut self, list: &Node, at: usize) -> Option<()> {
        let items = list.as_list()?;
        let item = items.get(at)?;
        if self.flow(list) == Flow::Braces {
            let range = match (items.get(at + 1), at.checked_sub(1)) {
                (Some(next), _) => item.span.start..next.span.start,
                (None, Some(before)) => items[before].span.end..item.span.end,
                (None, None) => item.span.clone(),
            };
            return self.replace(&range, "");
        }
        let start = item.span.start - self.text[..item.span.start].len() + self.line_start(item.span.start);
        self.dash(item)?;
        self.replace(&(start..self.line_end(item.span.end)), "")
    }

    /// Takes an entry out of a mapping, with its own lines.
    pub(super) fn remove_entry(&mut self, map: &Node, key: &Key, node: &Node) -> Option<()> {
        if key.span.start < map.span.start {
            return None;
        }
        let end = self.content_end(key, node);
        if self.flow(map) == Flow::Block {
            let start = key.span.start - self.indent(key)?.len();
            return self.replace(&(start..self.line_end(end)), "");
        }
        let end = self.flow_end(end);
        let rest = &self.text[end..];
        let after = rest.len() - rest.trim_start().len();
        if rest[after..].starts_with(',') {
            let next = &rest[after + 1..];
            let gap = next.len() - next.trim_start_matches(' ').len();
            return self.replace(&(key.span.start..end + after + 1 + gap), "");
        }
        let before = self.text[..key.span.start].trim_end();
        // The last of several takes the comma before it along, the only one the blank behind its colon.
        let (start, end) = match before.strip_suffix(',') {
            Some(others) => (others.len(), end),
            None => (key.span.start, end + rest.len() - rest.trim_start_matches(' ').len()),
        };
        self.replace(&(start..end), "")
    }

    /// Removes `null`, `~` or `{}` after a key, so that lines can follow.
    fn clear_value(&mut self, key: &Key, node: &Node) -> Option<()> {
        let end = if node.as_map().is_some() && self.flow(node) == Flow::Braces { self.closed(node.span.start + 1) } else { node.span.end };
        let span = node.span.start..end;
        let token = self.text.get(span.clone()).unwrap_or_default();
        if token.trim().is_empty() || span.start < key.span.end {
            return Some(());
        }
        let between = &self.text[key.span.end..span.start];
        let empty = matches!(token, "~" | "null" | "Null" | "NULL")
            || (token.starts_with('{') && token.ends_with('}') && token[1..token.len() - 1].trim().is_empty());
        if !empty || between.contains('\n') || token.contains('\n') {
            return None;
        }
        let start = key.span.end + between.trim_end_matches(' ').len();
        self.replace(&(start..span.end), "")
    }

    /// Puts lines at the beginning of a line, behind the comments that stand there at the same depth.
    fn insert_lines(&mut self, mut at: usize, indent: &str, lines: &str) -> Option<()> {
        while let Some(line) = self.text[at..].split_inclusive('\n').next() {
            let deep = line.len() - line.trim_start_matches(' ').len() >= indent.len();
            if !deep || !line.trim_start().starts_with('#') {
                break;
            }
            at += line.len();
        }
        self.insert_at_line(at, lines)
    }

    /// At the end of a file without a final line end the new lines have none either.
    fn insert_at_line(&mut self, at: usize, lines: &str) -> Option<()> {
        let eol = self.eol();
        if at > 0 && !self.text[..at].ends_with('\n') {
            return self.replace(&(at..at), &format!("{eol}{}", lines.strip_suffix(eol).unwrap_or(lines)));
        }
        self.replace(&(at..at), lines)
    }

    /// Behind the colon of an entry without a value.
    fn flow_end(&self, end: usize) -> usize {
        let rest = &self.text[end..];
        let gap = rest.len() - rest.trim_start().len();
        if rest[gap..].starts_with(':') { end + gap + 1 } else { end }
    }

    fn flow(&self, node: &Node) -> Flow {
        if self.text[node.span.start.min(self.text.len())..].starts_with(['{', '[']) { Flow::Braces } else { Flow::Block }
    }

    /// The last byte that belongs to an entry, plus one. The spans of block collections reach over comments that follow.
    fn content_end(&self, key: &Key, node: &Node) -> usize {
        let end = match &node.value {
            // An alias has the place of its anchor.
            _ if node.span.start < key.span.start => key.span.end,
            Value::List(items) => items.iter().map(|item| self.content_end(key, item)).max().unwrap_or(node.span.start + 1),
            Value::Map(entries) => entries.iter().map(|(inner, node)| self.content_end(inner, node)).max().unwrap_or(node.span.start + 1),
            Value::Scalar(_) => self.text[..node.span.end].trim_end().len(),
        };
        let braces = !matches!(node.value, Value::Scalar(_)) && node.span.start >= key.span.start && self.flow(node) == Flow::Braces;
        if braces { self.closed(end) } else { end.max(key.span.end) }
    }

    /// Behind the brace or bracket that closes a collection whose last item ends here; a comment may hold others.
    fn closed(&self, end: usize) -> usize {
        let mut at = end;
        for line in self.text[end..].split_inclusive('\n') {
            let code = line.find(" #").map_or(line, |comment| &line[..comment]);
            if let Some(found) = code.find(['}', ']']).filter(|_| !code.trim_start().starts_with('#')) {
                return at + found + 1;
            }
            at += line.len();
        }
        end
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |found| found + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |found| at + found + 1)
    }

    /// The blanks before a key that begins its line.
    fn indent(&self, key: &Key) -> Option<&'a str> {
        let before = &self.text[self.line_start(key.span.start)..key.span.start];
        before.bytes().all(|byte| byte == b' ').then_some(before)
    }

    /// The blanks before the dash of an item that is alone on its line.
    fn dash(&self, item: &Node) -> Option<&'a str> {
        let before = self.text[self.line_start(item.span.start)..item.span.start].trim_end().strip_suffix('-')?;
        before.bytes().all(|byte| byte == b' ').then_some(before)
    }
}
