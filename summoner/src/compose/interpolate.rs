//! Variables in text: `$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+a} ${V+a}`, nested, and `$$` for a dollar sign.
//! A dollar sign that begins none of these stands for itself.
//!
//! The rules are Compose's (compose-spec, 12-interpolation.md). minion.yml uses the same engine. Knows no files: where
//! values come from is the caller's matter.

/// How deep defaults may nest.
const MAX_NESTING: usize = 16;
/// How long one text may grow: a short text can name a long value many times.
const MAX_RESULT_BYTES: usize = 1 << 20;

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// Braces that hold no variable.
    #[error("`{0}` names no variable: write `${{NAME}}`, or `$$` for a dollar sign")]
    Invalid(String),
    /// A brace without its partner.
    #[error("`{0}` is not closed: a `}}` is missing")]
    Unclosed(String),
    /// `${V:?message}` without a value.
    #[error("the variable `{name}` is required: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
    /// Too many defaults within defaults.
    #[error("variables are nested more than {MAX_NESTING} levels deep")]
    TooDeep,
    /// The values are too long.
    #[error("the text grows to more than {MAX_RESULT_BYTES} bytes")]
    TooLarge,
}

/// A text with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The result.
    pub text: String,
    /// Variables that were used without a default and have no value; each stands for nothing.
    pub missing: Vec<String>,
}

/// Fills in the variables of a text; one that is missing stands for nothing.
///
/// # Errors
/// When the text is malformed, a required variable is missing, or the result would not fit its bounds.
pub fn interpolate(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<String, InterpolationError> {
    expand(text, variables).map(|expansion| expansion.text)
}

/// Fills in the variables of a text and tells which were missing.
///
/// # Errors
/// As [`interpolate`].
pub fn expand(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Expansion, InterpolationError> {
    let mut engine = Engine { variables, missing: Vec::new(), written: 0 };
    let text = engine.run(text, 0)?;
    Ok(Expansion { text, missing: engine.missing })
}

/// A text that interpolates to exactly this text.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

struct Engine<'v> {
    variables: &'v dyn Fn(&str) -> Option<String>,
    missing: Vec<String>,
    written: usize,
}

impl Engine<'_> {
    fn run(&mut self, text: &str, depth: usize) -> Result<String, InterpolationError> {
        if depth > MAX_NESTING {
            return Err(InterpolationError::TooDeep);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            self.push(&mut out, &rest[..at])?;
            let from = &rest[at..];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                self.push(&mut out, "$")?;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let close = closing(after).ok_or_else(|| InterpolationError::Unclosed(shown(from)))?;
                let value = self.braced(&after[..close], depth)?;
                self.push(&mut out, &value)?;
                rest = &after[close + 1..];
            } else {
                let length = name_length(rest);
                let value = if length == 0 { "$".to_owned() } else { self.plain(&rest[..length]) };
                self.push(&mut out, &value)?;
                rest = &rest[length..];
            }
        }
        self.push(&mut out, rest)?;
        Ok(out)
    }

    /// What stands between the braces of `${…}`.
    fn braced(&mut self, body: &str, depth: usize) -> Result<String, InterpolationError> {
        let (name, operator) = body.split_at(name_length(body));
        if name.is_empty() {
            return Err(InterpolationError::Invalid(format!("${{{}}}", shown(body))));
        }
        if operator.is_empty() {
            return Ok(self.plain(name));
        }
        let (empty_is_unset, operator) = operator.strip_prefix(':').map_or((false, operator), |after| (true, after));
        let value = (self.variables)(name).filter(|value| !(empty_is_unset && value.is_empty()));
        let mut operator = operator.chars();
        let kind = operator.next();
        let word = operator.as_str();
        match (kind, value) {
            (Some('-'), None) | (Some('+'), Some(_)) => self.run(word, depth + 1),
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => {
                let message = self.run(word, depth + 1)?;
                let message = if message.is_empty() { "it has no value".to_owned() } else { message };
                Err(InterpolationError::Required { name: name.to_owned(), message })
            }
            _ => Err(InterpolationError::Invalid(format!("${{{}}}", shown(body)))),
        }
    }

    fn plain(&mut self, name: &str) -> String {
        (self.variables)(name).unwrap_or_else(|| {
            if !self.missing.iter().any(|known| known == name) {
                self.missing.push(name.to_owned());
            }
            String::new()
        })
    }

    fn push(&mut self, out: &mut String, part: &str) -> Result<(), InterpolationError> {
        self.written += part.len();
        if self.written > MAX_RESULT_BYTES {
            return Err(InterpolationError::TooLarge);
        }
        out.push_str(part);
        Ok(())
    }
}

/// Length of the variable's name at the start of a text.
fn name_length(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    if !starts {
        return 0;
    }
    text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len())
}

/// Where the brace that is already open closes. As in Compose every brace within counts, so that JSON can be a default;
/// where they do not balance it is the last one of the line.
fn closing(text: &str) -> Option<usize> {
    // A text of many braces that never balance would be read over and over.
    const SEARCHED: usize = 16 << 10;
    let mut open = 1_usize;
    for (at, byte) in text.bytes().enumerate().take(SEARCHED) {
        match byte {
            b'{' => open += 1,
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    let searched = &text[..text.floor_char_boundary(SEARCHED)];
    searched.lines().next().and_then(|line| line.rfind('}'))
}

fn shown(text: &str) -> String {
    const SHOWN: usize = 30;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN { line.to_owned() } else { format!("{}…", line.chars().take(SHOWN).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "V" => Some("value".into()),
            "EMPTY" => Some(String::new()),
            "_x1" => Some("under".into()),
            _ => None,
        }
    }

    fn fill(text: &str) -> Result<String, InterpolationError> {
        interpolate(text, &variables)
    }

    #[test]
    fn every_form_gives_what_compose_gives() {
        for (text, wanted) in [
            ("$V ${V} $_x1!", "value value under!"),
            ("${V:-d} ${EMPTY:-d} ${NO:-d}", "value d d"),
            ("${V-d}|${EMPTY-d}|${NO-d}", "value||d"),
            ("${V:+a}|${EMPTY:+a}|${NO:+a}", "a||"),
            ("${V+a}|${EMPTY+a}|${NO+a}", "a|a|"),
            ("${V:?e} ${EMPTY?e}", "value "),
            ("${NO:-${ALSO:-${V}}}", "value"),
            ("${V:+[${V}]}", "[value]"),
            ("$$V $${V} $$$V", "$V ${V} $value"),
            ("${NO:-{}}|${V:-{}}", "{}|value"),
            ("${NO:-{\"a\":{\"b\":\"${V}\"}}}", "{\"a\":{\"b\":\"value\"}}"),
            ("${NO:-{}", "{"),
            ("${NO:-{${V}}x", "{valuex"),
            ("${NO:-a$$b}", "a$b"),
            ("${NO:-$${x}}", "${x}"),
            ("${NO:-a:-b}", "a:-b"),
            ("${NO:-}", ""),
            ("${NO:-http://h:80/?a=b}", "http://h:80/?a=b"),
            ("é${NO:-ü}é", "éüé"),
            ("costs $5, or 5$", "costs $5, or 5$"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_value_is_not_interpolated_again() {
        assert_eq!(interpolate("$A", &|_| Some("$B ${C}".into())).unwrap(), "$B ${C}");
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (text, wanted) in [
            ("${V", "`${V` is not closed: a `}` is missing"),
            ("${}", "`${}` names no variable: write `${NAME}`, or `$$` for a dollar sign"),
            ("${V!x}", "`${V!x}` names no variable: write `${NAME}`, or `$$` for a dollar sign"),
            ("${NO:?set it in .env}", "the variable `NO` is required: set it in .env"),
            ("${EMPTY:?}", "the variable `EMPTY` is required: it has no value"),
        ] {
            assert_eq!(fill(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn missing_variables_are_told_once_each() {
        assert_eq!(expand("$A ${B} $A ${C:-d}", &variables).unwrap().missing, ["A", "B"]);
    }

    #[test]
    fn nesting_and_growth_are_bounded() {
        let deep = "${A:-".repeat(40) + &"}".repeat(40);
        assert_eq!(fill(&deep), Err(InterpolationError::TooDeep));
        let long = "x".repeat(MAX_RESULT_BYTES / 2);
        assert_eq!(interpolate("$A$A$A", &|_| Some(long.clone())), Err(InterpolationError::TooLarge));
    }

    proptest! {
        #[test]
        fn escaping_round_trips(text in ".*") {
            prop_assert_eq!(fill(&escape(&text)), Ok(text));
        }

        #[test]
        fn arbitrary_text_never_panics(text in r"([${}:?+\-VNO_ é]|.){0,60}") {
            let _ = fill(&text);
        }

        #[test]
        fn a_default_is_used_exactly_when_there_is_no_value(default in "[a-z0-9 /:.]*") {
            prop_assert_eq!(fill(&format!("${{NO:-{default}}}")), Ok(default.clone()));
            prop_assert_eq!(fill(&format!("${{V:-{default}}}")), Ok("value".to_owned()));
        }
    }
}
