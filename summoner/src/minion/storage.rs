//! `secrets`, `databases`, `folders` and `dump`: what an instance keeps.

use super::actions::{Exec, execs};
use super::reader::{Entry, Reader};
use crate::name::DatabaseKind;
use crate::yaml::{Fields, Node};

/// A secret that is generated once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// `[a-z][a-z0-9_]*`; Compose and minion.yml see it as `${SECRET_<NAME>}` and the file `${SECRETS}/<name>`.
    pub name: String,
    /// Length in characters (alphanumeric, hex) or bytes before encoding (base64).
    pub length: usize,
    /// Which characters.
    pub format: SecretFormat,
    /// uid that must be able to read the file; None is root alone.
    pub owner: Option<u32>,
}

/// Which characters a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFormat {
    /// `[A-Za-z0-9]`: safe in URLs, YAML, SQL and shells.
    Alphanumeric,
    /// `[0-9a-f]`.
    Hex,
    /// Standard base64.
    Base64,
}

/// A folder below the instance's folder (`${FILES}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Relative path, no `..`.
    pub path: String,
    /// uid and gid that the application writes as; None leaves root.
    pub owner: Option<(u32, u32)>,
    /// Can be made again (caches, indices, previews): a backup leaves it out.
    pub regenerable: bool,
}

/// A database inside the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Service of the Compose file.
    pub service: String,
    /// Its kind.
    pub kind: DatabaseKind,
    /// The application's database.
    pub name: String,
    /// The application's user.
    pub user: String,
    /// The secret that holds the user's password.
    pub password: String,
    /// The user that may dump everything, and the secret with its password.
    pub root: Option<(String, String)>,
}

/// How an application that bundles its database dumps itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDump {
    /// Commands that write the dump.
    pub create: Vec<Exec>,
    /// What is the dump then: files below the instance's folder.
    pub files: Vec<String>,
    /// Commands that load it, once the files are back in place and the application runs.
    pub restore: Vec<Exec>,
}

const LENGTH: usize = 32;
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=1024;

pub(super) fn secret(entry: &Entry<'_>, reader: &mut Reader) -> Option<SecretSpec> {
    let mut fields = Fields::open(entry.node, &entry.path, &mut reader.faults)?;
    let length = match fields.integer::<usize>("length", &mut reader.faults).unwrap_or(LENGTH) {
        length if LENGTHS.contains(&length) => length,
        length => {
            reader.faults.error(
                &entry.node.span,
                format!("{}.length must be {} to {}, but {length} stands here", entry.path, LENGTHS.start(), LENGTHS.end()),
            );
            LENGTH
        }
    };
    let words = [("alphanumeric", SecretFormat::Alphanumeric), ("hex", SecretFormat::Hex), ("base64", SecretFormat::Base64)];
    let format = reader.word(&mut fields, "format", &words).unwrap_or(SecretFormat::Alphanumeric);
    let owner = fields.integer("owner", &mut reader.faults);
    fields.finish(&mut reader.faults);
    let word = entry.key.starts_with(|c: char| c.is_ascii_lowercase())
        && entry.key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !word {
        reader.faults.error(&entry.span, format!("`{}` names no secret: lower-case letters, digits and `_`, a letter first", entry.key));
        return None;
    }
    Some(SecretSpec { name: entry.key.clone(), length, format, owner })
}

pub(super) fn folder(entry: &Entry<'_>, reader: &mut Reader) -> Option<Folder> {
    let mut fields = Fields::open(entry.node, &entry.path, &mut reader.faults)?;
    let owner = fields.take("owner").and_then(|node| owner(node, &entry.path, reader));
    let regenerable = fields.boolean("regenerable", &mut reader.faults).unwrap_or(false);
    fields.finish(&mut reader.faults);
    if !is_below(&entry.key) {
        reader.faults.error(&entry.span, format!("`{}` names no folder of the instance: a relative path without `.` and `..`", entry.key));
        return None;
    }
    Some(Folder { path: entry.key.clone(), owner, regenerable })
}

/// A path that stays below the folder it is joined to, spelled one way.
fn is_below(path: &str) -> bool {
    !path.contains(['\\', '\0', '$', ':']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn owner(node: &Node, path: &str, reader: &mut Reader) -> Option<(u32, u32)> {
    let what = format!("{path}.owner");
    let text = node.text(&what, &mut reader.faults)?;
    let pair = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    if pair.is_none() {
        reader.faults.error_with_help(
            &node.span,
            format!("{what} must be uid:gid in numbers, but `{text}` stands here"),
            "such as 1000:1000: names differ between the image and the host",
        );
    }
    pair
}

pub(super) fn database(node: &Node, path: String, reader: &mut Reader) -> Option<Database> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let service = fields.text("service", &mut reader.faults).unwrap_or_else(|| "db".into());
    let kind_name = fields.name("kind");
    let kinds = DatabaseKind::ALL.map(|kind| (kind.as_str(), kind));
    let kind = fields.require("kind", &mut reader.faults).and_then(|node| reader.word_of(node, &kind_name, &kinds));
    let name = reader.required(&mut fields, "name");
    let user = reader.required(&mut fields, "user");
    let password = reader.secret(&mut fields, "password");
    let root_path = fields.name("root");
    let root = fields.take("root").and_then(|node| root(node, root_path, reader));
    fields.finish(&mut reader.faults);
    Some(Database { service, kind: kind?, name: name?, user: user?, password: password?, root })
}

fn root(node: &Node, path: String, reader: &mut Reader) -> Option<(String, String)> {
    let mut fields = Fields::open(node, path, &mut reader.faults)?;
    let user = fields.text("user", &mut reader.faults).unwrap_or_else(|| "root".into());
    let password = reader.secret(&mut fields, "password");
    fields.finish(&mut reader.faults);
    Some((user, password?))
}

pub(super) fn dump(node: &Node, reader: &mut Reader) -> Option<OwnDump> {
    let mut fields = Fields::open(node, "dump", &mut reader.faults)?;
    let create = execs(&mut fields, "create", reader);
    let files = fields.texts("files", &mut reader.faults);
    let restore = execs(&mut fields, "restore", reader);
    fields.finish(&mut reader.faults);
    if create.is_empty() || files.is_empty() || restore.is_empty() {
        reader.faults.error(&node.span, "dump needs all of `create`, `files` and `restore`");
    }
    if let Some(path) = files.iter().find(|path| !is_below(path)) {
        reader.faults.error(&node.span, format!("dump.files: `{path}` is not a path below the instance's folder"));
    }
    Some(OwnDump { create, files, restore })
}
