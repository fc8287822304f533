//! `summoner daemon`

use std::path::Path;
use std::sync::Arc;

use super::context::{Context, Loaded};
use crate::apply::service;
use crate::daemon::program::Program;
use crate::daemon::runner::Setup;
use crate::daemon::watch::{Load, Watch};
use crate::daemon::{self, clock};
use crate::error::{Error, Result};

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
    daemon::run(runner, Arc::new(setup), watch, context.listener(), clock::now, daemon::asked_to_end()).await?;
    Ok(0)
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
