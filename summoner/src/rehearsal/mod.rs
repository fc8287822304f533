//! A machine of its own, in a container of this host, on which a whole recovery is rehearsed and then thrown away.
//!
//! Knows the container, its volumes and what is carried into it. It has no network at all: nothing that is rebuilt in it can
//! send a mail or disturb the live one. Never touches an object that it did not make.

mod carry;
mod machine;
mod room;

use sha2::{Digest, Sha256};

use crate::docker::engine::Docker;
use crate::event::{Event, Listener};
use crate::layout::Layout;

pub use machine::Answer;
pub use room::check as check_room;

/// The image of an empty machine with an engine: whoever cannot pull it builds it from `images/engine`.
pub const ENGINE_IMAGE: &str = "summoner/engine:1";
/// On everything that a rehearsal makes; its value is the installation's storage root.
pub const LABEL: &str = "summoner.rehearsal";

/// Where things are inside.
pub const PLACE: &str = "/rehearsal/place";
const HOME: &str = "/rehearsal";
const PROGRAM: &str = "/rehearsal/summoner";
const IDENTITY: &str = "/rehearsal/identity";

/// One rehearsal.
pub struct Rehearsal<'a> {
    docker: &'a Docker,
    listener: &'a dyn Listener,
    owner: String,
    /// The name of its container and the beginning of those of its volumes. The underscore keeps it out of every scheme.
    name: String,
}

impl<'a> Rehearsal<'a> {
    /// That of an installation; there is one at a time.
    #[must_use]
    pub fn of(layout: &Layout, docker: &'a Docker, listener: &'a dyn Listener) -> Self {
        let owner = layout.files.display().to_string();
        let short = hex::encode(&Sha256::digest(owner.as_bytes())[..6]);
        Self { docker, listener, owner, name: format!("summoner_rehearsal_{short}") }
    }

    /// The container, for whoever wants to look into it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn say(&self, doing: impl Into<String>) {
        self.listener.hear(&Event::Begin { instance: None, doing: doing.into() });
    }
}
