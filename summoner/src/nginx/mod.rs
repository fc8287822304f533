//! Brings rendered routes to life in the proxy's container: write, test, swap, reload, prove, or roll back.
//!
//! `plan::route` decides every byte; this module decides only what to do when nginx disagrees: a host that nginx refuses
//! is left out, all others are served. Called by apply under the lock. nginx never sees Docker.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::acme;
use crate::docker::{Engine, ExecSpec, Running};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::Domain;
use crate::plan::route::{self, Generation, INSIDE, MARKER_PORT, ProxySettings, Rejected, Site};

pub mod asking;
pub mod child;
pub mod classic;
mod culprit;
pub mod features;
pub mod files;
mod generation;
pub mod live;
mod marker;
pub mod place;
pub mod runner;
mod shell;
pub mod waiting;

/// How long a new configuration may take to come to life after the signal.
const CONFIRM: Duration = Duration::from_secs(10);
/// How long `nginx -t` may take: 3,000 hosts need 3 s.
const TEST: Duration = Duration::from_secs(60);

/// The proxy's container and its folder on the host.
pub struct Nginx<'a, E> {
    engine: &'a E,
    layout: &'a Layout,
    container: &'a str,
    marker_port: u16,
    confirm: Duration,
}

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The generation that the link names now.
    pub id: String,
    /// nginx itself said that it runs this generation; false when it does not run yet and will find it at its start.
    pub live: bool,
    /// Nothing had to be done.
    pub unchanged: bool,
    /// Hosts that are left out, each with its reason.
    pub quarantined: Vec<Rejected>,
}

/// A generation on disk that nginx accepts, or that nobody could ask about.
struct Candidate {
    id: String,
    written: bool,
    quarantined: Vec<Rejected>,
}

impl<'a, E: Engine> Nginx<'a, E> {
    /// The proxy in this container, by name.
    pub fn new(engine: &'a E, layout: &'a Layout, container: &'a str) -> Self {
        Self { engine, layout, container, marker_port: MARKER_PORT, confirm: CONFIRM }
    }

    /// The generation that the link names; None before the first installation.
    ///
    /// # Errors
    /// When something else than the link lies there.
    pub fn current(&self) -> Result<Option<String>> {
        generation::current(self.layout)
    }

    /// The generation that the link names, as long as it is there: nginx could not start from a folder that somebody removed.
    ///
    /// # Errors
    /// As [`Self::current`].
    pub fn whole(&self) -> Result<Option<String>> {
        Ok(self.current()?.filter(|id| generation::starts(self.layout, id)))
    }

    /// Whether nginx has nothing to be told: this generation is linked, byte by byte as it should be, and an nginx that runs
    /// says that it runs it.
    ///
    /// # Errors
    /// The disk or the engine does not answer.
    pub async fn settled(&self, generation: &Generation) -> Result<bool> {
        if self.current()?.as_ref() != Some(&generation.id) || !generation::holds(self.layout, generation)? {
            return Ok(false);
        }
        match self.address().await? {
            Some(address) => Ok(marker::ask(address, self.marker_port).await.as_ref() == Some(&generation.id)),
            None => Ok(true),
        }
    }

    /// The hosts that the linked generation serves.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn hosts(&self) -> Result<BTreeSet<Domain>> {
        generation::hosts(self.layout)
    }

    /// Writes a generation's files; true when they were not there already, byte by byte.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(&self, generation: &Generation) -> Result<bool> {
        generation::write(self.layout, generation)
    }

    /// The generation that nginx says it runs; None when it does not run or does not answer.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn running(&self) -> Result<Option<String>> {
        match self.address().await? {
            Some(address) => Ok(marker::ask(address, self.marker_port).await),
            None => Ok(None),
        }
    }

    /// Makes nginx serve these routes. Certificates and keys of all hosts lie in their place by now.
    ///
    /// # Errors
    /// When nginx refuses even a configuration without hosts, or does not take the new one: the old one is back then.
    pub async fn install(&self, sites: &[Site], settings: &ProxySettings) -> Result<Installed> {
        generation::prepare_folder(self.layout)?;
        let address = self.address().await?;
        let Candidate { id, written, mut quarantined } = match address {
            Some(_) => self.accepted(sites, settings).await?,
            None => self.startable(sites, settings)?,
        };
        let previous = self.current()?;
        let mut unchanged = !written && previous.as_ref() == Some(&id);
        if let Some(address) = address {
            unchanged = unchanged && marker::ask(address, self.marker_port).await.as_ref() == Some(&id);
        }
        if !unchanged {
            generation::point(self.layout, Some(&id))?;
            if let Some(address) = address {
                self.reload(address, &id, previous.as_deref()).await?;
            }
        }
        quarantined.sort_by(|a, b| a.host.cmp(&b.host));
        generation::prune(self.layout, &id, previous.as_deref())?;
        Ok(Installed { id, live: address.is_some(), unchanged, quarantined })
    }

    /// Makes nginx load again what the link names, when it runs.
    ///
    /// # Errors
    /// The engine does not answer, or nginx cannot be told.
    pub async fn load_again(&self) -> Result<()> {
        if self.address().await?.is_none() { Ok(()) } else { self.hang_up().await }
    }

    /// The configuration for an nginx that cannot be asked: one missing certificate would keep it from starting at all.
    fn startable(&self, sites: &[Site], settings: &ProxySettings) -> Result<Candidate> {
        let (mut fit, mut quarantined) = (Vec::new(), Vec::new());
        for site in sites {
            let stem = site.certificate.as_ref().and_then(|certificate| certificate.stem.parse::<Domain>().ok());
            if site.certificate.is_none() || stem.is_some_and(|stem| acme::observe(self.layout, &stem).is_ok_and(|found| found.is_some())) {
                fit.push(site.clone());
            } else {
                quarantined.push(Rejected { host: site.name.clone(), reason: "it has no usable certificate".to_owned() });
            }
        }
        let rendered = route::render(&fit, settings);
        let written = self.prepare(&rendered.generation)?;
        quarantined.extend(rendered.rejected);
        Ok(Candidate { id: rendered.generation.id, written, quarantined })
    }

    /// The first configuration that nginx accepts: every round leaves out the hosts that it names.
    async fn accepted(&self, sites: &[Site], settings: &ProxySettings) -> Result<Candidate> {
        let mut sites = sites.to_vec();
        let mut quarantined = Vec::new();
        loop {
            let rendered = route::render(&sites, settings);
            let generation = rendered.generation;
            sites.retain(|site| generation.files.contains_key(&route::host_file(&site.name)));
            quarantined.extend(rendered.rejected);
            let written = self.prepare(&generation)?;
            let Some(output) = self.refusal(&generation).await? else {
                return Ok(Candidate { id: generation.id, written, quarantined });
            };
            self.discard(&generation)?;
            let culprits = self.culprits(&output, &sites, settings).await?;
            if culprits.is_empty() {
                return Err(self.refused(&output));
            }
            sites.retain(|site| !culprits.iter().any(|culprit| culprit.host == site.name));
            quarantined.extend(culprits);
        }
    }

    /// The hosts to leave out: those that nginx names, or, when it names none, those that it refuses alone.
    async fn culprits(&self, output: &str, sites: &[Site], settings: &ProxySettings) -> Result<Vec<Rejected>> {
        let named = culprit::find(output, sites);
        if !named.is_empty() {
            return Ok(named);
        }
        let mut alone = Vec::new();
        let empty = route::render(&[], settings).generation;
        self.prepare(&empty)?;
        if let Some(output) = self.refusal(&empty).await? {
            self.discard(&empty)?;
            return Err(self.refused(&output));
        }
        for site in sites {
            let generation = route::render(std::slice::from_ref(site), settings).generation;
            self.prepare(&generation)?;
            if let Some(output) = self.refusal(&generation).await? {
                alone.push(Rejected { host: site.name.clone(), reason: culprit::reason(&output) });
            }
            self.discard(&generation)?;
        }
        Ok(alone)
    }

    /// What `nginx -t` says against a generation; None when it accepts it.
    async fn refusal(&self, generation: &Generation) -> Result<Option<String>> {
        let file = format!("{INSIDE}/{}/nginx.conf", generation::folder_name(&generation.id));
        let command = ["nginx", "-t", "-c", &file].map(str::to_owned).to_vec();
        let output = self.engine.exec(self.container, &ExecSpec { command, timeout: Some(TEST), ..ExecSpec::default() }).await?;
        Ok((output.exit_code != 0).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn refused(&self, output: &str) -> Error {
        Error::external(format!("{} refuses its configuration, and no single host is the cause", self.container))
            .cause(culprit::reason(output))
            .next(format!("summoner logs {}", self.container))
            .next("what ran before still runs")
    }

    fn discard(&self, generation: &Generation) -> Result<()> {
        if self.current()?.as_ref() == Some(&generation.id) { Ok(()) } else { generation::remove(self.layout, &generation.id) }
    }

    /// Signals nginx and waits until it says that it runs the generation; else the previous one comes back.
    async fn reload(&self, address: IpAddr, id: &str, previous: Option<&str>) -> Result<()> {
        let failure = match self.hang_up().await {
            Ok(()) if marker::wait(address, self.marker_port, id, self.confirm).await => return Ok(()),
            Ok(()) => format!("it did not run generation {id} within {} s after the signal", self.confirm.as_secs()),
            Err(error) => error.to_string(),
        };
        // Before the roll back, so that these lines are about the failure.
        let log = self.engine.logs(self.container, 40).await.map(|log| culprit::complaints(&log)).unwrap_or_default();
        generation::point(self.layout, previous)?;
        let back = match previous {
            Some(_) => self.hang_up().await.map_err(|e| e.to_string()),
            None => Ok(()),
        };
        let rolled_back = match back {
            Ok(()) => "the previous configuration is back".to_owned(),
            Err(error) => format!("the link is back to the previous configuration, but the second signal failed: {error}"),
        };
        Err(Error::external(format!("{} did not take its new configuration; {rolled_back}", self.container))
            .cause(format!("{failure}\n{log}").trim_end())
            .next(format!("summoner logs {}", self.container)))
    }

    /// Asks nginx to load what the link names. Not by the engine's own `kill`: Docker takes any signal sent that way for a
    /// stop by hand, and a container that restarts `unless-stopped` would stay down after the next reboot (moby
    /// `daemon/kill.go`, `HasBeenManuallyStopped`).
    async fn hang_up(&self) -> Result<()> {
        let file = format!("{INSIDE}/current/nginx.conf");
        let command = ["nginx", "-s", "reload", "-c", &file].map(str::to_owned).to_vec();
        let output = self.engine.exec(self.container, &ExecSpec { command, timeout: Some(TEST), ..ExecSpec::default() }).await?;
        if output.exit_code == 0 {
            return Ok(());
        }
        Err(Error::external(format!("{} cannot be told to load its configuration", self.container))
            .cause(String::from_utf8_lossy(&output.stderr)))
    }

    /// The container's address on the proxy's network, the only one it joins; None when it does not run, or somebody took
    /// it off the network: it can be asked nothing then, and finds the link once it is back.
    async fn address(&self) -> Result<Option<IpAddr>> {
        let Some(detail) = self.engine.inspect(self.container).await? else { return Ok(None) };
        if detail.running != Running::Running {
            return Ok(None);
        }
        Ok(detail.networks.values().find_map(|address| address.parse().ok()))
    }
}

#[cfg(test)]
mod tests;
