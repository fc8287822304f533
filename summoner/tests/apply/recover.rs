//! What a killed command left in the journal: what it stopped runs again, and nothing else is started.

use summoner::apply::recover::recover;
use summoner::journal::{self, Doing, Entry, Journal};

use super::clock;
use super::world::World;

fn begun(world: &World, instance: &str, stopped: &[&str], quiesced: bool) {
    let mut entry = Entry::new(instance.parse().unwrap(), Doing::Backup, chrono::Utc::now());
    entry.stopped = stopped.iter().map(|&name| name.to_owned()).collect();
    entry.quiesced = quiesced;
    Journal::begin(&world.config.layout, entry).unwrap();
    for name in stopped {
        world.fake.stop_by_hand(name).unwrap();
    }
}

fn open(world: &World) -> Vec<String> {
    journal::open(&world.config.layout).unwrap().iter().map(|journal| journal.entry().instance.to_string()).collect()
}

#[test]
fn what_was_stopped_by_hand_stays_so_and_keeps_nothing_back() {
    clock::run(async {
        let world = World::new("{pair: {}}").await;
        world.installs().await;
        // The application depends on it, and ran all the same.
        world.fake.stop_by_hand("postgresql-pair-team.test").unwrap();
        begun(&world, "pair-team.test", &["pair-team.test"], false);
        recover(&world.world()).await.unwrap();
        assert!(world.fake.runs("pair-team.test") && !world.fake.runs("postgresql-pair-team.test"));
        assert_eq!(open(&world), Vec::<String>::new());
    });
}

#[test]
fn what_bears_another_name_by_now_is_started_too() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.installs().await;
        begun(&world, "page-team.test", &["page-team.test"], false);
        world.fake.rename_by_hand("page-team.test", "mine").unwrap();
        recover(&world.world()).await.unwrap();
        assert!(world.fake.runs("mine"));
    });
}

#[test]
fn one_that_cannot_be_ended_keeps_back_itself_alone() {
    clock::run(async {
        let world = World::new("{page: {}}").await;
        world.installs().await;
        begun(&world, "gone-team.test", &[], true);
        begun(&world, "page-team.test", &["page-team.test"], false);
        recover(&world.world()).await.unwrap();
        assert!(world.fake.runs("page-team.test"));
        assert_eq!(open(&world), ["gone-team.test"]);
        journal::refuse_open(&world.config.layout, &"page-team.test".parse().unwrap()).unwrap();
        let refused = journal::refuse_open(&world.config.layout, &"gone-team.test".parse().unwrap()).unwrap_err();
        insta::assert_snapshot!(refused, @"
        error: an earlier command on gone-team.test was interrupted and could not be ended yet
          next:  summoner start gone-team.test   tries again and says what is in the way
        ");
    });
}

#[test]
fn whatever_the_engine_refuses_the_next_command_ends_it() {
    clock::run(async {
        let world = World::new("{pair: {}, store: {}}").await;
        world.installs().await;
        for call in 1..30 {
            begun(&world, "pair-team.test", &["pair-team.test"], false);
            begun(&world, "store-team.test", &["store-team.test", "cron-store-team.test"], false);
            world.fake.fail_at(call);
            let told = recover(&world.world()).await;
            if told.is_ok() && open(&world).is_empty() {
                assert!(call > 3, "a recovery asks more of the engine than {call}");
                return;
            }
            recover(&world.world()).await.unwrap();
            assert_eq!(open(&world), Vec::<String>::new(), "call {call}");
            world.is_whole().await;
        }
        panic!("the recovery never came to its end");
    });
}
