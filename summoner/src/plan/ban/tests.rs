//! The policy against tables, floods and simulated months.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 3600;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn after(seconds: u64) -> DateTime<Utc> {
    later(start(), Duration::from_secs(seconds))
}

fn ground() -> Ground {
    let own = ["172.18.0.1", "203.0.113.1", "2001:db8:9::1"].map(|text| text.parse().unwrap());
    Ground { own: Some(own.into_iter().collect()), trusted: vec!["192.0.2.0/24".parse().unwrap()] }
}

fn event(address: &str, outcome: Outcome) -> Event {
    Event { address: address.parse().unwrap(), instance: "ghost-a.fr".into(), outcome }
}

fn fail(book: &mut Book, policy: &Bans, address: &str, now: DateTime<Utc>) -> Verdict {
    book.hear(policy, &ground(), &event(address, Outcome::Failed), now)
}

/// Ten failures in ten seconds; the verdict of the last one.
fn attack(book: &mut Book, policy: &Bans, address: &str, from: u64) -> Verdict {
    (0..10).map(|at| fail(book, policy, address, after(from + at))).last().unwrap()
}

fn banned(verdict: Verdict) -> Ban {
    match verdict {
        Verdict::Banned(ban) => ban,
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_minutes_a_week_two_months() {
    let (mut book, policy) = (Book::default(), Bans::default());
    for failures in 1..10 {
        assert_eq!(fail(&mut book, &policy, "198.51.100.7", after(0)), Verdict::Counted { failures });
    }
    let ban = banned(fail(&mut book, &policy, "198.51.100.7", after(1)));
    assert_eq!((ban.until, ban.level), (after(301), 1));
    assert_eq!(ban.reason, "10 failed sign-ins within 10 minutes");
    assert_eq!(fail(&mut book, &policy, "198.51.100.7", after(2)), Verdict::Already);
    assert_eq!(book.active(after(300)).count(), 1);
    assert_eq!(book.active(after(301)).count(), 0);
    // The window begins anew after a ban.
    assert_eq!(fail(&mut book, &policy, "198.51.100.7", after(301)), Verdict::Counted { failures: 1 });
    let ban = banned((0..9).map(|_| fail(&mut book, &policy, "198.51.100.7", after(310))).last().unwrap());
    assert_eq!((ban.until, ban.level), (after(310 + 7 * DAY), 2));
    let third = banned(attack(&mut book, &policy, "198.51.100.7", 8 * DAY));
    assert_eq!((third.until, third.level), (after(8 * DAY + 9 + 60 * DAY), 3));
    let fourth = banned(attack(&mut book, &policy, "198.51.100.7", 70 * DAY));
    assert_eq!((fourth.until, fourth.level), (after(70 * DAY + 9 + 60 * DAY), 3));
    // Half a year of quiet after the end forgives one step, one and a half of them still one.
    let later = banned(attack(&mut book, &policy, "198.51.100.7", (130 + 185) * DAY));
    assert_eq!(later.level, 3, "2 remained, and this is the next");
    let long_after = banned(attack(&mut book, &policy, "198.51.100.7", 2000 * DAY));
    assert_eq!(long_after.level, 1);
}

#[test]
fn failures_far_apart_and_forgotten_ones_do_not_add_up() {
    let (mut book, policy) = (Book::default(), Bans::default());
    for at in 0..500 {
        assert!(matches!(fail(&mut book, &policy, "198.51.100.7", after(at * 67)), Verdict::Counted { failures: 1..=9 }), "{at}");
    }
    for _ in 0..50 {
        for _ in 0..9 {
            fail(&mut book, &policy, "198.51.100.8", after(0));
        }
        assert_eq!(book.hear(&policy, &ground(), &event("198.51.100.8", Outcome::Succeeded), after(0)), Verdict::Reset);
    }
    // A success elsewhere wipes nothing out.
    for _ in 0..9 {
        fail(&mut book, &policy, "198.51.100.9", after(0));
    }
    let elsewhere = Event { instance: "wekan-a.fr".into(), ..event("198.51.100.9", Outcome::Succeeded) };
    assert_eq!(book.hear(&policy, &ground(), &elsewhere, after(0)), Verdict::Ignored(Why::Nothing));
    banned(fail(&mut book, &policy, "198.51.100.9", after(0)));
    // Nor does it open a ban.
    let own = event("198.51.100.9", Outcome::Succeeded);
    book.hear(&policy, &ground(), &own, after(1));
    assert_eq!(book.active(after(1)).count(), 1);
}

#[test]
fn who_is_never_locked_out_and_why() {
    let policy = Bans { allow: vec!["198.51.100.0/28".parse().unwrap(), "2001:db8:5::7/128".parse().unwrap()], ..Bans::default() };
    let said = |address: &str, ground: &Ground| spared(&policy, ground, address.parse().unwrap());
    for (address, why) in [
        ("172.18.0.1", Why::Gateway),
        ("203.0.113.1", Why::Gateway),
        ("::ffff:203.0.113.1", Why::Gateway),
        ("2001:db8:9::77", Why::Gateway),
        ("10.0.0.5", Why::Private),
        ("172.31.9.9", Why::Private),
        ("192.168.1.1", Why::Private),
        ("127.0.0.1", Why::Private),
        ("169.254.1.1", Why::Private),
        ("100.64.0.1", Why::Private),
        ("0.0.0.0", Why::Private),
        ("255.255.255.255", Why::Private),
        ("224.0.0.1", Why::Private),
        ("::1", Why::Private),
        ("fe80::1", Why::Private),
        ("fd00::1", Why::Private),
        ("::ffff:10.0.0.1", Why::Private),
        ("192.0.2.9", Why::Trusted),
        ("198.51.100.15", Why::Allowed),
        ("2001:db8:5::8", Why::Allowed),
    ] {
        assert_eq!(said(address, &ground()), Some(why), "{address}");
    }
    for address in ["198.51.100.16", "203.0.113.2", "100.128.0.1", "2001:db8:6::1", "::ffff:198.51.100.77"] {
        assert_eq!(said(address, &ground()), None, "{address}");
    }
    assert_eq!(said("198.51.100.16", &Ground::default()), Some(Why::NotProven));
    let off = Bans { enabled: false, ..policy.clone() };
    assert_eq!(spared(&off, &ground(), "198.51.100.16".parse().unwrap()), Some(Why::Off));
    let mut book = Book::default();
    assert_eq!(book.add(&policy, &ground(), "10.0.0.1".parse().unwrap(), None, after(0)), Err(Why::Private));
}

#[test]
fn a_subscriber_is_one_subject() {
    let (mut book, policy) = (Book::default(), Bans::default());
    let last = (0..10).map(|at| fail(&mut book, &policy, &format!("2001:db8:6::{at}"), after(at))).last().unwrap();
    assert_eq!(banned(last).subject.to_string(), "2001:db8:6::/64");
    assert_eq!(fail(&mut book, &policy, "2001:db8:6:1::1", after(10)), Verdict::Counted { failures: 1 });
    assert_eq!("198.51.100.7".parse::<Subject>().unwrap().key(), "c6336407");
    assert_eq!("2001:db8:6::7/64".parse::<Subject>().unwrap().key(), "20010db800060000");
    assert_eq!("::ffff:198.51.100.7".parse::<Subject>().unwrap().key(), "c6336407");
    for text in ["", "a", "198.51.100.0/24", "2001:db8::/48", "1.2.3", "198.51.100.7\n"] {
        assert!(text.parse::<Subject>().is_err(), "{text}");
    }
}

#[test]
fn lifting_resets_the_level_and_what_another_process_decided_is_taken_over() {
    let (mut book, policy) = (Book::default(), Bans::default());
    let first = banned(attack(&mut book, &policy, "198.51.100.7", 0));
    assert_eq!(book.lift("198.51.100.7".parse().unwrap()), Some(first));
    assert_eq!(book.lift("198.51.100.7".parse().unwrap()), None);
    assert_eq!(banned(attack(&mut book, &policy, "198.51.100.7", 20)).level, 1);
    // Both know .7; here .8 joins, there .7 is lifted and .9 joins.
    let known: BTreeSet<Subject> = book.bans().map(|ban| ban.subject).collect();
    let mut theirs = Book::with(book.bans().cloned().collect(), &policy, after(30));
    attack(&mut book, &policy, "198.51.100.8", 30);
    fail(&mut book, &policy, "198.51.100.10", after(30));
    theirs.lift("198.51.100.7".parse().unwrap());
    theirs.add(&policy, &ground(), "198.51.100.9".parse().unwrap(), None, after(30)).unwrap();
    book.adopt(theirs, &known);
    let who: Vec<String> = book.active(after(40)).map(|ban| ban.subject.to_string()).collect();
    assert_eq!(who, ["198.51.100.8", "198.51.100.9"]);
    assert_eq!(fail(&mut book, &policy, "198.51.100.10", after(31)), Verdict::Counted { failures: 2 });
}

#[test]
fn a_wrong_clock_locks_nobody_out_for_years() {
    let (mut book, policy) = (Book::default(), Bans::default());
    let ahead = start() + TimeDelta::days(365 * 30);
    let mut ban = (0..10).map(|_| fail(&mut book, &policy, "198.51.100.7", ahead)).map(Some).last().flatten().map(banned).unwrap();
    ban.until = DateTime::<Utc>::MAX_UTC;
    let book = Book::with(vec![ban], &policy, start());
    assert!(book.active(start()).all(|ban| ban.until <= after(367 * DAY)));
    // Failures of the future count for nothing once the clock is right.
    let mut book = Book::default();
    for _ in 0..9 {
        fail(&mut book, &policy, "198.51.100.7", ahead);
    }
    assert_eq!(fail(&mut book, &policy, "198.51.100.7", start()), Verdict::Counted { failures: 1 });
}

#[test]
fn a_flood_of_addresses_is_bounded_and_bans_outlive_it() {
    let (mut book, policy) = (Book::default(), Bans::default());
    attack(&mut book, &policy, "198.51.100.7", 0);
    for number in 0..120_000_u32 {
        let address = IpAddr::V4(Ipv4Addr::from_bits((1 << 24) + number));
        let event = Event { address, ..event("198.51.100.7", Outcome::Failed) };
        book.hear(&policy, &ground(), &event, after(20));
        assert!(book.len() <= MOST_SUBJECTS);
    }
    assert_eq!(book.active(after(21)).count(), 1);
    assert!(!book.tidy(&policy, after(700)));
    assert_eq!(book.len(), 1, "only the ban's level is left");
    assert!(book.tidy(&policy, after(181 * DAY)));
    assert!(book.is_empty());
}

#[test]
fn the_self_test_tells_a_gateway_from_clients() {
    let ground = ground();
    let mut proof = Proof::default();
    let said = |proof: &Proof| proof.verdict(&ground).word();
    assert_eq!((said(&proof), proof.verdict(&Ground::default()).word()), ("waiting", "unknown"));
    assert!(proof.hear(&ground, "172.18.0.1".parse().unwrap()));
    assert!(!proof.hear(&ground, "::ffff:172.18.0.1".parse().unwrap()));
    assert_eq!(said(&proof), "gateway");
    assert!(proof.hear(&ground, "198.51.100.7".parse().unwrap()));
    assert_eq!((said(&proof), proof.own.values().sum::<u64>()), ("mixed", 2));
    let mut proof = Proof::default();
    proof.hear(&ground, "10.1.1.1".parse().unwrap());
    assert_eq!(said(&proof), "real");
    assert_eq!(ProofVerdict::of("mixed"), Some(ProofVerdict::Mixed));
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    // Few addresses, so that they meet; all kinds.
    prop_oneof![
        (0..4_u8).prop_map(|last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))),
        (0..4_u8).prop_map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))),
        Just(IpAddr::V4(Ipv4Addr::new(172, 18, 0, 1))),
        (0..4_u16).prop_map(|last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, last, 0, 0, 0, 0, last))),
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Months of traffic: whoever is locked out had that many failures in the window and is a stranger; nobody is for longer
    /// than the policy says; levels climb by one; the book written and read again says the same.
    #[test]
    fn months_keep_the_promises(steps in prop::collection::vec((any_address(), 0..4_u8, prop_oneof![0..30_u64, 0..DAY, 0..90 * DAY]), 1..400)) {
        let (policy, ground) = (Bans { failures: 3, ..Bans::default() }, ground());
        let mut book = Book::default();
        let mut now = start();
        let mut heard: BTreeMap<Subject, Vec<DateTime<Utc>>> = BTreeMap::new();
        let mut levels: BTreeMap<Subject, u32> = BTreeMap::new();
        for (address, kind, pause) in steps {
            now = later(now, Duration::from_secs(pause));
            let outcome = if kind == 0 { Outcome::Succeeded } else { Outcome::Failed };
            let subject = Subject::of(address);
            let active = book.active(now).any(|ban| ban.subject == subject);
            let verdict = book.hear(&policy, &ground, &Event { address, instance: "a-b.c".into(), outcome }, now);
            if outcome == Outcome::Failed {
                heard.entry(subject).or_default().push(now);
            }
            match verdict {
                Verdict::Banned(ban) => {
                    prop_assert!(!active);
                    prop_assert_eq!(spared(&policy, &ground, address), None);
                    let recent = heard[&subject].iter().filter(|at| (now - **at).num_seconds() < 600).count();
                    prop_assert!(recent >= 3);
                    let length = (ban.until - now).num_seconds();
                    prop_assert!([300, 604_800, 5_184_000].contains(&length), "{length}");
                    let before = levels.insert(subject, ban.level).unwrap_or(0);
                    prop_assert!(ban.level <= (before + 1).min(3) && ban.level >= 1);
                }
                Verdict::Already => prop_assert!(active),
                Verdict::Ignored(why) if why != Why::Nothing => prop_assert_eq!(spared(&policy, &ground, address), Some(why)),
                _ => {}
            }
            if kind == 3 {
                book.tidy(&policy, now);
            }
            let again = Book::with(book.bans().cloned().collect(), &policy, now);
            prop_assert_eq!(again.active(now).collect::<Vec<_>>(), book.active(now).collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_was_counted_before_a_restart_counts_and_locks_out_nobody_by_itself() {
    let (policy, now) = (Bans::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let failure = |address: &str, seconds: i64| Failure {
        subject: address.parse().unwrap(),
        at: now - TimeDelta::seconds(seconds),
        instance: "ghost-a.fr".into(),
    };
    let mut book = Book::default();
    let mut failures: Vec<Failure> = (0..30).rev().map(|second| failure("198.51.100.7", second)).collect();
    // Out of the window, and from a clock that was wrong.
    failures.insert(0, failure("198.51.100.8", 601));
    failures.push(failure("198.51.100.9", -5));
    book.recall(failures, &policy, now);
    assert_eq!((book.len(), book.failures().len(), book.bans().count()), (1, 9, 0));
    let again = book.failures();
    let mut other = Book::default();
    other.recall(again.clone(), &policy, now);
    assert_eq!(other.failures(), again);
    let mut many = Book::default();
    let flood = (0..MOST_FAILURES_KEPT + 500).map(|number| Failure {
        subject: Subject::of(Ipv4Addr::from_bits(0xc633_0000 + u32::try_from(number).unwrap()).into()),
        at: now,
        instance: String::new(),
    });
    many.recall(flood.collect(), &policy, now);
    assert_eq!(many.failures().len(), MOST_FAILURES_KEPT);
}
