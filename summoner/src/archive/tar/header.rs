//! The block of 512 bytes that stands before each entry.

use super::super::node::{Kind, Node};
use super::pax;

/// The unit of the format.
pub const RECORD: usize = 512;
/// Room for a name or a link in the header itself.
pub const NAME: usize = 100;
/// The largest owner that eight octal characters hold.
pub const OWNER_MAX: u32 = 0o7_777_777;
/// The largest time or size that twelve octal characters hold.
pub const LONG_MAX: u64 = 0o77_777_777_777;

/// A header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime: i64,
}

impl Header {
    /// The header of an entry; what it has no room for stands in the extended header.
    pub fn of(node: &Node, size: u64) -> Self {
        let (kind, link): (u8, &[u8]) = match &node.kind {
            Kind::File => (b'0', b""),
            Kind::Link(to) => (b'1', to),
            Kind::Symlink(to) => (b'2', to),
            Kind::Folder => (b'5', b""),
            Kind::Fifo => (b'6', b""),
        };
        let name = pax::full_name(node);
        let cut = |bytes: &[u8]| bytes[..bytes.len().min(NAME)].to_vec();
        let small = |owner: u32| if owner > OWNER_MAX { 0 } else { owner };
        let seconds = u64::try_from(node.mtime.seconds).unwrap_or(0).min(LONG_MAX).cast_signed();
        Self { name: cut(&name), link: cut(link), kind, mode: node.mode, uid: small(node.uid), gid: small(node.gid), size, mtime: seconds }
    }

    /// The header before an extended header.
    pub fn extension(size: u64) -> Self {
        Self { name: b"././@PaxHeader".to_vec(), link: Vec::new(), kind: b'x', mode: 0o600, uid: 0, gid: 0, size, mtime: 0 }
    }

    /// As a block.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut block = [0; RECORD];
        block[..self.name.len()].copy_from_slice(&self.name);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], u64::from(self.uid));
        octal(&mut block[116..124], u64::from(self.gid));
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.mtime.unsigned_abs());
        block[156] = self.kind;
        block[157..157 + self.link.len()].copy_from_slice(&self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// From a block.
    pub fn decode(block: &[u8; RECORD]) -> Result<Self, String> {
        let sum = number(&block[148..156]).ok_or("a header without a checksum")?;
        if sum != u64::from(checksum(block)) {
            return Err("a header whose checksum is wrong".into());
        }
        if &block[257..263] != b"ustar\0" || block[345..500].iter().any(|byte| *byte != 0) {
            return Err("a header of another dialect of tar".into());
        }
        let field = |from: usize, to: usize| number(&block[from..to]).ok_or_else(|| "a header whose numbers are none".to_owned());
        let short = |from: usize| field(from, from + 8).and_then(|n| u32::try_from(n).map_err(|_| "a number that is too large".to_owned()));
        Ok(Self {
            name: text(&block[..100]),
            link: text(&block[157..257]),
            kind: block[156],
            mode: short(100)? & 0o7777,
            uid: short(108)?,
            gid: short(116)?,
            size: field(124, 136)?,
            mtime: field(136, 148)?.cast_signed(),
        })
    }
}

fn octal(field: &mut [u8], number: u64) {
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
}

fn number(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

fn text(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// The sum of all bytes, those of the checksum itself as blanks.
fn checksum(block: &[u8; RECORD]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..148]) + sum(&block[156..]) + 8 * u32::from(b' ')
}
