//! Whether config.yml was edited: a valid one is taken over, a broken one refused, and the old one stays.
//!
//! Polled, since editors replace files and network file systems tell nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::runner::Setup;
use crate::error::{Error, Kind, Result};

/// Reads the configuration anew.
pub type Load = Box<dyn Fn() -> Result<Setup> + Send + Sync>;

/// What tells one text at a path from the next: inode, size, and both times.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// Watches one file.
pub struct Watch {
    path: PathBuf,
    load: Load,
    /// The text that was read, or refused, last; none while there is no file.
    seen: Option<Stamp>,
}

impl Watch {
    /// Watches from now on: what is there was read already.
    #[must_use]
    pub fn new(path: &Path, load: Load) -> Self {
        Self { path: path.to_owned(), load, seen: stamp(path) }
    }

    /// Another configuration, when there is one since the last look.
    ///
    /// # Errors
    /// There is another, and it cannot be taken over; said once.
    pub fn look(&mut self, present: &Setup) -> Result<Option<Arc<Setup>>> {
        let now = stamp(&self.path);
        // A file that is gone for a moment is being replaced.
        if now.is_none() || now == self.seen {
            return Ok(None);
        }
        self.seen = now;
        let setup = (self.load)()?;
        if setup.config.layout != present.config.layout {
            let message = format!("{} moves the storage, which a running daemon cannot follow", self.path.display());
            return Err(Error::new(Kind::Config, message).next("summoner install, then restart the daemon"));
        }
        Ok((setup.config != present.config).then(|| Arc::new(setup)))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}
