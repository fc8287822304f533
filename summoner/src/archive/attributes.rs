//! Extended attributes of an entry, read and set without following a link.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, llistxattr_query, lsetxattr};
use rustix::io::Errno;

use super::node::Xattrs;

/// What Linux allows for one value, and for the list of names.
const MOST: usize = 64 * 1024;

/// Reads all attributes of an entry of an open folder.
///
/// # Errors
/// Of the system; a file system without attributes has none.
pub fn read(folder: BorrowedFd<'_>, name: &CStr) -> Result<Xattrs, Errno> {
    let path = path(folder, name);
    // Most entries have none: ask for the length first, without a buffer.
    let length = match llistxattr_query(path.as_slice()) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
        Ok(length) => length,
        Err(error) => return Err(error),
    };
    let mut names = vec![0; length.clamp(4096, MOST)];
    let length = llistxattr(path.as_slice(), names.as_mut_slice())?;
    let mut value = vec![0; MOST];
    let mut all = Xattrs::new();
    for key in names[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        match lgetxattr(path.as_slice(), key, value.as_mut_slice()) {
            Ok(length) => all.push((key.to_vec(), value[..length].to_vec())),
            // Taken away since it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    all.sort();
    Ok(all)
}

/// Sets attributes of an entry of an open folder.
///
/// # Errors
/// Of the system.
pub fn set(folder: BorrowedFd<'_>, name: &CStr, xattrs: &Xattrs) -> Result<(), Errno> {
    let path = path(folder, name);
    xattrs.iter().try_for_each(|(key, value)| lsetxattr(path.as_slice(), key.as_slice(), value, XattrFlags::empty()))
}

/// There is no `lgetxattrat` on the kernels of today; the folder's descriptor as a path names exactly the opened folder.
fn path(folder: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend(name.to_bytes());
    path
}
