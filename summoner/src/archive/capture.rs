//! A capture in three steps: everything is read while the application runs; while it stands still, what changed since is
//! copied aside; after it runs again, the copies are read and the tree is written.
//!
//! What decides between read and changed: size, times, inode, and the moment at which the live pass began. Before that
//! pass the file system is flushed: from then on a page that a program has mapped cannot change without a new time.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, fstat, readlinkat, syncfs};

use super::content::{self, Failure};
use super::node::{Kind, Node, Time, Xattrs};
use super::seen::{Record, Seen};
use super::stage::Stage;
use super::walk::{Found, Stat, convert, is_gone, walk};
use super::{Root, Store, attributes, object, tar};
use crate::disk;
use crate::error::{Error, Result};

/// How many entries are looked at between two looks at the clock.
const LOOK: usize = 256;

/// A capture of some roots.
pub struct Capture {
    roots: Vec<Root>,
    seen: Seen,
    /// When the live pass began; 1970 before it: nothing is trusted then that was not before.
    began: Time,
    entries: Vec<Entry>,
    notes: Vec<String>,
    buffer: Vec<u8>,
}

struct Entry {
    node: Node,
    stat: Stat,
    content: Content,
}

enum Content {
    None,
    /// As the last reading found it.
    Seen,
    /// Copied aside.
    Staged(PathBuf),
}

/// What the pause brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StillTotals {
    /// Regular files.
    pub files: u64,
    /// Everything else.
    pub others: u64,
    /// Files that were copied aside.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that changed while they were copied: something was not standing still.
    pub moving_files: u64,
}

/// What a capture holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// Regular files; a file with several names counts once for each.
    pub files: u64,
    /// Everything else.
    pub others: u64,
    /// Content of all files, each once.
    pub bytes: u64,
    /// What a person should know: sockets, device nodes, other file systems.
    pub notes: Vec<String>,
    /// For the next capture; to be saved once the snapshot is committed.
    pub seen: Seen,
}

impl Capture {
    /// Begins; nothing is read yet.
    #[must_use]
    pub fn begin(mut roots: Vec<Root>, seen: Seen) -> Self {
        roots.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
        Self { roots, seen, began: Time::default(), entries: Vec::new(), notes: Vec::new(), buffer: Vec::new() }
    }

    /// Reads new and changed files while the application runs. Files that vanish or change meanwhile are fine here. May
    /// be called again: a second pass after a long first one finds less for the pause.
    ///
    /// # Errors
    /// A file cannot be read, the store refuses, or `cancel` does.
    pub fn live(&mut self, store: &mut dyn Store, cancel: &dyn Fn() -> Result<()>) -> Result<()> {
        self.began = now();
        let roots = std::mem::take(&mut self.roots);
        let mut once = HashSet::new();
        for root in &roots {
            let folder = File::open(&root.path).map_err(|error| Error::io("open", &root.path, &error))?;
            syncfs(&folder).map_err(|error| Error::io("flush the file system of", &root.path, &error.into()))?;
            walk(root, &mut Vec::new(), &mut |found| {
                cancel()?;
                let file = found.stat.kind == FileType::RegularFile;
                if !file || (found.stat.names > 1 && !once.insert(found.stat.file)) {
                    return Ok(());
                }
                self.read(found, store, cancel)
            })?;
        }
        self.roots = roots;
        Ok(())
    }

    fn read(&mut self, found: &Found<'_>, store: &mut dyn Store, cancel: &dyn Fn() -> Result<()>) -> Result<()> {
        if self.seen.get(found.path).is_some_and(|record| record.is_current(&found.stat) && store.keep(&record.objects)) {
            return Ok(());
        }
        self.seen.take(found.path);
        let file = match found.open() {
            Ok(file) => File::from(file),
            Err(error) if is_gone(error) => return Ok(()),
            Err(error) => return Err(found.fail("open", error)),
        };
        // As it was before it was read: what changes from here on is seen by the next look.
        let stat = convert(&fstat(&file).map_err(|error| found.fail("look at", error))?);
        if stat.kind != FileType::RegularFile {
            return Ok(());
        }
        let xattrs = match attributes::read(found.folder, found.name) {
            Ok(xattrs) => xattrs,
            Err(error) if is_gone(error) => return Ok(()),
            Err(error) => return Err(found.fail("read the attributes of", error)),
        };
        let objects = content::store(&file, stat.size, stat.sparse, store, &mut self.buffer, cancel);
        let objects = objects.map_err(|failure| failed(failure, found.path))?;
        self.seen.insert(found.path.to_vec(), record(&stat, self.began, objects, xattrs));
        Ok(())
    }

    /// Looks at everything while the application stands still, and copies what changed since it was read into `staging`,
    /// which lies best on the same file system. Nothing is hashed or compressed here.
    ///
    /// # Errors
    /// A file cannot be read or copied, or `cancel` refuses: it is asked often.
    pub fn still(&mut self, staging: &Path, cancel: &dyn Fn() -> Result<()>) -> Result<StillTotals> {
        disk::ensure_own_folder(staging, 0o700, None)?;
        self.entries.clear();
        self.notes.clear();
        let mut totals = StillTotals::default();
        let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let mut stage = Stage::default();
        let (mut entries, mut notes) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.notes));
        for root in &self.roots {
            walk(root, &mut notes, &mut |found| {
                if entries.len().is_multiple_of(LOOK) {
                    cancel()?;
                }
                let to = staging.join(entries.len().to_string());
                entries.push(self.entry(found, &mut first, &mut totals, (&mut stage, &to), cancel)?);
                Ok(())
            })?;
        }
        (self.entries, self.notes) = (entries, notes);
        Ok(totals)
    }

    fn entry(
        &self,
        found: &Found<'_>,
        first: &mut HashMap<(u64, u64), Vec<u8>>,
        totals: &mut StillTotals,
        (stage, to): (&mut Stage, &Path),
        cancel: &dyn Fn() -> Result<()>,
    ) -> Result<Entry> {
        let stat = found.stat;
        let file = stat.kind == FileType::RegularFile;
        *(if file { &mut totals.files } else { &mut totals.others }) += 1;
        if file && stat.names > 1 {
            if let Some(to) = first.get(&stat.file) {
                let node = node(found, &stat, Kind::Link(to.clone()), Xattrs::new());
                return Ok(Entry { node, stat, content: Content::None });
            }
            first.insert(stat.file, found.path.to_vec());
        }
        if let Some(record) = self.seen.get(found.path).filter(|record| file && record.is_current(&stat)) {
            let node = node(found, &stat, Kind::File, record.xattrs.clone());
            return Ok(Entry { node, stat, content: Content::Seen });
        }
        let xattrs = || attributes::read(found.folder, found.name).map_err(|error| found.fail("read the attributes of", error));
        let (kind, content) = match stat.kind {
            FileType::Directory => (Kind::Folder, Content::None),
            FileType::Fifo => (Kind::Fifo, Content::None),
            FileType::Symlink => {
                let target = readlinkat(found.folder, found.name, Vec::new()).map_err(|error| found.fail("read the link", error))?;
                (Kind::Symlink(target.into_bytes()), Content::None)
            }
            _ => {
                let file = File::from(found.open().map_err(|error| found.fail("open", error))?);
                let look = || fstat(&file).map(|stat| convert(&stat)).map_err(|error| found.fail("look at", error));
                let before = look()?;
                stage.copy(&file, &before, to, cancel)?;
                let after = look()?;
                totals.copied_files += 1;
                totals.copied_bytes += before.size;
                totals.moving_files += u64::from((before.size, before.mtime, before.ctime) != (after.size, after.mtime, after.ctime));
                let node = node(found, &before, Kind::File, xattrs()?);
                return Ok(Entry { node, stat: before, content: Content::Staged(to.to_path_buf()) });
            }
        };
        let node = node(found, &stat, kind, xattrs()?);
        Ok(Entry { node, stat, content })
    }

    /// Reads what was copied aside, removes the copies, and writes the tree; the application runs again by now.
    ///
    /// # Errors
    /// A copy cannot be read, the store refuses, or the tree cannot be written.
    pub fn finish(mut self, store: &mut dyn Store, tree: &mut dyn Write, cancel: &dyn Fn() -> Result<()>) -> Result<Captured> {
        let mut captured = Captured { notes: std::mem::take(&mut self.notes), ..Captured::default() };
        let mut writer = tar::Writer::new(tree);
        for entry in std::mem::take(&mut self.entries) {
            let Entry { node, stat, content } = entry;
            let is_file = matches!(node.kind, Kind::File | Kind::Link(_));
            *(if is_file { &mut captured.files } else { &mut captured.others }) += 1;
            let record = match content {
                Content::None => None,
                Content::Seen => {
                    let record = self.seen.take(&node.path).filter(|record| store.keep(&record.objects));
                    Some(record.ok_or_else(|| Error::internal(format!("{} was read and is not stored", name(&node.path))))?)
                }
                Content::Staged(copy) => {
                    let file = File::open(&copy).map_err(|error| Error::io("open", &copy, &error))?;
                    let length = file.metadata().map_err(|error| Error::io("look at", &copy, &error))?.len();
                    let objects = content::store(&file, length, stat.sparse, store, &mut self.buffer, cancel);
                    let objects = objects.map_err(|failure| failed(failure, &node.path))?;
                    std::fs::remove_file(&copy).map_err(|error| Error::io("remove", &copy, &error))?;
                    Some(record(&stat, self.began, objects, node.xattrs.clone()))
                }
            };
            let list = record.as_ref().map(|record| object::list(&record.objects)).unwrap_or_default();
            let written = writer.append(&node, &list);
            written.map_err(|error| Error::external("cannot write the tree of the snapshot").cause(error))?;
            if let Some(record) = record {
                captured.bytes += stat.size;
                captured.seen.insert(node.path, record);
            }
        }
        writer.finish().map_err(|error| Error::external("cannot write the tree of the snapshot").cause(error))?;
        Ok(captured)
    }
}

fn node(found: &Found<'_>, stat: &Stat, kind: Kind, xattrs: Xattrs) -> Node {
    Node { path: found.path.to_vec(), kind, mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, xattrs }
}

fn record(stat: &Stat, read_at: Time, objects: Vec<object::ObjectId>, xattrs: Xattrs) -> Record {
    let Stat { size, file, mtime, ctime, .. } = *stat;
    Record { size, inode: file.1, mtime, ctime, read_at, objects, xattrs }
}

fn failed(failure: Failure, path: &[u8]) -> Error {
    match failure {
        Failure::File(error) => Error::io("read", Path::new(&name(path)), &error),
        Failure::Other(error) => error,
    }
}

fn name(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}
