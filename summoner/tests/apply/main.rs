//! Plans carried out on the engine in memory: the law, crashes and failures at every call, and what a person is told.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod clock;
mod crash;
mod failures;
mod front;
mod law;
mod minions;
mod orphans;
mod outside;
mod programs;
mod recover;
mod world;
