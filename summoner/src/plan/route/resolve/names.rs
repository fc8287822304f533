//! Names that nginx-proxy derives from hosts and paths: of upstreams, and of the files that its people keep.
//!
//! SHA-1 here is no protection: it is the name that people's files have (`<host>_<sha1 of the path>_location`).

use std::collections::BTreeSet;

use sha1::{Digest, Sha1};

use crate::plan::route::files::{Files, UserFiles};
use crate::plan::route::site::{Site, UserFile};
use crate::vhost::{HostName, PathMatch};

/// Where the owner's files are, as nginx sees them.
const VHOSTS: &str = "/etc/nginx/vhost.d";
/// Names and passwords.
const PASSWORDS: &str = "/etc/nginx/htpasswd";
/// Longest name that an upstream bears as it is.
const MAX_NAME: usize = 200;

/// What `echo -n … | sha1sum` prints.
pub(super) fn sha1(text: &str) -> String {
    hex::encode(Sha1::digest(text.as_bytes()))
}

fn is_root(path: &PathMatch) -> bool {
    matches!(path, PathMatch::Prefix(path) if path == "/")
}

/// What the files of a host are named after: the host, or the hash of an expression.
pub(super) fn stem(host: &HostName) -> String {
    let text = host.to_string();
    if matches!(host, HostName::Regex(_)) { sha1(&text) } else { text }
}

/// The name of an upstream: the host, and the path's hash where it is not `/`. A name with a star, an expression, or one that
/// another site's upstream has already, is hashed.
pub(super) fn upstream(host: &HostName, path: &PathMatch, hashed: bool, taken: &mut BTreeSet<String>) -> String {
    let text = host.to_string();
    let plain = matches!(host, HostName::Exact(name) if name.len() <= MAX_NAME && name.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let ending = if is_root(path) { String::new() } else { format!("-{}", sha1(&path.to_string())) };
    let name = if plain && !hashed { format!("{text}{ending}") } else { format!("{}{ending}", sha1(&text)) };
    if taken.insert(name.clone()) {
        return name;
    }
    // `VIRTUAL_HOST=<another host>-<hash of its path>` must not take that one's upstream down.
    let other = format!("{}-{}", sha1(&text), sha1(&format!("{path} ")));
    taken.insert(other.clone());
    other
}

/// Gives a site that no container asked for the files that its owner wrote for its host, where it has none yet.
pub fn adopt(site: &mut Site, files: &UserFiles) {
    let host = site.name.clone();
    site.include = site.include.take().or_else(|| include(&host, &files.vhosts));
    for at in &mut site.locations {
        at.replaced_by = at.replaced_by.take().or_else(|| replacement(&host, &at.path, &files.vhosts));
        at.include = at.include.take().or_else(|| location(&host, &at.path, &files.vhosts));
        at.passwords = at.passwords.take().or_else(|| passwords(&host, &at.path, &files.passwords));
    }
}

/// `vhost.d/<host>`, else `vhost.d/default`.
pub(super) fn include(host: &HostName, files: &Files) -> Option<UserFile> {
    first(VHOSTS, files, [stem(host), "default".into()])
}

/// Lines inside the block of a path.
pub(super) fn location(host: &HostName, path: &PathMatch, files: &Files) -> Option<UserFile> {
    let (host, path) = (stem(host), sha1(&path.to_string()));
    first(VHOSTS, files, [format!("{host}_{path}_location"), format!("{host}_location"), "default_location".into()])
}

/// The block in place of a path's own.
pub(super) fn replacement(host: &HostName, path: &PathMatch, files: &Files) -> Option<UserFile> {
    let stem = stem(host);
    let exact = format!("{stem}_{}_location_override", sha1(&path.to_string()));
    let root = is_root(path).then(|| format!("{stem}_location_override"));
    first(VHOSTS, files, std::iter::once(exact).chain(root))
}

/// Names and passwords that open a path.
pub(super) fn passwords(host: &HostName, path: &PathMatch, files: &Files) -> Option<UserFile> {
    let host = stem(host);
    first(PASSWORDS, files, [format!("{host}_{}", sha1(&path.to_string())), host])
}

fn first(folder: &str, files: &Files, names: impl IntoIterator<Item = String>) -> Option<UserFile> {
    let found = names.into_iter().find_map(|name| files.get(&name).map(|hash| (name, hash.clone())));
    found.map(|(name, fingerprint)| UserFile { path: format!("{folder}/{name}"), fingerprint })
}
