//! The process ends, the engine refuses or its answer is lost at every single call; then one install mends all.

use futures_util::future::join_all;

use super::clock;
use super::world::World;

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Crash,
    Refusal,
    LostAnswer,
}

/// How a host comes to be before the installation in question.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    OtherSettings,
    NetworkRemoved,
    Renamed,
    EdgeRemoved,
}

const APPS: &str = "{pair: {}, store: {}}";
const OTHER: &str = "{pair: {environment: {MODE: other}}, store: {}}";

async fn prepared(before: Before) -> World {
    let mut world = World::new(if matches!(before, Before::OtherSettings) { OTHER } else { APPS }).await;
    if matches!(before, Before::Nothing) {
        return world;
    }
    world.installs().await;
    match before {
        Before::OtherSettings => world.configure(APPS).await,
        Before::NetworkRemoved => world.fake.remove_network_by_hand("pair-team.test").unwrap(),
        Before::EdgeRemoved => world.fake.remove_network_by_hand("summoner-edge").unwrap(),
        Before::Renamed => world.fake.rename_by_hand("pair-team.test", "mine").unwrap(),
        Before::Nothing => {}
    }
    world
}

/// One thing goes wrong at one call; the next install finishes.
async fn mended(before: Before, wrong: Wrong, call: usize) {
    let world = prepared(before).await;
    let (secrets, old) = (world.secrets(), world.containers("pair-team.test", "app"));
    let count = world.fake.calls().len();
    match wrong {
        Wrong::Crash => world.fake.crash_at(call),
        Wrong::Refusal => world.fake.fail_at(call),
        Wrong::LostAnswer => world.fake.lose_answer_at(call),
    }
    let ended = world.fake.until_crash(world.install()).await;
    let what = format!("{before:?}, {wrong:?} at call {call}, after:\n{}", world.fake.calls_since(count).join("\n"));
    if matches!(wrong, Wrong::Crash) {
        assert!(ended.is_none(), "no crash: {what}");
    }
    if let (Before::OtherSettings, [old]) = (before, old.as_slice()) {
        let now = world.containers("pair-team.test", "app");
        let successor = now.iter().any(|known| known.id != old.id);
        let runs = now.iter().any(|known| known.id == old.id && known.running == summoner::docker::Running::Running);
        assert!(successor || runs, "the old container ended before its successor was there: {what}");
    }
    for (path, value) in &secrets {
        assert_eq!(world.secrets().get(path), Some(value), "{} changed: {what}", path.display());
    }
    let secrets = world.secrets();
    let outcome = world.install().await.unwrap_or_else(|error| panic!("{error}\n{what}"));
    assert!(outcome.failed.is_empty(), "{:?}\n{what}", super::world::errors(&outcome));
    assert_eq!(world.plan().await, "", "{what}");
    assert_eq!(world.faults().await, Vec::<String>::new(), "{what}");
    world.is_whole().await;
    for (path, value) in secrets {
        assert_eq!(world.secrets().get(&path), Some(&value), "{} changed: {what}", path.display());
    }
    let calls = world.fake.calls();
    for command in ["exec pair-team.test make-administrator", "exec pair-team.test set-up"] {
        assert!(calls.iter().any(|call| call == command), "never done: {command}; {what}");
    }
}

/// Every call of an installation, each with the same thing wrong.
async fn every_call(before: Before, wrong: Wrong) {
    let world = prepared(before).await;
    let count = world.fake.calls().len();
    world.installs().await;
    let calls = world.fake.calls().len() - count;
    assert!(calls > 2, "{before:?}: {calls} calls");
    join_all((1..=calls).map(|call| mended(before, wrong, call))).await;
}

#[test]
fn a_first_install() {
    clock::run(async {
        for wrong in [Wrong::Crash, Wrong::Refusal, Wrong::LostAnswer] {
            every_call(Before::Nothing, wrong).await;
        }
    });
}

#[test]
fn other_settings() {
    clock::run(async {
        for wrong in [Wrong::Crash, Wrong::Refusal, Wrong::LostAnswer] {
            every_call(Before::OtherSettings, wrong).await;
        }
    });
}

#[test]
fn a_removed_network() {
    clock::run(async {
        for before in [Before::NetworkRemoved, Before::EdgeRemoved] {
            every_call(before, Wrong::Crash).await;
            every_call(before, Wrong::Refusal).await;
        }
    });
}

#[test]
fn a_renamed_container() {
    clock::run(async {
        every_call(Before::Renamed, Wrong::LostAnswer).await;
    });
}
