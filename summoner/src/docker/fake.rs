//! An engine in memory: Docker's rules for images, networks and containers, without Docker. A real driver, not a mock.
//!
//! Refusals are Docker's own words, through the same road as those of the real engine. Whoever holds it also does what
//! people and machines do behind Summoner's back (rename, kill, restart), makes the n-th call fail, or ends the process
//! there. Runs a [`Program`] in a container, which may answer on a loopback address.

mod engine;
mod events;
mod hands;
mod listen;
mod session;
mod state;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{ExecOutput, ExecPiece, ExecSpec, failure};
use crate::error::{Error, Result};
use state::State;

/// What runs inside a container. Called while the engine is locked: must not call it back.
pub trait Program: Send + Sync {
    /// It starts; an exit code ends it at once.
    fn start(&self) -> Option<i64> {
        None
    }
    /// Runs a command beside itself.
    fn exec(&self, _spec: &ExecSpec) -> ExecOutput {
        ExecOutput::default()
    }
    /// Hears what was sent so far to a command whose streams are held, empty at its begin; gives what it writes now, and
    /// its exit code when it ends here.
    fn hears(&self, _spec: &ExecSpec, _stdin: &[u8]) -> (Vec<ExecPiece>, Option<i64>) {
        (Vec::new(), Some(0))
    }
    /// The ports on which it answers HTTP.
    fn ports(&self) -> Vec<u16> {
        Vec::new()
    }
    /// Answers a request ("GET", "/path") with a status and a body.
    fn answer(&self, _method: &str, _path: &str) -> (u16, String) {
        (404, String::new())
    }
}

/// How a container behaves when it has no program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Healthy at the second look.
    #[default]
    Works,
    /// Runs and is never healthy.
    Unhealthy,
    /// Ends at once with this code, and again after each restart.
    Exits(i64),
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is refused and nothing happens.
    Error,
    /// It happens, and the answer is lost.
    Lost,
    /// The process ends before it: no call returns any more.
    Crash,
}

/// The engine.
#[derive(Default)]
pub struct Fake {
    state: Mutex<State>,
    crashed: Notify,
}

impl Fake {
    /// An empty engine; every image can be pulled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The n-th changing call from now on (1 is the next) is refused.
    pub fn fail_at(&self, call: usize) {
        self.fault(call, Fault::Error);
    }

    /// The n-th changing call from now on happens, and its answer is lost.
    pub fn lose_answer_at(&self, call: usize) {
        self.fault(call, Fault::Lost);
    }

    /// Before the n-th changing call from now on the caller ends: see [`Self::until_crash`].
    pub fn crash_at(&self, call: usize) {
        self.fault(call, Fault::Crash);
    }

    fn fault(&self, call: usize, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.calls.len() + call, fault));
    }

    /// Runs something to its end, or to the crash: then it is dropped where it stands, as `kill -9` would, and the engine
    /// goes on. None is the crash.
    pub async fn until_crash<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        let ended = tokio::select! {
            biased;
            () = self.crashed.notified() => None,
            ended = run => Some(ended),
        };
        self.lock().fault = None;
        ended
    }

    /// The changing calls so far, each verb with its object.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// The changing calls since a number of them.
    #[must_use]
    pub fn calls_since(&self, count: usize) -> Vec<String> {
        self.lock().calls[count..].to_vec()
    }

    /// A panic of another test's thread must not hide this one's.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One changing call: written down, perhaps with a fault, else done.
    async fn act<T>(&self, call: String, effect: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let lost = || Error::external(format!("cannot {call}")).cause("injected: the engine did not answer");
        let fault = {
            let mut state = self.lock();
            let number = state.calls.len() + 1;
            let fault = state.fault.filter(|(at, fault)| *at == number || (*fault == Fault::Crash && number > *at)).map(|(_, fault)| fault);
            if fault != Some(Fault::Crash) {
                state.calls.push(call.clone());
            }
            fault
        };
        match fault {
            Some(Fault::Crash) => self.crash().await,
            Some(Fault::Error) => Err(Error::external(format!("cannot {call}")).cause("injected: the engine refused")),
            Some(Fault::Lost) => effect(&mut self.lock()).and_then(|_| Err(lost())),
            None => effect(&mut self.lock()),
        }
    }

    /// One look.
    async fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let dead = {
            let state = self.lock();
            state.fault.is_some_and(|(at, fault)| fault == Fault::Crash && state.calls.len() + 1 > at)
        };
        if dead {
            return self.crash().await;
        }
        look(&mut self.lock())
    }

    async fn crash<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

/// A refusal as the real engine gives it: status and words are Docker's, the sentence around them ours.
fn refuse<T>(doing: &str, status_code: u16, message: impl Into<String>) -> Result<T> {
    Err(failure::explain(doing, &bollard::errors::Error::DockerResponseServerError { status_code, message: message.into() }))
}

/// A program for the containers of a name.
pub type SharedProgram = Arc<dyn Program>;
