//! A program of the user's own: it is called with `present` or `remove`, the name and the value, and ends with 0 when it
//! has done so. No shell; its output is kept only as far as an error message needs it.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Solver, TxtRecord};
use crate::config::dns::Hook;
use crate::error::{Error, Result};

/// The end of what it said: the reason stands there.
const KEPT: usize = 2048;
const CHUNK: usize = 16 * 1024;
/// A child of the program may hold its output open after it has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// The program.
pub(super) struct Program {
    command: Vec<String>,
    limit: Duration,
}

impl Program {
    pub(super) fn open(hook: &Hook) -> Self {
        Self { command: hook.command.clone(), limit: hook.timeout }
    }

    async fn run(&self, action: &str, record: &TxtRecord) -> Result<()> {
        let failed =
            |why: String| Error::external(format!("the hook {} could not {action} the record of {}: {why}", self.shown(), record.name));
        let (program, arguments) = self.command.split_first().ok_or_else(|| failed("it names no program".to_owned()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .args([action, &record.name, &record.value])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed("it does not start".to_owned()).cause(error).next(format!("see whether {program} is there and may be executed"))
            })?;
        let group = Group::of(&child);
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = [listen(child.stdout.take(), &said), listen(child.stderr.take(), &said)];
        let ended = timeout(self.limit, child.wait()).await;
        // Whatever it started ends with it: the timeout bounds all of it.
        drop(group);
        for reader in readers.into_iter().flatten() {
            let stop = reader.abort_handle();
            if timeout(DRAIN, reader).await.is_err() {
                stop.abort();
            }
        }
        let text = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).trim().to_owned();
        let by_hand = format!("try it by hand: {} {action} {} {}", self.command.join(" "), record.name, record.value);
        match ended {
            Err(_) => Err(failed(format!("it did not end within {} s", self.limit.as_secs())).cause(text).next(by_hand)),
            Ok(Err(error)) => Err(failed("its end was not seen".to_owned()).cause(error)),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(how(status)).cause(text).next(by_hand)),
        }
    }

    fn shown(&self) -> &str {
        self.command.first().map_or("", String::as_str)
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

impl Solver for Program {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.run("present", record).boxed()
    }

    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.run("remove", record).boxed()
    }

    fn describe(&self) -> String {
        format!("the hook {}", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A shell only stands in for the user's program here.
    fn hook(script: &str, timeout: Duration) -> Program {
        Program::open(&Hook { command: ["/bin/sh", "-c", script, "hook"].map(str::to_owned).to_vec(), timeout })
    }

    fn record() -> TxtRecord {
        TxtRecord { name: "_acme-challenge.example.org".to_owned(), value: "d1;$(reboot)".to_owned() }
    }

    #[tokio::test]
    async fn a_hook_that_fails_says_why() {
        let error = hook("echo no such zone >&2; exit 7", Duration::from_secs(20)).present(&record()).await.unwrap_err();
        insta::assert_snapshot!(error, @r"
        error: the hook /bin/sh could not present the record of _acme-challenge.example.org: it ended with 7
          cause: no such zone
          next:  try it by hand: /bin/sh -c echo no such zone >&2; exit 7 hook present _acme-challenge.example.org d1;$(reboot)
        ");
        let error = hook("kill -9 $$", Duration::from_secs(20)).remove(&record()).await.unwrap_err();
        assert!(error.message.contains("it was killed (signal: 9"), "{error}");
        let absent = Program::open(&Hook { command: vec!["/nonexistent/hook".to_owned()], timeout: Duration::from_secs(1) });
        let error = absent.present(&record()).await.unwrap_err();
        assert!(error.message.ends_with("it does not start"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let begun = Instant::now();
        let script = format!("sleep 300 & echo $! > {}; echo waiting; wait", pid.display());
        let error = hook(&script, Duration::from_millis(1500)).present(&record()).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(error.message.ends_with("it did not end within 1 s") && error.cause.as_deref() == Some("waiting"), "{error}");
        let child = std::fs::read_to_string(&pid).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        for _ in 0..50 {
            if state().is_empty() || state().contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the hook's child lives: {}", state());
    }

    #[tokio::test]
    async fn a_hook_that_floods_is_not_kept() {
        let begun = Instant::now();
        let error = hook("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo the end >&2; exit 1", Duration::from_secs(60));
        let error = error.present(&record()).await.unwrap_err();
        let cause = error.cause.unwrap();
        assert!(cause.len() <= KEPT && cause.contains("the end"), "{} bytes", cause.len());
        assert!(begun.elapsed() < Duration::from_secs(50));
        let endless = hook("cat /dev/zero", Duration::from_secs(1)).present(&record()).await.unwrap_err();
        assert!(endless.message.contains("did not end within 1 s"), "{endless}");
    }

    #[tokio::test]
    async fn a_hook_gets_its_words_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = format!("printf '%s\\n' \"$@\" > {}; cat", seen.display());
        hook(&script, Duration::from_secs(20)).present(&record()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "present\n_acme-challenge.example.org\nd1;$(reboot)\n");
    }
}
