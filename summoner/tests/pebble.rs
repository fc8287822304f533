//! Certificates from a real authority: Pebble, and its DNS server, started by each test.
//!
//! The scenarios are those of acme-companion's own suite, and those that it has not: DNS-01, renewal information, refused
//! nonces, an authority that is down, one that wants to be left alone.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

#[path = "pebble/bed.rs"]
mod bed;
#[path = "pebble/failures.rs"]
mod failures;
#[path = "pebble/issue.rs"]
mod issue;
#[path = "pebble/keep.rs"]
mod keep;
#[path = "pebble/secrets.rs"]
mod secrets;
