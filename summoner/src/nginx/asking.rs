//! From a container as the engine tells of it to what it asks of the proxy. Decides nothing: `plan::route::resolve` does.
//!
//! Called by `crate::observe` for the managed proxy and by `crate::proxy`.

use crate::docker::{Described, Health, Place, Running};
use crate::plan::route::resolve::{self, Asking, Joined};
use crate::vhost;

/// What a container asks for; None asks for nothing.
#[must_use]
pub fn asking(found: Described) -> Option<Asking> {
    let asked = vhost::read(&found.environment, &found.labels)?;
    Some(Asking {
        name: found.name,
        id: found.id,
        asked,
        networks: found.networks.into_iter().map(|(name, place)| (name, joined(&place, false))).collect(),
        exposed: found.exposed.into_iter().collect(),
        host_mode: found.host_mode,
        health: health(found.health),
        running: found.running == Running::Running,
    })
}

/// The engine's word of a container's health as the decisions know it.
#[must_use]
pub fn health(health: Health) -> resolve::Health {
    match health {
        Health::None => resolve::Health::None,
        Health::Starting => resolve::Health::Starting,
        Health::Healthy => resolve::Health::Healthy,
        Health::Unhealthy => resolve::Health::Unhealthy,
    }
}

/// A place on a network. `internal` matters only for nginx's own networks: the way to the host is not by one of them.
#[must_use]
pub fn joined(place: &Place, internal: bool) -> Joined {
    Joined { ipv4: place.v4, ipv6: place.v6, gateway: place.gateway, internal }
}
