//! `summoner verify`

use serde_json::json;

use super::context::Context;
use super::show;
use crate::backup::check;
use crate::error::{Error, Kind, Result};
use crate::plan::snapshot::{Snapshot, SnapshotId};
use crate::repository::Repository;

/// What is said of a good one.
const WHOLE: &str = "whole";

/// Read snapshots back and say which are whole
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which snapshots, or instances [default: all]
    id: Vec<String>,
    /// Also read every object of their files, not only the hashes of the packs
    #[arg(long)]
    read_data: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
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
    if args.json {
        let all: Vec<_> = rows.iter().map(|row| json!({"id": row[0], "whole": row[1] == WHOLE, "message": row[1]})).collect();
        show::json(&json!({"version": show::JSON_VERSION, "snapshots": all}))?;
    } else {
        show::text(&show::table(&["SNAPSHOT", "RESULT"], &rows))?;
    }
    if faults > 0 {
        return Err(Error::new(Kind::External, format!("{faults} of {} snapshots are damaged", rows.len()))
            .next("summoner backup   takes a new one; the damaged ones are kept for you to look at"));
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
