//! Puts what was staged in the place of what is live, and proves it; whatever fails, the old state comes back.

use super::stage::Staged;
use super::{kept, look};
use crate::apply::{self, World, command, lifecycle, moves, recover};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::Journal;
use crate::plan::deploy::Scope;
use crate::plan::state::{Container, Running};
use crate::plan::wanted::{ContainerWanted, InstanceWanted};
use crate::state;

/// Swaps under the journal, whose entry says what will be live.
pub(super) async fn swap<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, staged: &Staged, mut journal: Journal) -> Result<()> {
    let situation = look(world).await?;
    let known = instance.containers.iter().filter_map(|container| Some((container, situation.chosen(instance, container)?)));
    let there: Vec<_> = known.collect();
    let runs = |known: &Container| matches!(known.running, Running::Running | Running::Restarting);
    journal.change(|entry| {
        entry.stopped = there.iter().filter(|(_, known)| runs(known)).map(|(container, _)| container.name.clone()).collect();
        entry.moves.clone_from(&staged.moves);
    })?;
    let proven = async {
        stop(world, instance, &there).await?;
        moves::make(&staged.moves)?;
        forget_proof(world, instance)?;
        prove(world, instance, staged).await?;
        // From here on a crash leaves the new state, and the next command writes down what it replaced.
        journal.change(|entry| entry.settled = true)
    };
    match proven.await {
        Ok(()) => {
            kept::record(world.layout(), journal.entry())?;
            super::discard(world, &instance.id, &[]).await?;
            journal.end()
        }
        Err(error) => {
            say(world, instance, "it did not come up; putting the old state back".into());
            match back(world, instance, journal).await {
                Ok(()) if staged.own_dump => {
                    Err(error.next(format!("summoner restore {} --snapshot ID   with the backup that was taken just before", instance.id)))
                }
                Ok(()) => Err(error.next(format!("the state before the restore of {} is there again; nothing was lost", instance.id))),
                Err(second) => Err(error
                    .also(&second)
                    .next(format!("summoner start {}   tries again to bring the old state back; it is kept until then", instance.id))),
            }
        }
    }
}

fn say<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, message: String) {
    world.tell(&Event::Progress { instance: Some(instance.id.to_string()), message });
}

async fn stop<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, there: &[(&ContainerWanted, &Container)]) -> Result<()> {
    for (_, known) in there.iter().rev() {
        say(world, instance, format!("stopping {}", known.name));
        apply::crash::point();
        world.engine.stop(&known.id, None).await?;
    }
    Ok(())
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

async fn back<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, mut journal: Journal) -> Result<()> {
    let situation = look(world).await?;
    for container in instance.containers.iter().rev() {
        if let Some(known) = situation.chosen(instance, container) {
            world.engine.stop(&known.id, None).await?;
        }
    }
    journal.change(|entry| entry.settled = false)?;
    recover::put_back(world, &mut journal).await?;
    let ran = journal.entry().stopped.clone();
    // Its secrets may have come back too: containers are made as config.yml says, then started.
    let again = recover::as_before(world, instance, &ran).await;
    again.map_err(|error| Error { message: format!("the old data of {} is in place, but {}", instance.id, error.message), ..error })?;
    journal.end()
}
