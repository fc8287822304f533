//! `summoner install --restore-from`: a whole server from a repository, on an empty machine.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::context::{Context, Loaded};
use super::{install, restore, show};
use crate::backup::blocking;
use crate::config::edit;
use crate::config::repositories::{Place, RepositorySettings};
use crate::disk;
use crate::docker::Engine;
use crate::docker::engine::Docker;
use crate::error::{Error, Kind, Result};
use crate::plan::deploy::Scope;
use crate::plan::recovery::{Choice, Record, Target, choose};
use crate::plan::snapshot::Snapshot;
use crate::recovery::bring::{self, Failed, Rebuilding};
use crate::recovery::{Progress, target, unpack};
use crate::repository::{Repository, place};

/// The owner's file: only they read it.
const CONFIG_MODE: u32 = 0o600;

/// What belongs to `--restore-from`.
#[derive(Debug, clap::Args)]
pub struct From {
    /// Rebuild the whole server from this repository: `/folder`, `sftp://user@host/folder` or `s3+https://host/bucket`
    #[arg(long, value_name = "PLACE")]
    pub(super) restore_from: Option<String>,
    /// The private key that opens it, when it is encrypted
    #[arg(long, value_name = "FILE", requires = "restore_from")]
    identity: Option<PathBuf>,
    /// The key to sign in with over SFTP
    #[arg(long, value_name = "FILE", requires = "restore_from")]
    ssh_key: Option<PathBuf>,
    /// As it was at this time: 2026-11-21, "2026-11-21 14:30", or RFC 3339
    #[arg(long, value_name = "TIME", requires = "restore_from")]
    at: Option<String>,
    /// Put all data below this folder, not where it was
    #[arg(long, value_name = "FOLDER", requires = "restore_from")]
    data: Option<PathBuf>,
}

/// What was found at the place, and where it goes.
struct Found {
    place: String,
    from: Repository,
    record: Record,
    target: Target,
    choices: Vec<Choice>,
    /// What a person has to know already.
    says: Vec<String>,
    /// An earlier run of the same command was cut off.
    progress: Option<Progress>,
}

pub(super) async fn run(context: &Context, args: &From, dry_run: bool) -> Result<u8> {
    let words = args.restore_from.clone().unwrap_or_default();
    let at = args.at.as_deref().map(restore::time_of).transpose()?;
    let found = find(context, args, &words, at).await?;
    let engine = context.engine().await?;
    if found.progress.is_none() {
        let folder = Path::new(&words);
        target::refuse_occupied(&found.target, folder, context.remembered_config(), &engine.containers().await?)?;
    }
    show::text(&summary(&found))?;
    if dry_run {
        return Ok(0);
    }
    agree(context)?;
    carry_out(context, &engine, found).await
}

async fn find(context: &Context, args: &From, words: &str, at: Option<DateTime<Utc>>) -> Result<Found> {
    let settings = settings(words, args.ssh_key.as_deref())?;
    let identity = args.identity.clone();
    let is_missing = matches!(&settings.place, Place::Folder(path) if !disk::is_folder(path)?);
    let from = blocking(move |_| place::open(&settings, &[], identity.as_deref(), &std::env::temp_dir())).await;
    let from = from.map_err(|error| match error.kind {
        Kind::NoRepository => Error { next: vec!["the recovery card says where the repositories are".to_owned()], ..error }
            .next("look for repository.json there"),
        _ if is_missing => Error { kind: Kind::NoRepository, ..error },
        _ => error,
    })?;
    let (data, config) = (args.data.as_deref().map(absolute).transpose()?, context.asked_config());
    let config = config.as_deref().map(absolute).transpose()?;
    let reading = from.clone();
    let (record, mut says) = blocking(move |_| newest_record(&reading, at, data.as_deref(), config.as_deref())).await?;
    let ((record, target), reading) = (record, from.clone());
    let progress = Progress::find(&target.layout)?.filter(|progress| progress.place == words);
    let (snapshots, damaged) = blocking(move |_| reading.list(None)).await?;
    says.extend(damaged.iter().map(ToString::to_string));
    let choices = choices(&record, &snapshots, at);
    Ok(Found { place: words.to_owned(), from, record, target, choices, says, progress })
}

pub(super) fn settings(words: &str, ssh_key: Option<&Path>) -> Result<RepositorySettings> {
    let mut place: Place = words.parse().map_err(|error: String| Error::usage(format!("--restore-from: {error}")))?;
    if let (Place::Sftp(sftp), Some(key)) = (&mut place, ssh_key) {
        sftp.key_file = Some(absolute(key)?);
    }
    Ok(RepositorySettings::at(place))
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io("find", path, &error))
}

/// The newest record that is whole, and what is wrong with newer ones. One of a newer Summoner is refused: what it says
/// beyond this one's knowledge would be lost.
pub(super) fn newest_record(
    from: &Repository,
    at: Option<DateTime<Utc>>,
    data: Option<&Path>,
    config: Option<&Path>,
) -> Result<((Record, Target), Vec<String>)> {
    let (records, broken) = from.records()?;
    let place = from.location();
    if let Some(newer) = broken.iter().find(|broken| broken.newer) {
        return Err(Error::external(format!("the record of the installation at {place} was written by a newer Summoner"))
            .cause(format!("{}: {}", newer.name, newer.why))
            .next("install that Summoner, then run the same command again: the recovery card says its version"));
    }
    let mut says: Vec<String> = broken.iter().map(|broken| format!("the record {} is damaged ({})", broken.name, broken.why)).collect();
    for record in records.into_iter().rev().filter(|record| at.is_none_or(|at| record.at <= at)) {
        let target = record.target(data, config);
        match unpack::check(from, &record, &target) {
            Ok(_) => return Ok(((record, target), says)),
            Err(error) if error.kind == Kind::External => {
                says.push(error.cause.map_or(error.message.clone(), |why| format!("{} ({why})", error.message)));
            }
            Err(error) => return Err(error),
        }
    }
    let mut error = Error::external(format!("the repository at {place} holds no whole record of an installation"))
        .next("write a config.yml (summoner init), then: summoner install; summoner restore INSTANCE --from …");
    if !says.is_empty() {
        error = error.cause(says.join("\n"));
    }
    Err(error)
}

pub(super) fn choices(record: &Record, snapshots: &[Snapshot], at: Option<DateTime<Utc>>) -> Vec<Choice> {
    // The proxy is made from config.yml alone.
    let ids: Vec<_> = record.instances.iter().skip(1).map(|installed| installed.id.clone()).collect();
    choose(&ids, snapshots, at)
}

fn summary(found: &Found) -> String {
    let record = &found.record;
    let mut text = format!(
        "from        {}\nrecord      {}, by Summoner {}\ndomain      {}\nconfig.yml  {}\ndata        {}\ndatabases   {}\n\n",
        found.from.location(),
        record.at.format("%Y-%m-%d %H:%M:%S UTC"),
        record.summoner,
        record.domain,
        found.target.config.display(),
        found.target.layout.files.display(),
        found.target.layout.databases.display(),
    );
    let row = |choice: &Choice| {
        let id = choice.instance.to_string();
        match choice.candidates.first() {
            None => vec![id, "none: it will be new and empty".to_owned(), String::new()],
            Some(newest) => {
                vec![id, newest.manifest.id.time.format("%Y-%m-%d %H:%M:%S UTC").to_string(), show::bytes(newest.manifest.bytes_total)]
            }
        }
    };
    let rows: Vec<_> = found.choices.iter().map(row).collect();
    if rows.is_empty() {
        text += "no instances: only the proxy\n";
    } else {
        text += &show::table(&["INSTANCE", "NEWEST SNAPSHOT", "SIZE"], &rows);
    }
    if let Some(progress) = &found.progress {
        text += &format!("\ngoing on with what began {}\n", progress.begun_at.format("%Y-%m-%d %H:%M:%S UTC"));
    }
    for says in &found.says {
        text += &format!("\n{says}\n");
    }
    text
}

/// Nothing is destroyed here; but a person at a terminal sees first what would come.
fn agree(context: &Context) -> Result<()> {
    if context.globals.yes || !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(());
    }
    let asked = dialoguer::Confirm::new().with_prompt("rebuild this server here").default(true).interact();
    match asked.map_err(|error| Error::external("cannot ask on this terminal").cause(error))? {
        true => Ok(()),
        false => Err(Error::new(Kind::Interrupted, "nothing was done")),
    }
}

async fn carry_out(context: &Context, engine: &Docker, found: Found) -> Result<u8> {
    let Found { place, from, record, target, choices, mut says, progress } = found;
    let layout = target.layout.clone();
    let mut progress = progress.unwrap_or_else(|| Progress::new(&place, &record.stamp(), context.now));
    if !progress.unpacked {
        progress.save(&layout)?;
        let (reading, to) = (from.clone(), target.clone());
        blocking(move |_| unpack::unpack(&reading, &record, &to)).await?;
        context.note("configuration, secrets and certificates are back");
    }
    let context = &context.on(target.config.clone());
    let loaded = place_roots(context, &target)?;
    if !progress.unpacked {
        progress.unpacked = true;
        progress.save(&layout)?;
    }
    let failed = {
        let _lock = context.lock(&loaded, engine, "install --restore-from").await?;
        let listener = context.listener();
        let world = context.world(&loaded, engine, &*listener);
        let (path, now) = (layout.backups(), context.now);
        let local = blocking(move |_| Repository::create_or_open(&path, now)).await?;
        let rebuilding = Rebuilding { world: &world, from: &from, local: &local };
        bring::all(&rebuilding, &wanted(&loaded, choices), &mut progress).await?
    };
    // What is not back must not come up empty.
    let only: BTreeSet<_> = progress.done.keys().cloned().collect();
    let scope = if failed.is_empty() { Scope::default() } else { Scope { only: Some(only), ..Scope::default() } };
    let code = install::apply(context, &loaded, &scope, "install --restore-from").await;
    says.extend(progress.done.values().flat_map(|done| done.says.clone()));
    finish(context, &loaded, failed, &says, code)
}

/// An instance that config.yml no longer has is not brought back.
fn wanted(loaded: &Loaded, choices: Vec<Choice>) -> Vec<Choice> {
    choices.into_iter().filter(|choice| loaded.config.instances.iter().any(|instance| instance.id == choice.instance)).collect()
}

/// config.yml says where the data is: when that is elsewhere than before, it says so from now on.
fn place_roots(context: &Context, target: &Target) -> Result<Loaded> {
    let loaded = context.load()?;
    if loaded.config.layout == target.layout {
        return Ok(loaded);
    }
    let source: Arc<_> = crate::config::read(&target.config)?;
    let text = edit::set_storage(&source.text, &target.layout.files, &target.layout.databases)?;
    crate::apply::crash::point();
    disk::write_atomic(&target.config, text.as_bytes(), CONFIG_MODE)?;
    context.load()
}

fn finish(context: &Context, loaded: &Loaded, mut failed: Failed, says: &[String], code: Result<u8>) -> Result<u8> {
    if let Some((id, first)) = failed.pop_first() {
        for error in failed.values().chain(code.as_ref().err()) {
            context.note(&format!("{error}\n"));
        }
        let message = format!("{id} is not back: {}", first.message);
        let kind = if first.kind == Kind::WrongKey { first.kind } else { Kind::Partial };
        return Err(Error { kind, message, ..first }.next("the same command again goes on where this one ended"));
    }
    let code = code.map_err(|error| error.next("all data is back; the same command again goes on"))?;
    Progress::end(&loaded.config.layout)?;
    for says in says {
        context.note(&format!("look: {says}"));
    }
    context.note("everything is as its last snapshot was; the names' DNS records must lead to this machine now");
    Ok(if says.is_empty() { code } else { Kind::Partial.exit_code() })
}
