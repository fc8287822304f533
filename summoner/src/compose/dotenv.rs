//! `.env` files and `env_file`: text in, variables out, by the rules of Compose's own reader.
//!
//! `export` and comments are skipped, single quotes are literal, double quotes know escapes, and values may use
//! earlier values. Reads no files; the caller names the place.

use std::collections::BTreeMap;

use super::interpolate::{InterpolationError, expand};

/// What is wrong in a `.env` file, with its line counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// The line.
    pub line: usize,
    /// Lower case, no full stop.
    pub message: String,
}

/// What a file set, and the variables it used that nobody set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dotenv {
    /// Every variable with its value.
    pub values: BTreeMap<String, String>,
    /// Line and name of each variable that was used without a value.
    pub missing: Vec<(usize, String)>,
}

/// Where a value comes from that is not in the file.
type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads a `.env` file; values may use earlier values of the same file.
///
/// # Errors
/// The first line that is none of the format.
pub fn dotenv(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
    read(text, &|_| None).map(|file| file.values)
}

/// Reads a `.env` file whose values may also use variables from outside; those win over the file's own.
pub(super) fn read(text: &str, outside: &dyn Fn(&str) -> Option<String>) -> Result<Dotenv, DotenvError> {
    read_over(text, outside, &|_| None)
}

/// As [`read`], and the file's own values win over those of `before`.
pub(super) fn read_over(text: &str, outside: &Lookup, before: &Lookup) -> Result<Dotenv, DotenvError> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1, file: Dotenv::default(), outside, before };
    while reader.skip_blank() {
        reader.entry()?;
    }
    Ok(reader.file)
}

/// Reads a file in `format: raw`: `KEY=VALUE` lines, nothing quoted, nothing interpolated; a name alone is taken from
/// outside.
pub(super) fn read_raw(text: &str, outside: &dyn Fn(&str) -> Option<String>) -> Result<Dotenv, DotenvError> {
    let mut file = Dotenv::default();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value.to_owned())));
        check_key(key).map_err(|message| DotenvError { line: at + 1, message })?;
        if let Some(value) = value.or_else(|| outside(key)) {
            file.values.insert(key.to_owned(), value);
        }
    }
    Ok(file)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    file: Dotenv,
    outside: &'a Lookup<'a>,
    before: &'a Lookup<'a>,
}

impl<'a> Reader<'a> {
    fn fail(&self, message: impl Into<String>) -> DotenvError {
        DotenvError { line: self.line, message: message.into() }
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Goes to the next entry; false at the end.
    fn skip_blank(&mut self) -> bool {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn entry(&mut self) -> Result<(), DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.rest = after.trim_start_matches([' ', '\t']);
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let key = self.rest[..end].trim();
        check_key(key).map_err(|message| self.fail(message))?;
        if self.rest[end..].is_empty() || self.rest[end..].starts_with('\n') {
            // A name alone takes its value from outside; without one it sets nothing.
            if let Some(value) = (self.outside)(key) {
                self.file.values.insert(key.to_owned(), value);
            }
            self.advance(end);
            return Ok(());
        }
        self.rest = self.rest[end + 1..].trim_start_matches(|c: char| c.is_whitespace() && c != '\n');
        let value = match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
            _ => self.unquoted()?,
        };
        self.file.values.insert(key.to_owned(), value);
        Ok(())
    }

    fn unquoted(&mut self) -> Result<String, DotenvError> {
        let line = self.rest.lines().next().unwrap_or_default();
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        let value = self.expand(value)?;
        self.advance(line.len());
        Ok(value)
    }

    fn quoted(&mut self, quote: char) -> Result<String, DotenvError> {
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if escaped {
                if c != quote {
                    value.push('\\');
                }
                value.push(c);
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                let value = if quote == '"' { self.expand(&unescape(&value))? } else { value };
                self.advance(at + 1);
                return self.after_quote().map(|()| value);
            } else {
                value.push(c);
            }
        }
        Err(self.fail(format!("the quote {quote} is not closed")))
    }

    /// Compose takes what follows a quote for the next entry; only a comment can be meant.
    fn after_quote(&mut self) -> Result<(), DotenvError> {
        let line = self.rest.lines().next().unwrap_or_default();
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            return Err(self.fail(format!("`{}` stands after the closing quote", line.trim())));
        }
        self.advance(line.len());
        Ok(())
    }

    fn expand(&mut self, text: &str) -> Result<String, DotenvError> {
        let values = &self.file.values;
        let lookup = |name: &str| (self.outside)(name).or_else(|| values.get(name).cloned()).or_else(|| (self.before)(name));
        let expansion = expand(text, &lookup).map_err(|error: InterpolationError| self.fail(error.to_string()))?;
        let line = self.line;
        self.file.missing.extend(expansion.missing.into_iter().map(|name| (line, name)));
        Ok(expansion.text)
    }
}

/// Letters, digits and `_ . - [ ]`, as Compose has it.
fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("a name is missing before the value".to_owned());
    }
    match key.chars().find(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '-' | '[' | ']')) {
        Some(c) => Err(format!("`{c}` cannot be in the name of a variable")),
        None => Ok(()),
    }
}

/// `\n`, `\t`, `\"` … of double quotes. `\$` becomes `$$`: interpolation comes after.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
            continue;
        }
        let (c, used) = match after.chars().next() {
            Some('a') => ('\u{7}', 1),
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('v') => ('\u{b}', 1),
            Some('\\') => ('\\', 1),
            Some('"') => ('"', 1),
            Some('0') => octal(after).unwrap_or(('\\', 0)),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = &after[used..];
    }
    out.push_str(rest);
    out
}

/// `\0101` is the letter A.
fn octal(text: &str) -> Option<(char, usize)> {
    let digits = text.get(1..4)?;
    u8::from_str_radix(digits, 8).ok().map(|byte| (char::from(byte), 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> String {
        dotenv(text).unwrap().remove("A").unwrap()
    }

    #[test]
    fn values_of_every_form() {
        for (text, wanted) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("  A = b c  \n", "b c"),
            ("A: b", "b"),
            ("A=", ""),
            ("A=b # comment", "b"),
            ("A=b#no comment", "b#no comment"),
            ("A='b # $C \\n'", "b # $C \\n"),
            ("A=\"b\\nc\\t\\\"d\\\"\"", "b\nc\t\"d\""),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A='it\\'s'", "it's"),
            ("# a\n\nA=\"b\" # comment\n", "b"),
            ("B=1\nA=${B}2$B ${C:-d}", "121 d"),
            ("A=cost$$ $5 $", "cost$ $5 $"),
            ("A=\"\\$B \\\\ \\q \\0101\"", "$B \\ \\q A"),
            ("A=b\r\nB=c\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("A=https://x/?a=b&c=d", "https://x/?a=b&c=d"),
        ] {
            assert_eq!(one(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_name_alone_is_taken_from_outside() {
        assert!(dotenv("A\n").unwrap().is_empty());
        assert_eq!(read("A\n", &|_| Some("out".into())).unwrap().values["A"], "out");
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        for (text, wanted) in [
            ("A=1\nB C=2", "line 2: ` ` cannot be in the name of a variable"),
            ("A=1\n\nB=\"x", "line 3: the quote \" is not closed"),
            ("=x", "line 1: a name is missing before the value"),
            ("A='x'y", "line 1: `y` stands after the closing quote"),
            ("A=${B:?give it}", "line 1: the variable `B` is required: give it"),
        ] {
            assert_eq!(dotenv(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn raw_files_are_not_interpreted() {
        let file = read_raw("# c\nA=\"$B\" # x\nB='y'\nC\nD\n", &|name| (name == "D").then(|| "out".into())).unwrap();
        assert_eq!(file.values.len(), 3);
        assert_eq!(file.values["A"], "\"$B\" # x");
        assert_eq!(file.values["B"], "'y'");
        assert!(read_raw("A B=1\n", &|_| None).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"([A-C=:'"\\#$\{\} \n]|.){0,80}"#) {
            let _ = dotenv(&text);
            let _ = read_raw(&text, &|_| None);
        }

        #[test]
        fn single_quotes_keep_everything(text in r"[^'\\\r]*") {
            prop_assert_eq!(one(&format!("A='{text}'\n")), text);
        }
    }
}
