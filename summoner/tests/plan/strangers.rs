//! What is not ours: never removed, never made again, never renamed; what is in the way is named.

use std::collections::BTreeMap;

use summoner::plan::wanted::{LABEL_OWNER, LABEL_SERVICE};

use super::given::{Host, wants};

#[test]
fn orphans_go_and_strangers_stay() {
    let mut host = Host::installed("{pair: {}, page: {}}");
    let mut another = host.container("pair-team.test").clone();
    (another.name, another.id) = ("elsewhere-team.test".into(), "id-of-another".into());
    another.labels.insert(LABEL_OWNER.into(), "/srv/another".into());
    let mut stranger = another.clone();
    (stranger.name, stranger.id, stranger.labels) = ("mysql-wiki-team.test".into(), "id-of-stranger".into(), BTreeMap::new());
    host.observed.containers.extend([another, stranger]);
    host.wanted = wants("{page: {}}", true);
    insta::assert_snapshot!(host.plan(), @"
    nginx-team.test | route GENERATION: the routes changed
    pair-team.test | remove container pair-team.test: orphan: its application is not in config.yml; its data stays
    pair-team.test | remove container postgresql-pair-team.test: orphan: its application is not in config.yml; its data stays
    pair-team.test | remove network pair-team.test: orphan: its application is not in config.yml; its data stays
    ");
}

#[test]
fn a_service_that_is_ours_by_name_alone_is_not_ours() {
    let mut host = Host::installed("{page: {}}");
    let mut claimed = host.container("page-team.test").clone();
    (claimed.name, claimed.id) = ("mine".into(), "id-of-claimed".into());
    claimed.labels.retain(|key, _| key == LABEL_SERVICE);
    host.observed.containers.push(claimed);
    assert_eq!(host.plan(), "");
}

#[test]
fn names_that_others_hold_are_obstacles() {
    let plan = |change: &dyn Fn(&mut Host)| {
        let mut host = Host::installed("{pair: {}, page: {}}");
        change(&mut host);
        host.plan()
    };
    let plans = [
        plan(&|host| host.container("postgresql-pair-team.test").labels.clear()),
        plan(&|host| {
            host.container("pair-team.test").labels.insert(LABEL_OWNER.into(), "/srv/another".into());
        }),
        plan(&|host| {
            host.observed.networks.iter_mut().filter(|known| known.name == "pair-team.test").for_each(|known| known.labels.clear());
        }),
    ];
    insta::assert_snapshot!(plans.join("\n\n"), @"
    pair-team.test ! the name postgresql-pair-team.test is taken by another container: Summoner did not make it; docker rename postgresql-pair-team.test old-postgresql-pair-team.test   (Summoner never touches what it did not make)

    pair-team.test ! the name pair-team.test is taken by another container: it belongs to the installation at /srv/another; docker rename pair-team.test old-pair-team.test   (Summoner never touches what it did not make)

    pair-team.test ! the network pair-team.test exists and is not of this installation; docker network rm pair-team.test   if nobody needs it, or choose another name in config.yml: networks.edge
    ");
}
