//! Restored files against the tree that they came from: every entry, its size, mode and owner; the whole content of what is
//! small, and parts of what is large, against the names of its objects. Reads only, and follows no link.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::FileType;

use super::Repository;
use super::index::Index;
use crate::archive::node::Kind;
use crate::archive::tree::{Entry, Tree};
use crate::archive::walk::{Found, walk};
use crate::archive::{ObjectId, Root, Source};
use crate::error::{Error, Result};
use crate::plan::snapshot::{Content, SnapshotId};

/// Files up to this size are read whole.
pub const SMALL_BYTES: u64 = 4 << 20;
/// Of a larger one so many objects are read: the first, the last, and some between.
const OBJECTS: usize = 16;
/// So many faults are named.
const NAMED: usize = 10;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Regular files.
    pub files: u64,
    /// Everything else.
    pub others: u64,
    /// Content of all files, by their sizes, each once.
    pub bytes: u64,
    /// How much of it was read and compared.
    pub read_bytes: u64,
    /// What differs, some of it named.
    pub faults: Vec<String>,
    /// How much differs.
    pub count: u64,
}

impl Compared {
    fn fault(&mut self, path: &[u8], what: &str) {
        self.count += 1;
        if self.faults.len() < NAMED {
            self.faults.push(format!("{} {what}", path.escape_ascii()));
        }
    }
}

impl Repository {
    /// Compares roots that were brought back with the snapshot's tree; `seed` chooses which parts of large files are read.
    ///
    /// # Errors
    /// The tree cannot be read, or a root is missing. What differs is no error: it is in the answer.
    pub fn compare(&self, id: &SnapshotId, into: &[(String, PathBuf)], seed: u64) -> Result<Compared> {
        let manifest = self.need(id)?;
        let tree = manifest.artefacts.iter().find(|artefact| artefact.content == Content::Tree);
        let tree = tree.ok_or_else(|| Error::usage(format!("the snapshot {id} holds no files: it is a dump")))?;
        let index = Index::load(&self.backend, &id.instance)?;
        let mut roots: Vec<Root> =
            into.iter().map(|(name, path)| Root { name: name.clone(), path: path.clone(), leave_out: Vec::new() }).collect();
        roots.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
        compare(self.artefact_of(id, &tree.name, &tree.sha256)?, &|object| index.size(object), &roots, seed)
    }
}

/// Both come in the same order: that of the walk.
fn compare(tree: impl Read, size: &dyn Fn(&ObjectId) -> Option<u64>, roots: &[Root], seed: u64) -> Result<Compared> {
    let mut tree = Tree::new(tree);
    let mut next = tree.next_entry()?;
    let mut compared = Compared::default();
    let mut notes = Vec::new();
    let mut buffer = Vec::new();
    for root in roots {
        walk(root, &mut notes, &mut |found| {
            // What the tree has and the folder has not comes before it, or after its end.
            while let Some(entry) = next.take_if(|entry| before(&entry.node.path, found.path)) {
                compared.fault(&entry.node.path, "was not restored");
                next = tree.next_entry()?;
            }
            match next.take_if(|entry| entry.node.path == found.path) {
                None => compared.fault(found.path, "is there and not in the snapshot"),
                Some(entry) => {
                    look(&mut compared, &entry, found, size, seed, &mut buffer)?;
                    next = tree.next_entry()?;
                }
            }
            Ok(())
        })?;
    }
    while let Some(entry) = next {
        compared.fault(&entry.node.path, "was not restored");
        next = tree.next_entry()?;
    }
    notes.iter().for_each(|note| compared.fault(note.as_bytes(), ""));
    Ok(compared)
}

/// The order of a tree: part by part.
fn before(one: &[u8], other: &[u8]) -> bool {
    one.split(|byte| *byte == b'/').lt(other.split(|byte| *byte == b'/'))
}

/// Compares one entry.
fn look(
    compared: &mut Compared,
    entry: &Entry,
    found: &Found<'_>,
    size: &dyn Fn(&ObjectId) -> Option<u64>,
    seed: u64,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    let (node, stat) = (&entry.node, &found.stat);
    let (kind, of_files) = match node.kind {
        Kind::Folder => (FileType::Directory, false),
        Kind::Symlink(_) => (FileType::Symlink, false),
        Kind::Fifo => (FileType::Fifo, false),
        Kind::File | Kind::Link(_) => (FileType::RegularFile, true),
    };
    *(if of_files { &mut compared.files } else { &mut compared.others }) += 1;
    if stat.kind != kind {
        compared.fault(found.path, "is something else than in the snapshot");
        return Ok(());
    }
    let plain = !matches!(node.kind, Kind::Symlink(_) | Kind::Link(_));
    if plain && ((stat.uid, stat.gid) != (node.uid, node.gid) || stat.mode != node.mode) {
        compared.fault(found.path, "has another owner or mode than in the snapshot");
    }
    if node.kind != Kind::File {
        return Ok(());
    }
    let mut parts = Vec::with_capacity(entry.objects.len());
    let mut at = 0;
    for object in &entry.objects {
        let bytes = size(object).ok_or_else(|| Error::external(format!("an object of {} is in no pack", found.path.escape_ascii())))?;
        parts.push((*object, at, bytes));
        at += bytes;
    }
    compared.bytes += at;
    if stat.size != at {
        compared.fault(found.path, &format!("has {} bytes, the snapshot holds {at}", stat.size));
        return Ok(());
    }
    if parts.is_empty() {
        return Ok(());
    }
    let file = File::from(found.open().map_err(|error| found.fail("open", error))?);
    for (object, at, bytes) in chosen(&parts, seed, at <= SMALL_BYTES) {
        buffer.resize(usize::try_from(bytes).unwrap_or(0), 0);
        file.read_exact_at(buffer, at)
            .map_err(|error| Error::external(format!("cannot read {}", found.path.escape_ascii())).cause(error))?;
        compared.read_bytes += bytes;
        if ObjectId::of(buffer) != object {
            compared.fault(found.path, &format!("holds something else than the snapshot, from byte {at} on"));
            break;
        }
    }
    Ok(())
}

type Part = (ObjectId, u64, u64);

/// All of them, or the first, the last, and some between which the seed chooses.
fn chosen(parts: &[Part], seed: u64, all: bool) -> Vec<Part> {
    if all || parts.len() <= OBJECTS {
        return parts.to_vec();
    }
    let step = parts.len() / OBJECTS;
    let first = usize::try_from(seed % step as u64).unwrap_or(0);
    let mut some: Vec<Part> = parts.iter().skip(first).step_by(step).take(OBJECTS).copied().collect();
    some.extend([parts[0], parts[parts.len() - 1]]);
    some
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::archive::{Capture, Store};

    #[derive(Default)]
    struct Memory(HashMap<ObjectId, u64>);

    impl Store for Memory {
        fn put(&mut self, bytes: &[u8]) -> Result<ObjectId> {
            let id = ObjectId::of(bytes);
            self.0.insert(id, bytes.len() as u64);
            Ok(id)
        }

        fn keep(&mut self, objects: &[ObjectId]) -> bool {
            objects.iter().all(|id| self.0.contains_key(id))
        }
    }

    struct Bed {
        folder: tempfile::TempDir,
        objects: Memory,
        tree: Vec<u8>,
    }

    impl Bed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("files");
            fs::create_dir_all(root.join("images/deep")).unwrap();
            fs::write(root.join("images/a"), "small").unwrap();
            fs::write(root.join("images/deep/b"), "also small").unwrap();
            let large: Vec<u8> = (0..40_u32 << 18).flat_map(u32::to_le_bytes).collect();
            fs::write(root.join("large"), large).unwrap();
            fs::hard_link(root.join("large"), root.join("other-name")).unwrap();
            std::os::unix::fs::symlink("/nowhere", root.join("link")).unwrap();
            let mut bed = Self { objects: Memory::default(), tree: Vec::new(), folder };
            let mut capture = Capture::begin(vec![bed.root()], crate::archive::Seen::load(&bed.folder.path().join("seen")));
            capture.live(&mut bed.objects, &|| Ok(())).unwrap();
            let staged = bed.folder.path().join("staged");
            fs::create_dir(&staged).unwrap();
            capture.still(&staged, &|| Ok(())).unwrap();
            let mut tree = Vec::new();
            capture.finish(&mut bed.objects, &mut tree, &|| Ok(())).unwrap();
            bed.tree = tree;
            bed
        }

        fn root(&self) -> Root {
            Root { name: "files".into(), path: self.folder.path().join("files"), leave_out: vec![] }
        }

        fn compared(&self) -> Compared {
            compare(self.tree.as_slice(), &|id| self.objects.0.get(id).copied(), &[self.root()], 7).unwrap()
        }
    }

    #[test]
    fn what_was_restored_is_as_it_was_taken() {
        let found = Bed::new().compared();
        assert_eq!((found.files, found.others, found.count), (4, 4, 0), "{:?}", found.faults);
        assert_eq!(found.bytes, 15 + (40 << 20));
        assert!(found.read_bytes < found.bytes, "large files are read in part: {}", found.read_bytes);
    }

    #[test]
    fn whatever_was_altered_is_named() {
        let bed = Bed::new();
        let at = |name: &str| bed.root().path.join(name);
        fs::write(at("images/a"), "smull").unwrap();
        fs::remove_file(at("images/deep/b")).unwrap();
        fs::write(at("images/new"), "").unwrap();
        fs::set_permissions(at("images/deep"), fs::Permissions::from_mode(0o700)).unwrap();
        let large = fs::OpenOptions::new().write(true).open(at("large")).unwrap();
        large.write_all_at(b"x", 0).unwrap();
        let found = bed.compared();
        insta::assert_snapshot!(found.faults.join("\n"), @"
        files/images/a holds something else than the snapshot, from byte 0 on
        files/images/deep has another owner or mode than in the snapshot
        files/images/deep/b was not restored
        files/images/new is there and not in the snapshot
        files/large holds something else than the snapshot, from byte 0 on
        ");
        large.set_len(5).unwrap();
        fs::remove_dir_all(at("images")).unwrap();
        let found = bed.compared();
        assert_eq!(found.count, 5, "{:?}", found.faults);
        assert!(found.faults.iter().any(|fault| fault == "files/large has 5 bytes, the snapshot holds 41943040"), "{:?}", found.faults);
    }
}
