//! `summoner certs`: what each host has, when it is renewed and why then, and what went wrong last.

mod import;
mod renew;
mod revoke;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::context::{Context, Loaded};
use super::show::{self, JSON_VERSION};
use super::tending::Tended;
use crate::acme::shown::time;
use crate::acme::{self, Places, Shown};
use crate::config::certificates::Issuer;
use crate::error::Result;
use crate::name::Domain;
use crate::plan::cert::{self, Lying};
use crate::proxy;

/// Show the certificates of all hosts
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show those of the `summoner proxy` that keeps its data here [default: with those of config.yml, else /var/lib/summoner]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Renew(renew::Args),
    Revoke(revoke::Args),
    Import(import::Args),
}

#[derive(Serialize)]
struct Json {
    version: u32,
    certificates: Vec<Shown>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    match &args.command {
        None => list(context, args).await,
        Some(Command::Renew(args)) => renew::run(context, args).await,
        Some(Command::Revoke(args)) => revoke::run(context, args).await,
        Some(Command::Import(args)) => import::run(context, args).await,
    }
}

async fn list(context: &Context, args: &Args) -> Result<u8> {
    let loaded = if args.data.is_some() { None } else { context.load().ok() };
    let (mut certificates, other_port) = match &loaded {
        Some(loaded) => installed(context, loaded).await?,
        None => (Vec::new(), None),
    };
    match proxy::read_status(&super::proxy::layout(context, args.data.as_deref()))? {
        Some(status) => {
            // A container that asks is told of by both, where both work on one machine.
            let known: BTreeSet<String> = certificates.iter().map(|found| found.host.clone()).collect();
            certificates.extend(status.certificates.into_iter().filter(|found| !known.contains(&found.host)));
        }
        // Why there is no configuration is the answer then.
        None if loaded.is_none() && args.data.is_none() => drop(context.load()?),
        None => {}
    }
    if args.json {
        show::json(&Json { version: JSON_VERSION, certificates })?;
        return Ok(0);
    }
    if certificates.is_empty() {
        context.note(if loaded.is_some() { "no certificates yet: summoner install" } else { "no certificates yet" });
        return Ok(0);
    }
    show::text(&text(&certificates))?;
    if let Some(other) = other_port {
        context.note(&format!("\n{other}"));
    }
    if let Some(loaded) = loaded.filter(|_| certificates.iter().any(|found| matches!(found.state.as_str(), "own" | "stand-in"))) {
        context.note(&format!("\ntrust the own authority by importing {}", loaded.config.layout.authority().display()));
    }
    Ok(0)
}

/// The hosts of config.yml and of containers that ask; and what to say of the port that authorities look at.
async fn installed(context: &Context, loaded: &Loaded) -> Result<(Vec<Shown>, Option<String>)> {
    let tended = Tended::of(context, loaded).await?;
    let standing = acme::standing(&tended.tending())?;
    let mut certificates = Vec::new();
    let ours = cert::hosts(&loaded.config, &loaded.catalogue)?.into_iter().map(|(host, _)| host);
    for host in ours.chain(tended.containers.iter().cloned()) {
        let signed = standing.iter().zip(&tended.wanted).find(|(_, wanted)| wanted.hosts.iter().any(|known| known == host.as_str()));
        match signed {
            Some(((lying, outcome), _)) => certificates.push(Shown::tended(host.as_str(), lying, outcome)),
            None => certificates.extend(own(context, loaded, &host)?),
        }
    }
    Ok((certificates, cert::other_port(&loaded.config, &tended.wanted)))
}

/// A host that the own authority signs for.
fn own(context: &Context, loaded: &Loaded, host: &Domain) -> Result<Option<Shown>> {
    let layout = &loaded.config.layout;
    let lying = acme::look(&Places::of(layout), host.as_str(), &acme::remembered(&Places::of(layout))?)?;
    if loaded.config.certificates.issuer_of(host.as_str()) == Issuer::Acme {
        return Ok(None);
    }
    let (state, reason) = match &lying {
        Lying::Nothing => return Ok(None),
        Lying::Broken(why) => ("broken", why.clone()),
        Lying::Theirs(_) => ("person", "your own file: nothing here renews it".to_owned()),
        Lying::Placeholder(observed) | Lying::Ours(observed) => {
            let late = context.now >= cert::renew_at(observed);
            ("own", if late { "summoner install renews it" } else { "a third of its life is left then" }.to_owned())
        }
    };
    let observed = lying.observed();
    Ok(Some(Shown {
        renew_at: observed.filter(|_| state == "own").map(|observed| time(cert::renew_at(observed))),
        ..Shown::lying(host.as_str(), state, observed, reason)
    }))
}

fn text(certificates: &[Shown]) -> String {
    let or = |text: &Option<String>| text.as_ref().map_or_else(|| "-".to_owned(), |text| day(text));
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|found| {
            let issuer = found.issuer.clone().unwrap_or_else(|| "-".to_owned());
            let renewed = found.renew_at.as_ref().or(found.next_try_at.as_ref()).cloned();
            vec![found.host.clone(), issuer, found.state.clone(), or(&found.not_after), or(&renewed), found.reason.clone()]
        })
        .collect();
    let mut text = show::table(&["HOST", "ISSUER", "STATE", "UNTIL", "NEXT", "WHY"], &rows);
    for found in certificates {
        let Some(error) = &found.last_error else { continue };
        let at = found.last_error_at.as_deref().map(minute).unwrap_or_default();
        text += &format!("\n{}: failed at {at}: {error}\n", found.host);
        if let Some(next) = &found.next_try_at {
            text += &format!("  next try: {}\n", minute(next));
        }
        if let Some(next) = &found.next {
            text += &format!("  next: {next}\n");
        }
    }
    text
}

fn day(time: &str) -> String {
    time.chars().take(10).collect()
}

fn minute(time: &str) -> String {
    time.chars().take(16).collect::<String>().replace('T', " ") + " UTC"
}
