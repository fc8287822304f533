//! The proof of a drill, beside the manifest of the snapshot that was restored.

use std::collections::BTreeMap;

use super::{Repository, put_json, read_text};
use crate::apply::crash;
use crate::backend::{Held, Hold};
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;
use crate::plan::drill::{Drilled, VERSION};
use crate::plan::snapshot::{Snapshot, SnapshotId};

impl Repository {
    /// Keeps the snapshots of an instance from being forgotten, until it is dropped; new ones may be taken meanwhile.
    ///
    /// # Errors
    /// Somebody is forgetting right now.
    pub fn hold(&self, instance: &InstanceId) -> Result<Box<dyn Held>> {
        self.lock(instance, "read", Hold::Shared)
    }

    /// Writes down what came of a drill, in place of what came of the last one of that snapshot: the page first.
    ///
    /// # Errors
    /// The snapshot is gone, or the place refuses.
    pub fn put_drilled(&self, drilled: &Drilled, page: &str) -> Result<()> {
        self.check_writable()?;
        let id = &drilled.snapshot;
        if self.manifest(id)?.is_none() {
            return Err(Error::external(format!("the snapshot {id} was forgotten while it was drilled")).next("summoner drill, again"));
        }
        let name = |file| layout::artefact(&id.instance, &id.stamp(), file);
        crash::point();
        self.backend.put(&name(layout::DRILLED_PAGE), &mut page.as_bytes())?;
        crash::point();
        put_json(self.backend.as_ref(), &name(layout::DRILLED), drilled)
    }

    /// What came of drilling a snapshot; None when nobody did, or it cannot be read: then it proves nothing.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn drilled(&self, id: &SnapshotId) -> Result<Option<Drilled>> {
        let text = read_text(self.backend.as_ref(), &layout::artefact(&id.instance, &id.stamp(), layout::DRILLED))?;
        let drilled = text.and_then(|text| serde_json::from_str::<Drilled>(&text).ok());
        Ok(drilled.filter(|drilled| drilled.snapshot == *id && drilled.version <= VERSION))
    }

    /// What came of drilling these snapshots.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn all_drilled(&self, snapshots: &[Snapshot]) -> Result<BTreeMap<SnapshotId, Drilled>> {
        let mut all = BTreeMap::new();
        for snapshot in snapshots {
            let id = &snapshot.manifest.id;
            if let Some(drilled) = self.drilled(id)? {
                all.insert(id.clone(), drilled);
            }
        }
        Ok(all)
    }
}
