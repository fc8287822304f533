//! `summoner verify`

use serde_json::json;

use super::context::Context;
use super::from::{Elsewhere, From};
use super::show;
use crate::backup::{blocking, check};
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::{Snapshot, SnapshotId};
use crate::plan::sync::There;
use crate::repository::Repository;
use crate::repository::opening::Opened;
use crate::sync::check as copies;

/// What is said of a good one.
const WHOLE: &str = "whole";
/// What is said of one that a key opens.
const OPENS: &str = "opens it";

/// Read snapshots back and say which are whole
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which snapshots, or instances [default: all]
    id: Vec<String>,
    /// Also read every object of their files, not only the hashes of the packs
    #[arg(long)]
    read_data: bool,
    #[command(flatten)]
    from: From,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    if let Some(from) = &args.from.from {
        let elsewhere = Elsewhere::open(context, from, args.from.identity.as_deref()).await?;
        if args.from.identity.is_some() {
            let opens = try_key(&elsewhere, args).await?;
            // Who asks for everything to be read has tried the key first: what it does not open cannot be read.
            if !args.read_data {
                return tell_opens(&opens, args.json);
            }
            opens.check()?;
        }
        return elsewhere_too(context, &elsewhere, args).await;
    }
    let loaded = context.load()?;
    let repository = Repository::open(&loaded.config.layout.backups())?;
    let (snapshots, damaged) = repository.list(None)?;
    let mut rows = Vec::new();
    let mut faults = damaged.len();
    for snapshot in chosen(&snapshots, &args.id)? {
        let id = snapshot.manifest.id.clone();
        context.note(&format!("reading {id}"));
        let verified = check::snapshot(&repository, snapshot, args.read_data, context.now).await?;
        faults += usize::from(verified.fault.is_some());
        rows.push(vec![id.to_string(), verified.fault.map_or_else(|| WHOLE.to_owned(), |fault| format!("DAMAGED: {fault}"))]);
    }
    rows.extend(damaged.iter().map(|fault| vec![fault.to_string(), "DAMAGED".into()]));
    tell(&rows, faults, args.json, "summoner backup   takes a new one; the damaged ones are kept for you to look at")
}

/// Reads copies back, without a key where no object is asked for; what differs is sent again by the next `sync`.
async fn elsewhere_too(context: &Context, elsewhere: &Elsewhere, args: &Args) -> Result<u8> {
    let seen = elsewhere.look().await?;
    let mut memory = elsewhere.memory(context)?;
    let mut rows: Vec<Vec<String>> = seen.strange.iter().map(|strange| vec![strange.clone(), "DAMAGED".into()]).collect();
    let chosen = copies::chosen(&seen, &args.id);
    if chosen.is_empty() && !args.id.is_empty() {
        return Err(Error::usage(format!("no such snapshot lies at {}", elsewhere.repository.location()))
            .next(format!("summoner snapshots --from {}", elsewhere.settings.name)));
    }
    let mut faults = rows.len();
    for there in chosen {
        let id = there.parts.id.clone();
        context.note(&format!("reading {id}"));
        let (place, there, read_data) = (elsewhere.repository.clone(), there.clone(), args.read_data);
        let (fault, found) = blocking(move |cancel| {
            let fault = copies::copy(&place, &there, read_data, &mut memory, &|| cancel())?;
            Ok((fault, memory))
        })
        .await?;
        memory = found;
        faults += usize::from(fault.is_some());
        rows.push(vec![id.to_string(), fault.map_or_else(|| WHOLE.to_owned(), |fault| format!("DAMAGED: {fault}"))]);
    }
    elsewhere.remember(context, &memory)?;
    tell(&rows, faults, args.json, "summoner sync   sends again what is good here")
}

/// What a private key opens.
struct Opens {
    rows: Vec<Vec<String>>,
    shut: usize,
    /// Names the keys that would fit.
    refusal: Option<Error>,
    place: String,
}

impl Opens {
    fn check(&self) -> Result<()> {
        let shut = format!("{} of {} at {} stay shut", self.shut, self.rows.len(), self.place);
        match &self.refusal {
            Some(refusal) => Err(Error { message: shut, ..refusal.clone() }),
            None if self.shut > 0 => Err(Error::external(shut).next("summoner sync   sends again what is good here")),
            None => Ok(()),
        }
    }
}

/// Tries a private key at every snapshot there, and at the newest record of the installation: the drill for the day on
/// which only the place and the key are left.
async fn try_key(elsewhere: &Elsewhere, args: &Args) -> Result<Opens> {
    let seen = elsewhere.look().await?;
    let needs = |there: &&There| {
        let id = &there.parts.id;
        let manifest = layout::artefact(&id.instance, &id.stamp(), layout::MANIFEST);
        (id.to_string(), there.parts.blobs.iter().map(|part| part.name.clone()).chain([manifest]).collect::<Vec<String>>())
    };
    let mut all: Vec<(String, Vec<String>)> = copies::chosen(&seen, &args.id).iter().map(needs).collect();
    let (place, named) = (elsewhere.repository.clone(), !args.id.is_empty());
    let (rows, shut, refusal) = blocking(move |cancel| {
        if !named {
            all.extend(place.newest_record_blobs()?);
        }
        let (mut opened, mut rows, mut bad) = (Opened::default(), Vec::new(), 0);
        for (id, names) in all {
            cancel()?;
            let said = match place.shut(&names, false, &mut opened) {
                Ok(shut) if shut.is_empty() => OPENS.to_owned(),
                Ok(shut) => format!("SHUT: {} of its {} files need another key", shut.len(), names.len()),
                Err(error) => format!("DAMAGED: {}", error.message),
            };
            bad += usize::from(said != OPENS);
            rows.push(vec![id, said]);
        }
        Ok((rows, bad, opened.refusal()))
    })
    .await?;
    Ok(Opens { rows, shut, refusal, place: elsewhere.repository.location() })
}

fn tell_opens(opens: &Opens, json: bool) -> Result<u8> {
    if json {
        let all: Vec<_> = opens.rows.iter().map(|row| json!({"id": row[0], "opens": row[1] == OPENS, "message": row[1]})).collect();
        show::json(&json!({"version": show::JSON_VERSION, "snapshots": all}))?;
    } else {
        show::text(&show::table(&["SNAPSHOT", "THIS KEY"], &opens.rows))?;
    }
    opens.check().map(|()| 0)
}

fn tell(rows: &[Vec<String>], faults: usize, json: bool, next: &str) -> Result<u8> {
    if json {
        let all: Vec<_> = rows.iter().map(|row| json!({"id": row[0], "whole": row[1] == WHOLE, "message": row[1]})).collect();
        show::json(&json!({"version": show::JSON_VERSION, "snapshots": all}))?;
    } else {
        show::text(&show::table(&["SNAPSHOT", "RESULT"], rows))?;
    }
    if faults > 0 {
        return Err(Error::new(Kind::External, format!("{faults} of {} snapshots are damaged", rows.len())).next(next));
    }
    Ok(0)
}

/// The snapshots that are named, by id, by time, or by instance.
fn chosen<'a>(snapshots: &'a [Snapshot], names: &[String]) -> Result<Vec<&'a Snapshot>> {
    if names.is_empty() {
        return Ok(snapshots.iter().collect());
    }
    let mut found: Vec<&Snapshot> = Vec::new();
    for name in names {
        let fits = |id: &SnapshotId| {
            id.to_string() == *name || id.stamp() == *name || id.instance.to_string() == *name || id.instance.app.as_str() == name
        };
        let of: Vec<&Snapshot> = snapshots.iter().filter(|snapshot| fits(&snapshot.manifest.id)).collect();
        if of.is_empty() {
            return Err(Error::usage(format!("there is no snapshot `{name}`")).next("summoner snapshots"));
        }
        found.extend(of);
    }
    Ok(found)
}
