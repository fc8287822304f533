//! What a person sees of a host: instances, what is foreign, and what needs attention. Pure.

mod backups;
mod drills;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::deploy::chosen;
use super::state::{Container, Health, Observed, Running};
use super::wanted::{ContainerWanted, InstanceWanted, LABEL_DRILL, LABEL_INSTANCE, LABEL_OWNER, Wanted};
use crate::name::{ContainerName, InstanceId, Role};

/// A certificate that ends within these days is a person's matter: it should have been renewed long before.
const CERTIFICATE_DAYS: i64 = 14;

/// The whole report; its keys are the contract of `status --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of the form.
    pub version: u32,
    /// The proxy first, then the order of config.yml.
    pub instances: Vec<InstanceReport>,
    /// Containers that follow the names and are not ours.
    pub foreign: Vec<Foreign>,
    /// What needs a person.
    pub problems: Vec<Problem>,
}

/// One instance.
#[derive(Debug, Serialize)]
pub struct InstanceReport {
    /// Its id.
    pub id: String,
    /// Its minion.
    pub minion: String,
    /// Its domain.
    pub domain: String,
    /// Where it answers.
    pub url: Option<String>,
    /// `running`, `starting`, `unhealthy`, `restarting`, `stopped`, `partial`, `absent`.
    pub state: &'static str,
    /// Its containers.
    pub containers: Vec<ContainerReport>,
    /// The certificate of its host.
    pub certificate: Option<CertificateReport>,
    /// The newest good snapshot.
    pub newest_snapshot: Option<SnapshotReport>,
    /// The last drill.
    pub drill: Option<DrillReport>,
}

/// One container.
#[derive(Debug, Serialize)]
pub struct ContainerReport {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its database kind.
    pub database: Option<&'static str>,
    /// The image reference.
    pub image: String,
    /// The image that the reference is locked to.
    pub digest: Option<String>,
    /// Docker's word.
    pub state: &'static str,
    /// Docker's word.
    pub health: &'static str,
}

/// A certificate in two facts.
#[derive(Debug, Serialize)]
pub struct CertificateReport {
    /// Who signed it.
    pub issuer: String,
    /// Its last moment.
    pub not_after: String,
}

/// A snapshot in three facts.
#[derive(Debug, Serialize)]
pub struct SnapshotReport {
    /// Its id.
    pub id: String,
    /// When it was taken.
    pub time: String,
    /// Whether it was read back.
    pub verified: bool,
}

/// A drill in a few facts.
#[derive(Debug, Serialize)]
pub struct DrillReport {
    /// The snapshot that was restored.
    pub snapshot: String,
    /// When.
    pub drilled_at: String,
    /// How long it took until the application answered and everything was compared.
    pub took_ms: u64,
    /// Whether everything was as it should be.
    pub passed: bool,
    /// The same, as a person reads it.
    pub said: String,
}

/// A container that follows the names and is not ours.
#[derive(Debug, Serialize)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// Its database kind.
    pub database: Option<&'static str>,
    /// The instance that its name speaks of.
    pub instance: String,
}

/// Something that needs a person.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable word.
    pub id: &'static str,
    /// Whose; none is the host's.
    pub instance: Option<String>,
    /// What is wrong.
    pub message: String,
    /// The next command.
    pub hint: String,
}

impl Report {
    /// Looks at everything.
    #[must_use]
    pub fn new(wanted: &Wanted, observed: &Observed, now: DateTime<Utc>) -> Self {
        let mut report = Self { version: 1, instances: Vec::new(), foreign: Vec::new(), problems: Vec::new() };
        for instance in &wanted.instances {
            let found: Vec<_> =
                instance.containers.iter().map(|container| (container, chosen(wanted, observed, &instance.id, container))).collect();
            report.judge(instance, &found, observed, now);
            report.instances.push(describe(instance, &found, observed));
        }
        report.strangers(wanted, observed);
        report
    }

    /// Leaves out every other instance.
    pub fn only(&mut self, ids: &[String]) {
        self.instances.retain(|instance| ids.contains(&instance.id));
        self.problems.retain(|problem| problem.instance.as_ref().is_some_and(|id| ids.contains(id)));
        self.foreign.retain(|found| ids.contains(&found.instance));
    }

    fn problem(&mut self, id: &'static str, instance: Option<&InstanceId>, message: String, hint: String) {
        self.problems.push(Problem { id, instance: instance.map(ToString::to_string), message, hint });
    }

    fn judge(
        &mut self,
        instance: &InstanceWanted,
        found: &[(&ContainerWanted, Option<&Container>)],
        observed: &Observed,
        now: DateTime<Utc>,
    ) {
        let id = Some(&instance.id);
        if found.iter().all(|(_, known)| known.is_none()) {
            self.problem("not-installed", id, "it is in config.yml and not installed".into(), "summoner install".into());
            return;
        }
        if state(found) == "stopped" && found.iter().all(|(_, known)| known.is_some_and(|known| known.running == Running::Exited)) {
            self.problem("stopped", id, "it is stopped".into(), format!("summoner start {}", instance.id));
            return;
        }
        for (wanted, known) in found {
            let Some(known) = known else {
                self.problem("container-absent", id, format!("the container {} is gone", wanted.name), "summoner install".into());
                continue;
            };
            if known.name != wanted.name {
                self.problem(
                    "name-broken",
                    id,
                    format!("the container {} should be called {}", known.name, wanted.name),
                    "summoner install".into(),
                );
            }
            match (known.running, known.health) {
                (Running::Running, Health::Unhealthy) => self.problem(
                    "unhealthy",
                    id,
                    format!("{} is unhealthy", known.name),
                    format!("summoner logs {} --role {}", instance.id, wanted.role.as_str()),
                ),
                (Running::Running, _) => {}
                (Running::Restarting, _) => self.problem(
                    "crash-loop",
                    id,
                    format!("{} ends again and again: {}", known.name, known.status),
                    format!("summoner logs {} --role {}", instance.id, wanted.role.as_str()),
                ),
                (running, _) => self.problem(
                    "stopped",
                    id,
                    format!("{} is {}", known.name, running.as_str()),
                    format!("summoner start {}", instance.id),
                ),
            }
        }
        for route in &instance.routes {
            if let Some(reason) = observed.refused(&instance.id, &route.host) {
                self.problem(
                    "route-refused",
                    id,
                    format!("the proxy refuses {}: {reason}", route.host),
                    "summoner install   once what it names is mended".into(),
                );
            }
            let Some(certificate) = observed.certificates.get(&route.host) else {
                self.problem("certificate-absent", id, format!("{} has no certificate", route.host), "summoner install".into());
                continue;
            };
            if certificate.not_after - now < chrono::TimeDelta::days(CERTIFICATE_DAYS) {
                self.problem(
                    "certificate-ends",
                    id,
                    format!("the certificate of {} ends on {}", route.host, certificate.not_after.format("%Y-%m-%d")),
                    "summoner install".into(),
                );
            }
        }
    }

    /// Containers that carry our names without our labels, and our labels without our names.
    fn strangers(&mut self, wanted: &Wanted, observed: &Observed) {
        for known in &observed.containers {
            let ours = known.labels.get(LABEL_OWNER) == Some(&wanted.owner);
            let in_config =
                known.labels.get(LABEL_INSTANCE).is_some_and(|id| wanted.instances.iter().any(|instance| instance.id.to_string() == *id));
            // What a drill made comes and goes with it.
            if ours && !in_config && !known.labels.contains_key(LABEL_DRILL) {
                self.problem(
                    "orphan",
                    None,
                    format!("{} belongs to no application of config.yml", known.name),
                    "summoner install   takes it away; its data stays".into(),
                );
            }
            if known.labels.contains_key(LABEL_OWNER) {
                continue;
            }
            if let Ok(name) = known.name.parse::<ContainerName>() {
                let database = if let Role::Database(kind) = name.role { Some(kind.as_str()) } else { None };
                self.foreign.push(Foreign { name: known.name.clone(), database, instance: name.instance.to_string() });
            }
        }
        self.foreign.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

fn describe(instance: &InstanceWanted, found: &[(&ContainerWanted, Option<&Container>)], observed: &Observed) -> InstanceReport {
    let containers = found.iter().map(|(wanted, known)| {
        let lock = observed.memory.lock(&instance.id, &wanted.image);
        ContainerReport {
            name: known.map_or_else(|| wanted.name.clone(), |known| known.name.clone()),
            role: wanted.role.as_str().to_owned(),
            database: if let Role::Database(kind) = wanted.role { Some(kind.as_str()) } else { None },
            image: wanted.image.clone(),
            digest: lock.map(|lock| lock.digest.clone().unwrap_or_else(|| lock.id.clone())),
            state: known.map_or("absent", |known| known.running.as_str()),
            health: known.map_or("none", |known| known.health.as_str()),
        }
    });
    let certificate = instance.routes.first().and_then(|route| observed.certificates.get(&route.host));
    InstanceReport {
        id: instance.id.to_string(),
        minion: instance.minion.clone(),
        domain: instance.id.domain.to_string(),
        url: instance.url.clone(),
        state: state(found),
        containers: containers.collect(),
        certificate: certificate.map(|found| CertificateReport {
            issuer: found.issuer.clone(),
            not_after: found.not_after.to_rfc3339_opts(SecondsFormat::Secs, true),
        }),
        newest_snapshot: None,
        drill: None,
    }
}

fn state(found: &[(&ContainerWanted, Option<&Container>)]) -> &'static str {
    let known: Vec<&Container> = found.iter().filter_map(|(_, known)| *known).collect();
    let running = known.iter().filter(|known| known.running == Running::Running).count();
    if known.is_empty() {
        "absent"
    } else if known.iter().any(|known| known.running == Running::Restarting) {
        "restarting"
    } else if running == 0 {
        "stopped"
    } else if running < found.len() {
        "partial"
    } else if known.iter().any(|known| known.health == Health::Unhealthy) {
        "unhealthy"
    } else if known.iter().any(|known| known.health == Health::Starting) {
        "starting"
    } else {
        "running"
    }
}
