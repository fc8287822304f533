//! Reads back what lies at a place: every blob as `parts.json` says, for which no key is needed; with a key, every object
//! too.

use super::look::Seen;
use crate::error::Result;
use crate::layout::repository as layout;
use crate::plan::sync::{Memory, State, There};
use crate::repository::Repository;

/// What is wrong with a copy; none is good. What differs is remembered, and sent again by the next `sync`.
///
/// # Errors
/// The place cannot be read, or the work was interrupted.
pub fn copy(
    place: &Repository,
    there: &There,
    read_data: bool,
    memory: &mut Memory,
    cancel: &dyn Fn() -> Result<()>,
) -> Result<Option<String>> {
    let mut fault = None;
    for part in &there.parts.blobs {
        cancel()?;
        let why = match place.backend().read_back(&part.name)? {
            None => "is missing".to_owned(),
            Some(back) if back.bytes != part.bytes => format!("has {} bytes instead of {}", back.bytes, part.bytes),
            Some(back) if back.sha256 != part.sha256 => "is not as it was sent: its hash differs".to_owned(),
            Some(_) => {
                memory.broken.remove(&part.name);
                continue;
            }
        };
        memory.broken.insert(part.name.clone());
        fault.get_or_insert(format!("{} {why}", part.name));
    }
    let id = &there.parts.id;
    let manifest = layout::artefact(&id.instance, &id.stamp(), layout::MANIFEST);
    if place.backend().read_back(&manifest)?.is_none() {
        fault.get_or_insert(match there.state {
            State::Unfinished => "its copy was begun and has not ended".to_owned(),
            State::Whole | State::Broken(_) => format!("{manifest} is missing"),
        });
    }
    if fault.is_none() && read_data {
        fault = place.inspect(id)?;
    }
    Ok(fault)
}

/// The copies there of which these names speak: ids, times, instances or applications; all when there are none.
#[must_use]
pub fn chosen<'a>(seen: &'a Seen, names: &[String]) -> Vec<&'a There> {
    let fits = |there: &&There| {
        let id = &there.parts.id;
        let meant = |name: &String| {
            id.to_string() == *name || id.stamp() == *name || id.instance.to_string() == *name || id.instance.app.as_str() == name
        };
        names.is_empty() || names.iter().any(meant)
    };
    let mut found: Vec<&There> = seen.there.iter().filter(fits).collect();
    found.sort_by(|a, b| (a.parts.id.time, &a.parts.id).cmp(&(b.parts.id.time, &b.parts.id)));
    found
}
