//! Reads a tree entry by entry, and refuses what Summoner never writes: names that lead elsewhere, entries out of order or
//! twice, entries in what is no folder, content that is no list of objects.

use std::io::Read;

use super::node::{Kind, Node};
use super::object::ObjectId;
use super::tar;
use crate::error::{Error, Result};

/// A file of 16 TiB in blocks of a MiB: longer ones no file system of today holds.
const OBJECTS_MAX: u64 = 16 * 1024 * 1024;
/// One line: the hash in hex and its end.
const LINE: usize = 65;

/// A tree while it is read.
pub struct Tree<R: Read> {
    reader: tar::Reader<R>,
    last: Vec<u8>,
    /// The folders that the last entry lies in, from the root down.
    folders: Vec<Vec<u8>>,
}

/// An entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Everything but content.
    pub node: Node,
    /// What a file's content is made of.
    pub objects: Vec<ObjectId>,
    /// Whether a root begins here.
    pub is_root: bool,
}

impl<R: Read> Tree<R> {
    /// Begins to read.
    pub fn new(reader: R) -> Self {
        Self { reader: tar::Reader::new(reader), last: Vec::new(), folders: Vec::new() }
    }

    /// The next entry; None at the end.
    ///
    /// # Errors
    /// The archive is damaged, or holds what Summoner does not write.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let damaged = |error: std::io::Error| Error::external("the tree of the snapshot cannot be read").cause(error);
        let Some((node, size)) = self.reader.next_entry().map_err(damaged)? else { return Ok(None) };
        let is_root = self.check(&node).map_err(|why| refused(&node.path, why))?;
        let objects = if node.kind == Kind::File { self.objects(&node, size)? } else { Vec::new() };
        Ok(Some(Entry { node, objects, is_root }))
    }

    fn check(&mut self, node: &Node) -> Result<bool, &'static str> {
        let path = &node.path;
        if !is_plain(path) {
            return Err("is a name that leads elsewhere");
        }
        if !path.split(|c| *c == b'/').gt(self.last.split(|c| *c == b'/')) && !self.last.is_empty() {
            return Err("stands twice or out of order");
        }
        while self.folders.last().is_some_and(|folder| !is_below(path, folder)) {
            self.folders.pop();
        }
        let is_root = match self.folders.last() {
            None => true,
            Some(folder) if parent(path) == Some(folder.as_slice()) => false,
            Some(_) => return Err("lies in something that is no folder"),
        };
        self.last.clone_from(path);
        match &node.kind {
            Kind::Folder => self.folders.push(path.clone()),
            Kind::Link(to) if !is_plain(to) => return Err("is another name of something elsewhere"),
            Kind::Symlink(to) if to.is_empty() || to.contains(&0) => return Err("is a link to nothing"),
            _ => {}
        }
        Ok(is_root)
    }

    fn objects(&mut self, node: &Node, size: u64) -> Result<Vec<ObjectId>> {
        let fail = || refused(&node.path, "does not hold the names of its objects");
        if !size.is_multiple_of(LINE as u64) || size / LINE as u64 > OBJECTS_MAX {
            return Err(fail());
        }
        let mut content = self.reader.content();
        let mut objects = Vec::new();
        let mut line = [0; LINE];
        for _ in 0..size / LINE as u64 {
            content.read_exact(&mut line).map_err(|error| fail().cause(error))?;
            let name = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            objects.push(name.and_then(|name| name.parse().ok()).ok_or_else(fail)?);
        }
        Ok(objects)
    }
}

/// Whether a path stays where it is.
fn is_plain(path: &[u8]) -> bool {
    path.split(|c| *c == b'/').all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0))
}

/// Whether a path lies below another.
#[must_use]
pub fn is_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with(b"/"))
}

/// All but the last part.
#[must_use]
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|c| *c == b'/').map(|at| &path[..at])
}

/// The error about an entry that no tree of ours has.
#[must_use]
pub fn refused(path: &[u8], why: &str) -> Error {
    Error::external(format!("the tree of the snapshot is refused: {} {why}", path.escape_ascii()))
        .next("summoner verify --read-data, and restore from another snapshot: somebody or something changed this one")
}
