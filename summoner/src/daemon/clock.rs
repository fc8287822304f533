//! The one clock of commands and the daemon.
//!
//! Everything below is told what time it is. In debug builds a test moves the clock's start by `SUMMONER_NOW`.

use chrono::{DateTime, Utc};

/// Now.
#[must_use]
pub fn now() -> DateTime<Utc> {
    moved().unwrap_or_else(Utc::now)
}

/// Now by a clock that a test moved, for the programs that are started to inherit.
#[cfg(not(debug_assertions))]
pub(super) fn moved() -> Option<DateTime<Utc>> {
    None
}

/// The variable that moves it.
pub(super) const VARIABLE: &str = "SUMMONER_NOW";

/// Now by a clock that a test moved: at its first look it shows what the variable says (RFC 3339), and goes on from there.
#[cfg(debug_assertions)]
pub(super) fn moved() -> Option<DateTime<Utc>> {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Option<(DateTime<Utc>, Instant)>> =
        LazyLock::new(|| Some((std::env::var(VARIABLE).ok()?.parse().ok()?, Instant::now())));
    START.map(|(start, since)| start + since.elapsed())
}
