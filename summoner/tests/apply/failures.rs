//! What fails stops nothing else, leaves what ran as it was, opens no door, and says what to do next.

use std::sync::Arc;
use std::time::Duration;

use summoner::docker::fake::{Behaviour, Program};
use summoner::docker::{ExecOutput, ExecSpec};
use summoner::error::Kind;
use summoner::plan::status::Report;

use super::clock;
use super::world::{World, errors, jump};

const APPS: &str = "{pair: {}, page: {}, store: {}}";

fn ids(outcome: &summoner::apply::Outcome) -> Vec<String> {
    outcome.ready.iter().map(ToString::to_string).collect()
}

#[test]
fn an_instance_that_ends_at_once_stops_no_other() {
    clock::run(async {
        let world = World::new(APPS).await;
        world.fake.behave("page-team.test", Behaviour::Exits(3));
        world.fake.says("page-team.test", "reading /etc/page.conf\nFATAL: no such setting: colour\n");
        for attempt in ["first", "second"] {
            let outcome = world.install().await.unwrap();
            assert_eq!(ids(&outcome), ["pair-team.test", "store-team.test"], "{attempt}");
            assert_eq!(outcome.failure(), Some(Kind::Partial), "{attempt}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(errors(&outcome).join("\n"), @"
                page-team.test: error: page-team.test ended again and again with exit code 3
                  cause: the last lines of its log:
                         reading /etc/page.conf
                         FATAL: no such setting: colour
                  next:  summoner logs page-team.test --role app
                ");
            }
            assert!(world.front.is_open("pair.team.test") && !world.front.is_open("page.team.test"), "{attempt}");
        }
        world.fake.behave("page-team.test", Behaviour::Works);
        world.fake.remove_by_hand("page-team.test");
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn an_instance_that_is_never_healthy_stops_no_other() {
    clock::run(async {
        let world = World::new(APPS).await;
        world.fake.behave("postgresql-pair-team.test", Behaviour::Unhealthy);
        world.fake.says("postgresql-pair-team.test", &(1..100).map(|line| format!("line {line}\n")).collect::<String>());
        let waits = jump(&world, "postgresql-pair-team.test", &["page-team.test", "store-team.test"], Duration::from_secs(95));
        let (outcome, ()) = tokio::join!(world.install(), waits);
        let outcome = outcome.unwrap();
        assert_eq!(ids(&outcome), ["page-team.test", "store-team.test"]);
        insta::assert_snapshot!(errors(&outcome).join("\n"), @"
        pair-team.test: error: postgresql-pair-team.test did not become healthy within 60 s
          cause: the last lines of its log:
                 line 88
                 line 89
                 line 90
                 line 91
                 line 92
                 line 93
                 line 94
                 line 95
                 line 96
                 line 97
                 line 98
                 line 99
          next:  summoner logs pair-team.test --role postgresql
        ");
        assert!(!world.fake.runs("pair-team.test"), "what depends on it was not made");
        assert!(!world.front.is_open("pair.team.test") && world.front.is_open("page.team.test"));
        world.fake.behave("postgresql-pair-team.test", Behaviour::Works);
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn the_only_instance_that_fails_is_the_whole_command_s_failure() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.fake.behave("page-team.test", Behaviour::Exits(1));
        let outcome = world.install().await.unwrap();
        assert_eq!((ids(&outcome), outcome.failure()), (Vec::new(), Some(Kind::External)));
    });
}

#[test]
fn an_image_that_cannot_be_had_leaves_its_instance_as_it_is() {
    clock::run(async {
        let mut world = World::new(APPS).await;
        world.installs().await;
        world.configure("{pair: {version: '2'}, page: {version: '2'}, store: {}}").await;
        world.fake.refuses_pull("pair:2", "manifest for pair:2 not found: manifest unknown: manifest unknown");
        let of_pair = |world: &World| [world.containers("pair-team.test", "app"), world.containers("pair-team.test", "db")];
        let (before, secrets, count) = (of_pair(&world), world.secrets(), world.fake.calls().len());
        for attempt in ["first", "second"] {
            let outcome = world.install().await.unwrap();
            assert_eq!((ids(&outcome), outcome.failure()), (vec!["page-team.test".into(), "store-team.test".into()], Some(Kind::Partial)));
            insta::allow_duplicates! {
                insta::assert_snapshot!(errors(&outcome).join("\n"), @"
                pair-team.test: error: cannot pull the image pair:2
                  cause: manifest for pair:2 not found: manifest unknown: manifest unknown
                  next:  check the version in config.yml: the registry has no such tag
                  next:  scripts/images pair:2   builds it here, where there is a recipe
                ");
            }
            assert_eq!((of_pair(&world), world.secrets()), (before.clone(), secrets.clone()), "{attempt}");
            assert_eq!(world.containers("page-team.test", "app")[0].image, "page:2", "{attempt}");
            assert!(world.front.is_open("pair.team.test") && world.front.is_open("page.team.test"), "{attempt}");
        }
        let calls = world.fake.calls_since(count);
        let first_change = calls.iter().position(|call| !call.starts_with("pull ")).unwrap();
        assert!(calls[..first_change].contains(&"pull page:2".to_owned()), "images come before anything that runs: {calls:?}");
        assert!(calls.iter().all(|call| call == "pull pair:2" || !call.contains("pair")), "{calls:?}");
        world.fake.has_image("pair:2");
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn an_image_that_several_instances_need_keeps_all_of_them_back() {
    clock::run(async {
        let world = World::new("{page: {}, leaf: {minion: page, subdomain: leaf}, store: {}}").await;
        world.fake.refuses_pull("page:1", "no route to host");
        let outcome = world.install().await.unwrap();
        assert_eq!((ids(&outcome), outcome.failure()), (vec!["store-team.test".into()], Some(Kind::Partial)));
        let failed: Vec<String> = outcome.failed.iter().map(|(id, error)| format!("{id}: {}", error.message)).collect();
        assert_eq!(failed, ["leaf-team.test: cannot pull the image page:1", "page-team.test: cannot pull the image page:1"]);
        assert_eq!(world.fake.network_names(), ["store-team.test", "summoner-edge"], "nothing of them was made");
    });
}

#[test]
fn without_the_image_of_the_proxy_nothing_is_touched() {
    clock::run(async {
        let world = World::new(APPS).await;
        let proxy = world.situation().await.unwrap().wanted.instances.into_iter().find(|instance| instance.proxy).unwrap();
        let image = proxy.containers[0].image.clone();
        world.fake.refuses_pull(&image, "no route to host");
        let error = world.install().await.unwrap_err();
        assert_eq!((error.kind, error.message), (Kind::External, format!("cannot pull the image {image}")));
        assert!(world.fake.calls().iter().all(|call| call.starts_with("pull ")), "{:?}", world.fake.calls());
        assert_eq!(world.fake.shown(), Vec::new());
    });
}

#[test]
fn a_port_in_use_is_named_and_the_next_install_goes_on() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.fake.takes_port(8443);
        insta::assert_snapshot!(world.install().await.unwrap_err(), @"
        error: cannot start the container nginx-team.test
          cause: driver failed programming external connectivity on endpoint nginx-team.test: Bind for 0.0.0.0:8443 failed: port is already allocated
          next:  summoner doctor   names who holds the port; config.yml can choose another: proxy.http_port, proxy.https_port
        ");
        world.fake.frees_port(8443);
        world.installs().await;
        world.is_whole().await;
    });
}

/// Refuses every command.
struct Stubborn;

impl Program for Stubborn {
    fn exec(&self, _: &ExecSpec) -> ExecOutput {
        ExecOutput { exit_code: 7, stdout: Vec::new(), stderr: b"administrator: the database is read-only\n".to_vec() }
    }
}

#[test]
fn without_an_administrator_the_door_stays_shut() {
    clock::run(async {
        let world = World::new("{pair: {}}").await;
        world.fake.run("pair-team.test", Arc::new(Stubborn));
        let outcome = world.install().await.unwrap();
        insta::assert_snapshot!(errors(&outcome).join("\n"), @"
        pair-team.test: error: cannot create the first administrator of pair-team.test
          cause: make-administrator in pair-team.test ended with 7
                 administrator: the database is read-only
          next:  summoner install   tries again; the route stays closed until then
        ");
        for _ in 0..2 {
            assert!(!world.front.is_open("pair.team.test"));
            let plan = world.plan().await;
            insta::allow_duplicates! {
                insta::assert_snapshot!(plan, @"
                create administrator pair-team.test: nobody can sign in yet
                configure pair-team.test: its settings were not made yet for these containers
                verify pair-team.test: these containers have not proven yet that they work
                route GENERATION: the routes changed
                ");
            }
            assert_eq!(world.install().await.unwrap().failed.len(), 1);
        }
    });
}

#[test]
fn a_page_that_is_wrong_is_a_failure() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.front.pages.lock().unwrap().get_mut("page.team.test").unwrap().body = "Error establishing a database connection".into();
        let outcome = world.install().await.unwrap();
        insta::assert_snapshot!(errors(&outcome).join("\n"), @"
        page-team.test: error: https://page.team.test:8443/ does not answer as it should
          cause: its page lacks `hello`
          next:  summoner logs page-team.test
        ");
        assert!(!world.told.ready().contains(&"page-team.test".to_owned()));
        assert_eq!(world.plan().await, "verify page-team.test: these containers have not proven yet that they work");
        assert_eq!(world.install().await.unwrap().failed.len(), 1, "not green before it is proven");
        world.front.pages.lock().unwrap().get_mut("page.team.test").unwrap().body = "hello".into();
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn the_image_of_an_instance_is_the_one_it_was_installed_with() {
    clock::run(async {
        let world = World::new("{pair: {}}").await;
        world.installs().await;
        let image = |world: &World| world.containers("pair-team.test", "app")[0].image_id.clone();
        let before = image(&world);
        // Upstream moved the tag, and the old image was pruned.
        world.fake.retag("pair:1", false);
        assert_eq!(world.plan().await, "");
        world.fake.remove_by_hand("pair-team.test");
        insta::assert_snapshot!(world.plan().await, @"
        pull image pair:1: not on this host
        create container pair-team.test: absent
        configure pair-team.test: its settings were not made yet for these containers
        ");
        world.installs().await;
        world.is_whole().await;
        assert_eq!(image(&world), before);
        let pulled = world.fake.calls().into_iter().filter(|call| call.starts_with("pull pair@sha256:")).count();
        assert_eq!(pulled, 1, "by its digest");
    });
}

#[test]
fn a_host_that_the_proxy_refuses_is_a_failure_until_it_is_mended() {
    clock::run(async {
        let world = World::new(APPS).await;
        world.front.nginx.refuse(Some("page.team.test"));
        for attempt in ["first", "second", "third"] {
            let outcome = world.install().await.unwrap();
            assert_eq!((ids(&outcome), outcome.failure()), (vec!["pair-team.test".into(), "store-team.test".into()], Some(Kind::Partial)));
            let error = errors(&outcome).join("\n");
            let (before, after) = error.split_once("gen-").unwrap();
            insta::allow_duplicates! {
                insta::assert_snapshot!(format!("{before}GENERATION{}", &after[16..]), @r#"
                page-team.test: error: the proxy refuses the route of page.team.test
                  cause: invalid value "none" in /etc/nginx/summoner/GENERATION/hosts/page.team.test.conf:7
                  next:  summoner install   once what it names is mended in config.yml or in the minion's route
                "#);
            }
            assert!(world.front.is_open("pair.team.test") && !world.front.is_open("page.team.test"), "{attempt}");
        }
        world.front.nginx.refuse(None);
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn a_host_that_the_proxy_refuses_later_is_a_failure_too() {
    clock::run(async {
        let mut world = World::new("{page: {}, pair: {}}").await;
        world.installs().await;
        world.front.nginx.refuse(Some("page.team.test"));
        let page = world.containers("page-team.test", "app");
        // Another route makes another configuration, and nginx is asked again.
        world.configure("{page: {}, pair: {subdomain: two}, store: {}}").await;
        for attempt in ["first", "second"] {
            let outcome = world.install().await.unwrap();
            assert_eq!(outcome.failure(), Some(Kind::Partial), "{attempt}");
            assert_eq!(outcome.failed.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["page-team.test"], "{attempt}");
            let plan = world.plan().await;
            assert!(plan.contains(": the proxy refused page.team.test: invalid value") && plan.lines().count() == 1, "{attempt}: {plan}");
            let situation = world.situation().await.unwrap();
            let report = Report::new(&situation.wanted, &situation.observed, chrono::Utc::now());
            let problems: Vec<_> = report.problems.iter().map(|problem| (problem.id, problem.instance.as_deref())).collect();
            assert_eq!(problems, [("route-refused", Some("page-team.test"))], "{attempt}");
            assert_eq!(world.containers("page-team.test", "app"), page, "its container is not to blame");
        }
        world.front.nginx.refuse(None);
        world.installs().await;
        world.is_whole().await;
    });
}
