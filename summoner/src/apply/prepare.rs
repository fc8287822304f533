//! Preparations on the host: range, folders, secrets, certificates. The engine is not touched.

use super::{World, crash};
use crate::acme;
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::observe::Situation;
use crate::plan::wanted::{InstanceWanted, RouteWanted};
use crate::plan::{Action, Plan, Step};
use crate::state::{self, secrets};

/// Folders of data: each application guards its own files by owner and mode.
const FOLDER_MODE: u32 = 0o755;

/// Does every preparation of a plan, and remembers the subnets.
pub(super) fn all<E: Engine>(world: &World<'_, E>, situation: &Situation, plan: &Plan) -> Result<()> {
    let layout = world.layout();
    for folder in [&layout.files, &layout.databases] {
        disk::ensure_folder(folder, FOLDER_MODE, None)?;
    }
    crash::point();
    remember_networks(world, situation)?;
    for step in plan.steps.iter().filter(|step| step.action.is_preparation()) {
        world.begin(step.instance.as_ref(), step.action.words().to_owned() + " " + &step.object);
        crash::point();
        one(world, situation, step)?;
    }
    Ok(())
}

fn one<E: Engine>(world: &World<'_, E>, situation: &Situation, step: &Step) -> Result<()> {
    if step.action == Action::IssueCertificate {
        return certificate(world, situation, &step.object);
    }
    let Some(instance) = situation.wanted.instances.iter().find(|instance| Some(&instance.id) == step.instance.as_ref()) else {
        return Ok(());
    };
    match step.action {
        Action::MakeFolder => folder(instance, &step.object),
        Action::GenerateSecret => {
            let spec = instance.secrets.iter().find(|spec| spec.name == step.object);
            let spec = spec.ok_or_else(|| Error::internal(format!("no specification of the secret {}", step.object)))?;
            secrets::generate(world.layout(), &instance.id, spec)
        }
        _ => Ok(()),
    }
}

/// Has the own authority sign for a host, whoever has it.
pub(super) fn certificate<E: Engine>(world: &World<'_, E>, situation: &Situation, host: &str) -> Result<()> {
    let routes = situation.wanted.instances.iter().flat_map(|instance| &instance.routes);
    let names = routes.map(RouteWanted::names).chain(situation.observed.outside.iter().cloned());
    let names = names.into_iter().find(|names| names.first().is_some_and(|first| first.as_str() == host));
    let names = names.ok_or_else(|| Error::internal(format!("no route for the certificate {host}")))?;
    let authority = acme::Authority::open(world.layout(), &world.config.domain, world.now)?;
    acme::renew(world.layout(), &authority, &names, world.now).map(drop)
}

fn folder(instance: &InstanceWanted, path: &str) -> Result<()> {
    let folder = instance.folders.iter().find(|folder| folder.path.as_os_str() == path);
    let folder = folder.ok_or_else(|| Error::internal(format!("no specification of the folder {path}")))?;
    disk::ensure_folder(&folder.path, FOLDER_MODE, folder.owner).map(drop)
}

fn remember_networks<E: Engine>(world: &World<'_, E>, situation: &Situation) -> Result<()> {
    let mut memory = situation.observed.memory.clone();
    memory.network_range = Some(situation.observed.range.clone());
    for (id, subnet) in &situation.subnets {
        memory.instances.entry(id.clone()).or_default().subnet = Some(subnet.clone());
    }
    if memory == situation.observed.memory {
        return Ok(());
    }
    state::save(world.layout(), &memory)
}
