//! Summoner turns a bare server and one `config.yml` into a team's toolbox.
//!
//! Four layers, one direction; a test greps the imports (`tests/layers.rs`):
//! FACES → WORLD → DECIDE → WANTED.

// WANTED: files in, values out.
pub mod compose;
pub mod config;
pub mod error;
pub mod event;
pub mod fault;
pub mod layout;
pub mod minion;
pub mod name;
pub mod vhost;
pub mod yaml;

// DECIDE: pure; no async, no file system, no engine, no clock, no environment.
pub mod plan;

// WORLD: every effect, each behind our own words.
pub mod acme;
pub mod apply;
pub mod archive;
pub mod backend;
pub mod backup;
pub mod ban;
pub mod database;
pub mod disk;
pub mod docker;
pub mod doctor;
pub mod drill;
pub mod journal;
pub mod lock;
pub mod metrics;
pub mod nginx;
pub mod notify;
pub mod observe;
pub mod proxy;
pub mod recovery;
pub mod rehearsal;
pub mod repository;
pub mod restore;
pub mod state;
pub mod sync;

// FACES: thin; parse, call, show.
pub mod cli;
pub mod daemon;
