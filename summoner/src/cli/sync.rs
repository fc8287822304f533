//! `summoner sync`

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::context::{Context, Loaded};
use super::{from, select, show};
use crate::config::repositories::RepositorySettings;
use crate::error::{Error, Kind, Result};
use crate::name::InstanceId;
use crate::plan::card::encrypted;
use crate::repository::Repository;
use crate::state::card;
use crate::sync::{self, Filling, Report};

/// Bring what is missing to the other repositories, and read it back there
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which of `repositories:` in config.yml [default: all]
    repository: Vec<String>,
    /// Only the snapshots of these instances
    #[arg(long, value_name = "SELECTOR")]
    of: Vec<String>,
    /// Say what is missing and what would be forgotten there, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let places = chosen(&loaded, &args.repository)?;
    let only = of(&loaded, &args.of)?;
    if !args.dry_run && places.iter().any(|settings| encrypted(&loaded.config, settings)) {
        card::require(&loaded.config)?;
    }
    let fillings = places
        .into_iter()
        .map(|settings| Filling {
            only: only.clone(),
            dry_run: args.dry_run,
            wait: context.globals.wait,
            ..Filling::of(&loaded.config, settings, context.now, Arc::from(context.listener()))
        })
        .collect();
    let reports = sync::all(fillings).await?;
    if args.json {
        show::json(&json!({"version": show::JSON_VERSION, "repositories": reports.iter().map(one).collect::<Vec<_>>()}))?;
    } else {
        show::text(&text(&reports, args.dry_run))?;
    }
    finish(context, reports)
}

fn chosen<'a>(loaded: &'a Loaded, names: &[String]) -> Result<Vec<&'a RepositorySettings>> {
    let all = &loaded.config.repositories;
    if names.is_empty() && all.is_empty() {
        return Err(
            Error::usage("config.yml names no other repository").next("name one below `repositories:` in config.yml (wiki/offsite.md)")
        );
    }
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    names.iter().map(|name| all.iter().find(|settings| settings.name == *name).ok_or_else(|| from::unknown(loaded, name))).collect()
}

/// The instances that are meant; one that was removed is known by its snapshots only.
fn of(loaded: &Loaded, selectors: &[String]) -> Result<Option<BTreeSet<InstanceId>>> {
    if selectors.is_empty() {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for selector in selectors {
        match select::many(&loaded.config, selector) {
            Ok(found) => ids.extend(found.iter().map(|instance| instance.id.clone())),
            Err(error) => {
                let snapshots = Repository::open(&loaded.config.layout.backups())?.list(None)?.0;
                let gone = selector.parse().ok().filter(|id| snapshots.iter().any(|snapshot| snapshot.manifest.id.instance == *id));
                ids.insert(gone.ok_or(error)?);
            }
        }
    }
    Ok(Some(ids))
}

/// After a run: its instances' snapshots go to every place. What did not arrive is an error, although all is good here.
pub(super) async fn after(context: &Context, loaded: &Loaded, taken: &[InstanceId]) -> Result<Vec<Error>> {
    if loaded.config.repositories.is_empty() || taken.is_empty() {
        return Ok(Vec::new());
    }
    let filling = |settings| Filling {
        only: Some(taken.iter().cloned().collect()),
        wait: true,
        ..Filling::of(&loaded.config, settings, context.now, Arc::from(context.listener()))
    };
    let mut errors = Vec::new();
    // Places where nothing is encrypted are filled all the same.
    let refused = card::require(&loaded.config).err();
    let (shut, open): (Vec<_>, Vec<_>) =
        loaded.config.repositories.iter().partition(|settings| refused.is_some() && encrypted(&loaded.config, settings));
    for settings in shut {
        errors.extend(
            refused.clone().map(|error| Error { message: format!("nothing was copied to {}: {}", settings.name, error.message), ..error }),
        );
    }
    let reports = sync::all(open.into_iter().map(filling).collect()).await?;
    for report in reports {
        for id in &report.copied {
            context.note(&format!("{id} is at {} too", report.name));
        }
        if let Some(error) = report.error {
            let message = format!("what was taken is good here, and its copy failed: {}", error.message);
            errors.push(Error { message, ..error });
        }
    }
    Ok(errors)
}

fn one(report: &Report) -> serde_json::Value {
    json!({
        "name": report.name,
        "at": report.location,
        "copied": report.copied.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sent_bytes": report.bytes_sent,
        "missing": report.missing.iter().map(|missing| json!({"id": missing.id.to_string(), "reason": missing.reason})).collect::<Vec<_>>(),
        "forgotten": report.forgotten.iter().map(|gone| json!({"id": gone.id.to_string(), "reason": gone.reason})).collect::<Vec<_>>(),
        "records": report.records,
        "notes": report.notes,
        "error": report.error.as_ref().map(|error| json!({"message": error.message, "cause": error.cause, "next": error.next})),
    })
}

fn text(reports: &[Report], dry_run: bool) -> String {
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let counts = [report.missing.len().to_string(), report.forgotten.len().to_string()];
            let state = if report.error.is_some() { "failed" } else { "" };
            let sent = [report.copied.len().to_string(), show::bytes(report.bytes_sent)];
            [vec![report.name.clone()], sent.to_vec(), counts.to_vec(), vec![state.to_owned()]].concat()
        })
        .collect();
    let head = if dry_run {
        ["REPOSITORY", "COPIED", "SENT", "MISSING", "WOULD FORGET", ""]
    } else {
        ["REPOSITORY", "COPIED", "SENT", "MISSING", "FORGOTTEN", ""]
    };
    let mut text = show::table(&head, &rows);
    for report in reports {
        let missing = report.missing.iter().map(|missing| format!("\n{}: {} is missing: {}\n", report.name, missing.id, missing.reason));
        let word = if dry_run { "would be forgotten" } else { "is forgotten" };
        let forgotten = report.forgotten.iter().map(|gone| format!("\n{}: {} {word}: {}\n", report.name, gone.id, gone.reason));
        let notes = report.notes.iter().map(|note| format!("\n{}: {note}\n", report.name));
        text.extend(missing.chain(forgotten).chain(notes));
    }
    text
}

fn finish(context: &Context, reports: Vec<Report>) -> Result<u8> {
    let all = reports.len();
    let any = reports.iter().any(|report| report.error.is_none() || !report.copied.is_empty());
    let mut errors: Vec<Error> = reports.into_iter().filter_map(|report| report.error).collect();
    let Some(last) = errors.pop() else { return Ok(0) };
    for error in &errors {
        context.note(&format!("{error}\n"));
    }
    let kind = if any { Kind::Partial } else { last.kind };
    let message = match errors.len() {
        0 => last.message.clone(),
        more => format!("{} of {all} repositories could not be filled; the last: {}", more + 1, last.message),
    };
    Err(Error { kind, message, ..last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::retention::Verdict;
    use crate::plan::sync::Missing;

    #[test]
    fn the_table_fits_and_every_verdict_has_its_reason() {
        let id = |text: &str| text.parse().unwrap();
        let attic = Report {
            name: "attic".into(),
            copied: vec![id("ghost-a.fr/20261121T020000Z")],
            bytes_sent: 1_234_567,
            forgotten: vec![Verdict { id: id("ghost-a.fr/20261101T020000Z"), keep: false, reason: "older than all slots".into() }],
            ..Report::default()
        };
        let cloud = Report {
            name: "cloud".into(),
            missing: vec![Missing { id: id("ghost-a.fr/20261121T020000Z"), reason: "the bucket is full".into() }],
            error: Some(Error::external("no")),
            ..Report::default()
        };
        insta::assert_snapshot!(text(&[attic, cloud], false), @"
        REPOSITORY  COPIED  SENT    MISSING  FORGOTTEN
        attic       1       1.2 MB  0        1
        cloud       0       0 B     1        0          failed

        attic: ghost-a.fr/20261101T020000Z is forgotten: older than all slots

        cloud: ghost-a.fr/20261121T020000Z is missing: the bucket is full
        ");
    }
}
