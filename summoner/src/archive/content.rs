//! Cuts a file's content into objects; holes are found, not read.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::Store;
use super::object::{BLOCK, ObjectId};
use crate::error::Result;

/// What a block of zeroes is made of.
static ZEROES: [u8; BLOCK] = [0; BLOCK];

/// Why content could not be read.
pub enum Failure {
    /// The file's own matter.
    File(std::io::Error),
    /// Anything else: the store, or a person who stopped it.
    Other(crate::error::Error),
}

/// Stores the first `size` bytes of a file, or as many as there are.
///
/// # Errors
/// The file cannot be read, or the store or `cancel` refuses.
pub fn store(
    file: &File,
    size: u64,
    sparse: bool,
    to: &mut dyn Store,
    buffer: &mut Vec<u8>,
    cancel: &dyn Fn() -> Result<()>,
) -> Result<Vec<ObjectId>, Failure> {
    let mut objects = Vec::new();
    buffer.resize(BLOCK, 0);
    let mut at = 0;
    let mut zero = None;
    while at < size {
        cancel().map_err(Failure::Other)?;
        let length = usize::try_from(size - at).unwrap_or(BLOCK).min(BLOCK);
        if sparse && data(file, at, size)? >= at + length as u64 {
            let id = match zero {
                Some(id) if length == BLOCK => id,
                _ => to.put(&ZEROES[..length]).map_err(Failure::Other)?,
            };
            zero = (length == BLOCK).then_some(id);
            objects.push(id);
            at += length as u64;
            continue;
        }
        let read = fill(file, &mut buffer[..length], at).map_err(Failure::File)?;
        if read > 0 {
            objects.push(to.put(&buffer[..read]).map_err(Failure::Other)?);
        }
        if read < length {
            break;
        }
        at += length as u64;
    }
    Ok(objects)
}

/// Where the next data begins; the end when there is none.
fn data(file: &File, at: u64, size: u64) -> Result<u64, Failure> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(data),
        Err(Errno::NXIO) => Ok(size),
        // A file system that knows no holes has data everywhere.
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(at),
        Err(error) => Err(Failure::File(error.into())),
    }
}

fn fill(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
