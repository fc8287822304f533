//! One thing takes the place of another on one file system, and back: each move is journalled before it is made.
//!
//! Every act looks at the disk first, so it may be repeated after a crash at any point.

use std::path::Path;

use super::crash;
use crate::disk;
use crate::error::{Error, Result};
use crate::journal::Move;

/// What was there goes to `old`, what is new comes to `live`.
///
/// # Errors
/// The disk refuses; [`put_back`] undoes what was done.
pub fn make(moves: &[Move]) -> Result<()> {
    for each in moves {
        if there(&each.live)? {
            crash::point();
            make_way(&each.old)?;
            disk::move_to(&each.live, &each.old)?;
        }
        if there(&each.new)? {
            crash::point();
            if let Some(folder) = each.live.parent() {
                disk::ensure_folder(folder, 0o755, None)?;
            }
            disk::move_to(&each.new, &each.live)?;
        }
    }
    Ok(())
}

/// What was there before [`make`] is there again, whatever part of it was done.
///
/// # Errors
/// The disk refuses.
pub fn put_back(moves: &[Move]) -> Result<()> {
    for each in moves.iter().rev() {
        let (live, old) = (there(&each.live)?, there(&each.old)?);
        if each.had_live && !live && !old {
            return Err(Error::external(format!("neither {} nor {} is there", each.live.display(), each.old.display()))
                .next("summoner restore INSTANCE --snapshot ID   brings the data back from a snapshot"));
        }
        // The new one took the place: only then is the old one away, or was there none and the new one is gone.
        if live && (old || (!each.had_live && !there(&each.new)?)) {
            crash::point();
            make_way(&each.new)?;
            disk::move_to(&each.live, &each.new)?;
        }
        if old {
            crash::point();
            disk::move_to(&each.old, &each.live)?;
        }
    }
    Ok(())
}

/// The folder that something is moved into; a way back is also made after others were tidied away.
fn make_way(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |folder| disk::ensure_folder(folder, 0o700, None).map(drop))
}

fn there(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    /// Two things of which one was there before, stopped after any number of renames.
    #[test]
    fn whatever_was_done_is_put_back() {
        for done in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let moves = [("a", true), ("b", false)].map(|(name, had_live)| Move {
                live: at(name),
                new: at(&format!("{name}.new")),
                old: at(&format!("{name}.old")),
                had_live,
            });
            std::fs::write(at("a"), "before").unwrap();
            std::fs::write(at("a.new"), "after").unwrap();
            std::fs::write(at("b.new"), "after").unwrap();
            let renames = [("a", "a.old"), ("a.new", "a"), ("b.new", "b")];
            for (from, to) in &renames[..done] {
                std::fs::rename(at(from), at(to)).unwrap();
            }
            put_back(&moves).unwrap();
            assert_eq!((text(&at("a")), text(&at("b"))), (Some("before".into()), None), "after {done} renames");
            put_back(&moves).unwrap();
            make(&moves).unwrap();
            assert_eq!((text(&at("a")), text(&at("b"))), (Some("after".into()), Some("after".into())));
            put_back(&moves).unwrap();
            assert_eq!((text(&at("a")), text(&at("b"))), (Some("before".into()), None));
        }
    }

    #[test]
    fn what_is_gone_twice_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let gone = Move { live: at("a"), new: at("new"), old: at("old"), had_live: true };
        assert!(put_back(&[gone]).unwrap_err().message.starts_with("neither "));
    }
}
