//! What ran on schedule, in one small JSON file: read by everyone, written by whoever holds the lock of scheduled jobs.
//!
//! History is a convenience: what is stored proves itself by its manifests. So a damaged file is set aside and begun
//! anew, and never stops a backup.

use std::fs;

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::schedule::RunMemory;
use crate::plan::schedule::memory::VERSION;

/// Ten thousand jobs need less.
const MAX_BYTES: u64 = 64 << 20;

/// Reads what ran; a damaged file is an empty memory and a note that says so.
///
/// # Errors
/// The file cannot be read, or a newer Summoner wrote it.
pub fn load(layout: &Layout) -> Result<(RunMemory, Option<String>)> {
    let path = layout.runs();
    let empty = || RunMemory { version: VERSION, ..RunMemory::default() };
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok((empty(), None)) };
    // The version first: a newer form need not parse.
    let any: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
    let version = any.as_ref().ok().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        return Err(Error::new(
            Kind::Config,
            format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display()),
        )
        .next("use the newer program; this one would lose what it cannot read"));
    }
    match any.and_then(serde_json::from_value) {
        Ok(memory) => Ok((memory, None)),
        Err(error) => Ok((empty(), Some(format!("{} is damaged ({error}); what ran before is not known", path.display())))),
    }
}

/// Writes what ran. A damaged file that is there is kept beside it.
///
/// # Errors
/// When the folder cannot be written; the old file is untouched then.
pub fn save(layout: &Layout, memory: &RunMemory) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let bytes =
        serde_json::to_vec_pretty(memory).map_err(|error| Error::internal("the history of runs does not serialise").cause(error))?;
    disk::write_atomic(&layout.runs(), &bytes, 0o600)
}

/// Moves a damaged file out of the way, for a person to look at.
///
/// # Errors
/// When the folder cannot be written.
pub fn set_aside(layout: &Layout) -> Result<()> {
    let path = layout.runs();
    fs::rename(&path, path.with_extension("json.damaged")).map_err(|error| Error::io("move away", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_history_is_told_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        assert_eq!(load(&layout).unwrap(), (RunMemory { version: VERSION, ..RunMemory::default() }, None));
        let memory = load(&layout).unwrap().0;
        save(&layout, &memory).unwrap();
        assert_eq!(load(&layout).unwrap(), (memory, None));
        fs::write(layout.runs(), "{\"version\": 1, \"jobs\": {\"du").unwrap();
        assert!(load(&layout).unwrap().1.unwrap().contains("runs.json is damaged"));
        set_aside(&layout).unwrap();
        assert!(!layout.runs().exists());
        fs::write(layout.runs(), "{\"version\": 2, \"runs\": []}").unwrap();
        assert!(load(&layout).unwrap_err().message.contains("newer Summoner (form 2"));
    }
}
