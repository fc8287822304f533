//! `summoner bans`

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::context::{Context, Loaded};
use super::show::{self, JSON_VERSION};
use crate::ban::{self, store};
use crate::error::{Error, Result};
use crate::plan::ban::{Ban, ProofVerdict, Subject};

/// Show who is locked out after failed sign-ins
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
    /// Let an address in again and forget what it did
    Lift {
        /// The address, or the /64 of an IPv6 address
        #[arg(value_name = "IP")]
        address: Subject,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Lock an address out
    Add {
        /// The address; of IPv6 its whole /64
        #[arg(value_name = "IP")]
        address: IpAddr,
        /// How long, such as 1h or 2d [default: as after failed sign-ins]
        #[arg(long = "for", value_name = "TIME", value_parser = length)]
        length: Option<Duration>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Json {
    version: u32,
    enabled: bool,
    bans: Vec<Shown>,
    self_test: Test,
}

#[derive(Serialize)]
struct Shown {
    address: String,
    until: String,
    level: u32,
    reason: String,
    instance: Option<String>,
    failures: u32,
}

#[derive(Serialize)]
struct Test {
    verdict: &'static str,
    message: &'static str,
    at: Option<String>,
    real: u64,
    own: Vec<Own>,
}

#[derive(Serialize)]
struct Own {
    address: String,
    count: u64,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    match &args.command {
        None => list(context, &loaded, args.json),
        Some(Command::Lift { address, dry_run }) => lift(context, &loaded, *address, *dry_run).await,
        Some(Command::Add { address, length, dry_run }) => add(context, &loaded, *address, *length, *dry_run).await,
    }
}

fn list(context: &Context, loaded: &Loaded, json: bool) -> Result<u8> {
    let (stored, damaged) = store::read(&loaded.config.layout)?;
    let active: Vec<&Ban> = stored.bans.iter().filter(|ban| ban.until > context.now).collect();
    if json {
        let test = stored.test.as_ref();
        let verdict = test.map_or(ProofVerdict::Waiting, |test| test.verdict);
        let own = test.into_iter().flat_map(|test| &test.proof.own);
        show::json(&Json {
            version: JSON_VERSION,
            enabled: loaded.config.bans.enabled,
            bans: active.into_iter().map(shown).collect(),
            self_test: Test {
                verdict: verdict.word(),
                message: verdict.sentence(),
                at: test.map(|test| time(test.at)),
                real: test.map_or(0, |test| test.proof.real),
                own: own.map(|(address, count)| Own { address: address.to_string(), count: *count }).collect(),
            },
        })?;
        return Ok(0);
    }
    if active.is_empty() {
        context.note("nobody is locked out");
    } else {
        let row = |ban: &&Ban| vec![ban.subject.to_string(), time(ban.until), ban.level.to_string(), why(ban)];
        show::text(&show::table(&["ADDRESS", "UNTIL", "LEVEL", "WHY"], &active.iter().map(row).collect::<Vec<_>>()))?;
    }
    if !loaded.config.bans.enabled {
        context.note("bans are switched off in config.yml: bans.enabled");
    }
    if let Some(damaged) = damaged {
        context.note(&damaged);
    }
    let verdict = stored.test.as_ref().map_or(ProofVerdict::Waiting, |test| test.verdict);
    if !matches!(verdict, ProofVerdict::Real) {
        context.note(&format!("self-test: {}", verdict.sentence()));
    }
    Ok(0)
}

async fn lift(context: &Context, loaded: &Loaded, subject: Subject, dry_run: bool) -> Result<u8> {
    let held = store::read(&loaded.config.layout)?.0.bans.into_iter().find(|ban| ban.subject == subject);
    let Some(held) = held else {
        return Err(Error::usage(format!("{subject} is not locked out, and nothing is held against it")).next("summoner bans"));
    };
    if dry_run {
        return show::text(&format!("would lift the ban of {subject} (level {}, until {})\n", held.level, time(held.until))).map(|()| 0);
    }
    let config = &loaded.config;
    let address = subject.net().addr();
    ban::change(&config.layout, &config.bans, context.now, move |book| Ok(book.lift(address))).await?;
    context.note(&format!("{subject} is let in again; its next ban is a first one"));
    Ok(0)
}

async fn add(context: &Context, loaded: &Loaded, address: IpAddr, length: Option<Duration>, dry_run: bool) -> Result<u8> {
    let engine = context.engine().await?;
    let ground = ban::ground(&engine, &[]).await;
    let (config, now) = (&loaded.config, context.now);
    let policy = config.bans.clone();
    let refuse = move |why| Error::usage(format!("{address} is never locked out: {why}")).next("summoner config show   shows bans.allow");
    let add = move |book: &mut crate::plan::ban::Book| book.add(&policy, &ground, address, length, now).map_err(refuse);
    let ban = if dry_run {
        let stored = store::read(&config.layout)?.0;
        add(&mut crate::plan::ban::Book::with(stored.bans, &config.bans, now))?
    } else {
        ban::change(&config.layout, &config.bans, now, add).await?
    };
    let doing = if dry_run { "would be" } else { "is" };
    show::text(&format!("{} {doing} locked out until {} (level {})\n", ban.subject, time(ban.until), ban.level))?;
    Ok(0)
}

fn shown(ban: &Ban) -> Shown {
    Shown {
        address: ban.subject.to_string(),
        until: time(ban.until),
        level: ban.level,
        reason: ban.reason.clone(),
        instance: Some(ban.instance.clone()).filter(|instance| !instance.is_empty()),
        failures: ban.failures,
    }
}

fn why(ban: &Ban) -> String {
    if ban.instance.is_empty() { ban.reason.clone() } else { format!("{} at {}", ban.reason, ban.instance) }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn length(text: &str) -> Result<Duration, String> {
    crate::config::length(text)
}
