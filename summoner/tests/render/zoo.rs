//! Sites of every kind, as containers and config.yml ask for them. Shared by the unit tests of the renderer and the test
//! that shows them to real nginx; what it names comes from whoever includes it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

/// A site of a container with these locations.
pub fn asked(host: HostName, locations: Vec<Location>) -> Site {
    Site {
        name: host,
        aliases: Vec::new(),
        source: Source::Containers(vec!["web-1".to_owned()]),
        certificate: None,
        https: HttpsMethod::NoRedirect,
        hsts: None,
        policy: None,
        http2: true,
        http3: false,
        external_ports: (80, 443),
        internal_only: false,
        allow: Vec::new(),
        sign_ins: Vec::new(),
        server_tokens: None,
        non_get_redirect: 301,
        acme_location: true,
        verify_client: None,
        locations,
        debug: None,
        include: None,
    }
}

pub fn exact(host: &str) -> HostName {
    HostName::Exact(host.to_owned())
}

pub fn to(path: &str, target: Target) -> Location {
    Location {
        path: PathMatch::Prefix(path.to_owned()),
        target,
        settings: LocationSettings::default(),
        replaced_by: None,
        include: None,
        passwords: None,
    }
}

pub fn servers(name: &str, addresses: &[&str]) -> Upstream {
    let servers = addresses.iter().map(|address| match address.parse() {
        Ok(ip) => Server { address: Address::Ip(ip), port: 80, weight: None },
        Err(_) => Server { address: Address::Name((*address).to_owned()), port: 80, weight: None },
    });
    Upstream {
        name: name.to_owned(),
        protocol: Protocol::Http,
        servers: servers.collect(),
        keepalive: KeepAlive::Auto,
        balance: None,
        dest: None,
        root: None,
    }
}

pub fn plain(host: &str) -> Site {
    asked(exact(host), vec![to("/", Target::Upstream(servers(host, &["10.0.0.2"])))])
}

pub fn certificate(stem: &str) -> Option<Certificate> {
    Some(Certificate { stem: stem.to_owned(), fingerprint: "ab12".to_owned(), dhparam: false, client_ca: None, client_crl: None })
}

pub fn file(path: &str) -> Option<UserFile> {
    Some(UserFile { path: path.to_owned(), fingerprint: "cd34".to_owned() })
}

/// One of everything, for `nginx -t` too.
pub fn zoo(features: &Features) -> Vec<Site> {
    let mut all = vec![plain("plain.a.fr")];
    for method in [HttpsMethod::Redirect, HttpsMethod::NoRedirect, HttpsMethod::NoHttp, HttpsMethod::NoHttps] {
        for tls in [true, false] {
            let host = format!("{}-{tls}.a.fr", format!("{method:?}").to_lowercase());
            let mut site = plain(&host);
            (site.https, site.certificate) = (method, certificate("pair").filter(|_| tls));
            site.hsts = Some(Hsts { max_age: 300, subdomains: true, preload: true });
            site.aliases = vec![format!("www.{host}").parse().unwrap()];
            all.push(site);
        }
    }
    for (number, policy) in POLICIES.into_iter().enumerate() {
        let mut site = plain(&format!("policy{number}.a.fr"));
        (site.https, site.certificate, site.policy) = (HttpsMethod::Redirect, certificate("pair"), Some(policy));
        all.push(site);
    }
    all.extend(names());
    all.extend(protocols(features));
    all.push(behaviours());
    all.push(doors());
    all.push(outside());
    all
}

pub fn names() -> Vec<Site> {
    let names = [
        HostName::Leading("wild.a.fr".to_owned()),
        HostName::Trailing("www.wild".to_owned()),
        HostName::Regex(r"^(app|api)[0-9]{1,3}\.a\.fr$".to_owned()),
    ];
    let site = |(number, name)| asked(name, vec![to("/", Target::Upstream(servers(&format!("names{number}"), &["10.0.0.2"])))]);
    names.into_iter().enumerate().map(site).collect()
}

pub fn protocols(features: &Features) -> Vec<Site> {
    let kinds = [Protocol::Http, Protocol::Https, Protocol::Uwsgi, Protocol::Fastcgi, Protocol::Grpc, Protocol::Grpcs];
    let mut all = Vec::new();
    for protocol in kinds {
        let name = format!("{protocol:?}").to_lowercase();
        for down in [false, true] {
            let host = format!("{name}-{down}.a.fr");
            let mut upstream = servers(&host, if down { &[] } else { &["10.0.0.2", "fd00::2"] });
            (upstream.protocol, upstream.root) = (protocol, Some("/var/www/html".to_owned()));
            let mut location = to("/", Target::Upstream(upstream));
            location.settings.read_timeout = Some(Duration::from_secs(90));
            location.settings.response_buffering = false;
            location.settings.request_buffering = false;
            all.push(asked(exact(&host), vec![location]));
        }
        let host = format!("{name}-named.a.fr");
        let upstream = Upstream { protocol, ..servers(&host, &["web.edge"]) };
        all.push(asked(exact(&host), vec![to("/", Target::Upstream(upstream))]));
    }
    if features.resolve {
        all.push(asked(exact("several.a.fr"), vec![to("/", Target::Upstream(servers("several.a.fr", &["one.edge", "two.edge"])))]));
    }
    all
}

/// Paths, balances, targets.
pub fn behaviours() -> Site {
    let balances = [
        Balance::LeastConnections,
        Balance::IpHash,
        Balance::Random { two: true },
        Balance::Hash { key: "$remote_addr${cookie_session}".to_owned(), consistent: true },
    ];
    let mut locations: Vec<Location> = balances
        .into_iter()
        .enumerate()
        .map(|(number, balance)| {
            let mut upstream = servers(&format!("balance{number}"), &["10.0.0.2", "10.0.0.3"]);
            upstream.servers[0].weight = Some(3);
            (upstream.balance, upstream.dest) = (Some(balance), Some("/inside/".to_owned()));
            to(&format!("/balance{number}/"), Target::Upstream(upstream))
        })
        .collect();
    let regex = PathMatch::Regex { expression: r"^/(a|b)/.{2,}\.php$".to_owned(), any_case: true };
    locations.push(Location { path: regex, ..to("/", Target::Upstream(servers("regex", &["10.0.0.2"]))) });
    locations.push(Location { path: PathMatch::PrefixOnly("/only/".to_owned()), ..to("/", Target::Status(404)) });
    locations.push(to("/old/", Target::Redirect { to: "https://new.a.fr".to_owned(), status: 301, keep_path: true }));
    locations.push(to("/files/", Target::Folder("/usr/share/nginx/html".to_owned())));
    let waiting = Target::Waiting { retry_after: Duration::from_secs(20), reason: "<ghost> is \"starting\" for $5…".to_owned() };
    locations.push(to("/wait/", waiting));
    let mut quiet = servers("quiet", &["10.0.0.2"]);
    quiet.keepalive = KeepAlive::Disabled;
    let mut location = to("/", Target::Upstream(quiet));
    location.settings = LocationSettings {
        body_bytes: Some(0),
        connect_timeout: Some(Duration::from_secs(3)),
        upgrade: Upgrade::Websocket,
        headers: BTreeMap::from([("X-Frame-Options".to_owned(), "DENY".to_owned())]),
        security_headers: true,
        ..LocationSettings::default()
    };
    locations.push(location);
    asked(exact("behaviour.a.fr"), locations)
}

/// Passwords, networks, certificates of clients.
pub fn doors() -> Site {
    let mut site = plain("doors.a.fr");
    site.certificate = Some(Certificate { dhparam: true, client_ca: Some("ca.crt".to_owned()), ..certificate("pair").unwrap() });
    site.https = HttpsMethod::Redirect;
    site.hsts = Some(HSTS);
    site.verify_client = Some(VerifyClient::Optional);
    site.allow = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    site.locations[0].passwords = file("/etc/nginx/htpasswd/doors.a.fr");
    site.locations[0].include = file("/etc/nginx/vhost.d/doors.a.fr_location");
    site.include = file("/etc/nginx/vhost.d/*.a.fr");
    site.debug = Some("{\"host\":\"doors.a.fr\",\"it's\":\"$5 é \\\" } ;\"}".to_owned());
    site
}

pub fn outside() -> Site {
    let mut site = plain("outside.a.fr");
    (site.certificate, site.https) = (certificate("pair"), HttpsMethod::Redirect);
    (site.external_ports, site.non_get_redirect, site.internal_only, site.http3) = ((8080, 8443), 308, true, true);
    site
}
