//! How a scheduled job is done: the one seam between the loop that knows when and the parts that know how.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::error::Result;
use crate::minion::catalogue::Catalogue;
use crate::plan::schedule::JobSpec;
use crate::plan::told::Seen;

/// A configuration and its catalogue; a job keeps the one that it began with.
#[derive(Debug)]
pub struct Setup {
    /// What config.yml asks for.
    pub config: Config,
    /// The minions that it asks for.
    pub catalogue: Catalogue,
}

/// Does scheduled jobs.
pub trait Runner: Send + Sync + 'static {
    /// Does one, and says in a few words what came of it. `attempt` is 0 at its own time, else which retry it is.
    ///
    /// # Errors
    /// Whatever failed. Told to stop, it puts things back in order and ends with an error of the kind `Interrupted`.
    fn run(&self, setup: Arc<Setup>, job: &JobSpec, attempt: u32, cancel: Cancel) -> impl Future<Output = Result<String>> + Send;

    /// Looks at everything, and gives what needs a person.
    ///
    /// # Errors
    /// It could not be looked at, which needs a person too.
    fn look(&self, _setup: Arc<Setup>, _cancel: Cancel) -> impl Future<Output = Result<Vec<Seen>>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Tends certificates: asks for what is due, and says what went wrong. Cheap when nothing is due.
    ///
    /// # Errors
    /// A certificate could not be had.
    fn tend(&self, _setup: Arc<Setup>, _cancel: Cancel) -> impl Future<Output = Result<String>> + Send {
        std::future::ready(Ok(String::new()))
    }
}

/// Tells a job to stop.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<bool>);

impl Cancel {
    /// One that is told through the other end.
    #[must_use]
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is time to stop; never, when whoever could tell is gone.
    pub async fn cancelled(&self) {
        let mut told = self.0.clone();
        if told.wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
