//! Decisions as values: what is wanted, what was observed, and the steps between them, each with its reason.
//!
//! Everything here is pure: no async, no file system, no engine, no clock, no environment. `now` is an argument.

pub mod cert;
pub mod route;
