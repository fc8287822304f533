//! Starts the restored application on its own network and asks it, as a person would who came through the proxy.

use std::time::{Duration, Instant};

use super::Drilling;
use super::place::Place;
use crate::apply::{command, crash, health, probe};
use crate::docker::{CreateSpec, Engine};
use crate::error::{Error, Result};
use crate::name::Role;
use crate::plan::drill::{Check, Finding};
use crate::plan::wanted::ContainerWanted;

/// How long a command after a restore is tried again.
const AFTER_RESTORE: Duration = Duration::from_secs(600);
/// Between two tries.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// An application that is healthy may still refuse for a moment.
const PROBE: Duration = Duration::from_secs(20);

/// Makes a container from the image that ran when the snapshot was taken, and starts it.
pub(super) async fn create<E: Engine>(drilling: &Drilling<'_, E>, place: &Place, container: &ContainerWanted) -> Result<()> {
    let live = place.live.get(&container.name).map_or("", String::as_str);
    let image = drilling.images.get(live).ok_or_else(|| Error::internal(format!("no image for {live}")))?;
    let spec = CreateSpec { name: &container.name, image, service: &container.body, labels: &container.labels, files: &container.files };
    crash::point();
    drilling.world.engine.create(&spec).await?;
    crash::point();
    drilling.world.engine.start(&container.name).await
}

/// Starts everything that is no database, in order, and waits until all of it is healthy.
pub(super) async fn rest<E: Engine>(drilling: &Drilling<'_, E>, place: &Place) -> Result<Vec<Finding>> {
    let (engine, instance) = (drilling.world.engine, &place.instance);
    for container in instance.containers.iter().filter(|container| !matches!(container.role, Role::Database(_))) {
        for (service, dependency) in &container.body.depends_on {
            if let Some(other) = instance.containers.iter().find(|other| other.service == *service) {
                health::met(engine, other, dependency.condition).await?;
            }
        }
        drilling.say(format!("starting {}", container.name));
        create(drilling, place, container).await?;
        for exec in instance.keeping.after_restore.iter().filter(|exec| exec.service == container.service) {
            let since = Instant::now();
            // Its entry point may still be at work.
            while let Err(error) = command::run(engine, instance, exec).await {
                if since.elapsed() > AFTER_RESTORE {
                    return Err(error);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
    for container in &instance.containers {
        drilling.say(format!("waiting for {} to be healthy", container.name));
        health::settled(engine, container).await?;
    }
    let names: Vec<&str> = instance.containers.iter().map(|container| container.service.as_str()).collect();
    let mut findings = vec![Finding::good(Check::Start, format!("{} came up from the images of that day", names.join(", ")))];
    findings.extend(place.notes.iter().map(|note| Finding::good(Check::Start, note)));
    Ok(findings)
}

/// Asks for what the minion's smoke probe asks for.
pub(super) async fn ask<E: Engine>(drilling: &Drilling<'_, E>, place: &Place) -> Result<Finding> {
    let instance = &place.instance;
    let (Some(smoke), Some(route)) = (&instance.smoke, instance.routes.first()) else {
        return Ok(Finding::good(Check::Probe, "the minion has no smoke probe: that its containers are healthy is all that is known"));
    };
    let container = instance.containers.iter().find(|container| container.service == route.settings.service);
    let container = container.ok_or_else(|| Error::internal(format!("{} has no service {}", instance.id, route.settings.service)))?;
    let detail = drilling.world.engine.inspect(&container.name).await?;
    let address = detail.as_ref().and_then(|detail| detail.networks.get(&place.network)).filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Error::external(format!("{} has no address on its network", container.name)))?;
    let at = probe::Straight {
        address: format!("{address}:{}", route.settings.port),
        host: route.host.as_str().to_owned(),
        https_port: drilling.world.config.proxy.https_port,
    };
    drilling.say(format!("asking {} for {}", container.name, smoke.path));
    probe::straight(&at, smoke, PROBE).await?;
    Ok(Finding::good(Check::Probe, format!("{} answers as it should", smoke.path)))
}
