//! What must hold before anything is touched: versions, space, and that the snapshot is whole.

use super::Restoring;
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::restore::compare_versions;
use crate::plan::snapshot::SnapshotId;

/// Room beyond the content itself: indices of databases, logs of the load.
const ROOM_PERCENT: u64 = 130;

/// Versions and space.
pub(super) fn before<E: Engine>(restoring: &Restoring<'_, E>) -> Result<()> {
    let keeping = &restoring.instance.keeping;
    let manifest = &restoring.snapshot.manifest;
    compare_versions(manifest, keeping.policy, keeping.version.as_deref())?;
    let layout = restoring.world.layout();
    let databases: u64 = manifest.artefacts.iter().filter(|artefact| artefact.database.is_some()).map(|artefact| artefact.bytes_raw).sum();
    let files = manifest.files.as_ref().filter(|_| restoring.part.files()).map_or(0, |files| files.bytes);
    let databases = if restoring.part.databases() { databases } else { 0 };
    room(layout, &manifest.id, files, databases)
}

/// Refuses to restore where there is no room beside the live data.
///
/// # Errors
/// There is none; the sentence says where and how much is needed.
pub(crate) fn room(layout: &Layout, id: &SnapshotId, files: u64, databases: u64) -> Result<()> {
    for (path, bytes) in [(&layout.files, files), (&layout.databases, databases)] {
        let needed = bytes.saturating_mul(ROOM_PERCENT) / 100;
        let free = disk::free_bytes(path)?;
        if free < needed {
            return Err(Error::external(format!(
                "there is no room to restore {id}: {} has {free} bytes free, {needed} are needed beside the live data",
                path.display()
            ))
            .next("free space there, then run the same command again: nothing was touched"));
        }
    }
    Ok(())
}

/// Every hash, before anything of it is used.
pub(super) async fn whole<E: Engine>(restoring: &Restoring<'_, E>) -> Result<()> {
    let (repository, id, now) = (restoring.repository.clone(), restoring.snapshot.manifest.id.clone(), restoring.world.now);
    let verified = crate::backup::blocking(move |_| repository.verify(&id, false, now)).await?;
    match verified.fault {
        None => Ok(()),
        Some(fault) => Err(Error::external(format!("the snapshot {} is damaged and was not restored", restoring.snapshot.manifest.id))
            .cause(fault)
            .next(format!("summoner snapshots {}   shows the others", restoring.instance.id))),
    }
}
