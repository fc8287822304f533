mod year;

use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::config::certificates::{Authority, Certificates};
use crate::plan::cert::memory::{Blame, Failed, Signed};

const LE: &str = "https://acme-v02.api.letsencrypt.org/directory";
const TEST: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_298_400, 0).unwrap() + TimeDelta::hours(hours)
}

fn wanted(names: &[&str]) -> Wanted {
    Wanted::of(&Certificates::default(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn observed(stem: &str, from: DateTime<Utc>, life: TimeDelta, number: u32) -> Observed {
    Observed {
        host: stem.parse().unwrap(),
        names: vec![stem.to_owned()],
        issuer: "R1".to_owned(),
        issuer_key: "01".to_owned(),
        not_before: from,
        not_after: from + life,
        fingerprint: format!("{stem}-{number}"),
    }
}

fn failed<'a>(wanted: &'a Wanted, digest: &'a str, directory: Option<&'a str>, blame: Blame, wait: Option<u64>) -> Failed<'a> {
    Failed {
        authority: directory.map(|directory| (directory, "letsencrypt")),
        blame,
        said: "x",
        next: None,
        wait: wait.map(Duration::from_secs),
        names: &wanted.names,
        ends_at: None,
        digest,
    }
}

fn told(turn: &Turn) -> String {
    match turn {
        Turn::Keep { reason, .. } => format!("keep: {reason}"),
        Turn::Wait { reason, .. } => format!("wait: {reason}"),
        Turn::Ask { staging, renewal, reason, .. } => format!("ask staging={staging} renewal={renewal}: {reason}"),
    }
}

#[test]
fn every_turn_has_its_reason() {
    let wanted = wanted(&["a.fr"]);
    let both = self::wanted(&["a.fr", "www.a.fr"]);
    let cert = observed("a.fr", at(0), TimeDelta::days(90), 1);
    let mut memory = Memory::default();
    let mut lines = vec![
        told(&turn(&wanted, &Lying::Nothing, &memory, false, at(0))),
        told(&turn(&wanted, &Lying::Placeholder(cert.clone()), &memory, false, at(0))),
        told(&turn(&wanted, &Lying::Theirs(cert.clone()), &memory, true, at(0))),
        told(&turn(&both, &Lying::Theirs(cert.clone()), &memory, false, at(0))),
        told(&turn(&wanted, &Lying::Theirs(cert.clone()), &memory, false, at(24 * 91))),
        told(&turn(&wanted, &Lying::Broken("the key belongs to another certificate".into()), &memory, false, at(0))),
    ];
    memory.signed("a.fr", &Signed { directory: LE, fingerprint: "a.fr-1", names: &wanted.names, renewal: false }, at(0));
    let ours = Lying::Ours(cert);
    lines.push(told(&turn(&wanted, &ours, &memory, false, at(0))));
    lines.push(told(&turn(&both, &ours, &memory, false, at(0))));
    lines.push(told(&turn(&wanted, &ours, &memory, true, at(0))));
    lines.push(told(&turn(&wanted, &ours, &memory, false, at(24 * 61))));
    let digest = wanted.digest();
    memory.failed("a.fr", &failed(&wanted, &digest, None, Blame::Name, None), at(24 * 61));
    lines.push(told(&turn(&wanted, &ours, &memory, false, at(24 * 61))));
    lines.push(told(&turn(&wanted, &ours, &memory, true, at(24 * 61))));
    memory.failed("a.fr", &failed(&wanted, &digest, Some(TEST), Blame::Limit, Some(7200)), at(24 * 61));
    lines.push(told(&turn(&wanted, &ours, &memory, true, at(24 * 61))));
    insta::assert_snapshot!(lines.join("\n"), @r"
    ask staging=true renewal=false: there is no certificate yet
    ask staging=true renewal=false: one of the own authority stands in
    keep: your own file, valid until 2027-02-19
    keep: your own file, valid until 2027-02-19, but not for www.a.fr
    keep: these are your own files and are left alone, but the certificate ended on 2027-02-19
    keep: these are your own files and are left alone, but they cannot be served: the key belongs to another certificate
    keep: valid until 2027-02-19, renewed at 2027-01-20 11:46 UTC: a third of its life is left then
    ask staging=true renewal=false: it is not valid for www.a.fr
    ask staging=false renewal=false: a person asked for a new one
    ask staging=false renewal=false: its renewal began at 2027-01-20 11:46 UTC: a third of its life is left
    wait: its renewal began at 2027-01-20 11:46 UTC: a third of its life is left; waiting after the last failure until 2027-01-21 22:01 UTC
    ask staging=true renewal=false: its renewal began at 2027-01-20 11:46 UTC: a third of its life is left
    wait: its renewal began at 2027-01-20 11:46 UTC: a third of its life is left; the authority wants to be left alone until 2027-01-22 00:00 UTC
    ");
}

#[test]
fn the_test_authority_comes_first_and_once() {
    let wanted = wanted(&["a.fr"]);
    let mut memory = Memory::default();
    let asks = |memory: &Memory| match turn(&wanted, &Lying::Nothing, memory, false, at(0)) {
        Turn::Ask { staging, .. } => staging,
        other => panic!("{other:?}"),
    };
    assert!(asks(&memory));
    memory.proven("a.fr", &wanted.digest());
    assert!(!asks(&memory));
    memory.failed("a.fr", &failed(&wanted, &wanted.digest(), Some(LE), Blame::Name, None), at(-20));
    assert!(asks(&memory), "after a failure the way is proven anew");
}

#[test]
fn an_authority_that_is_down_leads_to_the_next_one() {
    let mut wanted = wanted(&["a.fr"]);
    wanted.staging = Staging::Never;
    wanted.authorities.push(Authority::known("zerossl").unwrap());
    let mut memory = Memory::default();
    let digest = wanted.digest();
    memory.failed("a.fr", &failed(&wanted, &digest, Some(LE), Blame::Authority, None), at(0));
    let Turn::Ask { authority, .. } = turn(&wanted, &Lying::Nothing, &memory, false, at(0)) else { panic!() };
    assert_eq!(authority, 1);
    // Another host does not ask the dead one either; a fault of the name would be found by both.
    let other = Wanted { stem: "b.fr".into(), names: vec!["b.fr".into()], ..wanted.clone() };
    let Turn::Ask { authority, .. } = turn(&other, &Lying::Nothing, &memory, false, at(0)) else { panic!() };
    assert_eq!(authority, 1);
    memory.failed("a.fr", &failed(&wanted, &digest, Some(LE), Blame::Name, None), at(0));
    assert!(matches!(turn(&wanted, &Lying::Nothing, &memory, false, at(0)), Turn::Wait { .. }));
    wanted.profile = Some("other".into());
    assert!(matches!(turn(&wanted, &Lying::Nothing, &memory, false, at(0)), Turn::Ask { .. }), "other settings are another try");
}

#[test]
fn pauses_grow_and_never_outlast_the_certificate() {
    let wanted = wanted(&["a.fr"]);
    let digest = wanted.digest();
    let mut memory = Memory::default();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        memory.failed("a.fr", &failed(&wanted, &digest, None, Blame::Name, None), at(0));
        pauses.push((memory.certificates["a.fr"].tries[""].not_before - at(0)).num_minutes());
    }
    assert!(pauses[..6].is_sorted() && pauses[0] <= 2 && (1440..=1800).contains(&pauses[7]), "{pauses:?}");
    let ending = Failed { ends_at: Some(at(8)), ..failed(&wanted, &digest, None, Blame::Name, None) };
    memory.failed("a.fr", &ending, at(0));
    assert!(memory.certificates["a.fr"].tries[""].not_before <= at(2));
}
