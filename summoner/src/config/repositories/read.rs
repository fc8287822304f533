//! `repositories:` as it stands in config.yml: a mapping of names to places, all faults at once.

use std::path::{Path, PathBuf};

use super::{Place, RepositorySettings};
use crate::config::backup::keep_over;
use crate::config::storage::{absolute, unsafe_place};
use crate::config::today::checked;
use crate::config::values::{self, short};
use crate::config::{Keep, Surroundings};
use crate::fault::Faults;
use crate::layout::Layout;
use crate::yaml::{Fields, Key, Node, kind_of};

/// Most of one file: every one of them is filled after every backup.
const MAX: usize = 16;
const LONGEST_NAME: usize = 40;
/// Slower than this, a night is too short for anything.
const LEAST_RATE: u64 = 16 << 10;
/// Keys that only one sort of place has.
const OF_SFTP: [&str; 2] = ["key_file", "known_hosts"];
const OF_S3: [&str; 3] = ["region", "access_key", "secret_key_file"];

/// What a place is read against.
struct Reading<'a> {
    surroundings: &'a Surroundings<'a>,
    /// The storage roots; None when they are faulty themselves.
    layout: Option<&'a Layout>,
    /// What `keep` of a repository is put over.
    keep: Keep,
}

/// Reads the mapping. Relative paths start at the file's folder.
pub(in crate::config) fn read(
    node: Option<&Node>,
    surroundings: &Surroundings<'_>,
    layout: Option<&Layout>,
    keep: Keep,
    faults: &mut Faults,
) -> Vec<RepositorySettings> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
    let Some(entries) = node.as_map() else {
        let help = "each place has a name of yours: `attic: /mnt/disk/backups`";
        faults.error_with_help(&node.span, format!("repositories must be a mapping, but {} stands here", kind_of(node)), help);
        return Vec::new();
    };
    let reading = Reading { surroundings, layout, keep };
    let mut all: Vec<RepositorySettings> = Vec::new();
    for (at, (key, node)) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")).enumerate() {
        if at == MAX {
            faults.error(&key.span, format!("repositories holds more than {MAX}"));
            break;
        }
        let name = name(key, faults);
        let Some(found) = reading.one(key, node, faults) else { continue };
        if let Some(other) = all.iter().find(|other| overlap(&other.place, &found.place)) {
            let message = format!("repositories.{} and repositories.{} are the same place", other.name, short(&key.text));
            faults.error_with_help(&node.span, message, "two repositories in one folder would remove each other's snapshots");
        } else if name.is_some() {
            all.push(found);
        }
    }
    all
}

fn name(key: &Key, faults: &mut Faults) -> Option<String> {
    let text = key.text.as_str();
    let letters = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if text.len() <= LONGEST_NAME && text.starts_with(|c: char| c.is_ascii_lowercase()) && letters {
        return Some(text.to_owned());
    }
    let help = format!("begin with a lower-case letter; then letters, digits and hyphens, {LONGEST_NAME} at most");
    faults.error_with_help(&key.span, format!("`{}` is no name for a repository", short(text)), help);
    None
}

/// Whether what one keeps lies where the other keeps its own.
fn overlap(one: &Place, other: &Place) -> bool {
    let below = |one: &str, other: &str| {
        let rest = one.strip_prefix(other).unwrap_or("-");
        other.is_empty() || rest.is_empty() || rest.starts_with('/')
    };
    match (one, other) {
        (Place::Folder(one), Place::Folder(other)) => one.starts_with(other) || other.starts_with(one),
        (Place::Sftp(one), Place::Sftp(other)) => {
            (&one.host, one.port, &one.user) == (&other.host, other.port, &other.user)
                && (below(&one.path, &other.path) || below(&other.path, &one.path))
        }
        (Place::S3(one), Place::S3(other)) => {
            (&one.endpoint, &one.bucket) == (&other.endpoint, &other.bucket)
                && (below(&one.prefix, &other.prefix) || below(&other.prefix, &one.prefix))
        }
        _ => false,
    }
}

impl Reading<'_> {
    fn one(&self, key: &Key, node: &Node, faults: &mut Faults) -> Option<RepositorySettings> {
        let at = format!("repositories.{}", short(&key.text));
        if node.as_str().is_some() {
            return Some(RepositorySettings { name: key.text.clone(), ..RepositorySettings::at(self.place(node, &at, faults)?) });
        }
        let mut fields = Fields::open(node, &at, faults)?;
        let name = |key: &str| format!("{at}.{key}");
        let found = fields.require("at", faults);
        let place = found.and_then(|node| self.place(node, &name("at"), faults));
        let place = self.with_keys(place, &mut fields, faults);
        let keep = keep_over(&mut fields, self.keep, faults);
        let bytes_per_second = fields.take("bandwidth").and_then(|node| checked(node, &name("bandwidth"), rate, faults));
        let append_only = fields.boolean("append_only", faults).unwrap_or(false);
        let encrypt = fields.boolean("encrypt", faults).unwrap_or(true);
        fields.finish(faults);
        Some(RepositorySettings { name: key.text.clone(), place: place?, keep, bytes_per_second, append_only, encrypt })
    }

    /// A place as config.yml may write it: a folder may also start at the file's own.
    fn place(&self, node: &Node, what: &str, faults: &mut Faults) -> Option<Place> {
        let text = node.text(what, faults)?;
        let relative = text.starts_with(['.', '~']);
        let text = if relative { absolute(&text, self.surroundings).map(|path| path.display().to_string()) } else { Ok(text) };
        let place = match text.and_then(|text| text.parse::<Place>()) {
            Ok(place) => place,
            Err(reason) => {
                faults.error(&node.span, format!("{what}: {reason}"));
                return None;
            }
        };
        if let Place::Folder(path) = &place {
            self.check_folder(path, node, what, faults)?;
        }
        if let Place::S3(s3) = &place
            && in_the_clear(&s3.endpoint)
        {
            let help = "write s3+https:// where the store speaks TLS; what is not encrypted can be read on the way";
            faults.warning(&node.span, format!("{what} is reached without TLS"), help);
        }
        Some(place)
    }

    fn check_folder(&self, path: &Path, node: &Node, what: &str, faults: &mut Faults) -> Option<()> {
        let refused = |reason: String, faults: &mut Faults| {
            let help = "a folder of its own on another disk, such as /mnt/disk/backups, is right";
            faults.error_with_help(&node.span, format!("{what} cannot be {}: {reason}", path.display()), help);
        };
        if let Some(reason) = unsafe_place(path, self.surroundings).or_else(|| self.layout.and_then(|layout| taken(path, layout))) {
            refused(reason, faults);
            return None;
        }
        if self.layout.is_some_and(|layout| path.starts_with(&layout.files)) {
            let help = "another disk, or another host, is what a second place is for";
            faults.warning(&node.span, format!("{what} lies in storage.files, beside what it is to save"), help);
        }
        Some(())
    }

    /// Takes the keys of all sorts of places, so that none is called unknown, and fills in those of this one.
    fn with_keys(&self, place: Option<Place>, fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Place> {
        let path = fields.path.clone();
        let sftp = OF_SFTP.map(|key| (key, fields.take(key)));
        let s3 = OF_S3.map(|key| (key, fields.take(key)));
        let file = |(key, node): (&str, Option<&Node>), faults: &mut Faults| {
            node.and_then(|node| checked(node, &format!("{path}.{key}"), |text| self.file(text), faults))
        };
        let foreign = |keys: &[(&str, Option<&Node>)], sort: &str, faults: &mut Faults| {
            for (key, node) in keys.iter().filter_map(|(key, node)| node.map(|node| (key, node))) {
                faults.error(&node.span, format!("{path}.{key} belongs to a place that begins with {sort}"));
            }
        };
        match place? {
            Place::Folder(folder) => {
                foreign(&sftp, "sftp://", faults);
                foreign(&s3, "s3+https://", faults);
                Some(Place::Folder(folder))
            }
            Place::Sftp(mut place) => {
                foreign(&s3, "s3+https://", faults);
                (place.key_file, place.known_hosts) = (file(sftp[0], faults), file(sftp[1], faults));
                Some(Place::Sftp(place))
            }
            Place::S3(mut place) => {
                foreign(&sftp, "sftp://", faults);
                let [(_, region), (_, access), secret] = s3;
                if let Some(region) = region.and_then(|node| checked(node, &format!("{path}.region"), self::region, faults)) {
                    place.region = region;
                }
                place.access_key = access.and_then(|node| checked(node, &format!("{path}.access_key"), access_key, faults));
                place.secret_key_file = file(secret, faults);
                let help = "both, or none: then AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are taken from the environment";
                if let (Some(node), None) | (None, Some(node)) = (access, secret.1) {
                    faults.error_with_help(&node.span, format!("{path} has only one of access_key and secret_key_file"), help);
                }
                Some(Place::S3(place))
            }
        }
    }

    /// The path of a key. What stands there may be the key itself: it is not repeated, and a word alone is no path.
    fn file(&self, text: &str) -> Result<PathBuf, String> {
        let wrong = || "write the path of a file that holds the key: /etc/summoner/key, or ./key beside this file".to_owned();
        let path = ["/", "./", "../", "~/"].iter().any(|begin| text.starts_with(begin));
        if !path || text.len() > 512 || text.chars().any(char::is_control) {
            return Err(wrong());
        }
        absolute(text, self.surroundings).map_err(|_| wrong())
    }
}

/// Why a folder cannot be a repository beside these storage roots.
fn taken(path: &Path, layout: &Layout) -> Option<String> {
    for (what, root) in [("storage.files", &layout.files), ("storage.databases", &layout.databases)] {
        if root == path {
            return Some(format!("it is {what}"));
        }
        if root.starts_with(path) {
            return Some(format!("it holds {what}"));
        }
    }
    if path.starts_with(layout.backups()) {
        return Some("every backup lies there already, first of all".to_owned());
    }
    if path.starts_with(layout.own()) {
        return Some(format!("{} is Summoner's own", layout.own().display()));
    }
    if path.starts_with(&layout.databases) {
        return Some("storage.databases holds databases and nothing else".to_owned());
    }
    let app = crate::config::storage::inside_an_application(path, &layout.files)?;
    Some(format!("it lies in the own folder of {app}, which is backed up and replaced as a whole"))
}

/// Without TLS, and not to this machine.
fn in_the_clear(endpoint: &str) -> bool {
    let Some(server) = endpoint.strip_prefix("http://") else { return false };
    let host = server.strip_prefix("[::1]").map_or_else(|| server.split(':').next().unwrap_or_default(), |_| "localhost");
    host != "localhost" && !host.ends_with(".localhost") && !host.starts_with("127.")
}

/// `10 MB`, `512k`: bytes a second.
fn rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is no number of bytes a second: write 10 MB, 512k or 1.5m", short(text));
    let bytes = values::amount(text.trim().trim_end_matches("/s")).ok_or_else(wrong)?;
    if bytes < LEAST_RATE { Err(format!("`{}` is less than 16k a second: no night is that long", short(text))) } else { Ok(bytes) }
}

fn region(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no region: write it as the store names it, such as eu-central-1", short(text)))
    }
}

/// The public half of a pair of keys.
fn access_key(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c));
    // Not repeated: people swap the two.
    if fits {
        Ok(text.to_owned())
    } else {
        Err("this is no access key: write the store's own name for it, such as AKIAIOSFODNN7EXAMPLE".to_owned())
    }
}
