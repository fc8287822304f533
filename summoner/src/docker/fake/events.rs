//! What happened at the engine in memory, for those who listen; and a container described.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::state::State;
use crate::docker::{Described, Events, Happened, Place, Subject};
use crate::error::{Error, Result};

/// How much of the past the engine keeps, as moby does.
const KEPT: usize = 256;

/// The past, and who listens.
#[derive(Default)]
pub struct Heard {
    past: Vec<Happened>,
    listeners: Vec<UnboundedSender<Result<Happened>>>,
    /// The engine's time: one more with every event.
    clock: i64,
}

impl Heard {
    fn tell(&mut self, subject: Subject, action: &str, id: String, name: String) {
        self.clock += 1;
        let happened = Happened { subject, action: action.to_owned(), id, name, at_ns: self.clock };
        self.listeners.retain(|listener| listener.send(Ok(happened.clone())).is_ok());
        self.past.push(happened);
        let surplus = self.past.len().saturating_sub(KEPT);
        self.past.drain(..surplus);
    }

    /// The connection of everybody breaks.
    pub fn breaks(&mut self) {
        for listener in self.listeners.drain(..) {
            let broken = Error::external("cannot hear what happens at Docker").cause("injected: connection reset by peer");
            // Whoever went away needs no news.
            drop(listener.send(Err(broken)));
        }
    }

    /// How many listen.
    pub fn listeners(&mut self) -> usize {
        self.listeners.retain(|listener| !listener.is_closed());
        self.listeners.len()
    }
}

impl State {
    /// Something happens to a container, which is still there.
    pub fn happens(&mut self, action: &str, container: &str) {
        let found = self.find(container).map(|known| (known.shown.id.clone(), known.shown.name.clone()));
        if let Some((id, name)) = found {
            self.heard.tell(Subject::Container, action, id, name);
        }
    }

    /// A container joins or leaves a network.
    pub fn joins(&mut self, action: &str, network: &str, container: &str) {
        if let Some(id) = self.find(container).map(|known| known.shown.id.clone()) {
            self.heard.tell(Subject::Network, action, id, network.to_owned());
        }
    }

    /// Listens from now on.
    pub fn subscribe(&mut self, since_ns: Option<i64>) -> Events {
        let (sender, receiver) = unbounded_channel();
        self.heard.listeners.push(sender);
        let past: Vec<_> =
            self.heard.past.iter().filter(|event| since_ns.is_some_and(|since| event.at_ns >= since)).cloned().map(Ok).collect();
        let live = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
        Box::pin(stream::iter(past).chain(live))
    }

    /// Takes a container off a network.
    pub fn disconnect(&mut self, network: &str, container: &str) -> Result<()> {
        let known = self.need(container, &format!("take {container} off the network {network}"))?;
        known.shown.networks.remove(network);
        known.shown.network_ids.remove(network);
        self.joins("disconnect", network, container);
        Ok(())
    }

    /// One question about a container.
    pub fn describe(&mut self, container: &str) -> Option<Described> {
        self.looked(container);
        let known = self.find(container)?;
        let place = |address: &String| Place { v4: address.parse().ok(), ..Place::default() };
        Some(Described {
            id: known.shown.id.clone(),
            name: known.shown.name.clone(),
            environment: known.service.environment.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect(),
            labels: known.shown.labels.clone(),
            networks: known.shown.networks.iter().map(|(name, address)| (name.clone(), place(address))).collect::<BTreeMap<_, _>>(),
            exposed: known.service.expose.iter().filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok()).collect(),
            host_mode: known.service.network_mode.as_deref() == Some("host"),
            running: known.shown.running,
            health: known.shown.health,
            pid: None,
        })
    }
}
