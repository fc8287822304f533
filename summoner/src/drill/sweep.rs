//! Takes away what drills made: by label at the engine, by folder on disk. After each drill, and what a crash left before the
//! next command that changes something.

use std::path::Path;

use crate::apply::crash;
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::plan::wanted::LABEL_DRILL;

use chrono::{DateTime, Utc};

/// A folder that a thread of an interrupted drill still writes to is tried again.
const TRIES: u32 = 5;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(400);

/// Whether something of a drill is there: its folders are made before anything else, and removed last.
#[must_use]
pub fn is_needed(layout: &Layout) -> bool {
    layout.drills().iter().any(|folder| folder.symlink_metadata().is_ok())
}

/// Takes away what an interrupted drill left, unless one runs right now. True when there was something.
///
/// # Errors
/// The engine or the disk refuses; the next command tries again.
pub async fn leftovers<E: Engine>(engine: &E, layout: &Layout, now: DateTime<Utc>) -> Result<bool> {
    if !is_needed(layout) {
        return Ok(false);
    }
    let _lock = match Lock::take_drill(layout, "drill (tidying up)", false, now).await {
        Ok(lock) => lock,
        Err(error) if error.kind == Kind::Locked => return Ok(false),
        Err(error) => return Err(error),
    };
    all(engine, layout).await.map(|()| true)
}

/// Takes away everything of every drill of this installation. The caller holds the lock of drills.
///
/// # Errors
/// As [`leftovers`].
pub(super) async fn all<E: Engine>(engine: &E, layout: &Layout) -> Result<()> {
    let owner = layout.files.display().to_string();
    let ours = |labels: &std::collections::BTreeMap<String, String>| labels.get(LABEL_DRILL) == Some(&owner);
    for known in engine.containers().await?.into_iter().filter(|known| ours(&known.labels)) {
        crash::point();
        engine.discard(&known.id).await?;
    }
    for known in engine.networks().await?.into_iter().filter(|known| ours(&known.labels)) {
        crash::point();
        engine.remove_network(&known.id).await?;
    }
    for folder in layout.drills() {
        crash::point();
        tokio::task::spawn_blocking(move || remove(&folder)).await.map_err(|error| Error::internal("a thread ended").cause(error))??;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    let mut tries = 1;
    while let Err(error) = disk::remove_tree(folder) {
        if tries == TRIES {
            return Err(error);
        }
        tries += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
