//! What this host remembers of an instance's drills: the last, the last good one, and how often one was put off.

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::InstanceId;
use crate::plan::drill::{Remembered, VERSION};

/// Three short facts.
const MAX_BYTES: u64 = 1 << 16;

/// Reads it. One that is damaged is nothing: the proofs lie beside the snapshots.
///
/// # Errors
/// A newer Summoner wrote it, or it cannot be read.
pub fn load(layout: &Layout, id: &InstanceId) -> Result<Remembered> {
    let path = layout.drilled(id);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(Remembered::default()) };
    let known: Remembered = serde_json::from_slice(&bytes).unwrap_or_default();
    if known.version > VERSION {
        return Err(Error::external(format!("{} was written by a newer Summoner", path.display())).next("use that Summoner again"));
    }
    Ok(known)
}

/// Writes it.
///
/// # Errors
/// The disk refuses.
pub fn save(layout: &Layout, id: &InstanceId, known: &Remembered) -> Result<()> {
    let path = layout.drilled(id);
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    if let Some(folder) = path.parent() {
        disk::ensure_own_folder(folder, 0o700, None)?;
    }
    let mut text =
        serde_json::to_vec_pretty(known).map_err(|error| Error::internal("what is remembered does not serialise").cause(error))?;
    text.push(b'\n');
    crate::apply::crash::point();
    disk::write_atomic(&path, &text, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_and_a_newer_form_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        assert_eq!(load(&layout, &id).unwrap(), Remembered::default());
        let known = Remembered { version: VERSION, put_off: 2, ..Remembered::default() };
        save(&layout, &id, &known).unwrap();
        assert_eq!(load(&layout, &id).unwrap(), known);
        std::fs::write(layout.drilled(&id), "{").unwrap();
        assert_eq!(load(&layout, &id).unwrap(), Remembered::default());
        std::fs::write(layout.drilled(&id), "{\"version\": 2}").unwrap();
        assert!(load(&layout, &id).unwrap_err().message.ends_with("by a newer Summoner"));
    }
}
