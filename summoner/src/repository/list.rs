//! What a repository holds: snapshots, what is damaged, and how much room it takes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Repository, read_text};
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::snapshot::{Artefact, Manifest, Snapshot, SnapshotId, VERSION, Verified, stamp};

/// Something in the repository that should be a snapshot and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its id, or its name where it has none.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} cannot be read: {}", self.name, self.why)
    }
}

/// How much room a repository takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Packs and their lists.
    pub packs: u64,
    /// Artefacts and manifests; one that several snapshots share counts for each.
    pub snapshots: u64,
    /// What may still be written there.
    pub free: u64,
}

impl Repository {
    /// The snapshots of an instance, or all of them, newest last; and what is damaged.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn list(&self, instance: Option<&InstanceId>) -> Result<(Vec<Snapshot>, Vec<Damaged>)> {
        let (mut snapshots, mut damaged) = (Vec::new(), Vec::new());
        for (owner, time) in self.folders(instance)? {
            let name = format!("{owner}/{time}");
            let Ok(id) = name.parse::<SnapshotId>() else {
                damaged.push(Damaged { name, why: "its folder is not named as a snapshot's is".into() });
                continue;
            };
            match self.snapshot(&id) {
                // Taken away since it was listed.
                Ok(None) => {}
                Ok(Some(snapshot)) => snapshots.push(snapshot),
                Err(error) => damaged.push(Damaged { name, why: error.cause.unwrap_or(error.message) }),
            }
        }
        snapshots.sort_by(|a, b| (a.manifest.id.time, &a.manifest.id).cmp(&(b.manifest.id.time, &b.manifest.id)));
        Ok((snapshots, damaged))
    }

    /// A snapshot; None when there is none.
    ///
    /// # Errors
    /// Its manifest cannot be read.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>> {
        let Some(manifest) = self.manifest(id)? else { return Ok(None) };
        Ok(Some(Snapshot { manifest, verified: self.verified(id)? }))
    }

    /// How much room it takes.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn space(&self) -> Result<Space> {
        let sum = |prefix| self.backend.list(prefix).map(|blobs| blobs.iter().map(|blob| blob.bytes).sum::<u64>());
        Ok(Space { packs: sum(layout::PACKS)?, snapshots: sum(layout::SNAPSHOTS)?, free: crate::disk::free_bytes(&self.spool)? })
    }

    /// Instance and time of each folder with a manifest, as they are spelled there.
    fn folders(&self, instance: Option<&InstanceId>) -> Result<BTreeSet<(String, String)>> {
        let blobs = self.backend.list(&layout::snapshots(instance))?;
        Ok(blobs
            .iter()
            .filter_map(|blob| split(&blob.name))
            .filter(|(_, _, file)| *file == layout::MANIFEST)
            .map(|(a, b, _)| (a.to_owned(), b.to_owned()))
            .collect())
    }

    pub(super) fn manifest(&self, id: &SnapshotId) -> Result<Option<Manifest>> {
        let name = layout::artefact(&id.instance, &id.stamp(), layout::MANIFEST);
        let Some(text) = read_text(self.backend.as_ref(), &name)? else { return Ok(None) };
        let fail = |why: String| Err(Error::external(format!("the manifest of the snapshot {id} cannot be used")).cause(why));
        // The version first: a newer form may have anything else.
        let version = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|value| value.get("version")?.as_u64());
        match version {
            Some(version) if version > u64::from(VERSION) => {
                return fail(format!("its manifest has version {version}, and this Summoner reads up to {VERSION}"));
            }
            None => return fail("its manifest is none".into()),
            Some(_) => {}
        }
        match serde_json::from_str::<Manifest>(&text) {
            Ok(manifest) if manifest.id == *id => Ok(Some(manifest)),
            Ok(manifest) => fail(format!("its manifest is that of {}", manifest.id)),
            Err(error) => fail(format!("its manifest is damaged: {error}")),
        }
    }

    /// A result that cannot be read is none: the snapshot is verified again.
    fn verified(&self, id: &SnapshotId) -> Result<Option<Verified>> {
        let name = layout::artefact(&id.instance, &id.stamp(), layout::VERIFIED);
        let text = read_text(self.backend.as_ref(), &name)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Whether an artefact of an earlier snapshot is still as this one says.
    pub(super) fn is_whole(&self, blob: &str, artefact: &Artefact) -> Result<bool> {
        let Some(bytes) = self.backend.get(blob)? else { return Ok(false) };
        Ok(super::codec::sha256(bytes).is_ok_and(|(sha256, bytes)| sha256 == artefact.sha256 && bytes == artefact.bytes))
    }

    /// Removes files of folders without a manifest: a commit or a removal that a crash cut off.
    pub(super) fn remove_leftovers(&self, instance: &InstanceId) -> Result<()> {
        let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for blob in self.backend.list(&layout::snapshots(Some(instance)))? {
            if let Some((_, time, _)) = split(&blob.name).filter(|(_, time, _)| stamp(time).is_some()) {
                folders.entry(time.to_owned()).or_default().push(blob.name.clone());
            }
        }
        for (time, blobs) in folders {
            if !blobs.contains(&layout::artefact(instance, &time, layout::MANIFEST)) {
                blobs.iter().try_for_each(|blob| self.backend.delete(blob))?;
            }
        }
        Ok(())
    }
}

/// Instance, time and file of a blob of a snapshot.
fn split(blob: &str) -> Option<(&str, &str, &str)> {
    let mut parts = blob.strip_prefix(layout::SNAPSHOTS)?.splitn(3, '/');
    Some((parts.next()?, parts.next()?, parts.next()?)).filter(|(_, time, _)| !time.ends_with(layout::DRAFT))
}
