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
        asking("web", &[("VIRTUAL_HOST", "web.example.com")]),
        asking("lan", &[("VIRTUAL_HOST", "web.lan")]),
        asking("said", &[("VIRTUAL_HOST", "x.example.com"), ("LETSENCRYPT_HOST", "x.example.com,www.x.example.com")]),
        asking("plain", &[("VIRTUAL_HOST", "plain.example.com"), ("HTTPS_METHOD", "nohttps")]),
        asking("named", &[("VIRTUAL_HOST", "named.example.com"), ("CERT_NAME", "shared")]),
        asking("regex", &[("VIRTUAL_HOST", "~^x.*$")]),
    ]);
    let names: Vec<String> = found.network.iter().map(|wanted| wanted.names.join(" ")).collect();
    assert_eq!(names, ["blog.a.org", "web.example.com", "x.example.com www.x.example.com"]);
    assert_eq!(found.own, [vec!["web.lan".parse().unwrap()]]);
    let hosts: Vec<&str> = found.hosts.iter().map(Domain::as_str).collect();
    assert_eq!(hosts, ["web.example.com", "web.lan", "www.x.example.com", "x.example.com"]);
}

#[test]
fn nobody_asks_for_a_certificate_of_ours() {
    let found = all(&[
        asking("thief", &[("VIRTUAL_HOST", "blog.a.org"), ("ACME_HOST", "blog.a.org")]),
        asking("half", &[("VIRTUAL_HOST", "y.example.com"), ("ACME_HOST", "y.example.com,blog.a.org")]),
    ]);
    let names: Vec<String> = found.network.iter().map(|wanted| wanted.names.join(" ")).collect();
    assert_eq!(names, ["blog.a.org", "y.example.com"]);
    assert_eq!(found.hosts.len(), 1);
}
