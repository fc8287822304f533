//! The one clock of commands and the daemon.
//!
//! Everything below is told what time it is. In debug builds a test moves the clock's start by `SUMMONER_NOW`.

use chrono::{DateTime, Utc};

/// Now.
#[cfg(not(debug_assertions))]
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Now; the first call is at `SUMMONER_NOW` (RFC 3339) when that is set.
#[cfg(debug_assertions)]
#[must_use]
pub fn now() -> DateTime<Utc> {
    use std::sync::LazyLock;
    use std::time::Instant;
    static MOVED: LazyLock<Option<(DateTime<Utc>, Instant)>> =
        LazyLock::new(|| Some((std::env::var("SUMMONER_NOW").ok()?.parse().ok()?, Instant::now())));
    MOVED.map_or_else(Utc::now, |(start, since)| start + since.elapsed())
}
