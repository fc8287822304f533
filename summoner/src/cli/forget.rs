//! `summoner forget`

use std::io::IsTerminal;

use serde_json::json;

use super::context::{Context, Loaded};
use super::{select, show};
use crate::backup::{blocking, forget};
use crate::error::{Error, Result};
use crate::plan::retention::Verdict;
use crate::restore::kept;

/// Delete the snapshots that no rule of `keep:` wants
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which instance [default: all]
    selector: Option<String>,
    /// Say what would go and why, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let engine = context.engine().await?;
    let _lock = if args.dry_run { None } else { Some(context.lock(&loaded, &engine, "forget").await?) };
    replaced(context, &loaded, args).await?;
    let mut verdicts = forget::verdicts(&loaded.config, context.now)?;
    if let Some(selector) = &args.selector {
        let known = |id: &str| verdicts.iter().any(|verdict| verdict.id.instance.to_string() == id);
        // An instance that was removed is known by its snapshots only.
        let ids = if known(selector) { vec![selector.clone()] } else { select::ids(&loaded.config, selector)? };
        verdicts.retain(|verdict| ids.contains(&verdict.id.instance.to_string()));
    }
    if args.json {
        let all: Vec<_> =
            verdicts.iter().map(|verdict| json!({"id": verdict.id.to_string(), "keep": verdict.keep, "reason": verdict.reason})).collect();
        show::json(&json!({"version": show::JSON_VERSION, "verdicts": all}))?;
    } else {
        show::text(&table(&verdicts))?;
    }
    let going = verdicts.iter().filter(|verdict| !verdict.keep).count();
    if args.dry_run || going == 0 {
        context.note(&format!("{going} of {} snapshots would be forgotten", verdicts.len()));
        return Ok(0);
    }
    agree(context, going)?;
    let freed = forget::carry_out(&loaded.config, &verdicts).await?;
    context.note(&format!("{going} snapshots forgotten, {} freed", show::bytes(freed)));
    Ok(0)
}

fn table(verdicts: &[Verdict]) -> String {
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| vec![verdict.id.to_string(), if verdict.keep { "keep" } else { "forget" }.to_owned(), verdict.reason.clone()])
        .collect();
    show::table(&["SNAPSHOT", "VERDICT", "BECAUSE"], &rows)
}

/// What is deleted cannot be brought back.
fn agree(context: &Context, going: usize) -> Result<()> {
    if context.globals.yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::usage(format!("{going} snapshots would be deleted, and nobody can be asked")).next("summoner forget --yes"));
    }
    let agreed = dialoguer::Confirm::new()
        .with_prompt(format!("delete {going} snapshots"))
        .default(false)
        .interact()
        .map_err(|error| Error::external("cannot ask on this terminal").cause(error))?;
    if agreed { Ok(()) } else { Err(Error::usage("nothing was deleted")) }
}

/// What restores replaced: kept until somebody confirms, or for a month.
async fn replaced(context: &Context, loaded: &Loaded, args: &Args) -> Result<()> {
    let layout = &loaded.config.layout;
    for record in kept::all(layout)? {
        let id = record.instance.clone();
        let meant = |selector: &str| {
            selector == id.to_string() || select::ids(&loaded.config, selector).is_ok_and(|ids| ids.contains(&id.to_string()))
        };
        if args.selector.as_deref().is_some_and(|selector| !meant(selector)) {
            continue;
        }
        let what = format!("{id}: what the restore of {} replaced", record.at.format("%Y-%m-%d"));
        if !record.may_go(context.now) {
            let until = record.kept_until().format("%Y-%m-%d");
            context.note(&format!("{what} is kept until {until}; summoner restore --confirm {id} deletes it now"));
        } else if args.dry_run {
            context.note(&format!("{what} would be deleted"));
        } else {
            let layout = layout.clone();
            blocking(move |_| kept::confirm(&layout, &id)).await?;
            if record.confirmed {
                context.note(&format!("{what} is deleted, as was confirmed"));
            } else {
                context.note(&format!("{what} is deleted: nobody took it back within {} days", kept::KEPT_DAYS));
            }
        }
    }
    Ok(())
}
