//! What a snapshot is made of, blob by blob: for whoever carries it to another repository, or back.

use std::collections::BTreeSet;

use super::Repository;
use super::index::{Index, OBJECTS};
use crate::archive::tree::Tree;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::{Content, Manifest};

/// A blob that a snapshot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub blob: String,
    /// What its SHA-256 begins with; None is not known from its name or the manifest.
    pub sha256: Option<String>,
}

impl Repository {
    /// The packs that a snapshot's tree needs, each followed by its list; by the tree's objects and the lists of today:
    /// packs may have been written again since the snapshot was taken.
    ///
    /// # Errors
    /// The tree cannot be read, or an object is in no sound pack.
    pub(crate) fn needed_packs(&self, manifest: &Manifest, index: &Index) -> Result<Vec<Need>> {
        let mut packs = BTreeSet::new();
        for tree in manifest.artefacts.iter().filter(|artefact| artefact.content == Content::Tree) {
            let mut tree = Tree::new(self.artefact_of(&manifest.id, &tree.name, &tree.sha256)?);
            while let Some(entry) = tree.next_entry()? {
                for object in &entry.objects {
                    let pack = index.pack_of(object).filter(|pack| !pack.damaged).ok_or_else(|| {
                        Error::external(format!("an object of {} in {} is in no sound pack", entry.node.path.escape_ascii(), manifest.id))
                            .cause(object)
                            .next(format!("summoner verify {}", manifest.id))
                    })?;
                    packs.insert((&pack.id, &pack.blob));
                }
            }
        }
        let both = |(id, blob): (&String, &String)| {
            let pack = Need { blob: blob.clone(), sha256: Some(id.clone()) };
            [pack, Need { blob: layout::pack(&manifest.id.instance, id, OBJECTS), sha256: None }]
        };
        Ok(packs.into_iter().flat_map(both).collect())
    }

    /// The artefacts of a snapshot.
    #[must_use]
    pub(crate) fn needed_artefacts(manifest: &Manifest) -> Vec<Need> {
        let id = &manifest.id;
        let need =
            |name: &str, sha256: &str| Need { blob: layout::artefact(&id.instance, &id.stamp(), name), sha256: Some(sha256.to_owned()) };
        manifest.artefacts.iter().map(|artefact| need(&artefact.name, &artefact.sha256)).collect()
    }
}
