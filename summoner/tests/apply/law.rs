//! The law: planning right after applying gives an empty plan, whatever happened before.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::join_all;
use summoner::minion::Catalogue;

use super::clock;
use super::world::World;

/// What is done to a container, and the reason that the plan gives for mending it; None needs no mending.
type Harm = (&'static str, fn(&World, &str), Option<&'static str>);

const HARMS: [Harm; 8] = [
    ("killed", |world, container| world.fake.kill(container).unwrap(), Some("it does not run: Exited (137) 1 second ago")),
    ("stopped", |world, container| world.fake.stop_by_hand(container).unwrap(), Some("it does not run: Exited (0) 1 second ago")),
    ("removed", |world, container| world.fake.remove_by_hand(container), Some("absent")),
    ("renamed", |world, container| world.fake.rename_by_hand(container, "my-own-name").unwrap(), Some("somebody named it my-own-name")),
    ("paused", |world, container| world.fake.pause(container).unwrap(), Some("it is paused")),
    (
        "off its network",
        |world, container| world.fake.disconnect(&network(world, container), container).unwrap(),
        Some("it is not on the network"),
    ),
    ("engine restarted", |world, _| world.fake.restart().unwrap(), None),
    (
        "image retagged",
        |world, container| {
            let image = world.fake.shown().into_iter().find(|known| known.name == container).unwrap().image;
            world.fake.retag(&image, true);
        },
        None,
    ),
];

fn network(world: &World, container: &str) -> String {
    let known = world.fake.shown().into_iter().find(|known| known.name == container).unwrap();
    known.networks.into_keys().next().unwrap()
}

/// Installs one minion and mends every harm to every container of it.
async fn obeys(minion: &str) {
    let since = Instant::now();
    let world = World::new(&format!("{{{minion}: {{}}}}")).await;
    world.installs().await;
    world.is_whole().await;
    let again = world.install().await.unwrap();
    assert!(again.unchanged, "{minion}: the second install in a row");
    world.fill_data().await;
    let (secrets, data) = (world.secrets(), world.data());
    let images: BTreeSet<_> = world.fake.shown().into_iter().map(|known| (known.name, known.image_id)).collect();
    for container in world.fake.shown().iter().map(|known| known.name.as_str()) {
        for (what, harm, reason) in HARMS {
            harm(&world, container);
            let plan = world.plan().await;
            match reason {
                Some(reason) => assert!(plan.contains(&format!("{container}: {reason}")), "{container} {what}:\n{plan}"),
                None => assert_eq!(plan, "", "{container} {what}"),
            }
            world.installs().await;
            world.is_whole().await;
        }
    }
    let networks: BTreeSet<String> = world.fake.shown().into_iter().flat_map(|known| known.networks.into_keys()).collect();
    for network in networks {
        world.fake.remove_network_by_hand(&network).unwrap();
        let plan = world.plan().await;
        assert!(plan.contains(&format!("create network {network}: absent")), "{plan}");
        assert!(plan.contains(&format!("its network {network} was removed")), "{plan}");
        world.installs().await;
        world.is_whole().await;
    }
    assert_eq!(world.secrets(), secrets, "{minion}: secrets");
    assert_eq!(world.data(), data, "{minion}: data");
    let after: BTreeSet<_> = world.fake.shown().into_iter().map(|known| (known.name, known.image_id)).collect();
    assert_eq!(after, images, "{minion}: every container is still of the image that was locked at the first install");
    println!("{minion}: {:?}", since.elapsed());
}

#[test]
fn it_holds_for_every_minion_of_the_catalogue() {
    clock::run(async {
        let catalogue = Catalogue::open(None).unwrap();
        let minions: Vec<&str> = catalogue.iter().filter(|(_, minion)| !minion.as_ref().unwrap().proxy).map(|(name, _)| name).collect();
        assert!(minions.len() >= 8, "{minions:?}");
        join_all(minions.into_iter().map(obeys)).await;
    });
}

#[test]
fn it_holds_for_small_minions() {
    clock::run(async {
        join_all(["pair", "page", "store"].map(obeys)).await;
    });
}
