//! Copies folders into trees and objects, and back: the walk, the two passes of a capture, the tar, the extraction.
//!
//! Knows the file system and the two traits through which objects come and go. Knows no repository, no container and no
//! application. Everything here blocks: call it from `spawn_blocking`. `backup` and `restore` call it.

use std::path::PathBuf;

use crate::error::Result;

pub mod attributes;
pub mod capture;
pub mod content;
pub mod extract;
pub mod node;
pub mod object;
pub mod seen;
pub mod stage;
pub mod tar;
pub mod tree;
pub mod walk;

mod place;

pub use capture::{Capture, Captured, StillTotals};
pub use extract::{Totals, extract};
pub use object::ObjectId;
pub use seen::Seen;

/// A folder, or one file, that is captured under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its path in the tree: `files/ghost-content`. No root lies below another one's name.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Folders whose content can be made again: they are kept empty. Absolute, below `path`.
    pub leave_out: Vec<PathBuf>,
}

/// Takes objects.
pub trait Store {
    /// Stores these bytes, unless an object with this content is there.
    ///
    /// # Errors
    /// The disk refuses.
    fn put(&mut self, bytes: &[u8]) -> Result<ObjectId>;

    /// Whether all of these are there already; they belong to this snapshot then.
    fn keep(&mut self, objects: &[ObjectId]) -> bool;
}

/// Gives objects.
pub trait Source {
    /// The size of an object; None when there is none of that name.
    fn size(&self, object: &ObjectId) -> Option<u64>;

    /// Reads each of these once, in the order in which they lie, and hands it over with its hash checked.
    ///
    /// # Errors
    /// One is missing or damaged: named, and nothing of it was handed over. Or `take` failed.
    fn read(&self, objects: &[ObjectId], take: &mut dyn FnMut(ObjectId, &[u8]) -> Result<()>) -> Result<()>;
}
