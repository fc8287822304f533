//! A driver that fails when it is told to: tests put it in front of another one and look at what is left.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Backend, Blob, Held, Hold, Receipt};
use crate::error::{Error, Result};

/// How the chosen call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and says that the disk is full.
    Full,
    /// The bytes end in the middle of a `put`, with an error.
    Short,
    /// The call does its work and says that it failed.
    After,
}

/// Passes calls on until the n-th one that changes something; that one and all later ones fail.
pub struct Faulty<B> {
    inner: B,
    fault: Fault,
    left: AtomicU64,
}

impl<B: Backend> Faulty<B> {
    /// Lets `good` changing calls pass.
    pub fn new(inner: B, good: u64, fault: Fault) -> Self {
        Self { inner, fault, left: AtomicU64::new(good) }
    }

    /// Whether this call is one of those that fail.
    fn fails(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }

    fn change<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.fails() {
            return work();
        }
        if self.fault == Fault::After {
            work()?;
        }
        Err(Error::io("store", Path::new(name), &io::ErrorKind::StorageFull.into()))
    }
}

/// Gives half of a small blob and fails then.
struct Breaking<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<B: Backend> Backend for Faulty<B> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        if self.fault == Fault::Short && self.fails() {
            return self.inner.put(name, &mut Breaking { inner: bytes, left: 7 });
        }
        if self.fault == Fault::Short { self.inner.put(name, bytes) } else { self.change(name, || self.inner.put(name, bytes)) }
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        self.change(name, || self.inner.take(name, file))
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.inner.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.change(name, || self.inner.delete(name))
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.change(to, || self.inner.link(from, to))
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.inner.lock(name, hold)
    }
}
