//! Host names as `VIRTUAL_HOST` and its relatives write them: exact, with a star, or an expression.
//!
//! Source: nginx `ngx_http_core_server_name`, docs "Server names".

use super::words::{Read, shown};
use super::{HostName, regex};

/// Longest name. The DNS has 253, but a name beyond 238 does not fit into the buckets of 256 bytes of `server_names_hash`,
/// and nginx would then start with no host at all.
const MAX: usize = 230;
/// Most labels; more than a name of single letters ever needs.
const MAX_LABELS: usize = 64;

/// Reads one entry of the list. `.example.org` is two names, as in nginx: the name and all below it.
///
/// # Errors
/// A reason for people when it is no name that nginx can serve.
pub fn parse(text: &str) -> Result<Vec<HostName>, String> {
    if let Some(expression) = text.strip_prefix('~') {
        regex::check(expression)?;
        return Ok(vec![HostName::Regex(expression.to_owned())]);
    }
    if let Some(rest) = text.strip_prefix("*.") {
        return Ok(vec![HostName::Leading(name(rest, text)?)]);
    }
    if let Some(rest) = text.strip_suffix(".*") {
        return Ok(vec![HostName::Trailing(name(rest, text)?)]);
    }
    if let Some(rest) = text.strip_prefix('.') {
        let name = name(rest, text)?;
        return Ok(vec![HostName::Exact(name.clone()), HostName::Leading(name)]);
    }
    Ok(vec![HostName::Exact(name(text, text)?)])
}

/// A name without stars: lower case, punycode, underscores allowed as Docker's own names have them.
fn name(text: &str, whole: &str) -> Read<String> {
    let fail = |reason: &str| Err(format!("{} is not a host name: {reason}", shown(whole)));
    if text.len() > 4 * MAX {
        return fail("it is too long");
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let lower = match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => match idna::domain_to_ascii(text) {
            Ok(name) => name,
            Err(_) => return fail("it holds a character that no name can hold"),
        },
    };
    if lower.is_empty() || lower.len() > MAX || lower.split('.').count() > MAX_LABELS {
        return fail("it has to have 1 to 230 characters");
    }
    if lower == "_" {
        return fail("a name for every request is DEFAULT_HOST");
    }
    for label in lower.split('.') {
        if label.is_empty() || label.len() > 63 {
            return fail("each part between the dots has 1 to 63 characters");
        }
        if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
            return fail("only letters, digits, hyphens and dots make a name, and a star at one end");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return fail("no part may begin or end with a hyphen");
        }
    }
    Ok(lower)
}

/// A name for a certificate: exact, or with one star in front.
pub(super) fn for_certificate(text: &str) -> Read<String> {
    match parse(text)?.as_slice() {
        // Docker's names have underscores, those of the DNS' hosts have none, and authorities sign no others.
        [HostName::Exact(name) | HostName::Leading(name)] if name.contains('_') => {
            Err(format!("{} is not a name that an authority could sign", shown(text)))
        }
        [HostName::Exact(name)] if name.parse::<std::net::IpAddr>().is_ok() => Ok(name.clone()),
        [HostName::Exact(name)] if name.contains('.') => Ok(name.clone()),
        [HostName::Leading(rest)] if rest.contains('.') => Ok(format!("*.{rest}")),
        _ => Err(format!("{} is not a name that an authority could sign", shown(text))),
    }
}
