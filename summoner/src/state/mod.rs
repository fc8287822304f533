//! What no engine can tell, kept in one small JSON file; and the secrets beside it.
//!
//! One writer at a time (the host's lock). A newer file is refused: an older program would lose what it cannot read.

pub mod card;
pub mod copies;
pub mod runs;
pub mod secrets;
pub mod told;

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::state::Memory;

/// The form that this program writes.
pub const VERSION: u32 = 1;
/// A thousand instances need less than 1 MiB.
const MAX_BYTES: u64 = 16 << 20;

/// Reads what is remembered; nothing yet is an empty memory.
///
/// # Errors
/// A damaged file, or one that a newer Summoner wrote.
pub fn load(layout: &Layout) -> Result<Memory> {
    let path = layout.state();
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else {
        return Ok(Memory { version: VERSION, ..Memory::default() });
    };
    let damaged = |error: serde_json::Error| {
        Error::new(Kind::Config, format!("{} is damaged", path.display()))
            .cause(error)
            .next(format!("move it away and run summoner install: containers, data and secrets are found again, image locks are made anew; mv {0} {0}.damaged", path.display()))
    };
    // The version first: a newer form need not parse.
    let any: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    let version = any.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(VERSION) {
        return Err(Error::new(
            Kind::Config,
            format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display()),
        )
        .next("use the newer program; this one would lose what it cannot read"));
    }
    serde_json::from_value(any).map_err(damaged)
}

/// Writes what is remembered.
///
/// # Errors
/// When the folder cannot be written; the old file is untouched then.
pub fn save(layout: &Layout, memory: &Memory) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let bytes = serde_json::to_vec_pretty(&Memory { version: VERSION, ..memory.clone() })
        .map_err(|error| Error::internal("the state does not serialise").cause(error))?;
    disk::write_atomic(&layout.state(), &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        std::fs::create_dir(layout.own()).unwrap();
        (folder, layout)
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (_folder, layout) = layout();
        assert_eq!(load(&layout).unwrap().version, VERSION);
        let mut memory = Memory { version: VERSION, network_range: Some("10.213.0.0/16".into()), ..Memory::default() };
        memory.instances.entry("ghost-a.fr".parse().unwrap()).or_default().subnet = Some("10.213.4.0/27".into());
        save(&layout, &memory).unwrap();
        assert_eq!(load(&layout).unwrap(), memory);
    }

    #[test]
    fn a_newer_form_is_refused_and_a_damaged_one_named() {
        let (_folder, layout) = layout();
        std::fs::write(layout.state(), r#"{"version": 2, "shape": "unknown"}"#).unwrap();
        let error = load(&layout).unwrap_err();
        assert!(error.message.contains("written by a newer Summoner (form 2"), "{error}");
        std::fs::write(layout.state(), "{\"version\": 1, \"inst").unwrap();
        let error = load(&layout).unwrap_err();
        assert!(error.message.ends_with("state.json is damaged"), "{error}");
    }
}
