//! Scheduled jobs as commands of this program: each in a process of its own, which may die without the daemon.
//!
//! The daemon stays as small as when it started, and what a person types is what the schedule runs.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

use super::clock;
use super::look;
use super::runner::{Cancel, Runner, Setup};
use crate::error::{Error, Kind, Result};
use crate::plan::schedule::{Job, JobSpec};
use crate::plan::told::Seen;

/// What is kept of the end of its story.
const KEPT_BYTES: usize = 8 << 10;
/// After its end, for what it said last.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A command that is told to stop has this long before it is killed.
const STOP: Duration = Duration::from_secs(60);

/// This program.
#[derive(Debug)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
}

impl Runner for Program {
    async fn run(&self, setup: Arc<Setup>, job: &JobSpec, attempt: u32, cancel: Cancel) -> Result<String> {
        let mut words = vec![job.job.as_str().to_owned()];
        if matches!(job.job, Job::Dump | Job::Backup | Job::Drill) {
            words.push("--scheduled".to_owned());
            if attempt > 0 && job.job != Job::Drill {
                words.push("--again".to_owned());
            }
        }
        if job.job == Job::Sync {
            words.push("--of".to_owned());
        }
        words.extend(job.instance.as_ref().map(ToString::to_string));
        self.command(&setup, &words, &job.id, cancel).await
    }

    async fn look(&self, setup: Arc<Setup>, cancel: Cancel) -> Result<Vec<Seen>> {
        look::at(&self.path, &setup, &cancel).await
    }

    async fn tend(&self, setup: Arc<Setup>, cancel: Cancel) -> Result<String> {
        let words = ["certs", "renew", "--scheduled"].map(str::to_owned);
        self.command(&setup, &words, "certs renew", cancel).await
    }
}

impl Program {
    /// Runs one command of the program; gives its last line.
    async fn command(&self, setup: &Setup, words: &[String], shown: &str, cancel: Cancel) -> Result<String> {
        let mut command = Command::new(&self.path);
        command.arg("--config").arg(&setup.config.path).args(["--wait", "--yes"]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // What is meant for the daemon is not meant for its children.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        if let Some(now) = clock::moved() {
            command.env(clock::VARIABLE, now.to_rfc3339());
        }
        let mut child = command.spawn().map_err(|error| Error::io("start", &self.path, &error))?;
        let story = Arc::new(Mutex::new(Vec::new()));
        let mut reader = tokio::spawn(tail(child.stderr.take(), Arc::clone(&story)));
        let status = tokio::select! {
            status = child.wait() => status,
            () = cancel.cancelled() => end(&mut child).await,
        };
        let status = status.map_err(|error| Error::io("wait for", &self.path, &error))?;
        // What it left running may hold the pipe open for ever.
        if tokio::time::timeout(LAST_WORDS, &mut reader).await.is_err() {
            reader.abort();
        }
        let story = String::from_utf8_lossy(&story.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        if status.success() {
            return Ok(last_line(&story));
        }
        let kind = if cancel.is_cancelled() || status.code() == Some(i32::from(Kind::Interrupted.exit_code())) {
            Kind::Interrupted
        } else {
            Kind::External
        };
        Err(Error::new(kind, message(&story).unwrap_or_else(|| format!("summoner {shown} ended with {status}"))))
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
async fn tail(stream: Option<ChildStderr>, kept: Arc<Mutex<Vec<u8>>>) {
    let Some(mut stream) = stream else { return };
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..surplus);
    }
}

fn last_line(story: &str) -> String {
    story.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// The last error of a story: what, and why.
pub(super) fn message(story: &str) -> Option<String> {
    let (_, error) = story.rsplit_once("error: ")?;
    let mut lines = error.lines();
    let what = lines.next()?.trim();
    let why = lines.next().and_then(|line| line.trim().strip_prefix("cause: "));
    Some(why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{jobs, tests::Bed};

    /// Runs a shell script in place of the program, and tells it to stop when that is asked for.
    async fn run(script: &str, stop: bool) -> Result<String> {
        let bed = Bed::new("2026-11-21T12:00:00Z");
        let path = bed.setup().config.path.with_file_name("program");
        crate::disk::write_atomic(&path, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755)?;
        let (setup, (sender, cancel)) = (bed.setup(), Cancel::new());
        let spec = jobs::specs(&setup).remove(0);
        if stop {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                sender.send_replace(true);
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
        }
        Program { path }.run(setup, &spec, 0, cancel).await
    }

    #[tokio::test]
    async fn a_job_is_a_command_of_the_program() {
        assert_eq!(run("echo story >&2; shift 2; echo \"$@\" >&2", false).await.unwrap(), "--wait --yes dump --scheduled ghost-a.org");
        let error = run("echo 'error: no engine' >&2; echo '  cause: gone' >&2; exit 1", false).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::External, "no engine: gone"));
        let error = run("exit 3", false).await.unwrap_err();
        assert_eq!(error.message, "summoner dump ghost-a.org ended with exit status: 3");
        assert_eq!(run("kill -9 $$", false).await.unwrap_err().kind, Kind::External);
    }

    #[tokio::test]
    async fn told_to_stop_the_command_may_put_things_in_order() {
        let begun = std::time::Instant::now();
        let script = "trap 'echo error: interrupted, and started again >&2; exit 130' TERM; sleep 20 & wait";
        let error = run(script, true).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Interrupted, "interrupted, and started again"));
        assert!(begun.elapsed() < Duration::from_secs(10), "what it left running is not waited for");
    }

    #[test]
    fn the_last_error_is_the_message() {
        let story =
            "ghost-a.fr: dumping\nerror: cannot dump mysql-ghost-a.fr: mysqldump ended with 2\n  cause: Access denied\n  next:  x\n";
        assert_eq!(message(story).as_deref(), Some("cannot dump mysql-ghost-a.fr: mysqldump ended with 2: Access denied"));
        assert_eq!((message("killed"), last_line("one\ntwo\n\n")), (None, "two".to_owned()));
    }
}
