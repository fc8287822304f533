//! Work that blocks, on a thread of its own: it hears when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Kind, Result};

/// Tells the thread when the future that waits for it is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Whether somebody still waits: called now and then by the work.
pub(crate) type Cancel<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Runs work to its end, or until the returned future is dropped.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce(Cancel<'_>) -> Result<T> + Send + 'static) -> Result<T> {
    let dropped = Arc::new(AtomicBool::new(false));
    let waiting = Waiting(Arc::clone(&dropped));
    let cancel = move || {
        if dropped.load(Ordering::SeqCst) { Err(Error::new(Kind::Interrupted, "interrupted")) } else { Ok(()) }
    };
    let result = tokio::task::spawn_blocking(move || work(&cancel)).await;
    drop(waiting);
    result.map_err(|error| Error::internal("a thread of the backup ended early").cause(error))?
}
