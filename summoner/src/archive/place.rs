//! Makes entries below the places of a restore. Every step goes through an opened folder and follows no link, so nothing
//! outside is touched whatever the tree says.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, Timespec, Timestamps, Uid, linkat, mkdirat, mkfifoat, openat, symlinkat};
use rustix::io::Errno;

use super::attributes;
use super::node::{Kind, Node};
use super::tree::parent;
use crate::error::{Error, Result};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The places, opened.
pub struct Places {
    roots: Vec<Root>,
    /// The folder that was used last, by its path in the tree.
    folder: Option<(Vec<u8>, OwnedFd)>,
    /// The file that was filled last.
    file: Option<(Vec<u8>, File)>,
    /// Folders whose times are set once everything in them is dressed.
    open: Vec<Node>,
}

struct Root {
    name: Vec<u8>,
    /// The folder that the place lies in, and its name there.
    parent: OwnedFd,
    base: CString,
}

impl Places {
    /// Opens the folders of the places.
    ///
    /// # Errors
    /// A place is occupied, or its folder is missing.
    pub fn open(into: &[(String, PathBuf)]) -> Result<Self> {
        let mut roots = Vec::new();
        for (name, path) in into {
            let (Some(parent), Some(base)) = (path.parent(), path.file_name()) else {
                return Err(Error::internal(format!("{} is no place for files", path.display())));
            };
            let fail = |error: Errno| Error::io("open the folder of", path, &error.into());
            let parent = openat(CWD, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
            let base = CString::new(base.as_bytes()).map_err(|_| fail(Errno::INVAL))?;
            match openat(&parent, &base, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {}
                Ok(folder) if is_empty(&folder).map_err(fail)? => {}
                _ => {
                    return Err(Error::external(format!(
                        "{} is occupied, and files are brought back into empty places only",
                        path.display()
                    ))
                    .next("choose another place, or move away what lies there"));
                }
            }
            roots.push(Root { name: name.clone().into_bytes(), parent, base });
        }
        Ok(Self { roots, folder: None, file: None, open: Vec::new() })
    }

    /// Makes an entry without content; it is private until it is dressed.
    ///
    /// # Errors
    /// Something is at its place, or the disk refuses.
    pub fn make(&mut self, node: &Node, size: u64) -> Result<()> {
        let other = match &node.kind {
            Kind::Link(to) => Some((self.parent_of(to)?.try_clone().map_err(|error| fail("open", to, &error))?, self.name(to)?)),
            _ => None,
        };
        let name = self.name(&node.path)?;
        let is_root = self.roots.iter().any(|root| root.name == node.path);
        let folder = self.parent_of(&node.path)?;
        let made = match &node.kind {
            Kind::Folder => match mkdirat(folder, &name, Mode::RWXU) {
                // An empty folder was there.
                Err(Errno::EXIST) if is_root => Ok(()),
                other => other,
            },
            Kind::Symlink(to) => symlinkat(to.as_slice(), folder, &name),
            Kind::Fifo => mkfifoat(folder, &name, Mode::RUSR | Mode::WUSR),
            Kind::Link(_) => match other {
                Some((other, target)) => linkat(&other, &target, folder, &name, AtFlags::empty()),
                None => Err(Errno::NOENT),
            },
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(folder, &name, flags, Mode::RUSR | Mode::WUSR).and_then(|file| rustix::fs::ftruncate(&file, size))
            }
        };
        made.map_err(|error| fail("make", &node.path, &error.into()))
    }

    /// Writes a part of a file's content.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn fill(&mut self, path: &[u8], at: u64, bytes: &[u8]) -> Result<()> {
        if self.file.as_ref().is_none_or(|(open, _)| open != path) {
            let name = self.name(path)?;
            let folder = self.parent_of(path)?;
            let file = openat(folder, &name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
            self.file = Some((path.to_vec(), File::from(file.map_err(|error| fail("open", path, &error.into()))?)));
        }
        let Some((_, file)) = &self.file else { return Ok(()) };
        file.write_all_at(bytes, at).map_err(|error| fail("write", path, &error))
    }

    /// Sets owner, mode, attributes and times; those of folders once the walk has left them.
    ///
    /// # Errors
    /// The system refuses.
    pub fn dress(&mut self, node: &Node) -> Result<()> {
        self.file = None;
        while let Some(folder) = self.open.pop_if(|folder| !super::tree::is_below(&node.path, &folder.path)) {
            self.set(&folder)?;
        }
        match node.kind {
            Kind::Folder => self.open.push(node.clone()),
            // The file under its first name was dressed.
            Kind::Link(_) => {}
            _ => self.set(node)?,
        }
        Ok(())
    }

    /// Dresses what is left and flushes everything to disk.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(mut self) -> Result<()> {
        while let Some(folder) = self.open.pop() {
            self.set(&folder)?;
        }
        for root in &self.roots {
            rustix::fs::syncfs(&root.parent).map_err(|error| fail("flush", &root.name, &error.into()))?;
        }
        Ok(())
    }

    fn set(&mut self, node: &Node) -> Result<()> {
        let name = self.name(&node.path)?;
        let folder = self.parent_of(&node.path)?.as_fd();
        let done = |result: Result<(), Errno>, doing: &str| result.map_err(|error| fail(doing, &node.path, &error.into()));
        let is = super::walk::stat(folder, &name).map_err(|error| fail("look at", &node.path, &error.into()))?;
        // Changing the owner takes setuid and capabilities away: it comes first.
        if (is.uid, is.gid) != (node.uid, node.gid) {
            let owner = (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)));
            done(rustix::fs::chownat(folder, &name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW), "set the owner of")?;
        }
        done(attributes::set(folder, &name, &node.xattrs), "set the attributes of")?;
        if !matches!(node.kind, Kind::Symlink(_)) {
            done(rustix::fs::chmodat(folder, &name, Mode::from_raw_mode(node.mode), AtFlags::empty()), "set the mode of")?;
        }
        let time = Timespec { tv_sec: node.mtime.seconds, tv_nsec: node.mtime.nanos.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        done(rustix::fs::utimensat(folder, &name, &times, AtFlags::SYMLINK_NOFOLLOW), "set the times of")
    }

    fn root(&self, path: &[u8]) -> Result<&Root> {
        let root = self.roots.iter().find(|root| root.name == path || super::tree::is_below(path, &root.name));
        root.ok_or_else(|| Error::internal(format!("{} belongs to no place", path.escape_ascii())))
    }

    /// Its name in its folder.
    fn name(&self, path: &[u8]) -> Result<CString> {
        let root = self.root(path)?;
        if root.name == path {
            return Ok(root.base.clone());
        }
        let last = path.rsplit(|c| *c == b'/').next().unwrap_or(path);
        CString::new(last).map_err(|_| fail("make", path, &Errno::INVAL.into()))
    }

    /// The folder that it lies in, opened part by part from its root on.
    fn parent_of(&mut self, path: &[u8]) -> Result<&OwnedFd> {
        let at = self.roots.iter().position(|root| root.name == path);
        if let Some(at) = at {
            return Ok(&self.roots[at].parent);
        }
        let above = parent(path).unwrap_or_default();
        if self.folder.as_ref().is_none_or(|(open, _)| open != above) {
            let root = self.root(path)?;
            let opening = |folder: &OwnedFd, name: &[u8]| openat(folder, name, FOLDER, Mode::empty());
            let mut folder = opening(&root.parent, root.base.to_bytes()).map_err(|error| fail("open", above, &error.into()))?;
            let parts = above[root.name.len()..].split(|c| *c == b'/').filter(|part| !part.is_empty());
            for part in parts {
                folder = opening(&folder, part).map_err(|error| fail("open", above, &error.into()))?;
            }
            self.folder = Some((above.to_vec(), folder));
        }
        match &self.folder {
            Some((_, folder)) => Ok(folder),
            None => Err(Error::internal("a folder that was opened is not")),
        }
    }
}

fn is_empty(folder: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fail(doing: &str, path: &[u8], error: &std::io::Error) -> Error {
    Error::io(doing, Path::new(OsStr::from_bytes(path)), error)
}
