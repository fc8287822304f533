//! Where a repository's blobs lie: a small contract that a folder, an object store or a server can keep.
//!
//! A blob has a name with `/` in it, appears whole or not at all, and never changes; there is no renaming. Knows nothing of
//! what the blobs mean: that is the repository's matter, which is the only caller.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::repositories::{Place, RepositorySettings};
use crate::error::{Error, Result};

pub mod append_only;
pub mod faulty;
mod held;
pub mod identity;
pub mod limited;
pub mod local;
pub mod s3;
pub mod sealed;
pub mod sftp;
mod wire;

/// A blob as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob {
    /// Its whole name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What lies there of a blob, byte for byte: of an encrypted one, what anybody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its size.
    pub bytes: u64,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// With others who share it.
    Shared,
    /// Alone.
    Alone,
}

/// A lock, held until dropped.
pub trait Held: Send + Sync {}

/// A place for blobs. Every call blocks.
pub trait Backend: Send + Sync {
    /// Where it is, for people.
    fn location(&self) -> String;

    /// Whether whatever lies there stays: removing is refused, and replacing may be. Callers tell so, and do not try.
    fn append_only(&self) -> bool {
        false
    }

    /// Stores a blob, replacing one of that name: it lasts when this returns, and is absent or as before when it fails.
    /// Gives what was sent to lie there.
    ///
    /// # Errors
    /// The bytes cannot be read, or not be stored.
    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt>;

    /// Reads back what lies there of a blob, to its end; None when there is none.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_back(&self, name: &str) -> Result<Option<Receipt>> {
        let Some(mut bytes) = self.get(name)? else { return Ok(None) };
        let mut hashing = Hashing::new(&mut bytes);
        let read = std::io::copy(&mut hashing, &mut std::io::sink());
        read.map_err(|error| Error::external(format!("cannot read back {name} at {}", self.location())).cause(error))?;
        Ok(Some(hashing.receipt()))
    }

    /// Stores a local file as a blob and removes it; a driver that can take it over does so without copying.
    ///
    /// # Errors
    /// As [`Backend::put`]; the file is untouched then.
    fn take(&self, name: &str, file: &Path) -> Result<()>;

    /// Reads a blob; None when there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>>;

    /// All blobs below a prefix that ends at a `/`, sorted by name; temporary ones are none.
    ///
    /// # Errors
    /// The place cannot be read.
    fn list(&self, prefix: &str) -> Result<Vec<Blob>>;

    /// Removes a blob for good; one that is absent is fine.
    ///
    /// # Errors
    /// It cannot be removed.
    fn delete(&self, name: &str) -> Result<()>;

    /// Gives a blob a second name, for nothing where that is possible.
    ///
    /// # Errors
    /// There is no such blob, or it cannot be stored.
    fn link(&self, from: &str, to: &str) -> Result<()>;

    /// Holds a lock; None when somebody else holds it in a way that does not go with this.
    ///
    /// # Errors
    /// Locks cannot be asked for.
    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>>;
}

/// The driver for a place, with what its settings say of it. A folder must be there; a host or a bucket is asked for nothing
/// yet.
///
/// # Errors
/// There is no such folder, or the keys of the place cannot be read.
pub fn open(settings: &RepositorySettings) -> Result<Arc<dyn Backend>> {
    let mut backend: Arc<dyn Backend> = match &settings.place {
        Place::Folder(path) => {
            // Never made: below a disk that is not mounted it would fill the wrong one.
            if !crate::disk::is_folder(path)? {
                return Err(Error::external(format!("there is no folder {} for the repository {}", path.display(), settings.name))
                    .next("mount the disk that it is on")
                    .next(format!("mkdir -p {}   makes it, where it is to be on this one", path.display())));
            }
            Arc::new(local::Local::new(path))
        }
        Place::Sftp(place) => Arc::new(sftp::Sftp::open(place, settings.append_only)),
        Place::S3(place) => Arc::new(s3::S3::open(place)?),
    };
    if settings.append_only {
        backend = Arc::new(append_only::AppendOnly::new(backend));
    }
    if let Some(rate) = settings.bytes_per_second {
        backend = Arc::new(limited::Limited::new(backend, rate));
    }
    Ok(backend)
}

/// Counts and hashes what is read through it.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    /// Nothing was read yet.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// What was read.
    pub fn receipt(self) -> Receipt {
        Receipt { bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
