//! What the last capture saw of each file: it spares reading files that did not change since.
//!
//! A cache: one that is lost, damaged or of another version costs a reading of everything and nothing else.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::node::{Time, Xattrs};
use super::object::ObjectId;
use super::walk::Stat;
use crate::disk;
use crate::error::Result;

/// Begins the file; another version has another one.
const MAGIC: &[u8] = b"summoner seen 1\n";
/// The longest cache that is read: some millions of files.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// A file whose times are not older than this when it was read may change again without another time.
const SETTLED_SECONDS: i64 = 2;

/// All files, by their path in the tree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    files: HashMap<Vec<u8>, Record>,
}

/// One file as it was before it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Bytes.
    pub size: u64,
    /// Inode.
    pub inode: u64,
    /// When its content changed.
    pub mtime: Time,
    /// When anything about it changed.
    pub ctime: Time,
    /// When the pass began that read it; what was written before that is on disk by then.
    pub read_at: Time,
    /// Its content.
    pub objects: Vec<ObjectId>,
    /// Its attributes.
    pub xattrs: Xattrs,
}

impl Record {
    /// Whether the file is certainly as it was when it was read.
    #[must_use]
    pub fn is_current(&self, stat: &Stat) -> bool {
        let same = (self.size, self.inode, self.mtime, self.ctime) == (stat.size, stat.file.1, stat.mtime, stat.ctime);
        let newest = self.mtime.max(self.ctime);
        same && Time { seconds: newest.seconds.saturating_add(SETTLED_SECONDS), ..newest } < self.read_at
    }
}

impl Seen {
    /// Reads the cache of an earlier capture; an empty one where there is none that can be trusted.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        match disk::read_if_there(path, BYTES_MAX) {
            Ok(Some(bytes)) => Self::decode(&bytes).unwrap_or_default(),
            Ok(None) => Self::default(),
            Err(error) => {
                tracing::debug!(%error, "the cache is not used: every file is read");
                Self::default()
            }
        }
    }

    /// Keeps it for the next capture.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            disk::ensure_folder(folder, 0o700, None)?;
        }
        disk::write_atomic(path, &self.encode(), 0o600)
    }

    /// How many files it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What is known of a file.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Record> {
        self.files.get(path)
    }

    /// Takes a record out.
    pub fn take(&mut self, path: &[u8]) -> Option<Record> {
        self.files.remove(path)
    }

    /// Adds a record.
    pub fn insert(&mut self, path: Vec<u8>, record: Record) {
        self.files.insert(path, record);
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (path, record) in &self.files {
            put(&mut out, path);
            number(&mut out, record.size);
            number(&mut out, record.inode);
            for time in [record.mtime, record.ctime, record.read_at] {
                number(&mut out, time.seconds.cast_unsigned());
                number(&mut out, time.nanos.into());
            }
            number(&mut out, record.objects.len() as u64);
            out.extend(record.objects.iter().flat_map(|id| id.0));
            number(&mut out, record.xattrs.len() as u64);
            for (name, value) in &record.xattrs {
                put(&mut out, name);
                put(&mut out, value);
            }
        }
        let sum: [u8; 32] = Sha256::digest(&out).into();
        out.extend(sum);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if <[u8; 32]>::from(Sha256::digest(body)) != *sum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut files = HashMap::new();
        while !rest.is_empty() {
            let path = get(&mut rest)?;
            let (size, inode) = (take_number(&mut rest)?, take_number(&mut rest)?);
            let [mtime, ctime, read_at] = [time(&mut rest)?, time(&mut rest)?, time(&mut rest)?];
            let count = take_number(&mut rest)?;
            let objects = (0..count).map(|_| rest.split_off(..32)?.try_into().ok().map(ObjectId)).collect::<Option<_>>()?;
            let count = take_number(&mut rest)?;
            let xattrs = (0..count).map(|_| Some((get(&mut rest)?, get(&mut rest)?))).collect::<Option<_>>()?;
            files.insert(path, Record { size, inode, mtime, ctime, read_at, objects, xattrs });
        }
        Some(Self { files })
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend(bytes);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    rest.split_off(..8)?.try_into().ok().map(u64::from_le_bytes)
}

fn get(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    rest.split_off(..length).map(<[u8]>::to_vec)
}

fn time(rest: &mut &[u8]) -> Option<Time> {
    Some(Time { seconds: take_number(rest)?.cast_signed(), nanos: u32::try_from(take_number(rest)?).ok()? })
}
