//! What people were told of, in one small JSON file; written by whoever tells, under its lock.
//!
//! A convenience, as the history of runs is: a damaged file is set aside and begun anew, and never keeps news back.

use std::fs;

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::told::{Memory, VERSION};

/// Two thousand problems need less.
const MAX_BYTES: u64 = 32 << 20;

/// Reads what was told; a damaged file is an empty memory and a note that says so.
///
/// # Errors
/// The file cannot be read, or a newer Summoner wrote it.
pub fn load(layout: &Layout) -> Result<(Memory, Option<String>)> {
    let path = layout.told();
    let empty = || Memory { version: VERSION, ..Memory::default() };
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
        Err(error) => Ok((empty(), Some(format!("{} is damaged ({error}); what was told before is not known", path.display())))),
    }
}

/// Writes what was told. Only to be called with its lock; a damaged file that is there is kept beside it.
///
/// # Errors
/// When the folder cannot be written, or a newer Summoner wrote the file; it is untouched then.
pub fn save(layout: &Layout, memory: &Memory) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let path = layout.told();
    if load(layout)?.1.is_some() {
        fs::rename(&path, path.with_extension("json.damaged")).map_err(|error| Error::io("move away", &path, &error))?;
    }
    let bytes = serde_json::to_vec_pretty(memory).map_err(|error| Error::internal("what was told does not serialise").cause(error))?;
    disk::write_atomic(&path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::told::{About, Seen};

    #[test]
    fn a_damaged_memory_is_told_and_kept_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let (mut memory, none) = load(&layout).unwrap();
        assert_eq!(none, None);
        let now = "2026-11-21T02:00:00Z".parse().unwrap();
        let seen = Seen { subject: "backup a-b.fr".into(), about: About::Job, instance: None, message: "no".into() };
        memory.failed(&seen, now);
        memory.answered("hook", Some("it ended with 1"), now);
        memory.looked_at = Some(now);
        save(&layout, &memory).unwrap();
        assert_eq!(load(&layout).unwrap(), (memory.clone(), None));
        fs::write(layout.told(), "{\"version\": 1, \"prob").unwrap();
        assert!(load(&layout).unwrap().1.unwrap().contains("told.json is damaged"));
        save(&layout, &memory).unwrap();
        assert_eq!(fs::read_to_string(layout.own().join("told.json.damaged")).unwrap(), "{\"version\": 1, \"prob");
        fs::write(layout.told(), "{\"version\": 2, \"people\": []}").unwrap();
        assert!(load(&layout).unwrap_err().message.contains("newer Summoner (form 2"));
        assert!(save(&layout, &memory).is_err());
        assert!(fs::read_to_string(layout.told()).unwrap().contains("people"));
    }
}
