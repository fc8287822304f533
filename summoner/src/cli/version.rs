//! `summoner version`

use serde::Serialize;

use super::show::{self, JSON_VERSION};
use crate::error::Result;

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    version: u32,
    summoner: &'static str,
    config_version: i64,
    state_version: u32,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let summoner = env!("CARGO_PKG_VERSION");
    if args.json {
        show::json(&Json {
            version: JSON_VERSION,
            summoner,
            config_version: crate::config::VERSION,
            state_version: crate::state::VERSION,
        })?;
    } else {
        show::text(&format!("summoner {summoner}\n"))?;
    }
    Ok(0)
}
