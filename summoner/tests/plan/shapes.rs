//! The JSON that other programs read: keys and words are a contract.

use summoner::plan::Action;
use summoner::plan::deploy::{Scope, deploy};
use summoner::plan::state::{Health, Running};
use summoner::plan::status::Report;

use super::given::{Host, now, settings, wants};

#[test]
fn a_plan() {
    let mut host = Host::installed("{page: {}}");
    host.container("page-team.test").labels.clear();
    host.observed.generation = None;
    host.observed.certificates.clear();
    let mut plan = deploy(&host.wanted, &host.observed, &Scope::default(), &settings(), now());
    plan.steps.iter_mut().filter(|step| step.action == Action::Route).for_each(|step| step.object = "0123456789abcdef".into());
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap(), @r#"
    {
      "steps": [
        {
          "action": "issue-certificate",
          "instance": "page-team.test",
          "object": "page.team.test",
          "reason": "there is no usable certificate",
          "destructive": false
        },
        {
          "action": "route",
          "instance": "nginx-team.test",
          "object": "0123456789abcdef",
          "reason": "no routes yet",
          "destructive": false
        }
      ],
      "obstacles": [
        {
          "instance": "page-team.test",
          "message": "the name page-team.test is taken by another container: Summoner did not make it",
          "hint": "docker rename page-team.test old-page-team.test   (Summoner never touches what it did not make)"
        }
      ]
    }
    "#);
    let empty = Host::installed("{page: {}}");
    let plan = deploy(&empty.wanted, &empty.observed, &Scope::default(), &settings(), now());
    insta::assert_snapshot!(serde_json::to_string(&plan).unwrap(), @r#"{"steps":[],"obstacles":[]}"#);
}

#[test]
fn every_action_has_a_word() {
    let host = Host::empty("{pair: {}, store: {}}");
    let mut words: Vec<String> = deploy(&host.wanted, &host.observed, &Scope::default(), &settings(), now())
        .steps
        .iter()
        .map(|step| serde_json::to_string(&step.action).unwrap())
        .collect();
    words.sort();
    words.dedup();
    insta::assert_snapshot!(words.join(" "), @r#""choose-network-range" "configure" "create-administrator" "create-container" "create-network" "create-volume" "generate-secret" "issue-certificate" "make-folder" "pull-image" "route" "verify""#);
}

#[test]
fn a_status() {
    let host = Host::installed("{pair: {}}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&Report::new(&host.wanted, &host.observed, now())).unwrap(), @r#"
    {
      "version": 1,
      "instances": [
        {
          "id": "nginx-team.test",
          "minion": "nginx",
          "domain": "team.test",
          "url": null,
          "state": "running",
          "containers": [
            {
              "name": "nginx-team.test",
              "role": "app",
              "database": null,
              "image": "nginx:1.30.6",
              "digest": "nginx@sha256:d",
              "state": "running",
              "health": "healthy"
            }
          ],
          "certificate": null,
          "newest_snapshot": null,
          "drill": null
        },
        {
          "id": "pair-team.test",
          "minion": "pair",
          "domain": "team.test",
          "url": "https://pair.team.test",
          "state": "running",
          "containers": [
            {
              "name": "postgresql-pair-team.test",
              "role": "postgresql",
              "database": "postgresql",
              "image": "postgres:18",
              "digest": "postgres@sha256:d",
              "state": "running",
              "health": "healthy"
            },
            {
              "name": "pair-team.test",
              "role": "app",
              "database": null,
              "image": "pair:1",
              "digest": "pair@sha256:d",
              "state": "running",
              "health": "healthy"
            }
          ],
          "certificate": {
            "issuer": "Summoner CA team.test",
            "not_after": "2027-04-14T08:00:00Z"
          },
          "newest_snapshot": null,
          "drill": null
        }
      ],
      "foreign": [],
      "problems": []
    }
    "#);
}

#[test]
fn states_and_problems() {
    let mut host = Host::installed("{pair: {}, page: {}, store: {}}");
    host.container("postgresql-pair-team.test").health = Health::Unhealthy;
    let known = host.container("page-team.test");
    (known.running, known.status) = (Running::Restarting, "Restarting (3) 4 seconds ago".into());
    host.container("cron-store-team.test").running = Running::Exited;
    host.container("nginx-team.test").name = "mine".into();
    let mut orphan = host.container("store-team.test").clone();
    (orphan.name, orphan.id) = ("old-team.test".into(), "id-of-old".into());
    orphan.labels.insert("summoner.instance".into(), "old-team.test".into());
    let mut stranger = orphan.clone();
    (stranger.name, stranger.id) = ("mysql-wiki-team.test".into(), "id-of-stranger".into());
    stranger.labels.clear();
    host.observed.containers.extend([orphan, stranger]);
    host.observed.certificates.values_mut().for_each(|certificate| certificate.not_after = now());
    let mut report = Report::new(&host.wanted, &host.observed, now());
    let states: Vec<String> = report.instances.iter().map(|instance| format!("{} {}", instance.id, instance.state)).collect();
    let problems = report
        .problems
        .iter()
        .map(|found| format!("{} {}: {}; {}", found.id, found.instance.as_deref().unwrap_or("host"), found.message, found.hint));
    insta::assert_snapshot!(states.into_iter().chain(problems).collect::<Vec<_>>().join("\n"), @"
    nginx-team.test running
    pair-team.test unhealthy
    page-team.test restarting
    store-team.test partial
    name-broken nginx-team.test: the container mine should be called nginx-team.test; summoner install
    unhealthy pair-team.test: postgresql-pair-team.test is unhealthy; summoner logs pair-team.test --role postgresql
    certificate-ends pair-team.test: the certificate of pair.team.test ends on 2027-01-15; summoner install
    crash-loop page-team.test: page-team.test ends again and again: Restarting (3) 4 seconds ago; summoner logs page-team.test --role app
    certificate-ends page-team.test: the certificate of page.team.test ends on 2027-01-15; summoner install
    stopped store-team.test: cron-store-team.test is exited; summoner start store-team.test
    orphan host: old-team.test belongs to no application of config.yml; summoner install   takes it away; its data stays
    ");
    insta::assert_snapshot!(serde_json::to_string(&report.foreign).unwrap(), @r#"[{"name":"mysql-wiki-team.test","database":"mysql","instance":"wiki-team.test"}]"#);
    report.only(&["store-team.test".into()]);
    assert_eq!((report.instances.len(), report.problems.len()), (1, 1));
    let absent = Host { wanted: wants("{page: {}}", true), observed: Host::empty("{page: {}}").observed };
    let report = Report::new(&absent.wanted, &absent.observed, now());
    assert!(
        report.instances.iter().all(|instance| instance.state == "absent")
            && report.problems.iter().all(|found| found.id == "not-installed")
    );
}
