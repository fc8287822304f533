use proptest::prelude::*;

use super::*;

fn at(minutes: i64) -> DateTime<Utc> {
    "2026-11-21T02:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minutes)
}

fn seen(about: About, subject: &str) -> Seen {
    Seen { subject: subject.into(), about, instance: Some("ghost-a.fr".into()), message: "no space left".into() }
}

fn ids() -> Vec<InstanceId> {
    vec!["ghost-a.fr".parse().unwrap()]
}

const JOB: &str = "backup ghost-a.fr";

/// "minutes event text" of each.
fn line(notice: &Notice) -> String {
    format!("{} {} {}", (notice.at - at(0)).num_minutes(), notice.event.as_str(), notice.text)
}

#[test]
fn a_failure_is_told_once_then_daily_then_over() {
    let mut memory = Memory::default();
    let job = seen(About::Job, JOB);
    let mut told = Vec::new();
    for minute in [0, 15, 75, 315, 1439] {
        told.extend(memory.failed(&job, at(minute)));
        told.extend(memory.remind(&ids(), &[JOB], at(minute)));
    }
    assert_eq!(told.len(), 1);
    told.extend(memory.remind(&ids(), &[JOB], at(1445)));
    told.extend(memory.remind(&ids(), &[JOB], at(1460)));
    told.extend(memory.well(JOB, at(1500)));
    told.extend(memory.well(JOB, at(1501)));
    // It fails again within the day of the last telling: told when the day is over.
    told.extend(memory.failed(&job, at(1600)));
    told.extend(memory.remind(&ids(), &[JOB], at(2885)));
    insta::assert_snapshot!(told.iter().map(line).collect::<Vec<_>>().join("\n"), @"
    0 failure backup ghost-a.fr: no space left
    1445 failure backup ghost-a.fr: still wrong since 2026-11-21 02:00 UTC: no space left
    1500 recovered backup ghost-a.fr: recovered; it failed since 2026-11-21 02:00 UTC: no space left
    2885 failure backup ghost-a.fr: no space left
    ");
    assert_eq!((told[1].times, told[3].times), (5, 1));
}

#[test]
fn what_is_only_seen_must_last() {
    let mut memory = Memory::default();
    let stopped = [seen(About::Status, "status ghost-a.fr")];
    assert_eq!(memory.looked(&stopped, at(0)), []);
    assert_eq!(memory.looked(&[], at(5)), [], "it was being backed up");
    assert_eq!(memory.looked(&stopped, at(10)), []);
    assert_eq!(memory.looked(&stopped, at(25)).len(), 1);
    let over = memory.looked(&[], at(40));
    assert_eq!(over[0].event, News::Recovered);
    assert_eq!(memory.looked_at, Some(at(40)));
    // A look ends no job's failure, and a job no look's.
    memory.failed(&seen(About::Job, JOB), at(50));
    assert_eq!(memory.looked(&[], at(60)), []);
    assert!(memory.problems[JOB].open);
}

#[test]
fn what_nobody_took_is_tried_again_a_few_times() {
    let mut memory = Memory::default();
    let first = memory.failed(&seen(About::Job, JOB), at(0)).unwrap();
    memory.in_vain(&first);
    let mut tries = Vec::new();
    for minute in (0..2900).step_by(5) {
        for notice in memory.remind(&ids(), &[JOB], at(minute)) {
            tries.push(minute);
            assert!(!notice.reminder, "nobody heard of it");
            memory.in_vain(&notice);
        }
    }
    assert_eq!(tries, [15, 75, 315, 315 + 1440], "four a day, not one each quarter of an hour");
    // Its end is news to nobody.
    assert_eq!(memory.well(JOB, at(2900)), None);
    // An end that did not arrive is said again.
    let mut memory = Memory::default();
    memory.failed(&seen(About::Job, JOB), at(0)).unwrap();
    let end = memory.well(JOB, at(60)).unwrap();
    memory.in_vain(&end);
    assert_eq!(memory.remind(&ids(), &[JOB], at(70)), []);
    let again = memory.remind(&ids(), &[JOB], at(75));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].event, News::Recovered);
    memory.arrived(&again[0]);
    assert_eq!(memory.remind(&ids(), &[JOB], at(5000)), []);
    assert!(memory.problems.is_empty());
}

#[test]
fn what_is_gone_is_no_problem_any_more() {
    let mut memory = Memory::default();
    memory.failed(&seen(About::Job, JOB), at(0));
    assert_eq!(memory.remind(&[], &[], at(10)), []);
    assert!(memory.problems.is_empty(), "the instance is gone");
    memory.failed(&seen(About::Job, JOB), at(0));
    assert_eq!(memory.remind(&ids(), &[], at(1440)), [], "the job is never due again");
    assert!(memory.problems.is_empty());
}

#[test]
fn backups_are_well_when_none_of_them_is_not() {
    let mut memory = Memory::default();
    memory.failed(&seen(About::Status, "status ghost-a.fr"), at(0));
    assert_eq!(memory.blocks(None), None, "an app that is down was backed up all the same");
    memory.failed(&seen(About::Job, "verify ghost-a.fr"), at(0));
    let why = "verify ghost-a.fr has failed since 2026-11-21 02:00 UTC: no space left";
    assert_eq!(memory.blocks(None).as_deref(), Some(why));
    assert_eq!(memory.blocks(Some(&ids())).as_deref(), Some(why));
    assert_eq!(memory.blocks(Some(&["wekan-a.fr".parse().unwrap()])), None);
    memory.well("verify ghost-a.fr", at(1));
    assert_eq!(memory.blocks(None), None);
}

#[test]
fn a_way_that_does_not_work_is_remembered_since_it_first_did_not() {
    let mut memory = Memory::default();
    memory.answered("hook", Some("it ended with 1"), at(0));
    memory.answered("hook", Some("it ended with 2\n"), at(60));
    assert_eq!(memory.silent["hook"], Silent { since: at(0), message: "it ended with 2 ".into() });
    memory.answered("hook", None, at(61));
    assert!(memory.silent.is_empty());
}

#[test]
fn a_clock_that_was_wrong_silences_nothing_for_years() {
    let mut memory = Memory::default();
    let job = seen(About::Job, JOB);
    assert!(memory.failed(&job, at(60 * 24 * 365)).is_some());
    assert!(memory.failed(&job, at(0)).is_some());
    assert_eq!(memory.problems[JOB].since, at(0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Fail,
    Well,
    Look(bool),
    Remind,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u16, bool)>> {
    let step = prop_oneof![Just(Step::Fail), Just(Step::Well), any::<bool>().prop_map(Step::Look), Just(Step::Remind)];
    proptest::collection::vec((step, 0_u16..900, any::<bool>()), 1..200)
}

/// Plays a sequence; `arrives` says whether its news arrive. Gives the news of each subject.
fn play(steps: &[(Step, u16, bool)], arrives: impl Fn(bool) -> bool) -> BTreeMap<String, Vec<(Notice, bool)>> {
    let (mut memory, mut minute) = (Memory::default(), 0);
    let mut told: BTreeMap<String, Vec<(Notice, bool)>> = BTreeMap::new();
    for (step, pause, lucky) in steps {
        minute += i64::from(*pause);
        let now = at(minute);
        let notices: Vec<Notice> = match step {
            Step::Fail => memory.failed(&seen(About::Job, JOB), now).into_iter().collect(),
            Step::Well => memory.well(JOB, now).into_iter().collect(),
            Step::Look(true) => memory.looked(&[seen(About::Status, "status ghost-a.fr")], now),
            Step::Look(false) => memory.looked(&[], now),
            Step::Remind => memory.remind(&ids(), &[JOB], now),
        };
        for notice in notices {
            let arrived = arrives(*lucky);
            if arrived {
                memory.arrived(&notice);
            } else {
                memory.in_vain(&notice);
            }
            told.entry(notice.subject.clone()).or_default().push((notice, arrived));
        }
    }
    told
}

proptest! {
    /// Whatever happens: at most one telling a day for each problem, and one end for each that was told.
    #[test]
    fn nobody_is_flooded(steps in steps()) {
        for news in play(&steps, |_| true).values() {
            let failures: Vec<&Notice> = news.iter().map(|(notice, _)| notice).filter(|notice| notice.event == News::Failure).collect();
            for pair in failures.windows(2) {
                prop_assert!(pair[1].at - pair[0].at >= DAY, "{} and {}", pair[0].at, pair[1].at);
            }
            // An end comes after a failure that was told, and never twice.
            let mut owed = false;
            for (notice, _) in news {
                if notice.event == News::Recovered {
                    prop_assert!(owed);
                }
                owed = notice.event == News::Failure;
            }
        }
    }

    /// Where tellings get lost: still at most four tries a day, one where it arrived, and an end only for who heard of it.
    #[test]
    fn nobody_is_flooded_by_tries_either(steps in steps()) {
        for news in play(&steps, |lucky| lucky).values() {
            let failures: Vec<&(Notice, bool)> = news.iter().filter(|(notice, _)| notice.event == News::Failure).collect();
            for five in failures.windows(5) {
                prop_assert!(five[4].0.at - five[0].0.at >= DAY, "{five:?}");
            }
            for pair in failures.windows(2).filter(|pair| pair[0].1) {
                prop_assert!(pair[1].0.at - pair[0].0.at >= DAY, "{pair:?}");
            }
            let mut heard = false;
            for (notice, arrived) in news {
                match notice.event {
                    News::Failure => heard |= arrived,
                    _ => {
                        prop_assert!(heard, "an end of what nobody heard of");
                        heard &= !arrived;
                    }
                }
            }
        }
    }
}
