//! What is known of authorities, on disk: one file with a version, written whole.

use super::Places;
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::plan::cert::Memory;

const VERSION: u32 = 1;
/// A thousand certificates need less than 1 MiB.
const MAX_BYTES: u64 = 16 << 20;

/// Reads it; a file that is damaged is set aside, since nothing in it is worth standing still for: the next answers of
/// authorities fill it again.
///
/// # Errors
/// A newer Summoner wrote it, or the disk refuses.
pub fn load(places: &Places) -> Result<Memory> {
    let path = &places.memory;
    let Some(bytes) = disk::read_if_there(path, MAX_BYTES)? else {
        return Ok(Memory { version: VERSION, ..Memory::default() });
    };
    let any: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let version = any.as_ref().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        return Err(Error::new(
            Kind::Config,
            format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display()),
        )
        .next("use the newer program; this one would lose what it cannot read"));
    }
    match any.and_then(|any| serde_json::from_value::<Memory>(any).ok()) {
        Some(memory) => Ok(memory),
        None => {
            disk::rename(path, &path.with_extension("json.damaged"))?;
            Ok(Memory { version: VERSION, ..Memory::default() })
        }
    }
}

/// Writes it.
///
/// # Errors
/// The disk refuses; the old file is untouched then.
pub fn save(places: &Places, memory: &Memory) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(&Memory { version: VERSION, ..memory.clone() })
        .map_err(|error| Error::internal("what is known of authorities does not serialise").cause(error))?;
    crash::point();
    disk::write_atomic(&places.memory, &bytes, 0o600)
}
