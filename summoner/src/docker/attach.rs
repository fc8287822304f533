//! What a person does with a container from the terminal: follow its log, run a command in it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{LogsOptionsBuilder, ResizeExecOptionsBuilder};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use super::engine::Docker;
use super::{failure, terminal};
use crate::error::{Error, Result};

/// Exit codes of commands are passed on; what does not fit is a failure.
const NO_CODE: u8 = 1;
/// How often the size of a command's terminal is set until the engine takes it.
const RESIZE_TRIES: u32 = 10;
/// Between two tries.
const RESIZE_AGAIN: Duration = Duration::from_millis(20);

impl Docker {
    /// The last lines of a container's log, and what comes when `follow` is set.
    pub fn follow(&self, container: &str, lines: usize, follow: bool) -> impl Stream<Item = Result<Vec<u8>>> + use<> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).tail(&lines.to_string()).build();
        let doing = format!("read the log of {container}");
        self.patient()
            .logs(container, Some(options))
            .map(move |item| item.map(|piece| piece.into_bytes().to_vec()).map_err(|error| failure::explain(&doing, &error)))
    }

    /// Runs a command with this process's own input and output, on a terminal of its own when a person sits at one; gives
    /// its exit code.
    ///
    /// # Errors
    /// No such container, or it does not run.
    pub async fn attached(&self, container: &str, command: &[String], user: Option<&str>) -> Result<u8> {
        let program = command.first().map_or("nothing", String::as_str);
        let explain = |error: bollard::errors::Error| failure::explain(&format!("run {program} in {container}"), &error);
        let person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(person),
            cmd: Some(command.to_vec()),
            user: user.map(str::to_owned),
            env: person.then(|| std::env::var("TERM").ok().map(|term| format!("TERM={term}"))).flatten().map(|term| vec![term]),
            ..Default::default()
        };
        let id = self.patient().create_exec(container, config).await.map_err(explain)?.id;
        let options = StartExecOptions { detach: false, tty: person, ..Default::default() };
        let started = self.patient().start_exec(&id, Some(options)).await.map_err(explain)?;
        let StartExecResults::Attached { mut output, mut input } = started else {
            return Err(Error::internal(format!("{program} in {container} detached")));
        };
        let raw = terminal::Raw::begin()?;
        let feed = async {
            // A person types a few keys at a time and waits for each; a pipe is sent to its end.
            let sent = if person { keys(&mut input).await } else { tokio::io::copy(&mut tokio::io::stdin(), &mut input).await.map(drop) };
            tracing::debug!(?sent, "standard input of exec");
            let closed = input.shutdown().await;
            tracing::debug!(?closed, "standard input of exec closed");
            std::future::pending::<()>().await;
        };
        let show = async {
            while let Some(item) = output.next().await {
                let shown = match item.map_err(explain)? {
                    LogOutput::StdErr { message } => std::io::stderr().write_all(&message),
                    other => std::io::stdout().write_all(&other.into_bytes()).and_then(|()| std::io::stdout().flush()),
                };
                // `summoner exec … | head` ends here.
                if shown.is_err() {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        tokio::select! {
            shown = show => shown?,
            () = feed => {}
            () = self.keep_size(&id, person) => {}
        }
        drop(raw);
        let state = self.patient().inspect_exec(&id).await.map_err(explain)?;
        Ok(state.exit_code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NO_CODE))
    }

    async fn resize(&self, id: &str) {
        let Some((rows, columns)) = terminal::size() else { return };
        for _ in 0..RESIZE_TRIES {
            let options = ResizeExecOptionsBuilder::default().h(i32::from(rows)).w(i32::from(columns)).build();
            let Err(error) = self.patient().resize_exec(id, options).await else { return };
            // A command that did not start yet, or just ended, has no terminal.
            tracing::debug!(%error, rows, columns, "size of the terminal");
            tokio::time::sleep(RESIZE_AGAIN).await;
        }
    }

    /// Gives a command's terminal the size of this one, now and whenever it changes; never ends.
    async fn keep_size(&self, id: &str, person: bool) {
        let Some(mut changes) = person.then(|| signal(SignalKind::window_change()).ok()).flatten() else {
            return std::future::pending().await;
        };
        loop {
            self.resize(id).await;
            if changes.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
    }
}

async fn keys(input: &mut (impl AsyncWriteExt + Unpin)) -> std::io::Result<()> {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0_u8; 4096];
    loop {
        let count = stdin.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        input.write_all(&buffer[..count]).await?;
    }
}
