//! The repository: snapshots and the packs that hold their files' objects (`wiki/repository.md` is the format).
//!
//! Knows names, manifests, order of writing and deleting, and what is whole. Knows no engine and no application; where
//! the bytes lie is the backend's matter, and what is kept is retention's.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::archive::{self, Totals};
use crate::backend::local::Local;
use crate::backend::{Backend, Held, Hold};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::snapshot::{Content, Manifest, SnapshotId};

pub mod codec;
pub mod compare;
pub mod draft;
pub mod drilled;
pub mod forget;
pub mod index;
pub mod list;
pub mod needs;
pub mod opening;
pub mod pack;
pub mod place;
pub mod receive;
pub mod secrets;
pub mod server;
pub mod verify;

pub use codec::Compression;
pub use draft::Draft;
pub use forget::Freed;
pub use list::{Damaged, Space};
pub use pack::{PackWriter, Packed};

use index::Index;

/// The newest form of a repository that this Summoner reads and writes.
pub const VERSION: u32 = 1;
/// The name of the tree among the artefacts, without the ending of its compression.
pub const TREE: &str = "tree.tar";
/// How often a lock that somebody else has is asked for, and the time between.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// The longest manifest.
const TEXT_MAX: u64 = 64 * 1024 * 1024;
const README: &str = include_str!("exit/README.txt");
const RESTORE: &str = include_str!("exit/restore.sh");

/// Takes the artefacts of a snapshot that is being made.
pub trait Sinks: Send + Sync {
    /// Begins an artefact; the name is without the ending of the compression.
    ///
    /// # Errors
    /// It cannot be created, or there is one of that name.
    fn create(&self, name: &str) -> Result<Box<dyn Sink>>;

    /// Reads a finished artefact back, uncompressed, to its end: hash and checksums are checked on the way.
    ///
    /// # Errors
    /// It cannot be opened.
    fn read(&self, stored: &Stored) -> Result<Box<dyn Read + Send>>;
}

/// One artefact while it is written: compressed and hashed on its way to the disk. Dropped unfinished, it does not count.
pub trait Sink: Write + Send {
    /// Flushes it to disk under its name.
    ///
    /// # Errors
    /// The disk refuses.
    fn finish(self: Box<Self>) -> Result<Stored>;
}

/// An artefact that is whole on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its file name, the ending of the compression included.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its size before compression.
    pub bytes_raw: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A repository.
#[derive(Clone)]
pub struct Repository {
    backend: Arc<dyn Backend>,
    /// Where drafts are made: a folder of this host, best on the repository's own file system.
    spool: PathBuf,
    about: About,
}

/// `repository.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    version: u32,
    id: String,
    created_at: DateTime<Utc>,
}

impl Repository {
    /// Opens the repository of a folder, and makes one where there is none.
    ///
    /// # Errors
    /// The folder holds something else, is of a newer version, or cannot be written.
    pub fn create_or_open(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        disk::ensure_folder(path, 0o700, None)?;
        let backend: Arc<dyn Backend> = Arc::new(Local::new(path));
        let empty = || -> Result<bool> { Ok(std::fs::read_dir(path).map_err(|error| Error::io("list", path, &error))?.next().is_none()) };
        Self::make(backend.as_ref(), empty, now)?;
        Self::on(backend, path)
    }

    /// Makes the repository of a place where there is none and `empty` says that there is nothing else.
    fn make(backend: &dyn Backend, empty: impl FnOnce() -> Result<bool>, now: DateTime<Utc>) -> Result<()> {
        if read_text(backend, layout::ABOUT)?.is_some() {
            return Ok(());
        }
        let begun = read_text(backend, layout::README)?.is_some();
        if !begun && !empty()? {
            return Err(Error::external(format!("{} is to be the repository, and holds something else", backend.location()))
                .next("choose an empty folder, or move away what lies there"));
        }
        backend.put(layout::README, &mut README.as_bytes())?;
        backend.put(layout::RESTORE, &mut RESTORE.as_bytes())?;
        let about = About { version: VERSION, id: hex::encode(rand::random::<[u8; 16]>()), created_at: now };
        put_json(backend, layout::ABOUT, &about)
    }

    /// Opens the repository of a folder.
    ///
    /// # Errors
    /// There is none ([`Kind::NoRepository`]), or it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::on(Arc::new(Local::new(path)), path)
    }

    /// Opens the repository of a backend; drafts are made in `spool`.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn on(backend: Arc<dyn Backend>, spool: &Path) -> Result<Self> {
        let place = backend.location();
        let text = read_text(backend.as_ref(), layout::ABOUT)?.ok_or_else(|| {
            Error::new(Kind::NoRepository, format!("there is no repository at {place}"))
                .next("summoner backup   takes a first snapshot, and makes one")
        })?;
        let about = serde_json::from_str(&text).map_err(|error| {
            Error::external(format!("{} of the repository at {place} cannot be read", layout::ABOUT))
                .cause(error)
                .next("bring that file back from a copy of the repository: its form is in README.txt beside it")
        })?;
        Ok(Self { backend, spool: spool.to_path_buf(), about })
    }

    /// Where it is, for people.
    #[must_use]
    pub fn location(&self) -> String {
        self.backend.location()
    }

    /// Its own id, which no other one has.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.about.id
    }

    /// Where its blobs lie.
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Begins a snapshot; what a crash left of earlier ones of this instance is removed. While it lasts, nobody else writes for
    /// this instance, and nobody forgets.
    ///
    /// # Errors
    /// Another one is being made ([`Kind::Locked`]), there is one of that id, or the repository is of a newer version.
    pub fn begin(&self, id: SnapshotId, compression: Compression) -> Result<Draft> {
        self.check_writable()?;
        let locks = self.lock_to_write(&id.instance)?;
        if self.manifest(&id)?.is_some() {
            return Err(Error::external(format!("there is a snapshot {id} already")).next("run the same command again"));
        }
        Draft::begin(self.clone(), id, compression, locks)
    }

    /// Opens an artefact of a snapshot, uncompressed; a wrong hash is an error of the last read.
    ///
    /// # Errors
    /// There is no such snapshot or artefact, or it cannot be opened.
    pub fn artefact(&self, id: &SnapshotId, name: &str) -> Result<Box<dyn Read + Send>> {
        let manifest = self.need(id)?;
        let artefact = manifest.artefacts.iter().find(|artefact| artefact.name == name);
        let artefact = artefact.ok_or_else(|| Error::usage(format!("the snapshot {id} holds no {name}")))?;
        self.artefact_of(id, name, &artefact.sha256)
    }

    /// Brings roots of a snapshot's files back, each to a place that is absent or an empty folder; with `only`, what lies at
    /// or below these paths of the tree. See [`archive::extract`].
    ///
    /// # Errors
    /// As [`archive::extract`]; the snapshot is unknown or holds no files; somebody is forgetting right now.
    pub fn extract(&self, id: &SnapshotId, into: &[(String, PathBuf)], only: &[Vec<u8>]) -> Result<Totals> {
        let _read = self.lock(&id.instance, "read", Hold::Shared)?;
        let manifest = self.need(id)?;
        let tree = manifest.artefacts.iter().find(|artefact| artefact.content == Content::Tree);
        let tree = tree.ok_or_else(|| Error::usage(format!("the snapshot {id} holds no files: it is a dump")))?;
        let index = Index::load(&self.backend, &id.instance)?;
        archive::extract(&|| self.artefact_of(id, &tree.name, &tree.sha256), &index, into, only)
    }

    fn artefact_of(&self, id: &SnapshotId, name: &str, sha256: &str) -> Result<Box<dyn Read + Send>> {
        let blob = layout::artefact(&id.instance, &id.stamp(), name);
        let bytes = self.backend.get(&blob)?;
        let bytes = bytes.ok_or_else(|| Error::external(format!("the artefact {name} of the snapshot {id} is missing")))?;
        codec::checked(bytes, sha256)
            .map_err(|error| Error::external(format!("the artefact {name} of the snapshot {id} is damaged")).cause(error))
    }

    fn need(&self, id: &SnapshotId) -> Result<Manifest> {
        self.manifest(id)?.ok_or_else(|| Error::usage(format!("there is no snapshot {id}")).next("summoner snapshots, which lists them"))
    }

    fn check_writable(&self) -> Result<()> {
        if self.about.version <= VERSION {
            return Ok(());
        }
        let (place, version) = (self.location(), self.about.version);
        Err(Error::external(format!("the repository at {place} has version {version}, and this Summoner writes up to {VERSION}"))
            .next("use the newer Summoner that made it"))
    }

    /// Holds what whoever adds a snapshot holds, and removes what a crash left.
    fn lock_to_write(&self, instance: &InstanceId) -> Result<Vec<Box<dyn Held>>> {
        let locks = vec![self.lock(instance, "write", Hold::Alone)?, self.lock(instance, "read", Hold::Shared)?];
        self.sweep(instance)?;
        Ok(locks)
    }

    fn lock(&self, instance: &InstanceId, what: &str, hold: Hold) -> Result<Box<dyn Held>> {
        let name = layout::lock(instance, what);
        for _ in 0..LOCK_TRIES {
            if let Some(held) = self.backend.lock(&name, hold)? {
                return Ok(held);
            }
            // A program that the last holder was just starting has it for the moment of its start.
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(Error::new(Kind::Locked, format!("another command works on the backups of {instance}")).next("wait for it to end"))
    }

    /// Removes what a crash left: drafts, and folders whose manifest was not written or was taken away first.
    fn sweep(&self, instance: &InstanceId) -> Result<()> {
        let drafts = layout::drafts(&self.spool, instance);
        let entries = match std::fs::read_dir(&drafts) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", &drafts, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &drafts, &error))?;
            if entry.file_name().to_string_lossy().ends_with(layout::DRAFT) {
                std::fs::remove_dir_all(entry.path()).map_err(|error| Error::io("remove", &entry.path(), &error))?;
            }
        }
        self.remove_leftovers(instance)
    }
}

/// Reads a small blob.
pub(crate) fn read_text(backend: &dyn Backend, name: &str) -> Result<Option<String>> {
    let Some(bytes) = backend.get(name)? else { return Ok(None) };
    let mut text = String::new();
    let read = bytes.take(TEXT_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::external(format!("{name} of the repository at {} cannot be read", backend.location())).cause(error))?;
    Ok(Some(text))
}

pub(crate) fn put_json(backend: &dyn Backend, name: &str, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::internal(format!("{name} does not serialise")).cause(error))?;
    text.push(b'\n');
    backend.put(name, &mut text.as_slice()).map(|_| ())
}

#[cfg(test)]
pub(crate) mod tests;
