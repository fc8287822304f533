//! Ends what an interrupted command began: what was replaced comes back, what was stopped starts again.
//!
//! Every command that changes something calls it first, under the lock; so does the daemon. Each act may be done twice.

use super::{World, command, lifecycle, moves};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{self, Doing, Journal};
use crate::nginx::waiting;
use crate::observe::{Situation, observe};
use crate::plan::deploy::Scope;
use crate::plan::state::Running;
use crate::plan::wanted::{InstanceWanted, LABEL_INSTANCE, LABEL_OWNER};
use crate::restore::{self, kept};
use crate::vhost::HostName;

/// Replays the journal; nothing is done when it is empty. What does not start is told and stays in the journal: it keeps
/// no other instance back.
///
/// # Errors
/// Data cannot be put back: until then nothing may go on.
pub async fn recover<E: Engine>(world: &World<'_, E>) -> Result<()> {
    let journals = journal::open(world.layout())?;
    if journals.is_empty() {
        return Ok(());
    }
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    let mut failed = None;
    for mut journal in journals {
        let id = journal.entry().instance.clone();
        note(world, &journal);
        if let Err(error) = data(world, &situation, &mut journal).await {
            failed = Some(error);
            continue;
        }
        if let Err(error) = again(world, &situation, journal).await {
            world.tell(&Event::Failed { instance: id.to_string(), message: error.message });
        }
    }
    failed.map_or(Ok(()), Err)
}

fn note<E: Engine>(world: &World<'_, E>, journal: &Journal) {
    let entry = journal.entry();
    let word = match entry.doing {
        Doing::Backup => "backup",
        Doing::Restore => "restore",
    };
    let since = entry.begun_at.format("%Y-%m-%d %H:%M:%S UTC");
    let how = if entry.settled { "it had succeeded and stays" } else { "making it stand as before" };
    world.tell(&Event::Note { message: format!("{}: the {word} of {since} was interrupted; {how}", entry.instance) });
}

/// The old data, or the new that was proven: nothing between.
async fn data<E: Engine>(world: &World<'_, E>, situation: &Situation, journal: &mut Journal) -> Result<()> {
    let entry = journal.entry();
    if entry.settled {
        return kept::record(world.layout(), entry);
    }
    if entry.doing == Doing::Restore {
        if !entry.moves.is_empty() {
            stop_all(world, situation, &entry.instance.to_string()).await?;
        }
        put_back(world, journal).await?;
    }
    Ok(())
}

/// The old data is in place and nothing is left of the new; the journal knows.
///
/// # Errors
/// The disk refuses.
pub(crate) async fn put_back<E: Engine>(world: &World<'_, E>, journal: &mut Journal) -> Result<()> {
    let entry = journal.entry();
    moves::put_back(&entry.moves)?;
    restore::discard(world, &entry.instance, &entry.moves).await?;
    if !entry.moves.is_empty() {
        journal.change(|entry| entry.moves.clear())?;
    }
    Ok(())
}

async fn again<E: Engine>(world: &World<'_, E>, situation: &Situation, journal: Journal) -> Result<()> {
    let entry = journal.entry();
    let Some(wanted) = situation.wanted.instances.iter().find(|wanted| wanted.id == entry.instance) else {
        return by_name(world, journal).await;
    };
    // Whatever it was for, it says that the application is back in a moment.
    for route in &wanted.routes {
        waiting::remove(world.layout(), &HostName::Exact(route.host.to_string()))?;
    }
    if entry.doing == Doing::Restore && !entry.settled {
        as_before(world, wanted, &entry.stopped).await?;
        return journal.end();
    }
    let there: Vec<String> = wanted
        .containers
        .iter()
        .filter(|container| entry.stopped.contains(&container.name) && situation.chosen(wanted, container).is_some())
        .map(|container| container.name.clone())
        .collect();
    lifecycle::start_these(world, situation, wanted, &there).await?;
    if entry.quiesced {
        for exec in &wanted.keeping.unquiesce {
            command::run(world.engine, wanted, exec).await?;
        }
    }
    journal.end()
}

/// Containers as config.yml says, for a restore may have made them anew with other secrets; of them run those that ran.
///
/// # Errors
/// One that ran does not run.
pub(crate) async fn as_before<E: Engine>(world: &World<'_, E>, wanted: &InstanceWanted, ran: &[String]) -> Result<()> {
    if ran.is_empty() {
        return Ok(());
    }
    let scope = Scope { only: Some([wanted.id.clone()].into()), ..Scope::default() };
    let up = super::run(world, &scope).await.and_then(|mut outcome| outcome.failed.pop().map_or(Ok(()), |(_, error)| Err(error)));
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    let mut runs = true;
    for container in &wanted.containers {
        let known = situation.chosen(wanted, container);
        if ran.contains(&container.name) {
            runs &= known.is_some_and(|known| known.running == Running::Running);
        } else if let Some(known) = known {
            world.engine.stop(&known.id, None).await?;
        }
    }
    match up {
        // Whether it answers is the matter of `status`: what ran runs.
        Err(error) if runs => {
            world.tell(&Event::Failed { instance: wanted.id.to_string(), message: error.message });
            Ok(())
        }
        result => result,
    }
}

/// It is no longer in config.yml: its containers may be there all the same.
async fn by_name<E: Engine>(world: &World<'_, E>, journal: Journal) -> Result<()> {
    for name in &journal.entry().stopped {
        if world.engine.inspect(name).await?.is_some() {
            world.engine.start(name).await?;
        }
    }
    if journal.entry().quiesced {
        let id = &journal.entry().instance;
        return Err(Error::external(format!("{id} was asked to stand still and is no longer in config.yml"))
            .next("put it back into config.yml, then run the same command again"));
    }
    journal.end()
}

/// Moves are made while nothing of the instance runs.
async fn stop_all<E: Engine>(world: &World<'_, E>, situation: &Situation, id: &str) -> Result<()> {
    let owner = &situation.wanted.owner;
    let ours =
        situation.observed.containers.iter().filter(|known| {
            known.labels.get(LABEL_OWNER) == Some(owner) && known.labels.get(LABEL_INSTANCE).map(String::as_str) == Some(id)
        });
    for known in ours {
        world.engine.stop(&known.id, None).await?;
    }
    Ok(())
}
