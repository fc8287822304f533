//! Which regular expressions of strangers may stand in nginx's configuration, for names and paths.
//!
//! nginx takes the expression of `server_name ~…` and `location ~…` as it is: `$` is an anchor there and no variable. So an
//! expression may hold `$`, but it must never reach another directive (a realm, a header, a name of an upstream).
//! What could do harm even there is refused:
//! - **named groups**: nginx makes a variable of each, and one that bears the name of a `map` of ours would replace it
//!   (`(?<proxy_x_forwarded_proto>…)`); nobody can use them but the proxy's owner, who can write a file instead;
//! - **verbs and callouts** (`(*LIMIT_MATCH=…)`, `(?C…)`): they change how everything is matched;
//! - characters that no host name and no path needs, blanks and quotes among them.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::words::{Read, shown};

/// Longest expression.
const MAX: usize = 512;
/// How large the compiled form may be; more is a repetition of repetitions.
const COMPILED: usize = 1 << 20;

/// A group that is neither plain, nor without capture, nor a look around, nor `(?i)`.
static GROUP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\(\*|\(\?(?:[^:=!<i]|<[^=!]|i[^:)]|$|<$|i$)").ok());
/// Expressions that PCRE knows and our check does not: looks around, references back, possessive and atomic ones.
static BEYOND: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\(\?[=!<]|\\[1-9]|[*+?}]\+").ok());

/// True when nginx can be given the expression.
#[must_use]
pub fn fits(expression: &str) -> bool {
    check(expression).is_ok()
}

/// Why it cannot be.
pub(super) fn check(expression: &str) -> Read<()> {
    if expression.is_empty() || expression.len() > MAX {
        return Err(format!("an expression has 1 to {MAX} characters"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"^$.*+?()[]{}|\\-_:=!<>,/~%@&".contains(&b);
    if !expression.bytes().all(plain) {
        return Err("an expression may hold letters, digits and ^$.*+?()[]{}|\\-_:=!<>,/~%@& only".into());
    }
    // A backslash at the end would take the quotation mark behind it.
    if (expression.len() - expression.trim_end_matches('\\').len()) & 1 == 1 {
        return Err("an expression cannot end with a backslash".into());
    }
    let found = |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_none_or(|pattern| pattern.is_match(expression));
    if found(&GROUP) {
        return Err("an expression may have no named groups and no verbs: nginx would make variables of them".into());
    }
    if found(&BEYOND) {
        return Ok(());
    }
    let compiled = RegexBuilder::new(expression).size_limit(COMPILED).dfa_size_limit(COMPILED).build();
    compiled.map(|_| ()).map_err(|_| format!("{} is not a regular expression that can be used", shown(expression)))
}
