//! Puts what was staged in the place of what is live, and proves it; whatever fails, the old state comes back.

use super::stage::Staged;
use super::{kept, look};
use crate::apply::{self, World, command, lifecycle, moves};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{Doing, Entry, Journal};
use crate::plan::deploy::Scope;
use crate::plan::snapshot::SnapshotId;
use crate::plan::state::Running;
use crate::plan::wanted::InstanceWanted;
use crate::state;

/// Swaps under the journal. `snapshot` is what will be live; None for the state before one.
pub(super) async fn swap<E: Engine>(
    world: &World<'_, E>,
    instance: &InstanceWanted,
    staged: &Staged,
    snapshot: Option<&SnapshotId>,
) -> Result<()> {
    let situation = look(world).await?;
    let mut entry = Entry::new(instance.id.clone(), Doing::Restore, world.now);
    let known = instance.containers.iter().filter_map(|container| Some((container, situation.chosen(instance, container)?)));
    let there: Vec<_> = known.collect();
    entry.stopped = there
        .iter()
        .filter(|(_, known)| matches!(known.running, Running::Running | Running::Restarting))
        .map(|(container, _)| container.name.clone())
        .collect();
    entry.moves.clone_from(&staged.moves);
    let mut journal = Journal::begin(world.layout(), entry)?;
    for (_, known) in there.iter().rev() {
        say(world, instance, format!("stopping {}", known.name));
        apply::crash::point();
        world.engine.stop(&known.id, None).await?;
    }
    let proven = async {
        moves::make(&staged.moves)?;
        forget_proof(world, instance)?;
        prove(world, instance, staged).await
    };
    match proven.await {
        Ok(()) => {
            kept::record(world.layout(), &instance.id, world.now, snapshot.map(ToString::to_string), staged.moves.clone())?;
            journal.change(|entry| entry.settled = true)?;
            journal.end()
        }
        Err(error) => {
            say(world, instance, "it did not come up; putting the old state back".into());
            back(world, instance, journal).await?;
            Err(error.next(format!("the state before the restore of {} is there again; nothing was lost", instance.id)))
        }
    }
}

fn say<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, message: String) {
    world.tell(&Event::Progress { instance: Some(instance.id.to_string()), message });
}

/// What was proven and configured was another state.
fn forget_proof<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted) -> Result<()> {
    let mut memory = state::load(world.layout())?;
    if let Some(known) = memory.instances.get_mut(&instance.id) {
        known.proven = None;
        known.configured = None;
        apply::crash::point();
        state::save(world.layout(), &memory)?;
    }
    Ok(())
}

async fn prove<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, staged: &Staged) -> Result<()> {
    let restored = World { restored: true, ..*world };
    up(&restored, instance).await?;
    if let Some(own) = instance.keeping.dump.as_ref().filter(|_| staged.own_dump) {
        for exec in &own.restore {
            say(world, instance, format!("loading its own dump: {}", exec.command.join(" ")));
            command::run(world.engine, instance, exec).await?;
        }
        let situation = look(world).await?;
        lifecycle::start(world, &situation, instance).await?;
    }
    Ok(())
}

/// Brings the instance up as config.yml says, and probes it through the proxy.
async fn up<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted) -> Result<()> {
    let scope = Scope { only: Some([instance.id.clone()].into()), ..Scope::default() };
    let mut outcome = apply::run(world, &scope).await?;
    match outcome.failed.pop() {
        None => Ok(()),
        Some((_, error)) => Err(error),
    }
}

async fn back<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, journal: Journal) -> Result<()> {
    let situation = look(world).await?;
    for container in instance.containers.iter().rev() {
        if let Some(known) = situation.chosen(instance, container) {
            world.engine.stop(&known.id, None).await?;
        }
    }
    moves::put_back(&journal.entry().moves)?;
    if journal.entry().stopped.is_empty() {
        return journal.end();
    }
    // Its secrets may have come back too: containers are made as config.yml says, then started.
    let again = up(world, instance).await;
    journal.end()?;
    again.map_err(|error| Error { message: format!("the old data of {} is in place, but {}", instance.id, error.message), ..error })
}
