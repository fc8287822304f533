//! Forgets copies at a place: the manifest goes first, then what no other copy there is made of, the parts last, so that a
//! cut leaves what the next run understands. Nothing goes that no `parts.json` and no memory of ours names.

use std::collections::BTreeSet;

use super::look::Seen;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::SnapshotId;
use crate::plan::sync::{Memory, State};

/// Forgets one copy; gives the bytes that went. The caller saves the memory afterwards.
pub(super) fn copy(place: &dyn Backend, id: &SnapshotId, seen: &mut Seen, memory: &mut Memory) -> Result<u64> {
    let Some(at) = seen.there.iter().position(|there| there.parts.id == *id) else { return Ok(0) };
    let blob = |name: &str| layout::artefact(&id.instance, &id.stamp(), name);
    let gone = &mut seen.there[at];
    // Should it end on the way, it is no copy any more.
    gone.state = State::Unfinished;
    let parts = gone.parts.clone();
    memory.snapshots.remove(id);
    place.delete(&blob(layout::MANIFEST)).map_err(|error| named(&blob(layout::MANIFEST), error))?;
    let others = seen.there.iter().filter(|there| there.parts.id != *id);
    let living: BTreeSet<&str> = others.flat_map(|there| &there.parts.blobs).map(|part| part.name.as_str()).collect();
    let mut bytes = 0;
    let dead: Vec<_> = parts.blobs.iter().filter(|part| !living.contains(part.name.as_str())).collect();
    for part in &dead {
        place.delete(&part.name).map_err(|error| named(&part.name, error))?;
        bytes += part.bytes;
    }
    for name in [layout::VERIFIED, layout::DRILLED, layout::DRILLED_PAGE, layout::PARTS].map(blob) {
        place.delete(&name).map_err(|error| named(&name, error))?;
    }
    for part in dead {
        seen.listed.remove(&part.name);
        memory.broken.remove(&part.name);
    }
    seen.there.remove(at);
    Ok(bytes)
}

/// Removes what was sent from here for a copy that needs it no more: packs that were written again meanwhile.
pub(super) fn leftovers(place: &dyn Backend, seen: &Seen, memory: &mut Memory, of: &dyn Fn(&str) -> bool) -> Result<u64> {
    let living = seen.parts();
    let (mut bytes, mut dead) = (0, Vec::new());
    for (name, proof) in memory.sent.iter().chain(&memory.begun).filter(|(name, _)| of(name)) {
        if !living.contains_key(name.as_str()) {
            place.delete(name).map_err(|error| named(name, error))?;
            bytes += proof.bytes;
        }
        dead.push(name.clone());
    }
    for name in dead {
        memory.sent.remove(&name);
        memory.begun.remove(&name);
    }
    Ok(bytes)
}

fn named(blob: &str, error: Error) -> Error {
    let why = error.cause.as_ref().map_or_else(|| error.message.clone(), |cause| format!("{}: {cause}", error.message));
    Error { message: format!("cannot remove {blob}"), cause: Some(why), ..error }
}
