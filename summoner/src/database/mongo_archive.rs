//! Walks an archive of `mongodump` as it passes and proves it: every namespace that its list names must have ended, with the
//! checksum of its documents right.
//!
//! Knows the format (mongo-tools, common/archive/spec.md): a magic number; a list of BSON documents, the first about the
//! server, each other one about a namespace; then blocks, each a header that names its namespace, documents, and a
//! terminator. The last block of a namespace has no documents, and its header carries their CRC-64. Documents are
//! never held: only their length is looked at.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crc::{Digest, Table};

use super::bson::{Value, fields};
use super::tally::{CRC, Tallies, Tally};

const MAGIC: u32 = 0x8199_e26d;
const TERMINATOR: u32 = 0xffff_ffff;
/// The server's limit for a document is 16 MB, and a little for its own.
const DOCUMENT: usize = 17 << 20;
/// The least: a length and a closing zero.
const LEAST: usize = 5;
/// A block's header: database, collection, whether it is the last, checksum.
const HEADER_FIELDS: usize = 4;
/// A time series keeps its documents in a namespace of this name before its own.
const BUCKETS: &str = "system.buckets.";

/// Where the walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// The first four bytes.
    Magic,
    /// What the archive says of the server.
    Server,
    /// A namespace of the list, or the list's end.
    Listed,
    /// The header of a block; here an archive may end.
    Header,
    /// A document of a block, or the block's end.
    Document,
    /// The terminator after a namespace's last header.
    Last,
}

struct Namespace {
    crc: Digest<'static, u64, Table<16>>,
    documents: Tally,
    ended: bool,
    /// Whether an archive without its end is whole: views have no documents.
    view: bool,
}

/// What an archive holds, proven.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub server_version: String,
    /// Documents by `database.collection`, without views.
    pub documents: Tallies,
}

/// The walker: everything is written to it.
pub(super) struct Walker {
    expect: Expect,
    /// Bytes of a length, or of a document that must be seen whole.
    held: Vec<u8>,
    /// What is left of a document that only passes.
    passing: usize,
    /// Its own checksum, so far.
    document: Digest<'static, u64, Table<16>>,
    server_version: String,
    namespaces: BTreeMap<(String, String), Namespace>,
    /// Whose block it is.
    current: (String, String),
    fault: Option<String>,
}

impl Walker {
    pub(super) fn new() -> Self {
        Self {
            expect: Expect::Magic,
            held: Vec::new(),
            passing: 0,
            document: CRC.digest(),
            server_version: String::new(),
            namespaces: BTreeMap::new(),
            current: Default::default(),
            fault: None,
        }
    }

    /// Takes a piece. After a fault nothing is looked at any more.
    pub(super) fn hear(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.fault.is_none() {
            let taken = if self.passing > 0 { self.pass(piece) } else { Ok(self.gather(piece)) };
            match taken.and_then(|taken| self.step().map(|()| taken)) {
                Ok(taken) => piece = &piece[taken..],
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// What it holds, or what is wrong with it.
    pub(super) fn end(self) -> Result<Archive, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.expect != Expect::Header || !self.held.is_empty() {
            return Err("it ends in the middle".to_owned());
        }
        let mut documents = Tallies::new();
        for ((database, collection), namespace) in self.namespaces {
            if !namespace.ended && !namespace.view {
                return Err(format!("the end of {database}.{collection} is missing"));
            }
            if namespace.view {
                continue;
            }
            documents.insert(format!("{database}.{collection}"), namespace.documents);
        }
        Ok(Archive { server_version: self.server_version, documents })
    }

    /// Part of a document of a block.
    fn pass(&mut self, piece: &[u8]) -> Result<usize, String> {
        let count = piece.len().min(self.passing);
        self.passing -= count;
        let part = &piece[..count];
        if self.passing == 0 && part.last() != Some(&0) {
            return Err(format!("a document of {}.{} has no end", self.current.0, self.current.1));
        }
        self.document.update(part);
        if let Some(namespace) = self.namespaces.get_mut(&self.current) {
            namespace.crc.update(part);
            if self.passing == 0 {
                namespace.documents.add(std::mem::replace(&mut self.document, CRC.digest()).finalize());
            }
        }
        Ok(count)
    }

    /// Bytes towards a length, or towards a whole document where that is needed.
    fn gather(&mut self, piece: &[u8]) -> usize {
        let wanted = match self.length() {
            Some(length) if self.whole() => length,
            _ => 4,
        };
        let count = piece.len().min(wanted.saturating_sub(self.held.len()));
        self.held.extend_from_slice(&piece[..count]);
        count
    }

    fn word(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.held.get(..4)?.try_into().ok()?))
    }

    fn length(&self) -> Option<usize> {
        usize::try_from(self.word()?).ok()
    }

    /// Whether what comes is a document that must be seen whole.
    fn whole(&self) -> bool {
        matches!(self.expect, Expect::Server | Expect::Listed | Expect::Header) && self.word() != Some(TERMINATOR)
    }

    fn step(&mut self) -> Result<(), String> {
        let (Some(word), Some(length)) = (self.word(), self.length()) else { return Ok(()) };
        match (self.expect, word) {
            (Expect::Magic, MAGIC) => self.expect = Expect::Server,
            (Expect::Magic, _) => return Err("it does not begin as an archive does".into()),
            (Expect::Listed | Expect::Document | Expect::Last, TERMINATOR) => self.expect = Expect::Header,
            (Expect::Last, _) => return Err("a namespace goes on after its end".into()),
            _ if !(LEAST..=DOCUMENT).contains(&length) => return Err(format!("a document of {length} bytes cannot be")),
            (Expect::Document, _) => {
                let Some(namespace) = self.namespaces.get_mut(&self.current) else { return Err("a block of no namespace".into()) };
                namespace.crc.update(&self.held);
                self.document = CRC.digest();
                self.document.update(&self.held);
                self.passing = length - 4;
            }
            _ if self.held.len() < length => return Ok(()),
            _ => return self.document(),
        }
        self.held.clear();
        Ok(())
    }

    /// A document that was gathered whole.
    fn document(&mut self) -> Result<(), String> {
        let held = std::mem::take(&mut self.held);
        let fields = fields(&held)?;
        let text = |name: &str| match fields.get(name) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => Err(format!("a header has no {name}")),
        };
        match self.expect {
            Expect::Server => {
                self.server_version = text("server_version")?;
                self.expect = Expect::Listed;
            }
            Expect::Listed => {
                let view = text("type").is_ok_and(|kind| kind == "view");
                let namespace = Namespace { crc: CRC.digest(), documents: Tally::default(), ended: false, view };
                if self.namespaces.insert((text("db")?, text("collection")?), namespace).is_some() {
                    return Err("a namespace is listed twice".into());
                }
            }
            _ => {
                self.current = (text("db")?, text("collection")?);
                if fields.len() != HEADER_FIELDS {
                    return Err("a header has a field too many".into());
                }
                self.block(fields.get("EOF"), fields.get("CRC"))?;
            }
        }
        Ok(())
    }

    /// A block begins, or a namespace ends.
    fn block(&mut self, last: Option<&Value>, crc: Option<&Value>) -> Result<(), String> {
        let name = format!("{}.{}", self.current.0, self.current.1);
        if let (false, Some(series)) = (self.namespaces.contains_key(&self.current), self.current.1.strip_prefix(BUCKETS)) {
            self.current.1 = series.to_owned();
        }
        let Some(namespace) = self.namespaces.get_mut(&self.current) else { return Err(format!("{name} is not in its list")) };
        if namespace.ended {
            return Err(format!("{name} goes on after its end"));
        }
        match (last, crc) {
            (Some(Value::Truth(false)), Some(Value::Number(0))) => self.expect = Expect::Document,
            (Some(Value::Truth(true)), Some(Value::Number(crc))) => {
                if namespace.crc.clone().finalize() != crc.cast_unsigned() {
                    return Err(format!("the checksum of {name} is wrong"));
                }
                namespace.ended = true;
                self.expect = Expect::Last;
            }
            _ => return Err(format!("a header of {name} is not understood")),
        }
        Ok(())
    }
}

/// Passes everything on and walks it on the way.
pub(super) struct Walked<W> {
    /// Where it goes.
    pub into: W,
    /// The walk.
    pub walker: Walker,
}

impl<W: Write> Write for Walked<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.walker.hear(piece);
        self.into.write_all(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests;
