//! What is remembered of other places for snapshots, a small JSON file each: written by whoever holds that place's lock.
//!
//! A convenience: what lies there proves itself when it is read. So a damaged file is begun anew, and nothing is lost by it
//! but time.

use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::sync::Memory;
use crate::plan::sync::memory::VERSION;

/// A million blobs need less.
const MAX_BYTES: u64 = 256 << 20;

/// Reads what is remembered of a place.
///
/// # Errors
/// The file cannot be read, or a newer Summoner wrote it.
pub fn load(layout: &Layout, place: &str) -> Result<Memory> {
    let path = layout.copies(place);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(Memory::new()) };
    let any: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
    let version = any.as_ref().ok().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        return Err(Error::new(
            Kind::Config,
            format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display()),
        )
        .next("use the newer program; this one would lose what it cannot read"));
    }
    Ok(any.and_then(serde_json::from_value).unwrap_or_else(|_| Memory::new()))
}

/// Writes what is remembered of a place.
///
/// # Errors
/// When the folder cannot be written; the old file is untouched then.
pub fn save(layout: &Layout, place: &str, memory: &Memory) -> Result<()> {
    let path = layout.copies(place);
    folder(layout, place)?;
    let bytes = serde_json::to_vec(memory).map_err(|error| Error::internal("what is remembered does not serialise").cause(error))?;
    crash::point();
    disk::write_atomic(&path, &bytes, 0o600)
}

/// Makes the folder of these files.
///
/// # Errors
/// When it cannot be made.
pub fn folder(layout: &Layout, place: &str) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let path = layout.copies(place);
    path.parent().map_or(Ok(()), |folder| disk::ensure_own_folder(folder, 0o700, None).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_memory_is_begun_anew_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let mut memory = load(&layout, "attic").unwrap();
        assert_eq!(memory, Memory::new());
        memory.broken.insert("packs/x".into());
        save(&layout, "attic", &memory).unwrap();
        assert_eq!(load(&layout, "attic").unwrap(), memory);
        assert_eq!(load(&layout, "cloud").unwrap(), Memory::new());
        std::fs::write(layout.copies("attic"), "{\"version\": 1, \"sna").unwrap();
        assert_eq!(load(&layout, "attic").unwrap(), Memory::new());
        std::fs::write(layout.copies("attic"), "{\"version\": 2}").unwrap();
        assert!(load(&layout, "attic").unwrap_err().message.contains("newer Summoner (form 2"));
    }
}
