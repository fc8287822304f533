//! The tar that Summoner writes and reads: POSIX `ustar` with PAX records (`path`, `linkpath`, `uid`, `gid`, `mtime`, and
//! `SCHILY.xattr.*` as GNU tar and bsdtar write them).
//!
//! The `tar` crate loses nanoseconds, links and attributes and takes more than we write; this takes only our own dialect,
//! so that a tampered archive has little to try. Knows bytes, no file system.

use std::io::{self, Read, Write};

use super::node::{Kind, Node, Time};

mod header;
mod pax;

use header::{Header, RECORD};

/// The longest extended header that is read: attributes of 64 KiB each, and some of them.
const PAX_MAX: u64 = 1024 * 1024;

/// Writes entries one after the other.
pub struct Writer<W: Write> {
    inner: W,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Adds an entry whole.
    ///
    /// # Errors
    /// Of the writer below.
    pub fn append(&mut self, node: &Node, content: &[u8]) -> io::Result<()> {
        self.begin(node, content.len() as u64)?;
        self.inner.write_all(content)?;
        self.pad(content.len())
    }

    /// Adds an entry whose content comes in pieces.
    ///
    /// # Errors
    /// Of the writer below, or the content is not as long as was said.
    pub fn append_from(&mut self, node: &Node, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.begin(node, size)?;
        if io::copy(&mut content.take(size), &mut self.inner)? < size {
            return Err(short());
        }
        let over = usize::try_from(size % RECORD as u64).unwrap_or_default();
        self.pad(over)
    }

    fn begin(&mut self, node: &Node, size: u64) -> io::Result<()> {
        let records = pax::write(node);
        if !records.is_empty() {
            let length = records.len();
            self.inner.write_all(&Header::extension(length as u64).encode())?;
            self.inner.write_all(&records)?;
            self.pad(length)?;
        }
        self.inner.write_all(&Header::of(node, size).encode())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Of the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * RECORD])?;
        Ok(self.inner)
    }

    /// Where it writes.
    pub fn inner(&self) -> &W {
        &self.inner
    }

    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.inner.write_all(&[0; RECORD][..length.next_multiple_of(RECORD) - length])
    }
}

/// Reads entries one after the other.
pub struct Reader<R: Read> {
    inner: R,
    /// Content of the current entry that was not read yet, and the padding behind it.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Begins to read an archive.
    pub fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0 }
    }

    /// The next entry and its size; None at the end of the archive.
    ///
    /// # Errors
    /// It ends in the middle, or is not in our dialect: the words say where.
    pub fn next_entry(&mut self) -> io::Result<Option<(Node, u64)>> {
        self.skip()?;
        let mut pax = pax::Records::default();
        let mut header = self.header()?;
        if header.as_ref().is_some_and(|header| header.kind == b'x') {
            let size = header.as_ref().map_or(0, |header| header.size);
            if size > PAX_MAX {
                return Err(refuse(format!("an extended header of {size} bytes")));
            }
            self.expect(size);
            let mut bytes = Vec::new();
            self.content().read_to_end(&mut bytes)?;
            self.skip()?;
            pax = pax::read(&bytes).map_err(refuse)?;
            header = self.header()?;
            if header.is_none() {
                return Err(refuse("it ends behind an extended header".into()));
            }
        }
        let Some(header) = header else { return self.ended().map(|()| None) };
        let size = header.size;
        let node = node(header, pax)?;
        if size > 0 && node.kind != Kind::File {
            return Err(refuse(format!("{} is no file and has content", node.path.escape_ascii())));
        }
        self.expect(size);
        Ok(Some((node, size)))
    }

    /// The content of the entry that came last.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(RECORD as u64) - size;
    }

    fn skip(&mut self) -> io::Result<()> {
        let all = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.inner).take(all), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped < all { Err(short()) } else { Ok(()) }
    }

    /// None for the block of zeroes at the end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; RECORD];
        self.inner.read_exact(&mut block).map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { short() } else { error })?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        Header::decode(&block).map(Some).map_err(refuse)
    }

    /// Behind the first block of zeroes there is only zeroes, to the end of the stream: checksums are checked by that.
    fn ended(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.inner.read(&mut buffer)? {
                0 => return Ok(()),
                read if buffer[..read].iter().any(|byte| *byte != 0) => return Err(refuse("something lies behind its end".into())),
                _ => {}
            }
        }
    }
}

/// Reads the content of one entry.
pub struct Content<'a, R: Read> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.reader.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.reader.inner.read(&mut buffer[..wanted])?;
        self.reader.left -= read as u64;
        if read == 0 { Err(short()) } else { Ok(read) }
    }
}

fn node(header: Header, pax: pax::Records) -> io::Result<Node> {
    let mut path = pax.path.unwrap_or(header.name);
    let link = pax.link.unwrap_or(header.link);
    let kind = match header.kind {
        b'0' | 0 => Kind::File,
        b'1' => Kind::Link(link),
        b'2' => Kind::Symlink(link),
        b'5' => Kind::Folder,
        b'6' => Kind::Fifo,
        b'3' | b'4' => return Err(refuse(format!("{} is a device node", path.escape_ascii()))),
        other => return Err(refuse(format!("{} is of the unknown kind `{}`", path.escape_ascii(), other.escape_ascii()))),
    };
    if kind == Kind::Folder && path.ends_with(b"/") {
        path.pop();
    }
    let mtime = pax.mtime.unwrap_or(Time { seconds: header.mtime, nanos: 0 });
    let (uid, gid) = (pax.uid.unwrap_or(header.uid), pax.gid.unwrap_or(header.gid));
    Ok(Node { path, kind, mode: header.mode, uid, gid, mtime, xattrs: pax.xattrs })
}

fn refuse(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle")
}

#[cfg(test)]
mod tests;
