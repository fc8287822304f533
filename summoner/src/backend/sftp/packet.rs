//! The packets of SFTP, version 3 (draft-ietf-secsh-filexfer-02): bytes in, bytes out.

use std::io;

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const FSTAT: u8 = 8;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RMDIR: u8 = 15;
pub(super) const REALPATH: u8 = 16;
pub(super) const RENAME: u8 = 18;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRIBUTES: u8 = 105;
pub(super) const EXTENDED: u8 = 200;
pub(super) const EXTENDED_REPLY: u8 = 201;

pub(super) const TO_READ: u32 = 0x01;
/// A file that is made by this, and is not there already.
pub(super) const TO_WRITE_NEW: u32 = 0x02 | 0x08 | 0x20;

const HAS_SIZE: u32 = 0x01;
const HAS_OWNER: u32 = 0x02;
const HAS_MODE: u32 = 0x04;
const HAS_TIMES: u32 = 0x08;
const HAS_MORE: u32 = 0x8000_0000;
const FILE_TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// A packet on its way out.
pub(super) struct Packet(Vec<u8>);

impl Packet {
    /// One that asks for an answer with this number.
    pub(super) fn new(kind: u8, id: u32) -> Self {
        // The first four bytes are the length, which is known at the end.
        Self(vec![0, 0, 0, 0, kind]).number(id)
    }

    pub(super) fn number(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn text(mut self, value: &[u8]) -> Self {
        // Names and chunks are far below four gigabytes.
        self = self.number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
        self
    }

    /// Attributes that say the mode and nothing else.
    pub(super) fn mode(self, mode: u32) -> Self {
        self.number(HAS_MODE).number(mode)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// What a list or a look says of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: u64,
    mode: u32,
}

impl Attributes {
    pub(super) fn is_folder(self) -> bool {
        self.mode & FILE_TYPE == FOLDER
    }

    pub(super) fn is_file(self) -> bool {
        self.mode & FILE_TYPE == FILE
    }
}

/// What is left of a packet that came in.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let short = || io::Error::new(io::ErrorKind::InvalidData, "the server sent a packet that ends too early");
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> io::Result<u32> {
        let bytes = self.bytes(4)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    pub(super) fn long(&mut self) -> io::Result<u64> {
        Ok(u64::from(self.number()?) << 32 | u64::from(self.number()?))
    }

    pub(super) fn text(&mut self) -> io::Result<&'a [u8]> {
        let count = self.number()? as usize;
        self.bytes(count)
    }

    pub(super) fn attributes(&mut self) -> io::Result<Attributes> {
        let has = self.number()?;
        let mut found = Attributes::default();
        if has & HAS_SIZE != 0 {
            found.size = self.long()?;
        }
        if has & HAS_OWNER != 0 {
            self.long()?;
        }
        if has & HAS_MODE != 0 {
            found.mode = self.number()?;
        }
        if has & HAS_TIMES != 0 {
            self.long()?;
        }
        if has & HAS_MORE != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let bytes = Packet::new(OPEN, 7).text(b"a/b").number(TO_READ).long(1 << 40).mode(0o400).finish();
        assert_eq!(bytes[..5], [0, 0, 0, 32, OPEN]);
        let mut fields = Fields(&bytes[5..]);
        assert_eq!((fields.number().unwrap(), fields.text().unwrap()), (7, b"a/b".as_slice()));
        assert_eq!((fields.number().unwrap(), fields.long().unwrap()), (TO_READ, 1 << 40));
        assert_eq!(fields.attributes().unwrap(), Attributes { size: 0, mode: 0o400 });
        assert!(fields.number().is_err());
    }

    #[test]
    fn what_a_server_sends_does_not_reach_beyond_its_packet() {
        assert!(Fields(&[0, 0, 0, 9, 1]).text().is_err());
        assert!(Fields(&[0xff, 0xff, 0xff, 0xff]).text().is_err());
        assert!(Fields(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).attributes().is_err());
        let all =
            [&[0x80, 0, 0, 0x0f][..], &[0; 8], &[0; 8], &(FILE | 0o400).to_be_bytes(), &[0; 8], &1_u32.to_be_bytes(), &[0; 8]].concat();
        let found = Fields(&all).attributes().unwrap();
        assert!(found.is_file() && !found.is_folder());
    }
}
