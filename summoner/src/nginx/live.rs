//! Brings a drawing of hosts to life, again and again: tests what changed, swaps, reloads, proves, or rolls back.
//!
//! Remembers what nginx accepted and what it refused, so that one container that comes costs one small test, and a host
//! that nginx refused is not asked about again before something about it changes. Held by `crate::proxy`; made anew by
//! [`super::Nginx`] for each installation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::drawing::{Closed, Drawing, Drawn};
use super::place::Place;
use super::runner::Runner;
use super::{CONFIRM, culprit, marker};
use crate::apply::crash;
use crate::docker::{Described, Engine};
use crate::error::{Error, Result};
use crate::plan::route::MARKER_PORT;

/// How long nginx may take to answer after its container was started.
const COMES_UP: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What an installation did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Came {
    /// The generation that nginx is to run.
    pub id: String,
    /// nginx itself said that it runs it.
    pub live: bool,
    /// When it said so, if it had to load something: the disk is waited for later.
    pub confirmed: Option<Instant>,
    /// Nothing had to be done.
    pub unchanged: bool,
    /// Hosts that are left out.
    pub closed: Vec<Closed>,
}

/// A configuration that is on disk and fit to be loaded.
struct Fit {
    drawn: Drawn,
    /// It was not there before, byte by byte.
    written: bool,
    closed: Vec<Closed>,
}

/// A host that nginx refused: as it was written, and why.
struct Refused {
    text: String,
    reason: String,
}

/// nginx and its files.
pub struct Live<'a, E> {
    runner: Runner<'a, E>,
    place: Place,
    pub(super) marker_port: u16,
    pub(super) confirm: Duration,
    /// A reload is done when the old workers have gone, not when the first new one answers.
    pub(super) strict: bool,
    /// The command that shows nginx's log.
    pub(super) log: Option<String>,
    /// What nginx runs, by its own word.
    accepted: Option<Drawn>,
    refused: BTreeMap<String, Refused>,
    /// nginx does not find the very file that was written for it to test.
    blind: bool,
}

impl<'a, E: Engine> Live<'a, E> {
    /// nginx, run so, with its files there.
    pub fn new(runner: Runner<'a, E>, place: Place) -> Self {
        let log = matches!(runner, Runner::Container(_)).then(|| format!("docker logs {}", runner.name()));
        Self {
            runner,
            place,
            marker_port: MARKER_PORT,
            confirm: CONFIRM,
            strict: false,
            log,
            accepted: None,
            refused: BTreeMap::new(),
            blind: false,
        }
    }

    /// How nginx is run.
    pub fn runner(&self) -> &Runner<'a, E> {
        &self.runner
    }

    /// Waits until nginx answers, after its container was started.
    ///
    /// # Errors
    /// It does not in time, or the engine does not answer.
    pub async fn comes_up(&self) -> Result<()> {
        let end = Instant::now() + COMES_UP;
        while Instant::now() < end {
            if let Some(address) = self.runner.address().await?
                && marker::ask(address, self.marker_port).await.is_some()
            {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
        let log = self.runner.complaints().await;
        Err(self.failed(format!("{} does not come up", self.runner.name())).cause(log))
    }

    fn failed(&self, message: String) -> Error {
        let error = Error::external(message);
        if let Some(log) = &self.log { error.next(log) } else { error }
    }

    /// Whether nginx's container sees another folder than the one that we write to: somebody removed ours with all in it,
    /// and the container keeps what is left of the old one until it is started again.
    pub fn blind(&self) -> bool {
        self.blind
    }

    /// Trusts nothing that was found out before: the next installation tests everything.
    pub fn forget(&mut self) {
        self.accepted = None;
        self.refused.clear();
    }

    /// Makes nginx serve what is drawn; `container` is the one that it runs in, when somebody looked at it just now.
    ///
    /// # Errors
    /// nginx refuses even a configuration without hosts, or does not take the new one: the old one is back then.
    pub async fn install(&mut self, drawing: &Drawing<'_>, container: Option<&Described>) -> Result<Came> {
        let begun = Instant::now();
        let stage = |what: &str| tracing::debug!(ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), what, "nginx");
        let address = self.runner.address_in(container).await?;
        let Fit { drawn, written, mut closed } = self.acceptable(drawing, address.is_some()).await?;
        stage("accepts it");
        let id = drawn.generation.id.clone();
        let previous = self.place.current()?;
        // What was mended may have been loaded while it was broken.
        let mut unchanged = !written && previous.as_ref() == Some(&id) && self.place.holds(&drawn.generation)?;
        if let Some(address) = address {
            unchanged = unchanged && marker::ask(address, self.marker_port).await.as_ref() == Some(&id);
        }
        let (mut live, mut confirmed) = (unchanged && address.is_some(), None);
        if !unchanged {
            crash::point();
            self.place.point(&id)?;
            crash::point();
            if let Some(address) = address {
                self.reload(address, &id, previous.as_deref()).await?;
                (live, confirmed) = (true, Some(Instant::now()));
                stage("runs it");
            }
            crash::point();
            let (place, settled) = (self.place.clone(), id.clone());
            let settling = tokio::task::spawn_blocking(move || place.settle(&settled, previous.as_deref()));
            settling.await.map_err(|error| Error::internal("flushing nginx's files broke off").cause(error))??;
        }
        self.accepted = live.then_some(drawn);
        closed.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(Came { id, live, confirmed, unchanged, closed })
    }

    /// The first configuration that nginx accepts, on disk: every round leaves out the hosts that it names.
    async fn acceptable(&mut self, drawing: &Drawing<'_>, runs: bool) -> Result<Fit> {
        let mut hosts = drawing.hosts();
        let mut closed = Vec::new();
        self.refused.retain(|host, _| hosts.contains(host));
        loop {
            let drawn = drawing.draw(&hosts);
            for rejected in &drawn.rejected {
                hosts.remove(&rejected.host);
            }
            closed.extend(drawn.rejected.iter().cloned());
            let known: Vec<Closed> = self.known_refused(&drawn);
            if !known.is_empty() {
                hosts.retain(|host| !known.iter().any(|closed| closed.host == *host));
                closed.extend(known);
                continue;
            }
            if self.accepted.as_ref().is_some_and(|accepted| accepted.generation == drawn.generation)
                && self.place.holds(&drawn.generation)?
            {
                return Ok(Fit { drawn, written: false, closed });
            }
            crash::point();
            let written = self.place.write(&drawn.generation, self.accepted.as_ref().map(|accepted| &accepted.generation))?;
            let culprits = match self.refusal(&drawn, runs).await? {
                None => return Ok(Fit { drawn, written, closed }),
                Some(output) => self.culprits(&output, drawing, &drawn).await?,
            };
            self.place.discard(&drawn.generation.id)?;
            let texts = drawn.texts();
            for culprit in culprits {
                hosts.remove(&culprit.host);
                if let Some(text) = texts.get(culprit.host.as_str()) {
                    self.refused.insert(culprit.host.clone(), Refused { text: (*text).to_owned(), reason: culprit.reason.clone() });
                }
                closed.push(culprit);
            }
        }
    }

    /// Hosts that nginx refused as they are written now.
    fn known_refused(&self, drawn: &Drawn) -> Vec<Closed> {
        if self.refused.is_empty() {
            return Vec::new();
        }
        let texts = drawn.texts();
        let same = self.refused.iter().filter(|(host, refused)| texts.get(host.as_str()) == Some(&refused.text.as_str()));
        same.map(|(host, refused)| Closed { host: host.clone(), reason: refused.reason.clone() }).collect()
    }

    /// What nginx says against a configuration that is on disk; None when it accepts it. Where all else was accepted
    /// before, what all share and the hosts that changed are enough: two hosts of ours never share a name of anything. A
    /// file of the owner's may need a host that is left out of such a part, so what is refused is asked about as a whole.
    async fn refusal(&mut self, drawn: &Drawn, runs: bool) -> Result<Option<String>> {
        if !runs && matches!(self.runner, Runner::Container(_)) {
            // It cannot be asked; but when it could not start, it said why.
            let said = self.runner.complaints().await;
            return Ok(Some(said).filter(|said| !culprit::named(said, drawn).is_empty()));
        }
        if let Some(changed) = self.accepted.as_ref().and_then(|accepted| drawn.changed(accepted)) {
            let file = self.place.write_part(&drawn.only(&changed), &drawn.generation)?;
            if self.runner.test(&file).await?.is_none() {
                return Ok(None);
            }
        }
        let file = self.place.candidate(&drawn.generation.id);
        let said = self.runner.test(&file).await?;
        let lost = format!("open() \"{file}\" failed (2:");
        self.blind = said.as_ref().is_some_and(|said| said.contains(&lost));
        Ok(said)
    }

    /// The hosts to leave out: those that nginx names, or, when it names none, those that it refuses alone.
    async fn culprits(&self, output: &str, drawing: &Drawing<'_>, drawn: &Drawn) -> Result<Vec<Closed>> {
        let named = culprit::named(output, drawn);
        if !named.is_empty() {
            return Ok(named);
        }
        if let Some(output) = self.alone(&drawing.draw(&BTreeSet::new())).await? {
            return Err(self.refused_whole(&output));
        }
        // Halved until they are found: one bad host of 100 costs 8 tests more, not 100.
        let mut alone = Vec::new();
        let mut parts: Vec<Vec<String>> = vec![drawn.hosts.keys().cloned().collect()];
        while let Some(part) = parts.pop() {
            let set: BTreeSet<String> = part.iter().cloned().collect();
            let Some(output) = self.alone(&drawing.draw(&set)).await? else { continue };
            match part.as_slice() {
                [] => {}
                [host] => alone.push(Closed { host: host.clone(), reason: culprit::reason(&output) }),
                _ => {
                    let (one, other) = part.split_at(part.len() / 2);
                    parts.extend([one.to_vec(), other.to_vec()]);
                }
            }
        }
        if alone.is_empty() { Err(self.refused_whole(output)) } else { Ok(alone) }
    }

    async fn alone(&self, drawn: &Drawn) -> Result<Option<String>> {
        self.place.write(&drawn.generation, None)?;
        let said = self.runner.test(&self.place.candidate(&drawn.generation.id)).await?;
        self.place.discard(&drawn.generation.id)?;
        Ok(said)
    }

    fn refused_whole(&self, output: &str) -> Error {
        self.failed(format!("{} refuses its configuration, and no single host is the cause", self.runner.name()))
            .cause(culprit::reason(output))
            .next("what ran before still runs; mend the file that it names")
    }

    /// Signals nginx and waits until it says that it runs the generation; else the previous one comes back.
    async fn reload(&mut self, address: IpAddr, id: &str, previous: Option<&str>) -> Result<()> {
        let failure = match self.runner.hang_up().await {
            Ok(()) if marker::wait(address, self.marker_port, id, self.confirm, self.strict).await => return Ok(()),
            Ok(()) => format!("it did not run generation {id} within {} s after the signal", self.confirm.as_secs()),
            Err(error) => error.to_string(),
        };
        self.accepted = None;
        // Before the roll back, so that these lines are about the failure.
        let log = self.runner.complaints().await;
        let back = match previous {
            Some(previous) if self.place.point(previous).is_ok() => self.runner.hang_up().await.map_err(|error| error.to_string()),
            _ => Err("there is none to go back to".to_owned()),
        };
        let rolled_back = match back {
            Ok(()) => "the previous configuration is back".to_owned(),
            Err(error) => format!("the previous configuration is not back: {error}"),
        };
        Err(self
            .failed(format!("{} did not take its new configuration; {rolled_back}", self.runner.name()))
            .cause(format!("{failure}\n{log}").trim_end()))
    }
}
