//! What is known of authorities: what they signed, what they refused, and when they may be asked again.
//!
//! Plain values; `crate::acme` keeps them on disk. How long a refusal keeps us quiet is decided here, without chance:
//! the same failure of the same certificate always waits equally long.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{part, spread};

/// The first pause after a failure.
const FIRST: TimeDelta = TimeDelta::minutes(1);
/// The first after a limit whose end the authority does not tell.
const FIRST_LIMIT: TimeDelta = TimeDelta::hours(1);
/// Each further one is as many times longer: 1 m, 4 m, 16 m, 64 m … keeps below five failures an hour.
const FACTOR: i32 = 4;
/// The longest; Let's Encrypt's guide asks for at most one try a day in the end.
const LONGEST: TimeDelta = TimeDelta::days(1);
/// The longest while an authority is down or busy: it comes back.
const LONGEST_DOWN: TimeDelta = TimeDelta::hours(1);
/// A pause is never longer than this part of what is left of the certificate's life.
const PART_OF_LEFT: f64 = 0.125;
/// Fingerprints that are kept of each certificate.
const FINGERPRINTS: usize = 16;
/// Nothing older counts for any limit.
const FORGOTTEN: TimeDelta = TimeDelta::days(8);

/// Whose matter a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The name's: DNS, port 80, CAA. Another authority would find the same.
    Name,
    /// The authority is down or in trouble.
    Authority,
    /// The authority wants to be left alone.
    Limit,
    /// Something that the person wrote: profile, e-mail address, account.
    Settings,
    /// The account is unknown there.
    Account,
    /// This machine's: disk, memory, hook.
    Here,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Form of the file.
    pub version: u32,
    /// By stem.
    #[serde(default)]
    pub certificates: BTreeMap<String, Known>,
    /// By directory.
    #[serde(default)]
    pub authorities: BTreeMap<String, Log>,
}

/// What is known of one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Fingerprints of what was issued to us, the newest last: nothing else is ever overwritten.
    #[serde(default)]
    pub issued: Vec<String>,
    /// The one that the proxy was told of last.
    #[serde(default)]
    pub told: Option<String>,
    /// The directory that signed the newest.
    #[serde(default)]
    pub directory: Option<String>,
    /// What the authority suggests for its renewal.
    #[serde(default)]
    pub suggested: Option<Suggested>,
    /// When the authority is asked for it again.
    #[serde(default)]
    pub look_again: Option<DateTime<Utc>>,
    /// Tries since the last success, by directory; under "" those that say nothing of any authority.
    #[serde(default)]
    pub tries: BTreeMap<String, Tries>,
    /// What went wrong last; gone after a success.
    #[serde(default)]
    pub last_error: Option<LastError>,
    /// The settings that a test authority signed for.
    #[serde(default)]
    pub proven: Option<String>,
    /// The settings of the tries.
    #[serde(default)]
    pub digest: Option<String>,
}

/// The renewal information of a certificate (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    /// The certificate that it is about.
    pub fingerprint: String,
    /// The window.
    pub start: DateTime<Utc>,
    /// Its end.
    pub end: DateTime<Utc>,
    /// Where the authority explains it.
    #[serde(default)]
    pub explanation: Option<String>,
}

/// Failures in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// How many.
    pub failures: u32,
    /// No try before.
    pub not_before: DateTime<Utc>,
    /// The authority itself said so: not even a person may hurry it.
    #[serde(default)]
    pub told: bool,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: DateTime<Utc>,
    /// The authority's name; none when none was asked.
    #[serde(default)]
    pub authority: Option<String>,
    /// Whose matter.
    pub blame: Blame,
    /// The sentence.
    pub said: String,
    /// What to do.
    #[serde(default)]
    pub next: Option<String>,
}

/// What one authority was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// New orders.
    #[serde(default)]
    pub orders: Vec<DateTime<Utc>>,
    /// Failed authorisations by name.
    #[serde(default)]
    pub failed: BTreeMap<String, Vec<DateTime<Utc>>>,
    /// Signed certificates: their names joined by commas, sorted.
    #[serde(default)]
    pub signed: Vec<(DateTime<Utc>, String)>,
    /// Since it does not work.
    #[serde(default)]
    pub down: Option<Tries>,
}

/// A failure, as the memory takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The authority's directory and name; None when none was asked.
    pub authority: Option<(&'a str, &'a str)>,
    /// Whose matter.
    pub blame: Blame,
    /// The sentence.
    pub said: &'a str,
    /// What to do.
    pub next: Option<&'a str>,
    /// How long the authority wants to be left alone.
    pub wait: Option<Duration>,
    /// The names that an authority looked at in vain.
    pub names: &'a [String],
    /// The end of the certificate that is there.
    pub ends_at: Option<DateTime<Utc>>,
    /// The settings of the try.
    pub digest: &'a str,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'a> {
    /// By whom.
    pub directory: &'a str,
    /// The certificate.
    pub fingerprint: &'a str,
    /// Its names.
    pub names: &'a [String],
    /// It replaces another by the authority's own suggestion: it counts for no limit.
    pub renewal: bool,
}

impl Memory {
    /// Whether a certificate was issued to us for any stem.
    #[must_use]
    pub fn issued(&self, fingerprint: &str) -> bool {
        self.certificates.values().any(|known| known.issued.iter().any(|issued| issued == fingerprint))
    }

    /// Notes that an order is about to be placed.
    pub fn ordered(&mut self, directory: &str, now: DateTime<Utc>) {
        self.authorities.entry(directory.to_owned()).or_default().orders.push(now);
        self.forget(now);
    }

    /// Notes that a test authority signed for these settings.
    pub fn proven(&mut self, stem: &str, digest: &str) {
        self.certificates.entry(stem.to_owned()).or_default().proven = Some(digest.to_owned());
    }

    /// Notes a certificate.
    pub fn signed(&mut self, stem: &str, signed: &Signed<'_>, now: DateTime<Utc>) {
        let known = self.certificates.entry(stem.to_owned()).or_default();
        known.tries.clear();
        (known.last_error, known.suggested, known.look_again) = (None, None, None);
        known.directory = Some(signed.directory.to_owned());
        known.issued.retain(|issued| issued != signed.fingerprint);
        known.issued.push(signed.fingerprint.to_owned());
        let surplus = known.issued.len().saturating_sub(FINGERPRINTS);
        known.issued.drain(..surplus);
        let log = self.authorities.entry(signed.directory.to_owned()).or_default();
        log.down = None;
        if !signed.renewal {
            log.signed.push((now, set(signed.names)));
        }
        self.forget(now);
    }

    /// Notes a failure, and decides how long to wait.
    pub fn failed(&mut self, stem: &str, failed: &Failed<'_>, now: DateTime<Utc>) {
        let directory = failed.authority.map(|(directory, _)| directory);
        if let Some(directory) = directory {
            let log = self.authorities.entry(directory.to_owned()).or_default();
            for name in failed.names.iter().filter(|_| failed.blame == Blame::Name) {
                log.failed.entry(name.clone()).or_default().push(now);
            }
            if failed.blame == Blame::Authority {
                let tries = log.down.get_or_insert_default();
                pause(tries, directory, failed, LONGEST_DOWN, now);
            }
        }
        let known = self.certificates.entry(stem.to_owned()).or_default();
        if known.digest.as_deref() != Some(failed.digest) {
            known.tries.retain(|_, tries| tries.told);
            known.digest = Some(failed.digest.to_owned());
        }
        known.last_error = Some(LastError {
            at: now,
            authority: failed.authority.map(|(_, name)| name.to_owned()),
            blame: failed.blame,
            said: failed.said.to_owned(),
            next: failed.next.map(str::to_owned),
        });
        let (key, longest) = match failed.blame {
            Blame::Name | Blame::Here => ("", LONGEST),
            Blame::Authority => (directory.unwrap_or_default(), LONGEST_DOWN),
            Blame::Limit | Blame::Settings | Blame::Account => (directory.unwrap_or_default(), LONGEST),
        };
        // The way must be proven again before a real authority hears of it.
        known.proven = None;
        pause(known.tries.entry(key.to_owned()).or_default(), stem, failed, longest, now);
        self.forget(now);
    }

    /// What counts for no limit any more.
    fn forget(&mut self, now: DateTime<Utc>) {
        let since = now - FORGOTTEN;
        for log in self.authorities.values_mut() {
            log.orders.retain(|at| *at > since);
            log.signed.retain(|(at, _)| *at > since);
            log.failed.values_mut().for_each(|times| times.retain(|at| *at > since));
            log.failed.retain(|_, times| !times.is_empty());
        }
    }
}

/// Names as one text that is the same for the same set.
pub(super) fn set(names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.join(",")
}

fn pause(tries: &mut Tries, salt: &str, failed: &Failed<'_>, longest: TimeDelta, now: DateTime<Utc>) {
    let doubled = FACTOR.checked_pow(tries.failures.min(8)).unwrap_or(i32::MAX);
    let longest = match failed.ends_at.filter(|ends| *ends > now) {
        Some(ends) => longest.min(part(ends - now, PART_OF_LEFT)).max(FIRST),
        None => longest,
    };
    let first = if failed.blame == Blame::Limit { FIRST_LIMIT } else { FIRST };
    let pause = (first * doubled).min(longest);
    tries.failures = tries.failures.saturating_add(1);
    let pause = pause + part(pause, spread(&format!("{salt}:{}", tries.failures)) / 4.0);
    let asked = failed.wait.and_then(|wait| TimeDelta::from_std(wait).ok()).filter(|wait| *wait > TimeDelta::zero());
    tries.told = asked.is_some();
    // The authority knows how long its pause is; a shorter one of ours would be asked in vain.
    tries.not_before = now + asked.map_or(pause, |asked| asked.max(FIRST.min(pause)));
}
