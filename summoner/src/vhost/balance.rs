//! The label `loadbalance`: nginx's own directives for an upstream, each read to its last word.

use super::Balance;
use super::template::{OF_REQUESTS, Part, Template};
use super::words::{Read, shown};

/// What a request can be told apart by. All of these exist in every nginx and cost nothing to read.
pub const KEYS: [&str; 14] = [
    "remote_addr",
    "binary_remote_addr",
    "remote_user",
    "request_uri",
    "uri",
    "document_uri",
    "args",
    "query_string",
    "host",
    "server_name",
    "server_port",
    "scheme",
    "request_method",
    "proxy_add_x_forwarded_for",
];

/// Reads `least_conn;`, `ip_hash;`, `random two least_conn;`, `hash $remote_addr consistent;`; the semicolon may be missing.
pub(super) fn parse(text: &str) -> Read<Balance> {
    let directive = text.strip_suffix(';').unwrap_or(text).trim_end();
    let words: Vec<&str> = directive.split_ascii_whitespace().collect();
    match words.as_slice() {
        ["least_conn"] => Ok(Balance::LeastConnections),
        ["ip_hash"] => Ok(Balance::IpHash),
        ["random"] => Ok(Balance::Random { two: false }),
        ["random", "two"] | ["random", "two", "least_conn"] => Ok(Balance::Random { two: true }),
        ["hash", key] => hash(key, false),
        ["hash", key, "consistent"] => hash(key, true),
        _ => Err(format!("{} is none of: least_conn, ip_hash, random [two], hash <key> [consistent]", shown(text))),
    }
}

fn hash(key: &str, consistent: bool) -> Read<Balance> {
    let template = Template::parse(key, &KEYS, &OF_REQUESTS)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    let fits =
        template.0.iter().all(|part| matches!(part, Part::Variable(_)) || matches!(part, Part::Text(text) if text.bytes().all(plain)));
    let key = template.to_string();
    match fits && key.contains('$') && !key.contains('{') {
        true => Ok(Balance::Hash { key, consistent }),
        false => Err("the key of hash is made of variables, letters, digits and -_.:/".into()),
    }
}
