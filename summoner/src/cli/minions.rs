//! `summoner minions`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::minion::{self, Minion, Origin, catalogue};
use crate::name::App;

/// The catalogue: list, show, lint, begin a new one
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one minion
    Show {
        /// Its name
        name: String,
    },
    /// Check minions against every rule of the format
    Lint {
        /// A minion's name or folder [default: the whole catalogue]
        what: Option<PathBuf>,
    },
    /// Begin a minion of your own beside config.yml
    New {
        /// Its name
        name: App,
    },
}

#[derive(Serialize)]
struct Json {
    version: u32,
    minions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    summary: String,
    version: String,
    databases: Vec<&'static str>,
    memory_bytes: u64,
    source: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    match &args.command {
        None => list(context, args.json)?,
        Some(Command::Show { name }) => show::text(&describe(context.catalogue()?.get(name)?))?,
        Some(Command::Lint { what }) => return lint(context, what.as_deref()),
        Some(Command::New { name }) => begin(context, name)?,
    }
    Ok(0)
}

fn list(context: &Context, json: bool) -> Result<()> {
    let catalogue = context.catalogue()?;
    let mut minions = Vec::new();
    for (_, found) in catalogue.iter() {
        match found {
            Ok(minion) => minions.push(row(minion)),
            Err(error) => context.note(&error.to_string()),
        }
    }
    if json {
        return show::json(&Json { version: JSON_VERSION, minions });
    }
    let rows: Vec<Vec<String>> = minions
        .into_iter()
        .map(|row| vec![row.name, row.version, row.databases.join(" "), show::bytes(row.memory_bytes), row.summary])
        .collect();
    show::text(&show::table(&["NAME", "VERSION", "DATABASE", "MEMORY", "SUMMARY"], &rows))
}

fn row(minion: &Minion) -> Row {
    Row {
        name: minion.name.clone(),
        summary: minion.summary.clone(),
        version: minion.version().unwrap_or_default(),
        databases: minion.databases.iter().map(|database| database.kind.as_str()).collect(),
        memory_bytes: minion.needs.memory_bytes,
        source: match &minion.origin {
            Origin::Catalogue => "catalogue".to_owned(),
            Origin::Folder(path) => path.display().to_string(),
        },
    }
}

fn describe(minion: &Minion) -> String {
    let row = row(minion);
    let mut text = format!("{}: {}\n\n", row.name, row.summary);
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text += &format!("{name:<14}{value}\n");
        }
    };
    line("version", row.version);
    line("database", row.databases.join(", "));
    line("memory", show::bytes(row.memory_bytes));
    line("disk", show::bytes(minion.needs.disk_bytes));
    line("lives at", if minion.routes.is_empty() { String::new() } else { format!("{}.<domain>", minion.subdomain) });
    line("cpu", minion.needs.cpu.join(", "));
    line("architectures", minion.needs.architectures.join(", "));
    line(
        "kept files",
        minion.folders.iter().filter(|folder| !folder.regenerable).map(|folder| folder.path.clone()).collect::<Vec<_>>().join(", "),
    );
    line("sends", minion.webhooks.sends.join(", "));
    line("takes", minion.webhooks.takes.join(", "));
    line("from", row.source);
    for (name, url) in &minion.links {
        line(name, url.clone());
    }
    text + &format!("\nsummoner invoke {}\n", minion.name)
}

fn lint(context: &Context, what: Option<&Path>) -> Result<u8> {
    let mut findings = Vec::new();
    let mut count = 0;
    let mut check = |minion: &Minion| -> Result<()> {
        count += 1;
        let found = minion::inspect(minion)
            .map_err(|faults| Error::faults(format!("the Compose file of {} is not accepted", minion.name), faults))?;
        findings.extend(found);
        Ok(())
    };
    match what {
        Some(path) if path.is_dir() => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            check(&catalogue::folder(name, path)?)?;
        }
        Some(name) => check(context.catalogue()?.get(&name.to_string_lossy())?)?,
        None => {
            for (_, minion) in context.catalogue()?.iter() {
                check(minion?)?;
            }
        }
    }
    for finding in &findings {
        show::text(&format!("{}: {}: {}\n", finding.minion, finding.place, finding.message))?;
    }
    if findings.is_empty() {
        context.note(&format!("{count} minion{} checked: nothing to mend", if count == 1 { "" } else { "s" }));
        return Ok(0);
    }
    Ok(Kind::Config.exit_code())
}

/// Two commented files that lint accepts, to be changed.
fn begin(context: &Context, name: &App) -> Result<()> {
    let config = context.config_path()?;
    let folder = config.parent().unwrap_or(Path::new(".")).join("minions").join(name.as_str());
    if folder.exists() {
        return Err(
            Error::usage(format!("{} exists already", folder.display())).next(format!("summoner minions lint {}", folder.display()))
        );
    }
    disk::ensure_folder(&folder, 0o755, None)?;
    for (file, text) in [("minion.yml", include_str!("new/minion.yml")), ("docker-compose.yml", include_str!("new/docker-compose.yml"))] {
        disk::write_atomic(&folder.join(file), text.replace("NAME", name.as_str()).as_bytes(), 0o644)?;
    }
    show::text(&format!("{}\n", folder.display()))?;
    context.note(&format!("change both files, then: summoner minions lint {0} && summoner invoke {name}", folder.display()));
    Ok(())
}
