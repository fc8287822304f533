//! What to do for one certificate of an authority on the network: keep, wait, or ask whom.

use chrono::{DateTime, Utc};

use super::memory::{Known, Memory};
use super::wanted::{Wanted, covers};
use super::{Observed, day, limits, minute, renewal};
use crate::config::certificates::Staging;

/// What lies where the certificate belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lying {
    /// Nothing.
    Nothing,
    /// A certificate of the own authority, which stands in.
    Placeholder(Observed),
    /// One that an authority gave us.
    Ours(Observed),
    /// A person's own: never overwritten.
    Theirs(Observed),
    /// A person's own that cannot be served, and why.
    Broken(String),
}

/// What to do, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Keep {
        /// When it is renewed; None is never, by us.
        until: Option<DateTime<Utc>>,
        /// Why.
        reason: String,
    },
    /// It is due, and nobody may be asked yet.
    Wait {
        /// When somebody may.
        until: DateTime<Utc>,
        /// Why not now.
        reason: String,
    },
    /// An authority is asked.
    Ask {
        /// Which one, by its place in the list.
        authority: usize,
        /// Its test authority, to prove the way.
        staging: bool,
        /// It replaces one by the authority's own suggestion (RFC 9773).
        renewal: bool,
        /// Why.
        reason: String,
    },
}

impl Lying {
    /// The certificate that is served.
    #[must_use]
    pub fn observed(&self) -> Option<&Observed> {
        match self {
            Self::Placeholder(observed) | Self::Ours(observed) | Self::Theirs(observed) => Some(observed),
            Self::Nothing | Self::Broken(_) => None,
        }
    }
}

/// Decides; `force` is a person who asks for a new one now. Not even that overrules what an authority said.
#[must_use]
pub fn turn(wanted: &Wanted, lying: &Lying, memory: &Memory, force: bool, now: DateTime<Utc>) -> Turn {
    let unknown = Known::default();
    let known = memory.certificates.get(&wanted.stem).unwrap_or(&unknown);
    let why = match due(wanted, lying, known, now) {
        Ok(keep) if !force || matches!(lying, Lying::Theirs(_) | Lying::Broken(_)) => return keep,
        Ok(_) => "a person asked for a new one".to_owned(),
        Err(why) => why,
    };
    let mut waiting: Option<(DateTime<Utc>, String)> = None;
    for authority in 0..wanted.authorities.len() {
        let staging = stages(wanted, lying, known, authority);
        let Some(directory) = wanted.directory(authority, staging) else { continue };
        let renewal = !staging && follows(lying, known, directory);
        match held(wanted, known, memory, directory, renewal, force, now) {
            None => return Turn::Ask { authority, staging, renewal, reason: why },
            Some(held) if waiting.as_ref().is_none_or(|(until, _)| held.0 < *until) => waiting = Some(held),
            Some(_) => {}
        }
    }
    match waiting {
        Some((until, held)) => Turn::Wait { until, reason: format!("{why}; {held}") },
        None => Turn::Keep { until: None, reason: format!("{why}; no authority is configured") },
    }
}

/// Why a new one is needed, or the verdict that none is.
fn due(wanted: &Wanted, lying: &Lying, known: &Known, now: DateTime<Utc>) -> Result<Turn, String> {
    let keep = |reason: String| Ok(Turn::Keep { until: None, reason });
    let observed = match lying {
        Lying::Nothing => return Err("there is no certificate yet".to_owned()),
        Lying::Placeholder(_) => return Err("one of the own authority stands in".to_owned()),
        Lying::Broken(why) => return keep(format!("these are your own files and are left alone, but they cannot be served: {why}")),
        Lying::Theirs(observed) if now >= observed.not_after => {
            return keep(format!("these are your own files and are left alone, but the certificate ended on {}", day(observed.not_after)));
        }
        Lying::Theirs(observed) => {
            let missing: Vec<&str> = wanted.names.iter().filter(|name| !covers(&observed.names, name)).map(String::as_str).collect();
            let text = format!("your own file, valid until {}", day(observed.not_after));
            return keep(if missing.is_empty() { text } else { format!("{text}, but not for {}", missing.join(", ")) });
        }
        Lying::Ours(observed) => observed,
    };
    if let Some(name) = wanted.names.iter().find(|name| !covers(&observed.names, name) && !observed.names.contains(name)) {
        return Err(format!("it is not valid for {name}"));
    }
    let test = |authority: usize| {
        let directory = wanted.directory(authority, false);
        let staging = wanted.directory(authority, true);
        known.directory.as_deref() == staging && directory != staging
    };
    if (0..wanted.authorities.len()).any(test) {
        return Err("a test authority signed it".to_owned());
    }
    if now >= observed.not_after {
        return Err(format!("it ended on {}", day(observed.not_after)));
    }
    let (at, reason) = renewal(observed, known.suggested.as_ref(), wanted.renew_after_days);
    if now >= at {
        return Err(format!("its renewal began at {}: {}", minute(at), reason.trim_end_matches(" then")));
    }
    Ok(Turn::Keep { until: Some(at), reason: format!("valid until {}, renewed at {}: {reason}", day(observed.not_after), minute(at)) })
}

/// Whether the test authority comes first: for names that were never on a certificate, and after a failure.
fn stages(wanted: &Wanted, lying: &Lying, known: &Known, authority: usize) -> bool {
    let there = wanted.authorities.get(authority).is_some_and(|authority| authority.staging.is_some());
    let proven = known.proven.as_deref() == Some(wanted.digest().as_str());
    let held = |observed: &Observed| wanted.names.iter().all(|name| covers(&observed.names, name) || observed.names.contains(name));
    let renewed = matches!(lying, Lying::Ours(observed) if held(observed));
    let fresh = !renewed || known.tries.values().any(|tries| tries.failures > 0);
    wanted.staging == Staging::First && there && fresh && !proven
}

/// Whether the new one replaces one that this authority signed and suggests to replace.
fn follows(lying: &Lying, known: &Known, directory: &str) -> bool {
    let Lying::Ours(observed) = lying else { return false };
    known.directory.as_deref() == Some(directory)
        && known.suggested.as_ref().is_some_and(|suggested| suggested.fingerprint == observed.fingerprint)
}

/// Until when this authority is not asked, and why; None is now.
fn held(
    wanted: &Wanted,
    known: &Known,
    memory: &Memory,
    directory: &str,
    renewal: bool,
    force: bool,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, String)> {
    let same = known.digest.as_deref() == Some(wanted.digest().as_str());
    let log = memory.authorities.get(directory);
    let own = ["", directory].into_iter().filter_map(|key| known.tries.get(key)).filter(|tries| tries.told || same);
    let tries = own.chain(log.and_then(|log| log.down.as_ref())).filter(|tries| tries.not_before > now && (tries.told || !force));
    let paused = tries.max_by_key(|tries| tries.not_before).map(|tries| {
        let who = if tries.told { "the authority wants to be left alone" } else { "waiting after the last failure" };
        (tries.not_before, format!("{who} until {}", minute(tries.not_before)))
    });
    let limit = log.and_then(|log| limits::free_at(directory, log, &wanted.names, renewal, now));
    paused.into_iter().chain(limit).max_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests;
