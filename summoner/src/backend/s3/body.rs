//! An object while it is read: bytes come in steps, so that no more than one step is in memory.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::GetResult;

use crate::backend::wire;

/// Fetched at a time: crossing to the network's thread costs too much to be done for each packet.
const STEP: usize = 1 << 20;

type Stream = BoxStream<'static, object_store::Result<Bytes>>;

pub(super) struct Body {
    /// Its name and where it is, for messages.
    what: String,
    /// None when it has ended.
    stream: Option<Stream>,
    fetched: Vec<Bytes>,
    /// What the store promised, and what came.
    size: u64,
    came: u64,
}

impl Body {
    pub(super) fn new(found: GetResult, what: String) -> Self {
        let size = found.range.end - found.range.start;
        Self { what, stream: Some(found.into_stream()), fetched: Vec::new(), size, came: 0 }
    }

    /// Fetches a step; false at the end.
    fn fetch(&mut self) -> io::Result<bool> {
        let Some(stream) = self.stream.take() else { return Ok(false) };
        let (stream, fetched) = wire::run(step(stream)).map_err(io::Error::other)?;
        let mut fetched = fetched.map_err(|error| io::Error::other(format!("cannot read {} to its end: {error}", self.what)))?;
        self.came += fetched.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.stream = stream;
        if self.stream.is_none() && self.came != self.size {
            let message = format!("{} ended after {} of {} bytes", self.what, self.came, self.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        fetched.reverse();
        self.fetched = fetched;
        Ok(!self.fetched.is_empty())
    }
}

/// The next bytes, and the stream unless it has ended.
async fn step(mut stream: Stream) -> (Option<Stream>, object_store::Result<Vec<Bytes>>) {
    let (mut fetched, mut count) = (Vec::new(), 0);
    while count < STEP {
        match stream.next().await {
            Some(Ok(bytes)) => {
                count += bytes.len();
                fetched.push(bytes);
            }
            Some(Err(error)) => return (None, Err(error)),
            None => return (None, Ok(fetched)),
        }
    }
    (Some(stream), Ok(fetched))
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.fetched.last().is_none_or(Bytes::is_empty) {
            if self.fetched.pop().is_none() && !self.fetch()? {
                return Ok(0);
            }
        }
        let Some(bytes) = self.fetched.last_mut() else { return Ok(0) };
        let count = bytes.len().min(buffer.len());
        bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
