//! What lies at a place: the list of its blobs, and of each snapshot what its `parts.json` says. No key is needed for that.

use std::collections::{BTreeMap, BTreeSet};

use crate::backend::Backend;
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::snapshot::SnapshotId;
use crate::plan::sync::{Memory, Part, Parts, State, There, VERSION};
use crate::repository::read_text;

/// A place as it was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Sizes of blobs by name.
    pub(super) listed: BTreeMap<String, u64>,
    /// Snapshots that were brought there by a Summoner.
    pub there: Vec<There>,
    /// Folders of snapshots that say nothing that could be understood: nobody's business here.
    pub strange: Vec<String>,
    /// Instances of which something lies there that says not what it is made of: nothing of theirs is removed.
    pub unclear: BTreeSet<String>,
}

impl Seen {
    /// Takes over which packs of an instance lie there now.
    pub(super) fn list_again(&mut self, place: &dyn Backend, instance: &InstanceId) -> Result<()> {
        let packs = place.list(&layout::packs(instance))?;
        self.listed.extend(packs.into_iter().map(|blob| (blob.name, blob.bytes)));
        Ok(())
    }

    /// Everything that copies are made of, by name.
    pub(super) fn parts(&self) -> BTreeMap<&str, &Part> {
        self.there.iter().flat_map(|there| &there.parts.blobs).map(|part| (part.name.as_str(), part)).collect()
    }
}

/// Looks at a place, or at what it holds of these instances. Lists of some stores lag: what is remembered and not listed
/// is asked for by its name.
///
/// # Errors
/// The place cannot be read, or a newer Summoner wrote there.
pub fn look(place: &dyn Backend, only: Option<&BTreeSet<InstanceId>>, memory: &Memory) -> Result<Seen> {
    let mut seen = Seen::default();
    let prefixes: Vec<String> = match only {
        None => vec![layout::SNAPSHOTS.to_owned(), layout::PACKS.to_owned()],
        Some(only) => only.iter().flat_map(|id| [layout::snapshots(Some(id)), layout::packs(id)]).collect(),
    };
    for prefix in prefixes {
        seen.listed.extend(place.list(&prefix)?.into_iter().map(|blob| (blob.name, blob.bytes)));
    }
    let mut ids: BTreeSet<SnapshotId> = BTreeSet::new();
    for name in seen.listed.keys().filter_map(|name| name.strip_suffix(&format!("/{}", layout::PARTS))) {
        match name.strip_prefix(layout::SNAPSHOTS).and_then(|name| name.parse::<SnapshotId>().ok()) {
            Some(id) => _ = ids.insert(id),
            None => seen.strange.push(name.to_owned()),
        }
    }
    let remembered = memory.snapshots.iter().filter(|id| only.is_none_or(|only| only.contains(&id.instance)));
    let unlisted: Vec<&SnapshotId> = remembered.filter(|id| !ids.contains(id)).collect();
    for id in ids.iter().chain(unlisted.iter().copied()) {
        match parts(place, id)? {
            Some(Ok(parts)) => {
                let state = if ids.contains(id) { state(&parts, &seen.listed, memory) } else { asked_for(place, id)? };
                seen.there.push(There { parts, state });
            }
            Some(Err(why)) => {
                seen.unclear.insert(id.instance.to_string());
                seen.strange.push(format!("{id}: {why}"));
            }
            None => {}
        }
    }
    let ending = format!("/{}", layout::MANIFEST);
    for folder in seen.listed.keys().filter_map(|name| name.strip_prefix(layout::SNAPSHOTS)?.strip_suffix(&ending)) {
        if !seen.there.iter().any(|there| there.parts.id.to_string() == folder) {
            seen.unclear.extend(folder.split('/').next().map(str::to_owned));
        }
    }
    Ok(seen)
}

fn blob(id: &SnapshotId, name: &str) -> String {
    layout::artefact(&id.instance, &id.stamp(), name)
}

/// Reads `parts.json` of a snapshot; why it cannot be understood.
fn parts(place: &dyn Backend, id: &SnapshotId) -> Result<Option<Result<Parts, String>>> {
    let name = blob(id, layout::PARTS);
    let Some(text) = read_text(place, &name)? else { return Ok(None) };
    let any: Result<serde_json::Value, _> = serde_json::from_str(&text);
    let version = any.as_ref().ok().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        let message =
            format!("{name} at {} was written by a newer Summoner (form {version}, this program knows {VERSION})", place.location());
        return Err(Error::new(Kind::External, message).next("use the newer program"));
    }
    let parts: Parts = match any.and_then(serde_json::from_value) {
        Ok(parts) => parts,
        Err(error) => return Ok(Some(Err(format!("{} is damaged: {error}", layout::PARTS)))),
    };
    // Whoever can write there must not lead us to what is not this snapshot's.
    let (packs, own) = (layout::packs(&id.instance), blob(id, ""));
    let stray = parts.blobs.iter().find(|part| !(part.name.starts_with(&packs) || part.name.starts_with(&own)) || part.name.contains(".."));
    Ok(Some(match stray {
        _ if parts.id != *id => Err(format!("{} is that of {}", layout::PARTS, parts.id)),
        Some(stray) => Err(format!("{} names {}, which is not of this snapshot", layout::PARTS, stray.name)),
        None => Ok(parts),
    }))
}

fn state(parts: &Parts, listed: &BTreeMap<String, u64>, memory: &Memory) -> State {
    if !listed.contains_key(&blob(&parts.id, layout::MANIFEST)) {
        return State::Unfinished;
    }
    for part in &parts.blobs {
        let short = || part.name.rsplit('/').next().unwrap_or_default().to_owned();
        match listed.get(&part.name) {
            None => return State::Broken(format!("{} is missing", short())),
            Some(bytes) if *bytes != part.bytes => {
                return State::Broken(format!("{} has {bytes} bytes instead of {}", short(), part.bytes));
            }
            Some(_) if memory.broken.contains(&part.name) => return State::Broken(format!("{} is not as it was sent", short())),
            Some(_) => {}
        }
    }
    State::Whole
}

/// What the list does not show yet, or shows no more.
fn asked_for(place: &dyn Backend, id: &SnapshotId) -> Result<State> {
    let there = place.get(&blob(id, layout::MANIFEST));
    // One that does not open with the keys at hand is there.
    let there = matches!(there, Err(Error { kind: Kind::WrongKey, .. })) || there?.is_some();
    Ok(if there { State::Whole } else { State::Unfinished })
}
