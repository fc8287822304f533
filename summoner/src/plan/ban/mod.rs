//! Who is locked out, for how long, and why: events in, verdicts out. `crate::ban` hears the events and acts.
//!
//! Pure. An address is a subscriber's: one IPv4 address, or the /64 of an IPv6 address. Everything is bounded: tracked
//! subjects, failures remembered of each, bans at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;

use crate::config::Bans;

pub mod line;
pub mod proof;
pub mod subject;

pub use proof::{Proof, Verdict as ProofVerdict};
pub use subject::Subject;

/// How many subjects are remembered at once; who was seen longest ago is forgotten first.
pub const MOST_SUBJECTS: usize = 50_000;
/// How many are locked out at once: every nginx worker looks them up, and the list is read whole.
pub const MOST_BANS: usize = 10_000;
/// Failed sign-ins that outlive a restart; of a flood the newest.
pub const MOST_FAILURES_KEPT: usize = 20_000;
/// Forgetting happens in batches, so that a flood of addresses costs little for each.
const BATCH: usize = MOST_SUBJECTS / 16;

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It failed.
    Failed,
    /// It succeeded.
    Succeeded,
}

/// One sign-in that somebody saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose it was, as nginx or the application says.
    pub address: IpAddr,
    /// Where: an instance, or a host that is none.
    pub instance: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What the machine says about itself, for [`Book::hear`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    /// Addresses of this machine and gateways of the engine's networks; None is not known, and then nobody is locked out.
    pub own: Option<BTreeSet<IpAddr>>,
    /// Proxies in front of this one.
    pub trusted: Vec<IpNet>,
}

/// What came of an event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One more failure, of so many that are needed.
    Counted {
        /// In the window, with this one.
        failures: u32,
    },
    /// A sign-in succeeded: earlier failures there are forgotten.
    Reset,
    /// Locked out from now on.
    Banned(Ban),
    /// Locked out already.
    Already,
    /// Not counted.
    Ignored(Why),
}

/// Why an event does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Bans are switched off.
    Off,
    /// Private, loopback, link-local, shared (RFC 6598) or no address of a single host.
    Private,
    /// This machine's own address, or the gateway of a network: a proxy of the engine's hides the client.
    Gateway,
    /// `bans.allow`.
    Allowed,
    /// A proxy in front of this one.
    Trusted,
    /// Addresses of this machine are not known, so a gateway could not be told from a client.
    NotProven,
    /// Nothing to forget.
    Nothing,
}

/// One lock-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub subject: Subject,
    /// To when.
    pub until: DateTime<Utc>,
    /// 1 is the first.
    pub level: u32,
    /// The sentence for people.
    pub reason: String,
    /// Where it happened last.
    pub instance: String,
    /// How many failures led to it.
    pub failures: u32,
}

/// One failed sign-in that is no ban yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose.
    pub subject: Subject,
    /// When.
    pub at: DateTime<Utc>,
    /// Where.
    pub instance: String,
}

/// What is remembered of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Record {
    /// Failures in the window, oldest first.
    failures: VecDeque<(DateTime<Utc>, String)>,
    seen: DateTime<Utc>,
    ban: Option<Ban>,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    records: BTreeMap<Subject, Record>,
}

impl Book {
    /// A book with the bans of an earlier one, ended or not: their levels count.
    #[must_use]
    pub fn with(bans: Vec<Ban>, policy: &Bans, now: DateTime<Utc>) -> Self {
        let mut book = Self::default();
        for mut ban in bans.into_iter().take(MOST_SUBJECTS) {
            // A clock that was wrong when it was written must not lock out for years.
            ban.until = ban.until.min(later(now, longest(policy)));
            let record = Record { seen: ban.until.min(now), ban: Some(ban.clone()), ..Record::default() };
            book.records.insert(ban.subject, record);
        }
        book
    }

    /// Hears one event and gives its verdict.
    pub fn hear(&mut self, policy: &Bans, ground: &Ground, event: &Event, now: DateTime<Utc>) -> Verdict {
        let address = event.address.to_canonical();
        if let Some(why) = spared(policy, ground, address) {
            return Verdict::Ignored(why);
        }
        let subject = Subject::of(address);
        match event.outcome {
            Outcome::Succeeded => self.forget_failures(subject, &event.instance, now),
            Outcome::Failed => self.count(policy, subject, event, now),
        }
    }

    fn forget_failures(&mut self, subject: Subject, instance: &str, now: DateTime<Utc>) -> Verdict {
        let Some(record) = self.records.get_mut(&subject) else { return Verdict::Ignored(Why::Nothing) };
        record.seen = now;
        let before = record.failures.len();
        // Only there: who has an account of one application must not wipe out what was tried at another.
        record.failures.retain(|(_, at)| at != instance);
        if record.failures.len() < before { Verdict::Reset } else { Verdict::Ignored(Why::Nothing) }
    }

    fn count(&mut self, policy: &Bans, subject: Subject, event: &Event, now: DateTime<Utc>) -> Verdict {
        if !self.records.contains_key(&subject) {
            self.make_room();
        }
        let record = self.records.entry(subject).or_default();
        record.seen = now;
        if record.ban.as_ref().is_some_and(|ban| ban.until > now) {
            return Verdict::Already;
        }
        let window = TimeDelta::from_std(policy.within).unwrap_or(TimeDelta::MAX);
        // What lies ahead was counted before the clock was set back.
        record.failures.retain(|(at, _)| *at <= now && now - *at < window);
        record.failures.push_back((now, event.instance.clone()));
        let failures = u32::try_from(record.failures.len()).unwrap_or(u32::MAX);
        if failures < policy.failures {
            return Verdict::Counted { failures };
        }
        let level = record.ban.as_ref().map_or(0, |ban| remaining(ban, policy, now)) + 1;
        record.failures.clear();
        let ban = Ban {
            subject,
            until: later(now, step(policy, level)),
            level: level.min(most_level(policy)),
            reason: format!("{failures} failed sign-ins within {}", words(policy.within)),
            instance: event.instance.clone(),
            failures,
        };
        record.ban = Some(ban.clone());
        self.bound_bans(now);
        Verdict::Banned(ban)
    }

    /// Failed sign-ins that are no ban yet, the newest of them: what a restart must not forgive.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        let of = |(subject, record): (&Subject, &Record)| {
            let subject = *subject;
            record.failures.iter().map(move |(at, instance)| Failure { subject, at: *at, instance: instance.clone() }).collect::<Vec<_>>()
        };
        let mut all: Vec<Failure> = self.records.iter().flat_map(of).collect();
        all.sort_by_key(|failure| (failure.at, failure.subject));
        let surplus = all.len().saturating_sub(MOST_FAILURES_KEPT);
        all.drain(..surplus);
        all
    }

    /// Remembers failed sign-ins of before a restart, oldest first. By itself it locks out nobody: that takes one more.
    pub fn recall(&mut self, failures: Vec<Failure>, policy: &Bans, now: DateTime<Utc>) {
        let window = TimeDelta::from_std(policy.within).unwrap_or(TimeDelta::MAX);
        let most = usize::try_from(policy.failures.saturating_sub(1)).unwrap_or(usize::MAX);
        for Failure { subject, at, instance } in failures.into_iter().filter(|failure| failure.at <= now && now - failure.at < window) {
            if !self.records.contains_key(&subject) {
                self.make_room();
            }
            let record = self.records.entry(subject).or_default();
            if record.ban.as_ref().is_some_and(|ban| ban.until > now) {
                continue;
            }
            record.seen = record.seen.max(at);
            record.failures.push_back((at, instance));
            let surplus = record.failures.len().saturating_sub(most);
            record.failures.drain(..surplus);
        }
    }

    /// Locks out by hand.
    ///
    /// # Errors
    /// The address is one that is never locked out.
    pub fn add(
        &mut self,
        policy: &Bans,
        ground: &Ground,
        address: IpAddr,
        length: Option<Duration>,
        now: DateTime<Utc>,
    ) -> Result<Ban, Why> {
        let address = address.to_canonical();
        // A person may lock out although automatic bans are off.
        match spared(&Bans { enabled: true, ..policy.clone() }, ground, address) {
            None => {}
            Some(why) => return Err(why),
        }
        self.make_room();
        let subject = Subject::of(address);
        let record = self.records.entry(subject).or_default();
        let level = record.ban.as_ref().map_or(0, |ban| remaining(ban, policy, now)) + 1;
        let length = length.unwrap_or_else(|| step(policy, level));
        let ban = Ban {
            subject,
            until: later(now, length.min(longest(policy).max(step(policy, level)))),
            level: level.min(most_level(policy)),
            reason: "by hand".to_owned(),
            instance: String::new(),
            failures: 0,
        };
        record.seen = now;
        record.failures.clear();
        record.ban = Some(ban.clone());
        self.bound_bans(now);
        Ok(ban)
    }

    /// Forgets everything about a subject, its level too; what it was.
    pub fn lift(&mut self, address: IpAddr) -> Option<Ban> {
        self.records.remove(&Subject::of(address.to_canonical()))?.ban
    }

    /// Takes over what another process decided since both knew the same bans: theirs are added, and who was known then and
    /// is not with them any more was lifted.
    pub fn adopt(&mut self, theirs: Self, known: &BTreeSet<Subject>) {
        self.records.retain(|subject, record| record.ban.is_none() || !known.contains(subject) || theirs.records.contains_key(subject));
        for (subject, record) in theirs.records {
            let ours = self.records.entry(subject).or_default();
            ours.seen = ours.seen.max(record.seen);
            let older = ours.ban.as_ref().is_none_or(|ban| record.ban.as_ref().is_some_and(|theirs| theirs.until > ban.until));
            if older {
                ours.ban = record.ban;
            }
        }
    }

    /// Bans that hold now, by subject.
    pub fn active(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Ban> {
        self.bans().filter(move |ban| ban.until > now)
    }

    /// All bans whose level still counts, by subject.
    pub fn bans(&self) -> impl Iterator<Item = &Ban> {
        self.records.values().filter_map(|record| record.ban.as_ref())
    }

    /// How many subjects are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets what has no meaning any more: failures out of the window, levels that are forgiven. True when a ban went.
    pub fn tidy(&mut self, policy: &Bans, now: DateTime<Utc>) -> bool {
        let window = TimeDelta::from_std(policy.within).unwrap_or(TimeDelta::MAX);
        let mut went = false;
        self.records.retain(|_, record| {
            record.failures.retain(|(at, _)| *at <= now && now - *at < window);
            if record.ban.as_ref().is_some_and(|ban| ban.until <= now && remaining(ban, policy, now) == 0) {
                record.ban = None;
                went = true;
            }
            record.ban.is_some() || !record.failures.is_empty()
        });
        went
    }

    /// Who was seen longest ago goes first, and who is locked out last.
    fn make_room(&mut self) {
        if self.records.len() < MOST_SUBJECTS {
            return;
        }
        let mut order: Vec<(bool, DateTime<Utc>, Subject)> =
            self.records.iter().map(|(subject, record)| (record.ban.is_some(), record.seen, *subject)).collect();
        order.sort_unstable();
        for (_, _, subject) in order.into_iter().take(BATCH) {
            self.records.remove(&subject);
        }
    }

    /// The ban that ends first goes when there are too many.
    fn bound_bans(&mut self, now: DateTime<Utc>) {
        if self.active(now).count() <= MOST_BANS {
            return;
        }
        let mut ends: Vec<(DateTime<Utc>, Subject)> = self.active(now).map(|ban| (ban.until, ban.subject)).collect();
        ends.sort_unstable();
        for (_, subject) in ends.into_iter().take(MOST_BANS / 16) {
            self.records.remove(&subject);
        }
    }
}

/// Why an address is never locked out; None when it may be.
#[must_use]
pub fn spared(policy: &Bans, ground: &Ground, address: IpAddr) -> Option<Why> {
    let address = address.to_canonical();
    let own = match &ground.own {
        _ if !policy.enabled => return Some(Why::Off),
        None => return Some(Why::NotProven),
        Some(own) => own,
    };
    let subject = Subject::of(address);
    if own.iter().any(|own| Subject::of(own.to_canonical()) == subject) {
        Some(Why::Gateway)
    } else if !subject::is_public(address) {
        Some(Why::Private)
    } else if ground.trusted.iter().any(|net| subject.meets(net)) {
        Some(Why::Trusted)
    } else if policy.allow.iter().any(|net| subject.meets(net)) {
        Some(Why::Allowed)
    } else {
        None
    }
}

/// The level that a ban still counts for: one less after each quiet `forgive` since its end.
fn remaining(ban: &Ban, policy: &Bans, now: DateTime<Utc>) -> u32 {
    let quiet = u64::try_from((now - ban.until).num_seconds()).unwrap_or(0);
    let forgiven = quiet / policy.forgive.as_secs().max(1);
    ban.level.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
}

fn step(policy: &Bans, level: u32) -> Duration {
    let at = usize::try_from(level.saturating_sub(1)).unwrap_or(usize::MAX);
    policy.steps.get(at).or(policy.steps.last()).copied().unwrap_or_default()
}

fn most_level(policy: &Bans) -> u32 {
    u32::try_from(policy.steps.len()).unwrap_or(u32::MAX)
}

/// No ban is longer, also one by hand.
fn longest(policy: &Bans) -> Duration {
    const BY_HAND: Duration = Duration::from_secs(366 * 24 * 3600);
    policy.steps.last().copied().unwrap_or_default().max(BY_HAND)
}

fn later(now: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(length).ok().and_then(|length| now.checked_add_signed(length)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// "10 minutes": a length of time for people.
fn words(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [("day", 24 * 3600), ("hour", 3600), ("minute", 60), ("second", 1)];
    let (unit, of) = units.into_iter().find(|(_, of)| seconds >= *of && seconds.is_multiple_of(*of)).unwrap_or(("second", 1));
    let count = seconds / of;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl std::fmt::Display for Why {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Off => "bans are switched off in config.yml",
            Self::Private => "it is a private address: people of one house share it, and no stranger has it",
            Self::Gateway => "it is an address of this machine: behind it stands everybody whom the engine's own proxy lets in",
            Self::Allowed => "bans.allow in config.yml names it",
            Self::Trusted => "it is a proxy that config.yml trusts",
            Self::NotProven => "the addresses of this machine are not known, so it could be one of them",
            Self::Nothing => "nothing was held against it",
        })
    }
}

#[cfg(test)]
mod tests;
