//! A program of the user's own: it gets the event as JSON on its standard input and ends with 0 when it told it. No shell,
//! no variables but a few, a deadline for all that it starts, and of its output only the end.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Channel;
use crate::plan::told::Notice;

/// How long it may run, with all that it starts.
const DEADLINE: Duration = Duration::from_secs(60);
/// The end of what it said: the reason stands there.
const KEPT: usize = 2048;
/// Of its last line.
const SHOWN: usize = 200;
const CHUNK: usize = 16 * 1024;
/// A child of the program may hold its output open after it has ended.
const DRAIN: Duration = Duration::from_secs(1);
/// The only variables that it gets, with `SUMMONER_EVENT`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program.
pub(super) struct Command {
    name: String,
    words: Vec<String>,
    deadline: Duration,
}

impl Command {
    pub(super) fn new(name: String, words: Vec<String>) -> Self {
        Self { name, words, deadline: DEADLINE }
    }

    /// For tests, which do not wait a minute.
    #[cfg(test)]
    pub(super) fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    fn spawn(&self, notice: &Notice) -> Result<Child, String> {
        let (program, arguments) = self.words.split_first().ok_or("it names no program")?;
        tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("SUMMONER_EVENT", notice.event.as_str())])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("it does not start: {error}"))
    }

    async fn run(&self, notice: &Notice) -> Result<String, String> {
        let event = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
        let mut child = self.spawn(notice)?;
        let group = Group::of(&child);
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = [listen(child.stdout.take(), &said), listen(child.stderr.take(), &said)];
        let input = child.stdin.take();
        let ended = timeout(self.deadline, async {
            if let Some(mut input) = input {
                // One that does not read its input has decided without it.
                let _unread = input.write_all(&event).await;
            }
            child.wait().await
        })
        .await;
        // Whatever it started ends with it: the deadline bounds all of it.
        drop(group);
        for reader in readers.into_iter().flatten() {
            let stop = reader.abort_handle();
            if timeout(DRAIN, reader).await.is_err() {
                stop.abort();
            }
        }
        let text = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).trim().to_owned();
        match ended {
            Err(_) => Err(with(format!("it did not end within {} s", self.deadline.as_secs()), &text)),
            Ok(Err(error)) => Err(format!("its end was not seen: {error}")),
            Ok(Ok(status)) if status.success() => Ok(with("it ended with 0".to_owned(), &text)),
            Ok(Ok(status)) => Err(with(how(status), &text)),
        }
    }
}

impl Channel for Command {
    fn name(&self) -> &str {
        &self.name
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<String, String>> {
        self.run(notice).boxed()
    }
}

/// The program and all that it started, unless they left its group; killed when this goes, also when nobody waits any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that none of them lives: that is what was asked for.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, so that a talkative program is not held up, and keeps the last of it.
fn listen(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, said: &Arc<Mutex<Vec<u8>>>) -> Option<JoinHandle<()>> {
    let (mut pipe, said) = (pipe?, Arc::clone(said));
    Some(tokio::spawn(async move {
        let mut chunk = vec![0; CHUNK];
        // A pipe that breaks has nothing more to say.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.extend_from_slice(&chunk[..length]);
            let beyond = said.len().saturating_sub(KEPT);
            said.drain(..beyond);
        }
    }))
}

fn how(status: ExitStatus) -> String {
    status.code().map_or_else(|| format!("it was killed ({status})"), |code| format!("it ended with {code}"))
}

/// With what it said last.
fn with(what: String, text: &str) -> String {
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let last: String = last.chars().take(SHOWN).collect();
    if last.is_empty() { what } else { format!("{what}: {last}") }
}
