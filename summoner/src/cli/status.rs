//! `summoner status`

use std::collections::BTreeMap;

use crate::error::{Kind, Result};
use crate::plan::status::{Problem, Report};

use super::context::{Context, Loaded};
use super::select;
use super::show;
use super::tending::{self, Tended};
use crate::acme;
use crate::apply;
use crate::ban::store;
use crate::config::Instance;
use crate::drill;
use crate::journal;
use crate::name::InstanceId;
use crate::observe::{Situation, observe};
use crate::plan::ban::ProofVerdict;
use crate::plan::cert::Lying;
use crate::plan::deploy::{Scope, open};
use crate::plan::drill::Remembered;
use crate::plan::schedule::{Clock, jobs};
use crate::plan::sites::sites;
use crate::plan::snapshot::Snapshot;
use crate::repository::Repository;
use crate::restore::kept;
use crate::state::runs;
use crate::state::told;

/// Show instances, their containers and what needs a person
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instances [default: all]
    selector: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let selected = args.selector.as_deref().map(|selector| select::many(&loaded.config, selector)).transpose()?;
    let engine = context.engine().await?;
    let situation = observe(&engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let mut report = Report::new(&situation.wanted, &situation.observed, context.now);
    backups(context, &loaded, &situation, &mut report)?;
    certificates(context, &loaded, &mut report).await?;
    guard(&loaded, &mut report)?;
    outside(&loaded, &situation, &mut report);
    silent(&loaded, &mut report)?;
    if let Some(selected) = selected {
        let ids: Vec<String> = selected.iter().map(|instance| instance.id.to_string()).collect();
        report.only(&ids);
    }
    if args.json {
        show::json(&report)?;
    } else {
        show::text(&(text(&report, args.selector.is_some()) + &unconfirmed(&loaded, &report)?))?;
    }
    Ok(if report.problems.is_empty() { 0 } else { Kind::Partial.exit_code() })
}

/// Nothing backed up yet is an empty repository; what is missing by then is told.
fn backups(context: &Context, loaded: &Loaded, situation: &Situation, report: &mut Report) -> Result<()> {
    let path = loaded.config.layout.backups();
    let (snapshots, damaged) = match Repository::open(&path) {
        Ok(repository) => repository.list(None)?,
        Err(error) if error.kind == Kind::NoRepository => (Vec::new(), Vec::new()),
        Err(error) => return Err(error),
    };
    let dumps = |instance: &Instance| {
        loaded.catalogue.get(&instance.minion).is_ok_and(|minion| !minion.databases.is_empty() || minion.dump.is_some())
    };
    let specs = jobs(&loaded.config, &dumps);
    let (runs, _) = runs::load(&loaded.config.layout)?;
    let clock = Clock { zone: loaded.config.timezone.parse().unwrap_or(chrono_tz::Tz::UTC), now: context.now, started_at: None };
    report.backups(&snapshots, &specs, &situation.observed.memory, &clock);
    let since = |id: &str| runs.history(id).map(|history| history.since);
    report.drills(&drills(loaded, &snapshots)?, &specs, &since, &clock);
    for (name, memory) in super::snapshots::places(loaded)? {
        report.copies(&name, &memory.snapshots, &snapshots, &specs, &clock);
    }
    for fault in &damaged {
        report.problems.push(Problem { id: "backup-damaged", instance: None, message: fault.to_string(), hint: "summoner verify".into() });
    }
    for journal in journal::open(&loaded.config.layout)? {
        report.unfinished(&journal.entry().instance);
    }
    Ok(())
}

/// What this host remembers of drills, and what lies beside the snapshots.
fn drills(loaded: &Loaded, snapshots: &[Snapshot]) -> Result<BTreeMap<InstanceId, Remembered>> {
    let layout = &loaded.config.layout;
    let mut all = BTreeMap::new();
    for instance in &loaded.config.instances {
        all.insert(instance.id.clone(), drill::memory::load(layout, &instance.id)?);
    }
    if !snapshots.is_empty() {
        for (id, drilled) in Repository::open(&layout.backups())?.all_drilled(snapshots)? {
            if let Some(known) = all.get_mut(&id.instance) {
                known.meet(&drilled);
            }
        }
    }
    Ok(all)
}

/// Hosts whose certificate is not what config.yml asks for: what stands in, what a person's own file lacks.
async fn certificates(context: &Context, loaded: &Loaded, report: &mut Report) -> Result<()> {
    let tended = Tended::of(context, loaded).await?;
    for (lying, outcome) in acme::standing(&tended.tending())? {
        let said = match lying {
            Lying::Broken(_) => Some(format!("{}: {}", outcome.stem, outcome.reason)),
            Lying::Nothing | Lying::Placeholder(_) => tending::missing(&outcome),
            // Its renewal failed and is tried again; when it becomes urgent, its end is a problem of its own.
            Lying::Ours(_) | Lying::Theirs(_) => None,
        };
        if let Some(message) = said {
            let hint = outcome.error.and_then(|error| error.next).unwrap_or_else(|| "summoner certs renew".to_owned());
            let message = message.lines().next().unwrap_or_default().to_owned();
            report.problems.push(Problem { id: "certificate-missing", instance: None, message, hint });
        }
    }
    Ok(())
}

/// Nobody can be locked out, although config.yml asks for it.
fn guard(loaded: &Loaded, report: &mut Report) -> Result<()> {
    if !loaded.config.bans.enabled {
        return Ok(());
    }
    let (stored, damaged) = store::read(&loaded.config.layout)?;
    let mut problem = |message: String| {
        report.problems.push(Problem { id: "bans", instance: None, message, hint: "summoner bans   (wiki/bans.md)".into() });
    };
    if let Some(test) = stored.test {
        let seen: u64 = test.proof.own.values().sum();
        let refuses = match test.verdict {
            ProofVerdict::Unknown => true,
            // A person who tries a few sign-ins on the server itself is no sign of anything.
            ProofVerdict::Gateway => seen >= u64::from(loaded.config.bans.failures),
            ProofVerdict::Waiting | ProofVerdict::Real | ProofVerdict::Mixed => false,
        };
        if refuses {
            problem(test.verdict.sentence().to_owned());
        }
    }
    damaged.into_iter().for_each(problem);
    Ok(())
}

/// Hooks and pings that nobody hears.
fn silent(loaded: &Loaded, report: &mut Report) -> Result<()> {
    let (memory, damaged) = told::load(&loaded.config.layout)?;
    let mut problem = |message: String| {
        report.problems.push(Problem { id: "notify", instance: None, message, hint: "summoner notify test".into() });
    };
    for (name, silent) in memory.silent {
        problem(format!("{name} has failed since {}: {}", silent.since.format("%Y-%m-%d %H:%M UTC"), silent.message));
    }
    damaged.into_iter().for_each(problem);
    Ok(())
}

/// Hosts that no instance has: what is asked for and not served.
fn outside(loaded: &Loaded, situation: &Situation, report: &mut Report) {
    let settings = apply::proxy_settings(&loaded.config, situation);
    let sites = sites(open(&situation.wanted, &situation.observed, &Scope::default()), &situation.wanted, &situation.observed, &settings);
    for refused in sites.refused {
        let hint = "summoner routes   shows all of them".to_owned();
        report.problems.push(Problem { id: "route-refused", instance: None, message: refused.to_string(), hint });
    }
}

fn text(report: &Report, detailed: bool) -> String {
    let rows: Vec<Vec<String>> = report
        .instances
        .iter()
        .map(|instance| {
            let certificate =
                instance.certificate.as_ref().map(|certificate| certificate.not_after.chars().take(10).collect()).unwrap_or_default();
            let backup = instance
                .newest_snapshot
                .as_ref()
                .map_or_else(|| "-".to_owned(), |newest| newest.time.chars().take(16).collect::<String>().replace('T', " "));
            let drill = instance.drill.as_ref().map_or_else(|| "-".to_owned(), |drill| drill.said.replace("restored and checked ", ""));
            vec![instance.id.clone(), instance.state.to_owned(), instance.url.clone().unwrap_or_default(), backup, drill, certificate]
        })
        .collect();
    let mut text = show::table(&["INSTANCE", "STATE", "URL", "BACKUP", "RESTORED AND CHECKED", "CERTIFICATE"], &rows);
    if detailed {
        for instance in &report.instances {
            let rows: Vec<Vec<String>> = instance
                .containers
                .iter()
                .map(|container| {
                    let health = if container.health == "none" {
                        container.state.to_owned()
                    } else {
                        format!("{}, {}", container.state, container.health)
                    };
                    vec![
                        container.name.clone(),
                        health,
                        container.image.clone(),
                        container.digest.as_deref().map(short).unwrap_or_default(),
                    ]
                })
                .collect();
            text += "\n";
            text += &show::table(&["CONTAINER", "STATE", "IMAGE", "LOCKED TO"], &rows);
        }
    }
    if !report.foreign.is_empty() {
        let rows: Vec<Vec<String>> = report
            .foreign
            .iter()
            .map(|found| vec![found.name.clone(), found.database.unwrap_or("").to_owned(), found.instance.clone()])
            .collect();
        text += "\nnot installed by Summoner, following its names (never touched):\n";
        text += &show::table(&["CONTAINER", "DATABASE", "INSTANCE"], &rows);
    }
    text + &problems(&report.problems)
}

/// Nothing is wrong with them: a person is reminded.
fn unconfirmed(loaded: &Loaded, report: &Report) -> Result<String> {
    let mut text = String::new();
    for record in kept::all(&loaded.config.layout)? {
        let id = record.instance.to_string();
        if report.instances.iter().any(|instance| instance.id == id) {
            let (of, until) = (record.at.format("%Y-%m-%d %H:%M UTC"), record.kept_until().format("%Y-%m-%d"));
            text += &format!("\n{id}: the restore of {of} is not confirmed; what it replaced is kept until {until}\n");
            text += &format!("  next: summoner restore --confirm {id}   or --undo\n");
        }
    }
    Ok(text)
}

fn problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text += &format!("\n{}: {}\n  next: {}\n", problem.instance.as_deref().unwrap_or("host"), problem.message, problem.hint);
    }
    text
}

/// `sha256:` and twelve digits, as docker shows it.
fn short(digest: &str) -> String {
    let hash = digest.rsplit_once(':').map_or(digest, |(_, hash)| hash);
    hash.chars().take(12).collect()
}
