//! Waiting for containers, within bounds, with the log at hand when it fails.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::compose::{Condition, Healthcheck};
use crate::docker::{ContainerDetail, Engine};
use crate::error::{Error, Result};
use crate::name::InstanceId;
use crate::observe::Situation;
use crate::plan::deploy::Scope;
use crate::plan::state::{Health, Running};
use crate::plan::wanted::ContainerWanted;

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(150);
/// The least time that a container gets.
const LEAST: Duration = Duration::from_secs(60);
/// The most: GitLab's first start takes eight minutes on a good machine.
const MOST: Duration = Duration::from_secs(3600);
/// A container without a check must run this long before it counts as running.
const STEADY: Duration = Duration::from_secs(1);
/// A container that the engine started again this often will not come up by waiting.
const CRASH_LOOP: i64 = 3;
/// Lines of the log in an error.
const LOG_LINES: usize = 12;

/// Instances with a container that is there but not healthy: nothing to plan, something to wait for.
pub(super) fn doubtful(situation: &Situation, scope: &Scope) -> BTreeSet<InstanceId> {
    let selected = situation.wanted.instances.iter().filter(|instance| scope.only.as_ref().is_none_or(|only| only.contains(&instance.id)));
    let doubtful = selected.filter(|instance| {
        instance.containers.iter().any(|container| {
            situation
                .chosen(instance, container)
                .is_some_and(|known| matches!(known.health, Health::Starting | Health::Unhealthy) || known.running == Running::Restarting)
        })
    });
    doubtful.map(|instance| instance.id.clone()).collect()
}

/// Waits until a dependency is met.
pub async fn met<E: Engine>(engine: &E, container: &ContainerWanted, condition: Condition) -> Result<()> {
    match condition {
        Condition::Healthy => settled(engine, container).await,
        Condition::Started => wait(engine, container, |detail| (detail.running == Running::Running).then_some(())).await,
        Condition::Completed => {
            wait(engine, container, |detail| (detail.running == Running::Exited && detail.exit_code == Some(0)).then_some(())).await
        }
    }
}

/// Whether it runs, and is on its way to be healthy.
pub(super) async fn comes_up<E: Engine>(engine: &E, container: &ContainerWanted) -> Result<bool> {
    let detail = engine.inspect(&container.name).await?;
    Ok(detail.is_some_and(|detail| detail.running == Running::Running && detail.health == Health::Starting))
}

/// Waits until a container is healthy, or runs steadily when it has no check.
pub async fn settled<E: Engine>(engine: &E, container: &ContainerWanted) -> Result<()> {
    if container.body.restart.as_deref().is_none_or(|restart| restart == "no") {
        // A one-off job: its end is its success.
        return wait(engine, container, |detail| {
            (detail.exit_code == Some(0) && detail.running == Running::Exited || detail.running == Running::Running).then_some(())
        })
        .await;
    }
    let mut running_since = None;
    wait(engine, container, |detail| match (detail.running, detail.health) {
        (Running::Running, Health::Healthy) => Some(()),
        (Running::Running, Health::None) => (running_since.get_or_insert_with(Instant::now).elapsed() >= STEADY).then_some(()),
        _ => {
            running_since = None;
            None
        }
    })
    .await
}

async fn wait<E: Engine>(engine: &E, container: &ContainerWanted, mut done: impl FnMut(&ContainerDetail) -> Option<()>) -> Result<()> {
    let limit = patience(container.body.healthcheck.as_ref());
    let since = Instant::now();
    let mut first_restarts = None;
    loop {
        let Some(detail) = engine.inspect(&container.name).await? else {
            return Err(
                Error::external(format!("the container {} was removed while it was starting", container.name)).next("summoner install")
            );
        };
        if done(&detail).is_some() {
            return Ok(());
        }
        let restarts = detail.restarts - *first_restarts.get_or_insert(detail.restarts);
        let ended = matches!(detail.running, Running::Exited | Running::Dead);
        let looping = restarts >= CRASH_LOOP || (detail.running == Running::Restarting && detail.restarts >= CRASH_LOOP);
        if ended || looping {
            let code = detail.exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
            let again = if ended { "" } else { " again and again" };
            return Err(failed(engine, container, &format!("{} ended{again}{code}", container.name), &detail).await);
        }
        if since.elapsed() > limit {
            let message = format!("{} did not become healthy within {} s", container.name, limit.as_secs());
            return Err(failed(engine, container, &message, &detail).await);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Twice what the check itself allows: a slow machine is not a broken one.
fn patience(check: Option<&Healthcheck>) -> Duration {
    let Some(check) = check else { return LEAST };
    let interval = check.interval_ms.unwrap_or(30_000) + check.timeout_ms.unwrap_or(30_000);
    let allowed = check.start_period_ms.unwrap_or(0) + check.retries.unwrap_or(3) * interval;
    Duration::from_millis(allowed.saturating_mul(2)).clamp(LEAST, MOST)
}

async fn failed<E: Engine>(engine: &E, container: &ContainerWanted, message: &str, detail: &ContainerDetail) -> Error {
    let mut cause = Vec::new();
    cause.extend(detail.error.clone());
    if let Some(output) = &detail.health_output {
        cause.push(format!("its health check says: {}", output.trim()));
    }
    match engine.logs(&container.name, LOG_LINES).await {
        Ok(log) if log.trim().is_empty() => cause.push("it wrote nothing to its log".into()),
        Ok(log) => cause.push(format!("the last lines of its log:\n{}", log.trim_end())),
        Err(error) => cause.push(format!("its log cannot be read: {}", error.message)),
    }
    Error::external(message).cause(cause.join("\n")).next(format!(
        "summoner logs {} --role {}",
        container.labels[crate::plan::wanted::LABEL_INSTANCE],
        container.role.as_str()
    ))
}
