//! Plans and reports as texts: what would be done, why, and what is never done. Nothing here touches a disk or an engine.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod given;
#[path = "../apply/minions.rs"]
mod minions;
mod reasons;
mod shapes;
mod strangers;
