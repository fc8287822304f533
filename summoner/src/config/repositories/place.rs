//! The words of a place: `/folder`, `sftp://user@host:port/path`, `s3+https://host:port/bucket/prefix`.
//!
//! What they name ends up as arguments of `ssh` and as parts of a URL, so everything that could mean more than itself there
//! (options, escapes, queries, `..`) is refused here.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::{Place, REGION, S3, SSH_PORT, Sftp};
use crate::config::values::short;

const SFTP: &str = "sftp://";
const S3_HTTPS: &str = "s3+https://";
const S3_HTTP: &str = "s3+http://";
/// The longest name of a bucket (Amazon S3 User Guide, "General purpose bucket naming rules"), and its shortest.
const BUCKET: std::ops::RangeInclusive<usize> = 3..=63;
/// What a place names is a part of longer names.
const LONGEST: usize = 512;

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("`{}` is longer than {LONGEST} bytes", short(text)));
        }
        if text.starts_with('/') {
            return folder(text).map(Self::Folder);
        }
        if let Some(rest) = text.strip_prefix(SFTP) {
            return sftp(rest, text).map(Self::Sftp);
        }
        for (scheme, http) in [(S3_HTTPS, "https://"), (S3_HTTP, "http://")] {
            if let Some(rest) = text.strip_prefix(scheme) {
                return s3(rest, http, text).map(Self::S3);
            }
        }
        let forms = "write /folder, sftp://user@host/folder or s3+https://host/bucket";
        Err(match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("s3" | "https" | "http") => format!("`{}` is no place for snapshots: write s3+https://host/bucket", shown(text)),
            Some("ssh" | "scp" | "rsync") => format!("`{}` is no place for snapshots: write sftp://user@host/folder", shown(text)),
            _ => format!("`{}` is no place for snapshots: {forms}", shown(text)),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(out, "{}", path.display()),
            Self::Sftp(Sftp { user, host, port, path, .. }) => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = if *port == SSH_PORT { String::new() } else { format!(":{port}") };
                write!(out, "{SFTP}{user}@{host}{port}{path}")
            }
            Self::S3(S3 { endpoint, bucket, prefix, .. }) => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(out, "s3+{endpoint}/{bucket}{slash}{prefix}")
            }
        }
    }
}

/// As [`short`], without a password that somebody may have put before the `@`.
fn shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return short(text) };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => short(&format!("{scheme}://…@{}", &rest[user.len() + 1..])),
        _ => short(text),
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    // An engine separates host and container path by a colon, and a drill mounts what lies there.
    if let Some(strange) = text.chars().find(|c| c.is_control() || matches!(c, ':' | '$' | '"' | '\\')) {
        return Err(format!("the path of a folder for snapshots holds no {}", strange.escape_default()));
    }
    let path = Path::new(text);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{}` holds `..`: write where the folder is", short(text)));
    }
    // Without a slash at the end, and without `.` and `//` in between.
    Ok(path.components().collect())
}

/// `user@host:port/path`.
fn sftp(rest: &str, whole: &str) -> Result<Sftp, String> {
    let wrong = |why: &str| format!("`{}` is no place for snapshots: {why}", shown(whole));
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(|| wrong("write sftp://user@host/folder"))?);
    let (user, server) = authority.rsplit_once('@').ok_or_else(|| wrong("say who signs in, as in sftp://backup@host/folder"))?;
    if user.contains(':') {
        return Err(wrong("a password does not belong here; who signs in has a key, see `key_file`"));
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // ssh takes what begins with a hyphen for an option.
    if user.is_empty() || user.starts_with('-') || !user.chars().all(letter) {
        return Err(wrong("the part before the @ is no user"));
    }
    let (host, port) = host_and_port(server).ok_or_else(|| wrong("what follows the @ is no host"))?;
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Err(wrong("name a folder there, as in sftp://user@host/folder"));
    }
    let strange = |c: char| c.is_control() || "%?#\\*\"".contains(c);
    let parts = path[1..].split('/');
    if path.contains(strange) || parts.into_iter().any(|part| matches!(part, "" | "." | "..")) {
        return Err(wrong("its path holds something else than names of folders; what it says is taken as it is, without escapes"));
    }
    let (user, path) = (user.to_owned(), path.to_owned());
    Ok(Sftp { user, host, port: port.unwrap_or(SSH_PORT), path, key_file: None, known_hosts: None })
}

/// `host:port/bucket/prefix`.
fn s3(rest: &str, http: &str, whole: &str) -> Result<S3, String> {
    let wrong = |why: &str| format!("`{}` is no place for snapshots: {why}", shown(whole));
    let (server, path) = rest.split_once('/').ok_or_else(|| wrong("name the bucket, as in s3+https://host/bucket"))?;
    if server.contains('@') {
        return Err(wrong("keys do not belong here, see `access_key` and `secret_key_file`"));
    }
    host_and_port(server).ok_or_else(|| wrong("it names no host"))?;
    let (bucket, prefix) = path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), ""));
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let letters = bucket.chars().all(|c| edge(c) || c == '-' || c == '.');
    if !BUCKET.contains(&bucket.len()) || !letters || !bucket.starts_with(edge) || !bucket.ends_with(edge) || bucket.contains("..") {
        return Err(wrong("a bucket has 3 to 63 lower-case letters, digits, hyphens and dots"));
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(letter);
    if !prefix.is_empty() && !prefix.split('/').all(part) {
        return Err(wrong("what follows the bucket has letters, digits, dots, hyphens, underscores and slashes"));
    }
    Ok(S3 {
        endpoint: format!("{http}{server}"),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: REGION.to_owned(),
        access_key: None,
        secret_key_file: None,
    })
}

/// A name, an address, or an address of IPv6 in brackets, which the name is given without.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let host = host.parse::<Ipv6Addr>().ok()?.to_string();
        return match after {
            "" => Some((host, None)),
            _ => Some((host, Some(port(after.strip_prefix(':')?)?))),
        };
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (text, None),
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-')
    };
    (host.len() <= 253 && host.split('.').all(label)).then(|| (host.to_ascii_lowercase(), port))
}
