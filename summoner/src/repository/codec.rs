//! The chain of streams between bytes and a file: compression and hash on the way out, both checked on the way in.
//!
//! Which compression a file has is told by its first bytes, not by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::disk;
use crate::error::{Error, Result};

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Fast enough that the disk is the limit, and half of what a database dump takes.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 4;
/// More threads than this find no work beside the one that reads and hashes.
const THREADS: usize = 2;
/// What a thread takes at a time: bounds memory.
const JOB: u32 = 2 * 1024 * 1024;
/// No job begins with the end of the one before it: that costs a tenth of the work and saves a hundredth of the bytes.
const NO_OVERLAP: u32 = 1;
const BUFFER: usize = 256 * 1024;
/// How much is written between two early flushes.
const EARLY: u64 = 16 * 1024 * 1024;

/// How artefacts and packs are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// zstd with checksums.
    #[default]
    Zstd,
    /// gzip, which every machine opens.
    Gzip,
}

impl Compression {
    /// What it adds to a file's name.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }
}

/// A file that is written compressed and hashed; dropped unfinished, it is removed.
pub struct Output {
    encoder: Option<Encoder>,
    path: PathBuf,
    raw: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Size of the file.
    pub bytes: u64,
    /// Size before compression.
    pub raw: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

enum Encoder {
    Zstd(zstd::Encoder<'static, Hashing>),
    Gzip(GzEncoder<Hashing>),
}

impl Output {
    /// Makes a file.
    ///
    /// # Errors
    /// It is there already, or the folder cannot be written.
    pub fn create(path: &Path, compression: Compression) -> Result<Self> {
        Self::with_threads(path, compression, std::thread::available_parallelism().map_or(1, usize::from).min(THREADS))
    }

    /// As [`Output::create`], for what is little beside something large that is written at the same time.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create_small(path: &Path, compression: Compression) -> Result<Self> {
        Self::with_threads(path, compression, 1)
    }

    fn with_threads(path: &Path, compression: Compression, threads: usize) -> Result<Self> {
        let file = disk::create_new(path, 0o600)?;
        let early = if threads > 1 { Some(Early::begin(&file).map_err(|error| Error::io("flush", path, &error))?) } else { None };
        let out = Hashing { file: BufWriter::with_capacity(BUFFER, file), hash: Sha256::new(), bytes: 0, early };
        let encoder = match compression {
            Compression::Zstd => Encoder::Zstd(zstd_encoder(out, threads).map_err(|error| Error::io("compress to", path, &error))?),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))),
        };
        Ok(Self { encoder: Some(encoder), path: path.to_path_buf(), raw: 0 })
    }

    /// Ends it and flushes it to disk.
    ///
    /// # Errors
    /// The disk refuses; the file is removed.
    pub fn finish(mut self) -> Result<Written> {
        let fail = |error: io::Error| Error::io("write", &self.path, &error);
        let Some(encoder) = self.encoder.take() else { return Err(Error::internal("a file was ended twice")) };
        let ended = match encoder {
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Gzip(encoder) => encoder.finish(),
        };
        let flushed = ended.and_then(|mut out| {
            out.file.flush()?;
            out.early.take().map_or(Ok(()), Early::end)?;
            out.file.get_ref().sync_all().map(|()| out)
        });
        match flushed {
            Ok(out) => Ok(Written { bytes: out.bytes, raw: self.raw, sha256: hex::encode(out.hash.finalize()) }),
            Err(error) => {
                let error = fail(error);
                remove(&self.path);
                Err(error)
            }
        }
    }
}

fn zstd_encoder(out: Hashing, threads: usize) -> io::Result<zstd::Encoder<'static, Hashing>> {
    let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    if threads > 1 {
        encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
        encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(JOB))?;
        encoder.set_parameter(zstd::zstd_safe::CParameter::OverlapSizeLog(NO_OVERLAP))?;
    }
    Ok(encoder)
}

/// A file that cannot be removed here is removed with its draft.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "an unfinished file stays until the draft goes");
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.encoder {
            Some(Encoder::Zstd(encoder)) => encoder.write(bytes)?,
            Some(Encoder::Gzip(encoder)) => encoder.write(bytes)?,
            None => 0,
        };
        self.raw += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing is promised before `finish`; flushing a compressor only costs.
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.encoder.take().is_some() {
            remove(&self.path);
        }
    }
}

struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    early: Option<Early>,
}

/// Flushes a file while it is still being written, so that the last flush finds little to do.
struct Early {
    wake: SyncSender<()>,
    /// What was written since it was last woken.
    since: u64,
    /// The kernel tells an error of the disk once: what was heard here must not get lost.
    thread: JoinHandle<io::Result<()>>,
}

impl Early {
    fn begin(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let work = move || woken.iter().try_for_each(|()| file.sync_data());
        let thread = std::thread::Builder::new().name("flush".into()).spawn(work)?;
        Ok(Self { wake, since: 0, thread })
    }

    fn wrote(&mut self, bytes: usize) {
        self.since += bytes as u64;
        if self.since >= EARLY {
            self.since = 0;
            // One that is at work, or that failed, is woken in vain: the end decides.
            let woken = self.wake.try_send(());
            tracing::trace!(?woken, "early flush");
        }
    }

    fn end(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that flushes ended")))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        if let Some(early) = &mut self.early {
            early.wrote(written);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads what a compressed stream holds; checksums of the format are checked on the way.
///
/// # Errors
/// It begins as no format that Summoner writes.
pub fn decoded(from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut from = BufReader::with_capacity(BUFFER, from);
    let first = from.fill_buf()?;
    if first.starts_with(&ZSTD) {
        return Ok(Box::new(zstd::Decoder::with_buffer(from)?));
    }
    if first.starts_with(&GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(from)));
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is neither zstd nor gzip"))
}

/// As [`decoded`]; at the end of the stream the hash of the compressed bytes must be this, or the last read fails.
///
/// # Errors
/// As [`decoded`].
pub fn checked(from: Box<dyn Read + Send>, sha256: &str) -> io::Result<Box<dyn Read + Send>> {
    let hash = Arc::new(Mutex::new(Sha256::new()));
    let inner = decoded(Tapped { inner: from, hash: Arc::clone(&hash) })?;
    Ok(Box::new(Checked { inner, hash, wanted: sha256.to_owned() }))
}

/// The hash of a stream, read to its end.
///
/// # Errors
/// It cannot be read.
pub fn sha256(mut from: impl Read) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((hex::encode(hash.finalize()), bytes)),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

struct Tapped {
    inner: Box<dyn Read + Send>,
    hash: Arc<Mutex<Sha256>>,
}

impl Read for Tapped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..read]);
        Ok(read)
    }
}

struct Checked {
    inner: Box<dyn Read + Send>,
    hash: Arc<Mutex<Sha256>>,
    wanted: String,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            let found = hex::encode(self.hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize());
            if found != self.wanted {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its hash is not the one that was written down"));
            }
        }
        Ok(read)
    }
}
