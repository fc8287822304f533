//! What people, machines and registries do behind Summoner's back, and looks that are no calls.

use std::collections::BTreeMap;

use super::{Behaviour, Fake, SharedProgram};
use crate::compose::{Attachment, Service};
use crate::docker::{Container, CreateSpec, NetworkSpec, Running};
use crate::error::{Error, Result};

impl Fake {
    /// Runs a program in containers of this name, from their next start on.
    pub fn run(&self, container: &str, program: SharedProgram) {
        self.lock().programs.insert(container.to_owned(), program);
    }

    /// Containers of this name behave so from their next start on.
    pub fn behave(&self, container: &str, behaviour: Behaviour) {
        self.lock().behaviours.insert(container.to_owned(), behaviour);
    }

    /// What the log of containers of this name holds.
    pub fn says(&self, container: &str, log: &str) {
        self.lock().logs.insert(container.to_owned(), log.to_owned());
    }

    /// Puts an image onto this host without a call.
    pub fn has_image(&self, reference: &str) {
        self.lock().fetch(reference);
    }

    /// The registry answers this instead of giving the image.
    pub fn refuses_pull(&self, reference: &str, words: &str) {
        self.lock().refused.insert(reference.to_owned(), words.to_owned());
    }

    /// Upstream moves a tag, and somebody pulls it; `keep` leaves the old image on the host.
    pub fn retag(&self, reference: &str, keep: bool) {
        let mut state = self.lock();
        let old = state.image(reference).map(|image| image.id.clone());
        *state.moved.entry(reference.to_owned()).or_default() += 1;
        state.fetch(reference);
        if !keep {
            state.images.retain(|image| Some(&image.id) != old.as_ref());
        }
    }

    /// Something outside Docker holds a port of the host.
    pub fn takes_port(&self, port: u16) {
        self.lock().busy_ports.insert(port);
    }

    /// It lets go of it.
    pub fn frees_port(&self, port: u16) {
        self.lock().busy_ports.remove(&port);
    }

    /// `docker kill`.
    ///
    /// # Errors
    /// No such container.
    pub fn kill(&self, container: &str) -> Result<()> {
        let mut state = self.lock();
        state.need(container, "kill")?.end(137, true);
        state.happens("die", container);
        Ok(())
    }

    /// `docker stop`.
    ///
    /// # Errors
    /// No such container.
    pub fn stop_by_hand(&self, container: &str) -> Result<()> {
        let mut state = self.lock();
        state.need(container, "stop")?.end(0, true);
        state.happens("die", container);
        Ok(())
    }

    /// `docker pause`.
    ///
    /// # Errors
    /// No such container.
    pub fn pause(&self, container: &str) -> Result<()> {
        let mut state = self.lock();
        let known = state.need(container, "pause")?;
        known.shown.running = Running::Paused;
        known.describe(known.shown.health);
        Ok(())
    }

    /// `docker rm -f`.
    pub fn remove_by_hand(&self, container: &str) {
        let mut state = self.lock();
        state.happens("destroy", container);
        state.containers.retain(|known| known.shown.name != container);
    }

    /// `docker rename`.
    ///
    /// # Errors
    /// No such container, or the name is taken.
    pub fn rename_by_hand(&self, container: &str, name: &str) -> Result<()> {
        self.lock().rename(container, name)
    }

    /// `docker stop` of its users, then `docker network rm`: they still know the network that is no more.
    ///
    /// # Errors
    /// None so far: nobody uses it by then.
    pub fn remove_network_by_hand(&self, network: &str) -> Result<()> {
        let mut state = self.lock();
        for known in state.containers.iter_mut().filter(|known| known.shown.networks.contains_key(network)) {
            known.end(0, true);
        }
        state.remove_network(network)
    }

    /// `docker network disconnect`.
    ///
    /// # Errors
    /// No such container.
    pub fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        self.lock().disconnect(network, container)
    }

    /// The connection of everybody who listens breaks.
    pub fn breaks_events(&self) {
        self.lock().heard.breaks();
    }

    /// How many listen to what happens.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.lock().heard.listeners()
    }

    /// `docker run` with variables on networks by somebody else; the image is fetched.
    ///
    /// # Errors
    /// As Docker's: the name is taken.
    pub fn make_asking(&self, name: &str, environment: &[(&str, &str)], networks: &[&str]) -> Result<()> {
        let mut state = self.lock();
        state.fetch("web:1").ok_or_else(|| Error::external("no image web:1"))?;
        let service = Service {
            environment: environment.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect(),
            networks: networks.iter().map(|name| ((*name).to_owned(), Attachment::default())).collect(),
            ..Service::default()
        };
        let id = state.create(&CreateSpec { name, image: "web:1", service: &service, labels: &BTreeMap::new(), files: &[] })?;
        state.start(&id)
    }

    /// The daemon or the machine restarts.
    ///
    /// # Errors
    /// A container that may come back cannot.
    pub fn restart(&self) -> Result<()> {
        self.lock().restart()
    }

    /// `docker network create`.
    ///
    /// # Errors
    /// As Docker's: the name or the range is taken.
    pub fn make_network(&self, name: &str, subnet: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let spec = NetworkSpec { name: name.to_owned(), subnet: subnet.to_owned(), internal: false, labels: labels.clone() };
        self.lock().create_network(&spec)
    }

    /// `docker run` by somebody else; the image is fetched.
    ///
    /// # Errors
    /// As Docker's: the name is taken.
    pub fn make_container(&self, name: &str, image: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let mut state = self.lock();
        state.fetch(image).ok_or_else(|| Error::external(format!("no image {image}")))?;
        let service = Service { restart: Some("always".into()), ..Service::default() };
        let id = state.create(&CreateSpec { name, image, service: &service, labels, files: &[] })?;
        state.start(&id)
    }

    /// All containers as a list shows them, without counting as a call.
    #[must_use]
    pub fn shown(&self) -> Vec<Container> {
        let mut shown: Vec<Container> = self.lock().containers.iter().map(|known| known.shown.clone()).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        shown
    }

    /// Whether a container of this name runs.
    #[must_use]
    pub fn runs(&self, container: &str) -> bool {
        self.lock().find(container).is_some_and(|known| known.shown.running == Running::Running)
    }

    /// How often a container was looked at since its start.
    #[must_use]
    pub fn looks(&self, container: &str) -> u32 {
        self.lock().find(container).map_or(0, |known| known.looks)
    }

    /// Names of networks, sorted.
    #[must_use]
    pub fn network_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().networks.iter().map(|network| network.name.clone()).collect();
        names.sort();
        names
    }
}
