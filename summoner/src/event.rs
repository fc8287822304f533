//! What happened, once: the terminal, `--progress json`, the log and later the web page and notifications all read
//! the same events. Nothing is printed here.

use std::time::Duration;

use serde::Serialize;

/// One thing that happened while a command ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step of a plan begins.
    Begin {
        /// Whose it is; a host-wide step has none.
        instance: Option<String>,
        /// What is being done, as a person reads it: "pull mysql:8.4.11".
        doing: String,
    },
    /// A step has more to say: percent of a pull, health of a container.
    Progress {
        /// Whose it is.
        instance: Option<String>,
        /// The state in a few words.
        message: String,
    },
    /// An instance is done.
    Ready {
        /// Which.
        instance: String,
        /// Where it answers.
        url: Option<String>,
        /// How long it took.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
    /// An instance could not be finished; the others go on.
    Failed {
        /// Which.
        instance: String,
        /// The error as a person reads it.
        message: String,
    },
    /// Something a person should know that stops nothing.
    Note {
        /// Lower case, no full stop.
        message: String,
    },
}

fn milliseconds<S: serde::Serializer>(elapsed: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(elapsed.as_millis())
}

/// Takes events; must not block for long.
pub trait Listener: Send + Sync {
    /// Hears one event.
    fn hear(&self, event: &Event);
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {
    fn hear(&self, _: &Event) {}
}
