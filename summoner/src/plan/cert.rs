//! Whether a host's certificate stays or is issued anew, and why. Pure; `crate::acme` reads, issues and writes.
//!
//! [`decide`] is for the own authority, which may be asked at any time; [`turn`] for authorities on the network, which
//! must never be asked in vain: [`memory`] is what is known of them, [`limits`] what they publish.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::name::Domain;

mod containers;
pub mod limits;
pub mod memory;
mod renewal;
pub mod turn;
mod wanted;

pub use containers::{All, of_all};
pub use memory::{Blame, Memory};
pub use renewal::renewal;
pub use turn::{Lying, Turn};
pub use wanted::{HTTP_PORT, Wanted, covers, hosts, of_hosts, of_routes, other_port};

/// A certificate's renewal begins when less than this part of its life is left, whatever its length (certmagic's rule).
const LEFT_PART: i32 = 3;

/// A certificate as it lies on disk, usable with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The host it is stored for.
    pub host: Domain,
    /// The names it is valid for.
    pub names: Vec<String>,
    /// Who signed it, as a person reads it.
    pub issuer: String,
    /// The key that signed it (authority key identifier, hexadecimal); two authorities may have the same name.
    pub issuer_key: String,
    /// Its first moment.
    pub not_before: DateTime<Utc>,
    /// Its last moment.
    pub not_after: DateTime<Utc>,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

/// Who signs for a host in place of the own authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// An authority on the network; until it did, the own one stands in.
    Network,
    /// A person, by own files.
    Person,
}

/// What to do, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep {
        /// Why.
        reason: String,
    },
    /// A new one is needed.
    Issue {
        /// Why.
        reason: String,
    },
}

/// Decides for one host: `names` is what the certificate must be valid for (the host first), `issuer_key` the key that
/// must have signed it, None any.
#[must_use]
pub fn decide(names: &[Domain], observed: Option<&Observed>, issuer_key: Option<&str>, now: DateTime<Utc>) -> Verdict {
    let issue = |reason: String| Verdict::Issue { reason };
    let Some(observed) = observed else {
        return issue("there is no usable certificate".to_owned());
    };
    let wanted: BTreeSet<&str> = names.iter().map(Domain::as_str).collect();
    let held: BTreeSet<&str> = observed.names.iter().map(String::as_str).collect();
    if wanted != held {
        let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        return issue(format!("it is for {}, wanted is {}", list(held), list(wanted)));
    }
    if issuer_key.is_some_and(|key| key != observed.issuer_key) {
        return issue(format!("another authority signed it: {}", observed.issuer));
    }
    if now < observed.not_before {
        return issue(format!("it is not valid before {}: was the clock wrong?", day(observed.not_before)));
    }
    if now >= observed.not_after {
        return issue(format!("it ended on {}", day(observed.not_after)));
    }
    let renew_at = renew_at(observed);
    if now >= renew_at {
        return issue(format!("less than a third of its life is left: it ends on {}", day(observed.not_after)));
    }
    Verdict::Keep { reason: format!("valid until {}, renewed from {}", day(observed.not_after), day(renew_at)) }
}

/// Decides for a host that somebody else signs for: only what would keep it from being served at all is mended.
#[must_use]
pub fn stand_in(signer: Signer, observed: Option<&Observed>, now: DateTime<Utc>) -> Verdict {
    match (signer, observed) {
        (Signer::Person, _) => Verdict::Keep { reason: "it is your own file".to_owned() },
        (Signer::Network, None) => Verdict::Issue { reason: "stands in until an authority on the network has signed".to_owned() },
        (Signer::Network, Some(observed)) if now >= observed.not_after && observed.issuer.starts_with(OWN) => {
            Verdict::Issue { reason: format!("the one that stands in ended on {}", day(observed.not_after)) }
        }
        (Signer::Network, Some(_)) => Verdict::Keep { reason: "an authority on the network signs for it".to_owned() },
    }
}

/// How the own authority is called, in every installation.
pub const OWN: &str = "Summoner CA ";

/// When its renewal begins.
#[must_use]
pub fn renew_at(observed: &Observed) -> DateTime<Utc> {
    observed.not_after - (observed.not_after - observed.not_before) / LEFT_PART
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A number from 0 up to 1 that is always the same for the same text: spreads what would otherwise happen at once.
fn spread(text: &str) -> f64 {
    let hash = Sha256::digest(text);
    let number = hash.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// A part of a length of time; the part is 0 to 1.
fn part(length: TimeDelta, part: f64) -> TimeDelta {
    TimeDelta::seconds((length.num_seconds() as f64 * part) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + day)
    }

    fn observed() -> Observed {
        Observed {
            host: "a.fr".parse().unwrap(),
            names: vec!["www.a.fr".to_owned(), "a.fr".to_owned()],
            issuer: "Summoner CA a.fr".to_owned(),
            issuer_key: "01".to_owned(),
            not_before: at(0),
            not_after: at(90),
            fingerprint: "ab".to_owned(),
        }
    }

    fn reason(names: &[&str], observed: Option<&Observed>, key: Option<&str>, now: DateTime<Utc>) -> String {
        let names: Vec<Domain> = names.iter().map(|name| name.parse().unwrap()).collect();
        match decide(&names, observed, key, now) {
            Verdict::Keep { reason } => format!("keep: {reason}"),
            Verdict::Issue { reason } => format!("issue: {reason}"),
        }
    }

    #[test]
    fn every_verdict_has_its_reason() {
        let (both, cert) = (["a.fr", "www.a.fr"], observed());
        let lines = [
            reason(&both, None, Some("01"), at(1)),
            reason(&["a.fr"], Some(&cert), Some("01"), at(1)),
            reason(&both, Some(&cert), Some("02"), at(1)),
            reason(&both, Some(&cert), Some("01"), at(-1)),
            reason(&both, Some(&cert), Some("01"), at(0)),
            reason(&both, Some(&cert), None, at(60) - TimeDelta::seconds(1)),
            reason(&both, Some(&cert), Some("01"), at(60)),
            reason(&both, Some(&cert), Some("01"), at(90)),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        issue: there is no usable certificate
        issue: it is for a.fr, www.a.fr, wanted is a.fr
        issue: another authority signed it: Summoner CA a.fr
        issue: it is not valid before 2024-10-04: was the clock wrong?
        keep: valid until 2025-01-02, renewed from 2024-12-03
        keep: valid until 2025-01-02, renewed from 2024-12-03
        issue: less than a third of its life is left: it ends on 2025-01-02
        issue: it ended on 2025-01-02
        ");
    }
}
