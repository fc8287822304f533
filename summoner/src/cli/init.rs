//! `summoner init`

use std::io::IsTerminal;
use std::path::Path;

use super::context::Context;
use super::show;
use crate::config::{self, InitAnswers, Preset, presets};
use crate::disk;
use crate::error::{Error, Result};
use crate::fault::{Source, did_you_mean};
use crate::name::Domain;

/// Write a commented config.yml from a few questions or flags
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The domain that everything lives below
    #[arg(long)]
    domain: Option<Domain>,
    /// Who gets mail about this server
    #[arg(long)]
    email: Option<String>,
    /// The applications, separated by commas
    #[arg(long, value_delimiter = ',')]
    apps: Vec<String>,
    /// A good beginning: hackathon, association or company
    #[arg(long)]
    preset: Option<String>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let path = target(context)?;
    if path.exists() && !args.force {
        return Err(Error::usage(format!("{} exists already", path.display()))
            .next("summoner plan   shows what it asks for")
            .next("summoner init --force   replaces it"));
    }
    let catalogue = context.catalogue()?;
    let preset = args.preset.as_deref().map(preset).transpose()?;
    let names: Vec<String> = catalogue.names().map(str::to_owned).collect();
    let domain = match &args.domain {
        Some(domain) => domain.clone(),
        None => ask(context, "Domain", "--domain", "team.localhost")?.parse().map_err(|error| Error::usage(format!("{error}")))?,
    };
    let email = match &args.email {
        Some(email) => email.clone(),
        None => ask(context, "E-mail", "--email", &format!("admin@{domain}"))?,
    };
    let suggested = preset.as_ref().map_or_else(|| vec!["ghost".to_owned()], |preset| preset.available(&names));
    let apps = if !args.apps.is_empty() {
        args.apps.clone()
    } else if preset.is_some() {
        suggested
    } else {
        ask(context, "Applications", "--apps or --preset", &suggested.join(" "))?
            .split([' ', ','])
            .filter(|app| !app.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let text = config::init(&InitAnswers { domain, email, apps, preset });
    // What this command writes is good, or it is not written.
    context.resolve(&path, &Source::new(path.display().to_string(), text.clone()), &catalogue)?;
    disk::write_atomic(&path, text.as_bytes(), 0o644)?;
    show::text(&format!("{}\n", path.display()))?;
    context.note("next: summoner plan, then summoner install");
    Ok(0)
}

/// Where the new file goes: what the flag says, else here. The one that is in use elsewhere is not this command's.
fn target(context: &Context) -> Result<std::path::PathBuf> {
    let here = std::env::current_dir().map_err(|error| Error::io("find", Path::new("."), &error))?;
    Ok(here.join(context.globals.config.as_deref().unwrap_or(Path::new("config.yml"))))
}

fn preset(name: &str) -> Result<Preset> {
    let all = presets();
    let names: Vec<String> = all.iter().map(|preset| format!("{}: {}", preset.name, preset.summary)).collect();
    let hint = did_you_mean(name, all.iter().map(|preset| preset.name.as_str()));
    all.iter().find(|preset| preset.name == name).cloned().ok_or_else(|| {
        let mut error = Error::usage(format!("there is no preset `{name}`"));
        error.cause = hint;
        names.into_iter().fold(error, Error::next)
    })
}

fn ask(context: &Context, question: &str, flag: &str, default: &str) -> Result<String> {
    if context.globals.yes {
        return Ok(default.to_owned());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage(format!("{question} is missing, and nobody can answer here"))
            .next(format!("give it with {flag}, or take `{default}` with --yes")));
    }
    let input = dialoguer::Input::<String>::new().with_prompt(question).default(default.to_owned());
    input.interact_text().map_err(|error| Error::external("cannot ask on this terminal").cause(error))
}
