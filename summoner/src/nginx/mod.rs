//! Brings rendered routes to life in the proxy's container: write, test, swap, reload, prove, or roll back.
//!
//! `plan::route` decides every byte; this module decides only what to do when nginx disagrees: a host that nginx refuses
//! is left out, all others are served ([`live`]). [`Nginx`] is the proxy of an installation, called by apply under the lock;
//! `crate::proxy` holds a [`Live`] of its own. nginx never sees Docker.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::acme;
use crate::docker::Engine;
use crate::error::Result;
use crate::layout::Layout;
use crate::name::Domain;
use crate::plan::route::{Generation, INSIDE, MARKER_PORT, ProxySettings, Rejected, Site};
use drawing::Drawing;
use live::Live;
use place::Place;
use runner::Runner;

pub mod asking;
pub mod child;
pub mod classic;
mod culprit;
pub mod drawing;
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
        match self.runner().address().await? {
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

    /// The generation that nginx says it runs; None when it does not run or does not answer.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn running(&self) -> Result<Option<String>> {
        match self.runner().address().await? {
            Some(address) => Ok(marker::ask(address, self.marker_port).await),
            None => Ok(None),
        }
    }

    /// Makes nginx serve these routes. Certificates and keys of all hosts lie in their place by now.
    ///
    /// # Errors
    /// When nginx refuses even a configuration without hosts, or does not take the new one: the old one is back then.
    pub async fn install(&self, sites: &[Site], settings: &ProxySettings) -> Result<Installed> {
        let mut live = Live::new(self.runner(), Place::Own(self.layout.clone()));
        (live.marker_port, live.confirm, live.strict) = (self.marker_port, self.confirm, true);
        live.log = Some(format!("summoner logs {}", self.container));
        let first = self.once(&mut live, sites, settings).await;
        if first.is_ok() || !live.blind() {
            return first;
        }
        // Should this end in between, it is a container that does not run and should: the next look starts it.
        self.engine.stop(self.container, None).await?;
        self.once(&mut live, sites, settings).await?;
        self.engine.start(self.container).await?;
        live.comes_up().await?;
        self.once(&mut live, sites, settings).await
    }

    async fn once(&self, live: &mut Live<'_, E>, sites: &[Site], settings: &ProxySettings) -> Result<Installed> {
        let found = self.engine.describe(self.container).await?;
        let runs = found.as_ref().and_then(runner::address).is_some();
        let (fit, unfit): (Vec<Site>, Vec<Site>) = sites.iter().cloned().partition(|site| runs || self.startable(site));
        let came = live.install(&Drawing { sites: &fit, settings }, found.as_ref()).await?;
        let unfit = unfit.into_iter().map(|site| Rejected { host: site.name, reason: "it has no usable certificate".to_owned() });
        let closed = came.closed.into_iter().filter_map(|closed| {
            let site = fit.iter().find(|site| site.name.to_string() == closed.host)?;
            Some(Rejected { host: site.name.clone(), reason: closed.reason })
        });
        let mut quarantined: Vec<Rejected> = unfit.chain(closed).collect();
        quarantined.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(Installed { id: came.id, live: runs, unchanged: came.unchanged, quarantined })
    }

    /// Whether an nginx that cannot be asked would start with a site: one missing certificate would keep it from that.
    fn startable(&self, site: &Site) -> bool {
        let stem = site.certificate.as_ref().and_then(|certificate| certificate.stem.parse::<Domain>().ok());
        site.certificate.is_none() || stem.is_some_and(|stem| acme::observe(self.layout, &stem).is_ok_and(|found| found.is_some()))
    }

    /// Makes nginx load again what the link names, when it runs.
    ///
    /// # Errors
    /// The engine does not answer, or nginx cannot be told.
    pub async fn load_again(&self) -> Result<()> {
        let runner = self.runner();
        if runner.address().await?.is_none() { Ok(()) } else { runner.hang_up().await }
    }

    fn runner(&self) -> Runner<'a, E> {
        Runner::container(self.engine, self.container, Some(&format!("{INSIDE}/current/nginx.conf")))
    }
}

#[cfg(test)]
mod tests;
