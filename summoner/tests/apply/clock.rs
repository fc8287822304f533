//! Time for tests: it stands still, and moves a little each time everything that was ready has run.
//!
//! Waiting costs almost nothing so, and a busy machine makes no limit run out. Tokio's own way, to move on when
//! everybody waits, would move on while an answer is still in the network.

use std::future::Future;
use std::thread;
use std::time::Duration;

/// How far it moves: far less than the shortest limit, a second for nginx's marker.
const STEP: Duration = Duration::from_millis(50);
/// How long a move takes.
const TICK: Duration = Duration::from_millis(2);

/// Runs a test to its end.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (tick, mut ticks) = tokio::sync::mpsc::channel(1);
        // While a blocking task runs, tokio does not move time by itself.
        tokio::task::spawn_blocking(move || {
            while tick.blocking_send(()).is_ok() {
                thread::sleep(TICK);
            }
        });
        let moving = async {
            while ticks.recv().await.is_some() {
                tokio::time::advance(STEP).await;
            }
        };
        tokio::select! {
            ended = test => ended,
            () = moving => panic!("the clock stopped"),
        }
    })
}
