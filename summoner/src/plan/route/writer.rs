//! Writes nginx's configuration language. A parameter is ours (written in this program) or data (checked and quoted);
//! there is no third way to put text into a file, so no value can become a directive.
//!
//! Source: `ngx_conf_read_token` (nginx, `src/core/ngx_conf_file.c`).

use std::fmt::Write;

/// Longest value; nginx reads a parameter of at most 4,096 bytes.
const MAX_VALUE: usize = 1024;

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A character that nginx would read in its own way, or that no header and no path may hold.
    #[error("{what} holds {character:?}, which cannot be written into nginx's configuration")]
    Character {
        /// What the value is.
        what: &'static str,
        /// The first such character.
        character: char,
    },
    /// Too long.
    #[error("{what} is longer than {MAX_VALUE} bytes")]
    Long {
        /// What the value is.
        what: &'static str,
    },
    /// Not what it should be.
    #[error("{what} {reason}")]
    Form {
        /// What the value is.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// One parameter of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param(String);

/// Longest JSON: quoted it must stay below nginx's 4,096 bytes.
const MAX_JSON: usize = 3800;

impl Param {
    /// Text of this program; may hold nginx variables.
    pub fn ours(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// A number.
    pub fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// A value from outside: printable ASCII without `$`, for which nginx has no escape.
    pub fn data(what: &'static str, value: &str) -> Result<Self, Unsafe> {
        if value.len() > MAX_VALUE {
            return Err(Unsafe::Long { what });
        }
        match value.chars().find(|c| *c == '$' || !(' '..='~').contains(c)) {
            Some(character) => Err(Unsafe::Character { what, character }),
            None => Ok(Self(value.to_owned())),
        }
    }

    /// A regular expression of a name or a path: `$` is its end, and nginx looks for no variable in `server_name` and
    /// `location`. It must not go anywhere else.
    pub fn regex(what: &'static str, value: &str) -> Result<Self, Unsafe> {
        if value.len() > MAX_VALUE {
            return Err(Unsafe::Long { what });
        }
        let harmless = |rest: &str| [":", "=", "!", "<=", "<!", "i)", "i:"].iter().any(|group| rest.starts_with(group));
        if value.contains("(*") || value.split("(?").skip(1).any(|rest| !harmless(rest)) {
            return Err(Unsafe::Form { what, reason: "has a named group or a verb, which nginx would make something of" });
        }
        match value.chars().find(|c| !('!'..='~').contains(c) || *c == '"' || *c == '\'') {
            Some(character) => Err(Unsafe::Character { what, character }),
            None => Ok(Self(value.to_owned())),
        }
    }

    /// What the proxy's owner says with nginx's own variables: a line of the log, a key to spread requests by. Its form
    /// must have been checked.
    pub fn variables(what: &'static str, value: &str) -> Result<Self, Unsafe> {
        if value.len() > MAX_VALUE {
            return Err(Unsafe::Long { what });
        }
        match value.chars().find(|c| !(' '..='~').contains(c)) {
            Some(character) => Err(Unsafe::Character { what, character }),
            None => Ok(Self(value.to_owned())),
        }
    }

    /// A JSON text; what nginx would read in its own way is written as JSON's own `\uXXXX`.
    pub fn json(what: &'static str, value: &str) -> Result<Self, Unsafe> {
        let mut text = String::with_capacity(value.len());
        let mut units = [0; 2];
        for c in value.chars() {
            if (' '..='~').contains(&c) && c != '$' && c != '\'' {
                text.push(c);
            } else if !c.is_control() || c == '\u{7f}' {
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
        if text.len() > MAX_JSON { Err(Unsafe::Long { what }) } else { Ok(Self(text)) }
    }

    /// Two parts of one parameter.
    pub fn then(mut self, part: &Self) -> Self {
        self.0.push_str(&part.0);
        self
    }

    fn quoted(&self) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:/$=@^~*,+".contains(&b);
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            return self.0.clone();
        }
        // Single ones keep JSON short: nginx reads a parameter with its backslashes into 4,096 bytes.
        let quote = if self.0.starts_with('{') && !self.0.contains('\'') { '\'' } else { '"' };
        let mut text = String::with_capacity(self.0.len() + 2);
        text.push(quote);
        for c in self.0.chars() {
            if c == quote || c == '\\' {
                text.push('\\');
            }
            text.push(c);
        }
        text.push(quote);
        text
    }
}

/// A file being written.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    depth: usize,
}

impl Text {
    /// A part of a file that will stand inside this many blocks.
    pub fn at_depth(depth: usize) -> Self {
        Self { out: String::new(), depth }
    }

    /// A remark in words of this program.
    pub fn remark(&mut self, words: &'static str) {
        self.indent();
        self.out.push_str("# ");
        self.out.push_str(words);
        self.out.push('\n');
    }

    /// A remark with a value; data holds no line break, so the remark ends with its line.
    pub fn note(&mut self, words: &'static str, value: &Param) {
        self.indent();
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "# {words} {}", value.0);
    }

    /// A directive; its name is ours by type.
    pub fn line(&mut self, name: &'static str, params: &[Param]) {
        self.begin(name, params);
        self.out.push_str(";\n");
    }

    /// A line of a `map` or `geo`: the key stands where a directive's name does.
    pub fn line_of(&mut self, key: &Param, params: &[Param]) {
        self.begin(&key.quoted(), params);
        self.out.push_str(";\n");
    }

    /// A directive whose parameters are all ours, in nginx's own notation.
    pub fn ours(&mut self, directive: &'static str) {
        self.indent();
        self.out.push_str(directive);
        self.out.push_str(";\n");
    }

    /// A block.
    pub fn block(&mut self, name: &'static str, params: &[Param], inside: impl FnOnce(&mut Self)) {
        self.begin(name, params);
        self.out.push_str(" {\n");
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.indent();
        self.out.push_str("}\n");
    }

    /// A block whose content may be refused.
    ///
    /// # Errors
    /// Those of the content.
    pub fn try_block(
        &mut self,
        name: &'static str,
        params: &[Param],
        inside: impl FnOnce(&mut Self) -> Result<(), Unsafe>,
    ) -> Result<(), Unsafe> {
        let mut outcome = Ok(());
        self.block(name, params, |text| outcome = inside(text));
        outcome
    }

    /// Lines that were written before, at the same depth.
    pub fn append(&mut self, text: &Self) {
        self.out.push_str(&text.out);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.out
    }

    fn begin(&mut self, name: &str, params: &[Param]) {
        self.indent();
        self.out.push_str(name);
        for param in params {
            // Writing to a String cannot fail.
            let _ = write!(self.out, " {}", param.quoted());
        }
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.out.push_str("    ");
        }
    }
}
