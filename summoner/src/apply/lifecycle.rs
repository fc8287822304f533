//! Daily work on containers that are there: start, stop, restart.

use super::{World, crash, health};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::observe::Situation;
use crate::plan::wanted::InstanceWanted;

/// Starts an instance's containers in order and waits for their health.
///
/// # Errors
/// Not installed, or a container that does not come up.
pub async fn start<E: Engine>(world: &World<'_, E>, situation: &Situation, instance: &InstanceWanted) -> Result<()> {
    let names: Vec<String> = instance.containers.iter().map(|container| container.name.clone()).collect();
    start_these(world, situation, instance, &names).await?;
    settle(world, instance, &names).await
}

/// Starts some of an instance's containers in order, each when what it depends on is ready. Of what is not to be started,
/// only what is coming up is waited for: somebody may want it to stand still.
///
/// # Errors
/// As [`start`].
pub async fn start_these<E: Engine>(
    world: &World<'_, E>,
    situation: &Situation,
    instance: &InstanceWanted,
    names: &[String],
) -> Result<()> {
    for container in instance.containers.iter().filter(|container| names.contains(&container.name)) {
        let known = situation.chosen(instance, container).ok_or_else(|| absent(instance))?;
        tell(world, instance, format!("start {}", known.name));
        for (service, dependency) in &container.body.depends_on {
            let Some(other) = instance.containers.iter().find(|other| other.service == *service) else { continue };
            if names.contains(&other.name) {
                health::met(world.engine, other, dependency.condition).await?;
            } else if health::comes_up(world.engine, other).await? {
                let met = health::met(world.engine, other, dependency.condition).await;
                tracing::debug!(?met, "{} may do without", container.name);
            }
        }
        crash::point();
        world.engine.start(&known.id).await?;
    }
    Ok(())
}

/// Waits until these containers are healthy.
///
/// # Errors
/// A container that does not come up.
pub async fn settle<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, names: &[String]) -> Result<()> {
    for container in instance.containers.iter().filter(|container| names.contains(&container.name)) {
        tell(world, instance, format!("waiting for {} to be healthy", container.name));
        health::settled(world.engine, container).await?;
    }
    Ok(())
}

/// Stops an instance's containers, what depends on others first.
///
/// # Errors
/// Not installed, or the engine refuses.
pub async fn stop<E: Engine>(world: &World<'_, E>, situation: &Situation, instance: &InstanceWanted) -> Result<()> {
    for container in instance.containers.iter().rev() {
        let known = situation.chosen(instance, container).ok_or_else(|| absent(instance))?;
        tell(world, instance, format!("stop {}", known.name));
        world.engine.stop(&known.id, None).await?;
    }
    Ok(())
}

fn tell<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, doing: String) {
    world.tell(&Event::Begin { instance: Some(instance.id.to_string()), doing });
}

fn absent(instance: &InstanceWanted) -> Error {
    Error::usage(format!("{} is not installed", instance.id)).next("summoner install")
}
