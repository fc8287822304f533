//! A year in seconds: from one moment at which something is due to the next, as the look every five minutes finds it.
//!
//! The authority here counts for itself what it publishes, so that a limit that is forgotten on our side is seen.

use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::plan::cert::memory::Suggested;

/// The daemon looks this often.
const LOOK: i64 = 300;
/// Authorities date back, for clocks that are late.
const EARLIER: TimeDelta = TimeDelta::hours(1);
/// An authority is asked for its suggestion this often.
const SUGGESTS_EVERY: TimeDelta = TimeDelta::hours(12);

/// What decides.
type Decide = fn(&Wanted, &Lying, &Memory, DateTime<Utc>) -> Turn;

/// What a year is like.
struct World {
    hosts: usize,
    life: TimeDelta,
    /// The authority suggests when to renew.
    windows: bool,
    /// The authority is down.
    down: Range<DateTime<Utc>>,
    /// All certificates are revoked, which their windows tell.
    revoked_at: DateTime<Utc>,
    /// Every so many names never lead here; 0: all do.
    astray: usize,
    length: TimeDelta,
    decide: Decide,
}

/// What a year was like.
#[derive(Debug, Default, PartialEq, Eq)]
struct Year {
    /// How long hosts were without a valid certificate after their first one.
    without: TimeDelta,
    /// Revoked certificates that were served for more than a day.
    late: usize,
    /// Orders beyond a published limit.
    beyond: usize,
    issued: usize,
    in_vain: usize,
    /// When the last host had its first one.
    complete: Option<DateTime<Utc>>,
}

/// What the authority counted.
#[derive(Default)]
struct Counted {
    orders: Vec<DateTime<Utc>>,
    signed: Vec<DateTime<Utc>>,
    same: BTreeMap<String, Vec<DateTime<Utc>>>,
    failed: BTreeMap<String, Vec<DateTime<Utc>>>,
}

impl Counted {
    /// Whether one more is beyond what is published: all hosts are of one registered domain.
    fn beyond(&self, name: &str, renewal: bool, now: DateTime<Utc>) -> bool {
        let full = |times: Option<&Vec<DateTime<Utc>>>, most: usize, within: TimeDelta| {
            times.is_some_and(|times| times.iter().rev().take_while(|at| **at > now - within).count() >= most)
        };
        let (hours, days) = (TimeDelta::hours, TimeDelta::days);
        let limited =
            full(Some(&self.orders), 300, hours(3)) || full(Some(&self.signed), 50, days(7)) || full(self.same.get(name), 5, days(7));
        full(self.failed.get(name), 5, hours(1)) || (!renewal && limited)
    }
}

struct Host {
    wanted: Wanted,
    lying: Lying,
    /// The verdict holds until then.
    next: DateTime<Utc>,
    astray: bool,
}

struct Run<'a> {
    world: &'a World,
    memory: Memory,
    counted: Counted,
    year: Year,
}

/// The look that finds what is due at a moment.
fn look_after(at: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = at.timestamp();
    DateTime::from_timestamp(seconds + (LOOK - seconds.rem_euclid(LOOK)) % LOOK, 0).unwrap()
}

fn run(world: &World) -> Year {
    let host = |number: usize| Host {
        wanted: Wanted { staging: Staging::Never, ..wanted(&[&format!("h{number}.a.fr")]) },
        lying: Lying::Nothing,
        next: at(0),
        astray: world.astray > 0 && number.is_multiple_of(world.astray),
    };
    let mut hosts: Vec<Host> = (0..world.hosts).map(host).collect();
    let mut run = Run { world, memory: Memory::default(), counted: Counted::default(), year: Year::default() };
    let (mut now, end) = (at(0), at(0) + world.length);
    while now < end {
        let mut next = end;
        for host in &mut hosts {
            for turn in 0.. {
                if host.next > now {
                    break;
                }
                assert!(turn < 9, "{} comes to no end at {now}", host.wanted.stem);
                run.step(host, now);
            }
            next = next.min(host.next);
        }
        now = look_after(next);
    }
    for host in &hosts {
        run.account(&host.lying, end);
    }
    run.year
}

impl Run<'_> {
    /// One look at one host, which says when to look again.
    fn step(&mut self, host: &mut Host, now: DateTime<Utc>) {
        if let (Lying::Ours(cert), true) = (&host.lying, self.world.windows) {
            self.suggest(&host.wanted.stem, cert, now);
        }
        let stem = host.wanted.stem.clone();
        match (self.world.decide)(&host.wanted, &host.lying, &self.memory, now) {
            Turn::Ask { authority, renewal, .. } => self.ask(host, authority, renewal, now),
            Turn::Keep { until: Some(until), .. } | Turn::Wait { until, .. } => {
                let asked = self.memory.certificates.get(&stem).and_then(|known| known.look_again).filter(|_| self.world.windows);
                let until = asked.map_or(until, |asked| asked.min(until));
                host.next = until.max(now + TimeDelta::seconds(1));
            }
            Turn::Keep { until: None, .. } => panic!("{stem} is never renewed"),
        }
    }

    /// Two thirds of a life in; after a revocation, at once. The window moves a little with each answer.
    fn suggest(&mut self, stem: &str, cert: &Observed, now: DateTime<Utc>) {
        let known = self.memory.certificates.get_mut(stem).unwrap();
        if known.look_again.is_some_and(|at| now < at) {
            return;
        }
        if self.world.down.contains(&now) {
            known.look_again = Some(now + TimeDelta::hours(1));
            return;
        }
        let revoked = signed_at(cert) < self.world.revoked_at && now >= self.world.revoked_at;
        let moved = TimeDelta::minutes(now.timestamp() / 43_200 % 90);
        let middle = cert.not_before + (cert.not_after - cert.not_before) * 2 / 3 + moved;
        let (start, end) = if revoked { (now - TimeDelta::days(1), now) } else { (middle, middle + self.world.life / 20) };
        known.suggested = Some(Suggested { fingerprint: cert.fingerprint.clone(), start, end, explanation: None });
        known.look_again = Some(now + SUGGESTS_EVERY);
    }

    fn ask(&mut self, host: &mut Host, authority: usize, renewal: bool, now: DateTime<Utc>) {
        let name = host.wanted.stem.clone();
        let directory = host.wanted.directory(authority, false).unwrap().to_owned();
        self.year.beyond += usize::from(self.counted.beyond(&name, renewal, now));
        self.memory.ordered(&directory, now);
        let down = self.world.down.contains(&now);
        if down || host.astray {
            self.year.in_vain += 1;
            let blame = if down { Blame::Authority } else { Blame::Name };
            let digest = host.wanted.digest();
            let ends_at = host.lying.observed().map(|cert| cert.not_after);
            let failure = Failed { ends_at, ..failed(&host.wanted, &digest, Some(&directory), blame, None) };
            self.memory.failed(&name, &failure, now);
            if !down {
                self.counted.failed.entry(name).or_default().push(now);
            }
            return;
        }
        self.account(&host.lying, now);
        self.year.issued += 1;
        if matches!(host.lying, Lying::Nothing) {
            self.year.complete = Some(now);
        }
        let cert = observed(&name, now - EARLIER, self.world.life, u32::try_from(self.year.issued).unwrap());
        let signed = Signed { directory: &directory, fingerprint: &cert.fingerprint, names: &host.wanted.names, renewal };
        self.memory.signed(&name, &signed, now);
        if !renewal {
            self.counted.orders.push(now);
            self.counted.signed.push(now);
            self.counted.same.entry(name).or_default().push(now);
        }
        host.lying = Lying::Ours(cert);
    }

    /// What a certificate that ends its service now did.
    fn account(&mut self, lying: &Lying, now: DateTime<Utc>) {
        let Some(cert) = lying.observed() else { return };
        self.year.without += (now - cert.not_after).max(TimeDelta::zero());
        let revoked_at = self.world.revoked_at;
        let served = signed_at(cert) < revoked_at && cert.not_after > revoked_at && now > revoked_at + TimeDelta::days(1);
        self.year.late += usize::from(served);
    }
}

fn signed_at(cert: &Observed) -> DateTime<Utc> {
    cert.not_before + EARLIER
}

fn ours(wanted: &Wanted, lying: &Lying, memory: &Memory, now: DateTime<Utc>) -> Turn {
    turn(wanted, lying, memory, false, now)
}

fn world(days: i64) -> World {
    World {
        hosts: 6,
        life: TimeDelta::days(days),
        windows: true,
        down: at(0)..at(0),
        revoked_at: at(24 * 9999),
        astray: 0,
        length: TimeDelta::days(365),
        decide: ours,
    }
}

#[test]
fn in_a_year_nothing_expires() {
    for (days, down_days) in [(90, 20), (45, 10), (6, 2)] {
        let down = at(24 * 200)..at(24 * (200 + down_days));
        for (what, world) in [
            ("no windows", World { windows: false, ..world(days) }),
            ("no windows, down", World { windows: false, down: down.clone(), ..world(days) }),
            ("windows, all revoked once", World { revoked_at: at(24 * 100 + 3), ..world(days) }),
            ("windows, down", World { down, ..world(days) }),
        ] {
            let year = run(&world);
            assert_eq!((year.without, year.late, year.beyond), (TimeDelta::zero(), 0, 0), "{days} days, {what}: {year:?}");
            // Renewed, and not oftener than at half of a life, less what spreads renewals.
            let hosts = i64::try_from(world.hosts).unwrap();
            let issued = i64::try_from(year.issued).unwrap();
            assert!((hosts * 365 / days..=hosts * (800 / days + 3)).contains(&issued), "{days} days, {what}: {year:?}");
            // A dead authority is asked once an hour by each, and by each a few times before.
            let most = if world.down.is_empty() { 0 } else { hosts * (down_days * 24 + 12) };
            assert!((0..=most).contains(&i64::try_from(year.in_vain).unwrap()), "{days} days, {what}: {year:?}");
        }
    }
}

#[test]
fn limits_are_kept_by_a_large_domain_and_by_names_that_lead_elsewhere() {
    let large = World { hosts: 120, astray: 10, length: TimeDelta::days(120), ..world(90) };
    let year = run(&large);
    assert_eq!((year.without, year.beyond), (TimeDelta::zero(), 0), "{year:?}");
    // 50 a week: the last of 108 comes in the third one.
    let weeks = (year.complete.unwrap() - at(0)).num_days() / 7;
    assert_eq!(weeks, 2, "{year:?}");
    assert!(year.in_vain < 12 * 135, "a day's pause in the end: {year:?}");
}

#[test]
fn rules_that_are_wrong_are_seen() {
    // acme.sh's 60 days.
    let sixty: Decide = |wanted, lying, memory, now| match lying {
        Lying::Ours(cert) if now < cert.not_before + TimeDelta::days(60) => {
            Turn::Keep { until: Some(cert.not_before + TimeDelta::days(60)), reason: String::new() }
        }
        _ => turn(wanted, lying, memory, true, now),
    };
    assert_eq!(run(&World { windows: false, decide: sixty, ..world(90) }).without, TimeDelta::zero());
    assert!(run(&World { windows: false, decide: sixty, ..world(45) }).without > TimeDelta::days(6 * 5 * 14), "45 days expire");
    // Windows that nobody reads.
    let deaf: Decide = |wanted, lying, memory, now| {
        let mut memory = memory.clone();
        memory.certificates.values_mut().for_each(|known| known.suggested = None);
        turn(wanted, lying, &memory, false, now)
    };
    assert!(
        run(&World { revoked_at: at(24 * 100 + 3), length: TimeDelta::days(130), decide: deaf, ..world(90) }).late > 0,
        "revoked ones are served on"
    );
    // Limits that nobody counts.
    let greedy: Decide = |wanted, lying, memory, now| {
        let mut memory = memory.clone();
        memory.authorities.clear();
        turn(wanted, lying, &memory, false, now)
    };
    assert!(run(&World { hosts: 60, length: TimeDelta::days(8), decide: greedy, ..world(90) }).beyond > 0, "the fifty-first of a week");
    // A pause of a day, whatever is left.
    let slow: Decide = |wanted, lying, memory, now| {
        let known = memory.certificates.get(&wanted.stem).and_then(|known| known.last_error.as_ref());
        match known.filter(|error| now < error.at + TimeDelta::days(5)) {
            Some(error) => Turn::Wait { until: error.at + TimeDelta::days(5), reason: String::new() },
            None => turn(wanted, lying, memory, true, now),
        }
    };
    assert!(run(&World { windows: false, down: at(24 * 200)..at(24 * 202), decide: slow, ..world(6) }).without > TimeDelta::zero());
}
