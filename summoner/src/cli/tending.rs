//! What install, `certs` and the scheduled look share: which certificates are wanted, and telling the proxy of new ones.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::{Context, Loaded};
use crate::acme::{self, Outcome, Places, Tending, What};
use crate::apply;
use crate::docker::Engine;
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::event::Event;
use crate::name::Domain;
use crate::observe;
use crate::plan::cert::{self, Wanted};
use crate::plan::deploy::Scope;

/// An install waits this long for authorities; what is not there by then comes by itself.
const INSTALL: Duration = Duration::from_secs(180);

/// Everything that authorities on the network sign for an installation.
pub struct Tended {
    places: Places,
    pub(super) wanted: Vec<Wanted>,
    /// Hosts of containers that have a certificate or shall have one.
    pub(super) containers: Vec<Domain>,
    pub(super) force: BTreeSet<String>,
    now: DateTime<Utc>,
}

impl Tended {
    /// All that config.yml and containers ask for. Without an engine there are no containers, and those of config.yml are
    /// tended all the same.
    pub(super) async fn of(context: &Context, loaded: &Loaded) -> Result<Self> {
        let asking = match context.engine().await {
            Ok(engine) => observe::asking(&engine, &loaded.config, &engine.containers().await?).await?,
            Err(error) => {
                context.note(&format!("containers that ask for certificates are not known: {error}"));
                Vec::new()
            }
        };
        let all = cert::of_all(&loaded.config, &cert::hosts(&loaded.config, &loaded.catalogue)?, &asking);
        let places = Places::of(&loaded.config.layout);
        Ok(Self { places, wanted: all.network, containers: all.hosts, force: BTreeSet::new(), now: context.now })
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn tending(&self) -> Tending<'_> {
        Tending::of(&self.places, &self.wanted, &self.force, self.now)
    }

    /// Asks for what is due, and has the proxy load what came. The caller holds no lock, or says so.
    pub(super) async fn tend(&self, context: &Context, loaded: &Loaded, held: Option<&Docker>) -> Result<Vec<Outcome>> {
        let tending = self.tending();
        let outcomes = acme::tend(&tending).await?;
        for outcome in &outcomes {
            if let What::Issued { authority } = &outcome.what {
                context.note(&format!("{}: {authority} signed a certificate; {}", outcome.stem, outcome.reason));
            }
        }
        if acme::untold(&tending)? {
            match held {
                Some(engine) => tell(context, loaded, engine).await?,
                None => reload(context, loaded).await?,
            }
            acme::told(&tending)?;
        }
        Ok(outcomes)
    }
}

/// Has the proxy load what lies there.
pub async fn reload(context: &Context, loaded: &Loaded) -> Result<()> {
    let engine = context.engine().await?;
    let _lock = context.lock(loaded, &engine, "certs").await?;
    tell(context, loaded, &engine).await
}

/// The proxy's configuration holds the fingerprints: planning finds what changed.
async fn tell(context: &Context, loaded: &Loaded, engine: &Docker) -> Result<()> {
    let listener = context.listener();
    let proxy = Scope { only: Some(BTreeSet::new()), removed: None };
    apply::run(&context.world(loaded, engine, &*listener), &proxy).await.map(drop)
}

/// The end of an install: asks for certificates, and says what is missing. Never a reason for an install to fail.
pub async fn after_install(context: &Context, loaded: &Loaded, engine: &Docker) {
    let tended = match Tended::of(context, loaded).await {
        Ok(tended) if tended.wanted.is_empty() => return,
        Ok(tended) => tended,
        Err(error) => return context.note(&error.to_string()),
    };
    context.listener().hear(&Event::Note { message: "asking for certificates".to_owned() });
    let outcomes = match tokio::time::timeout(INSTALL, tended.tend(context, loaded, Some(engine))).await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(error)) => return context.note(&error.to_string()),
        Err(_) => return context.note("the authorities take long; what is not there yet comes by itself: summoner certs"),
    };
    for missing in outcomes.iter().filter_map(missing) {
        context.note(&missing);
    }
}

/// What a person must know of a certificate that is not there; None when it is.
pub fn missing(outcome: &Outcome) -> Option<String> {
    if !matches!(outcome.what, What::Failed | What::Waiting) {
        return None;
    }
    let error = outcome.error.as_ref();
    let why = error.map_or_else(
        || outcome.reason.clone(),
        |error| error.authority.as_ref().map_or_else(|| error.said.clone(), |name| format!("{name}: {}", error.said)),
    );
    let next = outcome.next_at.map_or_else(String::new, |at| format!("; next try at {}", at.format("%Y-%m-%d %H:%M UTC")));
    let hint = error.and_then(|error| error.next.as_ref()).map_or_else(String::new, |next| format!("\n  next: {next}"));
    Some(format!("{} has no certificate of an authority yet: {why}{next}{hint}", outcome.stem))
}
