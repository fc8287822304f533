//! Databases of containers that Summoner did not install: known by their whole name, dumped, never changed.

use std::collections::BTreeMap;

use super::manifest::{Taken, manifest};
use super::{DUMP_DEADLINE, Taking, attempts, once};
use crate::apply::World;
use crate::config;
use crate::database::{self, DumpOptions};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::{ContainerName, Role};
use crate::observe::observe;
use crate::plan::snapshot::{Consistency, Kind, Purpose, Snapshot};
use crate::plan::wanted::{InstanceWanted, Keeping, LABEL_OWNER};
use crate::repository::Repository;

/// Database containers that follow the names and bear no label of ours, sorted.
///
/// # Errors
/// The engine does not answer.
pub async fn databases<E: Engine>(engine: &E) -> Result<Vec<ContainerName>> {
    let containers = engine.containers().await?;
    let strangers = containers.iter().filter(|known| !known.labels.contains_key(LABEL_OWNER));
    let mut names: Vec<ContainerName> = strangers
        .filter_map(|known| known.name.parse().ok())
        .filter(|name: &ContainerName| matches!(name.role, Role::Database(_)))
        .collect();
    names.sort_by_key(|name| (name.instance.to_string(), name.to_string()));
    Ok(names)
}

/// Dumps databases of one instance into one snapshot, with the credentials of their own environments.
///
/// # Errors
/// As [`super::dump`].
pub async fn dump<E: Engine>(world: &World<'_, E>, names: &[ContainerName], purpose: Purpose) -> Result<Snapshot> {
    let mut targets = Vec::new();
    for name in names {
        let Role::Database(kind) = name.role else {
            return Err(Error::usage(format!("{name} is no database container")));
        };
        targets.push(database::foreign_target(world.engine, &name.to_string(), kind).await?);
    }
    let name = names.first().ok_or_else(|| Error::internal("no database is named"))?;
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    let repository = Repository::create_or_open(&world.layout().backups(), world.now)?;
    let instance = unknown(name);
    let settings = config::Backup::default();
    let taking = Taking { world, situation: &situation, instance: &instance, settings: &settings, repository: &repository, purpose };
    world.tell(&Event::Begin { instance: Some(name.instance.to_string()), doing: "dump".into() });
    let options = DumpOptions { deadline: DUMP_DEADLINE, road: None };
    let fill = async |draft: &crate::repository::Draft, id| {
        let mut parts = Vec::new();
        for target in &targets {
            parts.extend(database::dump(world.engine, target, &options, draft, None).await?);
        }
        manifest(&taking, id, (Kind::Dump, Consistency::Hot), Taken { parts, ..Taken::default() }).await
    };
    attempts(&taking, async |attempt| once(&taking, attempt, fill).await).await
}

/// All that is known of an instance that is not ours: its name.
fn unknown(name: &ContainerName) -> InstanceWanted {
    InstanceWanted {
        id: name.instance.clone(),
        minion: name.instance.app.to_string(),
        proxy: false,
        url: None,
        network: None,
        volumes: BTreeMap::new(),
        containers: Vec::new(),
        folders: Vec::new(),
        secrets: Vec::new(),
        absent_secrets: Vec::new(),
        routes: Vec::new(),
        administrator: None,
        configure: Vec::new(),
        smoke: None,
        sign_in: Vec::new(),
        access: config::Access::default(),
        keeping: Keeping::default(),
    }
}
