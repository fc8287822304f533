//! Paths as `VIRTUAL_PATH` writes them: all that `location` knows, of the characters that paths have.

use super::words::{Read, shown};
use super::{PathMatch, regex};

/// Longest path.
const MAX: usize = 512;

/// Reads `/a`, `= /a`, `^~ /a`, `~ ^/a` and `~* ^/a`.
pub(super) fn parse(text: &str) -> Read<PathMatch> {
    if let Some(rest) = text.strip_prefix("^~") {
        return plain(rest.trim_start(), text).map(PathMatch::PrefixOnly);
    }
    if let Some(rest) = text.strip_prefix('=') {
        return plain(rest.trim_start(), text).map(PathMatch::Exact);
    }
    if let Some(rest) = text.strip_prefix('~') {
        let (any_case, expression) = rest.strip_prefix('*').map_or((false, rest), |rest| (true, rest));
        let expression = expression.trim_start();
        regex::check(expression)?;
        return Ok(PathMatch::Regex { expression: expression.to_owned(), any_case });
    }
    plain(text, text).map(PathMatch::Prefix)
}

/// `VIRTUAL_DEST`: takes the path's place, so it begins as one.
pub(super) fn dest(text: &str) -> Read<String> {
    plain(text, text)
}

/// `VIRTUAL_ROOT`: a folder in the container of the application, absolute.
pub(super) fn root(text: &str) -> Read<String> {
    plain(text, text)
}

/// The characters of RFC 3986 (`pchar` and `/`) but `$`, for which nginx has no escape, `;` and quotation marks, which no path
/// needs. nginx compares decoded paths, so what RFC 3986 forbids could only be written in other ways.
fn plain(text: &str, whole: &str) -> Read<String> {
    if !text.starts_with('/') {
        return Err(format!("{} is not a path: it does not begin with /", shown(whole)));
    }
    if text.len() > MAX {
        return Err(format!("a path has at most {MAX} characters"));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!&()*+,=:@%".contains(&b);
    match text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a path: it holds more than letters, digits and /-._~!&()*+,=:@%", shown(whole))),
    }
}
