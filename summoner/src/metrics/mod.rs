//! The numbers of an installation, found and served: `plan::metrics` makes the text of them.
//!
//! Reads the repository, the history and the certificates, and asks the engine; changes nothing. The daemon serves it on
//! loopback, `summoner metrics` prints it.

mod serve;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::acme;
use crate::config::{Config, Instance};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Kind, Result};
use crate::layout::{self, Layout};
use crate::minion::catalogue::Catalogue;
use crate::name::{Domain, InstanceId};
use crate::observe::observe;
use crate::plan::metrics::{Facts, render};
use crate::plan::schedule::{Clock, JobSpec, jobs};
use crate::plan::snapshot::Snapshot;
use crate::plan::status::Report;
use crate::plan::{self, cert};
use crate::repository::Repository;
use crate::state::{runs, told};

pub use serve::{Page, serve};

/// How long the engine may take.
const ENGINE: Duration = Duration::from_secs(10);
/// What a drill leaves beside a manifest.
const DRILLED: &str = "drilled.json";
/// No drill finds more.
const MOST_BYTES: u64 = 4 << 20;

/// Of what a drill leaves, what is a number.
#[derive(Deserialize)]
struct Drilled {
    at: DateTime<Utc>,
    passed: bool,
}

/// The text. `engine` is None, or does not answer in time, where there is none: then that is a number too.
///
/// # Errors
/// The repository or what is remembered cannot be read.
pub async fn text<E: Engine>(config: &Config, catalogue: &Catalogue, engine: Option<&E>, now: DateTime<Utc>) -> Result<String> {
    let up = match engine {
        Some(engine) => tokio::time::timeout(ENGINE, running(engine, config, catalogue, now)).await.ok().and_then(std::result::Result::ok),
        None => None,
    };
    let dumps =
        |instance: &Instance| catalogue.get(&instance.minion).is_ok_and(|minion| !minion.databases.is_empty() || minion.dump.is_some());
    let specs = jobs(config, &dumps);
    let hosts = cert::hosts(config, catalogue)?.into_iter().map(|(host, _)| host).collect();
    let config = config.clone();
    let made = tokio::task::spawn_blocking(move || with(&config, &specs, hosts, up.as_deref(), now)).await;
    made.map_err(|error| Error::internal("finding the numbers was cut off").cause(error))?
}

/// The instances that run and are healthy.
async fn running<E: Engine>(engine: &E, config: &Config, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<Vec<String>> {
    let situation = observe(engine, config, catalogue, now).await?;
    let report = Report::new(&situation.wanted, &situation.observed, now);
    Ok(report.instances.into_iter().filter(|instance| instance.state == "running").map(|instance| instance.id).collect())
}

fn with(config: &Config, specs: &[JobSpec], hosts: Vec<Domain>, up: Option<&[String]>, now: DateTime<Utc>) -> Result<String> {
    let (mut runs, _) = runs::load(&config.layout)?;
    // Only looked at: whoever runs jobs writes it down.
    runs.meet(specs, now);
    let (told, _) = told::load(&config.layout)?;
    let (snapshots, damaged) = snapshots(config)?;
    let mut certificates = Vec::new();
    for host in hosts {
        let end = acme::observe(&config.layout, &host)?.map(|found| found.not_after);
        certificates.push((host.to_string(), end));
    }
    let instances = std::iter::once(&config.proxy_instance).chain(&config.instances);
    let state = |id: &InstanceId| up.map(|up| up.contains(&id.to_string()));
    Ok(render(&Facts {
        clock: Clock { zone: config.zone(), now, started_at: None },
        summoner: env!("CARGO_PKG_VERSION"),
        instances: instances.map(|instance| (instance.id.clone(), state(&instance.id))).collect(),
        engine: up.is_some(),
        drilled: drilled(&config.layout, &snapshots),
        unreadable: damaged,
        snapshots: &snapshots,
        specs,
        runs: &runs,
        certificates,
        told: &told,
    }))
}

/// The drills that proved something. What cannot be read proves nothing.
fn drilled(layout: &Layout, snapshots: &[Snapshot]) -> Vec<(InstanceId, plan::snapshot::Kind, DateTime<Utc>)> {
    let of = |snapshot: &Snapshot| {
        let id = &snapshot.manifest.id;
        let path = layout.backups().join(layout::repository::artefact(&id.instance, &id.stamp(), DRILLED));
        let bytes = disk::read_if_there(&path, MOST_BYTES).ok()??;
        let drilled: Drilled = serde_json::from_slice(&bytes).ok()?;
        drilled.passed.then(|| (id.instance.clone(), snapshot.manifest.kind, drilled.at))
    };
    snapshots.iter().filter_map(of).collect()
}

/// What the repository holds; before the first backup there is none.
fn snapshots(config: &Config) -> Result<(Vec<Snapshot>, usize)> {
    match Repository::open(&config.layout.backups()) {
        Ok(repository) => repository.list(None).map(|(snapshots, damaged)| (snapshots, damaged.len())),
        Err(error) if error.kind == Kind::NoRepository => Ok((Vec::new(), 0)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::snapshot::example;

    #[test]
    fn only_a_drill_that_passed_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let snapshot = |id: &str| Snapshot { manifest: example(id, None), verified: None };
        let snapshots = ["ghost-a.fr/20261121T020000Z", "ghost-a.fr/20261122T020000Z", "ghost-a.fr/20261123T020000Z"].map(snapshot);
        for (snapshot, text) in snapshots.iter().zip([
            r#"{"version": 1, "at": "2026-11-21T04:00:00Z", "took_ms": 41000, "passed": true, "findings": []}"#,
            r#"{"version": 1, "at": "2026-11-22T04:00:00Z", "took_ms": 41000, "passed": false, "findings": []}"#,
            r#"{"version": 1, "at": "#,
        ]) {
            let id = &snapshot.manifest.id;
            let path = layout.backups().join(layout::repository::artefact(&id.instance, &id.stamp(), DRILLED));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            disk::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        }
        let found = drilled(&layout, &snapshots);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].2.to_rfc3339(), "2026-11-21T04:00:00+00:00");
    }
}
