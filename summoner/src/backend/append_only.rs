//! A place where whatever lies there stays, as far as this host is concerned.
//!
//! That it is so whoever asks is the place's own matter: an account that may not remove (SFTP), object lock (S3). Here it is
//! a promise to those who would ask.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{Backend, Blob, Held, Hold, Receipt};
use crate::error::{Error, Result};

/// Adds and reads; removes nothing.
pub struct AppendOnly {
    inner: Arc<dyn Backend>,
}

impl AppendOnly {
    /// Takes the right to remove away.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner }
    }
}

impl Backend for AppendOnly {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn append_only(&self) -> bool {
        true
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        self.inner.put(name, bytes)
    }

    fn read_back(&self, name: &str) -> Result<Option<Receipt>> {
        self.inner.read_back(name)
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        self.inner.take(name, file)
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.inner.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        Err(Error::usage(format!("{name} stays at {}: that place is append_only", self.location()))
            .next("remove it there, as whoever owns the place"))
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.inner.link(from, to)
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.inner.lock(name, hold)
    }
}
