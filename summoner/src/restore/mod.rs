//! Brings a snapshot back without destroying anything: verified first, staged beside the live data, swapped under the
//! journal, proven through the proxy, and the replaced data kept until it is confirmed.
//!
//! Whether a snapshot may be restored is decided by `plan::restore`; how an instance comes up is the matter of `apply`.

pub(crate) mod check;
pub mod kept;
pub(crate) mod server;
mod stage;
mod swap;
pub(crate) mod tuning;

use std::path::{Path, PathBuf};

use chrono::SecondsFormat;

use crate::apply::{self, World};
use crate::backup::{self, Taking};
use crate::config;
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{self, Doing, Entry, Journal, Move};
use crate::layout::Layout;
use crate::name::InstanceId;
use crate::observe::{Situation, observe};
use crate::plan::Plan;
use crate::plan::restore::{Part, Present, restore};
use crate::plan::snapshot::{Content, Purpose, Snapshot};
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

    /// An application that loads its own dump changes its live data: no rename brings that back.
    fn loads_in_place(&self) -> bool {
        let own = self.snapshot.manifest.artefacts.iter().any(|artefact| artefact.content == Content::Files);
        own && self.part.databases() && self.instance.keeping.dump.is_some()
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
    let (world, id) = (restoring.world, &restoring.instance.id);
    kept::refuse_unconfirmed(world.layout(), id)?;
    journal::refuse_open(world.layout(), id)?;
    restoring.say("checking the snapshot");
    check::whole(restoring).await?;
    let present = restoring.present();
    let taken = present.running && safety(restoring).await;
    if restoring.loads_in_place() && present.files && !taken {
        return Err(Error::external(format!(
            "{id} loads its own dump over its live data, and the present state could not be taken before"
        ))
        .next(format!("summoner start {id}, then the same command again: nothing was touched")));
    }
    // From here on the next command knows what to tidy away.
    let mut entry = Entry::new(id.clone(), Doing::Restore, world.now);
    entry.snapshot = Some(restoring.snapshot.manifest.id.to_string());
    let journal = Journal::begin(world.layout(), entry)?;
    let staged = async {
        discard(world, id, &[]).await?;
        stage::discard_volumes(restoring).await?;
        stage::all(restoring).await
    };
    match staged.await {
        Ok(staged) => swap::swap(world, restoring.instance, &staged, journal).await,
        Err(error) => {
            let error = error.next("nothing that is live was touched");
            let tidied = async {
                discard(world, id, &[]).await?;
                stage::discard_volumes(restoring).await?;
                journal.end()
            };
            // What cannot be tidied away stays in the journal, for the next command.
            Err(match tidied.await {
                Ok(()) => error,
                Err(second) => error.also(&second),
            })
        }
    }
}

/// Takes away what was staged and did not take a place, and the servers that it was loaded into. What a restore replaced
/// and keeps stays.
///
/// # Errors
/// The engine or the disk refuses.
pub(crate) async fn discard<E: Engine>(world: &World<'_, E>, id: &InstanceId, moves: &[Move]) -> Result<()> {
    let layout = world.layout();
    server::remove_leftovers(world, id).await?;
    let kept: Vec<PathBuf> = kept::find(layout, id)?.iter().flat_map(kept::Record::kept).cloned().collect();
    let mut beside = vec![layout.beside_files(id), layout.beside_databases(id)];
    beside.extend(moves.iter().filter_map(|each| Layout::beside_of(&each.new)).map(Path::to_owned));
    for folder in &beside {
        let waiting = Layout::waiting(folder);
        if !kept.iter().any(|kept| kept.starts_with(&waiting)) {
            apply::crash::point();
            disk::remove_tree(&waiting)?;
        }
    }
    // The folders that the old data was kept in are empty now.
    for each in moves {
        for folder in each.old.ancestors().skip(1).take_while(|folder| Layout::beside_of(folder).is_some()) {
            if !disk::remove_if_empty(folder)? {
                break;
            }
        }
    }
    beside.iter().try_for_each(|folder| disk::remove_if_empty(folder).map(drop))
}

/// The present state as a snapshot; whether it was taken. When not, the restore goes on: what is replaced is kept anyway.
async fn safety<E: Engine>(restoring: &Restoring<'_, E>) -> bool {
    let Restoring { world, situation, instance, settings, repository, .. } = restoring;
    let taking = Taking { world, situation, instance, settings, repository, purpose: Purpose::PreRestore };
    match backup::backup(&taking).await {
        Ok(snapshot) => {
            world.tell(&Event::Note { message: format!("{}: the present state is {}", instance.id, snapshot.manifest.id) });
            true
        }
        Err(error) => {
            world.tell(&Event::Note {
                message: format!(
                    "{}: the present state could not be taken ({}); what is replaced is kept beside it",
                    instance.id, error.message
                ),
            });
            false
        }
    }
}

/// Puts back what the last restore replaced; the restored state is kept in its place until it is confirmed.
///
/// # Errors
/// Nothing was restored, or the old state does not come up: then the restored one is there again.
pub async fn undo<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted) -> Result<()> {
    let record = kept::to_undo(world.layout(), &instance.id)?;
    let reversed = stage::Staged { moves: record.reversed(), secrets: None, own_dump: false };
    // The record stays until that of the way back replaces it: whatever happens, what is kept is known.
    let journal = Journal::begin(world.layout(), Entry::new(instance.id.clone(), Doing::Restore, world.now))?;
    swap::swap(world, instance, &reversed, journal).await
}

/// Looks again: what a restore changed changes what is wanted.
async fn look<E: Engine>(world: &World<'_, E>) -> Result<Situation> {
    observe(world.engine, world.config, world.catalogue, world.now).await
}

/// A time as a part of a path.
fn stamp<E: Engine>(world: &World<'_, E>) -> String {
    world.now.to_rfc3339_opts(SecondsFormat::Secs, true).replace([':', '-'], "")
}
