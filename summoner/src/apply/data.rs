//! Deleting an instance's data, on the explicit word of a person.

use std::path::{Path, PathBuf};

use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::InstanceId;
use crate::plan::wanted::{LABEL_INSTANCE, LABEL_OWNER};
use crate::state;

/// Deletes the folders of one instance and forgets it.
///
/// # Errors
/// A container of it still exists, a folder is not below the storage roots, or the disk refuses.
pub async fn delete<E: Engine>(engine: &E, layout: &Layout, id: &InstanceId, folders: &[PathBuf]) -> Result<()> {
    let owner = layout.files.display().to_string();
    let theirs = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(LABEL_OWNER) == Some(&owner) && labels.get(LABEL_INSTANCE) == Some(&id.to_string())
    };
    if let Some(container) = engine.containers().await?.iter().find(|container| theirs(&container.labels)) {
        return Err(Error::external(format!("the data of {id} was not deleted: {} still uses it", container.name))
            .next("summoner install   takes it away, then delete again"));
    }
    for folder in folders {
        remove(layout, folder)?;
    }
    let mut memory = state::load(layout)?;
    memory.instances.remove(id);
    state::save(layout, &memory)
}

fn remove(layout: &Layout, folder: &Path) -> Result<()> {
    let within = |root: &Path| folder.starts_with(root) && folder != root;
    if !(within(&layout.files) || within(&layout.databases)) {
        return Err(Error::internal(format!("{} is not below the storage roots", folder.display())));
    }
    match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("look at", folder, &error)),
        // A link is not ours to follow.
        Ok(metadata) if metadata.is_symlink() => {
            return Err(Error::external(format!("{} is a link: nothing behind it was deleted", folder.display())).next("delete it by hand"));
        }
        Ok(_) => {}
    }
    std::fs::remove_dir_all(folder).map_err(|error| Error::io("delete", folder, &error))
}
