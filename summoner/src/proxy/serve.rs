//! Makes nginx serve what containers ask for: joins their networks, decides the sites, installs them, and tells.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::certs::Certs;
use super::managed::Managed;
use super::status::{self, State, Status, Told};
use super::view;
use super::watch::Serve;
use crate::docker::{Described, Engine, Happened};
use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use crate::layout::Layout;
use crate::nginx::drawing::Drawing;
use crate::nginx::features;
use crate::nginx::files::{ERROR_PAGE, Folders, Stamp, read as read_files};
use crate::nginx::live::{Came, Live};
use crate::plan::route::INSIDE;
use crate::plan::route::features::Features;
use crate::plan::route::files::UserFiles;
use crate::plan::route::guard::{Guard, Means};
use crate::plan::route::resolve::{self, Asking, Resolved};
use crate::plan::route::settings::Arrangement;
use crate::vhost::Globals;

/// Networks of the engine that no container is reached on.
const NO_NETWORKS: [&str; 3] = ["none", "host", "ingress"];

/// How nginx stands beside us.
pub(super) enum Stand {
    /// In our own container.
    Managed(Managed),
    /// Our child, in the container that we are in, or on the host.
    Child,
    /// In somebody else's container, by name.
    Separate(String),
}

/// What serving needs.
pub(super) struct Proxy<'a, E> {
    pub engine: &'a E,
    pub listener: &'a dyn Listener,
    pub live: Live<'a, E>,
    pub stand: Stand,
    pub layout: Layout,
    pub folders: Folders,
    pub globals: Globals,
    /// Of the outside world.
    pub ports: (u16, u16),
    /// What the nginx of a container (by id), or the one here, can.
    pub features: Option<(String, Features)>,
    /// Networks that nginx may join; empty is all.
    pub allowed: BTreeSet<String>,
    pub certs: Certs,
    /// Who fails to sign in is locked out.
    pub guarded: bool,
    pub owner: Option<(Stamp, UserFiles)>,
    /// nginx's container, when there is one.
    pub container: Option<Described>,
    /// Something may have happened to it since it was looked at.
    pub stale: bool,
    /// nginx's networks, and which of them reach nothing outside.
    pub inward: Option<(BTreeSet<String>, BTreeSet<String>)>,
    pub told: Vec<Told>,
    pub refused: BTreeSet<resolve::Refused>,
    pub on_ready: fn(),
}

impl<E: Engine> Proxy<'_, E> {
    async fn look(&mut self) -> Result<()> {
        self.container = match &self.stand {
            Stand::Managed(managed) => self.engine.describe(&managed.name).await?,
            Stand::Separate(name) => self.engine.describe(name).await?,
            Stand::Child => match &self.container {
                Some(own) => self.engine.describe(&own.id).await?,
                None => view::own_container(self.engine).await?,
            },
        };
        Ok(())
    }

    /// What this nginx can; asked once for each container.
    async fn features(&mut self, runs: bool) -> Result<Features> {
        let id = self.container.as_ref().map(|own| own.id.clone()).unwrap_or_default();
        if let Some((_, known)) = self.features.as_ref().filter(|(known, _)| *known == id) {
            return Ok(known.clone());
        }
        let found = match &self.stand {
            // It is made of the same image again and again. Its start is an event, which asks.
            Stand::Managed(_) if !runs => {
                let before = self.features.as_ref().map(|(_, known)| known.clone());
                return Ok(before.unwrap_or_else(Features::catalogue));
            }
            Stand::Managed(managed) => features::in_container(self.engine, &managed.name).await?,
            Stand::Separate(name) => features::in_container(self.engine, name).await?,
            Stand::Child => features::here().await?,
        };
        self.features = Some((id, found.clone()));
        Ok(found)
    }

    /// Joins the networks of whoever could not be reached otherwise, and leaves those where nobody is left.
    async fn join(&mut self, asking: &[Asking]) -> Result<()> {
        let Some(own) = self.container.clone().filter(|own| !own.host_mode) else { return Ok(()) };
        let usable = |name: &&String| !NO_NETWORKS.contains(&name.as_str()) && (self.allowed.is_empty() || self.allowed.contains(*name));
        let mut on: BTreeSet<String> = own.networks.keys().cloned().collect();
        let mut changed = false;
        for container in asking.iter().filter(|container| container.running && !container.host_mode && !container.asked.wishes.is_empty()) {
            if container.networks.keys().any(|name| on.contains(name)) {
                continue;
            }
            let Some(network) = container.networks.keys().find(usable) else { continue };
            if let Err(error) = self.engine.connect(network, &own.id, &[]).await {
                // The others do not wait for it; it is tried again with the next change.
                self.note(&error.to_string());
                continue;
            }
            changed |= on.insert(network.clone());
        }
        // Only our own container was put on networks by us alone.
        if matches!(self.stand, Stand::Managed(_)) {
            // Left once the last one there stopped: `docker compose down` removes the network right after it.
            let running = asking.iter().filter(|container| container.running);
            let needed: BTreeSet<&String> = running.flat_map(|container| container.networks.keys()).collect();
            for network in on.iter().filter(|name| !needed.contains(name) && name.as_str() != "bridge") {
                self.engine.disconnect(network, &own.id).await?;
                changed = true;
            }
        }
        if changed { self.look().await } else { Ok(()) }
    }

    /// Those of nginx's networks that reach nothing outside: asked for only when somebody is to be reached by the host.
    async fn inward(&mut self, asking: &[Asking], whole: bool) -> Result<BTreeSet<String>> {
        let Some(own) = self.container.as_ref().filter(|_| asking.iter().any(|asks| asks.host_mode)) else { return Ok(BTreeSet::new()) };
        let on: BTreeSet<String> = own.networks.keys().cloned().collect();
        if let Some((_, inward)) = self.inward.as_ref().filter(|(known, _)| *known == on && !whole) {
            return Ok(inward.clone());
        }
        let all = self.engine.networks().await?;
        let inward: BTreeSet<String> =
            all.into_iter().filter(|network| network.internal && on.contains(&network.name)).map(|network| network.name).collect();
        self.inward = Some((on, inward.clone()));
        Ok(inward)
    }

    /// The owner's files, looked at again when one of them changed.
    fn files(&mut self) -> Result<UserFiles> {
        let stamp = self.folders.stamp()?;
        match &self.owner {
            Some((seen, files)) if *seen == stamp => Ok(files.clone()),
            _ => {
                let files = read_files(&self.folders)?;
                self.owner = Some((stamp, files.clone()));
                Ok(files)
            }
        }
    }

    fn note(&self, message: &str) {
        self.listener.hear(&Event::Note { message: message.to_owned() });
    }

    /// Says what opened and what closed since the last time.
    fn tell(&mut self, routes: Vec<Told>, since: Instant, came: &Came) {
        let (live, elapsed) = (came.live, (came.confirmed.unwrap_or_else(Instant::now) - since).as_millis());
        let key = |told: &Told| (told.host.clone(), told.path.clone());
        let before: BTreeMap<_, _> = self.told.iter().map(|told| (key(told), (&told.target, told.state))).collect();
        for told in &routes {
            let was = before.get(&key(told));
            if was == Some(&(&told.target, told.state)) {
                continue;
            }
            let path = if told.path == "/" { "" } else { told.path.as_str() };
            let place = format!("{}{path}", told.host);
            let reason = told.reason.as_deref().unwrap_or("unknown");
            self.note(&match told.state {
                State::Open if live => format!("route {place} -> {} live in {elapsed} ms", told.target),
                State::Open => format!("route {place} -> {} is written; nginx does not run yet", told.target),
                State::Waiting => format!("route {place} waits: {reason}"),
                State::Down => format!("route {place} leads nowhere: {reason}"),
                State::Closed => format!("route {place} closed: {reason}"),
            });
        }
        let after: BTreeSet<_> = routes.iter().map(key).collect();
        for told in self.told.iter().filter(|told| !after.contains(&key(told)) && told.state != State::Closed) {
            self.note(&format!(
                "route {}{} closed: nobody asks for it any more",
                told.host,
                if told.path == "/" { "" } else { &told.path }
            ));
        }
        self.told = routes;
    }

    fn settle(&mut self, resolved: &Resolved, came: &Came, since: Instant) -> Result<()> {
        let closed: BTreeMap<String, String> = came.closed.iter().map(|closed| (closed.host.clone(), closed.reason.clone())).collect();
        let mut routes = status::told(&resolved.sites, &closed);
        let refused: BTreeSet<resolve::Refused> = resolved.refused.iter().cloned().collect();
        for refused in refused.difference(&self.refused) {
            let host = refused.host.as_deref().unwrap_or("all routes");
            self.note(&format!("{}: {host} closed: {}", refused.source, refused.reason));
        }
        self.tell(routes.clone(), since, came);
        routes.extend(refused.iter().map(|refused| Told {
            host: refused.host.clone().unwrap_or_else(|| "*".to_owned()),
            path: "/".to_owned(),
            target: refused.source.clone(),
            source: refused.source.clone(),
            state: State::Closed,
            reason: Some(refused.reason.clone()),
        }));
        self.refused = refused;
        let used = resolved.sites.iter().filter_map(|site| site.certificate.as_ref()).map(|used| used.stem.clone()).collect();
        let certificates = self.certs.shown(used)?;
        status::write(&self.layout, &Status::new(&came.id, came.live, routes, certificates))
    }
}

impl<E: Engine> Serve for Proxy<'_, E> {
    async fn serve(&mut self, asking: &[Asking], whole: bool, since: Instant) -> Result<()> {
        // Whatever happens to it is an event.
        if std::mem::replace(&mut self.stale, true) || whole || self.container.is_none() {
            match &self.stand {
                Stand::Managed(managed) => self.container = Some(managed.make(self.engine).await?),
                Stand::Child | Stand::Separate(_) => self.look().await?,
            }
        }
        let managed = matches!(self.stand, Stand::Managed(_));
        let runs = !managed || self.container.as_ref().is_some_and(Managed::runs);
        self.join(asking).await?;
        let inward = self.inward(asking, whole).await?;
        let files = self.files()?;
        let resolved = resolve::sites(asking, &view::of(self.container.as_ref(), &inward), &files, &self.globals);
        let features = self.features(runs).await?;
        let arrangement = if managed { Arrangement::Own } else { Arrangement::Classic };
        let mut settings = view::settings(arrangement, self.ports, &self.globals, &files, &features);
        settings.marker_local = matches!(self.stand, Stand::Child) || self.container.as_ref().is_some_and(|own| own.host_mode);
        if self.guarded {
            let means = if features.njs { Means::Script } else { Means::Map };
            settings.guard = Some(Guard { means, folder: INSIDE.to_owned() });
        }
        settings.error_page = self.folders.html.join(ERROR_PAGE).is_file();
        if whole {
            self.live.forget();
        }
        let drawing = Drawing { sites: &resolved.sites, settings: &settings };
        let installed = self.live.install(&drawing, self.container.as_ref()).await;
        if let (Err(error), Stand::Managed(managed)) = (&installed, &self.stand)
            && self.live.blind()
        {
            self.note(&format!("{} looks at a folder that was removed, so it is started again: {error}", managed.name));
            self.engine.stop(&managed.name, None).await?;
        }
        let mut came = installed?;
        if !runs {
            self.engine.start(self.live.runner().name()).await?;
            self.live.comes_up().await?;
            came.live = true;
        }
        // Now: nginx answers challenges.
        self.certs.want(&resolved.certificates);
        self.settle(&resolved, &came, since)?;
        self.stale = false;
        Ok(())
    }

    async fn changed(&mut self) -> Result<bool> {
        self.certs.begin();
        let stamp = self.folders.stamp()?;
        let changed = self.owner.as_ref().is_none_or(|(seen, _)| *seen != stamp);
        if changed {
            self.certs.suspect();
        }
        Ok(changed)
    }

    async fn woken(&mut self) {
        for line in self.certs.came().await {
            self.note(&line);
        }
    }

    fn concerns(&mut self, happened: &Happened) -> bool {
        let concerns = self.container.as_ref().is_some_and(|own| own.id == happened.id);
        self.stale |= concerns;
        concerns
    }

    fn ready(&mut self) {
        (self.on_ready)();
    }

    fn failed(&mut self, error: &Error) {
        self.note(&format!("{error}; it is tried again"));
    }
}
