use std::collections::BTreeMap;

use super::*;
use crate::plan::state::{Health, Running};

const ID: &str = "49ca517bc7dc49ca517bc7dc49ca517bc7dc49ca517bc7dc49ca517bc7dc4a5b";

fn container(name: &str, port: u16, owner: Option<&str>) -> Container {
    Container {
        id: ID.into(),
        name: name.into(),
        image: "nginx".into(),
        image_id: String::new(),
        labels: owner.map(|owner| (LABEL_OWNER.to_owned(), owner.to_owned())).into_iter().collect(),
        running: Running::Running,
        health: Health::None,
        status: String::new(),
        network_ids: BTreeMap::new(),
        networks: BTreeMap::from([("edge".to_owned(), "10.213.0.2".to_owned())]),
        published: vec![port],
        created_at: 0,
    }
}

fn program(name: &str, cgroup: &str, arguments: &[&str]) -> Process {
    Process { id: 812, name: name.into(), arguments: arguments.iter().map(ToString::to_string).collect(), cgroup: cgroup.into() }
}

#[test]
fn a_program_is_named_with_how_to_stop_it() {
    let found = recognise(&program("nginx", "0::/system.slice/nginx.service\n", &["nginx: master"]), 80, &[]);
    insta::assert_snapshot!(taken(80, "http_port", &found), @r"
    error: port 80 is taken by nginx (process 812)
      next:  systemctl disable --now nginx.service
      next:  or choose another port in config.yml: proxy.http_port
    ");
    let by_hand = recognise(&program("python3", "0::/user.slice/user-0.slice/user@0.service\n", &[]), 80, &[]);
    assert_eq!((by_hand.to_string().as_str(), by_hand.stop().as_str()), ("python3 (process 812)", "kill 812"));
    assert_eq!(Holder::Hidden.to_string(), "a program that only root can name");
}

#[test]
fn a_port_of_a_container_names_the_container() {
    let proxy =
        program(DOCKER_PROXY, "0::/system.slice/docker.service\n", &["docker-proxy", "-proto", "tcp", "-container-ip", "10.213.0.2"]);
    let web = container("web", 8080, None);
    let found = recognise(&proxy, 80, std::slice::from_ref(&web));
    assert_eq!((found.to_string().as_str(), found.stop().as_str()), ("the container web", "docker stop web"));
    // No engine, no names: the helper is all that is seen, and stopping Docker is no advice.
    let alone = recognise(&proxy, 80, &[]);
    assert_eq!(
        (alone.to_string().as_str(), alone.stop().as_str()),
        ("docker-proxy (process 812)", "docker ps   (names the container that publishes it)")
    );
}

#[test]
fn a_program_inside_a_container_of_the_host_s_network_is_that_container() {
    for cgroup in [format!("0::/system.slice/docker-{ID}.scope\n"), format!("9:name=systemd:/docker/{ID}\n8:pids:/docker/{ID}\n")] {
        let found = recognise(&program("traefik", &cgroup, &[]), 80, &[container("edge", 1, None)]);
        assert_eq!(found.to_string(), "the container edge");
    }
}

#[test]
fn our_own_container_is_known_by_its_root() {
    let found = of_container(&container("nginx-a.fr", 80, Some("/srv/data")));
    assert!(found.is_of("/srv/data"));
    assert!(!found.is_of("/srv/other"));
    assert!(taken(80, "http_port", &found).to_string().contains("other installation of Summoner (/srv/data)"));
    assert!(!of_container(&container("web", 80, None)).is_of("/srv/data"));
}

#[test]
fn only_sockets_on_the_wanted_address_are_in_the_way() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (wanted, held, expected) in [
        (None, "127.0.0.1", true),
        (None, "::", true),
        (None, "::1", false),
        (Some("127.0.0.5"), "127.0.0.1", false),
        (Some("127.0.0.5"), "0.0.0.0", true),
        (Some("127.0.0.5"), "::", true),
        (Some("::1"), "0.0.0.0", false),
        (Some("::1"), "::", true),
        (Some("0.0.0.0"), "127.0.0.1", true),
    ] {
        assert_eq!(clashes(wanted.map(ip), ip(held)), expected, "{wanted:?} {held}");
    }
}

#[test]
fn a_real_socket_is_found_and_a_published_port_without_a_socket_too() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let Some(Holder::Process { id, .. }) = holder(port).unwrap() else { panic!("nobody holds our own port") };
    assert_eq!(id, std::process::id());
    let elsewhere = in_the_way(port, Some("127.0.0.9".parse().unwrap()), &[]).unwrap();
    assert_eq!(elsewhere, None);
    drop(socket);
    let published = in_the_way(port, None, &[container("web", port, None)]).unwrap();
    assert_eq!(published.unwrap().to_string(), "the container web");
    assert_eq!(in_the_way(port, None, &[]).unwrap(), None);
}
