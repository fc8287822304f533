//! What one load carries along: the files it has read, the faults it has found, the variables it may use.
//!
//! A resolved service can hold nodes of several files (`extends`, `include`), but a node's span says no file. So every
//! file gets a stretch of one common number line: its nodes are moved there when it is read, and faults are moved back
//! into their file at the end.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Input;
use super::interpolate::{InterpolationError, expand};
use crate::fault::{Fault, Faults, Source};
use crate::yaml::{Limits, Node, Scalar, Value, parse};

/// How many files one project may name.
const MAX_FILES: usize = 100;

/// A file on the number line.
struct Placed {
    base: usize,
    /// Where it was read; None for the main file, whose text was handed in.
    path: Option<PathBuf>,
    source: Arc<Source>,
}

/// The state of one load.
pub(super) struct Work<'a> {
    /// What was asked for.
    pub input: &'a Input<'a>,
    /// Everything found so far, on the common number line.
    pub faults: Faults,
    /// Values for interpolation, the project's name among them.
    pub variables: BTreeMap<String, String>,
    files: Vec<Placed>,
    /// Scalars that could not be interpolated: start, end, reason. What else is wrong with them follows from that.
    failed: BTreeMap<usize, (usize, String)>,
    nodes: usize,
    bytes: usize,
}

impl<'a> Work<'a> {
    /// Starts with the main file.
    pub fn new(input: &'a Input<'a>) -> Self {
        let files = vec![Placed { base: 0, path: None, source: Arc::clone(&input.source) }];
        Self {
            input,
            faults: Faults::new(&input.source),
            variables: input.variables.clone(),
            files,
            failed: BTreeMap::new(),
            nodes: 0,
            bytes: 0,
        }
    }

    /// Reads a file that the text names at `span`, once; gives its index.
    pub fn open(&mut self, path: &Path, span: &Range<usize>) -> Option<usize> {
        let shown = self.shown(path);
        if let Some(known) = self.files.iter().position(|file| file.path.as_deref() == Some(path)) {
            return Some(known);
        }
        if self.files.len() >= MAX_FILES {
            self.faults.error(span, format!("more than {MAX_FILES} files are named; {shown} was not read"));
            return None;
        }
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(reason) => {
                self.faults.error(span, format!("cannot read {shown}: {reason}"));
                return None;
            }
        };
        let last = self.files.last().map_or(0, |file| file.base + file.source.text.len() + 1);
        self.files.push(Placed { base: last, path: Some(path.to_path_buf()), source: Source::new(shown, text) });
        Some(self.files.len() - 1)
    }

    /// The text of a file.
    pub fn text(&self, file: usize) -> Arc<Source> {
        Arc::clone(&self.files[file].source)
    }

    /// The place of a line, counted from 1, on the number line.
    pub fn line_span(&self, file: usize, line: usize) -> Range<usize> {
        let Placed { base, source, .. } = &self.files[file];
        let mut start = 0;
        for text in source.text.split_inclusive('\n').take(line.saturating_sub(1)) {
            start += text.len();
        }
        let length = source.text[start..].find('\n').unwrap_or(source.text.len() - start);
        base + start..base + start + length
    }

    /// Parses a file into nodes on the number line; what is wrong with it is recorded.
    pub fn parse(&mut self, file: usize) -> Option<Node> {
        let Placed { base, source, .. } = &self.files[file];
        let base = *base;
        let mut own = Faults::new(source);
        let node = parse(Limits::COMPOSE, &mut own);
        for fault in own.errors {
            self.faults.error(&(fault.span.start + base..fault.span.end + base), fault.message);
        }
        let mut node = node?;
        shift(&mut node, base);
        Some(node)
    }

    /// Counts nodes that `extends` copied; false when there are too many.
    pub fn spend(&mut self, node: &Node) -> bool {
        let before = self.nodes;
        self.nodes += count(node);
        if self.nodes > Limits::COMPOSE.nodes && before <= Limits::COMPOSE.nodes {
            self.faults.error(&node.span, "the file grows too large when `extends` is resolved");
        }
        self.nodes <= Limits::COMPOSE.nodes
    }

    /// Fills in the variables of every value, never of a key.
    pub fn interpolate(&mut self, node: &mut Node, variables: &BTreeMap<String, String>) {
        match &mut node.value {
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                let text = self.substitute(&scalar.text, &node.span, variables);
                // An interpolated value is text: `${EMPTY}` is not null.
                *scalar = Scalar { text, plain: false };
            }
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.interpolate(item, variables)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.interpolate(value, variables)),
        }
    }

    /// Fills in the variables of one text; where that fails the text stays, and the reason is recorded.
    fn substitute(&mut self, text: &str, span: &Range<usize>, variables: &BTreeMap<String, String>) -> String {
        match expand(text, &|name| variables.get(name).cloned()) {
            Ok(expansion) => {
                for name in expansion.missing {
                    let at = self.use_of(&name, span);
                    self.missing(&at, &name);
                }
                self.bytes += expansion.text.len();
                if self.bytes > Limits::COMPOSE.expanded_bytes {
                    self.bytes = 0;
                    self.faults.error(span, "the file grows too large when its variables are filled in");
                    return String::new();
                }
                expansion.text
            }
            Err(error) => {
                let at = match &error {
                    InterpolationError::Required { name, .. } => self.use_of(name, span),
                    _ => span.clone(),
                };
                self.faults.error(&at, error.to_string());
                self.failed.insert(span.start, (span.end, error.to_string()));
                text.to_owned()
            }
        }
    }

    /// Warns of a variable that nobody set.
    pub fn missing(&mut self, span: &Range<usize>, name: &str) {
        let help = format!("give it a value, or write a default: ${{{name}:-…}}");
        self.faults.warning(span, format!("the variable `{name}` is not set; it stands for nothing"), help);
    }

    /// Where within a scalar a variable is used.
    fn use_of(&self, name: &str, span: &Range<usize>) -> Range<usize> {
        let Placed { base, source, .. } = self.holder(span.start);
        let text = &source.text;
        let start = text.floor_char_boundary((span.start - base).min(text.len()));
        let end = text.floor_char_boundary((span.end - base).min(text.len())).max(start);
        for form in [format!("${{{name}"), format!("${name}")] {
            if let Some(at) = text[start..end].find(&form) {
                let from = base + start + at;
                return from..from + form.len();
            }
        }
        span.clone()
    }

    fn holder(&self, at: usize) -> &Placed {
        let after = self.files.partition_point(|file| file.base <= at);
        &self.files[after.saturating_sub(1)]
    }

    /// A path as messages show it: beside the main file where it is.
    fn shown(&self, path: &Path) -> String {
        let beside = Path::new(&self.input.source.path).parent().unwrap_or(Path::new(""));
        let shown = path.strip_prefix(self.input.folder).map_or_else(|_| path.to_path_buf(), |inner| beside.join(inner));
        if shown.as_os_str().is_empty() { ".".into() } else { shown.display().to_string() }
    }

    /// Gives the value and the warnings, or every fault in its own file, in the order of the files.
    pub fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Fault>), Vec<Fault>> {
        let (files, failed) = (self.files, self.failed);
        let follows = |fault: &Fault| {
            let before = failed.range(..=fault.span.start).next_back();
            before.is_some_and(|(_, (end, reason))| fault.span.start < *end && *reason != fault.message)
        };
        let back = |all: Vec<Fault>| {
            let mut all = all;
            all.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
            // An alias or an `extends` reads one place more than once.
            all.dedup();
            all.into_iter().map(|fault| place(&files, fault)).collect::<Vec<_>>()
        };
        match self.faults.finish(value) {
            Ok((value, warnings)) => Ok((value, back(warnings))),
            Err(mut errors) => {
                errors.retain(|fault| !follows(fault));
                Err(back(errors))
            }
        }
    }
}

fn place(files: &[Placed], fault: Fault) -> Fault {
    let after = files.partition_point(|file| file.base <= fault.span.start);
    let Placed { base, source, .. } = &files[after.saturating_sub(1)];
    let span = fault.span.start - base..fault.span.end.saturating_sub(*base);
    Fault { source: Arc::clone(source), span, ..fault }
}

fn shift(node: &mut Node, base: usize) {
    node.span = node.span.start + base..node.span.end + base;
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, base)),
        Value::Map(entries) => {
            for (key, value) in entries {
                key.span = key.span.start + base..key.span.end + base;
                shift(value, base);
            }
        }
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| count(value)).sum::<usize>(),
    }
}

/// Reads a text file that is no larger than a Compose file may be.
fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let limit = Limits::COMPOSE.bytes;
    // A device or a pipe would never end; only what is a file is opened.
    let about = std::fs::metadata(path).map_err(|error| plain(&error))?;
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| plain(&error))?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| plain(&error))?;
    if bytes.len() > limit {
        return Err(format!("it has more than {limit} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".into())
}

/// The same words on every system, since faults are compared in tests.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// Joins without asking the file system: `/a` and `../b/./c` give `/b/c`. An absolute path stays as it was written, as
/// in Compose: behind a symbolic link `..` is not what the text says.
pub(super) fn absolute(folder: &Path, path: &str) -> PathBuf {
    if path.starts_with('/') { PathBuf::from(path) } else { clean(&folder.join(path)) }
}

/// Resolves `.` and `..` in the text.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
