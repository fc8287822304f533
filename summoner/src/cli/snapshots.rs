//! `summoner snapshots`

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::json;

use super::context::{Context, Loaded};
use super::from::{Elsewhere, From};
use super::{select, show};
use crate::error::{Kind as ErrorKind, Result};
use crate::plan::drill::{Drilled, lasted};
use crate::plan::snapshot::{Consistency, Kind, Purpose, Snapshot, SnapshotId};
use crate::plan::sync::{Memory, State, There};
use crate::repository::Repository;
use crate::state::copies;
use crate::sync::check;

/// What came of drills, by snapshot.
pub(super) type Drills = BTreeMap<SnapshotId, Drilled>;

/// List what was taken: when, what, how large, and whether it was read back
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which instances [default: all, also those that are gone]
    selector: Option<String>,
    #[command(flatten)]
    from: From,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    if let Some(from) = &args.from.from {
        let elsewhere = Elsewhere::open(context, from, args.from.identity.as_deref()).await?;
        return list_elsewhere(context, &elsewhere, args).await;
    }
    let loaded = context.load()?;
    let repository = Repository::open(&loaded.config.layout.backups())?;
    let (mut snapshots, damaged) = repository.list(None)?;
    if let Some(selector) = &args.selector {
        // An instance that was removed is known by its snapshots only.
        let gone = snapshots.iter().any(|snapshot| snapshot.manifest.id.instance.to_string() == *selector);
        let ids: Vec<String> = if gone {
            vec![selector.clone()]
        } else {
            select::many(&loaded.config, selector)?.iter().map(|found| found.id.to_string()).collect()
        };
        snapshots.retain(|snapshot| ids.contains(&snapshot.manifest.id.instance.to_string()));
    }
    let drilled = repository.all_drilled(&snapshots)?;
    for fault in &damaged {
        context.note(&format!("{fault}\n  next: summoner verify\n"));
    }
    let places = places(&loaded)?;
    if args.json {
        json(&snapshots, &drilled, &places)?;
    } else if snapshots.is_empty() {
        context.note("no snapshot yet: summoner backup takes one");
    } else {
        show::text(&table(&snapshots, &drilled, &places))?;
    }
    Ok(if damaged.is_empty() { 0 } else { ErrorKind::Partial.exit_code() })
}

/// The other places of config.yml, and what was there when somebody looked last.
pub(super) type Places = Vec<(String, Memory)>;

/// What is remembered of the other places; nobody is asked.
pub(super) fn places(loaded: &Loaded) -> Result<Places> {
    let remembered = |name: &String| Ok((name.clone(), copies::load(&loaded.config.layout, name)?));
    loaded.config.repositories.iter().map(|settings| remembered(&settings.name)).collect()
}

fn holding<'a>(places: &'a Places, id: &SnapshotId) -> Vec<&'a str> {
    places.iter().filter(|(_, memory)| memory.snapshots.contains(id)).map(|(name, _)| name.as_str()).collect()
}

/// Lists another place from it alone.
async fn list_elsewhere(context: &Context, elsewhere: &Elsewhere, args: &Args) -> Result<u8> {
    let seen = elsewhere.look().await?;
    for strange in &seen.strange {
        context.note(&format!("{strange}\n"));
    }
    let named: Vec<String> = args.selector.iter().cloned().collect();
    let found = check::chosen(&seen, &named);
    if args.json {
        let all: Vec<_> = found.iter().map(|there| describe_there(there)).collect();
        show::json(&json!({"version": show::JSON_VERSION, "repository": elsewhere.repository.location(), "snapshots": all}))?;
    } else if found.is_empty() {
        context.note(&format!("no snapshot lies at {}", elsewhere.repository.location()));
    } else {
        show::text(&table_there(&found))?;
    }
    let whole = seen.strange.is_empty() && found.iter().all(|there| there.state == State::Whole);
    Ok(if whole { 0 } else { ErrorKind::Partial.exit_code() })
}

fn describe_there(there: &There) -> serde_json::Value {
    let parts = &there.parts;
    let fault = match &there.state {
        State::Whole => None,
        State::Broken(why) => Some(why.clone()),
        State::Unfinished => Some("its copy was begun and has not ended".to_owned()),
    };
    json!({
        "id": parts.id.to_string(),
        "instance": parts.id.instance.to_string(),
        "time": parts.id.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "kind": parts.kind,
        "purpose": parts.purpose,
        "consistency": parts.consistency,
        "bytes_total": parts.bytes_total,
        "there_bytes": parts.bytes(),
        "verified_at": parts.verified_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "copied_at": parts.copied_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "fault": fault,
    })
}

fn table_there(found: &[&There]) -> String {
    let row = |there: &&There| {
        let parts = &there.parts;
        let state = match &there.state {
            State::Whole => parts.copied_at.format("%Y-%m-%d %H:%M").to_string(),
            State::Broken(why) => format!("BROKEN: {why}"),
            State::Unfinished => "not whole: its copy has not ended".to_owned(),
        };
        let sizes = [show::bytes(parts.bytes_total), show::bytes(parts.bytes())];
        [vec![parts.id.to_string(), what(parts.kind, parts.consistency, parts.purpose)], sizes.to_vec(), vec![state]].concat()
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    show::table(&["SNAPSHOT", "WHAT", "SIZE", "TAKES", "COPIED"], &rows)
}

/// Prints snapshots as the contract of `snapshots --json` says.
pub(super) fn json(snapshots: &[Snapshot], drilled: &Drills, places: &Places) -> Result<()> {
    let one = |snapshot: &Snapshot| {
        let manifest = &snapshot.manifest;
        let drilled = drilled.get(&manifest.id);
        let good = snapshot.verified.as_ref().filter(|verified| verified.fault.is_none());
        json!({
            "id": manifest.id.to_string(),
            "instance": manifest.id.instance.to_string(),
            "time": manifest.id.time.to_rfc3339_opts(SecondsFormat::Secs, true),
            "kind": manifest.kind,
            "purpose": manifest.purpose,
            "consistency": manifest.consistency,
            "artefacts": manifest.artefacts.iter()
                .map(|artefact| json!({"name": artefact.name, "bytes": artefact.bytes, "sha256": artefact.sha256}))
                .collect::<Vec<_>>(),
            "bytes_total": manifest.bytes_total,
            "bytes_added": manifest.bytes_added,
            "downtime_ms": manifest.downtime_ms,
            "downtime_predicted_ms": manifest.downtime_predicted_ms,
            "duration_ms": manifest.duration_ms,
            "verified_at": good.map(|verified| verified.at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            "fault": snapshot.verified.as_ref().and_then(|verified| verified.fault.clone()),
            "drilled_at": drilled.filter(|drilled| drilled.passed).map(|drilled| drilled.at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            "drill_ms": drilled.map(|drilled| drilled.took_ms),
            "drill_fault": drilled.and_then(Drilled::why),
            "repositories": holding(places, &manifest.id),
            "notes": manifest.notes,
        })
    };
    let all: Vec<_> = snapshots.iter().map(one).collect();
    show::json(&json!({"version": show::JSON_VERSION, "snapshots": all}))
}

/// Snapshots as a person reads them.
pub(super) fn table(snapshots: &[Snapshot], drilled: &Drills, places: &Places) -> String {
    let mut head = vec!["SNAPSHOT", "WHAT", "SIZE", "ADDED", "DOWN", "READ BACK"];
    // Where there is no other place, and no drill, nobody misses them.
    head.extend((!drilled.is_empty()).then_some("RESTORED AND CHECKED"));
    head.extend((!places.is_empty()).then_some("ALSO AT"));
    let row = |snapshot: &Snapshot| {
        let mut row = row(snapshot);
        row.extend((!drilled.is_empty()).then(|| proof(drilled.get(&snapshot.manifest.id))));
        row.extend((!places.is_empty()).then(|| also_at(places, &snapshot.manifest.id)));
        row
    };
    let rows: Vec<Vec<String>> = snapshots.iter().map(row).collect();
    show::table(&head, &rows)
}

fn proof(drilled: Option<&Drilled>) -> String {
    match drilled.map(|drilled| (drilled, drilled.why())) {
        None => String::new(),
        Some((_, Some(why))) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
        Some((drilled, None)) => format!("{}, in {}", drilled.at.format("%Y-%m-%d %H:%M"), lasted(drilled.took_ms)),
    }
}

fn also_at(places: &Places, id: &SnapshotId) -> String {
    let at = holding(places, id);
    if at.is_empty() { "-".to_owned() } else { at.join(", ") }
}

fn what(kind: Kind, consistency: Consistency, purpose: Purpose) -> String {
    let what = match (kind, consistency) {
        (Kind::Dump, _) => "dump",
        (Kind::Backup, Consistency::Crash) => "backup (crash)",
        (Kind::Backup, _) => "backup",
    };
    let why = match purpose {
        Purpose::Asked | Purpose::Schedule => "",
        Purpose::PreRestore => " (before a restore)",
        Purpose::PreUpdate => " (before an update)",
    };
    what.to_owned() + why
}

fn row(snapshot: &Snapshot) -> Vec<String> {
    let manifest = &snapshot.manifest;
    let verified = match &snapshot.verified {
        None => "not yet".to_owned(),
        Some(verified) => match &verified.fault {
            None => verified.at.format("%Y-%m-%d %H:%M").to_string(),
            Some(fault) => format!("DAMAGED: {fault}"),
        },
    };
    vec![
        manifest.id.to_string(),
        what(manifest.kind, manifest.consistency, manifest.purpose),
        show::bytes(manifest.bytes_total),
        show::bytes(manifest.bytes_added),
        manifest.downtime_ms.map_or_else(String::new, show::milliseconds),
        verified,
    ]
}
