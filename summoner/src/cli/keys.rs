//! `summoner keys`, `summoner keys new`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::backend::identity;
use crate::config::encryption::fingerprint;
use crate::error::{Error, Result};
use crate::layout::Layout;

/// Show the keys that backups elsewhere are encrypted for
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a pair of keys: the private one goes into FILE, the public one into config.yml
    New {
        /// The file of the private key, best on a stick or another machine
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Json {
    version: u32,
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    fingerprint: String,
    recipient: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl Key {
    fn of(recipient: &str) -> Self {
        Self { fingerprint: fingerprint(recipient), recipient: recipient.to_owned(), file: None }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    if let Some(Command::New { file, json }) = &args.command {
        return new(context, file, *json);
    }
    let loaded = context.load()?;
    let keys: Vec<Key> = loaded.config.recipients.iter().map(|recipient| Key::of(recipient)).collect();
    if args.json {
        show::json(&Json { version: JSON_VERSION, keys })?;
    } else if keys.is_empty() {
        context.note("nothing is encrypted: config.yml has no `encryption:` (summoner keys new FILE makes a key)");
    } else {
        let rows: Vec<Vec<String>> = keys.into_iter().map(|key| vec![key.fingerprint, key.recipient]).collect();
        show::text(&show::table(&["FINGERPRINT", "RECIPIENT"], &rows))?;
    }
    Ok(0)
}

fn new(context: &Context, file: &Path, json: bool) -> Result<u8> {
    let here = std::env::current_dir().map_err(|error| Error::io("find", Path::new("."), &error))?;
    let file = here.join(file);
    let recipient = identity::make(&file, &roots(context), context.now)?;
    let key = Key { file: Some(file.display().to_string()), ..Key::of(&recipient) };
    if json {
        show::json(&Json { version: JSON_VERSION, keys: vec![key] })?;
        return Ok(0);
    }
    show::text(&format!("recipient    {recipient}\nfingerprint  {}\nprivate key  {}\n", key.fingerprint, file.display()))?;
    context.note(&format!(
        "next: keep {} where this server is not (twice), and remove it here;\n      \
         put the recipient into config.yml: encryption: {{recipients: [{recipient}]}}\n      \
         then summoner recovery-card, and print it",
        file.display()
    ));
    Ok(0)
}

/// Where the data lies, as far as it is known: a config.yml that is being written may have faults.
fn roots(context: &Context) -> Vec<PathBuf> {
    let of = |layout: &Layout| vec![layout.files.clone(), layout.databases.clone()];
    context.load().map_or_else(|_| context.remembered_roots(), |loaded| of(&loaded.config.layout))
}
