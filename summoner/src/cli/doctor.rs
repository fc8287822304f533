//! `summoner doctor`

mod report;

use std::io::IsTerminal;

use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::doctor::{self, Check, Patient, examine};
use crate::error::{Kind, Result};

/// Check whether this machine can do what config.yml asks
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Mend what is safe to mend: missing folders, open secrets, kernel settings
    #[arg(long)]
    fix: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    checks: &'a [Check],
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load();
    let seen = doctor::look(context.engine()).await;
    let zone = iana_time_zone::get_timezone().ok();
    // No lock: everything that is mended is a single step that any other command would take too.
    let checks = examine(&Patient {
        config: loaded.as_ref().map(|loaded| (&loaded.config, &loaded.catalogue)),
        engine: seen.as_ref(),
        host_timezone: zone.as_deref(),
        now: context.now,
        fix: args.fix,
    })
    .await;
    if args.json {
        show::json(&Json { version: JSON_VERSION, checks: &checks })?;
    } else {
        show::text(&report::text(&checks, std::io::stdout().is_terminal(), context.globals.quiet))?;
    }
    Ok(if checks.iter().any(|check| check.state.needs_a_person()) { Kind::Partial.exit_code() } else { 0 })
}
