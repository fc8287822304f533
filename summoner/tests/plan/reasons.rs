//! Each step with its reason.

use std::collections::BTreeSet;

use proptest::prelude::*;
use summoner::plan::deploy::{Scope, deploy};
use summoner::plan::state::{Observed, Running};
use summoner::plan::wanted::LABEL_SERVICE;

use super::given::{Host, image, now, settings, wants};

const PAIR: &str = "{pair: {}}";
const ALL: &str = "{pair: {}, page: {}, store: {}}";

#[test]
fn a_first_install() {
    insta::assert_snapshot!(Host::empty("{pair: {}, store: {}}").plan(), @"
    host | choose network range 10.213.0.0/16: first install on this host
    pair-team.test | make folder /srv/data/pair-team.test/files: absent
    pair-team.test | make folder /srv/data/database/postgresql-pair-team.test: absent
    pair-team.test | generate secret db_password: absent
    pair-team.test | generate secret admin_password: absent
    pair-team.test | issue certificate pair.team.test: there is no usable certificate
    nginx-team.test | pull image nginx:1.30.6: not on this host
    pair-team.test | pull image pair:1: not on this host
    pair-team.test | pull image postgres:18: not on this host
    store-team.test | pull image store:1: not on this host
    host | create network summoner-edge: absent
    nginx-team.test | create container nginx-team.test: absent
    nginx-team.test | verify nginx-team.test: these containers have not proven yet that they work
    pair-team.test | create network pair-team.test: absent
    pair-team.test | create container postgresql-pair-team.test: absent
    pair-team.test | create container pair-team.test: absent
    pair-team.test | create administrator pair-team.test: nobody can sign in yet
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    pair-team.test | verify pair-team.test: these containers have not proven yet that they work
    store-team.test | create network store-team.test: absent
    store-team.test | create volume store-team_test_things: absent
    store-team.test | create container store-team.test: absent
    store-team.test | create container cron-store-team.test: absent
    store-team.test | verify store-team.test: these containers have not proven yet that they work
    nginx-team.test | route GENERATION: no routes yet
    ");
}

#[test]
fn nothing_changed() {
    assert_eq!(Host::installed(ALL).plan(), "");
}

/// The plan after one change.
fn after(apps: &str, change: impl FnOnce(&mut Host)) -> String {
    let mut host = Host::installed(apps);
    change(&mut host);
    host.plan()
}

/// The plan for other entries of config.yml than those that are there.
fn other(apps: &str, now_wanted: &str) -> String {
    after(apps, |host| host.wanted = wants(now_wanted, true))
}

#[test]
fn reasons_to_make_a_container_again() {
    let plans = [
        other(PAIR, "{pair: {environment: {MODE: dark}}}"),
        other(PAIR, "{pair: {version: '2'}}"),
        after(PAIR, |host| host.container("pair-team.test").image_id = "sha256:other".into()),
        after(PAIR, |host| {
            host.memory("pair-team.test").installed_at = None;
            host.container("pair-team.test").image_id = "sha256:other".into();
        }),
        after(PAIR, |host| host.container("pair-team.test").running = Running::Paused),
        after(PAIR, |host| host.container("pair-team.test").running = Running::Dead),
        after(PAIR, |host| host.observed.networks.retain(|network| network.name != "pair-team.test")),
        after(PAIR, |host| host.observed.networks.iter_mut().for_each(|network| network.id += "-new")),
    ];
    insta::assert_snapshot!(plans.join("\n\n"), @"
    pair-team.test | recreate container pair-team.test: its settings changed
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    pair-team.test | verify pair-team.test: these containers have not proven yet that they work

    pair-team.test | pull image pair:2: not on this host
    pair-team.test | recreate container pair-team.test: its image changes from pair:1 to pair:2
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    pair-team.test | verify pair-team.test: these containers have not proven yet that they work

    pair-team.test | recreate container pair-team.test: it runs another image than the one locked for pair:1
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers

    pair-team.test | recreate container pair-team.test: pair:1 means another image now, and it was never installed whole
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers

    pair-team.test | recreate container pair-team.test: it is paused
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers

    pair-team.test | recreate container pair-team.test: it is dead
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers

    pair-team.test | create network pair-team.test: absent
    pair-team.test | recreate container postgresql-pair-team.test: its network pair-team.test was removed
    pair-team.test | recreate container pair-team.test: its network pair-team.test was removed
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers

    nginx-team.test | recreate container nginx-team.test: its network summoner-edge was removed and made again
    pair-team.test | recreate container postgresql-pair-team.test: its network pair-team.test was removed and made again
    pair-team.test | recreate container pair-team.test: its network pair-team.test was removed and made again
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    ");
}

#[test]
fn reasons_to_mend_a_container() {
    let plans = [
        after(PAIR, |host| host.container("pair-team.test").name = "mine".into()),
        after(PAIR, |host| {
            let known = host.container("pair-team.test");
            (known.running, known.status) = (Running::Exited, "Exited (137) 2 hours ago".into());
        }),
        after(PAIR, |host| {
            let known = host.container("pair-team.test");
            (known.running, known.status) = (Running::Created, "Created".into());
        }),
        after(PAIR, |host| {
            host.container("pair-team.test").networks.remove("summoner-edge");
        }),
        after(PAIR, |host| host.observed.containers.retain(|known| known.name != "pair-team.test")),
        after(PAIR, |host| host.container("pair-team.test").running = Running::Restarting),
    ];
    insta::assert_snapshot!(plans.join("\n\n"), @"
    pair-team.test | rename container pair-team.test: somebody named it mine

    pair-team.test | start container pair-team.test: it does not run: Exited (137) 2 hours ago

    pair-team.test | start container pair-team.test: it does not run: Created

    pair-team.test | connect network pair-team.test: it is not on the network summoner-edge

    pair-team.test | create container pair-team.test: absent
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    ");
}

#[test]
fn what_an_interrupted_install_left() {
    let successor = |host: &mut Host| {
        let mut known = host.container("pair-team.test").clone();
        (known.name, known.id) = ("pair-team.test_new".into(), "id-of-new".into());
        (known.running, known.status) = (Running::Created, "Created".into());
        host.observed.containers.push(known);
    };
    let plans = [
        after(PAIR, successor),
        after(PAIR, |host| {
            successor(host);
            host.observed.containers.retain(|known| known.name != "pair-team.test");
        }),
        after(PAIR, |host| *host.memory("pair-team.test") = summoner::plan::state::InstanceMemory::default()),
        after("{page: {}}", |host| host.memory("page-team.test").proven = None),
        after(PAIR, |host| {
            host.container("postgresql-pair-team.test").labels.insert(LABEL_SERVICE.into(), "queue".into());
        }),
    ];
    insta::assert_snapshot!(plans.join("\n\n"), @"
    pair-team.test | remove container pair-team.test_new: left over from an interrupted install

    pair-team.test | rename container pair-team.test: left half made by an interrupted install
    pair-team.test | start container pair-team.test: it does not run: Created

    pair-team.test | create administrator pair-team.test: nobody can sign in yet
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    pair-team.test | verify pair-team.test: these containers have not proven yet that they work

    page-team.test | verify page-team.test: these containers have not proven yet that they work

    pair-team.test | remove container postgresql-pair-team.test: the minion has no such service any more
    pair-team.test | create container postgresql-pair-team.test: absent
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    ");
}

#[test]
fn a_tag_that_moved_changes_nothing() {
    let moved = |host: &mut Host| {
        // Docker lists the id once the reference stands for another image.
        host.container("pair-team.test").image = image("pair:1").id;
        host.observed.images.get_mut("pair:1").unwrap().tags.clear();
    };
    assert_eq!(after(PAIR, moved), "");
    let gone = after(PAIR, |host| {
        moved(host);
        host.observed.images.remove("pair:1");
        host.observed.containers.retain(|known| known.name != "pair-team.test");
    });
    insta::assert_snapshot!(gone, @"
    pair-team.test | pull image pair:1: not on this host
    pair-team.test | create container pair-team.test: absent
    pair-team.test | configure pair-team.test: its settings were not made yet for these containers
    ");
}

#[test]
fn certificates_and_routes() {
    let plans = [
        after(PAIR, |host| host.observed.certificates.clear()),
        after(PAIR, |host| host.observed.generation = Some("0".repeat(16))),
        after(PAIR, |host| host.observed.authority = Some("02".into())),
    ];
    insta::assert_snapshot!(plans.join("\n\n"), @"
    pair-team.test | issue certificate pair.team.test: there is no usable certificate
    nginx-team.test | route GENERATION: the routes changed

    nginx-team.test | route GENERATION: the routes changed

    pair-team.test | issue certificate pair.team.test: another authority signed it: Summoner CA team.test
    ");
}

#[test]
fn a_narrow_scope_leaves_others_alone() {
    let mut host = Host::installed(ALL);
    for name in ["page-team.test", "store-team.test"] {
        let known = host.container(name);
        (known.running, known.status) = (Running::Exited, "Exited (137) 2 hours ago".into());
    }
    host.observed.memory.instances.clear();
    let only = |id: &str| Scope { only: Some(BTreeSet::from([id.parse().unwrap()])), removed: None };
    assert_eq!(host.plan_of(&only("store-team.test")).lines().filter(|line| line.contains("page") || line.contains("pair")).count(), 0);
    insta::assert_snapshot!(host.plan_of(&only("store-team.test")), @"
    nginx-team.test | verify nginx-team.test: these containers have not proven yet that they work
    store-team.test | start container store-team.test: it does not run: Exited (137) 2 hours ago
    store-team.test | verify store-team.test: these containers have not proven yet that they work
    ");
}

/// A host in which everything that a plan speaks of is twice or wrong.
fn messy() -> Host {
    let mut host = Host::installed(ALL);
    host.wanted = wants("{pair: {environment: {A: b}}, page: {version: '2'}}", true);
    for at in 0..3 {
        for name in ["pair-team.test", "postgresql-pair-team.test", "store-team.test"] {
            let mut copy = host.container(name).clone();
            (copy.name, copy.id) = (format!("{name}_{at}"), format!("id-{name}-{at}"));
            host.observed.containers.push(copy);
        }
    }
    host.observed.containers.retain(|known| known.name != "pair-team.test");
    host
}

proptest! {
    #[test]
    fn the_order_of_the_engine_s_lists_means_nothing(
        containers in Just(messy().observed.containers).prop_shuffle(),
        networks in Just(messy().observed.networks).prop_shuffle(),
    ) {
        let host = messy();
        let bytes = |observed: &Observed| serde_json::to_vec(&deploy(&host.wanted, observed, &Scope::default(), &settings(), now())).unwrap();
        let shuffled = Observed { containers, networks, ..host.observed.clone() };
        prop_assert_eq!(bytes(&shuffled), bytes(&host.observed));
        prop_assert!(bytes(&host.observed).len() > 1000);
    }
}

#[test]
fn a_refused_host_is_not_as_wanted() {
    let mut host = Host::installed(ALL);
    let page: summoner::name::Domain = "page.team.test".parse().unwrap();
    host.memory("page-team.test").refused.insert(page.clone(), "invalid value".into());
    assert_eq!(host.plan(), "", "it is served by now");
    host.observed.served.remove(&page);
    let refused = "nginx-team.test | route GENERATION: the proxy refused page.team.test: invalid value";
    assert_eq!(host.plan(), refused);
    let only = |id: &str| Scope { only: Some(BTreeSet::from([id.parse().unwrap()])), removed: None };
    assert_eq!(host.plan_of(&only("page-team.test")), refused);
}
