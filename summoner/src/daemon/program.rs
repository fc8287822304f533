//! Scheduled jobs as commands of this program: each in a process of its own, which may die without the daemon.
//!
//! The daemon stays as small as when it started, and what a person types is what the schedule runs.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::runner::{Cancel, Runner, Setup};
use crate::error::{Error, Kind, Result};
use crate::plan::schedule::JobSpec;

/// What is kept of the end of its story.
const KEPT_BYTES: usize = 8 << 10;
/// A command that is told to stop has this long before it is killed.
const STOP: Duration = Duration::from_secs(60);

/// This program.
#[derive(Debug)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
}

impl Runner for Program {
    async fn run(&self, setup: Arc<Setup>, job: &JobSpec, cancel: Cancel) -> Result<String> {
        let mut command = Command::new(&self.path);
        command.arg("--config").arg(&setup.config.path).args(["--wait", job.job.as_str()]);
        command.args(job.instance.as_ref().map(ToString::to_string));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // What is meant for the daemon is not meant for its children.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        let mut child = command.spawn().map_err(|error| Error::io("start", &self.path, &error))?;
        let story = tokio::spawn(tail(child.stderr.take()));
        let status = tokio::select! {
            status = child.wait() => status,
            () = cancel.cancelled() => end(&mut child).await,
        };
        let status = status.map_err(|error| Error::io("wait for", &self.path, &error))?;
        let story = story.await.unwrap_or_default();
        if status.success() {
            return Ok(last_line(&story));
        }
        let kind = if cancel.is_cancelled() || status.code() == Some(i32::from(Kind::Interrupted.exit_code())) {
            Kind::Interrupted
        } else {
            Kind::External
        };
        Err(Error::new(kind, message(&story).unwrap_or_else(|| format!("summoner {} ended with {status}", job.id))))
    }
}

/// Asks it to end, and kills it when it does not.
async fn end(child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    let process = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(process) = process {
        // It may have ended just now: waiting says so.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    if let Ok(status) = tokio::time::timeout(STOP, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

/// The end of what it says.
async fn tail(stream: Option<tokio::process::ChildStderr>) -> String {
    let Some(stream) = stream else { return String::new() };
    let (mut stream, mut kept, mut part) = (BufReader::new(stream), Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn last_line(story: &str) -> String {
    story.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// The last error of a story: what, and why.
fn message(story: &str) -> Option<String> {
    let (_, error) = story.rsplit_once("error: ")?;
    let mut lines = error.lines();
    let what = lines.next()?.trim();
    let why = lines.next().and_then(|line| line.trim().strip_prefix("cause: "));
    Some(why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_message() {
        let story =
            "ghost-a.fr: dumping\nerror: cannot dump mysql-ghost-a.fr: mysqldump ended with 2\n  cause: Access denied\n  next:  x\n";
        assert_eq!(message(story).as_deref(), Some("cannot dump mysql-ghost-a.fr: mysqldump ended with 2: Access denied"));
        assert_eq!((message("killed"), last_line("one\ntwo\n\n")), (None, "two".to_owned()));
    }
}
