//! `summoner config`

use super::context::Context;
use super::invoke;
use super::show;
use crate::config;
use crate::error::{Error, Result};

/// The configuration: show, check, describe, migrate
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the resolved configuration, secrets hidden
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print only the images that it needs, one a line
        #[arg(long, conflicts_with = "json")]
        images: bool,
    },
    /// Check config.yml and say every fault at once
    Check,
    /// Print the JSON Schema of config.yml, for editors
    Schema,
    /// Rewrite a config.yml of 2017 to today's form, keeping comments
    Migrate {
        /// Print the new text and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn run(context: &Context, command: &Command) -> Result<u8> {
    match command {
        Command::Show { json, images } => {
            let loaded = context.load()?;
            if *images {
                show::text(&needed(&loaded)?)?;
            } else if *json {
                show::json(&config::show_json(&loaded.config))?;
            } else {
                show::text(&config::show(&loaded.config))?;
            }
        }
        Command::Check => {
            let loaded = context.load_aloud()?;
            let count = loaded.config.instances.len();
            show::text(&format!("{} is good: {count} application{}\n", loaded.config.path.display(), if count == 1 { "" } else { "s" }))?;
        }
        Command::Schema => show::json(&config::schema())?,
        Command::Migrate { dry_run } => migrate(context, *dry_run)?,
    }
    Ok(0)
}

/// Exact names of all images, each once.
fn needed(loaded: &super::context::Loaded) -> Result<String> {
    let given = crate::plan::wanted::images(&loaded.config, &|name: &str| loaded.catalogue.get(name).cloned())?;
    Ok(given.into_iter().map(|image| image + "\n").collect())
}

fn migrate(context: &Context, dry_run: bool) -> Result<()> {
    let path = context.config_path()?;
    let source = config::read(&path)?;
    let migrated =
        config::migrate(&source.text).map_err(|faults| Error::faults(format!("{} cannot be migrated", path.display()), faults))?;
    let Some(text) = migrated else {
        context.note(&format!("{} has today's form already", path.display()));
        return Ok(());
    };
    if dry_run {
        return show::text(&text);
    }
    invoke::save(&path, &source.text, &text)?;
    context.note(&format!("{} has today's form now; the old one is {}", path.display(), path.with_extension("yml.bak").display()));
    Ok(())
}
