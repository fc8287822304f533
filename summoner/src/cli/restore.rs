//! `summoner restore`

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

use super::context::{Context, Loaded};
use super::from::{Elsewhere, From};
use super::{plan, select, show};
use crate::backup::blocking;
use crate::docker::engine::Docker;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::observe;
use crate::plan::restore::{Part, Which, choose};
use crate::repository::Repository;
use crate::restore::{self, Restoring, kept};

/// Bring a snapshot back; what it replaces is kept until you confirm
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
    selector: String,
    /// This snapshot: its id, its time, or `latest`
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    snapshot: Option<String>,
    /// The newest one at this time: 2026-11-21, "2026-11-21 14:30", or RFC 3339
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Only `database`, `files`, or these paths below the instance's folder
    #[arg(long, value_name = "WHAT", num_args = 1..)]
    only: Vec<String>,
    /// Into the instance of the same application on this domain
    #[arg(long, value_name = "DOMAIN")]
    to: Option<String>,
    #[command(flatten)]
    from: From,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the plan as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// The restored state is good: delete what it replaced
    #[arg(long, conflicts_with_all = ["undo", "snapshot", "at", "only", "to"])]
    confirm: bool,
    /// Bring back what the last restore replaced
    #[arg(long, conflicts_with_all = ["snapshot", "at", "only", "to"])]
    undo: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    if args.confirm {
        let id = to_confirm(&loaded, &args.selector)?;
        let engine = context.engine().await?;
        let _lock = context.lock(&loaded, &engine, &format!("restore --confirm {id}")).await?;
        let (layout, confirmed) = (loaded.config.layout.clone(), id.clone());
        blocking(move |_| kept::confirm(&layout, &confirmed)).await?;
        context.note(&format!("{id}: confirmed; what the restore replaced is deleted"));
        return Ok(0);
    }
    let engine = context.engine().await?;
    if args.undo {
        return undo(context, &loaded, &engine, &args.selector).await;
    }
    bring_back(context, &loaded, &engine, args).await
}

/// An instance that was removed since then is known by what its restore keeps.
fn to_confirm(loaded: &Loaded, selector: &str) -> Result<InstanceId> {
    let kept = |id: &InstanceId| kept::find(&loaded.config.layout, id).is_ok_and(|record| record.is_some());
    match select::one(&loaded.config, selector) {
        Ok(instance) => Ok(instance.id.clone()),
        Err(error) => selector.parse().ok().filter(kept).ok_or(error),
    }
}

async fn undo(context: &Context, loaded: &Loaded, engine: &Docker, selector: &str) -> Result<u8> {
    let id = select::one(&loaded.config, selector)?.id.clone();
    let _lock = context.lock(loaded, engine, &format!("restore --undo {id}")).await?;
    let listener = context.listener();
    let world = context.world(loaded, engine, &*listener);
    let situation = observe(engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let instance = situation.wanted.instances.iter().find(|wanted| wanted.id == id);
    let instance = instance.ok_or_else(|| Error::internal(format!("{id} is in no plan")))?;
    restore::undo(&world, instance).await?;
    listener.hear(&Event::Note {
        message: format!("{id}: the state before the restore is there again; summoner restore --confirm {id} deletes the other"),
    });
    Ok(0)
}

async fn bring_back(context: &Context, loaded: &Loaded, engine: &Docker, args: &Args) -> Result<u8> {
    let backups = loaded.config.layout.backups();
    let elsewhere = match &args.from.from {
        Some(from) => Some(Elsewhere::open(context, from, args.from.identity.as_deref()).await?),
        None => None,
    };
    let (mut repository, snapshots) = match &elsewhere {
        Some(elsewhere) => (elsewhere.repository.clone(), elsewhere.snapshots().await?),
        None => {
            let repository = Repository::open(&backups)?;
            let (snapshots, _) = repository.list(None)?;
            (repository, snapshots)
        }
    };
    let source = source(loaded, &snapshots_of(&snapshots), &args.selector)?;
    let target = target(loaded, &source, args.to.as_deref())?;
    let part = part(&args.only)?;
    let which = which(args)?;
    let of: Vec<_> = snapshots.into_iter().filter(|snapshot| snapshot.manifest.id.instance == source).collect();
    let snapshot = choose(&of, &source, &which, &part)?;
    let settings = loaded.config.instances.iter().find(|instance| instance.id == target);
    let settings = settings.ok_or_else(|| Error::usage(format!("{target} is the proxy, which is made from config.yml alone")))?;
    if let Some(elsewhere) = elsewhere.as_ref().filter(|_| !args.dry_run) {
        repository = Repository::create_or_open(&backups, context.now)?;
        elsewhere.fetch(context, &repository, &snapshot.manifest.id).await?;
    }
    let command = format!("restore {target} --snapshot {}", snapshot.manifest.id.stamp());
    let _lock = if args.dry_run { None } else { Some(context.lock(loaded, engine, &command).await?) };
    let listener = context.listener();
    let world = context.world(loaded, engine, &*listener);
    let situation = observe(engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let instance = situation.wanted.instances.iter().find(|wanted| wanted.id == target);
    let instance = instance.ok_or_else(|| Error::internal(format!("{target} is in no plan")))?;
    let restoring = Restoring {
        world: &world,
        situation: &situation,
        instance,
        settings: &settings.backup,
        repository: &repository,
        snapshot,
        part: &part,
    };
    let steps = restore::plan(&restoring)?;
    if args.dry_run {
        plan::show_steps(&steps, args.json)?;
        return Ok(0);
    }
    context.note(plan::steps(&steps).trim_end());
    restore::run(&restoring).await?;
    listener
        .hear(&Event::Note { message: format!("{target} is as it was on {}", snapshot.manifest.id.time.format("%Y-%m-%d %H:%M:%S UTC")) });
    show::text(&format!(
        "look         summoner open {target}\nkeep it      summoner restore --confirm {target}   deletes what was replaced\ntake it back summoner restore --undo {target}\n"
    ))?;
    Ok(0)
}

fn snapshots_of(snapshots: &[crate::plan::snapshot::Snapshot]) -> Vec<InstanceId> {
    let mut ids: Vec<InstanceId> = snapshots.iter().map(|snapshot| snapshot.manifest.id.instance.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Whose snapshots: an instance of config.yml, or one that is known by its snapshots only.
fn source(loaded: &Loaded, known: &[InstanceId], selector: &str) -> Result<InstanceId> {
    match select::one(&loaded.config, selector) {
        Ok(instance) => Ok(instance.id.clone()),
        Err(error) => known.iter().find(|id| id.to_string() == selector).cloned().ok_or(error),
    }
}

/// Where to: the same instance, or the one of the same application on another domain.
fn target(loaded: &Loaded, source: &InstanceId, to: Option<&str>) -> Result<InstanceId> {
    let mut target = source.clone();
    if let Some(domain) = to {
        target.domain = domain.parse().map_err(|error| Error::usage(format!("--to {domain}")).cause(error))?;
    }
    if loaded.config.instances.iter().any(|instance| instance.id == target) {
        return Ok(target);
    }
    Err(Error::usage(format!("{target} is not in config.yml"))
        .next(format!("summoner invoke {} --domain {}", target.app, target.domain))
        .next("then the same command again"))
}

fn part(only: &[String]) -> Result<Part> {
    match only {
        [] => Ok(Part::Everything),
        [word] if word == "database" || word == "databases" => Ok(Part::Databases),
        [word] if word == "files" => Ok(Part::Files),
        paths => {
            let bad = |path: &&String| path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | ".."));
            match paths.iter().find(bad) {
                Some(path) => {
                    Err(Error::usage(format!("`{path}` is no path below the instance's folder")).next("such as --only content/images"))
                }
                None => Ok(Part::Paths(paths.to_vec())),
            }
        }
    }
}

fn which(args: &Args) -> Result<Which> {
    if let Some(text) = &args.at {
        return time_of(text).map(Which::At);
    }
    Ok(match args.snapshot.as_deref() {
        None | Some("latest") => Which::Latest,
        Some(name) => Which::Named(name.to_owned()),
    })
}

/// As [`time`], with a sentence for what is none.
pub(super) fn time_of(text: &str) -> Result<DateTime<Utc>> {
    time(text).ok_or_else(|| {
        Error::usage(format!("`{text}` is no time")).next("such as 2026-11-21, \"2026-11-21 14:30\" or 2026-11-21T14:30:00Z")
    })
}

/// A time as people write it; without a zone it is this machine's, a day is its end.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let local = |naive: NaiveDateTime| Local.from_local_datetime(&naive).latest().map(|time| time.to_utc());
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return local(day.and_hms_opt(23, 59, 59)?);
    }
    ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .and_then(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_by_only() {
        let part = |words: &[&str]| part(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(part(&[]).unwrap(), Part::Everything);
        assert_eq!(part(&["database"]).unwrap(), Part::Databases);
        assert_eq!(part(&["content/images"]).unwrap(), Part::Paths(vec!["content/images".into()]));
        for bad in ["/etc", "../other", "a//b", ""] {
            assert!(part(&[bad]).unwrap_err().message.contains("is no path below"), "{bad}");
        }
    }

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(time("2026-11-21T14:30:00Z").unwrap().to_rfc3339(), "2026-11-21T14:30:00+00:00");
        assert!(time("2026-11-21").unwrap() > time("2026-11-21 14:30").unwrap());
        assert_eq!(time("yesterday"), None);
    }
}
