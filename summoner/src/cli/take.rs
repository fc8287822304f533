//! `summoner dump`, `summoner backup`

use std::time::Instant;

use chrono::TimeDelta;

use super::context::{Context, Loaded};
use super::news::News;
use super::{plan, select, show, snapshots, sync};
use crate::apply::World;
use crate::backup::{self, foreign};
use crate::docker::engine::Docker;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::event::{Event, Silent};
use crate::name::{ContainerName, InstanceId};
use crate::plan::Plan;
use crate::plan::backup as decide;
use crate::plan::snapshot::{Kind, Purpose, Snapshot};
use crate::recovery::record;
use crate::repository::Repository;
use crate::state::card;

/// Dump databases while everything runs
#[derive(Debug, clap::Args)]
pub struct DumpArgs {
    /// Which instances, or database containers that Summoner did not install [default: all of config.yml]
    selector: Vec<String>,
    /// Also every database container that follows the names and that Summoner did not install
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    how: How,
}

/// Take files, databases and secrets at one point; the application stands still for a moment
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Which instances [default: all of config.yml]
    selector: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// What both have in common.
#[derive(Debug, clap::Args)]
struct How {
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The schedule asks: a dump that shrank to less than half is refused
    #[arg(long, hide = true)]
    scheduled: bool,
    /// The schedule asks again: what was taken and did not arrive elsewhere is carried there, not taken anew
    #[arg(long, hide = true, requires = "scheduled")]
    again: bool,
}

/// The retries of one run lie within this time.
const TRIED_AGAIN: TimeDelta = TimeDelta::hours(6);

/// What is to be taken.
enum Subject {
    Instance(InstanceId),
    /// Databases of one instance that is not ours.
    Foreign(Vec<ContainerName>),
}

impl Subject {
    /// One of config.yml.
    fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Instance(id) => Some(id),
            Self::Foreign(_) => None,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Instance(id) => id.fmt(out),
            Self::Foreign(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").fmt(out),
        }
    }
}

pub(super) async fn dump(context: &Context, args: &DumpArgs) -> Result<u8> {
    let loaded = context.load()?;
    let engine = context.engine().await?;
    let strangers = foreign::databases(&engine).await?;
    let mut subjects = Vec::new();
    for selector in &args.selector {
        let meant = |name: &&ContainerName| name.to_string() == *selector || name.instance.to_string() == *selector;
        match strangers.iter().filter(meant).cloned().collect::<Vec<_>>() {
            names if !names.is_empty() => subjects.push(Subject::Foreign(names)),
            _ => subjects.extend(select::many(&loaded.config, selector)?.into_iter().map(|found| Subject::Instance(found.id.clone()))),
        }
    }
    if args.selector.is_empty() {
        subjects.extend(loaded.config.instances.iter().map(|instance| Subject::Instance(instance.id.clone())));
    }
    if args.all {
        subjects.extend(strangers.chunk_by(|a, b| a.instance == b.instance).map(|names| Subject::Foreign(names.to_vec())));
    }
    all(context, &loaded, &engine, subjects, Kind::Dump, &args.how).await
}

pub(super) async fn backup(context: &Context, args: &BackupArgs) -> Result<u8> {
    let loaded = context.load()?;
    // What the schedule takes is not kept back for want of a page: its copying elsewhere is refused.
    if !args.how.dry_run && !args.how.scheduled {
        card::require(&loaded.config)?;
    }
    let engine = context.engine().await?;
    let mut subjects = Vec::new();
    for selector in &args.selector {
        let found = select::many(&loaded.config, selector)?;
        // The proxy is made from config.yml alone: a glob does not mean it.
        let kept = found.iter().filter(|instance| instance.id != loaded.config.proxy_instance.id || found.len() == 1);
        subjects.extend(kept.map(|instance| Subject::Instance(instance.id.clone())));
    }
    if args.selector.is_empty() {
        subjects.extend(loaded.config.instances.iter().map(|instance| Subject::Instance(instance.id.clone())));
    }
    all(context, &loaded, &engine, subjects, Kind::Backup, &args.how).await
}

async fn all(context: &Context, loaded: &Loaded, engine: &Docker, subjects: Vec<Subject>, kind: Kind, how: &How) -> Result<u8> {
    let purpose = if how.scheduled { Purpose::Schedule } else { Purpose::Asked };
    let word = if kind == Kind::Dump { "dump" } else { "backup" };
    if subjects.is_empty() {
        return Err(Error::usage("there is nothing in config.yml to take").next("summoner invoke MINION"));
    }
    if how.dry_run {
        return show_plans(context, loaded, engine, &subjects, kind, how).await;
    }
    let lock = context.lock(loaded, engine, word).await?;
    // The scheduler tells of what it asked for by itself: it knows too when a command was killed.
    let mut news = if how.scheduled { News::default() } else { News::of(loaded) };
    let listener = context.listener();
    let world = context.world(loaded, engine, &*listener);
    let begun = Instant::now();
    let mut taken: Vec<Snapshot> = Vec::new();
    let mut failed: Vec<Error> = Vec::new();
    for subject in &subjects {
        if let Some(behind) = behind(context, loaded, subject, kind, how)? {
            taken.push(behind);
            continue;
        }
        let since = Instant::now();
        // Each bears the time at which it was begun, not that of the first.
        let world = World { now: context.now + begun.elapsed(), ..world };
        news.begun(subject.instance(), kind);
        let result = match subject {
            Subject::Instance(id) => backup::take(&world, id, kind, purpose).await,
            Subject::Foreign(names) => foreign::dump(&world, names, purpose).await.map(Some),
        };
        news.ended(subject.instance(), kind, &result);
        match result {
            Ok(Some(snapshot)) => {
                listener.hear(&Event::Ready { instance: subject.to_string(), url: None, elapsed: since.elapsed() });
                taken.push(snapshot);
            }
            Ok(None) => listener.hear(&Event::Note { message: format!("{subject} has no database; summoner backup takes its files") }),
            Err(error) => {
                listener.hear(&Event::Failed { instance: subject.to_string(), message: error.message.clone() });
                failed.push(error);
            }
        }
    }
    if !taken.is_empty() {
        // What no snapshot holds: without it a burnt server is not rebuilt.
        let world = World { now: context.now + begun.elapsed(), ..world };
        if let Err(error) = record::write(&world).await {
            listener.hear(&Event::Note { message: format!("the record of the installation could not be stored: {}", error.message) });
            failed.push(error);
        }
    }
    // Others may change this host while copies are on their way.
    drop(lock);
    let ids: Vec<InstanceId> = taken.iter().map(|snapshot| snapshot.manifest.id.instance.clone()).collect();
    let behind = sync::after(context, loaded, &ids).await?;
    behind.iter().for_each(|error| news.failed(error));
    failed.extend(behind);
    news.tell(context).await;
    let places = snapshots::places(loaded)?;
    if how.json {
        snapshots::json(&taken, &snapshots::Drills::new(), &places)?;
    } else if !taken.is_empty() {
        show::text(&snapshots::table(&taken, &snapshots::Drills::new(), &places))?;
    }
    finish(context, &taken, failed, word)
}

/// What an earlier try of the schedule took and could not carry to every place: an application does not stand still
/// again for that.
fn behind(context: &Context, loaded: &Loaded, subject: &Subject, kind: Kind, how: &How) -> Result<Option<Snapshot>> {
    let Subject::Instance(id) = subject else { return Ok(None) };
    let path = loaded.config.layout.backups();
    if !how.again || !path.is_dir() {
        return Ok(None);
    }
    let (snapshots, _) = Repository::open(&path)?.list(Some(id))?;
    let of_kind = |snapshot: &&Snapshot| snapshot.manifest.kind == kind && snapshot.manifest.purpose == Purpose::Schedule;
    let young = |snapshot: &Snapshot| context.now - snapshot.manifest.id.time < TRIED_AGAIN;
    let Some(newest) = snapshots.into_iter().rfind(|snapshot| of_kind(&snapshot)).filter(|newest| newest.is_good() && young(newest)) else {
        return Ok(None);
    };
    let missing = snapshots::places(loaded)?.iter().any(|(_, memory)| !memory.snapshots.contains(&newest.manifest.id));
    Ok(missing.then_some(newest))
}

async fn show_plans(context: &Context, loaded: &Loaded, engine: &Docker, subjects: &[Subject], kind: Kind, how: &How) -> Result<u8> {
    let world = context.world(loaded, engine, &Silent);
    let mut all = Plan::default();
    for subject in subjects {
        match subject {
            Subject::Instance(id) => all.steps.extend(backup::plan(&world, id, kind).await?.steps),
            Subject::Foreign(names) => {
                let databases = names.iter().map(|name| (name.to_string(), true)).collect();
                all.steps.extend(decide::dump(&names[0].instance, &decide::Facts { databases, ..Default::default() }).steps);
            }
        }
    }
    plan::show_steps(&all, how.json)?;
    Ok(0)
}

fn finish(context: &Context, taken: &[Snapshot], mut failed: Vec<Error>, word: &str) -> Result<u8> {
    let Some(last) = failed.pop() else { return Ok(0) };
    for error in &failed {
        context.note(&format!("{error}\n"));
    }
    let kind = if taken.is_empty() { last.kind } else { ErrorKind::Partial };
    let message = match failed.len() {
        0 => last.message.clone(),
        more => format!("{} things failed, and {} {word}s are good here; the last: {}", more + 1, taken.len(), last.message),
    };
    Err(Error { kind, message, ..last })
}
