//! Brings a tree back: looks at all of it before anything is written, then makes the entries, then fills the files with
//! objects as they lie in the packs, then sets owners, modes, attributes and times.
//!
//! Writes only below the given places, and follows no link there. Memory grows with the number of files, not with bytes.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use super::Source;
use super::node::Kind;
use super::object::{BLOCK, BLOCK_MAX, ObjectId};
use super::place::Places;
use super::tree::{Entry, Tree, is_below, refused};
use crate::error::{Error, Result};

/// Objects that wait to be written: bounds memory.
const AHEAD: usize = 4;

/// Opens the tree; it is read several times.
pub type Open<'a> = &'a dyn Fn() -> Result<Box<dyn Read + Send>>;

/// What was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Regular files; a file with several names counts once for each.
    pub files: u64,
    /// Everything else.
    pub others: u64,
    /// Content of all files, each once.
    pub bytes: u64,
}

/// Brings back the roots that `into` names, each to a place that is absent or an empty folder; roots that it does not
/// name are passed over. With `only`, of these what lies at or below one of the given paths of the tree.
///
/// # Errors
/// The tree is damaged or holds what Summoner does not write, an object is missing (nothing was written then); an object
/// is damaged (nothing of it was written); a place is occupied; the disk refuses. What is there already is the caller's to remove.
pub fn extract(tree: Open<'_>, objects: &dyn Source, into: &[(String, PathBuf)], only: &[Vec<u8>]) -> Result<Totals> {
    let wanted = Wanted { into, only };
    let plan = check(tree, objects, &wanted)?;
    let mut places = Places::open(into)?;
    let mut index = 0;
    each(tree, &wanted, &plan, &mut |entry| {
        let size = plan.files.get(index).filter(|_| entry.node.kind == Kind::File).map(|file| file.size);
        index += usize::from(size.is_some());
        places.make(&entry.node, size.unwrap_or(0))
    })?;
    fill(objects, &plan, &mut places)?;
    each(tree, &wanted, &plan, &mut |entry| places.dress(&entry.node))?;
    places.finish()?;
    Ok(plan.totals)
}

/// Fills the files. Objects are decompressed and checked while those before them are written.
fn fill(objects: &dyn Source, plan: &Plan, places: &mut Places) -> Result<()> {
    let mut names: Vec<ObjectId> = plan.blocks.keys().copied().collect();
    names.sort_unstable();
    let (send, receive) = sync_channel::<(ObjectId, Vec<u8>)>(AHEAD);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            receive.iter().try_for_each(|(id, bytes)| {
                let blocks = plan.blocks.get(&id).map(Vec::as_slice).unwrap_or_default();
                blocks.iter().try_for_each(|(file, at)| places.fill(&plan.files[*file as usize].path, *at, &bytes))
            })
        });
        let gone = |_| Error::internal("the thread that writes files ended");
        let read = objects.read(&names, &mut |id, bytes| send.send((id, bytes.to_vec())).map_err(gone));
        drop(send);
        let written = writer.join().unwrap_or_else(|_| Err(Error::internal("a thread that writes files broke off")));
        // When the disk refuses, reading ends too: the disk is the cause.
        written.and(read)
    })
}

/// What is to be written, once the whole tree was looked at.
#[derive(Default)]
struct Plan {
    /// The files with content of their own, in the order of the tree.
    files: Vec<Planned>,
    /// Where each object belongs: file and place in it.
    blocks: HashMap<ObjectId, Vec<(u32, u64)>>,
    /// A file that is not wanted and has another name that is: it is made under that one.
    instead: HashMap<Vec<u8>, Vec<u8>>,
    totals: Totals,
}

struct Planned {
    path: Vec<u8>,
    size: u64,
}

struct Wanted<'a> {
    into: &'a [(String, PathBuf)],
    only: &'a [Vec<u8>],
}

impl Wanted<'_> {
    fn root(&self, path: &[u8]) -> Option<&str> {
        self.into.iter().map(|(name, _)| name.as_str()).find(|name| path == name.as_bytes() || is_below(path, name.as_bytes()))
    }

    fn entry(&self, entry: &Entry) -> bool {
        let path = &entry.node.path;
        let folder = entry.node.kind == Kind::Folder;
        self.root(path).is_some()
            && (self.only.is_empty()
                || self.only.iter().any(|only| path == only || is_below(path, only) || (folder && is_below(only, path))))
    }
}

fn check(tree: Open<'_>, objects: &dyn Source, wanted: &Wanted<'_>) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut all = HashSet::new();
    let mut taken = HashSet::new();
    let mut missing: HashSet<&[u8]> = wanted.only.iter().map(Vec::as_slice).collect();
    missing.extend(wanted.into.iter().map(|(name, _)| name.as_bytes()).filter(|_| wanted.only.is_empty()));
    let mut reader = Tree::new(tree()?);
    // Content that must be read again for another name is found in a second look.
    while let Some(entry) = reader.next_entry()? {
        let path = &entry.node.path;
        missing.remove(path.as_slice());
        if entry.is_root && wanted.root(path).is_some_and(|root| root.as_bytes() != path.as_slice()) {
            return Err(refused(path, "lies in something that is no folder"));
        }
        if let Kind::Link(to) = &entry.node.kind {
            if !all.contains(to) {
                return Err(refused(path, "is another name of a file that does not stand before it"));
            }
            if wanted.entry(&entry) && !taken.contains(to) {
                plan.instead.entry(to.clone()).or_insert_with(|| path.clone());
            }
        }
        if entry.node.kind == Kind::File {
            if wanted.entry(&entry) {
                taken.insert(path.clone());
            }
            all.insert(entry.node.path);
        }
    }
    if let Some(missing) = missing.iter().min() {
        return Err(Error::usage(format!("the snapshot holds nothing at {}", missing.escape_ascii())));
    }
    drop((all, taken));
    let mut totals = Totals::default();
    let hole = ObjectId::of(&[0; BLOCK]);
    let (mut files, mut blocks) = (Vec::new(), HashMap::<ObjectId, Vec<(u32, u64)>>::new());
    each(tree, wanted, &plan, &mut |entry| {
        let path = &entry.node.path;
        *(if matches!(entry.node.kind, Kind::File | Kind::Link(_)) { &mut totals.files } else { &mut totals.others }) += 1;
        if entry.node.kind != Kind::File {
            return Ok(());
        }
        let number = u32::try_from(files.len()).map_err(|_| Error::internal("a tree has more files than numbers"))?;
        let mut at = 0;
        for id in &entry.objects {
            let size = objects.size(id).filter(|size| *size <= BLOCK_MAX as u64);
            let size = size.ok_or_else(|| missing_object(path, id))?;
            if *id != hole {
                blocks.entry(*id).or_default().push((number, at));
            }
            at += size;
        }
        totals.bytes += at;
        files.push(Planned { path: path.clone(), size: at });
        Ok(())
    })?;
    (plan.files, plan.blocks, plan.totals) = (files, blocks, totals);
    Ok(plan)
}

fn missing_object(path: &[u8], id: &ObjectId) -> Error {
    Error::external(format!("an object of {} is in no pack of the repository: {id}", path.escape_ascii()))
        .next("summoner verify, and restore from a snapshot that is whole")
}

/// Every wanted entry in order, other names resolved.
fn each(tree: Open<'_>, wanted: &Wanted<'_>, plan: &Plan, visit: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
    let mut reader = Tree::new(tree()?);
    let mut kept: HashMap<Vec<u8>, Entry> = HashMap::new();
    while let Some(mut entry) = reader.next_entry()? {
        let is_wanted = wanted.entry(&entry);
        if !is_wanted {
            if plan.instead.contains_key(&entry.node.path) {
                kept.insert(entry.node.path.clone(), entry);
            }
            continue;
        }
        if let Kind::Link(to) = &entry.node.kind
            && let Some(instead) = plan.instead.get(to)
        {
            if *instead == entry.node.path {
                let Some(mut original) = kept.remove(to) else { continue };
                original.node.path.clone_from(instead);
                entry = original;
            } else {
                entry.node.kind = Kind::Link(instead.clone());
            }
        }
        visit(entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
