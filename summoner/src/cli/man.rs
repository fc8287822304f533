//! `summoner man`

use std::path::PathBuf;

use super::show;
use crate::disk;
use crate::error::{Error, Result};

/// Print the manual, or write one page a command into a folder
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let command = super::command();
    let Some(folder) = &args.folder else {
        show::text(&page(command)?)?;
        return Ok(0);
    };
    disk::ensure_folder(folder, 0o755, None)?;
    disk::write_atomic(&folder.join("summoner.1"), page(command.clone())?.as_bytes(), 0o644)?;
    for sub in command.get_subcommands() {
        let name = format!("summoner-{}", sub.get_name());
        let text = page(sub.clone())?;
        disk::write_atomic(&folder.join(format!("{name}.1")), text.as_bytes(), 0o644)?;
    }
    Ok(0)
}

fn page(command: clap::Command) -> Result<String> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Error::internal("the manual cannot be rendered").cause(error))?;
    String::from_utf8(page).map_err(|error| Error::internal("the manual is no text").cause(error))
}
