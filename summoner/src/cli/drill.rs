//! `summoner drill`

use serde_json::json;

use super::context::Context;
use super::{select, show};
use crate::apply::World;
use crate::drill::{self, Occasion};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::plan::drill::{Drilled, page};
use crate::plan::restore::Which;
use crate::repository::Repository;

/// Restore the newest backup into a throw-away place and check it there; what is live is not touched
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instances
    selector: Option<String>,
    /// All of config.yml, one after the other
    #[arg(long, conflicts_with_all = ["selector", "snapshot"])]
    all: bool,
    /// This snapshot: its id, its time, or `latest`
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The schedule asks: only while the machine is calm
    #[arg(long, hide = true)]
    scheduled: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let ids: Vec<InstanceId> = match &args.selector {
        Some(selector) => {
            let found = select::many(&loaded.config, selector)?;
            // The proxy is made from config.yml alone.
            found.iter().filter(|found| found.id != loaded.config.proxy_instance.id).map(|found| found.id.clone()).collect()
        }
        None if args.all => loaded.config.instances.iter().map(|instance| instance.id.clone()).collect(),
        None => return Err(Error::usage("which application is to be drilled?").next("summoner drill SELECTOR, or summoner drill --all")),
    };
    if ids.is_empty() {
        return Err(Error::usage("there is nothing to drill: the proxy is made from config.yml alone").next("summoner invoke MINION"));
    }
    let which = match args.snapshot.as_deref() {
        None | Some("latest") => Which::Latest,
        Some(name) => Which::Named(name.to_owned()),
    };
    let engine = context.engine().await?;
    let repository = Repository::open(&loaded.config.layout.backups())?;
    let listener = context.listener();
    let occasion = if args.scheduled { Occasion::Schedule } else { Occasion::Asked };
    let begun = std::time::Instant::now();
    let (mut drills, mut failed): (Vec<Drilled>, Vec<Error>) = (Vec::new(), Vec::new());
    for id in &ids {
        let world = World { now: context.now + begun.elapsed(), ..context.world(&loaded, &engine, &*listener) };
        match drill::run(&world, &repository, id, &which, occasion, context.globals.wait).await {
            Ok(drilled) => {
                tell(&*listener, &drilled);
                drills.push(drilled);
            }
            Err(error) => {
                listener.hear(&Event::Failed { instance: id.to_string(), message: error.message.clone() });
                failed.push(error);
            }
        }
    }
    show_all(&repository, &drills, args.json)?;
    finish(context, &drills, failed)
}

fn tell(listener: &dyn crate::event::Listener, drilled: &Drilled) {
    let instance = drilled.snapshot.instance.to_string();
    listener.hear(&match drilled.why() {
        None => Event::Ready { instance, url: None, elapsed: std::time::Duration::from_millis(drilled.took_ms) },
        Some(why) => Event::Failed { instance, message: why.to_owned() },
    });
}

fn show_all(repository: &Repository, drills: &[Drilled], json: bool) -> Result<()> {
    if json {
        return show::json(&json!({"version": show::JSON_VERSION, "drills": drills}));
    }
    for drilled in drills {
        if let Some(snapshot) = repository.snapshot(&drilled.snapshot)? {
            show::text(&(page(drilled, &snapshot.manifest) + "\n"))?;
        }
    }
    Ok(())
}

fn finish(context: &Context, drills: &[Drilled], mut failed: Vec<Error>) -> Result<u8> {
    let passed = drills.iter().filter(|drilled| drilled.passed).count();
    for drilled in drills {
        if let Some(why) = drilled.why() {
            let error = Error::external(format!("the snapshot {} did not restore as it should", drilled.snapshot)).cause(why);
            failed.push(error.next(format!("summoner snapshots {}   shows the others", drilled.snapshot.instance)));
        }
    }
    let Some(last) = failed.pop() else { return Ok(0) };
    for error in &failed {
        context.note(&format!("{error}\n"));
    }
    let message = match failed.len() {
        0 => last.message.clone(),
        more => format!("{} of {} drills failed; the last: {}", more + 1, more + 1 + passed, last.message),
    };
    let kind = if passed == 0 { last.kind } else { Kind::Partial };
    Err(Error { kind, message, ..last })
}
