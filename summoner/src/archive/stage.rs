//! Copies a file aside while the application stands still: a clone where the file system can, else its data, not its holes.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

use super::walk::Stat;
use crate::disk;
use crate::error::{Error, Result};

/// How much is copied between two looks at the clock.
const STEP: u64 = 16 * 1024 * 1024;

/// Copies files into a folder.
#[derive(Debug, Default)]
pub struct Stage {
    /// File systems that cannot clone, or on which the folder does not lie.
    no_clone: HashSet<u64>,
    /// The kernel said that it cannot copy by itself.
    no_range: bool,
}

impl Stage {
    /// Copies a file whole.
    ///
    /// # Errors
    /// It cannot be read, the copy cannot be written, or `cancel` refuses.
    pub fn copy(&mut self, from: &File, stat: &Stat, to: &Path, cancel: &dyn Fn() -> Result<()>) -> Result<()> {
        let fail = |error: std::io::Error| Error::io("copy a file to", to, &error);
        let copy = disk::create_new(to, 0o600)?;
        if !self.no_clone.contains(&stat.file.0) {
            if ioctl_ficlone(&copy, from).is_ok() {
                return Ok(());
            }
            self.no_clone.insert(stat.file.0);
        }
        copy.set_len(stat.size).map_err(fail)?;
        let mut at = 0;
        while at < stat.size {
            let (begin, end) = if stat.sparse { data(from, at, stat.size).map_err(|e| fail(e.into()))? } else { (at, stat.size) };
            at = begin;
            while at < end {
                cancel()?;
                let copied = self.range(from, &copy, at, (end - at).min(STEP)).map_err(fail)?;
                if copied == 0 {
                    // It became shorter; who compares it afterwards sees that.
                    copy.set_len(at).map_err(fail)?;
                    return Ok(());
                }
                at += copied;
            }
        }
        Ok(())
    }

    fn range(&mut self, from: &File, to: &File, at: u64, length: u64) -> std::io::Result<u64> {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        if !self.no_range {
            let (mut read, mut write) = (at, at);
            match copy_file_range(from.as_fd(), Some(&mut read), to.as_fd(), Some(&mut write), wanted) {
                // Some file systems say 0 where they cannot: the plain way below decides.
                Ok(0) => {}
                Ok(copied) => return Ok(copied as u64),
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => self.no_range = true,
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = vec![0; wanted.min(1024 * 1024)];
        let read = from.read_at(&mut buffer, at)?;
        to.write_all_at(&buffer[..read], at)?;
        Ok(read as u64)
    }
}

/// The next stretch of data at or behind a place.
fn data(file: &File, at: u64, size: u64) -> Result<(u64, u64), Errno> {
    let begin = match seek(file, SeekFrom::Data(at)) {
        Ok(begin) => begin,
        Err(Errno::NXIO) => return Ok((size, size)),
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok((at, size)),
        Err(error) => return Err(error),
    };
    Ok((begin, seek(file, SeekFrom::Hole(begin))?.min(size)))
}
