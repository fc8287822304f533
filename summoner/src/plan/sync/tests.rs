use chrono::TimeDelta;

use super::*;
use crate::config::schedule::Times;
use crate::plan::schedule::{Clock, Job, JobSpec};
use crate::plan::snapshot::{Manifest, Verified, example};

const NOW: &str = "2026-11-21T12:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn here(id: &str, fault: Option<Option<&str>>) -> Snapshot {
    let manifest = example(id, None);
    let verified = fault.map(|fault| Verified { version: 1, at: manifest.ended_at, read_data: false, fault: fault.map(str::to_owned) });
    Snapshot { manifest, verified }
}

fn good(id: &str) -> Snapshot {
    here(id, Some(None))
}

fn there(id: &str, state: State) -> There {
    let manifest = example(id, None);
    let Manifest { id, kind, consistency, purpose, ended_at, bytes_total, .. } = manifest;
    let parts = Parts {
        version: VERSION,
        id,
        origin: "ours".into(),
        kind,
        consistency,
        purpose,
        ended_at,
        verified_at: ended_at,
        copied_at: ended_at,
        bytes_total,
        blobs: Vec::new(),
    };
    There { parts, state }
}

fn keep(last: u32) -> Keep {
    Keep { last, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None, at_most: None }
}

fn text(here: &[Snapshot], there: &[There], last: u32, append_only: bool) -> String {
    let rules = Rules { keep: &|_| keep(last), ours: &|parts| parts.origin == "ours", append_only, zone: Tz::UTC, now: at(NOW) };
    let plan = sync(here, there, &rules);
    let copies = plan.copies.iter().map(|missing| format!("copy   {}: {}\n", missing.id, missing.reason));
    let forgets = plan.forgets.iter().map(|verdict| {
        assert!(!verdict.keep);
        format!("forget {}: {}\n", verdict.id, verdict.reason)
    });
    copies.chain(forgets).collect()
}

#[test]
fn the_newest_of_each_goes_first_and_only_what_is_good_here() {
    let here = [
        good("ghost-a.fr/20261119T020000Z"),
        good("ghost-a.fr/20261120T020000Z"),
        here("ghost-a.fr/20261121T020000Z", None),
        here("ghost-a.fr/20261118T020000Z", Some(Some("it is cut"))),
        good("wekan-a.fr/20261101T020000Z"),
        good("wekan-a.fr/20261102T020000Z"),
    ];
    insta::assert_snapshot!(text(&here, &[], 3, false), @"
    copy   ghost-a.fr/20261120T020000Z: it is not there
    copy   wekan-a.fr/20261102T020000Z: it is not there
    copy   ghost-a.fr/20261119T020000Z: it is not there
    copy   wekan-a.fr/20261101T020000Z: it is not there
    ");
    // Nobody sends what would be forgotten there at once.
    insta::assert_snapshot!(text(&here, &[], 1, false), @"
    copy   ghost-a.fr/20261120T020000Z: it is not there
    copy   wekan-a.fr/20261102T020000Z: it is not there
    ");
}

#[test]
fn a_deletion_here_does_not_travel_and_that_place_forgets_by_its_own_rule() {
    let lies = [
        there("ghost-a.fr/20261101T020000Z", State::Whole),
        there("ghost-a.fr/20261102T020000Z", State::Whole),
        there("ghost-a.fr/20261103T020000Z", State::Whole),
    ];
    assert_eq!(text(&[], &lies, 3, false), "", "nothing is here any more, and all of it stays there");
    let new = [good("ghost-a.fr/20261121T020000Z")];
    insta::assert_snapshot!(text(&new, &lies, 3, false), @"
    copy   ghost-a.fr/20261121T020000Z: it is not there
    forget ghost-a.fr/20261101T020000Z: older than all slots
    ");
    assert!(!text(&new, &lies, 3, true).contains("forget"), "it may only be added to");
    // Even a rule that keeps nothing keeps the newest.
    assert!(!text(&[], &lies, 0, false).contains("20261103"));
    // What somebody else put there is nobody's business here.
    let mut strange = lies.to_vec();
    strange.iter_mut().for_each(|there| there.parts.origin = "theirs".into());
    assert_eq!(text(&[], &strange, 1, false), "");
}

#[test]
fn what_is_broken_there_is_mended_from_here_or_kept_to_look_at() {
    let lies = [
        there("ghost-a.fr/20261119T020000Z", State::Broken("tree.tar.zst is missing".into())),
        there("ghost-a.fr/20261120T020000Z", State::Whole),
        there("ghost-a.fr/20261110T020000Z", State::Unfinished),
        there("ghost-a.fr/20261118T020000Z", State::Unfinished),
    ];
    let all = [good("ghost-a.fr/20261119T020000Z"), good("ghost-a.fr/20261118T020000Z")];
    insta::assert_snapshot!(text(&all, &lies, 9, false), @"
    copy   ghost-a.fr/20261119T020000Z: its copy is broken: tree.tar.zst is missing
    copy   ghost-a.fr/20261118T020000Z: its copy was begun and has not ended
    forget ghost-a.fr/20261110T020000Z: its copy never ended, and it is not here any more
    ");
    insta::assert_snapshot!(text(&[], &lies[..2], 9, false), @"");
}

#[test]
fn a_copy_is_late_when_the_job_that_catches_up_should_have_brought_it() {
    let here = [good("ghost-a.fr/20261120T020000Z"), good("ghost-a.fr/20261121T020000Z")];
    let instance = "ghost-a.fr".parse().unwrap();
    let spec = JobSpec {
        id: "sync ghost-a.fr".into(),
        job: Job::Sync,
        instance: None,
        times: Times::parse("0 6 * * *").unwrap(),
        cron: String::new(),
        offset: TimeDelta::zero(),
        quiet: None,
    };
    let clock = |now: &str| Clock { zone: Tz::UTC, now: at(now), started_at: None };
    let old: BTreeSet<SnapshotId> = [here[0].manifest.id.clone()].into();
    let all: BTreeSet<SnapshotId> = here.iter().map(|snapshot| snapshot.manifest.id.clone()).collect();
    let says = |there: &BTreeSet<SnapshotId>, spec: Option<&JobSpec>, now: &str| late(&instance, &here, there, spec, &clock(now));
    assert_eq!(says(&all, Some(&spec), "2027-01-01T00:00:00Z"), None);
    assert_eq!(says(&old, Some(&spec), "2026-11-21T18:00:00Z"), None);
    let found = says(&old, Some(&spec), "2026-11-21T18:00:01Z").unwrap();
    assert_eq!((found.id, found.newest_there), (here[1].manifest.id.clone(), Some(at("2026-11-20T02:00:00Z"))));
    assert_eq!(says(&BTreeSet::new(), None, "2026-11-22T02:00:00Z"), None);
    assert_eq!(says(&BTreeSet::new(), None, "2026-11-22T02:00:01Z").unwrap().newest_there, None);
}
