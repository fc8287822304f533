//! DNS-01 and preflight with real name servers on the loopback: BIND with signed updates, and Pebble's DNS server. The
//! programs come from `scripts/pebble`; nothing is installed and nothing stays.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

#[path = "dns/bed.rs"]
mod bed;
#[path = "dns/preflight.rs"]
mod preflight;
#[path = "dns/providers.rs"]
mod providers;
#[path = "dns/zones.rs"]
mod zones;
