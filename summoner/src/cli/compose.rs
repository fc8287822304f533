//! `summoner compose`

use std::path::PathBuf;

use super::show;
use crate::compose::{self, Input};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::fault::{Source, warning_text};

/// Compose files as Summoner understands them
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the resolved model of a Compose file, or every key it refuses
    Config(Args),
}

/// Print the resolved model of a Compose file, or every key it refuses
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Compose file
    file: PathBuf,
    /// Print JSON instead of YAML
    #[arg(long)]
    json: bool,
    /// Active profiles
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Read variables from this file instead of `.env` beside the Compose file
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Far above any `.env`.
const MAX_ENV_BYTES: u64 = 1 << 20;

pub(super) fn run(command: &Command) -> Result<u8> {
    let Command::Config(args) = command;
    let bytes = disk::read_bounded(&args.file, u64::try_from(crate::yaml::Limits::COMPOSE.bytes).unwrap_or(u64::MAX))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::new(Kind::Config, format!("{} is binary, no Compose file", args.file.display())).cause(error))?;
    let folder = std::path::absolute(&args.file).map_err(|error| Error::io("find", &args.file, &error))?;
    let folder = folder.parent().unwrap_or(std::path::Path::new("/")).to_owned();
    let env_path = args.env_file.clone().unwrap_or_else(|| folder.join(".env"));
    let mut variables = match disk::read_if_there(&env_path, MAX_ENV_BYTES)? {
        Some(bytes) => compose::dotenv(&String::from_utf8_lossy(&bytes))
            .map_err(|error| Error::new(Kind::Config, format!("{} cannot be read", env_path.display())).cause(error))?,
        None if args.env_file.is_some() => return Err(Error::new(Kind::Config, format!("{} does not exist", env_path.display()))),
        None => std::collections::BTreeMap::new(),
    };
    // The shell wins over the file, as with docker compose.
    variables.extend(std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let input = Input {
        source: Source::new(args.file.display().to_string(), text),
        folder: &folder,
        project: None,
        variables: &variables,
        profiles: &args.profile,
        home: home.as_deref(),
    };
    let loaded =
        compose::load(&input).map_err(|faults| Error::faults(format!("{} has {} fault(s)", args.file.display(), faults.len()), faults))?;
    for warning in &loaded.warnings {
        use std::io::Write;
        // Nobody reads it any more: the result still comes.
        let _ = writeln!(std::io::stderr(), "{}", warning_text(warning));
    }
    if args.json {
        show::json(&loaded.project)?;
    } else {
        let yaml = serde_yaml::to_string(&loaded.project).map_err(|error| Error::internal("the model does not serialise").cause(error))?;
        show::text(&yaml)?;
    }
    Ok(0)
}
