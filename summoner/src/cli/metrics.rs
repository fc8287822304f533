//! `summoner metrics`

use std::path::PathBuf;

use super::context::Context;
use super::show;
use crate::disk;
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::metrics;

/// Who collects the numbers is another user.
const MODE: u32 = 0o644;

/// Print numbers for Prometheus: ages, sizes, failures
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write them into this file in one step, such as one of node-exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    // That it does not answer is a number too.
    let engine = Docker::connect().await.ok();
    let text = metrics::text(&loaded.config, &loaded.catalogue, engine.as_ref(), context.now).await?;
    match &args.to {
        Some(path) => disk::write_atomic(path, text.as_bytes(), MODE)?,
        None => show::text(&text)?,
    }
    Ok(0)
}
