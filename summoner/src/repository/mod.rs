//! The repository: snapshots and the packs that hold their files' objects (`wiki/repository.md` is the format).
//!
//! Knows names, manifests, order of writing and deleting, and what is whole. Knows no engine and no application; where
//! the bytes lie is the backend's matter, and what is kept is retention's.

use std::io::{Read, Write};

use crate::error::Result;

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
