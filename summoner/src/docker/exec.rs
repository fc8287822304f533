//! One command in a container, to its end, output bounded.
//!
//! For short commands. Dumps have a road of their own (an exec can lose its tail and still report 0).

use std::time::Duration;

use bollard::container::LogOutput;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::session::{self, Attached};
use super::{ExecOutput, ExecSpec, MAX_OUTPUT, failure};
use crate::error::{Error, Result};

/// How long a command may take when nobody says.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) async fn run(client: &bollard::Docker, container: &str, spec: &ExecSpec) -> Result<ExecOutput> {
    let doing = session::doing(container, spec);
    let limit = spec.timeout.unwrap_or(DEFAULT_TIMEOUT);
    match tokio::time::timeout(limit, to_end(client, container, spec, &doing)).await {
        Ok(result) => result,
        Err(_) => Err(Error::external(format!("cannot {doing}: it did not end within {} s", limit.as_secs()))
            .next(format!("summoner logs {container}"))),
    }
}

async fn to_end(client: &bollard::Docker, container: &str, spec: &ExecSpec, doing: &str) -> Result<ExecOutput> {
    let explain = |error: bollard::errors::Error| failure::explain(doing, &error);
    let Attached { id, mut input, mut output } = session::attach(client, container, spec, spec.stdin.is_some(), doing).await?;
    let mut result = ExecOutput::default();
    let send = async {
        if let Some(bytes) = &spec.stdin {
            // A command that ends early closes its side; the exit code tells the story then.
            let sent = input.write_all(bytes).await;
            tracing::debug!(?sent, "stdin of exec");
        }
        // Without the shutdown the command waits for more for ever.
        let closed = input.shutdown().await;
        tracing::debug!(?closed, "stdin of exec closed");
        std::future::pending::<()>().await;
    };
    let receive = async {
        while let Some(item) = output.next().await {
            match item.map_err(explain)? {
                LogOutput::StdErr { message } => keep(&mut result.stderr, &message),
                other => keep(&mut result.stdout, &other.into_bytes()),
            }
        }
        Ok::<(), Error>(())
    };
    tokio::select! {
        received = receive => received?,
        () = send => {}
    }
    let state = client.inspect_exec(&id).await.map_err(explain)?;
    // A cut stream is no error to the client: only an exit code proves the end.
    result.exit_code = state.exit_code.ok_or_else(|| Error::external(format!("cannot {doing}: the connection to it was cut")))?;
    Ok(result)
}

fn keep(all: &mut Vec<u8>, more: &[u8]) {
    let room = MAX_OUTPUT.saturating_sub(all.len());
    all.extend_from_slice(&more[..more.len().min(room)]);
}
