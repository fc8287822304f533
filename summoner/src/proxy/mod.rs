//! From what happens at the engine to live routes: one loop that owns what is known and applies it.
//!
//! `vhost` reads what containers ask for, `plan::route` decides and writes it, `crate::nginx` brings it to life. Here is
//! only the order of things: listen before the list is asked for, look at whoever an event names and at nobody else, wait
//! for a moment of quiet, apply, and look at everything again now and then. Called by the command line and the daemon.

mod alone;
mod certs;
mod default;
mod feed;
mod known;
mod managed;
mod pace;
mod serve;
mod status;
mod view;
mod watch;

pub use alone::{Alone, Where, down, run};
pub use status::{State, Status, Told, read as read_status, told};
pub use watch::{Serve, watch};

#[cfg(test)]
mod tests;
