//! `summoner run-due`

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::daemon::{program, setup};
use crate::daemon::{self, clock};
use crate::disk;
use crate::error::{Error, Kind, Result};

/// `/proc/stat` of a machine with a thousand processors is less.
const MAX_STAT_BYTES: u64 = 1 << 20;

/// Run the scheduled jobs that are due, and end
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) async fn run(context: &Context, _: &Args) -> Result<u8> {
    if let Err(error) = context.make_whole().await
        && error.kind != Kind::Locked
    {
        context.note(&error.to_string());
    }
    let setup = Arc::new(setup(context)?);
    let runner = Arc::new(program()?);
    let counts = daemon::run_due(runner, setup, context.listener(), clock::now, booted_at(), daemon::asked_to_end()).await?;
    match counts {
        None => context.note("another summoner runs the scheduled jobs"),
        Some((0, _)) => context.note("nothing is due"),
        Some((_, 0)) => {}
        Some((all, failed)) => {
            let kind = if failed == all { Kind::External } else { Kind::Partial };
            let message =
                if all == 1 { "the job that was due failed".to_owned() } else { format!("{failed} of {all} jobs that were due failed") };
            return Err(Error::new(kind, message).next("summoner schedule"));
        }
    }
    Ok(0)
}

/// When the machine started: what `at start` counts from where no daemon does.
fn booted_at() -> Option<DateTime<Utc>> {
    let bytes = disk::read_if_there(std::path::Path::new("/proc/stat"), MAX_STAT_BYTES).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    DateTime::from_timestamp(seconds, 0)
}
