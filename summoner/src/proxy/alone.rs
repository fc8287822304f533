//! `summoner proxy`: the loop with everything around it, on a host, or in a container beside or around nginx.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};

use super::certs::Certs;
use super::default;
use super::managed::Managed;
use super::serve::{Proxy, Stand};
use super::watch::watch;
use crate::acme::Places;
use crate::ban::{self, Guard};
use crate::config::Bans;
use crate::config::certificates::Certificates;
use crate::disk;
use crate::docker::engine::Docker;
use crate::docker::{Engine, ExecSpec};
use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::nginx::child::Child;
use crate::nginx::classic::Classic;
use crate::nginx::files::Folders;
use crate::nginx::live::Live;
use crate::nginx::place::Place;
use crate::nginx::runner::Runner;
use crate::plan::route::HTML;
use crate::vhost::{self, Globals};

/// nginx's own folder, here or in its container.
const NGINX: &str = "/etc/nginx";
/// An `nginx.conf` of a person.
const MAX_STOCK_BYTES: u64 = 1 << 20;
const LOOK: Duration = Duration::from_secs(10);
/// How long the container with a label is waited for.
const APPEARS: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where nginx is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// In a container of our own, made from this image.
    Own(String),
    /// Our child.
    Here,
    /// In this container; its `conf.d` is ours too.
    Container(String),
    /// In the container with this label.
    Labelled(String),
}

/// What the proxy is told.
#[derive(Clone)]
pub struct Alone {
    /// Where nginx is.
    pub nginx: Where,
    /// Where things lie.
    pub layout: Layout,
    /// Name of the container of our own.
    pub name: String,
    /// Ports of the outside world for http and https.
    pub ports: (u16, u16),
    /// Networks that nginx may join; empty is all.
    pub networks: BTreeSet<String>,
    /// What its variables say.
    pub globals: Globals,
    /// Who signs certificates, where a container does not say.
    pub certificates: Certificates,
    /// Locks out who fails to sign in; only with a container of our own. The engine again, for what outlives a borrow.
    pub bans: Option<(Bans, Docker)>,
    /// Called when everything is served for the first time.
    pub ready: fn(),
}

/// Serves until `stopped`. Our own container, and one beside us, go on then; a child ends.
///
/// # Errors
/// No engine, another proxy works on the same data, nginx cannot be run or refuses its own configuration.
pub async fn run<E: Engine>(
    engine: &E,
    alone: &Alone,
    listener: &dyn Listener,
    now: DateTime<Utc>,
    stopped: impl Future<Output = ()>,
) -> Result<()> {
    let _lock = Lock::take_proxy(&alone.layout, now).await?;
    let note = |message: String| listener.hear(&Event::Note { message });
    let child = Child::new(None);
    let (runner, place, stand, folders) = match &alone.nginx {
        Where::Own(image) => {
            let managed = Managed {
                name: alone.name.clone(),
                image: image.clone(),
                http_port: alone.ports.0,
                https_port: alone.ports.1,
                listen: (alone.globals.http_port, alone.globals.https_port),
                layout: alone.layout.clone(),
            };
            let runner = Runner::container(engine, &alone.name, Some(&Managed::main()));
            (runner, Place::Own(alone.layout.clone()), Stand::Managed(managed), Folders::of(&alone.layout))
        }
        Where::Here => {
            let stock = disk::read_if_there(&Path::new(NGINX).join("nginx.conf"), MAX_STOCK_BYTES)?
                .ok_or_else(|| Error::external("there is no nginx here").next("install nginx, or leave out --nginx"))?;
            let place = classic(&String::from_utf8_lossy(&stock))?;
            (Runner::Child(&child), place, Stand::Child, folders())
        }
        Where::Container(_) | Where::Labelled(_) => {
            let name = match &alone.nginx {
                Where::Labelled(label) => &labelled(engine, label).await?,
                Where::Container(name) => name,
                _ => &alone.name,
            };
            let place = classic(&stock_of(engine, name).await?)?;
            (Runner::container(engine, name, None), place, Stand::Separate(name.clone()), folders())
        }
    };
    let files = &alone.globals.files;
    // As acme-companion has it: the group is the owner's number unless said, and without an owner it is root's.
    let owner = (files.uid.is_some() || files.gid.is_some()).then(|| {
        let uid = files.uid.unwrap_or(0);
        (uid, files.gid.unwrap_or(uid))
    });
    let own = Places::of(&alone.layout);
    let key_mode = files.mode.unwrap_or(own.key_mode);
    let places = Places { certs: folders.certs.clone(), html: folders.html.clone(), owner, key_mode, ..own };
    if alone.globals.create_default_certificate {
        match default::make(&places.certs, now) {
            Ok(true) => note("a default certificate was made: CREATE_DEFAULT_CERTIFICATE".to_owned()),
            Ok(false) => {}
            // The folder may be another's to write; hosts with certificates do not suffer.
            Err(error) => note(format!("{error}; there is no default certificate")),
        }
    }
    let mut proxy = Proxy {
        engine,
        listener,
        live: Live::new(runner, place),
        stand,
        layout: alone.layout.clone(),
        folders,
        globals: alone.globals.clone(),
        ports: alone.ports,
        features: None,
        allowed: alone.networks.clone(),
        certs: Certs::new(places, alone.certificates.clone()),
        guarded: alone.bans.is_some(),
        owner: None,
        container: None,
        stale: true,
        inward: None,
        told: Vec::new(),
        refused: BTreeSet::new(),
        on_ready: alone.ready,
    };
    match (&alone.nginx, &alone.bans) {
        (Where::Here, _) => {}
        (Where::Own(_), Some((bans, docker))) => {
            // Its list must be there before nginx starts.
            ban::prepare(&alone.layout, now).await?;
            let guard = Guard::run(guarding(alone, bans, docker), docker, listener, Utc::now, std::future::pending());
            return tokio::select! {
                ended = watch(engine, &mut proxy, &alone.globals.filters, stopped) => ended,
                ended = guard => ended,
            };
        }
        (Where::Own(_) | Where::Container(_) | Where::Labelled(_), _) => {
            return watch(engine, &mut proxy, &alone.globals.filters, stopped).await;
        }
    }
    let end = async {
        stopped.await;
        child.quit().await;
    };
    tokio::select! {
        ended = watch(engine, &mut proxy, &alone.globals.filters, end) => ended,
        () = child.keep(listener, || {}) => Ok(()),
    }
}

fn guarding(alone: &Alone, bans: &Bans, docker: &Docker) -> ban::Setup {
    let trusted = if let vhost::Trust::Networks(networks) = &alone.globals.trust { networks.clone() } else { Vec::new() };
    let reload = ban::InContainer { docker: docker.clone(), layout: alone.layout.clone(), container: alone.name.clone() };
    ban::Setup {
        layout: alone.layout.clone(),
        policy: bans.clone(),
        trusted,
        sources: Vec::new(),
        docker: None,
        reload: Some(Arc::new(reload)),
    }
}

fn folders() -> Folders {
    Folders::classic(Path::new(NGINX), Path::new(HTML))
}

fn classic(stock: &str) -> Result<Place> {
    let conf = Path::new(NGINX).join("conf.d");
    Ok(Place::Classic(Classic::new(&conf, &conf.display().to_string(), stock)?))
}

/// The container with a label; it may start after us.
async fn labelled<E: Engine>(engine: &E, label: &str) -> Result<String> {
    let end = Instant::now() + APPEARS;
    loop {
        let all = engine.containers().await?;
        let mut found: Vec<&str> = all.iter().filter(|one| one.labels.contains_key(label)).map(|one| one.name.as_str()).collect();
        found.sort_unstable();
        match found.as_slice() {
            [only] => return Ok((*only).to_owned()),
            [] if Instant::now() < end => sleep(LOOK_AGAIN).await,
            [] => return Err(Error::external(format!("no container has the label {label}")).next("name nginx's container: --nginx NAME")),
            many => {
                let error = Error::external(format!("several containers have the label {label}: {}", many.join(", ")));
                return Err(error.next("name the one that is meant: --nginx NAME"));
            }
        }
    }
}

/// The main file of the nginx in a container.
async fn stock_of<E: Engine>(engine: &E, name: &str) -> Result<String> {
    let command = vec!["cat".to_owned(), format!("{NGINX}/nginx.conf")];
    let said = engine.exec(name, &ExecSpec { command, timeout: Some(LOOK), ..ExecSpec::default() }).await?;
    if said.exit_code != 0 {
        return Err(Error::external(format!("{name} has no {NGINX}/nginx.conf")).cause(String::from_utf8_lossy(&said.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Takes our own container away; its data stays.
///
/// # Errors
/// Somebody else made it, a proxy works here that would make it again, or the engine refuses.
pub async fn down<E: Engine>(engine: &E, name: &str, layout: &Layout, listener: &dyn Listener, now: DateTime<Utc>) -> Result<()> {
    let _lock = Lock::take_proxy(layout, now).await?;
    let owner = layout.files.display().to_string();
    match engine.describe(name).await? {
        None => listener.hear(&Event::Note { message: format!("nothing to do: there is no {name}") }),
        Some(found) if found.labels.get(crate::plan::wanted::LABEL_OWNER) != Some(&owner) => {
            return Err(Error::external(format!("{name} is not of this proxy")).next("name its data: --data DIR"));
        }
        Some(_) => {
            engine.stop(name, None).await?;
            engine.remove(name).await?;
            listener.hear(&Event::Note { message: format!("{name} is gone; its data stays in {owner}") });
        }
    }
    Ok(())
}
