//! One certificate as people and programs are told of it: `summoner certs`, and the state of the proxy.
//!
//! Words and times only; who shows it decides how. Called by the command line and by `crate::proxy`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Outcome, What};
use crate::plan::cert::{Lying, Observed};

/// One host, as the contract of `certs --json` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    /// The host.
    pub host: String,
    /// What it is, or will be, valid for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: Option<String>,
    /// `own`, `network`, `stand-in`, `person`, `broken`, `absent`.
    pub state: String,
    /// Its last moment.
    pub not_after: Option<String>,
    /// When it is renewed.
    pub renew_at: Option<String>,
    /// Why it stands so.
    pub reason: String,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<String>,
    /// When it is tried again.
    pub next_try_at: Option<String>,
    /// What a person can do.
    pub next: Option<String>,
}

impl Shown {
    /// A host with what lies there for it, and nothing to come.
    #[must_use]
    pub fn lying(host: &str, state: &str, observed: Option<&Observed>, reason: impl Into<String>) -> Self {
        Self {
            host: host.to_owned(),
            names: observed.map(|observed| observed.names.clone()).unwrap_or_default(),
            issuer: observed.map(|observed| observed.issuer.clone()),
            state: state.to_owned(),
            not_after: observed.map(|observed| time(observed.not_after)),
            renew_at: None,
            reason: reason.into(),
            last_error: None,
            last_error_at: None,
            next_try_at: None,
            next: None,
        }
    }

    /// A host that an authority on the network signs for.
    #[must_use]
    pub fn tended(host: &str, lying: &Lying, outcome: &Outcome) -> Self {
        let observed = lying.observed();
        let state = match lying {
            Lying::Nothing => "absent",
            Lying::Placeholder(_) => "stand-in",
            Lying::Ours(_) => "network",
            Lying::Theirs(_) => "person",
            Lying::Broken(_) => "broken",
        };
        let error = outcome.error.as_ref();
        let who = |name: &Option<String>| name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        Self {
            names: observed.map_or_else(|| outcome.names.clone(), |observed| observed.names.clone()),
            renew_at: outcome.next_at.filter(|_| outcome.what == What::Kept).map(time),
            last_error: error.map(|error| format!("{}{}", who(&error.authority), error.said)),
            last_error_at: error.map(|error| time(error.at)),
            next_try_at: outcome.next_at.filter(|_| outcome.what != What::Kept).map(time),
            next: error.and_then(|error| error.next.clone()),
            ..Self::lying(host, state, observed, outcome.reason.clone())
        }
    }
}

/// As programs read it.
#[must_use]
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
