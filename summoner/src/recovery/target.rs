//! Whether a machine is empty enough to be rebuilt on. Looks only.

use std::path::Path;

use crate::disk;
use crate::error::{Error, Result};
use crate::layout;
use crate::plan::recovery::Target;
use crate::plan::state::Container;
use crate::plan::wanted::LABEL_OWNER;

/// Refuses a machine that has an installation, or anything where one is to go. `place` is the repository, which may lie in
/// its old place; `known` is the config.yml that this machine remembers.
///
/// # Errors
/// Something is there: the sentence names it.
pub fn refuse_occupied(target: &Target, place: &Path, known: Option<&Path>, containers: &[Container]) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::external(format!("this machine is not empty: {what}"))
            .next("summoner restore INSTANCE --from …   brings single instances back to an installation")
            .next("--data FOLDER and --config FILE choose other places; or move away what is there"))
    };
    if let Some(known) = known.filter(|known| known.is_file()) {
        return refuse(format!("{} is the configuration of an installation", known.display()));
    }
    if target.config.symlink_metadata().is_ok() {
        return refuse(format!("{} is there", target.config.display()));
    }
    let layout = &target.layout;
    let nested = |path: &Path| [&layout.files, &layout.databases].into_iter().any(|root| root != path && root.starts_with(path));
    for root in [&layout.files, &layout.databases] {
        for found in disk::files_in(root)? {
            let fine = found == place || (found == layout.own() && only_begun(&found)?) || nested(&found) || found == layout.databases;
            if !fine {
                return refuse(format!("{} is there", found.display()));
            }
        }
    }
    let owner = layout.files.display().to_string();
    match containers.iter().find(|container| container.labels.get(LABEL_OWNER) == Some(&owner)) {
        None => Ok(()),
        Some(found) => refuse(format!("the container {} belongs to an installation in {owner}", found.name)),
    }
}

/// Whether a command of Summoner's was cut off before it wrote anything there.
fn only_begun(own: &Path) -> Result<bool> {
    let nothing = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name == layout::LOCK || name.to_string_lossy().starts_with(disk::TEMPORARY))
    };
    Ok(disk::files_in(own)?.iter().all(nothing))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layout::Layout;

    #[test]
    fn what_is_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("data");
        let layout = Layout { databases: files.join("database"), files };
        let target = Target { config: folder.path().join("config.yml"), layout };
        let place = target.layout.backups();
        let said = |known: Option<&Path>| refuse_occupied(&target, &place, known, &[]).map_err(|error| error.message);
        said(None).unwrap();
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(target.layout.own()).unwrap();
        fs::create_dir_all(&target.layout.databases).unwrap();
        fs::write(target.layout.lock(), "").unwrap();
        said(None).unwrap();
        fs::create_dir(target.layout.databases.join("mysql-ghost-a.fr")).unwrap();
        assert!(said(None).unwrap_err().contains("database/mysql-ghost-a.fr is there"));
        fs::remove_dir(target.layout.databases.join("mysql-ghost-a.fr")).unwrap();
        fs::write(target.layout.state(), "{}").unwrap();
        assert!(said(None).unwrap_err().ends_with("summoner is there"));
        fs::remove_file(target.layout.state()).unwrap();
        fs::write(&target.config, "").unwrap();
        assert!(said(None).unwrap_err().contains("config.yml is there"));
        assert!(said(Some(&target.config)).unwrap_err().contains("is the configuration of an installation"));
    }
}
