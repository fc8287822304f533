//! The containers that ask for something, by id, kept up with the engine by looking at whoever changed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::docker::{Engine, Happened, Running, Subject};
use crate::error::{Error, Result};
use crate::nginx::asking::{asking, health};
use crate::plan::route::resolve::{Asking, Joined};

/// How many questions are asked of the engine at once.
const AT_ONCE: usize = 8;
/// Actions after which a container that asks may be served in another way; anything else about it is no news.
const MATTERS: [&str; 9] = ["start", "stop", "die", "rename", "health_status", "update", "pause", "unpause", "restart"];

/// What an event means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Nothing.
    Nothing,
    /// It joined a network and will start.
    Joins,
    /// Something is to be applied.
    Change,
}

/// The containers that ask for something.
#[derive(Default)]
pub(super) struct Known {
    asking: BTreeMap<String, Asking>,
    /// Ids of those that ask for nothing: their variables never change.
    silent: BTreeSet<String>,
    /// Ids to look at.
    dirty: BTreeSet<String>,
    gone: bool,
    /// `DOCKER_CONTAINER_FILTERS`: who does not pass is nobody to us; the engine itself judges.
    filters: Vec<(String, String)>,
}

impl Known {
    /// Nobody yet, and of those that come only who passes these filters of the engine's.
    pub(super) fn new(filters: &[(String, String)]) -> Self {
        Self { filters: filters.to_vec(), ..Self::default() }
    }

    /// Ids that pass, of these or of all; None when all do.
    async fn passing<E: Engine>(&self, engine: &E, ids: &[String]) -> Result<Option<BTreeSet<String>>> {
        if self.filters.is_empty() {
            return Ok(None);
        }
        let mut filters = self.filters.clone();
        // Those of one name are alternatives; and a question about many is no shorter than one about all.
        if ids.len() <= AT_ONCE && !filters.iter().any(|(name, _)| name == "id") {
            filters.extend(ids.iter().map(|id| ("id".to_owned(), id.clone())));
        }
        engine.matching(&filters).await.map(Some)
    }

    /// Whoever asks, running or not.
    pub(super) fn asking(&self) -> Vec<Asking> {
        self.asking.values().cloned().collect()
    }

    /// Notes whom to look at.
    pub(super) fn hears(&mut self, happened: &Happened) -> Means {
        let id = &happened.id;
        if self.silent.contains(id) {
            if happened.action == "destroy" {
                self.silent.remove(id);
            }
            return Means::Nothing;
        }
        let known = self.asking.get(id);
        match (happened.subject, happened.action.as_str()) {
            (Subject::Network, "connect") if known.is_none_or(|known| !known.running) => Means::Joins,
            (Subject::Network, _) if known.is_some() => self.look_at(id),
            (Subject::Container, "destroy") => {
                self.dirty.remove(id);
                let asked = self.asking.remove(id).is_some();
                self.gone |= asked;
                if asked { Means::Change } else { Means::Nothing }
            }
            (Subject::Container, "start") => self.look_at(id),
            (Subject::Container, action) if known.is_some() && MATTERS.contains(&action) => self.look_at(id),
            _ => Means::Nothing,
        }
    }

    fn look_at(&mut self, id: &str) -> Means {
        self.dirty.insert(id.to_owned());
        Means::Change
    }

    /// Looks at whoever changed; true when what is asked for is not what it was.
    pub(super) async fn look<E: Engine>(&mut self, engine: &E) -> Result<bool> {
        let mut changed = std::mem::take(&mut self.gone);
        let ids: Vec<String> = self.dirty.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(changed);
        }
        let questions = ids.clone().into_iter().map(|id| async move {
            let found = engine.describe(&id).await?;
            Ok::<_, Error>((id, found))
        });
        let answers = stream::iter(questions).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>();
        let asked = tokio::try_join!(self.passing(engine, &ids), answers);
        // Those that could not be asked about stay to be looked at, and so does that somebody has gone.
        self.gone = changed && asked.is_err();
        let (passing, answers) = asked?;
        for (id, found) in answers {
            self.dirty.remove(&id);
            changed |= match found {
                None => self.asking.remove(&id).is_some(),
                Some(_) if passing.as_ref().is_some_and(|passing| !passing.contains(&id)) => self.asking.remove(&id).is_some(),
                Some(found) => match asking(found) {
                    None => {
                        self.silent.insert(id);
                        false
                    }
                    Some(asks) => self.asking.insert(id, asks.clone()) != Some(asks),
                },
            };
        }
        Ok(changed)
    }

    /// Compares with the whole list: one call, and a question about each one that differs.
    pub(super) async fn resync<E: Engine>(&mut self, engine: &E) -> Result<()> {
        let mut list = engine.containers().await?;
        if let Some(passing) = self.passing(engine, &[]).await? {
            list.retain(|container| passing.contains(&container.id));
        }
        let ids: BTreeSet<&str> = list.iter().map(|container| container.id.as_str()).collect();
        let before = self.asking.len();
        self.asking.retain(|id, _| ids.contains(id.as_str()));
        self.gone |= self.asking.len() != before;
        self.silent.retain(|id| ids.contains(id.as_str()));
        for container in list.iter().filter(|container| !self.silent.contains(&container.id)) {
            let same = self.asking.get(&container.id).is_some_and(|known| {
                known.name == container.name
                    && known.running == (container.running == Running::Running)
                    && known.health == health(container.health)
                    && known.networks.keys().eq(container.networks.keys())
                    && known.networks.iter().all(|(name, joined)| address(joined) == container.networks[name])
            });
            if !same {
                self.dirty.insert(container.id.clone());
            }
        }
        Ok(())
    }
}

fn address(joined: &Joined) -> String {
    joined.ipv4.map(|address| address.to_string()).unwrap_or_default()
}
