//! Hosts that no instance has: `routes:` of config.yml and containers that ask. The law holds for them too, and what happens
//! between installs is mended as the daemon does it.

use std::fs;

use summoner::apply::front::{Front, Kept};
use summoner::lock::Lock;
use summoner::plan::route::HOSTS;

use super::clock;
use super::world::World;

const APPS: &str = "{statik: {}}\nroutes:\n- {host: wiki.team.test, to: 'http://10.0.0.5:8080', aliases: [handbook.team.test]}";

/// The text of a host that nginx is given now.
fn text(world: &World, host: &str) -> Option<String> {
    fs::read_to_string(world.config.layout.nginx_current().join(HOSTS).join(format!("{host}.conf"))).ok()
}

fn starts(world: &World, name: &str, host: &str) {
    world.fake.make_asking(name, &[("VIRTUAL_HOST", host)], &["summoner-edge"]).unwrap();
}

async fn look(front: &mut Front, world: &World) -> Kept {
    front.keep(&world.world()).await.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_law_holds_for_routes_and_for_containers_that_ask() {
    clock::run(async {
        let world = World::new(APPS).await;
        let plan = world.plan().await;
        assert!(plan.contains("issue certificate wiki.team.test: there is no usable certificate"), "{plan}");
        world.installs().await;
        assert_eq!(world.plan().await, "", "right after an install");
        assert!(text(&world, "wiki.team.test").unwrap().contains("listen 443"), "its certificate is of the own authority");
        starts(&world, "web", "web.team.test,www.team.test,wiki.team.test");
        starts(&world, "elsewhere", "x.team.test");
        world.fake.disconnect("summoner-edge", "elsewhere").unwrap();
        assert!(world.plan().await.contains("the routes changed"), "{}", world.plan().await);
        world.installs().await;
        assert_eq!(world.plan().await, "", "with a stranger's container");
        let served = text(&world, "web.team.test").unwrap();
        assert!(served.contains("server web.summoner-edge:80 resolve") && served.contains("listen 443"), "{served}");
        for ours in ["www.team.test", "wiki.team.test"] {
            assert!(!text(&world, ours).unwrap().contains("web.summoner-edge"), "{ours} is not the stranger's");
        }
        assert_eq!(text(&world, "x.team.test"), None, "the proxy cannot reach it");
    });
}

#[test]
fn between_installs_what_comes_and_goes_is_served_and_harm_is_mended() {
    clock::run(async {
        let world = World::new(APPS).await;
        let mut front = Front::default();
        assert_eq!(look(&mut front, &world).await, Kept::Absent, "a daemon installs nothing");
        assert_eq!(world.fake.shown(), []);
        world.installs().await;
        assert_eq!(look(&mut front, &world).await, Kept::Live);
        starts(&world, "web", "web.team.test");
        let held = Lock::take(&world.config.layout, "install", false, chrono::Utc::now()).await.unwrap();
        assert_eq!(look(&mut front, &world).await, Kept::Busy, "whoever has the lock goes first");
        assert_eq!(text(&world, "web.team.test"), None);
        drop(held);
        assert_eq!(look(&mut front, &world).await, Kept::Live);
        assert!(text(&world, "web.team.test").is_some());
        assert_eq!(world.plan().await, "", "after the daemon's look");
        let proxy = world.config.proxy_instance.id.to_string();
        let current = fs::canonicalize(world.config.layout.nginx_current()).unwrap();
        fs::remove_dir_all(&current).unwrap();
        fs::remove_file(world.config.layout.certs().join("wiki.team.test.key")).unwrap();
        world.fake.stop_by_hand(&proxy).unwrap();
        world.fake.stop_by_hand("web").unwrap();
        look(&mut front, &world).await;
        assert!(world.fake.runs(&proxy), "a proxy that somebody stopped is started again");
        assert_eq!(text(&world, "web.team.test"), None, "nobody is there any more");
        assert!(text(&world, "wiki.team.test").unwrap().contains("listen 443"));
        assert_eq!(world.plan().await, "");
        world.fake.remove_by_hand(&proxy);
        look(&mut front, &world).await;
        assert!(world.fake.runs(&proxy), "one that was removed is made again");
        assert_eq!(world.plan().await, "");
    });
}

#[test]
fn what_a_person_stopped_stays_stopped() {
    clock::run(async {
        let world = World::new("{statik: {}}").await;
        world.installs().await;
        let (layout, id) = (&world.config.layout, &world.config.proxy_instance.id);
        let mut memory = summoner::state::load(layout).unwrap();
        memory.instances.get_mut(id).unwrap().stopped = true;
        summoner::state::save(layout, &memory).unwrap();
        world.fake.stop_by_hand(&id.to_string()).unwrap();
        look(&mut Front::default(), &world).await;
        assert!(!world.fake.runs(&id.to_string()));
        world.installs().await;
        assert!(world.fake.runs(&id.to_string()), "an install starts it");
        assert!(!summoner::state::load(layout).unwrap().instances[id].stopped);
    });
}
