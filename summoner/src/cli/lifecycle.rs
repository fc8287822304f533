//! `summoner start`, `stop`, `restart`

use std::time::Instant;

use super::context::{Context, Loaded};
use super::select;
use crate::apply::{crash, lifecycle};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::observe;
use crate::state;

/// Start an instance's containers and wait for their health
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    /// Which instances
    selector: String,
}

/// Stop an instance's containers; its data stays, its route answers 503
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Which instances
    selector: String,
}

/// Stop and start an instance's containers
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    /// Which instances
    selector: String,
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Restart,
}

pub(super) async fn start(context: &Context, args: &StartArgs) -> Result<u8> {
    act(context, &args.selector, Verb::Start).await
}

pub(super) async fn stop(context: &Context, args: &StopArgs) -> Result<u8> {
    act(context, &args.selector, Verb::Stop).await
}

pub(super) async fn restart(context: &Context, args: &RestartArgs) -> Result<u8> {
    act(context, &args.selector, Verb::Restart).await
}

async fn act(context: &Context, selector: &str, verb: Verb) -> Result<u8> {
    let loaded = context.load()?;
    let selected = select::many(&loaded.config, selector)?;
    let engine = context.engine().await?;
    let word = match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    };
    let _lock = context.lock(&loaded, &engine, &format!("{word} {selector}")).await?;
    let situation = observe(&engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let listener = context.listener();
    let world = context.world(&loaded, &engine, &*listener);
    for instance in selected {
        let wanted = situation.wanted.instances.iter().find(|wanted| wanted.id == instance.id);
        let wanted = wanted.ok_or_else(|| Error::internal(format!("{} is in no plan", instance.id)))?;
        let since = Instant::now();
        // Before anything ends: the daemon starts again what nobody stopped on purpose.
        intend(&loaded, &wanted.id, verb == Verb::Stop)?;
        if verb != Verb::Start {
            lifecycle::stop(&world, &situation, wanted).await?;
        }
        if verb != Verb::Stop {
            lifecycle::start(&world, &situation, wanted).await?;
            listener.hear(&Event::Ready { instance: wanted.id.to_string(), url: wanted.url.clone(), elapsed: since.elapsed() });
        } else {
            listener.hear(&Event::Note {
                message: format!("{} is stopped; its data stays. summoner start {} starts it again", wanted.id, wanted.id),
            });
        }
    }
    Ok(0)
}

/// Writes down whether a person wants an instance to stand still.
fn intend(loaded: &Loaded, id: &InstanceId, stopped: bool) -> Result<()> {
    let layout = &loaded.config.layout;
    let mut memory = state::load(layout)?;
    // What was never installed has no memory, and stopping it fails in a moment.
    let Some(known) = memory.instances.get_mut(id).filter(|known| known.stopped != stopped) else { return Ok(()) };
    known.stopped = stopped;
    crash::point();
    state::save(layout, &memory)
}
