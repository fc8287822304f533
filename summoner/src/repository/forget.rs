//! Forgets snapshots: the manifest goes first, then what only it had; packs without a living object go, and those that are
//! mostly dead are written again, smaller. Whom to forget is retention's matter.

use std::collections::HashSet;

use super::index::{DAMAGED, Index, OBJECTS, Pack};
use super::pack::PackWriter;
use super::{Compression, Repository};
use crate::archive::tree::Tree;
use crate::archive::{ObjectId, Source, Store};
use crate::backend::Hold;
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::snapshot::{Content, SnapshotId};

/// What was freed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// Snapshots.
    pub snapshots: u64,
    /// Packs that held nothing living.
    pub packs_removed: u64,
    /// Packs that were written again without what is dead.
    pub packs_rewritten: u64,
    /// Bytes; what rewriting frees is known only afterwards, a dry run estimates it.
    pub bytes: u64,
}

/// What is to be done with the packs of an instance.
struct Sweep {
    remove: Vec<Pack>,
    rewrite: Vec<(Pack, Vec<ObjectId>)>,
    estimate: u64,
}

impl Repository {
    /// Forgets these snapshots, and frees what no other one needs.
    ///
    /// # Errors
    /// Somebody reads or writes there right now, one of the snapshots that stay cannot be read (nothing is freed then that
    /// it might need), or the disk refuses: what was not freed is freed by the next run.
    pub fn forget(&self, ids: &[SnapshotId], dry_run: bool) -> Result<Freed> {
        self.check_writable()?;
        let mut freed = Freed::default();
        let mut instances: Vec<&InstanceId> = ids.iter().map(|id| &id.instance).collect();
        instances.sort();
        instances.dedup();
        for instance in instances {
            let gone: HashSet<&SnapshotId> = ids.iter().filter(|id| id.instance == *instance).collect();
            self.forget_of(instance, &gone, dry_run, &mut freed)?;
        }
        Ok(freed)
    }

    fn forget_of(&self, instance: &InstanceId, gone: &HashSet<&SnapshotId>, dry_run: bool, freed: &mut Freed) -> Result<()> {
        let _locks = [self.lock(instance, "write", Hold::Alone)?, self.lock(instance, "read", Hold::Alone)?];
        let mut sorted: Vec<&SnapshotId> = gone.iter().copied().collect();
        sorted.sort_by_key(|id| std::cmp::Reverse(id.time));
        // What stays is read before anything goes.
        let living = self.living(instance, gone)?;
        for id in sorted {
            if let Some(bytes) = self.remove(id, dry_run)? {
                freed.bytes += bytes;
                freed.snapshots += 1;
            }
        }
        let Some(living) = living else {
            return Err(Error::external(format!(
                "the snapshots of {instance} are forgotten, and no pack is freed: one that stays cannot be read"
            ))
            .next("summoner verify, which names it"));
        };
        let index = Index::load(&self.backend, instance)?;
        let sweep = sweep(&index, &living);
        freed.packs_removed += sweep.remove.len() as u64;
        freed.packs_rewritten += sweep.rewrite.len() as u64;
        freed.bytes += sweep.estimate;
        if dry_run {
            return Ok(());
        }
        self.remove_leftovers(instance)?;
        sweep.remove.iter().try_for_each(|pack| self.remove_pack(instance, pack))?;
        self.rewrite(instance, &index, &sweep.rewrite)?;
        sweep.rewrite.iter().try_for_each(|(pack, _)| self.remove_pack(instance, pack))
    }

    /// Every object that a snapshot needs which stays; None when one of them cannot be read.
    fn living(&self, instance: &InstanceId, gone: &HashSet<&SnapshotId>) -> Result<Option<HashSet<ObjectId>>> {
        let (snapshots, damaged) = self.list(Some(instance))?;
        let stays = |name: &str| !gone.iter().any(|id| id.to_string() == name);
        if damaged.iter().any(|damaged| stays(&damaged.name)) {
            return Ok(None);
        }
        let mut living = HashSet::new();
        for manifest in snapshots.into_iter().map(|snapshot| snapshot.manifest).filter(|manifest| !gone.contains(&manifest.id)) {
            for tree in manifest.artefacts.iter().filter(|artefact| artefact.content == Content::Tree) {
                let Ok(bytes) = self.artefact_of(&manifest.id, &tree.name, &tree.sha256) else { return Ok(None) };
                let mut tree = Tree::new(bytes);
                loop {
                    match tree.next_entry() {
                        Ok(Some(entry)) => living.extend(entry.objects),
                        Ok(None) => break,
                        Err(_) => return Ok(None),
                    }
                }
            }
        }
        Ok(Some(living))
    }

    /// Removes a snapshot; the bytes that it had alone are not known, so all of them count. None when there is none.
    fn remove(&self, id: &SnapshotId, dry_run: bool) -> Result<Option<u64>> {
        let prefix = layout::artefact(&id.instance, &id.stamp(), "");
        let blobs = self.backend.list(&prefix)?;
        if !dry_run {
            self.backend.delete(&layout::artefact(&id.instance, &id.stamp(), layout::MANIFEST))?;
            blobs.iter().try_for_each(|blob| self.backend.delete(&blob.name))?;
        }
        Ok((!blobs.is_empty()).then(|| blobs.iter().map(|blob| blob.bytes).sum()))
    }

    /// The list goes before the pack: a pack without a list is read again, a list without a pack would promise objects.
    fn remove_pack(&self, instance: &InstanceId, pack: &Pack) -> Result<()> {
        self.backend.delete(&layout::pack(instance, &pack.id, OBJECTS))?;
        self.backend.delete(&pack.blob)?;
        self.backend.delete(&layout::pack(instance, &pack.id, DAMAGED))
    }

    /// Writes what lives of some packs into new ones, which are on disk before the old ones go.
    fn rewrite(&self, instance: &InstanceId, index: &Index, packs: &[(Pack, Vec<ObjectId>)]) -> Result<()> {
        let Some((first, _)) = packs.first() else { return Ok(()) };
        let compression = if first.blob.ends_with(Compression::Gzip.ending()) { Compression::Gzip } else { Compression::Zstd };
        let folder = layout::draft(&self.spool, instance, "rewrite");
        disk::ensure_folder(&folder, 0o700, None)?;
        let empty = Index::empty(&self.backend);
        let mut writer = PackWriter::new(&self.backend, instance, &folder, compression, &empty);
        for (_, living) in packs {
            index.read(living, &mut |_, bytes| writer.put(bytes).map(|_| ()))?;
        }
        writer.finish()?;
        std::fs::remove_dir_all(&folder).map_err(|error| Error::io("remove", &folder, &error))
    }
}

fn sweep(index: &Index, living: &HashSet<ObjectId>) -> Sweep {
    let mut sweep = Sweep { remove: Vec::new(), rewrite: Vec::new(), estimate: 0 };
    for pack in &index.packs {
        // An object that lies in several packs lives in the one that it is read from.
        let lives = |id: &ObjectId| living.contains(id) && index.pack_of(id).is_some_and(|of| of.id == pack.id);
        let size = |objects: &mut dyn Iterator<Item = &(ObjectId, u32)>| objects.map(|(_, size)| u64::from(*size)).sum::<u64>();
        let all = size(&mut pack.objects.iter());
        let alive = size(&mut pack.objects.iter().filter(|(id, _)| lives(id)));
        let any = pack.objects.iter().any(|(id, _)| lives(id));
        // What was in one that cannot be read at all is not known: it stays for as long as something might need it.
        if !any && (living.is_empty() || !pack.objects.is_empty()) {
            sweep.estimate += pack.bytes;
            sweep.remove.push(pack.clone());
        } else if any && !pack.damaged && alive * 2 < all {
            sweep.estimate += pack.bytes.saturating_mul(all - alive) / all.max(1);
            let objects = pack.objects.iter().map(|(id, _)| *id).filter(lives).collect();
            sweep.rewrite.push((pack.clone(), objects));
        }
    }
    sweep
}
