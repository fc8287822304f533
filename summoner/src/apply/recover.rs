//! Ends what an interrupted command began: what was replaced comes back, what was stopped starts again.
//!
//! Every command that changes something calls it first, under the lock; so does the daemon. Each act may be done twice.

use super::{World, command, lifecycle, moves};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{self, Doing, Journal};
use crate::observe::{Situation, observe};

/// Replays the journal; nothing is done when it is empty.
///
/// # Errors
/// Something cannot be put back or does not start: its entry stays, and the next command tries again.
pub async fn recover<E: Engine>(world: &World<'_, E>) -> Result<()> {
    let journals = journal::open(world.layout())?;
    if journals.is_empty() {
        return Ok(());
    }
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    let mut failed = None;
    for journal in journals {
        let id = journal.entry().instance.clone();
        if let Err(error) = one(world, &situation, journal).await {
            world.tell(&Event::Failed { instance: id.to_string(), message: error.message.clone() });
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn one<E: Engine>(world: &World<'_, E>, situation: &Situation, journal: Journal) -> Result<()> {
    let entry = journal.entry();
    let word = match entry.doing {
        Doing::Backup => "backup",
        Doing::Restore => "restore",
    };
    let since = entry.begun_at.format("%Y-%m-%d %H:%M:%S UTC");
    world.tell(&Event::Note { message: format!("{}: the {word} of {since} was interrupted; making it stand as before", entry.instance) });
    let wanted = situation.wanted.instances.iter().find(|wanted| wanted.id == entry.instance);
    if !entry.settled && !entry.moves.is_empty() {
        stop_all(world, situation, &entry.instance.to_string()).await?;
        moves::put_back(&entry.moves)?;
    }
    let Some(wanted) = wanted else {
        return by_name(world, journal).await;
    };
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
    let ours = situation.observed.containers.iter().filter(|known| {
        known.labels.get(crate::plan::wanted::LABEL_OWNER) == Some(owner)
            && known.labels.get(crate::plan::wanted::LABEL_INSTANCE).map(String::as_str) == Some(id)
    });
    for known in ours {
        world.engine.stop(&known.id, None).await?;
    }
    Ok(())
}
