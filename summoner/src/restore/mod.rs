//! Brings a snapshot back without destroying anything: verified first, staged beside the live data, swapped under the
//! journal, proven through the proxy, and the replaced data kept until it is confirmed.
//!
//! Whether a snapshot may be restored is decided by `plan::restore`; how an instance comes up is the matter of `apply`.

mod check;
pub mod kept;
mod server;
mod stage;
mod swap;
mod tuning;

use chrono::SecondsFormat;

use crate::apply::World;
use crate::backup::{self, Taking};
use crate::config;
use crate::docker::Engine;
use crate::error::Result;
use crate::event::Event;
use crate::observe::{Situation, observe};
use crate::plan::Plan;
use crate::plan::restore::{Part, Present, restore};
use crate::plan::snapshot::{Purpose, Snapshot};
use crate::plan::state::Running;
use crate::plan::wanted::InstanceWanted;
use crate::repository::Repository;

/// One restore.
pub struct Restoring<'a, E> {
    /// Engine, configuration, catalogue, listener.
    pub world: &'a World<'a, E>,
    /// What is there.
    pub situation: &'a Situation,
    /// Into which instance.
    pub instance: &'a InstanceWanted,
    /// What config.yml says of its backups: the safety snapshot follows it.
    pub settings: &'a config::Backup,
    /// Where from.
    pub repository: &'a Repository,
    /// What.
    pub snapshot: &'a Snapshot,
    /// Which part of it.
    pub part: &'a Part,
}

impl<E: Engine> Restoring<'_, E> {
    fn say(&self, message: impl Into<String>) {
        self.world.tell(&Event::Progress { instance: Some(self.instance.id.to_string()), message: message.into() });
    }

    fn present(&self) -> Present {
        let files = self.world.layout().instance_files(&self.instance.id).is_dir();
        let runs = |container| self.situation.chosen(self.instance, container).is_some_and(|known| known.running == Running::Running);
        Present { files, running: files && self.instance.containers.iter().all(runs) }
    }
}

/// What would be done.
///
/// # Errors
/// The installed version may not read the snapshot, or there is no room.
pub fn plan<E: Engine>(restoring: &Restoring<'_, E>) -> Result<Plan> {
    check::before(restoring)?;
    Ok(restore(&restoring.snapshot.manifest, &restoring.instance.id, restoring.part, restoring.present()))
}

/// Does it. When this fails, everything is as it was before.
///
/// # Errors
/// Whatever stood in the way; the sentence says that the old state is there.
pub async fn run<E: Engine>(restoring: &Restoring<'_, E>) -> Result<()> {
    check::before(restoring)?;
    kept::refuse_unconfirmed(restoring.world.layout(), &restoring.instance.id)?;
    restoring.say("checking the snapshot");
    check::whole(restoring).await?;
    if restoring.present().running {
        safety(restoring).await?;
    }
    let staged = match stage::all(restoring).await {
        Ok(staged) => staged,
        Err(error) => {
            stage::discard(restoring)?;
            return Err(error.next("nothing that is live was touched"));
        }
    };
    let done = swap::swap(restoring.world, restoring.instance, &staged, Some(&restoring.snapshot.manifest.id)).await;
    stage::discard(restoring)?;
    done
}

/// The present state as a snapshot. When it cannot be taken the restore goes on: what is replaced is kept anyway.
async fn safety<E: Engine>(restoring: &Restoring<'_, E>) -> Result<()> {
    let Restoring { world, situation, instance, settings, repository, .. } = restoring;
    let taking = Taking { world, situation, instance, settings, repository, purpose: Purpose::PreRestore };
    match backup::backup(&taking).await {
        Ok(snapshot) => world.tell(&Event::Note { message: format!("{}: the present state is {}", instance.id, snapshot.manifest.id) }),
        Err(error) => world.tell(&Event::Note {
            message: format!(
                "{}: the present state could not be taken ({}); what is replaced is kept beside it",
                instance.id, error.message
            ),
        }),
    }
    Ok(())
}

/// Puts back what the last restore replaced; the restored state is kept in its place until it is confirmed.
///
/// # Errors
/// Nothing was restored, or the old state does not come up: then the restored one is there again.
pub async fn undo<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted) -> Result<()> {
    let record = kept::load(world.layout(), &instance.id)?;
    let reversed = stage::Staged { moves: record.reversed(), secrets: None, own_dump: false };
    kept::forget(world.layout(), &instance.id)?;
    let done = swap::swap(world, instance, &reversed, None).await;
    if done.is_err() {
        kept::save(world.layout(), &record)?;
    }
    done
}

/// Looks again: what a restore changed changes what is wanted.
async fn look<E: Engine>(world: &World<'_, E>) -> Result<Situation> {
    observe(world.engine, world.config, world.catalogue, world.now).await
}

/// A time as a part of a path.
fn stamp<E: Engine>(world: &World<'_, E>) -> String {
    world.now.to_rfc3339_opts(SecondsFormat::Secs, true).replace([':', '-'], "")
}
