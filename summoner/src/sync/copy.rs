//! Copies one snapshot: packs and their lists, artefacts, then what anybody may know of it, what was found out about it, and
//! the manifest, which makes it one.

use std::sync::{Mutex, PoisonError};

use super::Site;
use super::carry::{Carrier, Failure};
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::snapshot::{Manifest, Snapshot};
use crate::plan::sync::{Memory, Part, Parts, State, There, VERSION};
use crate::repository::Repository;
use crate::repository::index::Index;
use crate::repository::needs::Need;
use crate::state::copies;

/// Packs that were written again while a copy was under way are looked for once more.
const TRIES: u32 = 2;

impl Site<'_> {
    /// Copies a snapshot that is good here.
    pub(super) fn copy(&mut self, snapshot: &Snapshot, index: &mut Option<(InstanceId, Index)>) -> Result<()> {
        let manifest = &snapshot.manifest;
        self.filling.say(&manifest.id, format!("copying {} to {}", manifest.id.stamp(), self.filling.settings.name));
        for _ in 0..TRIES {
            let needs = self.needs(manifest, index)?;
            match self.carry(&needs) {
                Ok(parts) => return self.finish(snapshot, parts),
                Err(Failure::Failed(error)) => return Err(error),
                // Somebody forgets here right now.
                Err(Failure::Vanished(_)) => *index = None,
            }
        }
        Err(Error::external(format!("the packs of {} are being written again", manifest.id)).next("wait for summoner forget to end"))
    }

    fn needs(&self, manifest: &Manifest, index: &mut Option<(InstanceId, Index)>) -> Result<Vec<Need>> {
        let instance = &manifest.id.instance;
        if index.as_ref().is_none_or(|(of, _)| of != instance) {
            *index = Some((instance.clone(), Index::load(self.here.backend(), instance)?));
        }
        let Some((_, index)) = index else { return Err(Error::internal("an index that was loaded is not there")) };
        let mut needs = self.here.needed_packs(manifest, index)?;
        needs.extend(Repository::needed_artefacts(manifest));
        Ok(needs)
    }

    /// Brings blobs there; each that is proven is written down before the next is begun.
    pub(super) fn carry(&mut self, needs: &[Need]) -> Result<Vec<Part>, Failure> {
        let memory = Mutex::new(std::mem::take(&mut self.memory));
        let parts = self.seen.parts();
        let held = || memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |name: &str| {
            let memory = held();
            if memory.broken.contains(name) { None } else { memory.part(name).or_else(|| parts.get(name).map(|part| (*part).clone())) }
        };
        let unproven = |name: &str| held().unproven(name);
        let began = |part: &Part| {
            let mut memory = held();
            memory.began(part);
            save(self, &memory)
        };
        let proven = |part: &Part| {
            let mut memory = held();
            memory.proven(part);
            save(self, &memory)
        };
        let carrier = Carrier {
            from: self.here.backend().as_ref(),
            to: self.there.backend().as_ref(),
            sealed: self.sealed,
            listed: &self.seen.listed,
            known: &known,
            unproven: &unproven,
            began: &began,
            proven: &proven,
            sent: &self.sent,
            cancel: self.cancel,
        };
        let carried = carrier.all(needs);
        self.memory = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        carried
    }

    fn finish(&mut self, snapshot: &Snapshot, mut blobs: Vec<Part>) -> Result<()> {
        let manifest = &snapshot.manifest;
        let id = &manifest.id;
        blobs.sort_by(|a, b| a.name.cmp(&b.name));
        blobs.dedup();
        let verified = snapshot.verified.as_ref().ok_or_else(|| Error::internal(format!("{id} is copied and was never read back")))?;
        let parts = Parts {
            version: VERSION,
            id: id.clone(),
            origin: self.here.id().to_owned(),
            kind: manifest.kind,
            consistency: manifest.consistency,
            purpose: manifest.purpose,
            ended_at: manifest.ended_at,
            verified_at: verified.at,
            copied_at: self.filling.now,
            bytes_total: manifest.bytes_total,
            blobs,
        };
        let mut text = serde_json::to_vec_pretty(&parts).map_err(|error| Error::internal("parts do not serialise").cause(error))?;
        text.push(b'\n');
        let blob = |name: &str| layout::artefact(&id.instance, &id.stamp(), name);
        let carrier = self.plain();
        // A place that may only be added to takes nothing a second time.
        let stays = |name: &str| self.filling.settings.append_only && self.seen.listed.contains_key(&blob(name));
        let same = self.seen.there.iter().any(|there| there.parts.id == *id && there.parts.blobs == parts.blobs);
        if !same {
            carrier.put(&blob(layout::PARTS), &text)?;
        }
        for name in [layout::VERIFIED, layout::DRILLED, layout::DRILLED_PAGE, layout::MANIFEST].into_iter().filter(|name| !stays(name)) {
            let small = Need { blob: blob(name), sha256: None };
            match carrier.send(&small) {
                Ok(_) => {}
                // Nobody drilled it, or looked yet again.
                Err(Failure::Vanished(_)) if name != layout::MANIFEST => {}
                Err(Failure::Vanished(name)) => return Err(Error::external(format!("{name} was forgotten here while it was copied"))),
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
        self.seen.there.retain(|there| there.parts.id != *id);
        self.memory.finished(id, &parts.blobs);
        self.seen.listed.extend(parts.blobs.iter().map(|part| (part.name.clone(), part.bytes)));
        self.seen.there.push(There { parts, state: State::Whole });
        self.save()
    }

    /// For small things, of which nothing is remembered.
    pub(super) fn plain(&self) -> Carrier<'_> {
        Carrier {
            from: self.here.backend().as_ref(),
            to: self.there.backend().as_ref(),
            sealed: self.sealed,
            listed: &self.seen.listed,
            known: &|_| None,
            unproven: &|_| None,
            began: &|_| Ok(()),
            proven: &|_| Ok(()),
            sent: &self.sent,
            cancel: self.cancel,
        }
    }
}

fn save(site: &Site<'_>, memory: &Memory) -> Result<()> {
    copies::save(&site.filling.layout, &site.filling.settings.name, memory)
}
