//! Owns the task that keeps routes live: hands it each new configuration, passes on what it says, and ends it.
//!
//! Knows nothing of routes: that is the [`Runner`]'s matter.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::runner::{Cancel, Runner, Setup};

/// How many lines wait for the daemon's log.
const WAITING: usize = 256;

/// The task.
pub(super) struct Front {
    setups: watch::Sender<Arc<Setup>>,
    notes: mpsc::Receiver<String>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Front {
    pub(super) fn start<R: Runner>(runner: Arc<R>, setup: &Arc<Setup>) -> Self {
        let (setups, receiver) = watch::channel(Arc::clone(setup));
        let (sender, notes) = mpsc::channel(WAITING);
        let (stop, cancel) = Cancel::new();
        let task = tokio::spawn(async move { runner.keep(receiver, sender, cancel).await });
        Self { setups, notes, stop, task }
    }

    /// The configuration changed.
    pub(super) fn adopt(&self, setup: &Arc<Setup>) {
        self.setups.send_replace(Arc::clone(setup));
    }

    /// The next line; for ever when there is none any more.
    pub(super) async fn said(&mut self) -> String {
        match self.notes.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }

    /// Tells the task to end, and ends it by force after a while: whatever it does can be taken up again.
    pub(super) async fn stop(&mut self, deadline: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(deadline, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
