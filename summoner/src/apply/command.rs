//! A minion's commands, run in the containers of its instance.

use crate::docker::{Engine, ExecSpec};
use crate::error::{Error, Result};
use crate::minion::Exec;
use crate::plan::wanted::InstanceWanted;

/// How much of what a command or a service says is shown.
const SHOWN: usize = 300;

/// Runs one command; it must end with 0.
///
/// # Errors
/// It ended otherwise, did not end in time, or its container does not run.
pub async fn run<E: Engine>(engine: &E, instance: &InstanceWanted, exec: &Exec) -> Result<()> {
    let container = container(instance, &exec.service)?;
    let spec = ExecSpec {
        command: exec.command.clone(),
        user: exec.user.clone(),
        environment: exec.environment.clone(),
        stdin: exec.stdin.clone().map(String::into_bytes),
        timeout: Some(exec.timeout),
    };
    let output = engine.exec(container, &spec).await?;
    if output.exit_code == 0 {
        return Ok(());
    }
    let program = exec.command.first().map_or("", String::as_str);
    let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr }).into_owned();
    Err(Error::external(format!("{program} in {container} ended with {}", output.exit_code)).cause(short(&said)))
}

/// The name of the container that stands for a service.
pub(super) fn container<'a>(instance: &'a InstanceWanted, service: &str) -> Result<&'a str> {
    let found = instance.containers.iter().find(|container| container.service == service);
    found.map(|container| container.name.as_str()).ok_or_else(|| Error::internal(format!("{} has no service {service}", instance.id)))
}

/// The beginning of a text that may be long.
pub(super) fn short(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).collect::<String>() + " …" }
}
