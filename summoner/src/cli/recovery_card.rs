//! `summoner recovery-card`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::{Context, Loaded};
use super::open;
use super::show::{self, JSON_VERSION};
use crate::config::Instance;
use crate::disk;
use crate::drill;
use crate::error::{Error, Kind, Result};
use crate::plan::card::page::page;
use crate::plan::card::text::text;
use crate::plan::card::{Basis, Card, Proof};
use crate::repository::Repository;
use crate::state::card;

/// Write the page that a person keeps elsewhere: where the backups are, which key opens them, what to type
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the page and the text file [default: here]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    files: Vec<String>,
    card: &'a Card,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let config = &loaded.config;
    let made = Card::of(config, env!("CARGO_PKG_VERSION"), proofs(&loaded)?, context.now);
    let here = std::env::current_dir().map_err(|error| Error::io("find", Path::new("."), &error))?;
    let folder = here.join(args.out.as_deref().unwrap_or(Path::new("")));
    disk::ensure_folder(&folder, 0o755, None)?;
    let name = format!("recovery-card-{}", config.domain);
    let (page_file, text_file) = (folder.join(format!("{name}.html")), folder.join(format!("{name}.txt")));
    // Nothing on it is a secret, and it still tells a stranger where to look.
    disk::write_atomic(&page_file, page(&made).as_bytes(), 0o600)?;
    disk::write_atomic(&text_file, text(&made).as_bytes(), 0o600)?;
    card::save(&config.layout, Basis::of(config), context.now)?;
    let files = vec![page_file.display().to_string(), text_file.display().to_string()];
    if args.json {
        show::json(&Json { version: JSON_VERSION, files, card: &made })?;
        return Ok(0);
    }
    show::text(&(files.join("\n") + "\n"))?;
    context.note("next: print the page, fill in where the private key lies and who has it, and keep it where this server is not");
    Ok(0)
}

/// What was proven of each instance, by the repository on this server.
fn proofs(loaded: &Loaded) -> Result<Vec<Proof>> {
    let repository = match Repository::open(&loaded.config.layout.backups()) {
        Ok(repository) => Some(repository),
        Err(error) if error.kind == Kind::NoRepository => None,
        Err(error) => return Err(error),
    };
    let of = |instance: &Instance| {
        let (snapshots, _) = repository.as_ref().map(|repository| repository.list(Some(&instance.id))).transpose()?.unwrap_or_default();
        let mut drills = drill::memory::load(&loaded.config.layout, &instance.id)?;
        if let Some(repository) = &repository {
            repository.all_drilled(&snapshots)?.values().for_each(|drilled| drills.meet(drilled));
        }
        Ok(Proof {
            id: instance.id.clone(),
            url: instance.host.as_ref().map(|host| open::url(&loaded.config, host, "")),
            verified: snapshots.iter().rev().find(|snapshot| snapshot.is_good()).map(|snapshot| snapshot.manifest.id.time),
            drill: drills.last,
        })
    };
    loaded.config.instances.iter().map(of).collect()
}
