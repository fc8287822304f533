//! An object: a block of a file's content, named by its hash.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Where Summoner cuts: small enough that a database file of which some pages changed costs about these pages, large
/// enough that the names of a file's objects weigh nothing.
pub const BLOCK: usize = 1024 * 1024;
/// The largest object that any reader has to take.
pub const BLOCK_MAX: usize = 4 * 1024 * 1024;

/// The SHA-256 of an object's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 32]);

impl ObjectId {
    /// Names these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for ObjectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut id = [0; 32];
        let lower = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        match hex::decode_to_slice(text, &mut id) {
            Ok(()) if lower => Ok(Self(id)),
            _ => Err(format!("`{}` is no SHA-256", text.escape_debug())),
        }
    }
}

/// The names of objects as a file's content in `tree.tar`: one a line.
#[must_use]
pub fn list(objects: &[ObjectId]) -> Vec<u8> {
    objects.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect()
}
