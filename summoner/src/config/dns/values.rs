//! Single values of the settings for DNS-01: text in, value or the sentence that says what would be right out.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Algorithm;
use crate::config::values::{duration, short};

const DNS_PORT: u16 = 53;
const LONGEST_PROPAGATION: Duration = Duration::from_secs(3600);
const LONGEST_HOOK: Duration = Duration::from_secs(900);

/// `ns1.example.org`, `192.0.2.53:5353`, `[2001:db8::53]:53`.
pub(super) fn server(text: &str) -> Result<(String, u16), String> {
    if let Ok(address) = resolver(text) {
        return Ok((address.ip().to_string(), address.port()));
    }
    let wrong = || format!("`{}` is no name server: write a host name or an address, with :port where it is not 53", short(text));
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
        None => (text, DNS_PORT),
    };
    Ok((name(host).map_err(|_| wrong())?, port))
}

/// An address, with a port where it is not 53.
pub(super) fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, DNS_PORT));
    }
    let wrong = || format!("`{}` is no address of a name server: write 192.0.2.53, or 192.0.2.53:5353", short(text));
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(wrong)
}

/// A name of the DNS, without the dot at its end: a zone, a key.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(letter);
    if name.len() <= 253 && name.split('.').all(label) { Ok(name) } else { Err(format!("`{}` is no name of the DNS", short(text))) }
}

/// The path of a secret.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        Ok(path.to_owned())
    } else {
        // What stands here may be the secret itself: it is not repeated.
        Err("write the whole path of a file that holds the secret, beginning with /".to_owned())
    }
}

pub(super) fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "hmac-sha256" => Ok(Algorithm::HmacSha256),
        "hmac-sha512" => Ok(Algorithm::HmacSha512),
        _ => Err(format!("`{}` is not known: write hmac-sha256 or hmac-sha512", short(text))),
    }
}

/// Seconds.
pub(super) fn ttl(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| format!("`{}` is no number of seconds from 1 to 86400", short(text)))
}

pub(super) fn propagation(text: &str) -> Result<Duration, String> {
    at_most(text, LONGEST_PROPAGATION, "1h")
}

pub(super) fn hook_timeout(text: &str) -> Result<Duration, String> {
    at_most(text, LONGEST_HOOK, "15m")
}

fn at_most(text: &str, most: Duration, shown: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if length.is_zero() || length > most { Err(format!("`{}` is out of its range: 1s to {shown}", short(text))) } else { Ok(length) }
}

/// A program and its arguments.
pub(super) fn command(words: &[String]) -> Result<(), String> {
    match words {
        [] => Err("it names no program".to_owned()),
        [only] if only.contains(char::is_whitespace) => Err(format!("`{}` is not split: no shell reads it", short(only))),
        [program, ..] if program.is_empty() => Err("it names no program".to_owned()),
        _ if words.iter().any(|word| word.contains('\0')) => Err("an argument holds a NUL".to_owned()),
        _ => Ok(()),
    }
}

/// The identifier of a zone at Cloudflare.
pub(super) fn zone_id(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { Err(format!("`{}` is no identifier of a zone", short(text))) }
}

/// The address of an API. A token goes over TLS, or does not leave this machine.
pub(super) fn url(text: &str) -> Result<String, String> {
    let wrong = || format!("`{}` is no address of an API: write https://host/path", short(text));
    let (rest, open) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return Err(wrong()),
    };
    let host = rest.split('/').next().unwrap_or_default();
    let fits = !host.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"@?#\\".contains(c));
    let name = host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "localhost");
    if !fits || open && !["127.0.0.1", "localhost"].contains(&name) {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
