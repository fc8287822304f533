//! A whole server from nothing: the record of an installation (what no snapshot of an application holds), and the way back
//! from it on an empty machine.
//!
//! Which snapshots are taken is decided by `plan::recovery`, where bytes lie is the repository's matter, and how an instance
//! comes back is that of `restore`. Touches nothing that is there: a machine that is not empty is refused.

pub mod bring;
pub mod images;
mod parts;
pub mod progress;
pub mod record;
pub mod target;
pub mod unpack;

pub use progress::{Done, Progress};
