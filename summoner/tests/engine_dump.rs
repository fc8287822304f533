//! Dumps and loads on the real servers, on both roads: what was in is in again, and nothing short or damaged passes.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

#[path = "engine_dump/bed.rs"]
mod bed;
#[path = "engine_dump/mongodb.rs"]
mod mongodb;
#[path = "engine_dump/mysql.rs"]
mod mysql;
#[path = "engine_dump/postgresql.rs"]
mod postgresql;
