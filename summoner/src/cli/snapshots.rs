//! `summoner snapshots`

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::json;

use super::context::Context;
use super::{select, show};
use crate::error::Result;
use crate::plan::drill::{Drilled, lasted};
use crate::plan::snapshot::{Consistency, Kind, Purpose, Snapshot, SnapshotId};
use crate::repository::Repository;

/// What came of drills, by snapshot.
pub(super) type Drills = BTreeMap<SnapshotId, Drilled>;

/// List what was taken: when, what, how large, and whether it was read back
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which instances [default: all, also those that are gone]
    selector: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
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
    if args.json {
        json(&snapshots, &drilled)?;
    } else if snapshots.is_empty() {
        context.note("no snapshot yet: summoner backup takes one");
    } else {
        show::text(&table(&snapshots, &drilled))?;
    }
    Ok(if damaged.is_empty() { 0 } else { crate::error::Kind::Partial.exit_code() })
}

/// Prints snapshots as the contract of `snapshots --json` says.
pub(super) fn json(snapshots: &[Snapshot], drilled: &Drills) -> Result<()> {
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
            "notes": manifest.notes,
        })
    };
    let all: Vec<_> = snapshots.iter().map(one).collect();
    show::json(&json!({"version": show::JSON_VERSION, "snapshots": all}))
}

/// Snapshots as a person reads them.
pub(super) fn table(snapshots: &[Snapshot], drilled: &Drills) -> String {
    let rows: Vec<Vec<String>> = snapshots.iter().map(|snapshot| row(snapshot, drilled.get(&snapshot.manifest.id))).collect();
    if drilled.is_empty() {
        let head = ["SNAPSHOT", "WHAT", "SIZE", "ADDED", "DOWN", "READ BACK"];
        return show::table(&head, &rows.into_iter().map(|row| row[..head.len()].to_vec()).collect::<Vec<_>>());
    }
    show::table(&["SNAPSHOT", "WHAT", "SIZE", "ADDED", "DOWN", "READ BACK", "RESTORED AND CHECKED"], &rows)
}

fn row(snapshot: &Snapshot, drilled: Option<&Drilled>) -> Vec<String> {
    let manifest = &snapshot.manifest;
    let what = match (manifest.kind, manifest.consistency) {
        (Kind::Dump, _) => "dump",
        (Kind::Backup, Consistency::Crash) => "backup (crash)",
        (Kind::Backup, _) => "backup",
    };
    let why = match manifest.purpose {
        Purpose::Asked | Purpose::Schedule => "",
        Purpose::PreRestore => " (before a restore)",
        Purpose::PreUpdate => " (before an update)",
    };
    let verified = match &snapshot.verified {
        None => "not yet".to_owned(),
        Some(verified) => match &verified.fault {
            None => verified.at.format("%Y-%m-%d %H:%M").to_string(),
            Some(fault) => format!("DAMAGED: {fault}"),
        },
    };
    vec![
        manifest.id.to_string(),
        what.to_owned() + why,
        show::bytes(manifest.bytes_total),
        show::bytes(manifest.bytes_added),
        manifest.downtime_ms.map_or_else(String::new, show::milliseconds),
        verified,
        match drilled.map(|drilled| (drilled, drilled.why())) {
            None => String::new(),
            Some((_, Some(why))) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
            Some((drilled, None)) => format!("{}, in {}", drilled.at.format("%Y-%m-%d %H:%M"), lasted(drilled.took_ms)),
        },
    ]
}
