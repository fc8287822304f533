//! `summoner daemon`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Loaded};
use crate::apply::service;
use crate::daemon::program::Program;
use crate::daemon::runner::Setup;
use crate::daemon::watch::{Load, Watch};
use crate::daemon::{self, clock, guard, keeper, meter};
use crate::error::{Error, Kind, Result};

/// How often the daemon looks for what a killed command left.
const MEND: Duration = Duration::from_secs(20);
/// How often it tries at least to start what does not start.
const MEND_AT_LEAST: Duration = Duration::from_secs(900);

/// Stay, and run the scheduled jobs at their times
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take away the service, or the line for cron, that `install` made
    #[arg(long)]
    uninstall: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    if args.uninstall {
        let config = context.config_path()?;
        let done = tokio::task::spawn_blocking(move || service::remove(&config)).await;
        let done = done.map_err(|error| Error::internal("removing the service broke off").cause(error))??;
        context.note(done.as_deref().unwrap_or("nothing to do: no service of this configuration is installed"));
        return Ok(0);
    }
    let setup = setup(context)?;
    let watch = Watch::new(&setup.config.path, reload(context));
    let runner = Arc::new(program()?);
    let companions = vec![guard::companion(), keeper::companion(), meter::companion()];
    let jobs = daemon::run(runner, Arc::new(setup), companions, watch, context.listener(), clock::now, daemon::asked_to_end());
    tokio::select! {
        ended = jobs => ended?,
        () = mend(context) => {}
    }
    Ok(0)
}

/// What a command that was killed left standing still is started: after a reboot, and when nobody types another command.
async fn mend(context: &Context) {
    let mut wait = MEND;
    loop {
        wait = match context.make_whole().await {
            // What does not start is tried less and less often.
            Ok(true) => (wait * 2).min(MEND_AT_LEAST),
            Err(error) if error.kind != Kind::Locked => {
                context.note(&error.to_string());
                (wait * 2).min(MEND_AT_LEAST)
            }
            // Nothing is left, or whoever works here and now ends it.
            Ok(false) | Err(_) => MEND,
        };
        tokio::time::sleep(wait).await;
    }
}

/// What the daemon and `run-due` work from.
pub(super) fn setup(context: &Context) -> Result<Setup> {
    let Loaded { config, catalogue } = context.load()?;
    Ok(Setup { config, catalogue })
}

fn reload(context: &Context) -> Load {
    let context = context.clone();
    Box::new(move || setup(&context))
}

/// Does each job as a command of this program.
pub(super) fn program() -> Result<Program> {
    let path = std::env::current_exe().map_err(|error| Error::io("find", Path::new("/proc/self/exe"), &error))?;
    Ok(Program { path })
}
