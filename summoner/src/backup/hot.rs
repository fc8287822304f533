//! A dump: databases while everything runs, each at one moment.

use futures_util::future::try_join_all;

use super::manifest::{Taken, manifest};
use super::{DUMP_DEADLINE, Subject, Taking, secrets};
use crate::apply::command;
use crate::database::{self, DumpOptions, Part};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::minion::OwnDump;
use crate::plan::snapshot::{Consistency, Content, Kind, Manifest, SnapshotId};
use crate::repository::{Draft, Sinks, Stored};

pub(super) async fn fill<E: Engine>(taking: &Taking<'_, E>, subject: &Subject, draft: &Draft, id: SnapshotId) -> Result<Manifest> {
    let mut taken = Taken { parts: databases(taking, subject, draft).await?, ..Taken::default() };
    if let Some(own) = &taking.instance.keeping.dump {
        taken.others.push((Content::Files, own_dump(taking, own, draft).await?));
    }
    if let Some(stored) = secrets::store(taking, draft)? {
        taken.others.push((Content::Secrets, stored));
    }
    manifest(taking, id, (Kind::Dump, Consistency::Hot), taken).await
}

async fn databases<E: Engine>(taking: &Taking<'_, E>, subject: &Subject, draft: &Draft) -> Result<Vec<Part>> {
    let options = DumpOptions { deadline: DUMP_DEADLINE, road: None };
    let dumps = subject.targets.iter().map(|target| {
        taking.say(format!("dumping {}", target.container));
        database::dump(taking.world.engine, target, &options, draft, None)
    });
    Ok(try_join_all(dumps).await?.into_iter().flatten().collect())
}

/// The application writes its dump to files of its own; they are taken as one tar.
async fn own_dump<E: Engine>(taking: &Taking<'_, E>, own: &OwnDump, draft: &Draft) -> Result<Stored> {
    for exec in &own.create {
        taking.say("the application dumps itself");
        command::run(taking.world.engine, taking.instance, exec).await?;
    }
    let root = taking.world.layout().instance_files(&taking.instance.id);
    let sink = draft.create("files.tar")?;
    let names = own.files.clone();
    super::blocking::run(move |cancel| {
        let mut tar = tar::Builder::new(sink);
        tar.follow_symlinks(false);
        for name in &names {
            cancel()?;
            let path = root.join(name);
            tar.append_path_with_name(&path, name).map_err(|error| Error::io("read", &path, &error))?;
        }
        tar.into_inner().map_err(|error| Error::external("cannot write the application's own dump").cause(error))?.finish()
    })
    .await
}
