//! Reads a snapshot back. What could not be read is a fault, never good.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::index::{DAMAGED, Index, each};
use super::{Repository, codec, put_json};
use crate::archive::ObjectId;
use crate::archive::tree::Tree;
use crate::backend::Hold;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::{Content, Manifest, SnapshotId, Verified};

/// For how long a pack that another snapshot's verification read counts as read.
const TRUSTED: TimeDelta = TimeDelta::days(7);

/// How far a verification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Packs that no other verification of the last days has read.
    New,
    /// Every file's hash.
    Files,
    /// Every object's hash too.
    Objects,
}

impl Repository {
    /// Reads a snapshot back: the hash of each artefact and of each pack, and that every object of its tree is in a pack;
    /// with `read_data` the hash of each object too. The result is written beside the manifest.
    ///
    /// # Errors
    /// There is no such snapshot, or the result cannot be written. What is wrong with the snapshot is no error: it is the fault
    /// of the result.
    pub fn verify(&self, id: &SnapshotId, read_data: bool, now: DateTime<Utc>) -> Result<Verified> {
        self.verify_to(id, if read_data { Depth::Objects } else { Depth::Files }, now)
    }

    /// As [`Repository::verify`] right after a backup: packs that a good verification of another snapshot has read within a
    /// week are not read again, so it costs what the backup added.
    ///
    /// # Errors
    /// As [`Repository::verify`].
    pub fn verify_new(&self, id: &SnapshotId, now: DateTime<Utc>) -> Result<Verified> {
        self.verify_to(id, Depth::New, now)
    }

    /// Writes down what somebody else found out about a snapshot.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn mark(&self, id: &SnapshotId, verified: &Verified) -> Result<()> {
        self.check_writable()?;
        put_json(self.backend.as_ref(), &layout::artefact(&id.instance, &id.stamp(), layout::VERIFIED), verified)
    }

    fn verify_to(&self, id: &SnapshotId, depth: Depth, now: DateTime<Utc>) -> Result<Verified> {
        self.check_writable()?;
        let _read = self.lock(&id.instance, "read", Hold::Shared)?;
        let fault = match self.manifest(id) {
            Ok(None) => return Err(Error::usage(format!("there is no snapshot {id}")).next("summoner snapshots, which lists them")),
            Ok(Some(manifest)) => self.look(&manifest, depth, Some(now))?,
            Err(error) => Some(line(&error)),
        };
        let verified = Verified { version: 1, at: now, read_data: depth == Depth::Objects, fault };
        put_json(self.backend.as_ref(), &layout::artefact(&id.instance, &id.stamp(), layout::VERIFIED), &verified)?;
        Ok(verified)
    }

    /// What is wrong with a snapshot; none is good. As [`Repository::verify`] with every object, and nothing is written.
    ///
    /// # Errors
    /// There is no such snapshot, or the place cannot be read.
    pub fn inspect(&self, id: &SnapshotId) -> Result<Option<String>> {
        self.look(&self.need(id)?, Depth::Objects, None)
    }

    /// What is wrong with a snapshot; none is good. Without a time nothing is written.
    fn look(&self, manifest: &Manifest, depth: Depth, now: Option<DateTime<Utc>>) -> Result<Option<String>> {
        let id = &manifest.id;
        for artefact in &manifest.artefacts {
            let blob = layout::artefact(&id.instance, &id.stamp(), &artefact.name);
            let Some(bytes) = self.backend.get(&blob)? else { return Ok(Some(format!("the artefact {} is missing", artefact.name))) };
            match codec::sha256(bytes) {
                Ok((_, bytes)) if bytes != artefact.bytes => {
                    return Ok(Some(format!("the artefact {} has {bytes} bytes instead of {}", artefact.name, artefact.bytes)));
                }
                Ok((sha256, _)) if sha256 != artefact.sha256 => {
                    return Ok(Some(format!("the artefact {} is not as it was written: its hash differs", artefact.name)));
                }
                Ok(_) => {}
                Err(error) => return Ok(Some(format!("the artefact {} cannot be read: {error}", artefact.name))),
            }
        }
        let Some(tree) = manifest.artefacts.iter().find(|artefact| artefact.content == Content::Tree) else {
            return Ok(manifest.files.as_ref().map(|_| "it has files and no tree of them".to_owned()));
        };
        let index = Index::load(&self.backend, &id.instance)?;
        match self.wanted(manifest, &tree.name, &tree.sha256, &index) {
            Ok(wanted) => self.packs(manifest, &wanted, &index, depth, now),
            Err(error) => Ok(Some(line(&error))),
        }
    }

    /// The objects that the tree needs, by pack; the tree is read to its end.
    fn wanted(&self, manifest: &Manifest, name: &str, sha256: &str, index: &Index) -> Result<BTreeMap<String, HashSet<ObjectId>>> {
        let mut tree = Tree::new(self.artefact_of(&manifest.id, name, sha256)?);
        let mut wanted: BTreeMap<String, HashSet<ObjectId>> = BTreeMap::new();
        while let Some(entry) = tree.next_entry()? {
            for object in &entry.objects {
                let pack = index.pack_of(object).ok_or_else(|| {
                    let lost: Vec<&str> = manifest
                        .files
                        .iter()
                        .flat_map(|files| &files.packs)
                        .map(String::as_str)
                        .filter(|id| index.packs.iter().all(|pack| pack.id != **id))
                        .collect();
                    let lost = if lost.is_empty() { String::new() } else { format!(" (missing: {})", lost.join(", ")) };
                    Error::external(format!("an object of {} is in no pack{lost}: {object}", entry.node.path.escape_ascii()))
                })?;
                wanted.entry(pack.id.clone()).or_default().insert(*object);
            }
        }
        Ok(wanted)
    }

    fn packs(
        &self,
        manifest: &Manifest,
        wanted: &BTreeMap<String, HashSet<ObjectId>>,
        index: &Index,
        depth: Depth,
        now: Option<DateTime<Utc>>,
    ) -> Result<Option<String>> {
        let read = match now.filter(|_| depth == Depth::New) {
            Some(now) => self.read_lately(&manifest.id, now)?,
            None => BTreeSet::new(),
        };
        let mut fault = None;
        for pack in index.packs.iter().filter(|pack| wanted.contains_key(&pack.id) && (pack.damaged || !read.contains(&pack.id))) {
            let found = match depth {
                Depth::Objects => each(self.backend.as_ref(), &pack.blob, &mut |_, _| Ok(true)).map_err(|error| line(&error)),
                _ => Ok(()),
            };
            let found = found.and_then(|()| self.pack_is_whole(&pack.blob, &pack.id));
            let Err(why) = found else {
                if pack.damaged && now.is_some() {
                    self.backend.delete(&layout::pack(&manifest.id.instance, &pack.id, DAMAGED))?;
                }
                continue;
            };
            if now.is_some() {
                // From now on nothing new relies on it: the next backup stores that content again.
                self.backend.put(&layout::pack(&manifest.id.instance, &pack.id, DAMAGED), &mut why.as_bytes())?;
            }
            fault.get_or_insert(why);
        }
        Ok(fault)
    }

    fn pack_is_whole(&self, blob: &str, id: &str) -> Result<(), String> {
        let bytes = self.backend.get(blob).map_err(|error| line(&error))?.ok_or_else(|| format!("the pack {blob} is missing"))?;
        match codec::sha256(bytes) {
            Ok((sha256, _)) if sha256.starts_with(id) => Ok(()),
            Ok(_) => Err(format!("the pack {blob} is not as it was written: its hash differs")),
            Err(error) => Err(format!("the pack {blob} cannot be read: {error}")),
        }
    }

    /// Packs that good verifications of other snapshots have read within the last days.
    fn read_lately(&self, id: &SnapshotId, now: DateTime<Utc>) -> Result<BTreeSet<String>> {
        let others = self.list(Some(&id.instance))?.0;
        let lately = others.into_iter().filter(|other| {
            other.manifest.id != *id
                && other.is_good()
                && other.verified.as_ref().is_some_and(|verified| verified.at > now - TRUSTED && verified.at <= now)
        });
        Ok(lately.filter_map(|other| other.manifest.files).flat_map(|files| files.packs).collect())
    }
}

/// Message and cause in one line.
fn line(error: &Error) -> String {
    match &error.cause {
        Some(cause) => format!("{}: {cause}", error.message),
        None => error.message.clone(),
    }
}
