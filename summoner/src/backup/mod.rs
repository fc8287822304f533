//! Takes snapshots: hot dumps of databases, and backups of an instance's files, databases and secrets at one point.
//!
//! Knows the order in which an application is stopped, looked at and started again; how databases are dumped, files
//! captured and snapshots stored is the matter of `database`, `archive` and `repository`. Restores nothing.

mod blocking;
pub mod check;
mod cold;
pub mod foreign;
pub mod forget;
mod hot;
mod manifest;
mod pause;
mod secrets;
pub mod subject;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::future::try_join;
use tokio::sync::oneshot;

use crate::apply::World;
use crate::config;
use crate::database;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal;
use crate::name::InstanceId;
use crate::observe::{Situation, observe};
use crate::plan::Plan;
use crate::plan::backup::{self as decide, Facts};
use crate::plan::snapshot::{Kind, Manifest, Purpose, Snapshot, SnapshotId};
use crate::plan::wanted::InstanceWanted;
use crate::repository::{Compression, Draft, Repository};

pub(crate) use blocking::run as blocking;
pub use subject::Subject;

/// How long the dump of one server may take.
const DUMP_DEADLINE: Duration = Duration::from_secs(6 * 3600);
/// A dump that a migration made worthless is repeated this often.
const REPEATS: i64 = 1;
/// So many snapshots of one second each get a second of their own.
const SAME_SECOND: i64 = 10;
/// A dump smaller than this part of the last one is suspect.
const SHRUNK: u64 = 2;
/// Below this a dump may shrink as it likes: a hundred rows more or less are half of it.
const SHRUNK_FROM_BYTES: u64 = 1 << 20;

/// One snapshot to take.
pub struct Taking<'a, E> {
    /// Engine, configuration, catalogue, listener.
    pub world: &'a World<'a, E>,
    /// What is there.
    pub situation: &'a Situation,
    /// Of what.
    pub instance: &'a InstanceWanted,
    /// What config.yml says of its backups.
    pub settings: &'a config::Backup,
    /// Where to.
    pub repository: &'a Repository,
    /// Why.
    pub purpose: Purpose,
}

impl<E: Engine> Taking<'_, E> {
    fn say(&self, message: impl Into<String>) {
        self.world.tell(&Event::Progress { instance: Some(self.instance.id.to_string()), message: message.into() });
    }

    fn begin(&self, doing: impl Into<String>) {
        self.world.tell(&Event::Begin { instance: Some(self.instance.id.to_string()), doing: doing.into() });
    }
}

/// Looks at an instance of config.yml and takes a snapshot of it. None when it has nothing of that kind.
///
/// # Errors
/// As [`dump`] and [`backup`].
pub async fn take<E: Engine>(world: &World<'_, E>, id: &InstanceId, kind: Kind, purpose: Purpose) -> Result<Option<Snapshot>> {
    let repository = Repository::create_or_open(&world.layout().backups(), world.now)?;
    with(world, id, &repository, purpose, async |taking| match kind {
        Kind::Dump => dump(taking).await,
        Kind::Backup => backup(taking).await.map(Some),
    })
    .await
}

/// Looks at an instance of config.yml, and works on what was seen.
async fn with<E: Engine, T>(
    world: &World<'_, E>,
    id: &InstanceId,
    repository: &Repository,
    purpose: Purpose,
    work: impl AsyncFnOnce(&Taking<'_, E>) -> Result<T>,
) -> Result<T> {
    let situation = observe(world.engine, world.config, world.catalogue, world.now).await?;
    let wanted = situation.wanted.instances.iter().find(|wanted| wanted.id == *id);
    let settings = std::iter::once(&world.config.proxy_instance).chain(&world.config.instances).find(|instance| instance.id == *id);
    let (Some(instance), Some(settings)) = (wanted, settings) else {
        return Err(Error::usage(format!("{id} is not in config.yml")));
    };
    if instance.containers.iter().all(|container| situation.chosen(instance, container).is_none()) {
        return Err(Error::external(format!("{id} is not installed")).next("summoner install"));
    }
    work(&Taking { world, situation: &situation, instance, settings: &settings.backup, repository, purpose }).await
}

/// What [`take`] would do; nothing is touched.
///
/// # Errors
/// The engine or a database does not answer.
pub async fn plan<E: Engine>(world: &World<'_, E>, id: &InstanceId, kind: Kind) -> Result<Plan> {
    let (path, scratch) = (world.layout().backups(), tempfile::tempdir());
    let repository = match Repository::open(&path) {
        // Not even an empty one is made.
        Err(error) if error.kind == crate::error::Kind::NoRepository => {
            let scratch = scratch.as_ref().map_err(|error| Error::io("make a folder in", &std::env::temp_dir(), error))?;
            Repository::create_or_open(scratch.path(), world.now)?
        }
        opened => opened?,
    };
    with(world, id, &repository, Purpose::Asked, async |taking| {
        let subject = Subject::of(taking).await?;
        let mut facts = Facts {
            writers: pause::running(taking).await?.into_iter().map(|(name, _)| name).collect(),
            quiesced: !taking.instance.keeping.quiesce.is_empty(),
            last_downtime_ms: cold::predicted(taking)?,
            ..Facts::default()
        };
        for target in &subject.targets {
            facts.databases.push((target.container.clone(), database::has_view(world.engine, target).await?));
        }
        Ok(match kind {
            Kind::Dump => decide::dump(id, &facts),
            Kind::Backup => decide::backup(id, &facts),
        })
    })
    .await
}

/// Dumps the databases of an instance while everything runs. None when it has none.
///
/// # Errors
/// Any doubt about any of them; no older snapshot is touched.
pub async fn dump<E: Engine>(taking: &Taking<'_, E>) -> Result<Option<Snapshot>> {
    let subject = Subject::of(taking).await?;
    if subject.targets.is_empty() && taking.instance.keeping.dump.is_none() {
        return Ok(None);
    }
    taking.begin("dump");
    end_orphans(taking, &subject).await?;
    let attempt = async |attempt| once(taking, attempt, async |draft, id| hot::fill(taking, &subject, draft, id).await).await;
    attempts(taking, attempt).await.map(Some)
}

/// Takes files, databases and secrets at one point, the application standing still as short as can be.
///
/// # Errors
/// Any doubt about any of them; the application runs again, no older snapshot is touched.
pub async fn backup<E: Engine>(taking: &Taking<'_, E>) -> Result<Snapshot> {
    journal::refuse_open(taking.world.layout(), &taking.instance.id)?;
    let subject = Subject::of(taking).await?;
    taking.begin("back up");
    end_orphans(taking, &subject).await?;
    attempts(taking, async |attempt| {
        let (goes_on, heard) = oneshot::channel();
        let taken = once(taking, attempt, async |draft, id| cold::fill(taking, &subject, draft, id, goes_on).await);
        // Whether it works again is seen while its data is stored and read back; good is only what is both.
        let works = async {
            match heard.await {
                Ok(()) => Ok(cold::settled(taking).await),
                // The backup failed before that, and says so itself.
                Err(_) => Ok(Ok(())),
            }
        };
        let (snapshot, works) = try_join(taken, works).await?;
        works.map(|()| snapshot)
    })
    .await
}

/// Dumps that an earlier, killed Summoner left running would go on for nobody.
async fn end_orphans<E: Engine>(taking: &Taking<'_, E>, subject: &Subject) -> Result<()> {
    for target in &subject.targets {
        let ended = database::end_orphans(taking.world.engine, &target.container).await?;
        if ended > 0 {
            taking.say(format!("{ended} processes of an earlier dump were still running in {} and are ended", target.container));
        }
    }
    Ok(())
}

/// Takes a snapshot; what was invalidated from outside is tried once more.
async fn attempts<E: Engine>(taking: &Taking<'_, E>, take: impl AsyncFn(i64) -> Result<Snapshot>) -> Result<Snapshot> {
    let mut attempt = 0;
    loop {
        match take(attempt).await {
            Err(error) if attempt < REPEATS && database::is_invalidated(&error) => {
                taking.say(format!("{}; trying once more", error.message));
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Fills a draft and makes it a snapshot that was read back.
async fn once<E: Engine>(
    taking: &Taking<'_, E>,
    attempt: i64,
    fill: impl AsyncFnOnce(&Draft, SnapshotId) -> Result<Manifest>,
) -> Result<Snapshot> {
    let since = Instant::now();
    let id = free_id(taking, attempt)?;
    let last = last_dump_bytes(taking)?;
    let draft = taking.repository.begin(id.clone(), compression(taking.settings.compression))?;
    let filled = async {
        let manifest = fill(&draft, id.clone()).await?;
        refuse_shrunk(&manifest, last).map(|()| manifest)
    };
    let mut manifest = match filled.await {
        Ok(manifest) => manifest,
        Err(error) => {
            // On a full disk that may fail too; what is left goes with the next draft.
            return match draft.abandon(&error.message) {
                Ok(()) => Err(error),
                Err(second) => Err(error.also(&second)),
            };
        }
    };
    manifest.duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let snapshot = draft.commit(manifest)?;
    taking.say("reading it back");
    proven(taking, snapshot).await
}

/// Two of the same second would have one name: the second one takes the next that is free.
fn free_id<E: Engine>(taking: &Taking<'_, E>, attempt: i64) -> Result<SnapshotId> {
    let id = |later| SnapshotId::new(taking.instance.id.clone(), taking.world.now + TimeDelta::seconds(attempt + later));
    for later in 0..SAME_SECOND {
        if taking.repository.snapshot(&id(later))?.is_none() {
            return Ok(id(later));
        }
    }
    Ok(id(SAME_SECOND))
}

/// A snapshot is good once it was read back.
async fn proven<E: Engine>(taking: &Taking<'_, E>, mut snapshot: Snapshot) -> Result<Snapshot> {
    let (repository, id, now) = (taking.repository.clone(), snapshot.manifest.id.clone(), taking.world.now);
    let verified = blocking::run(move |_| repository.verify_new(&id, now)).await?;
    if let Some(fault) = &verified.fault {
        return Err(Error::external(format!("the new snapshot {} cannot be read back", snapshot.manifest.id))
            .cause(fault)
            .next("older snapshots were not touched; look at the disk, then run the same command again"));
    }
    snapshot.verified = Some(verified);
    Ok(snapshot)
}

fn compression(wanted: config::Compression) -> Compression {
    match wanted {
        config::Compression::Zstd => Compression::Zstd,
        config::Compression::Gzip => Compression::Gzip,
    }
}

fn database_bytes(manifest: &Manifest) -> u64 {
    manifest.artefacts.iter().filter(|artefact| artefact.database.is_some()).map(|artefact| artefact.bytes_raw).sum()
}

fn last_dump_bytes<E: Engine>(taking: &Taking<'_, E>) -> Result<Option<u64>> {
    let (snapshots, _) = taking.repository.list(Some(&taking.instance.id))?;
    let good = snapshots.iter().rev().filter(|snapshot| snapshot.is_good());
    Ok(good.map(|snapshot| database_bytes(&snapshot.manifest)).find(|bytes| *bytes > 0))
}

/// A database that lost half of its content since the last time is a person's matter, unless a person asks for the
/// snapshot.
fn refuse_shrunk(manifest: &Manifest, last: Option<u64>) -> Result<()> {
    let now = database_bytes(manifest);
    let Some(last) = last.filter(|last| *last >= SHRUNK_FROM_BYTES && now < last / SHRUNK) else { return Ok(()) };
    if manifest.purpose != Purpose::Schedule {
        return Ok(());
    }
    Err(Error::external(format!("the dump of {} shrank from {last} to {now} bytes, less than half of the last one", manifest.id.instance))
        .next(format!("if that is as it should be: summoner backup {}", manifest.id.instance)))
}
