use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn spec(times: &str) -> JobSpec {
    JobSpec {
        id: "dump ghost-a.fr".into(),
        job: Job::Dump,
        instance: Some("ghost-a.fr".parse().unwrap()),
        times: Times::parse(times).unwrap(),
        cron: times.into(),
        offset: TimeDelta::zero(),
        quiet: None,
    }
}

fn clock(now: &str) -> Clock {
    Clock { zone: Tz::Europe__Paris, now: at(now), started_at: None }
}

/// "since missed attempt" of the job, or nothing.
fn ask(spec: &JobSpec, memory: &RunMemory, now: &str) -> String {
    let specs = [spec.clone()];
    let due = due(&specs, memory, &clock(now));
    due.first().map_or_else(String::new, |due| format!("{} missed {} attempt {}", due.since.format("%m-%dT%H:%M"), due.missed, due.attempt))
}

fn upcoming(spec: &JobSpec, memory: &RunMemory, now: &str) -> String {
    next(spec, memory, &clock(now)).map_or_else(String::new, |at| at.format("%m-%dT%H:%M").to_string())
}

fn known(spec: &JobSpec, since: &str) -> RunMemory {
    let mut memory = RunMemory::default();
    assert!(memory.meet(std::slice::from_ref(spec), at(since)));
    memory
}

fn ran(memory: &mut RunMemory, spec: &JobSpec, now: &str, result: Outcome) {
    let attempt = due(std::slice::from_ref(spec), memory, &clock(now)).first().map_or(0, |due| due.attempt);
    memory.begin(spec, attempt, "", at(now));
    memory.end(&spec.id, result, "", at(now));
}

#[test]
fn a_new_job_waits_for_its_time() {
    let nightly = spec("nightly");
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    assert!(!memory.meet(std::slice::from_ref(&nightly), at("2026-11-21T13:00:00Z")));
    assert_eq!(ask(&nightly, &memory, "2026-11-22T00:59:59Z"), "");
    assert_eq!(upcoming(&nightly, &memory, "2026-11-21T12:00:00Z"), "11-22T01:00");
    assert_eq!(ask(&nightly, &memory, "2026-11-22T01:00:00Z"), "11-22T01:00 missed 0 attempt 0");
    ran(&mut memory, &nightly, "2026-11-22T01:00:07Z", Outcome::Ok);
    assert_eq!(ask(&nightly, &memory, "2026-11-22T01:00:08Z"), "");
    assert_eq!(memory.jobs[&nightly.id].last_success, Some(at("2026-11-22T01:00:07Z")));
}

#[test]
fn one_run_catches_up_with_all_that_were_missed() {
    let nightly = spec("nightly");
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    assert_eq!(ask(&nightly, &memory, "2026-11-23T09:00:00Z"), "11-22T01:00 missed 2 attempt 0");
    ran(&mut memory, &nightly, "2026-11-23T09:00:00Z", Outcome::Ok);
    assert_eq!(upcoming(&nightly, &memory, "2026-11-23T09:00:01Z"), "11-24T01:00");
    assert_eq!(
        ask(&spec("every 5m"), &known(&spec("every 5m"), "2020-01-01T00:00:00Z"), "2026-11-23T09:00:00Z"),
        "01-01T00:05 missed 999 attempt 0"
    );
}

#[test]
fn a_failure_is_tried_again_three_times_and_then_waits() {
    let nightly = spec("nightly");
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    ran(&mut memory, &nightly, "2026-11-22T01:00:00Z", Outcome::Failed);
    assert_eq!(upcoming(&nightly, &memory, "2026-11-22T01:00:01Z"), "11-22T01:15");
    assert_eq!(ask(&nightly, &memory, "2026-11-22T01:15:00Z"), "11-22T01:15 missed 0 attempt 1");
    ran(&mut memory, &nightly, "2026-11-22T01:15:00Z", Outcome::Interrupted);
    ran(&mut memory, &nightly, "2026-11-22T02:15:00Z", Outcome::Failed);
    assert_eq!(ask(&nightly, &memory, "2026-11-22T06:15:00Z"), "11-22T06:15 missed 0 attempt 3");
    ran(&mut memory, &nightly, "2026-11-22T06:15:00Z", Outcome::Failed);
    assert_eq!(upcoming(&nightly, &memory, "2026-11-22T06:15:01Z"), "11-23T01:00");
    // The next night begins anew.
    ran(&mut memory, &nightly, "2026-11-23T01:00:00Z", Outcome::Failed);
    assert_eq!(upcoming(&nightly, &memory, "2026-11-23T01:00:01Z"), "11-23T01:15");
    // Its own time goes before a retry.
    assert_eq!(ask(&nightly, &memory, "2026-11-24T09:00:00Z"), "11-24T01:00 missed 1 attempt 0");
}

#[test]
fn a_night_that_springs_and_one_that_repeats_have_one_run() {
    let job = spec("30 2 * * *");
    let mut memory = known(&job, "2026-03-28T12:00:00Z");
    assert_eq!(ask(&job, &memory, "2026-03-29T00:59:59Z"), "");
    assert_eq!(ask(&job, &memory, "2026-03-29T01:00:00Z"), "03-29T01:00 missed 0 attempt 0");
    ran(&mut memory, &job, "2026-03-29T01:00:00Z", Outcome::Ok);
    assert_eq!(upcoming(&job, &memory, "2026-03-29T01:00:01Z"), "03-30T00:30");
    let mut memory = known(&job, "2026-10-24T12:00:00Z");
    ran(&mut memory, &job, "2026-10-25T00:30:00Z", Outcome::Ok);
    assert_eq!(upcoming(&job, &memory, "2026-10-25T00:31:00Z"), "10-26T01:30");
}

#[test]
fn clocks_that_run_wild_stop_nothing() {
    let nightly = spec("nightly");
    // It ran while the clock was ten years ahead.
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    ran(&mut memory, &nightly, "2036-11-22T01:00:00Z", Outcome::Ok);
    assert_eq!(ask(&nightly, &memory, "2026-11-22T01:00:00Z"), "11-22T01:00 missed 0 attempt 0");
    // Set back by minutes, what ran has run.
    assert_eq!(ask(&nightly, &memory, "2026-11-22T01:00:00Z"), "11-22T01:00 missed 0 attempt 0");
    ran(&mut memory, &nightly, "2026-11-22T01:00:00Z", Outcome::Ok);
    assert_eq!(ask(&nightly, &memory, "2026-11-22T00:58:00Z"), "");
    assert_eq!(upcoming(&nightly, &memory, "2026-11-22T00:58:00Z"), "11-23T01:00");
    // It was first seen then.
    let mut memory = known(&nightly, "2036-11-21T12:00:00Z");
    assert!(memory.meet(std::slice::from_ref(&nightly), at("2026-11-21T12:00:00Z")));
    assert_eq!(upcoming(&nightly, &memory, "2026-11-21T12:00:00Z"), "11-22T01:00");
}

#[test]
fn another_schedule_counts_from_its_change() {
    let before = spec("nightly");
    let mut memory = known(&before, "2026-11-01T12:00:00Z");
    ran(&mut memory, &before, "2026-11-21T01:00:00Z", Outcome::Ok);
    let after = spec("0 11 * * *");
    assert!(memory.meet(std::slice::from_ref(&after), at("2026-11-21T12:00:00Z")));
    assert_eq!(ask(&after, &memory, "2026-11-21T12:00:01Z"), "");
    assert_eq!(upcoming(&after, &memory, "2026-11-21T12:00:01Z"), "11-22T10:00");
}

#[test]
fn quiet_hours_hold_back_and_jitter_spreads() {
    let hourly = JobSpec { quiet: Some(Quiet::parse("08:00-18:00").unwrap()), ..spec("hourly") };
    let memory = known(&hourly, "2026-11-21T06:30:00Z");
    assert_eq!(upcoming(&hourly, &memory, "2026-11-21T06:59:00Z"), "11-21T17:00");
    assert_eq!(ask(&hourly, &memory, "2026-11-21T12:00:00Z"), "");
    assert_eq!(ask(&hourly, &memory, "2026-11-21T17:00:00Z"), "11-21T17:00 missed 0 attempt 0");
    // A run that was due before, and is looked for in quiet hours.
    let memory = known(&hourly, "2026-11-21T05:30:00Z");
    assert_eq!(ask(&hourly, &memory, "2026-11-21T12:00:00Z"), "");
    let late = JobSpec { offset: TimeDelta::minutes(7), ..spec("nightly") };
    let mut memory = known(&late, "2026-11-21T12:00:00Z");
    assert_eq!(upcoming(&late, &memory, "2026-11-21T12:00:00Z"), "11-22T01:07");
    ran(&mut memory, &late, "2026-11-22T01:07:00Z", Outcome::Ok);
    assert_eq!(upcoming(&late, &memory, "2026-11-22T01:07:00Z"), "11-23T01:07");
    let shares: Vec<i64> = ["a", "b", "c"].map(|id| share(&format!("dump ghost-{id}.fr"), Duration::from_secs(600)).num_seconds()).into();
    assert!(shares.iter().all(|share| (0..600).contains(share)) && shares[0] != shares[1], "{shares:?}");
    assert_eq!(share("dump ghost-a.fr", Duration::ZERO), TimeDelta::zero());
}

#[test]
fn at_start_is_once_a_start() {
    let job = spec("at start");
    let mut memory = known(&job, "2026-11-21T12:00:00Z");
    let clock = |now, started: &str| Clock { started_at: Some(at(started)), ..clock(now) };
    let specs = [job.clone()];
    let count = |memory: &RunMemory, clock: &Clock| due(&specs, memory, clock).len();
    assert_eq!(ask(&job, &memory, "2026-11-21T12:00:00Z"), "");
    assert_eq!(count(&memory, &clock("2026-11-21T12:00:05Z", "2026-11-21T12:00:01Z")), 1);
    ran(&mut memory, &job, "2026-11-21T12:00:06Z", Outcome::Ok);
    assert_eq!(count(&memory, &clock("2026-11-21T12:00:07Z", "2026-11-21T12:00:01Z")), 0);
    assert_eq!(count(&memory, &clock("2026-11-22T12:00:07Z", "2026-11-22T12:00:01Z")), 1);
}

#[test]
fn what_never_ended_was_interrupted() {
    let nightly = spec("nightly");
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    memory.begin(&nightly, 0, "catches up with 2 missed runs", at("2026-11-22T01:00:00Z"));
    assert_eq!(ask(&nightly, &memory, "2026-11-22T09:00:00Z"), "");
    assert_eq!(memory.interrupt(at("2026-11-22T09:00:00Z")), ["dump ghost-a.fr"]);
    let run = memory.jobs[&nightly.id].last().unwrap();
    assert_eq!(
        (run.result, run.message.as_str()),
        (Outcome::Interrupted, "catches up with 2 missed runs; the program or the machine was stopped")
    );
    assert_eq!(ask(&nightly, &memory, "2026-11-22T09:16:00Z"), "11-22T09:15 missed 0 attempt 1");
}

#[test]
fn a_memory_survives_its_file() {
    let nightly = spec("nightly");
    let mut memory = known(&nightly, "2026-11-21T12:00:00Z");
    for night in 0..40 {
        memory.begin(&nightly, 0, "", at("2026-11-22T01:00:00Z") + TimeDelta::days(night));
        memory.end(&nightly.id, Outcome::Ok, &"x".repeat(9999), at("2026-11-22T01:00:00Z") + TimeDelta::days(night));
    }
    assert_eq!(memory.jobs[&nightly.id].runs.len(), 20);
    let text = serde_json::to_string(&memory).unwrap();
    assert!(text.len() < 20_000);
    assert_eq!(serde_json::from_str::<RunMemory>(&text).unwrap(), memory);
    // A job that is gone is forgotten a month after its last run.
    assert!(memory.meet(&[], at("2027-06-01T00:00:00Z")) && memory.jobs.is_empty());
}

#[test]
fn a_backup_that_is_missing_is_overdue() {
    let nightly = spec("nightly");
    let late = |spec: &JobSpec, newest: Option<&str>, now: &str| {
        overdue(newest.map(at), spec, at("2026-11-01T12:00:00Z"), &clock(now)).map_or_else(String::new, |found| found.message())
    };
    assert_eq!(late(&nightly, Some("2026-11-21T01:05:00Z"), "2026-11-22T13:00:00Z"), "");
    insta::assert_snapshot!(late(&nightly, Some("2026-11-21T01:05:00Z"), "2026-11-22T13:00:01Z"), @"dump ghost-a.fr was due at 2026-11-22T01:00:00Z and is missing: the newest good one is of 2026-11-21T01:05:00Z");
    insta::assert_snapshot!(late(&nightly, None, "2026-11-03T00:00:00Z"), @"dump ghost-a.fr was due at 2026-11-02T01:00:00Z and is missing: there is no good one");
    assert_eq!(late(&nightly, None, "2026-11-02T12:00:00Z"), "");
    // Half of half an hour is too little time to run.
    assert_eq!(late(&spec("every 30m"), Some("2026-11-21T01:00:00Z"), "2026-11-21T02:30:00Z"), "");
    assert!(!late(&spec("every 30m"), Some("2026-11-21T01:00:00Z"), "2026-11-21T02:31:00Z").is_empty());
    // On workdays only: Friday's is enough until Monday noon.
    assert_eq!(late(&spec("0 2 * * 1-5"), Some("2026-11-20T01:05:00Z"), "2026-11-23T12:00:00Z"), "");
    assert!(!late(&nightly, Some("2036-11-21T01:05:00Z"), "2026-11-22T13:00:01Z").is_empty());
    assert_eq!(late(&spec("at start"), None, "2026-11-22T13:00:01Z"), "");
    let specs = [spec("nightly"), JobSpec { id: "forget ghost-a.fr".into(), job: Job::Forget, ..spec("nightly") }];
    let all = all_overdue(&specs, &|_, _| None, &|_| at("2026-11-01T12:00:00Z"), &clock("2026-11-22T13:00:00Z"));
    assert_eq!(all.iter().map(|overdue| overdue.id.as_str()).collect::<Vec<_>>(), ["dump ghost-a.fr"]);
}

proptest! {
    /// Looking often, every time has its run, and no time has two.
    #[test]
    fn every_time_is_served_once(times in prop_oneof![Just("nightly"), Just("every 6h"), Just("0 3 * * 0"), Just("15,45 1-4 * * *")], steps in proptest::collection::vec(1..40_i64, 1..300), offset in 0..900_i64) {
        let spec = JobSpec { offset: TimeDelta::seconds(offset), ..spec(times) };
        let start = at("2026-10-20T00:00:00Z");
        let mut memory = known(&spec, "2026-10-20T00:00:00Z");
        let (mut now, mut count) = (start, 0);
        for step in steps {
            now += TimeDelta::minutes(step);
            let clock = Clock { zone: Tz::Europe__Paris, now, started_at: None };
            if let Some(due) = due(std::slice::from_ref(&spec), &memory, &clock).first() {
                prop_assert!(due.since <= now);
                count += 1;
                memory.begin(&spec, due.attempt, "", now);
                memory.end(&spec.id, Outcome::Ok, "", now);
            }
            prop_assert!(next(&spec, &memory, &clock).is_some_and(|next| next > now));
        }
        let mut expected = 0;
        let mut at = start - spec.offset;
        while let Some(time) = spec.times.next_after(at, Tz::Europe__Paris).filter(|time| *time + spec.offset <= now) {
            (at, expected) = (time, expected + 1);
        }
        // Steps of less than 40 minutes skip only times that are half an hour apart.
        prop_assert!(count <= expected && (times == "15,45 1-4 * * *" || count == expected), "{} of {}", count, expected);
    }
}
