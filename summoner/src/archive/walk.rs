//! Walks a root: every entry once, names sorted, never through a link and never onto another file system.
//!
//! An application may change its folders while we walk: entries are looked at and opened relative to their opened folder,
//! so a folder that is swapped for a link leads nowhere else.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::Root;
use super::node::Time;
use crate::error::{Error, Result};

/// What the system says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Device and inode: two names with the same ones are one file.
    pub file: (u64, u64),
    /// What it is.
    pub kind: FileType,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names it has.
    pub names: u64,
    /// Bytes.
    pub size: u64,
    /// Whether it takes less room than its size: it has holes.
    pub sparse: bool,
    /// When its content changed.
    pub mtime: Time,
    /// When anything about it changed.
    pub ctime: Time,
}

/// An entry that the walk came to.
pub struct Found<'a> {
    /// The opened folder that it lies in.
    pub folder: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CStr,
    /// Its path in the tree.
    pub path: &'a [u8],
    /// What the system says of it.
    pub stat: Stat,
}

impl Found<'_> {
    /// Opens a regular file to read it.
    ///
    /// # Errors
    /// Of the system.
    pub fn open(&self) -> Result<OwnedFd, Errno> {
        openat(self.folder, self.name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
    }

    /// An error about it.
    #[must_use]
    pub fn fail(&self, doing: &str, error: Errno) -> Error {
        Error::io(doing, Path::new(OsStr::from_bytes(self.path)), &error.into())
    }
}

/// Whether an entry is simply no longer what it was: gone, or swapped for something else.
#[must_use]
pub fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::STALE)
}

/// Asks about an entry of a folder.
///
/// # Errors
/// Of the system.
pub fn stat(folder: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| convert(&found))
}

/// What the system says, in our words.
#[must_use]
#[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between architectures")]
pub fn convert(found: &rustix::fs::Stat) -> Stat {
    let size = u64::try_from(found.st_size).unwrap_or(0);
    let time = |seconds: i64, nanos: u64| Time { seconds, nanos: u32::try_from(nanos).unwrap_or(0) };
    Stat {
        file: (found.st_dev as u64, found.st_ino as u64),
        kind: FileType::from_raw_mode(found.st_mode),
        mode: found.st_mode as u32 & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        names: found.st_nlink as u64,
        size,
        sparse: u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512) < size,
        mtime: time(found.st_mtime as i64, found.st_mtime_nsec as u64),
        ctime: time(found.st_ctime as i64, found.st_ctime_nsec as u64),
    }
}

/// Walks a root; `visit` sees a folder before what is in it.
///
/// # Errors
/// The root is missing, an entry cannot be looked at, or `visit` failed. Entries that vanish meanwhile are none.
pub fn walk(root: &Root, notes: &mut Vec<String>, visit: &mut dyn FnMut(&Found<'_>) -> Result<()>) -> Result<()> {
    let place = root.path.canonicalize().map_err(|error| Error::io("look at", &root.path, &error))?;
    let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(Error::internal(format!("{} is no folder of an instance", place.display())));
    };
    let fail = |doing, error: Errno| Error::io(doing, &root.path, &error.into());
    let parent = openat(CWD, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let parent = parent.map_err(|error| fail("open the folder of", error))?;
    let name = CString::new(name.as_bytes()).map_err(|_| fail("look at", Errno::INVAL))?;
    let found = stat(parent.as_fd(), &name).map_err(|error| fail("look at", error))?;
    let below = |path: &Path| {
        let path = path.strip_prefix(&root.path).or_else(|_| path.strip_prefix(&place)).ok()?;
        Some([root.name.as_bytes(), b"/", path.as_os_str().as_bytes()].concat())
    };
    let leave_out = root.leave_out.iter().filter_map(|path| below(path)).collect();
    let mut walk = Walk { device: found.file.0, leave_out, notes, visit, path: root.name.as_bytes().to_vec() };
    walk.entry(parent.as_fd(), &name, found)
}

struct Walk<'a> {
    device: u64,
    leave_out: HashSet<Vec<u8>>,
    notes: &'a mut Vec<String>,
    visit: &'a mut dyn FnMut(&Found<'_>) -> Result<()>,
    path: Vec<u8>,
}

impl Walk<'_> {
    fn entry(&mut self, folder: BorrowedFd<'_>, name: &CStr, stat: Stat) -> Result<()> {
        match stat.kind {
            FileType::RegularFile | FileType::Symlink | FileType::Fifo | FileType::Directory => {}
            FileType::Socket => return self.note("is a socket and was left out"),
            _ => return self.note("is a device node and was left out"),
        }
        (self.visit)(&Found { folder, name, path: &self.path, stat })?;
        if stat.kind != FileType::Directory || self.leave_out.contains(&self.path) {
            return Ok(());
        }
        if stat.file.0 != self.device {
            return self.note("is another file system: its content was left out");
        }
        let opened = openat(folder, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match opened {
            Ok(opened) => self.folder(&opened),
            Err(error) if is_gone(error) => Ok(()),
            Err(error) => Err(self.fail("open the folder", error)),
        }
    }

    fn folder(&mut self, opened: &OwnedFd) -> Result<()> {
        let mut names = Vec::new();
        let listed = Dir::read_from(opened).map_err(|error| self.fail("list", error))?;
        for entry in listed {
            let entry = entry.map_err(|error| self.fail("list", error))?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        let length = self.path.len();
        for name in names {
            self.path.push(b'/');
            self.path.extend(name.to_bytes());
            match stat(opened.as_fd(), &name) {
                Ok(found) => self.entry(opened.as_fd(), &name, found)?,
                Err(error) if is_gone(error) => {}
                Err(error) => return Err(self.fail("look at", error)),
            }
            self.path.truncate(length);
        }
        Ok(())
    }

    fn note(&mut self, what: &str) -> Result<()> {
        self.notes.push(format!("{} {what}", String::from_utf8_lossy(&self.path)));
        Ok(())
    }

    fn fail(&self, doing: &str, error: Errno) -> Error {
        Error::io(doing, Path::new(OsStr::from_bytes(&self.path)), &error.into())
    }
}
