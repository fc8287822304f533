//! Events of the YAML parser into nodes, within bounds.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Key, Node, Scalar, Value};
use crate::fault::Faults;

/// What a file may cost. Aliases are copied, so a small file could otherwise fill the memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of the text.
    pub bytes: usize,
    /// Nesting.
    pub depth: usize,
    /// Nodes after aliases are expanded.
    pub nodes: usize,
    /// Bytes of scalars after aliases are expanded.
    pub expanded_bytes: usize,
}

impl Limits {
    /// For config.yml and minion.yml.
    pub const CONFIG: Self = Self { bytes: 1 << 20, depth: 32, nodes: 200_000, expanded_bytes: 16 << 20 };
    /// For Compose files.
    pub const COMPOSE: Self = Self { bytes: 256 << 10, ..Self::CONFIG };
}

/// Parses the one document of a file; merge keys (`<<`) are applied.
///
/// Gives None when the text is no YAML or too large; the reason is among the faults. An empty file gives a null node.
pub fn parse(limits: Limits, faults: &mut Faults) -> Option<Node> {
    let source = faults.source().clone();
    let text = source.text.as_str();
    if text.len() > limits.bytes {
        faults.error(&(0..0), format!("the file has {} bytes; at most {} are read", text.len(), limits.bytes));
        return None;
    }
    if let Some(at) = text.find('\0') {
        faults.error(&(at..at + 1), "the file is binary: it holds a NUL byte");
        return None;
    }
    let offsets = Offsets::new(text);
    let mut builder =
        Builder { parser: Parser::new_from_str(text), offsets: &offsets, limits, anchors: HashMap::new(), cost: Cost::default(), faults };
    let node = builder.document();
    node.map_err(|stop| {
        if let Some((span, message)) = stop.0 {
            faults.error(&span, message);
        }
    })
    .ok()
}

/// The parser counts characters; spans are bytes.
struct Offsets(Option<Vec<usize>>);

impl Offsets {
    fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self(None);
        }
        Self(Some(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()))
    }

    fn range(&self, span: Span) -> Range<usize> {
        let byte = |index: usize| match &self.0 {
            None => index,
            Some(table) => table[index.min(table.len() - 1)],
        };
        byte(span.start.index())..byte(span.end.index()).max(byte(span.start.index()))
    }
}

#[derive(Default, Clone, Copy)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

/// Parsing ends; the reason, unless it was recorded already.
struct Stop(Option<(Range<usize>, String)>);

struct Builder<'a, 'f> {
    parser: Parser<'a, StrInput<'a>>,
    offsets: &'a Offsets,
    limits: Limits,
    anchors: HashMap<usize, (Node, Cost)>,
    cost: Cost,
    faults: &'f mut Faults,
}

impl<'a> Builder<'a, '_> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_none() => {}
                Event::DocumentStart(_) => {
                    return Err(Stop(Some((self.offsets.range(span), "a second document (`---`) in one file".into()))));
                }
                first => root = Some(self.node(first, span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { value: Value::Scalar(Scalar { text: String::new(), plain: true }), tag: None, span: 0..0 }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = self.offsets.range(Span::empty(*error.marker()));
                let message = explain(error.info(), &self.faults.source().text, at.start);
                Err(Stop(Some((at.start..at.start + 1, message))))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        let start = self.offsets.range(span);
        if depth > self.limits.depth {
            return Err(Stop(Some((start, format!("nested more than {} levels deep", self.limits.depth)))));
        }
        let before = self.cost;
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, &start),
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(Cost { nodes: 1, bytes: text.len() }, &start)?;
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                (Node { value: Value::Scalar(scalar), tag: tag_name(tag.as_deref()), span: start }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.spend(Cost { nodes: 1, bytes: 0 }, &start)?;
                let (items, end) = self.list(depth)?;
                (Node { value: Value::List(items), tag: tag_name(tag.as_deref()), span: start.start..end }, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.spend(Cost { nodes: 1, bytes: 0 }, &start)?;
                let (entries, end) = self.map(depth)?;
                (Node { value: Value::Map(entries), tag: tag_name(tag.as_deref()), span: start.start..end }, anchor)
            }
            _ => return Err(Stop(Some((start, "not a value".into())))),
        };
        if anchor != 0 {
            let cost = Cost { nodes: self.cost.nodes - before.nodes, bytes: self.cost.bytes - before.bytes };
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Range<usize>) -> Result<Node, Stop> {
        let Some((node, cost)) = self.anchors.get(&id).cloned() else {
            return Err(Stop(Some((span.clone(), "an alias of itself".into()))));
        };
        self.spend(cost, span)?;
        Ok(node)
    }

    fn spend(&mut self, cost: Cost, span: &Range<usize>) -> Result<(), Stop> {
        self.cost.nodes += cost.nodes;
        self.cost.bytes += cost.bytes;
        if self.cost.nodes > self.limits.nodes || self.cost.bytes > self.limits.expanded_bytes {
            return Err(Stop(Some((span.clone(), "the file grows too large when its aliases are expanded".into()))));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((items, self.offsets.range(span).end));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Vec<(Key, Node)>, usize), Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                merge(&mut entries, merged, self.faults);
                return Ok((entries, self.offsets.range(span).end));
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar(Scalar { text, plain }) = key.value else {
                return Err(Stop(Some((key.span, "a key must be a single word, not a list or a mapping".into()))));
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if plain && text == "<<" {
                merged.push(node);
            } else if entries.iter().any(|(known, _)| known.text == text) {
                self.faults.error(&key.span, format!("`{text}` is there twice"));
            } else {
                entries.push((Key { text, span: key.span }, node));
            }
        }
    }
}

/// Adds the keys of merged mappings that the mapping does not have itself; earlier ones win.
fn merge(entries: &mut Vec<(Key, Node)>, merged: Vec<Node>, faults: &mut Faults) {
    for node in merged {
        let maps = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                faults.error(&map.span, "`<<` merges mappings only");
                continue;
            };
            for (key, value) in more {
                if !entries.iter().any(|(known, _)| known.text == key.text) {
                    entries.push((key, value));
                }
            }
        }
    }
}

fn tag_name(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.suffix.clone())
}

/// The parser's sentence, in words of someone who does not know YAML's grammar where we can.
fn explain(info: &str, text: &str, at: usize) -> String {
    let line_start = text[..text.floor_char_boundary(at)].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        return "a tab indents this line: YAML wants spaces".into();
    }
    format!("not valid YAML: {info}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;

    fn read(text: &str) -> Result<Node, Vec<String>> {
        let mut faults = Faults::new(&Source::new("f.yml", text));
        let node = parse(Limits::CONFIG, &mut faults);
        faults.finish(node).map(|(node, _)| node).map_err(|all| all.iter().map(crate::fault::Fault::line).collect())
    }

    #[test]
    fn scalars_keep_their_text_and_their_place() {
        let node = read("é: 1.10\nmode: 0440\nq: '22:22'\n").unwrap();
        assert_eq!(node.get("é").unwrap().as_str(), Some("1.10"));
        assert_eq!(node.get("mode").unwrap().as_str(), Some("0440"));
        assert_eq!(node.get("mode").unwrap().span, 15..19);
    }

    #[test]
    fn duplicate_keys_are_all_reported() {
        let faults = read("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n").unwrap_err();
        assert_eq!(faults, ["f.yml:2:1: `a` is there twice", "f.yml:5:3: `c` is there twice"]);
    }

    #[test]
    fn merge_keys_fill_what_is_absent() {
        let node = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  x: 3\n").unwrap();
        let used = node.get("use").unwrap();
        assert_eq!(used.get("x").unwrap().as_str(), Some("3"));
        assert_eq!(used.get("y").unwrap().as_str(), Some("2"));
    }

    #[test]
    fn a_tab_is_named() {
        assert_eq!(read("a:\n\tb: 1\n").unwrap_err(), ["f.yml:2:2: a tab indents this line: YAML wants spaces"]);
    }

    #[test]
    fn bombs_are_refused_before_they_grow() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..10 {
            let list = vec![format!("*a{}", n - 1); 10].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        let fault = read(&bomb).unwrap_err().remove(0);
        assert!(fault.contains("too large when its aliases are expanded"), "{fault}");
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err());
        let nested = "[".repeat(40) + &"]".repeat(40);
        assert!(read(&nested).unwrap_err()[0].contains("nested more than"));
        let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 40_000].join(","));
        assert!(read(&wide).unwrap_err()[0].contains("too large"));
    }

    #[test]
    fn empty_is_null_and_binary_is_refused() {
        assert!(read("").unwrap().is_null());
        assert!(read("a\0b").unwrap_err()[0].contains("binary"));
    }
}
