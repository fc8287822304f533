//! Points at which a test kills the process or fills the disk, to prove that the next command finishes the work.
//!
//! In release builds there are none.

use std::io;

/// Stands before each effect. With `SUMMONER_CRASH_AT=k` the k-th one aborts the process as `kill -9` would.
#[cfg(debug_assertions)]
pub fn point() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    let at = std::env::var("SUMMONER_CRASH_AT").ok().and_then(|text| text.parse::<u64>().ok());
    if at == Some(passed) {
        eprintln!("crash point {passed}");
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn point() {}

/// Stands before each write. With `SUMMONER_FULL_AT=k` the k-th one and all after it find the disk full.
///
/// # Errors
/// It is full.
#[cfg(debug_assertions)]
pub fn room() -> io::Result<()> {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WRITES: AtomicU64 = AtomicU64::new(0);
    static AT: LazyLock<Option<u64>> = LazyLock::new(|| std::env::var("SUMMONER_FULL_AT").ok().and_then(|text| text.parse::<u64>().ok()));
    let writes = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
    if AT.is_some_and(|at| writes >= at) { Err(rustix::io::Errno::NOSPC.into()) } else { Ok(()) }
}

/// There is none to ask.
///
/// # Errors
/// None.
#[cfg(not(debug_assertions))]
pub fn room() -> io::Result<()> {
    Ok(())
}
