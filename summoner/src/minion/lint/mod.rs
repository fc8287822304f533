//! What the catalogue promises about every minion, checked: `summoner minions lint` and the test that walks `minions/`.
//!
//! Reading finds what is malformed; this finds what is well formed and would still break a promise: data that no backup
//! sees, a secret in an argument, an image that changes under its tag.

mod services;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{Action, Exec, Inputs, LogPlace, Minion, Request, Variables};
use crate::compose::{self, Project};
use crate::fault::Fault;
use crate::layout::Layout;
use crate::name::InstanceId;

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The minion's name.
    pub minion: String,
    /// Where: `services.db.healthcheck`, `administrator.create[0]`.
    pub place: String,
    /// Lower case, no full stop, says what would be right.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.minion, self.place, self.message)
    }
}

/// Reads a minion's Compose file with placeholder values and lints both files.
///
/// # Errors
/// What is malformed in the Compose file, or missing in it.
pub fn inspect(minion: &Minion) -> Result<Vec<Finding>, Vec<Fault>> {
    let variables = placeholders(minion);
    let input = compose::Input {
        source: std::sync::Arc::clone(&minion.compose),
        folder: Path::new("/"),
        project: Some(&minion.name),
        variables: variables.all(),
        profiles: &[],
        home: None,
    };
    let loaded = compose::load(&input)?;
    if !loaded.warnings.is_empty() {
        return Err(loaded.warnings);
    }
    Ok(lint(minion, &loaded.project))
}

/// Checks a minion against its Compose project, which was resolved with the variables of [`placeholders`].
#[must_use]
pub fn lint(minion: &Minion, project: &Project) -> Vec<Finding> {
    let mut lint = Lint { minion, project, variables: placeholders(minion), findings: Vec::new() };
    lint.page();
    lint.actions();
    for (name, service) in &project.services {
        services::check(&mut lint, name, service);
    }
    services::check_names(&mut lint);
    services::check_versions(&mut lint);
    storage::check(&mut lint);
    lint.findings.sort();
    lint.findings.dedup();
    lint.findings
}

/// Values that stand for themselves, so that a secret is recognised wherever it lands.
#[must_use]
pub fn placeholders(minion: &Minion) -> Variables {
    let layout = Layout { files: "/srv/files".into(), databases: "/srv/databases".into() };
    let id: Option<InstanceId> = format!("{}-example.org", minion.name).parse().ok();
    let secrets: BTreeMap<String, String> = minion.secrets.iter().map(|secret| (secret.name.clone(), secret_value(&secret.name))).collect();
    let host = if minion.subdomain == "@" { "example.org".into() } else { format!("{}.example.org", minion.subdomain) };
    let filled = id.and_then(|id| {
        let inputs = Inputs {
            id: &id,
            minion,
            layout: &layout,
            host: Some(&host),
            https_port: 443,
            http_port: 80,
            proxy_address: None,
            proxy_subnet: "10.0.0.0/24",
            email: "person@example.org",
            timezone: "UTC",
        };
        Variables::new(&inputs, &secrets).ok()
    });
    // Reading has refused every name and text that could fail here.
    filled.unwrap_or_default()
}

fn secret_value(name: &str) -> String {
    format!("placeholder-of-{name}")
}

/// One run.
struct Lint<'a> {
    minion: &'a Minion,
    project: &'a Project,
    variables: Variables,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn find(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { minion: self.minion.name.clone(), place: place.into(), message: message.into() });
    }

    /// Whether a resolved text holds the value of a secret.
    fn holds_secret(&self, text: &str) -> bool {
        self.minion.secrets.iter().any(|secret| text.contains(&secret_value(&secret.name)))
    }

    /// What people and the planner need to know.
    fn page(&mut self) {
        let minion = self.minion;
        if minion.summary.chars().count() > 80 || minion.summary.ends_with('.') {
            self.find("summary", "one line of at most 80 characters without a full stop");
        }
        if minion.needs.memory_bytes == 0 || minion.needs.disk_bytes == 0 {
            self.find("needs", "say how much memory and disk a small team needs");
        }
        if minion.routes.is_empty() {
            return;
        }
        if minion.smoke.is_none() {
            self.find("smoke", "a routed minion needs a probe that proves that a person could work");
        }
        // Without a database there may be no accounts; with one there are.
        if !minion.databases.is_empty() && minion.administrator.is_none() {
            self.find("administrator", "say how the first administrator comes to be before the route opens");
        }
        for route in &minion.routes {
            self.service_exists("routes", &route.service);
        }
        for log in minion.sign_in.iter().filter_map(|sign_in| sign_in.log.as_ref()) {
            if let LogPlace::Service(service) = &log.place {
                self.service_exists("sign_in.log", service);
            }
        }
    }

    fn actions(&mut self) {
        let minion = self.minion;
        let administrator = minion.administrator.iter();
        for request in administrator.clone().flat_map(|administrator| &administrator.exists) {
            self.request("administrator.exists", request);
        }
        let groups = [
            ("administrator.create", administrator.flat_map(|administrator| &administrator.create).collect::<Vec<_>>()),
            ("configure", minion.configure.iter().collect()),
        ];
        for (place, actions) in groups {
            for action in actions {
                match action {
                    Action::Exec(exec) => self.exec(place, exec),
                    Action::Request(request) => self.request(place, request),
                }
            }
        }
        let dump = minion.dump.iter();
        let lists: [(&str, Vec<&Exec>); 6] = [
            ("quiesce", minion.quiesce.iter().collect()),
            ("unquiesce", minion.unquiesce.iter().collect()),
            ("after_restore", minion.after_restore.iter().collect()),
            ("versions.settled", minion.versions.settled.iter().collect()),
            ("dump.create", dump.clone().flat_map(|dump| &dump.create).collect()),
            ("dump.restore", dump.flat_map(|dump| &dump.restore).collect()),
        ];
        for (place, execs) in lists {
            for exec in execs {
                self.exec(place, exec);
            }
        }
    }

    fn exec(&mut self, place: &str, exec: &Exec) {
        self.service_exists(place, &exec.service);
        match self.variables.exec(exec) {
            Err(error) => self.find(place, error.to_string()),
            Ok(filled) if filled.command.iter().any(|word| self.holds_secret(word)) => {
                self.find(place, "a secret stands in an argument, which every process can read: use stdin or environment");
            }
            Ok(_) => {}
        }
    }

    fn request(&mut self, place: &str, request: &Request) {
        self.service_exists(place, &request.service);
        match self.variables.request(request) {
            Err(error) => self.find(place, error.to_string()),
            Ok(filled) if self.holds_secret(&filled.path) => {
                self.find(place, "a secret stands in the path, which servers log: use the body or a header");
            }
            Ok(_) => {}
        }
    }

    fn service_exists(&mut self, place: &str, service: &str) {
        if !self.project.services.contains_key(service) {
            let known: Vec<&str> = self.project.services.keys().map(String::as_str).collect();
            self.find(place, format!("no service is named `{service}`; there are: {}", known.join(", ")));
        }
    }
}
