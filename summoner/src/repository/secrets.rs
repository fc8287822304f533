//! A handful of small files as an archive: the secrets of an instance.

use std::io::{Read, Write};

use crate::archive::node::{Kind, Node};
use crate::archive::tar;
use crate::error::{Error, Result};

/// More than any instance has.
const COUNT_MAX: usize = 10_000;
/// Longer than any secret is.
const BYTES_MAX: u64 = 1024 * 1024;

/// A small file. It has no `Debug`: what it holds is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Small {
    /// Its name; no folders.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// Uid and gid.
    pub owner: (u32, u32),
}

/// Writes them as an ordinary tar.
///
/// # Errors
/// The sink refuses.
pub fn write(files: &[Small], to: &mut dyn Write) -> Result<()> {
    let mut sorted: Vec<&Small> = files.iter().collect();
    sorted.sort_by_key(|file| &file.name);
    let fail = |error| Error::external("cannot write the secrets of the snapshot").cause(error);
    let mut writer = tar::Writer::new(to);
    for file in sorted {
        let node = Node { uid: file.owner.0, gid: file.owner.1, ..Node::plain(file.name.as_bytes(), file.mode) };
        writer.append(&node, &file.bytes).map_err(fail)?;
    }
    writer.finish().map(|_| ()).map_err(fail)
}

/// Reads them back.
///
/// # Errors
/// The archive is damaged, or holds what was not written here.
pub fn read(from: impl Read) -> Result<Vec<Small>> {
    let fail = |why: &dyn std::fmt::Display| Error::external("the secrets of the snapshot are refused").cause(why);
    let mut reader = tar::Reader::new(from);
    let mut files = Vec::new();
    while let Some((node, size)) = reader.next_entry().map_err(|error| fail(&error))? {
        let name =
            String::from_utf8(node.path).ok().filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']));
        let name = name.filter(|_| node.kind == Kind::File).ok_or_else(|| fail(&"an entry is no secret"))?;
        if size > BYTES_MAX || files.len() >= COUNT_MAX {
            return Err(fail(&"there is more than secrets are"));
        }
        let mut bytes = Vec::new();
        reader.content().read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        files.push(Small { name, bytes, mode: node.mode, owner: (node.uid, node.gid) });
    }
    Ok(files)
}
