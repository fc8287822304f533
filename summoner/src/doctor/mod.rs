//! Looks whether this machine can do what config.yml asks, before anything is touched; mends what is safe to mend.
//!
//! Every check has a stable id, says why it matters and what to do. What could not be verified is never `ok`. Each file
//! reads its facts in one place and judges them in pure functions. Works without an engine and without a config.yml.
//! Only `--fix` changes anything: folders of our own, and kernel settings.

mod card;
mod clock;
mod dns;
mod engine;
mod guard;
mod kernel;
mod machine;
pub(crate) mod own_addresses;
pub mod ports;
mod processor;
mod proxy_ports;
mod sockets;
mod storage;
mod zone;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use engine::{Seen, look};
pub use ports::{Holder, holder, refuse_taken};

use crate::config::Config;
use crate::disk;
use crate::error::{Error, Result};
use crate::minion::catalogue::Catalogue;
use crate::plan::budget::Budget;
use crate::state;

/// Said where only a config.yml could tell what is needed.
const NO_CONFIG: &str = "not checked: no config.yml";

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was looked at, and it is well.
    Ok,
    /// It works, and could be better.
    Warning,
    /// It will not work.
    Failed,
    /// It could not be looked at; nobody knows.
    Unknown,
}

impl State {
    /// Whether a person has to do something.
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        matches!(self, Self::Failed | Self::Unknown)
    }
}

/// One thing that was looked at. Its keys are the contract of `doctor --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable; after a colon the thing, where there may be several: `dns:blog.example.org`.
    pub id: String,
    /// How it ended.
    pub state: State,
    /// A word or two.
    pub title: String,
    /// What was found.
    pub message: String,
    /// Why it matters.
    pub explanation: &'static str,
    /// What to do; None when there is nothing to do.
    pub fix: Option<String>,
    /// Summoner mended it now.
    pub fixed: bool,
    /// `--fix` would mend it.
    #[serde(skip)]
    pub fixable: bool,
}

impl Check {
    fn new(id: impl Into<String>, title: impl Into<String>, explanation: &'static str) -> Self {
        let (id, title) = (id.into(), title.into());
        Self { id, state: State::Unknown, title, message: String::new(), explanation, fix: None, fixed: false, fixable: false }
    }

    fn with(self, state: State, message: impl Into<String>) -> Self {
        Self { state, message: message.into(), ..self }
    }

    fn ok(self, message: impl Into<String>) -> Self {
        self.with(State::Ok, message)
    }

    fn warning(self, message: impl Into<String>) -> Self {
        self.with(State::Warning, message)
    }

    fn failed(self, message: impl Into<String>) -> Self {
        self.with(State::Failed, message)
    }

    fn unknown(self, message: impl Into<String>) -> Self {
        self.with(State::Unknown, message)
    }

    /// What to do.
    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// `--fix` would mend it.
    fn fixable(self) -> Self {
        Self { fixable: true, ..self }
    }

    /// It was mended: it is well now, and the message says what was done.
    fn mended(self, message: impl Into<String>) -> Self {
        Self { fixed: true, fix: None, fixable: false, ..self.ok(message) }
    }

    /// Mending was tried and failed: the state stays, the reason joins the message.
    fn not_mended(self, error: &Error) -> Self {
        let message = format!("{}; mending it failed: {}", self.message, brief(error));
        Self { message, fixable: false, ..self }
    }
}

/// What is examined.
pub struct Patient<'a> {
    /// The configuration with its catalogue, or why there is none.
    pub config: Result<(&'a Config, &'a Catalogue), &'a Error>,
    /// What the engine said, or why it said nothing.
    pub engine: Result<&'a Seen, &'a Error>,
    /// IANA name of the host's zone, when it has one.
    pub host_timezone: Option<&'a str>,
    /// The host's clock.
    pub now: DateTime<Utc>,
    /// Mend what is safe to mend.
    pub fix: bool,
}

impl Patient<'_> {
    fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok().map(|(config, _)| *config)
    }
}

/// Looks at everything; the order is that of the report.
pub async fn examine(patient: &Patient<'_>) -> Vec<Check> {
    let (config, budget) = budget(patient);
    let budget = budget.as_ref();
    let mut checks = vec![config];
    checks.extend(engine::checks(patient));
    checks.extend(processor::checks(patient, budget));
    checks.extend(machine::checks(patient, budget));
    checks.extend(kernel::checks(budget, patient.fix, &kernel::Places::default()));
    let own = own_addresses::read();
    checks.extend(proxy_ports::checks(patient, &own));
    let (names, sync) = tokio::join!(dns::checks(patient, &own), clock::sync());
    checks.extend(names);
    checks.extend([clock::check(patient), sync, zone::check(patient)]);
    checks.extend(storage::checks(patient));
    checks.extend(guard::checks(patient));
    checks.extend(card::checks(patient));
    checks
}

/// The check of config.yml, and what it asks of the machine. A broken minion is left out and told.
fn budget(patient: &Patient<'_>) -> (Check, Option<Budget>) {
    let check = Check::new("config", "config.yml", "Everything that Summoner does follows from this file.");
    let (config, catalogue) = match &patient.config {
        Ok(found) => *found,
        Err(error) => {
            const SHOWN: usize = 3;
            let mut faults: Vec<String> = error.faults.iter().take(SHOWN).map(crate::fault::Fault::line).collect();
            if error.faults.len() > SHOWN {
                faults.push(format!("and {} more", error.faults.len() - SHOWN));
            }
            let message = if faults.is_empty() { brief(error) } else { faults.join("; ") };
            let next = error.next.first().cloned().unwrap_or_else(|| "summoner config check".into());
            return (check.failed(message).fix(next), None);
        }
    };
    let memory = state::load(&config.layout);
    let (mut budget, mut broken) = (Budget::default(), Vec::new());
    for instance in std::iter::once(&config.proxy_instance).chain(&config.instances) {
        let known = memory.as_ref().ok().and_then(|memory| memory.instance(&instance.id));
        match catalogue.get(&instance.minion) {
            Ok(minion) => budget.add(&instance.id.to_string(), &minion.needs, known.is_some_and(|known| known.installed_at.is_some())),
            Err(error) => broken.push(brief(&error)),
        }
    }
    let check = match broken.is_empty() {
        true => check.ok(format!("{}, {}", config.path.display(), count(config.instances.len(), "application"))),
        false => check.failed(broken.join("; ")).fix("summoner minions lint"),
    };
    (check, Some(budget))
}

/// Message and cause in one line.
fn brief(error: &Error) -> String {
    match error.cause.as_deref().and_then(|cause| cause.lines().next()) {
        Some(cause) => format!("{}: {cause}", error.message),
        None => error.message.clone(),
    }
}

/// "1 name", "3 names".
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A small text of the kernel or the system; None when it is absent.
fn read_text(path: &str) -> Result<Option<String>> {
    const MOST: u64 = 16 << 20;
    let bytes = disk::read_if_there(Path::new(path), MOST)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;
