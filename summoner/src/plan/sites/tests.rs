use chrono::DateTime;

use super::*;
use crate::config::RouteTarget;
use crate::plan::cert;
use crate::plan::route::render;
use crate::plan::route::resolve::{Asking, Health};
use crate::plan::route::site::Source;
use crate::plan::wanted::NetworkWanted;
use crate::vhost;

const EDGE: &str = "edge";

fn route(host: &str) -> Route {
    Route {
        host: host.parse().unwrap(),
        aliases: Vec::new(),
        https: HttpsMethod::Redirect,
        to: Some(RouteTarget::Answer(404)),
        paths: Vec::new(),
        auth: None,
        allow: Vec::new(),
        body_bytes: None,
        read_timeout: None,
    }
}

fn asking(name: &str, host: &str) -> Asking {
    let environment = BTreeMap::from([("VIRTUAL_HOST".to_owned(), host.to_owned())]);
    Asking {
        name: name.into(),
        id: format!("id-of-{name}"),
        asked: vhost::read(&environment, &BTreeMap::new()).unwrap(),
        networks: BTreeMap::from([(EDGE.to_owned(), Joined { ipv4: "10.0.0.7".parse().ok(), ..Joined::default() })]),
        exposed: vec![8080],
        host_mode: false,
        health: Health::None,
        running: true,
    }
}

fn wanted(routes: Vec<Route>) -> Wanted {
    let edge = NetworkWanted { name: EDGE.into(), subnet: "10.0.0.0/24".into(), labels: BTreeMap::new() };
    Wanted { owner: "/srv".into(), edge, instances: Vec::new(), routes }
}

fn certificate(host: &str, names: &[&str]) -> (Domain, cert::Observed) {
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let host: Domain = host.parse().unwrap();
    let found = cert::Observed {
        host: host.clone(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        issuer: "x".into(),
        issuer_key: "01".into(),
        not_before: at,
        not_after: at,
        fingerprint: "ab".into(),
    };
    (host, found)
}

fn decided(wanted: &Wanted, observed: &Observed) -> Sites {
    sites(&[], wanted, observed, &ProxySettings::own(80, 443, EDGE))
}

#[test]
fn routes_and_containers_are_sites_and_a_host_has_one_owner() {
    let observed = Observed {
        asking: vec![asking("web", "web.a.org"), asking("thief", "wiki.a.org,other.a.org")],
        certificates: BTreeMap::from([certificate("wiki.a.org", &["wiki.a.org"])]),
        ..Observed::default()
    };
    let found = decided(&wanted(vec![route("wiki.a.org")]), &observed);
    let names: Vec<(String, bool)> = found.all.iter().map(|site| (site.name.to_string(), site.certificate.is_some())).collect();
    assert_eq!(names, [("wiki.a.org".to_owned(), true), ("other.a.org".to_owned(), false), ("web.a.org".to_owned(), false)]);
    assert_eq!(found.all[0].source, Source::Config);
    let refused: Vec<String> = found.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused, ["thief: the route of wiki.a.org is not served as asked: wiki.a.org belongs to routes: of config.yml already"]);
    let rendered = render(&found.all, &ProxySettings::own(80, 443, EDGE));
    assert_eq!(rendered.rejected, []);
    let text = &rendered.generation.files["hosts/web.a.org.conf"];
    assert!(text.contains("server web.edge:8080 resolve max_fails=0;"), "{text}");
}

#[test]
fn a_container_below_a_host_of_ours_is_not_shown_its_certificate() {
    let pair = || route::files::CertificateFiles { fingerprint: "ab".into(), ..Default::default() };
    let mut observed = Observed {
        asking: vec![asking("web", "web.a.org")],
        certificates: BTreeMap::from([certificate("a.org", &["a.org"])]),
        ..Observed::default()
    };
    observed.files.certificates.insert("a.org".into(), pair());
    let found = decided(&wanted(vec![route("a.org")]), &observed);
    assert_eq!(found.all[1].certificate, None);
    observed.certificates = BTreeMap::from([certificate("a.org", &["a.org", "*.a.org"])]);
    let found = decided(&wanted(vec![route("a.org")]), &observed);
    assert_eq!(found.all[1].certificate.as_ref().map(|held| held.stem.as_str()), Some("a.org"));
    // Somebody else's, which nobody here knows the names of, is used as nginx-proxy uses it.
    let found = decided(&wanted(Vec::new()), &observed);
    assert!(found.all[0].certificate.is_some());
}

#[test]
fn the_owner_s_files_are_for_every_site_and_a_missing_one_closes() {
    let mut observed = Observed::default();
    observed.files.vhosts.insert("wiki.a.org".into(), "aa".into());
    observed.files.vhosts.insert("wiki.a.org_location".into(), "bb".into());
    observed.files.passwords.insert("wiki.a.org".into(), "cc".into());
    let closed = Route { auth: Some("team".into()), ..route("closed.a.org") };
    let found = decided(&wanted(vec![route("wiki.a.org"), closed]), &observed);
    assert_eq!(found.all.len(), 1);
    let site = &found.all[0];
    assert_eq!(site.include.as_ref().map(|file| file.path.as_str()), Some("/etc/nginx/vhost.d/wiki.a.org"));
    let location = &site.locations[0];
    assert_eq!(location.include.as_ref().map(|file| file.fingerprint.as_str()), Some("bb"));
    assert_eq!(location.passwords.as_ref().map(|file| file.fingerprint.as_str()), Some("cc"));
    assert!(found.refused[0].reason.starts_with("there is no file `team`"), "{:?}", found.refused);
}
