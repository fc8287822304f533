//! Sites as containers and config.yml ask for them, for every nginx that is supported.

use super::*;
use crate::plan::route::features::Features;
use crate::plan::route::settings::{AccessLog, Escape, HSTS, Listen, Resolvers, Trust};
use crate::plan::route::site::{Address, Certificate, Location, LocationSettings, Server, Source, Target, Upgrade, Upstream, UserFile};
use crate::vhost::{Balance, Hsts, HttpsMethod, KeepAlive, PathMatch, Protocol, VerifyClient};

#[path = "../../../../tests/render/zoo.rs"]
mod zoo;
use zoo::{doors, exact, file, names, plain, zoo};

fn classic(features: Features) -> ProxySettings {
    ProxySettings { features, ..ProxySettings::classic() }
}

#[test]
fn nothing_of_the_zoo_is_refused_by_any_nginx() {
    for features in [Features::least(), Features::catalogue(), Features { http3: true, mlkem: true, ..Features::catalogue() }] {
        let zoo = zoo(&features);
        for settings in [
            ProxySettings { resolvers: Resolvers::engine(), ..classic(features.clone()) },
            ProxySettings { features: features.clone(), ..settings(443) },
        ] {
            let rendered = render(&zoo, &settings);
            assert_eq!(rendered.rejected, []);
            for text in rendered.generation.files.iter().filter(|(name, _)| name.ends_with(".conf")).map(|(_, text)| text) {
                read(text);
            }
            let mut reversed = zoo.clone();
            reversed.reverse();
            assert_eq!(render(&reversed, &settings).generation, rendered.generation);
        }
    }
}

#[test]
fn a_line_leads_to_its_site() {
    let sites = [plain("a.fr"), names().remove(2)];
    let rendered = render(&sites, &classic(Features::least()));
    let text = &rendered.generation.files["default.conf"];
    let line = |what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
    let owner = |line: usize| {
        let has = |part: &&Part| part.lines.is_some_and(|(first, last)| (first..=last).contains(&line));
        rendered.parts.iter().find(|(_, part)| has(part)).map(|(name, _)| name.as_str())
    };
    assert_eq!(owner(line("ssl_protocols")), None);
    assert_eq!(owner(line("server_name a.fr")), Some("a.fr"));
    assert_eq!(owner(line("upstream names2")), Some(r"~^(app|api)[0-9]{1,3}\.a\.fr$"));
    assert_eq!(owner(text.lines().count()), None, "the marker is nobody's");
}

#[test]
fn what_a_site_may_not_say() {
    let refused = |change: &dyn Fn(&mut Site)| {
        let mut site = doors();
        change(&mut site);
        let rendered = render(&[plain("b.fr"), site], &classic(Features::least()));
        assert!(rendered.generation.files["default.conf"].contains("# site b.fr\n"));
        assert_eq!(rendered.generation, render(&[plain("b.fr")], &classic(Features::least())).generation);
        rendered.rejected.into_iter().map(|rejected| rejected.reason).collect::<String>()
    };
    let upstream = |site: &mut Site, change: &dyn Fn(&mut Upstream)| {
        if let Target::Upstream(upstream) = &mut site.locations[0].target {
            change(upstream);
        }
    };
    let reasons = [
        refused(&|site| site.name = exact("a.fr; return 200")),
        refused(&|site| site.name = exact("")),
        refused(&|site| site.name = HostName::Regex("(?<host>.*)".to_owned())),
        refused(&|site| site.name = HostName::Regex("a\nb".to_owned())),
        refused(&|site| site.source = Source::Containers(vec!["a\n}".to_owned()])),
        refused(&|site| site.certificate.as_mut().unwrap().stem = "../key".to_owned()),
        refused(&|site| site.certificate.as_mut().unwrap().client_ca = None),
        refused(&|site| site.locations[0].path = PathMatch::Prefix("a".to_owned())),
        refused(&|site| site.locations[0].path = PathMatch::Regex { expression: "(*COMMIT)".to_owned(), any_case: false }),
        refused(&|site| site.include = file("/etc/nginx/vhost.d/a;b")),
        refused(&|site| upstream(site, &|upstream| upstream.dest = Some("/$host".to_owned()))),
        refused(&|site| upstream(site, &|upstream| upstream.name = "a b".to_owned())),
        refused(&|site| upstream(site, &|upstream| upstream.servers[0].weight = Some(0))),
        refused(&|site| upstream(site, &|upstream| upstream.name = "b.fr".to_owned())),
        refused(&|site| upstream(site, &|upstream| upstream.servers[0].address = Address::Name("web".to_owned()))),
        refused(&|site| site.locations[0].target = Target::Folder("/srv/$host".to_owned())),
        refused(&|site| site.locations[0].target = Target::Redirect { to: "//evil".to_owned(), status: 301, keep_path: false }),
        refused(&|site| site.locations[0].target = Target::Status(7)),
    ];
    insta::assert_snapshot!(reasons.join("\n"), @r"
    the host is not a host name
    the host is not a host name
    the host has a named group or a verb, which nginx would make something of
    the host holds '\n', which cannot be written into nginx's configuration
    the container holds '\n', which cannot be written into nginx's configuration
    the certificate's name is not a plain file name
    ssl_verify_client needs the authority of the clients' certificates, a file ca.crt beside the certificate
    the path is not a path that begins with / and has no query
    the path has a named group or a verb, which nginx would make something of
    the host's file is not a whole path of plain characters
    the path inside holds '$', which cannot be written into nginx's configuration
    the upstream is not a name that a name server can know
    the weight of a server is 0
    there are two upstreams b.fr
    the upstream has a server that is known by name, and the proxy has no name server
    the folder is not a whole path of plain characters
    a redirect's target is neither a path that begins with / nor an http or https URL
    the answer is not a status that a server may give
    ");
}

#[test]
fn the_owners_own_log_and_trust() {
    let settings = ProxySettings {
        log: AccessLog::Format { text: "$host \"$request\" {;}".to_owned(), escape: Escape::Json },
        trust: Trust::Networks(vec!["10.0.0.0/8".parse().unwrap()]),
        listen: Listen { http: 8080, https: 8443, ipv6: true, proxy_protocol: true },
        ..classic(Features::least())
    };
    let text = render(&[plain("a.fr")], &settings).generation.files["default.conf"].clone();
    for line in [
        "log_format summoner escape=json \"$host \\\"$request\\\" {;}\";",
        "set_real_ip_from 10.0.0.0/8;",
        "real_ip_header proxy_protocol;",
        "geo $realip_remote_addr $trusted {",
        "listen \"[::]:8080\" proxy_protocol;",
        "listen 8443 ssl http2 proxy_protocol;",
        "8443 443;",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let broken = ProxySettings { log: AccessLog::Format { text: "a\n}".to_owned(), escape: Escape::None }, ..settings };
    let rendered = render(&[plain("a.fr")], &broken);
    assert_eq!(rendered.rejected.len(), 1);
    assert!(rendered.generation.files["default.conf"].contains("server_name _;"), "the frame is there all the same");
}
