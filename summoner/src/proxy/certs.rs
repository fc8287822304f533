//! Certificates for containers that ask for them: asked of an authority beside the loop, which hears when something came.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::acme::{Outcome, Places, Shown, Tending, What, look, remembered, standing, tend};
use crate::config::certificates::Certificates;
use crate::error::{Error, Result};
use crate::plan::cert::{Lying, Wanted};
use crate::plan::route::resolve;

/// How often what may be due is looked at; without anything due that reads a few files.
const LOOK: Duration = Duration::from_secs(60);

/// The certificates of the proxy.
pub(super) struct Certs {
    places: Places,
    settings: Certificates,
    wanted: Vec<Wanted>,
    task: Option<JoinHandle<Result<Vec<Outcome>>>>,
    /// Dropped with us: what is under way ends.
    stop: Option<oneshot::Sender<()>>,
    /// When to look again.
    due: Instant,
    /// How they stand, as it was told last; None when something may have changed since.
    shown: Option<(BTreeSet<String>, Vec<Shown>)>,
}

impl Certs {
    /// Nothing is wanted yet.
    pub(super) fn new(places: Places, settings: Certificates) -> Self {
        Self { places, settings, wanted: Vec::new(), task: None, stop: None, due: Instant::now(), shown: None }
    }

    /// What is asked for from now on.
    pub(super) fn want(&mut self, asked: &[resolve::Wanted]) {
        let mut wanted: Vec<Wanted> = Vec::new();
        for one in asked.iter().flat_map(|asked| Wanted::of_container(&self.settings, &asked.wish)) {
            // Replicas ask for the same.
            if !wanted.iter().any(|known| known.stem == one.stem) {
                wanted.push(one);
            }
        }
        for authority in wanted.iter_mut().flat_map(|wanted| &mut wanted.authorities) {
            if let Some(bundle) = self.settings.authorities.first().and_then(|first| first.root.clone()) {
                authority.root.get_or_insert(bundle);
            }
        }
        if wanted != self.wanted {
            self.wanted = wanted;
            self.suspect();
        }
        self.begin();
    }

    /// Somebody changed the files: what lies there is looked at again at once.
    pub(super) fn suspect(&mut self) {
        self.due = Instant::now();
        self.shown = None;
    }

    /// How they stand: those that are asked for, and the others of these stems, which the owner put there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn shown(&mut self, used: BTreeSet<String>) -> Result<Vec<Shown>> {
        if let Some((_, shown)) = self.shown.as_ref().filter(|(known, _)| *known == used) {
            return Ok(shown.clone());
        }
        let force = BTreeSet::new();
        let standing = standing(&Tending::of(&self.places, &self.wanted, &force, Utc::now()))?;
        let mut all: Vec<Shown> =
            self.wanted.iter().zip(&standing).map(|(wanted, (lying, outcome))| Shown::tended(&wanted.stem, lying, outcome)).collect();
        let known = remembered(&self.places)?;
        for stem in used.iter().filter(|stem| !self.wanted.iter().any(|wanted| wanted.stem == **stem)) {
            all.push(match look(&self.places, stem, &known)? {
                Lying::Ours(observed) => {
                    Shown::lying(stem, "network", Some(&observed), "no container asks for it any more: nothing renews it")
                }
                Lying::Placeholder(observed) => Shown::lying(stem, "own", Some(&observed), "summoner install renews it"),
                Lying::Theirs(observed) => Shown::lying(stem, "person", Some(&observed), "your own file: nothing here renews it"),
                Lying::Broken(why) => Shown::lying(stem, "broken", None, why),
                Lying::Nothing => continue,
            });
        }
        all.sort();
        self.shown = Some((used, all.clone()));
        Ok(all)
    }

    /// Begins what is due, when nothing is under way.
    pub(super) fn begin(&mut self) {
        if self.task.is_some() || self.wanted.is_empty() || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + LOOK;
        let (places, wanted) = (self.places.clone(), self.wanted.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        // On a thread of its own: what it borrows from itself cannot be moved between threads.
        self.task = Some(tokio::task::spawn_blocking(move || {
            Handle::current().block_on(async move {
                let force = BTreeSet::new();
                let tending = Tending::of(&places, &wanted, &force, Utc::now());
                tokio::select! {
                    done = tend(&tending) => done,
                    _ = stopped => Ok(Vec::new()),
                }
            })
        }));
    }

    /// Waits for what is under way: the lines to tell, once something came or went wrong. May be dropped and asked again.
    pub(super) async fn came(&mut self) -> Vec<String> {
        loop {
            let Some(task) = &mut self.task else { return std::future::pending().await };
            let ended = task.await;
            (self.task, self.stop, self.shown) = (None, None, None);
            let outcomes = match ended.map_err(|error| Error::internal("asking for certificates broke off").cause(error)) {
                Ok(Ok(outcomes)) => outcomes,
                Ok(Err(error)) | Err(error) => return vec![error.to_string()],
            };
            let lines: Vec<String> = outcomes.iter().filter_map(line).collect();
            if !lines.is_empty() {
                return lines;
            }
        }
    }
}

fn line(outcome: &Outcome) -> Option<String> {
    let names = outcome.names.join(", ");
    match &outcome.what {
        What::Issued { authority } => Some(format!("certificate of {names} issued by {authority}: {}", outcome.reason)),
        What::Failed => {
            let said = outcome.error.as_ref().map_or(outcome.reason.as_str(), |error| error.said.as_str());
            let next = outcome.next_at.map(|at| format!("; again at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default();
            Some(format!("certificate of {names} not issued: {said}{next}"))
        }
        What::Kept | What::Waiting => None,
    }
}
