//! Headers that the proxy adds to answers.

use std::collections::BTreeSet;

use super::site::LocationSettings;
use super::writer::{Param, Text, Unsafe};
use crate::vhost::Hsts;

/// Headers that frame or route a message; one added by hand breaks the connection or loses cookies.
const FORBIDDEN: [&str; 9] =
    ["connection", "content-length", "content-encoding", "keep-alive", "set-cookie", "trailer", "transfer-encoding", "upgrade", "location"];
/// Replaced by the proxy's own policy.
const HSTS: &str = "strict-transport-security";

/// Name and value.
pub(super) type Header = (Param, Param);

/// Adds them to every answer, failures too.
pub(super) fn write(text: &mut Text, headers: &[Header]) {
    for (name, value) in headers {
        text.line("add_header", &[name.clone(), value.clone(), Param::ours("always")]);
    }
}

/// The promise to come back by https only.
pub(super) fn hsts(hsts: Hsts) -> Header {
    let mut value = Param::ours("max-age=").then(&Param::number(hsts.max_age));
    if hsts.subdomains {
        value = value.then(&Param::ours("; includeSubDomains"));
    }
    if hsts.preload {
        value = value.then(&Param::ours("; preload"));
    }
    (Param::ours("Strict-Transport-Security"), value)
}

/// What a location adds of its own.
pub(super) fn of_location(settings: &LocationSettings) -> Result<Vec<Header>, Unsafe> {
    let wanted = |name: &str| settings.headers.keys().any(|other| other.eq_ignore_ascii_case(name));
    let mut all = Vec::new();
    for (name, value) in [("X-Content-Type-Options", "$add_nosniff"), ("Referrer-Policy", "$add_referrer_policy")] {
        if settings.security_headers && !wanted(name) {
            all.push((Param::ours(name), Param::ours(value)));
        }
    }
    all.extend(named(settings)?);
    Ok(all)
}

/// Those that somebody asked for, checked.
pub(super) fn named(settings: &LocationSettings) -> Result<Vec<Header>, Unsafe> {
    let mut seen = BTreeSet::new();
    let mut headers = Vec::new();
    for (name, value) in &settings.headers {
        let what = "a header's name";
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Unsafe::Form { what, reason: "holds more than letters, digits and hyphens" });
        }
        if lower == HSTS || FORBIDDEN.contains(&lower.as_str()) {
            return Err(Unsafe::Form { what, reason: "is one that only the application or the proxy itself may send" });
        }
        if !seen.insert(lower) {
            return Err(Unsafe::Form { what, reason: "is there twice" });
        }
        headers.push((Param::data(what, name)?, Param::data("a header's value", value)?));
    }
    Ok(headers)
}
