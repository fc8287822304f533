//! What there is to take of an instance: folders, databases with the way in, secrets.

use std::path::{Path, PathBuf};

use super::Taking;
use crate::archive::Root;
use crate::database::{Access, Secret, Target};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::minion::Database;
use crate::name::{ContainerName, InstanceId, Role};
use crate::state::secrets;

/// The name of the instance's own folder within the tree.
pub const FILES: &str = "files";

/// What there is to take.
pub struct Subject {
    /// Folders.
    pub roots: Vec<Root>,
    /// Databases.
    pub targets: Vec<Target>,
}

impl Subject {
    /// Finds out what there is.
    ///
    /// # Errors
    /// A secret that cannot be read.
    pub async fn of<E: Engine>(taking: &Taking<'_, E>) -> Result<Self> {
        let layout = taking.world.layout();
        let id = &taking.instance.id;
        let mut roots = Vec::new();
        let files = layout.instance_files(id);
        if files.is_dir() {
            roots.push(Root { name: FILES.into(), path: files, leave_out: taking.instance.keeping.regenerable.clone() });
        }
        if !taking.instance.volumes.is_empty() {
            let engine = taking.world.engine.info().await?.root;
            roots.extend(taking.instance.volumes.keys().map(|name| volume(&engine, name)));
        }
        let targets = taking.instance.keeping.databases.iter().map(|database| target(layout, id, database)).collect::<Result<_>>()?;
        Ok(Self { roots, targets })
    }
}

fn volume(engine_root: &str, name: &str) -> Root {
    Root { name: format!("volumes/{name}"), path: volume_path(engine_root, name), leave_out: Vec::new() }
}

/// Where the engine's local driver keeps a named volume.
#[must_use]
pub fn volume_path(engine_root: &str, name: &str) -> PathBuf {
    Path::new(engine_root).join("volumes").join(name).join("_data")
}

/// A database of an instance and the way in, from our own secrets.
///
/// # Errors
/// The secret is absent or cannot be read.
pub fn target(layout: &Layout, id: &InstanceId, database: &Database) -> Result<Target> {
    let (user, secret) = match &database.root {
        Some((user, secret)) => (user.clone(), secret),
        None => (database.user.clone(), &database.password),
    };
    let password = secrets::read(layout, id, secret)?.ok_or_else(|| {
        Error::external(format!("the secret {secret} of {id} is gone")).next("put it back, or take it from a snapshot: summoner restore")
    })?;
    Ok(Target {
        container: ContainerName { role: Role::Database(database.kind), instance: id.clone() }.to_string(),
        kind: database.kind,
        admin: Access { user, password: Some(Secret::new(password)) },
        databases: vec![database.name.clone()],
    })
}
