//! Ends what we began in a container: after a failure, and what an earlier Summoner left when it was killed.
//!
//! Docker has no way to end a command in a container; what runs on our behalf bears a mark in its environment, and a
//! second command finds it there.

use std::time::Duration;

use super::script;
use crate::docker::{Engine, ExecSpec, Running};
use crate::error::{Error, Result};

/// How long looking through a container's processes may take.
const LOOK: Duration = Duration::from_secs(30);

/// Ends every process with this mark, or with any; gives how many.
///
/// # Errors
/// The container does not answer. One that does not run holds nothing.
pub(super) async fn end<E: Engine>(engine: &E, container: &str, mark: Option<&str>) -> Result<usize> {
    if !engine.inspect(container).await?.is_some_and(|detail| detail.running == Running::Running) {
        return Ok(0);
    }
    let spec = ExecSpec { command: script::ending(mark), timeout: Some(LOOK), ..ExecSpec::default() };
    let output = engine.exec(container, &spec).await?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| {
        Error::external(format!("cannot look for left-over dump tools in {container}"))
            .cause(String::from_utf8_lossy(&output.stderr).trim())
            .next(format!("summoner logs {container}"))
    })
}
