//! `summoner completions`

use super::show;
use crate::error::{Error, Result};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "summoner", &mut script);
    let script = String::from_utf8(script).map_err(|error| Error::internal("the completions are no text").cause(error))?;
    show::text(&script)?;
    Ok(0)
}
