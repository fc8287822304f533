//! `summoner rehearse`

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::context::{Context, Loaded};
use super::{rebuild, show};
use crate::backup::blocking;
use crate::daemon::asked_to_end;
use crate::disk;
use crate::docker::Engine;
use crate::docker::engine::Docker;
use crate::error::{Error, Kind, Result};
use crate::plan::recovery::{Choice, Record};
use crate::rehearsal::{Answer, PLACE, Rehearsal, check_room};
use crate::repository::{Repository, place};

/// Rebuild the whole server in a throw-away machine, open every page there, and say how long it took
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From this repository: a name of config.yml, or a place [default: the one on this host]
    #[arg(long, value_name = "REPOSITORY")]
    from: Option<String>,
    /// The private key that opens it, when it is encrypted
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Leave the machine as it is afterwards, to look into it
    #[arg(long)]
    keep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How one instance came out.
struct Row {
    instance: String,
    snapshot: Option<String>,
    answer: Answer,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let engine = context.engine().await?;
    let layout = loaded.config.layout.clone();
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let _lock = disk::lock(&layout.rehearsal_lock(), true)?
        .ok_or_else(|| Error::new(Kind::Locked, "another rehearsal is under way").next("wait for it to end"))?;
    let listener = context.listener();
    let rehearsal = Rehearsal::of(&layout, &engine, &*listener);
    // What a kill left of the last one.
    clear(&rehearsal, &loaded).await?;
    let since = Instant::now();
    let result = tokio::select! {
        result = rehearse(context, &loaded, &engine, &rehearsal, args) => result,
        () = asked_to_end() => Err(Error::new(Kind::Interrupted, "interrupted")),
    };
    if args.keep {
        let name = rehearsal.name();
        context
            .note(&format!("the machine is kept: docker exec -it {name} bash; docker rm -f {name} and the next rehearsal throw it away"));
    } else {
        clear(&rehearsal, &loaded).await?;
    }
    let (rows, told) = result?;
    report(args.json, &rows, told, since.elapsed())
}

async fn clear(rehearsal: &Rehearsal<'_>, loaded: &Loaded) -> Result<()> {
    rehearsal.throw_away().await?;
    disk::remove_tree(&loaded.config.layout.rehearsal())
}

/// The rows, and whether the recovery itself had something to tell.
async fn rehearse(context: &Context, loaded: &Loaded, engine: &Docker, rehearsal: &Rehearsal<'_>, args: &Args) -> Result<(Vec<Row>, bool)> {
    let (folder, record, choices) = repository(context, loaded, args).await?;
    let images = images(engine, loaded, &choices, &record).await?;
    room(engine, loaded, &choices, &images).await?;
    let program = std::env::current_exe().map_err(|error| Error::io("find", Path::new("/proc/self/exe"), &error))?;
    let identity = args.identity.as_deref().filter(|_| folder == loaded.config.layout.backups()).map(rebuild::absolute).transpose()?;
    rehearsal.make(&folder, &program, identity.as_deref()).await?;
    rehearsal.carry(&images).await?;
    let address = loaded.config.proxy.address.filter(|address| !address.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    rehearsal.address(address).await?;
    let code = rehearsal.rebuild(identity.is_some(), PLACE).await?;
    if code != 0 && code != i64::from(Kind::Partial.exit_code()) {
        return Err(Error::external(format!("the recovery in the empty machine failed: it ended with {code}"))
            .next("its story is above; --keep leaves the machine to look into"));
    }
    let mut rows = Vec::new();
    for choice in &choices {
        let Some(instance) = loaded.config.instances.iter().find(|instance| instance.id == choice.instance) else { continue };
        let Some(host) = &instance.host else { continue };
        let smoke = loaded.catalogue.get(&instance.minion)?.smoke.as_ref();
        let answer = rehearsal.ask(host.as_str(), loaded.config.proxy.https_port, address, smoke).await?;
        let snapshot = choice.candidates.first().map(|newest| newest.manifest.id.to_string());
        rows.push(Row { instance: choice.instance.to_string(), snapshot, answer });
    }
    Ok((rows, code != 0))
}

/// A folder with the record and the newest snapshots: the host's own repository, or what is fetched from elsewhere first.
async fn repository(context: &Context, loaded: &Loaded, args: &Args) -> Result<(PathBuf, Record, Vec<Choice>)> {
    let layout = &loaded.config.layout;
    let Some(words) = &args.from else {
        let own = layout.backups();
        let folder = own.clone();
        let (record, choices) = blocking(move |_| look(&Repository::open(&folder)?)).await?;
        return Ok((own, record, choices));
    };
    let known = loaded.config.repositories.iter().find(|repository| repository.name == *words).cloned();
    let settings = known.map_or_else(|| rebuild::settings(words, None), Ok)?;
    let (recipients, identity) = (loaded.config.recipients.clone(), args.identity.clone());
    let (folder, now) = (layout.rehearsal(), context.now);
    let local = folder.clone();
    context.note(&format!("fetching from {}", settings.place));
    let (record, choices) = blocking(move |cancel| {
        let from = place::open(&settings, &recipients, identity.as_deref(), &local)?;
        let (record, choices) = look(&from)?;
        let here = Repository::create_or_open(&local, now)?;
        here.receive_record(&from, &record)?;
        for newest in choices.iter().filter_map(|choice| choice.candidates.first()) {
            here.receive(&from, &newest.manifest.id, now, cancel)?;
        }
        Ok((record, choices))
    })
    .await?;
    Ok((folder, record, choices))
}

fn look(from: &Repository) -> Result<(Record, Vec<Choice>)> {
    let ((record, _), _) = rebuild::newest_record(from, None, None, None)?;
    let (snapshots, _) = from.list(None)?;
    let choices = rebuild::choices(&record, &snapshots, None);
    Ok((record, choices))
}

/// Images that the recovery will ask for and that this host has: by the names that mean them here, else by their ids.
async fn images(engine: &Docker, loaded: &Loaded, choices: &[Choice], record: &Record) -> Result<Vec<String>> {
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    for used in choices.iter().filter_map(|choice| choice.candidates.first()).flat_map(|newest| newest.manifest.images.values()) {
        wanted.insert((used.reference.clone(), used.id.clone()));
    }
    let proxy = record.instances.iter().filter(|installed| installed.id == loaded.config.proxy_instance.id);
    let new = choices.iter().filter(|choice| choice.candidates.is_empty());
    let empty = record.instances.iter().filter(|installed| new.clone().any(|choice| choice.instance == installed.id));
    for (reference, lock) in proxy.chain(empty).flat_map(|installed| &installed.images) {
        wanted.insert((reference.clone(), lock.id.clone()));
    }
    let mut images = Vec::new();
    for (reference, id) in wanted {
        match engine.image(&reference).await? {
            Some(image) if image.id == id => images.push(reference),
            _ if engine.image(&id).await?.is_some() => images.push(id),
            Some(_) => images.push(reference),
            None => {
                return Err(Error::external(format!("this host has no image {reference} any more, and the empty machine has no network"))
                    .next(format!("docker pull {reference}")));
            }
        }
    }
    Ok(images)
}

async fn room(engine: &Docker, loaded: &Loaded, choices: &[Choice], images: &[String]) -> Result<()> {
    let data: u64 = choices.iter().filter_map(|choice| choice.candidates.first()).map(|newest| newest.manifest.bytes_total).sum();
    let mut unpacked = 0;
    for image in images {
        unpacked += engine.image_bytes(image).await?;
    }
    let mut memory = 0;
    for instance in &loaded.config.instances {
        memory += loaded.catalogue.get(&instance.minion)?.needs.memory_bytes;
    }
    let root = engine.info().await?.root;
    check_room(Path::new(&root), memory, data, unpacked)
}

fn report(json: bool, rows: &[Row], told: bool, took: Duration) -> Result<u8> {
    let wrong = rows.iter().filter(|row| matches!(row.answer, Answer::Wrong(_))).count();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if json {
        let all: Vec<_> = rows
            .iter()
            .map(|row| {
                let (passed, message) = match &row.answer {
                    Answer::Right(code) => (true, code.to_string()),
                    Answer::Wrong(why) => (false, why.clone()),
                };
                serde_json::json!({"instance": row.instance, "snapshot": row.snapshot, "passed": passed, "message": message})
            })
            .collect();
        show::json(&serde_json::json!({"version": show::JSON_VERSION, "took_ms": took_ms, "instances": all}))?;
    } else {
        let cells = |row: &Row| {
            let answer = match &row.answer {
                Answer::Right(code) => format!("answers ({code})"),
                Answer::Wrong(why) => format!("WRONG: {why}"),
            };
            vec![row.instance.clone(), row.snapshot.clone().unwrap_or_else(|| "none".into()), answer]
        };
        let table = show::table(&["INSTANCE", "SNAPSHOT", "ITS PAGE"], &rows.iter().map(cells).collect::<Vec<_>>());
        show::text(&format!("{table}\nthe whole recovery took {}\n", show::milliseconds(took_ms)))?;
    }
    if wrong > 0 {
        return Err(Error::external(format!("{wrong} of {} instances do not answer after a recovery", rows.len()))
            .next("summoner rehearse --keep   leaves the machine to look into"));
    }
    Ok(if told { Kind::Partial.exit_code() } else { 0 })
}
