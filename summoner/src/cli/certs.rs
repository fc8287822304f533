//! `summoner certs`: what each host has, when it is renewed and why then, and what went wrong last.

mod import;
mod renew;
mod revoke;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::context::{Context, Loaded};
use super::show::{self, JSON_VERSION};
use super::tending::Tended;
use crate::acme::{self, Outcome, Places, What};
use crate::config::certificates::Issuer;
use crate::error::Result;
use crate::name::Domain;
use crate::plan::cert::{self, Lying};

/// Show the certificates of all hosts
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
    Renew(renew::Args),
    Revoke(revoke::Args),
    Import(import::Args),
}

#[derive(Serialize)]
struct Json {
    version: u32,
    certificates: Vec<Certificate>,
}

/// One host, as the contract of `certs --json` has it.
#[derive(Serialize)]
struct Certificate {
    host: String,
    names: Vec<String>,
    issuer: Option<String>,
    /// `own`, `network`, `stand-in`, `person`, `broken`, `absent`.
    state: &'static str,
    not_after: Option<String>,
    renew_at: Option<String>,
    reason: String,
    last_error: Option<String>,
    last_error_at: Option<String>,
    next_try_at: Option<String>,
    next: Option<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    match &args.command {
        None => list(context, args.json).await,
        Some(Command::Renew(args)) => renew::run(context, args).await,
        Some(Command::Revoke(args)) => revoke::run(context, args).await,
        Some(Command::Import(args)) => import::run(context, args).await,
    }
}

async fn list(context: &Context, json: bool) -> Result<u8> {
    let loaded = context.load()?;
    let tended = Tended::of(context, &loaded).await?;
    let standing = acme::standing(&tended.tending())?;
    let mut certificates = Vec::new();
    let ours = cert::hosts(&loaded.config, &loaded.catalogue)?.into_iter().map(|(host, _)| host);
    for host in ours.chain(tended.containers.iter().cloned()) {
        let signed = standing.iter().zip(&tended.wanted).find(|(_, wanted)| wanted.hosts.iter().any(|known| known == host.as_str()));
        match signed {
            Some(((lying, outcome), _)) => certificates.push(network(&host, lying, outcome)),
            None => certificates.extend(own(context, &loaded, &host)?),
        }
    }
    if json {
        show::json(&Json { version: JSON_VERSION, certificates })?;
        return Ok(0);
    }
    if certificates.is_empty() {
        context.note("no certificates yet: summoner install");
        return Ok(0);
    }
    show::text(&text(&certificates))?;
    if let Some(other) = cert::other_port(&loaded.config, &tended.wanted) {
        context.note(&format!("\n{other}"));
    }
    if certificates.iter().any(|found| matches!(found.state, "own" | "stand-in")) {
        context.note(&format!("\ntrust the own authority by importing {}", loaded.config.layout.authority().display()));
    }
    Ok(0)
}

/// A host that an authority on the network signs for.
fn network(host: &Domain, lying: &Lying, outcome: &Outcome) -> Certificate {
    let observed = lying.observed();
    let state = match lying {
        Lying::Nothing => "absent",
        Lying::Placeholder(_) => "stand-in",
        Lying::Ours(_) => "network",
        Lying::Theirs(_) => "person",
        Lying::Broken(_) => "broken",
    };
    let error = outcome.error.as_ref();
    let who = |name: &Option<String>| name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
    Certificate {
        host: host.to_string(),
        names: observed.map_or_else(|| outcome.names.clone(), |observed| observed.names.clone()),
        issuer: observed.map(|observed| observed.issuer.clone()),
        state,
        not_after: observed.map(|observed| time(observed.not_after)),
        renew_at: outcome.next_at.filter(|_| outcome.what == What::Kept).map(time),
        reason: outcome.reason.clone(),
        last_error: error.map(|error| format!("{}{}", who(&error.authority), error.said)),
        last_error_at: error.map(|error| time(error.at)),
        next_try_at: outcome.next_at.filter(|_| outcome.what != What::Kept).map(time),
        next: error.and_then(|error| error.next.clone()),
    }
}

/// A host that the own authority signs for.
fn own(context: &Context, loaded: &Loaded, host: &Domain) -> Result<Option<Certificate>> {
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
    Ok(Some(Certificate {
        host: host.to_string(),
        names: observed.map(|observed| observed.names.clone()).unwrap_or_default(),
        issuer: observed.map(|observed| observed.issuer.clone()),
        state,
        not_after: observed.map(|observed| time(observed.not_after)),
        renew_at: observed.filter(|_| state == "own").map(|observed| time(cert::renew_at(observed))),
        reason,
        last_error: None,
        last_error_at: None,
        next_try_at: None,
        next: None,
    }))
}

fn text(certificates: &[Certificate]) -> String {
    let or = |text: &Option<String>| text.as_ref().map_or_else(|| "-".to_owned(), |text| day(text));
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|found| {
            let issuer = found.issuer.clone().unwrap_or_else(|| "-".to_owned());
            let renewed = found.renew_at.as_ref().or(found.next_try_at.as_ref()).cloned();
            vec![found.host.clone(), issuer, found.state.to_owned(), or(&found.not_after), or(&renewed), found.reason.clone()]
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

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn day(time: &str) -> String {
    time.chars().take(10).collect()
}

fn minute(time: &str) -> String {
    time.chars().take(16).collect::<String>().replace('T', " ") + " UTC"
}
