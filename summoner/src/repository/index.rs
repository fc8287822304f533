//! Which object lies in which pack of an instance: read from the lists beside the packs, or from a pack whose list is lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use super::codec;
use crate::archive::object::BLOCK_MAX;
use crate::archive::{ObjectId, Source, tar};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;

/// The list of a pack.
pub const OBJECTS: &str = "objects";
/// Marks a pack that was found damaged: nothing new relies on it.
pub const DAMAGED: &str = "damaged";
/// The longest list that is read.
const LIST_MAX: u64 = 256 * 1024 * 1024;

/// A pack of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The first half of the SHA-256 of its file.
    pub id: String,
    /// The blob.
    pub blob: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it was found damaged.
    pub damaged: bool,
    /// Its objects and their sizes, as they lie.
    pub objects: Vec<(ObjectId, u32)>,
}

/// All packs of an instance.
pub struct Index {
    backend: Arc<dyn Backend>,
    /// By id.
    pub packs: Vec<Pack>,
    /// Pack and size.
    objects: HashMap<ObjectId, (u32, u32)>,
    /// Files among the packs that are none of ours.
    pub strays: Vec<String>,
    /// Packs whose list was lost and made again.
    pub relisted: Vec<usize>,
}

impl Index {
    /// Reads the lists of all packs of an instance.
    ///
    /// # Errors
    /// The place cannot be read. A pack that cannot be read is a damaged one.
    pub fn load(backend: &Arc<dyn Backend>, instance: &InstanceId) -> Result<Self> {
        let prefix = layout::packs(instance);
        let mut found: BTreeMap<String, Pack> = BTreeMap::new();
        let (mut lists, mut damaged, mut strays) = (HashSet::new(), HashSet::new(), Vec::new());
        for blob in backend.list(&prefix)? {
            let name = blob.name.strip_prefix(&prefix).unwrap_or_default();
            let (id, ending) = name.split_once('.').unwrap_or((name, ""));
            let is_id = id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
            match ending {
                "tar.zst" | "tar.gz" if is_id => {
                    let pack = Pack { id: id.to_owned(), blob: blob.name, bytes: blob.bytes, damaged: false, objects: Vec::new() };
                    found.insert(pack.id.clone(), pack);
                }
                OBJECTS if is_id => _ = lists.insert(id.to_owned()),
                DAMAGED if is_id => _ = damaged.insert(id.to_owned()),
                _ => strays.push(blob.name),
            }
        }
        let (mut packs, mut relisted) = (Vec::new(), Vec::new());
        for (id, mut pack) in found {
            pack.damaged = damaged.contains(&id);
            let list = if lists.contains(&id) { list(backend.as_ref(), instance, &id)? } else { None };
            match list.map_or_else(|| scan(backend.as_ref(), &pack.blob).map(|objects| (objects, true)), |list| Ok((list, false))) {
                Ok((objects, lost)) => {
                    pack.objects = objects;
                    relisted.extend(lost.then_some(packs.len()));
                }
                Err(_) => pack.damaged = true,
            }
            packs.push(pack);
        }
        let mut index = Self { backend: Arc::clone(backend), packs, objects: HashMap::new(), strays, relisted };
        index.map();
        Ok(index)
    }

    /// No packs at all.
    #[must_use]
    pub fn empty(backend: &Arc<dyn Backend>) -> Self {
        let backend = Arc::clone(backend);
        Self { backend, packs: Vec::new(), objects: HashMap::new(), strays: Vec::new(), relisted: Vec::new() }
    }

    /// What lies in a sound pack counts before what lies in a damaged one.
    fn map(&mut self) {
        for damaged in [false, true] {
            for (number, pack) in self.packs.iter().enumerate().filter(|(_, pack)| pack.damaged == damaged) {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                for (id, size) in &pack.objects {
                    self.objects.entry(*id).or_insert((number, *size));
                }
            }
        }
    }

    /// The pack that an object is read from.
    #[must_use]
    pub fn pack_of(&self, object: &ObjectId) -> Option<&Pack> {
        self.objects.get(object).map(|(pack, _)| &self.packs[*pack as usize])
    }

    /// Every object and its pack's number.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &(u32, u32))> {
        self.objects.iter()
    }
}

impl Source for Index {
    fn size(&self, object: &ObjectId) -> Option<u64> {
        self.objects.get(object).map(|(_, size)| u64::from(*size))
    }

    fn read(&self, objects: &[ObjectId], take: &mut dyn FnMut(ObjectId, &[u8]) -> Result<()>) -> Result<()> {
        let mut by_pack: BTreeMap<u32, HashSet<ObjectId>> = BTreeMap::new();
        for id in objects {
            let (pack, _) = self.objects.get(id).ok_or_else(|| Error::external(format!("the object {id} is in no pack")))?;
            by_pack.entry(*pack).or_default().insert(*id);
        }
        for (number, mut wanted) in by_pack {
            let pack = &self.packs[number as usize];
            each(self.backend.as_ref(), &pack.blob, &mut |id, bytes| {
                if wanted.remove(&id) {
                    take(id, bytes)?;
                }
                Ok(!wanted.is_empty())
            })?;
            if let Some(missing) = wanted.iter().min() {
                return Err(damaged(&pack.blob, format!("the object {missing} is not in it, though its list says so")));
            }
        }
        Ok(())
    }
}

/// Reads a pack's objects in their order, each with its hash checked, for as long as `take` says true.
///
/// # Errors
/// The pack is missing or damaged, or `take` failed.
pub fn each(backend: &dyn Backend, blob: &str, take: &mut dyn FnMut(ObjectId, &[u8]) -> Result<bool>) -> Result<()> {
    let bytes = backend.get(blob)?.ok_or_else(|| damaged(blob, "it is missing"))?;
    let decoder = codec::decoded(bytes).map_err(|error| damaged(blob, error))?;
    let mut reader = tar::Reader::new(decoder);
    let mut buffer = Vec::new();
    while let Some((node, size)) = reader.next_entry().map_err(|error| damaged(blob, error))? {
        let name = std::str::from_utf8(&node.path).ok().and_then(|name| name.parse::<ObjectId>().ok());
        let id = name.filter(|_| size <= BLOCK_MAX as u64).ok_or_else(|| damaged(blob, "it holds what is no object"))?;
        buffer.clear();
        reader.content().read_to_end(&mut buffer).map_err(|error| damaged(blob, error))?;
        if ObjectId::of(&buffer) != id {
            return Err(damaged(blob, format!("the content of the object {id} is not the one that was stored")));
        }
        if !take(id, &buffer)? {
            return Ok(());
        }
    }
    Ok(())
}

fn scan(backend: &dyn Backend, blob: &str) -> Result<Vec<(ObjectId, u32)>> {
    let mut objects = Vec::new();
    each(backend, blob, &mut |id, bytes| {
        objects.push((id, u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        Ok(true)
    })?;
    Ok(objects)
}

/// A list as it is written: one line an object, and a last one with the hash of those before it.
#[must_use]
pub fn list_of(objects: &[(ObjectId, u32)]) -> String {
    let mut text: String = objects.iter().map(|(id, size)| format!("{id} {size}\n")).collect();
    let hash = ObjectId::of(text.as_bytes());
    text.push_str(&format!("{hash} list\n"));
    text
}

/// Reads a list; None when it is gone or damaged: the pack itself says the same.
fn list(backend: &dyn Backend, instance: &InstanceId, id: &str) -> Result<Option<Vec<(ObjectId, u32)>>> {
    let Some(bytes) = backend.get(&layout::pack(instance, id, OBJECTS))? else { return Ok(None) };
    let mut text = String::new();
    let read = bytes.take(LIST_MAX).read_to_string(&mut text);
    Ok(read.ok().and_then(|_| listed(&text)))
}

fn listed(text: &str) -> Option<Vec<(ObjectId, u32)>> {
    let end = text.strip_suffix(" list\n")?.rfind('\n').map_or(0, |at| at + 1);
    let (lines, last) = text.split_at(end);
    if last != format!("{} list\n", ObjectId::of(lines.as_bytes())) {
        return None;
    }
    let line = |line: &str| {
        let (id, size) = line.split_once(' ')?;
        Some((id.parse().ok()?, size.parse().ok().filter(|size: &u32| *size as usize <= BLOCK_MAX)?))
    };
    lines.lines().map(line).collect()
}

/// The error about a pack.
#[must_use]
pub fn damaged(blob: &str, why: impl std::fmt::Display) -> Error {
    Error::external(format!("the pack {blob} of the repository is damaged")).cause(why)
}
