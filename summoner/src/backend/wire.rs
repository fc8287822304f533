//! Where drivers that speak over a network run: calls block, the clients below them are asynchronous.
//!
//! Knows nothing of any protocol. A runtime of its own, so that a driver may be called from any thread, also from one that
//! drives another runtime; it lives as long as the process and holds nothing that must be written.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// One sends while the other hashes what is sent next.
const THREADS: usize = 2;

static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(THREADS).thread_name("summoner-offsite").enable_all().build());

/// Begins a piece of work, which ends by itself.
///
/// # Errors
/// No thread can be started.
pub fn begin<F>(work: F) -> Result<tokio::task::JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = RUNTIME.as_ref().map_err(|error| Error::external("cannot start a thread for the network").cause(error))?;
    Ok(runtime.spawn(work))
}

/// Does a piece of work and waits for it.
///
/// # Errors
/// No thread can be started, or the work panicked.
pub fn run<F>(work: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    begin(async move {
        // Nobody waits any more when the thread that did is gone.
        let _ = sender.send(work.await);
    })?;
    receiver.recv().map_err(|_| Error::internal("the network's thread ended in the middle of its work"))
}
