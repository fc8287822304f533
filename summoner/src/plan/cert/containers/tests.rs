use std::collections::BTreeMap;

use super::*;
use crate::config::loaded;
use crate::plan::route::resolve::Health;
use crate::vhost;

fn asking(name: &str, environment: &[(&str, &str)]) -> Asking {
    let environment: BTreeMap<String, String> = environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Asking {
        name: name.into(),
        id: format!("id-of-{name}"),
        asked: vhost::read(&environment, &BTreeMap::new()).unwrap(),
        networks: BTreeMap::new(),
        exposed: vec![80],
        host_mode: false,
        health: Health::None,
        running: true,
    }
}

fn all(containers: &[Asking]) -> All {
    let config = loaded("version: 1\ndomain: a.org\nemail: you@a.org\napps: {ghost: }\n").0;
    let ours = [("blog.a.org".parse().unwrap(), Vec::new())];
    of_all(&config, &ours, containers)
}

#[test]
fn by_their_words_else_by_config_s_issuer() {
    let found = all(&[
        asking("web", &[("VIRTUAL_HOST", "web.b.eu")]),
        asking("lan", &[("VIRTUAL_HOST", "web.lan")]),
        asking("said", &[("VIRTUAL_HOST", "x.b.eu"), ("LETSENCRYPT_HOST", "x.b.eu,www.x.b.eu")]),
        asking("plain", &[("VIRTUAL_HOST", "plain.b.eu"), ("HTTPS_METHOD", "nohttps")]),
        asking("named", &[("VIRTUAL_HOST", "named.b.eu"), ("CERT_NAME", "shared")]),
        asking("regex", &[("VIRTUAL_HOST", "~^x.*$")]),
    ]);
    let names: Vec<String> = found.network.iter().map(|wanted| wanted.names.join(" ")).collect();
    assert_eq!(names, ["blog.a.org", "web.b.eu", "x.b.eu www.x.b.eu"]);
    assert_eq!(found.own, [vec!["web.lan".parse().unwrap()]]);
    let hosts: Vec<&str> = found.hosts.iter().map(Domain::as_str).collect();
    assert_eq!(hosts, ["web.b.eu", "web.lan", "www.x.b.eu", "x.b.eu"]);
}

#[test]
fn nobody_asks_for_a_certificate_of_ours() {
    let found = all(&[
        asking("thief", &[("VIRTUAL_HOST", "blog.a.org"), ("ACME_HOST", "blog.a.org")]),
        asking("half", &[("VIRTUAL_HOST", "y.b.eu"), ("ACME_HOST", "y.b.eu,blog.a.org")]),
    ]);
    let names: Vec<String> = found.network.iter().map(|wanted| wanted.names.join(" ")).collect();
    assert_eq!(names, ["blog.a.org", "y.b.eu"]);
    assert_eq!(found.hosts.len(), 1);
}
