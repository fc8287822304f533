//! The look after certificates, every few minutes: beside the jobs, since it belongs to no instance and leaves no history.
//!
//! Knows when, not how: the [`Runner`] asks authorities. One look at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::jobs::line;
use super::runner::{Cancel, Runner, Setup};
use crate::config::certificates::Issuer;
use crate::error::Result;

/// Between two looks; a renewal is never so urgent, and a name that was just mended should not wait long.
const PERIOD: Duration = Duration::from_secs(300);
/// The same where only somebody else's containers may want one: which is known to the engine alone, and the look finds out.
const SELDOM: Duration = Duration::from_secs(1800);
/// One look takes no longer, see `acme::tend`.
const LONGEST: Duration = Duration::from_secs(1800);

/// The look that runs, and the time of the next.
pub(super) struct Tender<R> {
    runner: Arc<R>,
    next: Instant,
    running: Option<JoinHandle<Result<String>>>,
    stop: watch::Sender<bool>,
    cancel: Cancel,
}

impl<R: Runner> Tender<R> {
    pub(super) fn new(runner: Arc<R>) -> Self {
        let (stop, cancel) = Cancel::new();
        Self { runner, next: Instant::now(), running: None, stop, cancel }
    }

    /// The configuration changed.
    pub(super) fn hurry(&mut self) {
        self.next = Instant::now();
    }

    /// Starts a look when it is time.
    pub(super) fn start_due(&mut self, setup: &Arc<Setup>) {
        let concerned = concerned(setup);
        // Without a proxy there is nobody to have one for.
        if self.running.is_some() || Instant::now() < self.next || !(concerned || setup.config.layout.nginx_current().is_symlink()) {
            return;
        }
        self.next = Instant::now() + if concerned { PERIOD } else { SELDOM };
        let (runner, setup, cancel) = (Arc::clone(&self.runner), Arc::clone(setup), self.cancel.clone());
        self.running = Some(tokio::spawn(async move { runner.tend(setup, cancel).await }));
    }

    /// Whether a look runs.
    pub(super) fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Waits for the end of a look, and gives what it has to say; for ever when none runs.
    pub(super) async fn ended(&mut self) -> Option<String> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let ended = tokio::time::timeout(LONGEST, &mut *running).await;
        if ended.is_err() {
            running.abort();
        }
        self.running = None;
        let said = match ended {
            Ok(Ok(Ok(said))) if said.is_empty() => return None,
            Ok(Ok(Ok(said))) => said,
            Ok(Ok(Err(error))) => line(&error),
            Ok(Err(error)) => format!("the look broke off: {error}"),
            Err(_) => "the look took too long and was stopped".to_owned(),
        };
        Some(format!("certificates: {said}"))
    }

    /// Tells the look to stop, and ends it by force after a while: whatever it does can be taken up again.
    pub(super) async fn stop(&mut self, deadline: Duration) {
        self.stop.send_replace(true);
        if let Some(mut running) = self.running.take()
            && tokio::time::timeout(deadline, &mut running).await.is_err()
        {
            running.abort();
        }
    }
}

/// Whether the certificate of any host of config.yml comes from an authority on the network.
fn concerned(setup: &Setup) -> bool {
    let settings = &setup.config.certificates;
    let hosts = setup.config.instances.iter().filter_map(|instance| instance.host.as_ref());
    let routes = setup.config.routes.iter().map(|route| &route.host);
    hosts.chain(routes).any(|host| settings.issuer_of(host.as_str()) == Issuer::Acme)
}
