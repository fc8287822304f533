//! Points at which a test kills the process, to prove that the next command finishes the work.
//!
//! In release builds there are none.

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
