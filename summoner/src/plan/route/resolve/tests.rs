use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::plan::route::files::CertificateFiles;
use crate::plan::route::site::{Address, Location, Target, Upstream};
use crate::vhost::{HttpsMethod, globals, read};

/// A container with one address, `10.<net>.0.<host>`, on each of some networks.
pub(super) fn container(name: &str, host: u8, networks: &[&str], environment: &[(&str, &str)]) -> Asking {
    labelled(name, host, networks, environment, &[])
}

fn labelled(name: &str, host: u8, networks: &[&str], environment: &[(&str, &str)], labels: &[(&str, &str)]) -> Asking {
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let labels = labels.iter().map(|(k, v)| (format!("{}{k}", crate::vhost::LABELS), (*v).to_owned())).collect();
    let joined = |at: usize| Joined {
        ipv4: Some(IpAddr::V4(Ipv4Addr::new(10, u8::try_from(at).unwrap(), 0, host))),
        ipv6: Some(IpAddr::V6(Ipv6Addr::new(0xfd00, u16::try_from(at).unwrap(), 0, 0, 0, 0, 0, host.into()))),
        gateway: Some(IpAddr::V4(Ipv4Addr::new(10, u8::try_from(at).unwrap(), 0, 1))),
        internal: false,
    };
    Asking {
        name: name.to_owned(),
        id: format!("{name}-id"),
        asked: read(&text(environment), &labels).unwrap_or_default(),
        networks: networks.iter().enumerate().map(|(at, name)| ((*name).to_owned(), joined(at))).collect(),
        exposed: vec![8080],
        host_mode: false,
        health: Health::None,
        running: true,
    }
}

pub(super) fn on(networks: &[&str]) -> ProxyView {
    let joined = Joined { gateway: Some(IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1))), ..Joined::default() };
    ProxyView { networks: networks.iter().map(|name| ((*name).to_owned(), joined.clone())).collect(), ..ProxyView::default() }
}

fn with(environment: &[(&str, &str)]) -> Globals {
    let (globals, refusals) = globals(&environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    assert!(refusals.is_empty(), "{refusals:?}");
    globals
}

fn certificates(stems: &[&str]) -> UserFiles {
    let pair = |stem: &&str| ((*stem).to_owned(), CertificateFiles { fingerprint: "ab".into(), ..CertificateFiles::default() });
    UserFiles { certificates: stems.iter().map(pair).collect(), ..UserFiles::default() }
}

fn decide(containers: &[Asking]) -> Resolved {
    sites(containers, &on(&["web"]), &UserFiles::default(), &Globals::default())
}

fn upstream(location: &Location) -> &Upstream {
    match &location.target {
        Target::Upstream(upstream) => upstream,
        other => panic!("{other:?}"),
    }
}

fn servers(resolved: &Resolved) -> String {
    let servers = upstream(&resolved.sites[0].locations[0]).servers.iter();
    let text = servers.map(|server| match &server.address {
        Address::Ip(ip) => format!("{ip} {}", server.port),
        Address::Name(name) => format!("{name} {}", server.port),
    });
    text.collect::<Vec<_>>().join(", ")
}

fn reasons(resolved: &Resolved) -> Vec<String> {
    resolved.refused.iter().map(|r| format!("{} {}: {}", r.source, r.host.as_deref().unwrap_or("-"), r.reason)).collect()
}

#[test]
fn the_port_is_asked_for_or_the_only_exposed_one_or_80() {
    let mut a = container("a", 2, &["web"], &[("VIRTUAL_HOST", "a.test")]);
    assert_eq!(servers(&decide(&[a.clone()])), "10.0.0.2 8080");
    a.exposed = vec![1, 2];
    assert_eq!(servers(&decide(&[a.clone()])), "10.0.0.2 80");
    a.exposed.clear();
    assert_eq!(servers(&decide(&[a])), "10.0.0.2 80");
    let b = container("b", 2, &["web"], &[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PORT", "9000")]);
    assert_eq!(servers(&decide(&[b])), "10.0.0.2 9000");
}

#[test]
fn the_address_is_that_of_the_first_shared_network() {
    let a = |networks: &[&str]| container("a", 2, networks, &[("VIRTUAL_HOST", "a.test")]);
    let at = |networks: &[&str], proxy: &ProxyView| servers(&sites(&[a(networks)], proxy, &UserFiles::default(), &Globals::default()));
    assert_eq!(at(&["alpha", "beta", "web"], &on(&["web", "beta"])), "10.1.0.2 8080");
    assert_eq!(at(&["ingress", "web"], &on(&["ingress", "web"])), "10.1.0.2 8080");
    assert_eq!(at(&["other"], &on(&["web"])), "");
    assert_eq!(at(&["other"], &ProxyView { host_mode: true, ..on(&["host"]) }), "10.0.0.2 8080");
    let named = ProxyView { resolve_names: true, ..on(&["bridge", "web"]) };
    assert_eq!(at(&["bridge", "web"], &named), "a.web 8080");
    assert_eq!(at(&["bridge"], &named), "10.0.0.2 8080");
    let preferring = with(&[("PREFER_IPV6_NETWORK", "true")]);
    assert_eq!(servers(&sites(&[a(&["web"])], &on(&["web"]), &UserFiles::default(), &preferring)), "fd00::2 8080");
    let unreachable = decide(&[a(&["other"])]);
    assert_eq!(reasons(&unreachable), ["a a.test: it is on no network that the proxy is on"]);
}

#[test]
fn the_hosts_network_is_reached_by_the_gateway_or_by_itself() {
    let a = Asking {
        host_mode: true,
        networks: BTreeMap::new(),
        ..container("a", 2, &[], &[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PORT", "81")])
    };
    assert_eq!(servers(&decide(std::slice::from_ref(&a))), "172.17.0.1 81");
    let mut inside = on(&["a", "b"]);
    inside.networks.get_mut("a").unwrap().internal = true;
    inside.networks.get_mut("b").unwrap().gateway = Some(IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)));
    assert_eq!(servers(&sites(std::slice::from_ref(&a), &inside, &UserFiles::default(), &Globals::default())), "10.9.9.9 81");
    let both = ProxyView { host_mode: true, ..ProxyView::default() };
    assert_eq!(servers(&sites(&[a], &both, &UserFiles::default(), &Globals::default())), "127.0.0.1 81");
}

#[test]
fn containers_of_one_path_share_an_upstream_in_any_order() {
    let a = container("a", 2, &["web"], &[("VIRTUAL_HOST", "x.test")]);
    let b = container("b", 3, &["web"], &[("VIRTUAL_HOST", "x.test,y.test"), ("VIRTUAL_PORT", "81")]);
    let c = container("c", 4, &["web"], &[("VIRTUAL_HOST", "x.test"), ("VIRTUAL_PATH", "/app1/"), ("VIRTUAL_DEST", "/")]);
    let resolved = decide(&[a.clone(), b.clone(), c.clone()]);
    assert_eq!(resolved, decide(&[c, b, a]));
    assert_eq!(servers(&resolved), "10.0.0.2 8080, 10.0.0.3 81");
    let names: Vec<String> = resolved.sites.iter().map(|site| site.name.to_string()).collect();
    assert_eq!(names, ["x.test", "y.test"]);
    assert_eq!(resolved.sites[0].source, Source::Containers(vec!["a".into(), "b".into(), "c".into()]));
    // The example of nginx-proxy's documentation.
    assert_eq!(upstream(&resolved.sites[0].locations[1]).name, "x.test-8610f6c344b4096614eab6e09d58885349f42faf");
}

#[test]
fn the_first_by_name_wins_and_the_other_is_told() {
    let a = container("a", 2, &["web"], &[("VIRTUAL_HOST", "x.test"), ("HTTPS_METHOD", "nohttps")]);
    let b = container("b", 3, &["web"], &[("VIRTUAL_HOST", "x.test"), ("HTTPS_METHOD", "noredirect"), ("NETWORK_ACCESS", "internal")]);
    let c = container("c", 4, &["web"], &[("VIRTUAL_HOST", "x.test"), ("VIRTUAL_PROTO", "grpc")]);
    let resolved = decide(&[c, b, a]);
    assert_eq!((resolved.sites[0].https, resolved.sites[0].internal_only), (HttpsMethod::NoHttps, true));
    assert_eq!(servers(&resolved), "10.0.0.2 8080, 10.0.0.3 8080");
    assert_eq!(
        reasons(&resolved),
        [
            "b x.test: HTTPS_METHOD: another container of this host says otherwise and is first by name",
            "c x.test: VIRTUAL_PROTO: another container says otherwise for / and is first by name",
        ]
    );
}

#[test]
fn upstreams_are_named_as_nginx_proxy_names_them() {
    let hosts = "x.test,*.x.test,~^a.+\\.x\\.test$";
    let a = container("a", 2, &["web"], &[("VIRTUAL_HOST", hosts)]);
    let name = |globals: &Globals| -> Vec<String> {
        let resolved = sites(std::slice::from_ref(&a), &on(&["web"]), &UserFiles::default(), globals);
        resolved.sites.iter().map(|site| upstream(&site.locations[0]).name.clone()).collect()
    };
    let of = |text: &str| names::sha1(text);
    assert_eq!(name(&Globals::default()), ["x.test".to_owned(), of("*.x.test"), of("~^a.+\\.x\\.test$")]);
    assert_eq!(name(&with(&[("SHA1_UPSTREAM_NAME", "true")]))[0], of("x.test"));
    // Nobody takes another one's upstream by its name.
    let evil = container("a-evil", 3, &["web"], &[("VIRTUAL_HOST", "x.test-8610f6c344b4096614eab6e09d58885349f42faf")]);
    let good = container("b", 4, &["web"], &[("VIRTUAL_HOST", "x.test"), ("VIRTUAL_PATH", "/app1/")]);
    let resolved = decide(&[evil, good]);
    let all: BTreeSet<&String> = resolved
        .sites
        .iter()
        .flat_map(|site| &site.locations)
        .filter_map(|location| match &location.target {
            Target::Upstream(upstream) => Some(&upstream.name),
            _ => None,
        })
        .collect();
    assert_eq!(all.len(), 2);
}

#[test]
fn certificates_are_found_by_name_exact_or_one_level_up() {
    let chosen = |host: &str, more: &[(&str, &str)], stems: &[&str]| {
        let environment: Vec<(&str, &str)> = more.iter().copied().chain([("VIRTUAL_HOST", host)]).collect();
        let a = container("a", 2, &["web"], &environment);
        let resolved = sites(&[a], &on(&["web"]), &certificates(stems), &Globals::default());
        let site = resolved.sites.into_iter().next().unwrap();
        (site.certificate.map(|certificate| certificate.stem), site.https, site.hsts.map(|hsts| hsts.max_age))
    };
    let some = |stem: &str| (Some(stem.to_owned()), HttpsMethod::Redirect, Some(31_536_000));
    assert_eq!(chosen("a.b.test", &[], &["a.b.test", "b.test", "default"]), some("a.b.test"));
    assert_eq!(chosen("a.b.test", &[], &["b.test", "default"]), some("b.test"));
    assert_eq!(chosen("c.a.b.test", &[], &["b.test", "default"]), some("default"));
    assert_eq!(chosen("b.test", &[], &["test"]), (None, HttpsMethod::NoRedirect, None));
    assert_eq!(chosen("*.b.test", &[], &["b.test"]), some("b.test"));
    assert_eq!(chosen("~^a", &[], &["default"]), some("default"));
    assert_eq!(chosen("a.test", &[("CERT_NAME", "shared")], &["shared", "a.test"]), some("shared"));
    assert_eq!(chosen("a.test", &[("HTTPS_METHOD", "nohttps")], &["a.test"]), (None, HttpsMethod::NoHttps, None));
    assert_eq!(chosen("a.test", &[("HTTPS_METHOD", "noredirect")], &["a.test"]).2, None);
    assert_eq!(chosen("a.test", &[("HTTPS_METHOD", "nohttp")], &[]).1, HttpsMethod::NoRedirect);
    let kept = chosen("a.test", &[("HTTPS_METHOD", "nohttp"), ("ENABLE_HTTP_ON_MISSING_CERT", "false")], &[]);
    assert_eq!(kept, (None, HttpsMethod::NoHttp, None));
    assert_eq!(chosen("a.test", &[("HSTS", "off")], &["a.test"]).2, None);
}

#[test]
fn an_untrusted_default_and_a_damaged_pair_are_not_used() {
    let labels = [("trust-default-cert", "false")];
    let a = labelled("a", 2, &["web"], &[("VIRTUAL_HOST", "a.test"), ("CERT_NAME", "mine")], &labels);
    let mut files = certificates(&["default", "mine"]);
    files.certificates.get_mut("mine").unwrap().fault = Some("it ended yesterday".into());
    let resolved = sites(&[a], &on(&["web"]), &files, &Globals::default());
    assert_eq!(resolved.sites[0].certificate, None);
    assert_eq!(reasons(&resolved), ["a a.test: CERT_NAME: certs/mine.crt cannot be used: it ended yesterday"]);
}

#[test]
fn client_certificates_are_asked_for_where_their_authority_lies() {
    let verify = |label: Option<&str>, own: bool| {
        let labels: Vec<(&str, &str)> = label.map(|value| ("ssl_verify_client", value)).into_iter().collect();
        let a = labelled("a", 2, &["web"], &[("VIRTUAL_HOST", "a.test")], &labels);
        let mut files = certificates(&["a.test"]);
        files.certificates.get_mut("a.test").unwrap().client_ca = own;
        let resolved = sites(&[a], &on(&["web"]), &files, &Globals::default());
        resolved.sites.first().map(|site| site.verify_client)
    };
    use crate::vhost::VerifyClient::{Off, On, Optional};
    assert_eq!(verify(None, true), Some(Some(On)));
    assert_eq!(verify(Some("optional"), true), Some(Some(Optional)));
    assert_eq!(verify(Some("off"), true), Some(Some(Off)));
    assert_eq!(verify(None, false), Some(None));
    assert_eq!(verify(Some("on"), false), None);
}

#[test]
fn the_owners_files_are_found_by_their_names() {
    let files = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "cd".to_owned())).collect();
    let a = container("a", 2, &["web"], &[("VIRTUAL_HOST", "example.tld"), ("VIRTUAL_PATH", "/app1/")]);
    let hash = "8610f6c344b4096614eab6e09d58885349f42faf";
    let user = UserFiles {
        vhosts: files(&[
            "default",
            &format!("example.tld_{hash}_location"),
            "example.tld_location",
            &format!("example.tld_{hash}_location_override"),
        ]),
        passwords: files(&["example.tld", &format!("example.tld_{hash}")]),
        ..UserFiles::default()
    };
    let resolved = sites(&[a], &on(&["web"]), &user, &Globals::default());
    let site = &resolved.sites[0];
    let path = |file: &Option<crate::plan::route::site::UserFile>| file.as_ref().map(|file| file.path.clone()).unwrap_or_default();
    assert_eq!(path(&site.include), "/etc/nginx/vhost.d/default");
    let location = &site.locations[1];
    assert_eq!(path(&location.include), format!("/etc/nginx/vhost.d/example.tld_{hash}_location"));
    assert_eq!(path(&location.replaced_by), format!("/etc/nginx/vhost.d/example.tld_{hash}_location_override"));
    assert_eq!(path(&location.passwords), format!("/etc/nginx/htpasswd/example.tld_{hash}"));
}

#[test]
fn who_is_not_ready_waits_and_who_is_stopped_is_gone() {
    let a = |health| Asking { health, ..container("a", 2, &["web"], &[("VIRTUAL_HOST", "a.test")]) };
    let b = container("b", 3, &["web"], &[("VIRTUAL_HOST", "a.test")]);
    let waiting = |resolved: &Resolved| match &resolved.sites[0].locations[0].target {
        Target::Waiting { retry_after, reason } => format!("{} {reason}", retry_after.as_secs()),
        other => format!("{other:?}"),
    };
    assert_eq!(waiting(&decide(&[a(Health::Starting)])), "5 a is starting");
    assert_eq!(waiting(&decide(&[a(Health::Unhealthy)])), "20 a is not healthy");
    assert_eq!(servers(&decide(&[a(Health::Unhealthy), b])), "10.0.0.3 8080");
    assert_eq!(servers(&decide(&[a(Health::Healthy)])), "10.0.0.2 8080");
    assert_eq!(decide(&[Asking { running: false, ..a(Health::None) }]), Resolved::default());
}

#[test]
fn what_nobody_serves_is_answered_as_the_proxy_says() {
    let a = container("a", 2, &["web"], &[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PATH", "/a")]);
    let root = |value: &str| {
        let globals = with(&[("DEFAULT_ROOT", value)]);
        let resolved = sites(std::slice::from_ref(&a), &on(&["web"]), &UserFiles::default(), &globals);
        resolved.sites[0]
            .locations
            .iter()
            .find(|location| location.path == PathMatch::Prefix("/".into()))
            .map(|location| location.target.clone())
    };
    assert_eq!(root("418"), Some(Target::Status(418)));
    assert_eq!(root("none"), None);
    let to = |to: &str, keep_path| Some(Target::Redirect { to: to.into(), status: 301, keep_path });
    assert_eq!(root("301 https://x.test/"), to("https://x.test/", false));
    assert_eq!(root("301 $scheme://$host/m$request_uri"), to("http://a.test/m", true));
}

#[test]
fn the_proxys_own_paths_are_its_own() {
    let at = |path: &str| container(&format!("c{}", path.len()), 2, &["web"], &[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PATH", path)]);
    let resolved = decide(&[at("/.well-known/acme-challenge/"), at("/.summoner/x"), at("/a"), at("^~ /a")]);
    assert_eq!(resolved.sites[0].locations.len(), 2, "{:?}", resolved.sites[0].locations);
    assert_eq!(resolved.refused.len(), 3);
}

#[test]
fn the_debug_text_tells_all_that_fits() {
    let labels = [("debug-endpoint", "true")];
    let containers = |many: u8| -> Vec<Asking> {
        (2..many).map(|n| labelled(&format!("c{n}"), n, &["web"], &[("VIRTUAL_HOST", "a.test")], &labels)).collect()
    };
    let text = |many| decide(&containers(many)).sites[0].debug.clone().unwrap();
    let few: serde_json::Value = serde_json::from_str(&text(4)).unwrap();
    assert_eq!(few["vhost"]["paths"]["/"]["servers"][1], "10.0.0.3:8080");
    let many = text(250);
    assert!(many.len() <= 3800 && many.contains("too long"), "{}", many.len());
}

#[test]
fn certificates_are_wanted_with_the_proxys_defaults_even_of_the_stopped() {
    let a = container(
        "a",
        2,
        &["web"],
        &[("VIRTUAL_HOST", "a.test"), ("LETSENCRYPT_HOST", "a.test, www.a.test,"), ("ACME_CHALLENGE", "HTTP-01")],
    );
    let globals = with(&[("DEFAULT_EMAIL", "team@a.test"), ("ACME_CHALLENGE", "DNS-01")]);
    let resolved = sites(&[Asking { running: false, ..a }], &on(&["web"]), &UserFiles::default(), &globals);
    let wish = &resolved.certificates[0].wish;
    assert_eq!(wish.certificates, [["a.test", "www.a.test"]]);
    assert_eq!((wish.email.as_deref(), wish.dns), (Some("team@a.test"), Some(false)));
}
