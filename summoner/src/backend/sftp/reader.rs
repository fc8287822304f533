//! A file of the server while it is read: so many chunks are asked for ahead, and given in their order.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use super::session::{Fault, Handle, Session};
use super::{CHUNK, Shared};

/// Chunks asked for ahead; all that a reader holds in memory.
const AHEAD: usize = 32;

pub(super) struct Reader {
    shared: Arc<Shared>,
    /// None when it ended or broke.
    open: Option<(Session, Handle)>,
    /// Its name and where it is, for messages.
    what: String,
    size: u64,
    /// Up to here it is asked for, and up to here it came.
    asked: u64,
    came: u64,
    under_way: VecDeque<(u32, u32)>,
    chunk: Vec<u8>,
    given: usize,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, session: Session, handle: Handle, size: u64, what: String) -> Self {
        let open = Some((session, handle));
        Self { shared, open, what, size, asked: 0, came: 0, under_way: VecDeque::new(), chunk: Vec::new(), given: 0 }
    }

    /// The next chunk; an empty one is the end.
    fn next(&mut self) -> Result<Vec<u8>, Fault> {
        let Some((session, handle)) = &mut self.open else { return Ok(Vec::new()) };
        while self.under_way.len() < AHEAD && self.asked < self.size {
            let count = u32::try_from(self.size - self.asked).unwrap_or(u32::MAX).min(CHUNK as u32);
            self.under_way.push_back((session.read(handle, self.asked, count)?, count));
            self.asked += u64::from(count);
        }
        let Some((id, count)) = self.under_way.pop_front() else { return Ok(Vec::new()) };
        let mut bytes = session.data(id)?.unwrap_or_default();
        // A server may give less than it was asked for, also in the middle of a file.
        while bytes.len() < count as usize {
            let at = self.came + bytes.len() as u64;
            let id = session.read(handle, at, count - bytes.len() as u32)?;
            match session.data(id)? {
                Some(more) if !more.is_empty() => bytes.extend_from_slice(&more),
                _ => {
                    let message = format!("it ended after {at} of {} bytes", self.size);
                    return Err(Fault::Lost(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
                }
            }
        }
        bytes.truncate(count as usize);
        self.came += bytes.len() as u64;
        Ok(bytes)
    }

    /// Closes the file and gives the connection back.
    fn end(&mut self) {
        if let Some((mut session, handle)) = self.open.take()
            && self.under_way.is_empty()
            && session.close(&handle).is_ok()
        {
            self.shared.keep(session);
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.given == self.chunk.len() {
            let next = self.next();
            self.chunk = next.map_err(|fault| {
                self.open = None;
                let why = match fault {
                    Fault::Refused(_, message) => message,
                    Fault::Lost(error) | Fault::Source(error) => error.to_string(),
                };
                io::Error::other(format!("cannot read {} to its end: {why}", self.what))
            })?;
            self.given = 0;
            if self.chunk.is_empty() {
                self.end();
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.chunk.len() - self.given);
        buffer[..count].copy_from_slice(&self.chunk[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end();
    }
}
