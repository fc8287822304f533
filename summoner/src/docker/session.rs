//! A command in a container whose streams the caller holds.
//!
//! Knows the wire only: an ended stream is no success (facts: a cut stream is no error to the client), so whoever reads
//! asks for the state afterwards and trusts nothing but an exit code. Never with a terminal: it would rewrite bytes.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use super::{ExecSpec, failure};
use crate::error::{Error, Result};

/// A piece of what a command writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecPiece {
    /// Standard output.
    Out(Vec<u8>),
    /// Standard error.
    Err(Vec<u8>),
}

/// A command that runs.
pub struct ExecSession {
    /// The engine's id of it, for [`super::Engine::exec_state`].
    pub id: String,
    /// Its standard input; only a shutdown closes it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes, to its end.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecPiece>> + Send>>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it still runs.
    pub running: bool,
    /// How it ended; none when it never started.
    pub exit_code: Option<i64>,
}

/// A command that was started with its streams attached, as the client gives them.
pub(super) struct Attached {
    pub(super) id: String,
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
    pub(super) output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
}

pub(super) async fn attach(client: &bollard::Docker, container: &str, spec: &ExecSpec, stdin: bool, doing: &str) -> Result<Attached> {
    let explain = |error: bollard::errors::Error| failure::explain(doing, &error);
    let config = ExecConfig {
        attach_stdin: Some(stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(spec.command.clone()),
        user: spec.user.clone(),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        ..Default::default()
    };
    let id = client.create_exec(container, config).await.map_err(explain)?.id;
    match client.start_exec(&id, Some(StartExecOptions { detach: false, ..Default::default() })).await.map_err(explain)? {
        StartExecResults::Attached { output, input } => Ok(Attached { id, input, output }),
        StartExecResults::Detached => Err(Error::internal(format!("cannot {doing}: the engine detached"))),
    }
}

/// What a command in a container is called in an error.
pub(super) fn doing(container: &str, spec: &ExecSpec) -> String {
    format!("run {} in {container}", spec.command.first().map_or("nothing", String::as_str))
}

pub(super) async fn open(client: &bollard::Docker, container: &str, spec: &ExecSpec) -> Result<ExecSession> {
    let doing = doing(container, spec);
    let Attached { id, input, output } = attach(client, container, spec, true, &doing).await?;
    let output = output.map(move |item| match item.map_err(|error| failure::explain(&doing, &error))? {
        LogOutput::StdErr { message } => Ok(ExecPiece::Err(message.into())),
        LogOutput::StdOut { message } => Ok(ExecPiece::Out(message.into())),
        // A frame that was cut, flushed as if it were whole.
        LogOutput::Console { .. } | LogOutput::StdIn { .. } => {
            Err(Error::external(format!("cannot {doing}: the connection to it was cut within a frame")))
        }
    });
    Ok(ExecSession { id, input, output: Box::pin(output) })
}

pub(super) async fn state(client: &bollard::Docker, id: &str) -> Result<ExecState> {
    let state = client.inspect_exec(id).await.map_err(|error| failure::explain("look at a command in a container", &error))?;
    Ok(ExecState { running: state.running.unwrap_or(false), exit_code: state.exit_code })
}
