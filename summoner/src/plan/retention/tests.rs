use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::snapshot::{Consistency, Manifest, Verified};

const NOW: &str = "2026-11-21T12:00:00Z";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Unverified,
    Faulty,
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn time(snapshot: &Snapshot) -> DateTime<Utc> {
    snapshot.manifest.id.time
}

fn snapshot(time: DateTime<Utc>, kind: Kind, purpose: Purpose, state: State) -> Snapshot {
    let manifest = Manifest {
        version: 1,
        id: SnapshotId::new("ghost-a.fr".parse().unwrap(), time),
        kind,
        consistency: Consistency::Hot,
        purpose,
        summoner: "0.1.0".into(),
        engine: "29".into(),
        minion: "ghost".into(),
        minion_version: None,
        ended_at: time,
        artefacts: Vec::new(),
        files: None,
        images: BTreeMap::new(),
        bytes_total: 0,
        bytes_added: 0,
        downtime_ms: None,
        downtime_predicted_ms: None,
        duration_ms: 0,
        notes: Vec::new(),
    };
    let fault = (state == State::Faulty).then(|| "database.sql.zst is cut".to_owned());
    let verified = (state != State::Unverified).then_some(Verified { version: 1, at: time, read_data: true, fault });
    Snapshot { manifest, verified }
}

fn good(time: &str) -> Snapshot {
    snapshot(at(time), Kind::Dump, Purpose::Schedule, State::Good)
}

fn text(snapshots: &[Snapshot], keep: &Keep) -> String {
    let verdicts = retention(snapshots, keep, Tz::Europe__Paris, at(NOW));
    let line = |verdict: &Verdict| format!("{} {} {}", verdict.id.stamp(), if verdict.keep { "keep  " } else { "remove" }, verdict.reason);
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn nothing() -> Keep {
    Keep { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None, at_most: None }
}

#[test]
fn slots_are_filled_from_the_newest_on() {
    let nights: Vec<Snapshot> =
        (0..12).map(|n| snapshot(at("2026-11-21T01:00:00Z") - TimeDelta::days(n), Kind::Dump, Purpose::Schedule, State::Good)).collect();
    let keep = Keep { last: 2, daily: 3, weekly: 2, monthly: 2, ..nothing() };
    insta::assert_snapshot!(text(&nights, &keep), @"
    20261121T010000Z keep   last 2, daily 2026-11-21, weekly 2026-W47, monthly 2026-11
    20261120T010000Z keep   last 2, daily 2026-11-20
    20261119T010000Z keep   daily 2026-11-19
    20261118T010000Z remove older than all slots
    20261117T010000Z remove older than all slots
    20261116T010000Z remove older than all slots
    20261115T010000Z keep   weekly 2026-W46
    20261114T010000Z remove older than all slots
    20261113T010000Z remove older than all slots
    20261112T010000Z remove older than all slots
    20261111T010000Z remove older than all slots
    20261110T010000Z remove older than all slots
    ");
}

#[test]
fn years_hours_ages_and_the_upper_bound() {
    let all = [
        good("2026-11-21T10:30:00Z"),
        good("2026-11-21T10:00:00Z"),
        good("2026-11-18T10:00:00Z"),
        good("2025-05-01T10:00:00Z"),
        good("2024-05-01T10:00:00Z"),
    ];
    let keep = Keep { hourly: 9, yearly: 2, within: Some(Duration::from_secs(3 * 86400 + 7200)), ..nothing() };
    insta::assert_snapshot!(text(&all, &keep), @"
    20261121T103000Z keep   hourly 2026-11-21 11:00+01:00, yearly 2026, within 74 hours
    20261121T100000Z keep   within 74 hours
    20261118T100000Z keep   hourly 2026-11-18 11:00+01:00, within 74 hours
    20250501T100000Z keep   hourly 2025-05-01 12:00+02:00, yearly 2025
    20240501T100000Z keep   hourly 2024-05-01 12:00+02:00
    ");
    let keep = Keep { last: 9, at_most: Some(2), ..nothing() };
    insta::assert_snapshot!(text(&all, &keep), @"
    20261121T103000Z keep   last 9
    20261121T100000Z keep   last 9
    20261118T100000Z remove more than at most 2
    20250501T100000Z remove more than at most 2
    20240501T100000Z remove more than at most 2
    ");
}

#[test]
fn only_good_ones_count_and_the_newest_decides() {
    let mut all = vec![
        good("2026-11-21T01:00:00Z"),
        snapshot(at("2026-11-20T01:00:00Z"), Kind::Dump, Purpose::Schedule, State::Faulty),
        snapshot(at("2026-11-19T01:00:00Z"), Kind::Dump, Purpose::Schedule, State::Unverified),
        good("2026-11-18T01:00:00Z"),
        snapshot(at("2026-11-10T01:00:00Z"), Kind::Dump, Purpose::Schedule, State::Faulty),
        good("2026-11-09T01:00:00Z"),
        good("2027-01-01T01:00:00Z"),
    ];
    insta::assert_snapshot!(text(&all, &Keep { last: 2, ..nothing() }), @"
    20270101T010000Z keep   its time has not come yet: the clock was wrong then, or is now
    20261121T010000Z keep   last 2
    20261120T010000Z keep   faulty, kept 7 days to look at: database.sql.zst is cut
    20261119T010000Z remove never verified, and a newer good one is there
    20261118T010000Z keep   last 2
    20261110T010000Z remove faulty, older than 7 days, and a newer good one is there
    20261109T010000Z remove older than all slots
    ");
    all.push(snapshot(at("2026-11-21T02:00:00Z"), Kind::Backup, Purpose::Asked, State::Unverified));
    let verdicts = retention(&all, &nothing(), Tz::UTC, at(NOW));
    assert!(verdicts.iter().all(|verdict| verdict.keep), "{verdicts:?}");
    assert_eq!(verdicts[1].reason, "the newest is not verified: nothing is forgotten");
}

#[test]
fn those_before_a_change_are_kept_apart() {
    let before = |time: &str, state| snapshot(at(time), Kind::Backup, Purpose::PreUpdate, state);
    let all = [
        good("2026-11-21T01:00:00Z"),
        before("2026-11-10T00:00:00Z", State::Unverified),
        before("2026-11-01T00:00:00Z", State::Good),
        before("2026-10-30T00:00:00Z", State::Good),
        before("2026-10-01T00:00:00Z", State::Good),
        snapshot(at("2025-10-01T00:00:00Z"), Kind::Backup, Purpose::PreRestore, State::Good),
    ];
    insta::assert_snapshot!(text(&all, &nothing()), @"
    20261121T010000Z keep   the newest good dump
    20261110T000000Z keep   the newest before an update
    20261101T000000Z keep   the newest good one before an update
    20261030T000000Z keep   before an update, within 30 days
    20261001T000000Z remove before an update, older than 30 days
    20251001T000000Z keep   the newest before a restore
    ");
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let states = prop_oneof![6 => Just(State::Good), 1 => Just(State::Unverified), 1 => Just(State::Faulty)];
    let kinds = prop_oneof![Just(Kind::Dump), Just(Kind::Backup)];
    let purposes =
        prop_oneof![4 => Just(Purpose::Schedule), 1 => Just(Purpose::Asked), 1 => Just(Purpose::PreUpdate), 1 => Just(Purpose::PreRestore)];
    // Four years back, a day ahead.
    (-4 * 365 * 24 * 60..24 * 60_i64, kinds, purposes, states)
        .prop_map(|(minutes, kind, purpose, state)| snapshot(at(NOW) + TimeDelta::minutes(minutes), kind, purpose, state))
}

prop_compose! {
    fn any_keep()(last in 0..4_u32, hourly in 0..4_u32, daily in 0..9_u32, weekly in 0..5_u32, monthly in 0..7_u32, yearly in 0..3_u32,
                  within in proptest::option::of(0..90_u64), at_most in proptest::option::of(0..9_u32)) -> Keep {
        Keep { last, hourly, daily, weekly, monthly, yearly, within: within.map(|days| Duration::from_secs(days * 86400)), at_most }
    }
}

proptest! {
    #[test]
    fn what_must_stay_stays(mut all in proptest::collection::vec(any_snapshot(), 0..60), keep in any_keep()) {
        all.sort_by_key(time);
        all.dedup_by_key(|snapshot| time(snapshot));
        let now = at(NOW);
        let verdicts = retention(&all, &keep, Tz::Europe__Paris, now);
        prop_assert_eq!(verdicts.len(), all.len());
        prop_assert!(verdicts.windows(2).all(|two| two[0].id > two[1].id));
        prop_assert!(verdicts.iter().all(|verdict| !verdict.reason.is_empty()));
        let kept = |snapshot: &Snapshot| verdicts.iter().any(|verdict| verdict.id == snapshot.manifest.id && verdict.keep);
        // What comes from the future stays.
        prop_assert!(all.iter().filter(|snapshot| time(snapshot) > now).all(kept));
        let past: Vec<&Snapshot> = all.iter().filter(|snapshot| time(snapshot) <= now).collect();
        // A newest one that is not good freezes everything.
        if past.last().is_some_and(|newest| !newest.is_good()) {
            prop_assert!(all.iter().all(kept));
        }
        for kind in [Kind::Dump, Kind::Backup] {
            let scheduled = |snapshot: &&&Snapshot| snapshot.manifest.kind == kind && matches!(snapshot.manifest.purpose, Purpose::Schedule | Purpose::Asked);
            let of_kind: Vec<&&Snapshot> = past.iter().filter(scheduled).collect();
            // The newest good one is never removed, and nothing good is removed unless a newer good one stays.
            if let Some(newest) = of_kind.iter().rev().find(|snapshot| snapshot.is_good()) {
                prop_assert!(kept(newest));
            } else {
                prop_assert!(of_kind.iter().all(|snapshot| kept(snapshot)));
            }
            let frozen = past.last().is_some_and(|newest| !newest.is_good()) || of_kind.last().is_some_and(|newest| !newest.is_good());
            let good = of_kind.iter().filter(|snapshot| snapshot.is_good() && kept(snapshot)).count();
            if let Some(most) = keep.at_most.filter(|_| !frozen) {
                prop_assert!(good <= usize::try_from(most.max(1)).unwrap());
            }
            let least = keep.at_most.unwrap_or(u32::MAX).max(1).min(keep.last.max(1));
            let there = of_kind.iter().filter(|snapshot| snapshot.is_good()).count();
            prop_assert!(good >= there.min(usize::try_from(least).unwrap()));
        }
        // Before a change: a month, whatever happens.
        let young = |snapshot: &&Snapshot| matches!(snapshot.manifest.purpose, Purpose::PreUpdate | Purpose::PreRestore) && now - time(snapshot) < TimeDelta::days(30);
        prop_assert!(all.iter().filter(young).all(kept));
        // What goes, goes for good: judged again without it, the same stay.
        let left: Vec<Snapshot> = all.iter().filter(|snapshot| kept(snapshot)).cloned().collect();
        let again = retention(&left, &keep, Tz::Europe__Paris, now);
        prop_assert!(again.iter().all(|verdict| verdict.keep), "{:?}", again.iter().find(|verdict| !verdict.keep));
    }
}
