//! What is ours and wanted no more goes; what is not ours, or not asked for, stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use summoner::error::Kind;
use summoner::plan::deploy::Scope;
use summoner::plan::wanted::{LABEL_INSTANCE, LABEL_OWNER};

use super::clock;
use super::world::{World, errors};

#[test]
fn a_removed_application_goes_and_its_data_stays() {
    clock::run(async {
        let mut world = World::new("{pair: {}, page: {}}").await;
        world.installs().await;
        world.fill_data().await;
        let other =
            BTreeMap::from([(LABEL_OWNER.to_owned(), "/srv/another".to_owned()), (LABEL_INSTANCE.to_owned(), "pair-team.test".to_owned())]);
        world.fake.make_container("another-team.test", "pair:1", &other).unwrap();
        world.fake.make_container("mysql-ghost-team.test", "mysql:8", &BTreeMap::new()).unwrap();
        world.fake.make_network("somebody", "10.1.0.0/24", &other).unwrap();
        let (secrets, data) = (world.secrets(), world.data());
        world.configure("{page: {}}").await;
        insta::assert_snapshot!(world.plan().await, @"
        route GENERATION: the routes changed
        remove container pair-team.test: orphan: its application is not in config.yml; its data stays
        remove container postgresql-pair-team.test: orphan: its application is not in config.yml; its data stays
        remove network pair-team.test: orphan: its application is not in config.yml; its data stays
        ");
        world.installs().await;
        assert_eq!(world.plan().await, "");
        let names: Vec<String> = world.fake.shown().into_iter().map(|known| known.name).collect();
        assert_eq!(names, ["another-team.test", "mysql-ghost-team.test", "nginx-team.test", "page-team.test"]);
        assert_eq!(world.fake.network_names(), ["page-team.test", "somebody", "summoner-edge"]);
        assert!(!world.front.is_open("pair.team.test") && world.front.is_open("page.team.test"));
        assert_eq!((world.secrets(), world.data()), (secrets.clone(), data.clone()));
        world.fake.remove_by_hand("another-team.test");
        world.fake.remove_by_hand("mysql-ghost-team.test");
        world.configure("{pair: {}, page: {}}").await;
        world.installs().await;
        world.is_whole().await;
        assert_eq!((world.secrets(), world.data()), (secrets, data), "it comes back with its data");
    });
}

#[test]
fn a_narrow_scope_leaves_others_alone() {
    clock::run(async {
        let mut world = World::new("{store: {}, page: {}}").await;
        world.installs().await;
        world.fake.kill("store-team.test").unwrap();
        world.configure("{pair: {}, store: {environment: {A: b}}}").await;
        let scope = Scope { only: Some(BTreeSet::from(["pair-team.test".parse().unwrap()])), removed: None };
        let count = world.fake.calls().len();
        let outcome = world.apply(&scope).await.unwrap();
        assert!(outcome.failed.is_empty() && outcome.ready.len() == 1, "{outcome:?}");
        assert_eq!(world.plan_of(&scope).await, "");
        let calls = world.fake.calls_since(count);
        assert!(calls.iter().all(|call| !call.contains("store") && !call.contains("page")), "{calls:?}");
        assert!(!world.fake.runs("store-team.test") && world.fake.runs("page-team.test") && world.fake.runs("pair-team.test"));
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn names_that_others_hold_are_never_taken() {
    clock::run(async {
        let world = World::new("{pair: {}, page: {}}").await;
        world.fake.make_container("postgresql-pair-team.test", "postgres:9", &BTreeMap::new()).unwrap();
        let before = world.fake.shown();
        for attempt in ["first", "second"] {
            let outcome = world.install().await.unwrap();
            let ready: Vec<String> = outcome.ready.iter().map(ToString::to_string).collect();
            assert_eq!((ready, outcome.failure()), (vec!["page-team.test".to_owned()], Some(Kind::Partial)), "{attempt}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(errors(&outcome).join("\n"), @"
                pair-team.test: error: cannot install pair-team.test: the name postgresql-pair-team.test is taken by another container: Summoner did not make it
                  next:  docker rename postgresql-pair-team.test old-postgresql-pair-team.test   (Summoner never touches what it did not make)
                ");
            }
            assert!(world.fake.calls().iter().all(|call| !call.contains("pair")), "{:?}", world.fake.calls());
            let taken: Vec<_> = world.fake.shown().into_iter().filter(|known| known.name.contains("pair")).collect();
            assert_eq!(taken, before, "{attempt}");
            let data = world.data();
            assert!(data.keys().all(|path| !path.ends_with("pair-team.test")), "{data:?}");
            assert!(world.front.is_open("page.team.test") && !world.front.is_open("pair.team.test"), "{attempt}");
        }
        world.fake.remove_by_hand("postgresql-pair-team.test");
        world.installs().await;
        world.is_whole().await;
    });
}

#[test]
fn an_instance_whose_name_was_taken_over_is_left_as_it_runs() {
    clock::run(async {
        let world = World::new("{pair: {}, page: {}}").await;
        world.installs().await;
        world.fake.rename_by_hand("pair-team.test", "mine").unwrap();
        world.fake.make_container("pair-team.test", "else:1", &BTreeMap::new()).unwrap();
        let before = world.fake.shown();
        let outcome = world.install().await.unwrap();
        assert_eq!((outcome.failed.len(), outcome.failure()), (1, Some(Kind::Partial)), "{outcome:?}");
        assert_eq!(world.fake.shown(), before);
    });
}

#[test]
fn the_only_instance_with_an_obstacle_is_the_whole_command_s_failure() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.fake.make_container("page-team.test", "else:1", &BTreeMap::new()).unwrap();
        let outcome = world.install().await.unwrap();
        assert_eq!((outcome.ready.len(), outcome.failed.len(), outcome.failure()), (0, 1, Some(Kind::External)));
    });
}

#[test]
fn what_is_in_the_proxy_s_way_is_in_everybody_s() {
    clock::run(async {
        let world = World::new("{pair: {}, page: {}}").await;
        for name in ["nginx-team.test", "page-team.test"] {
            world.fake.make_container(name, "else:1", &BTreeMap::new()).unwrap();
        }
        let before = world.fake.shown();
        insta::assert_snapshot!(world.install().await.unwrap_err(), @"
        error: cannot install nginx-team.test: the name nginx-team.test is taken by another container: Summoner did not make it
          next:  docker rename nginx-team.test old-nginx-team.test   (Summoner never touches what it did not make)
          next:  page-team.test: the name page-team.test is taken by another container: Summoner did not make it (docker rename page-team.test old-page-team.test   (Summoner never touches what it did not make))
        ");
        assert_eq!((world.fake.shown(), world.fake.calls()), (before, Vec::new()), "nothing was touched");
    });
}

#[test]
fn ranges_that_others_hold_are_passed_over() {
    clock::run(async {
        let world = World::new("{pair: {}, store: {}}").await;
        world.fake.make_network("somebody", "10.213.4.0/27", &BTreeMap::new()).unwrap();
        world.installs().await;
        world.is_whole().await;
        let subnets = world.situation().await.unwrap().subnets;
        assert_eq!(subnets.into_values().collect::<Vec<_>>(), ["10.213.4.32/27", "10.213.4.64/27"]);
    });
}
