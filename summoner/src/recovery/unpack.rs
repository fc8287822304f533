//! Brings a record back to its places on an empty machine. It may be done again after a crash: the same is written again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::parts::{self, OUTSIDE, STATE};
use crate::apply::crash;
use crate::archive::node::{Kind, Node};
use crate::archive::tar;
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::recovery::{Record, Target, moved};
use crate::plan::state::Memory;
use crate::repository::Repository;
use crate::state;

/// More than any installation has.
const ENTRIES_MAX: usize = 100_000;
/// The longest state.
const STATE_MAX: u64 = 16 << 20;

/// Reads a record to its end, so that its hash is checked before anything of it is used; gives its names.
///
/// # Errors
/// It is damaged, or holds what this Summoner does not know.
pub fn check(repository: &Repository, record: &Record, target: &Target) -> Result<BTreeSet<PathBuf>> {
    let mut names = BTreeSet::new();
    each(repository, record, &mut |node, content| {
        let (root, rest) = parts::place(target, &node.path)?;
        io::copy(content, &mut io::sink()).map_err(|error| damaged(record, &error))?;
        names.insert(root.join(rest));
        Ok(())
    })?;
    Ok(names)
}

/// Writes everything of a record to its place.
///
/// # Errors
/// It is damaged, or the disk refuses.
pub fn unpack(repository: &Repository, record: &Record, target: &Target) -> Result<()> {
    disk::ensure_folder(&target.layout.files, 0o755, None)?;
    disk::ensure_own_folder(&target.layout.own(), 0o700, None)?;
    each(repository, record, &mut |node, content| {
        let (root, rest) = parts::place(target, &node.path)?;
        if node.path == STATE.as_bytes() {
            return remembered(target, content);
        }
        let outside = node.path.starts_with(OUTSIDE.as_bytes());
        let path = if rest.as_os_str().is_empty() { root.clone() } else { root.join(&rest) };
        // A key that is there already is this machine's own.
        if outside && path.exists() {
            return Ok(());
        }
        around(&root, &rest)?;
        crash::point();
        one(node, content, &path, outside)
    })
}

/// Makes the folders around a path, each by itself: none of them may be a link.
fn around(root: &Path, rest: &Path) -> Result<()> {
    let Some(parent) = rest.parent() else {
        return root.parent().map_or(Ok(()), |parent| disk::ensure_folder(parent, 0o755, None).map(drop));
    };
    let mut folder = root.to_owned();
    for part in std::iter::once(OsStr::new("")).chain(parent.iter()) {
        if !part.is_empty() {
            folder.push(part);
        }
        disk::ensure_folder(&folder, 0o700, None)?;
    }
    Ok(())
}

fn one(node: &Node, content: &mut dyn Read, path: &Path, outside: bool) -> Result<()> {
    let owner = (node.uid, node.gid);
    match &node.kind {
        Kind::Folder => disk::ensure_own_folder(path, node.mode, Some(owner)).map(drop),
        Kind::Symlink(to) => disk::link_atomic(Path::new(OsStr::from_bytes(to)), path),
        Kind::File => {
            // Never readable by others before its owner is set.
            disk::write_stream(path, content, node.mode & 0o700)?;
            std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1)).map_err(|error| Error::io("give to its owner", path, &error))?;
            let mode = if outside { node.mode & 0o700 } else { node.mode };
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, permissions).map_err(|error| Error::io("set the mode of", path, &error))?;
            disk::flush(path)
        }
        Kind::Link(_) | Kind::Fifo => Err(Error::external(format!("the record of the installation holds no {}", path.display()))),
    }
}

/// What was remembered, without what this machine decides anew.
fn remembered(target: &Target, content: &mut dyn Read) -> Result<()> {
    let refuse = |why: &dyn std::fmt::Display| Error::external("the state in the record of the installation is damaged").cause(why);
    let mut text = String::new();
    content.take(STATE_MAX).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    let any: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(&error))?;
    if any.get("version").and_then(serde_json::Value::as_u64).is_none_or(|version| version > u64::from(state::VERSION)) {
        return Err(refuse(&"a newer Summoner wrote it").next("use that Summoner: the record says its version"));
    }
    let memory: Memory = serde_json::from_value(any).map_err(|error| refuse(&error))?;
    crash::point();
    state::save(&target.layout, &moved(&memory))
}

fn each(repository: &Repository, record: &Record, work: &mut dyn FnMut(&Node, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut reader = tar::Reader::new(repository.record_archive(record)?);
    let mut count = 0;
    while let Some((node, _)) = reader.next_entry().map_err(|error| damaged(record, &error))? {
        count += 1;
        if count > ENTRIES_MAX {
            return Err(damaged(record, &"it holds too many files"));
        }
        work(&node, &mut reader.content())?;
    }
    Ok(())
}

fn damaged(record: &Record, why: &dyn std::fmt::Display) -> Error {
    Error::external(format!("the record of the installation of {} is damaged", record.at.format("%Y-%m-%d %H:%M:%S UTC"))).cause(why)
}
