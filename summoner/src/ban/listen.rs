//! The socket on which nginx tells of sign-ins, a datagram each. Whatever is not exactly one of our lines is counted and
//! dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::UnixDatagram;

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::ban::line::MAX_LINE;

/// nginx's workers are another user. The folder above is ours alone, and only nginx's container has this one.
const MODE: u32 = 0o666;

/// The open socket.
pub(super) struct Socket {
    socket: UnixDatagram,
    buffer: Vec<u8>,
}

impl Socket {
    /// Takes the place of whoever listened before.
    ///
    /// # Errors
    /// The folder cannot be written, or its path is longer than a socket's may be.
    pub(super) fn open(layout: &Layout) -> Result<Self> {
        disk::ensure_own_folder(&layout.own(), 0o700, None)?;
        disk::ensure_own_folder(&layout.nginx(), 0o755, None)?;
        let path = layout.nginx_sign_ins();
        remove(&path)?;
        let socket = bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).map_err(|error| Error::io("set the mode of", &path, &error))?;
        // One byte more than a line may have tells a whole one from one that was cut.
        Ok(Self { socket, buffer: vec![0; MAX_LINE + 1] })
    }

    /// Waits for the next datagram. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// The socket is broken.
    pub(super) async fn hear(&mut self) -> Result<&[u8]> {
        let length =
            self.socket.recv(&mut self.buffer).await.map_err(|error| Error::external("cannot hear nginx's sign-ins").cause(error))?;
        Ok(&self.buffer[..length])
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// A socket's path has 107 bytes at most (unix(7)); through the folder's descriptor any path fits.
fn bind(path: &Path) -> Result<UnixDatagram> {
    use std::os::fd::AsRawFd;
    let fail = |error: &std::io::Error| Error::io("listen on", path, error);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::internal(format!("{} is no place for a socket", path.display())));
    };
    let folder = fs::File::open(folder).map_err(|error| fail(&error))?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixDatagram::bind(short).map_err(|error| fail(&error))
}
