//! What is wrong in a file that a person wrote: where, why, and what would be right.
//!
//! Readers of config.yml, minion.yml and Compose files collect faults instead of stopping at the first, so that a
//! person mends a file once. This module knows nothing of any schema and never reads a file.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A file's name and its text, shared by everything that points into it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would write it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Wraps a text under the name that messages will show.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// Line and column of a byte offset, both counted from 1, columns in characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// One thing that is wrong, with the place it is wrong at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub source: Arc<Source>,
    /// The bytes of the file that the message speaks of.
    pub span: Range<usize>,
    /// Lower case, no full stop, names the thing: "unknown key `prot` in apps.ghost".
    pub message: String,
    /// What would be right: the allowed values, "did you mean …", the next command.
    pub help: Option<String>,
}

impl Fault {
    /// "config.yml:5:3: message", the one-line form for JSON and logs.
    #[must_use]
    pub fn line(&self) -> String {
        let (line, column) = self.source.position(self.span.start);
        format!("{}:{line}:{column}: {}", self.source.path, self.message)
    }

    fn render(&self, level: Level<'static>) -> String {
        let text = hide(&self.source.text);
        let text = text.as_ref();
        let end = text.ceil_char_boundary(self.span.end.min(text.len()));
        let start = text.floor_char_boundary(self.span.start.min(end));
        // One line is marked even where the node runs over many: the first says where to look.
        let end = text[start..end].find('\n').map_or(end, |at| start + at);
        let snippet = Snippet::source(text).path(&self.source.path).annotation(AnnotationKind::Primary.span(start..end));
        let mut group = level.primary_title(&self.message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        // Colour is the caller's matter: the plain form is what pipes and tests see.
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(Level::ERROR))
    }
}

/// The faults and warnings found in one file.
#[derive(Debug)]
pub struct Faults {
    source: Arc<Source>,
    /// What makes the file unusable.
    pub errors: Vec<Fault>,
    /// What the person should know although the file is used.
    pub warnings: Vec<Fault>,
}

impl Faults {
    /// Starts with nothing found.
    #[must_use]
    pub fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), errors: Vec::new(), warnings: Vec::new() }
    }

    /// The file being read.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Records an error.
    pub fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        let fault = self.fault(span, &message.into(), None);
        self.errors.push(fault);
    }

    /// Records an error and what would be right.
    pub fn error_with_help(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let fault = self.fault(span, &message.into(), Some(help.into()));
        self.errors.push(fault);
    }

    /// Records a warning and what to do about it.
    pub fn warning(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let fault = self.fault(span, &message.into(), Some(help.into()));
        self.warnings.push(fault);
    }

    /// Gives the value when nothing is wrong, else everything that is, in the order of the file.
    ///
    /// # Errors
    /// All errors, sorted by place.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<(T, Vec<Fault>), Vec<Fault>> {
        self.errors.sort_by_key(|fault| fault.span.start);
        match value {
            Some(value) if self.errors.is_empty() => Ok((value, self.warnings)),
            _ if self.errors.is_empty() => {
                self.error(&(0..0), "the file holds nothing that could be read");
                Err(self.errors)
            }
            _ => Err(self.errors),
        }
    }

    fn fault(&self, span: &Range<usize>, message: &str, help: Option<String>) -> Fault {
        let message = hide(message).into_owned();
        Fault { source: Arc::clone(&self.source), span: span.clone(), message, help }
    }
}

/// Covers private keys of age, letter by letter: what somebody pasted at the wrong place reaches no terminal and no log.
fn hide(text: &str) -> Cow<'_, str> {
    const PRIVATE: &str = "age-secret-key-";
    // ASCII alone changes: every place stays what it was.
    let lower = text.to_ascii_lowercase();
    if !lower.contains(PRIVATE) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find(PRIVATE) {
        let begin = from + at + PRIVATE.len();
        let end = begin + lower[begin..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        out.push_str(&text[from..begin]);
        out.push_str(&"*".repeat(end - begin));
        from = end;
    }
    out.push_str(&text[from..]);
    out.into()
}

/// Renders a warning as a person sees it on a terminal.
#[must_use]
pub fn warning_text(fault: &Fault) -> String {
    fault.render(Level::WARNING)
}

/// "did you mean `port`?" when one of the allowed words is near enough to be meant.
#[must_use]
pub fn did_you_mean<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const NEAR: f64 = 0.75;
    allowed
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&found.to_lowercase(), word), word))
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| format!("did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_the_line_and_what_would_be_right() {
        let source = Source::new("config.yml", "apps:\n  ghost:\n    prot: 80\n");
        let mut faults = Faults::new(&source);
        faults.error_with_help(&(19..23), "unknown key `prot` in apps.ghost", "did you mean `port`?");
        insta::assert_snapshot!(faults.errors[0], @r"
        error: unknown key `prot` in apps.ghost
         --> config.yml:3:5
          |
        3 |     prot: 80
          |     ^^^^
          |
          = help: did you mean `port`?
        ");
        assert_eq!(faults.errors[0].line(), "config.yml:3:5: unknown key `prot` in apps.ghost");
    }

    #[test]
    fn a_private_key_is_covered_wherever_it_stands() {
        let key = format!("AGE-SECRET-KEY-1{}", "QPZRY9X8".repeat(7));
        let source = Source::new("config.yml", format!("email: {key}\nx: é{}\n", key.to_lowercase()));
        let mut faults = Faults::new(&source);
        faults.error(&(7..10), format!("`{key}` is no e-mail address"));
        let text = format!("{}\n{}", faults.errors[0], faults.errors[0].line());
        assert!(!text.contains("QPZ") && text.contains("email: AGE-SECRET-KEY-*********"), "{text}");
        assert_eq!(hide(&source.text).len(), source.text.len());
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(did_you_mean("ghsot", ["nextcloud", "ghost"]).as_deref(), Some("did you mean `ghost`?"));
        assert_eq!(did_you_mean("zebra", ["nextcloud", "ghost"]), None);
    }
}
