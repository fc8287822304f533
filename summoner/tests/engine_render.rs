//! What the renderer writes, shown to nginx itself: 1.22, 1.26 and 1.30, in both arrangements. `scripts/images` builds the
//! three. Then real requests through each.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

use std::path::Path;
use std::process::{Command, Output};

use summoner::plan::route::features::Features;
use summoner::plan::route::settings::{AccessLog, Arrangement, Escape, HSTS, Listen, Resolvers, Trust};
use summoner::plan::route::site::{Address, Certificate, Location, LocationSettings, Server, Source, Target, Upgrade, Upstream, UserFile};
use summoner::plan::route::{POLICIES, ProxySettings, Site, render};
use summoner::vhost::{Balance, HostName, Hsts, HttpsMethod, KeepAlive, PathMatch, Protocol, VerifyClient};

#[path = "render/zoo.rs"]
mod zoo;

const IMAGES: [&str; 3] = ["nginx:1.22.1", "nginx:1.26.3", "nginx:1.30.6"];
const LABEL: [&str; 2] = ["--label", "summoner.test=render"];
/// The group ffdhe2048 (RFC 7919).
const DHPARAM: &str = "-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
";

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("docker runs")
}

fn features(image: &str) -> Features {
    let said = docker(&[&["run", "--rm"], &LABEL[..], &["--entrypoint", "nginx", image, "-V"]].concat());
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let features = Features::of(&text).unwrap_or_else(|| panic!("{image} is missing: scripts/images {image}\n{text}"));
    // Debian's OpenSSL of these two knows the group; the oldest does not.
    Features { mlkem: features.version >= (1, 26, 0), ..features }
}

/// A folder as nginx's container sees it: the owner's files and certificates.
struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Self {
        let bed = Self(tempfile::Builder::new().prefix("summoner-render.").tempdir().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["*.a.fr".to_owned()]).unwrap().self_signed(&key).unwrap();
        for name in ["pair", "default"] {
            bed.write(&format!("certs/{name}.crt"), &certificate.pem());
            bed.write(&format!("certs/{name}.key"), &key.serialize_pem());
        }
        bed.write("certs/ca.crt", &certificate.pem());
        bed.write("certs/pair.dhparam.pem", DHPARAM);
        bed.write("htpasswd/doors.a.fr", "ann:{PLAIN}secret\n");
        bed.write("vhost.d/doors.a.fr_location", "proxy_read_timeout 7s;\n");
        bed.write("vhost.d/*.a.fr", "client_max_body_size 7m;\n");
        bed.write("conf.d/my.conf", "client_max_body_size 9m;\n");
        bed
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes what is rendered and gives the file that nginx reads.
    fn render(&self, sites: &[Site], settings: &ProxySettings) -> &'static str {
        let rendered = render(sites, settings);
        assert_eq!(rendered.rejected, []);
        let folder = if settings.arrangement == Arrangement::Own { "summoner/current/" } else { "conf.d/" };
        let _ = std::fs::remove_dir_all(self.path().join("summoner"));
        let _ = std::fs::remove_file(self.path().join("conf.d/default.conf"));
        for (name, text) in &rendered.generation.files {
            self.write(&format!("{folder}{name}"), text);
        }
        if settings.arrangement == Arrangement::Own { "/etc/nginx/summoner/current/nginx.conf" } else { "/etc/nginx/nginx.conf" }
    }

    fn mounts(&self) -> Vec<String> {
        let inside = |name: &str| format!("{}:/etc/nginx/{name}:ro", self.path().join(name).display());
        ["certs", "htpasswd", "vhost.d", "conf.d", "summoner"].iter().flat_map(|name| ["-v".to_owned(), inside(name)]).collect()
    }
}

fn all_settings(features: &Features) -> Vec<ProxySettings> {
    let own = ProxySettings {
        features: features.clone(),
        conf: vec![UserFile { path: "/etc/nginx/conf.d/my.conf".to_owned(), fingerprint: "00".to_owned() }],
        ..ProxySettings::own(80, 8443, "summoner-edge")
    };
    let classic = ProxySettings { features: features.clone(), resolvers: Resolvers::engine(), ..ProxySettings::classic() };
    let trusted = Trust::Networks(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    vec![
        own.clone(),
        classic.clone(),
        ProxySettings {
            trust: trusted.clone(),
            log: AccessLog::Json,
            listen: Listen { http: 8080, https: 8443, ipv6: true, proxy_protocol: true },
            default_certificate: Some("ab".to_owned()),
            default_host: Some(HostName::Exact("plain.a.fr".to_owned())),
            acme_unknown_host: false,
            policy: "Mozilla-Modern",
            ..classic.clone()
        },
        ProxySettings {
            trust: Trust::Everybody,
            log: AccessLog::Format { text: "$host {\"a\": \"$request\"};".to_owned(), escape: Escape::Json },
            error_page: true,
            server_tokens: Some(true),
            marker_local: true,
            ..classic
        },
        ProxySettings { trust: trusted, log: AccessLog::Off, policy: "Mozilla-Old", ..own },
    ]
}

#[test]
fn every_nginx_takes_everything() {
    for image in IMAGES {
        let features = features(image);
        let sites = zoo::zoo(&features);
        for (number, settings) in all_settings(&features).into_iter().enumerate() {
            let bed = Bed::new();
            let main = bed.render(&sites, &settings);
            let mounts = bed.mounts();
            let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
            let said = docker(&[&["run", "--rm"], &LABEL[..], &mounts, &["--entrypoint", "nginx", image, "-t", "-c", main]].concat());
            let text = String::from_utf8_lossy(&said.stderr);
            assert!(said.status.success(), "{image}, settings {number}:\n{text}");
            let warnings: Vec<&str> = text.lines().filter(|line| line.contains("[warn]")).collect();
            assert!(warnings.is_empty(), "{image}, settings {number}:\n{warnings:#?}");
        }
    }
}

/// The frame without a single site, for the first start of all.
#[test]
fn every_nginx_takes_nothing_at_all() {
    for image in IMAGES {
        let features = features(image);
        for settings in all_settings(&features) {
            let bed = Bed::new();
            let main = bed.render(&[], &settings);
            let mounts = bed.mounts();
            let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
            let said = docker(&[&["run", "--rm"], &LABEL[..], &mounts, &["--entrypoint", "nginx", image, "-t", "-c", main]].concat());
            assert!(said.status.success(), "{image}:\n{}", String::from_utf8_lossy(&said.stderr));
        }
    }
}

/// A container that runs nginx; removed with it.
struct Running {
    id: String,
    _bed: Bed,
}

impl Drop for Running {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.id]);
    }
}

/// What stands behind the proxy: says what it was told.
const BACKEND: &str = "server { listen 127.0.0.1:9000; location / { add_header X-Content-Type-Options mine; return 200 \
    \"$http_host|$http_x_real_ip|$http_x_forwarded_for|$http_x_forwarded_proto|$http_x_forwarded_port|$http_x_forwarded_ssl|\
    $http_upgrade|$http_connection|$request_uri|$http_forwarded\"; } }\n";

impl Running {
    fn start(image: &str, sites: &[Site], settings: &ProxySettings) -> Self {
        let bed = Bed::new();
        bed.render(sites, settings);
        bed.write("conf.d/backend.conf", BACKEND);
        std::fs::create_dir_all(bed.path().join("summoner")).unwrap();
        let mounts = bed.mounts();
        let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
        let said = docker(&[&["run", "-d"], &LABEL[..], &mounts, &[image]].concat());
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let running = Self { id: String::from_utf8_lossy(&said.stdout).trim().to_owned(), _bed: bed };
        let token = "mkdir -p /usr/share/nginx/html/.well-known/acme-challenge; echo -n hello >/usr/share/nginx/html/.well-known/acme-challenge/token";
        running.exec(&["sh", "-c", token]);
        for _ in 0..50 {
            if running.exec(&["curl", "-s", "http://127.0.0.1:8199/"]).len() == 16 {
                return running;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let log = docker(&["logs", &running.id]);
        panic!("{image} does not come up: {}", String::from_utf8_lossy(&log.stderr));
    }

    fn exec(&self, command: &[&str]) -> String {
        let said = docker(&[&["exec", &self.id], command].concat());
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Head and body.
    fn ask(&self, url: &str, more: &[&str]) -> String {
        let host = url.split('/').nth(2).unwrap();
        let resolve = [format!("{host}:80:127.0.0.1"), format!("{host}:443:127.0.0.1")];
        self.exec(&[&["curl", "-sik", "--resolve", &resolve[0], "--resolve", &resolve[1]], more, &[url]].concat())
    }
}

fn to_backend(host: &str) -> Site {
    let mut site = zoo::plain(host);
    if let Target::Upstream(upstream) = &mut site.locations[0].target {
        upstream.servers[0] = Server { address: Address::Ip("127.0.0.1".parse().unwrap()), port: 9000, weight: None };
    }
    site
}

fn sites() -> Vec<Site> {
    let mut down = zoo::plain("down.a.fr");
    if let Target::Upstream(upstream) = &mut down.locations[0].target {
        upstream.servers.clear();
    }
    let mut wait = zoo::plain("wait.a.fr");
    let reason = "ghost is starting".to_owned();
    wait.locations[0].target = Target::Waiting { retry_after: std::time::Duration::from_secs(20), reason };
    let mut tls = to_backend("tls.a.fr");
    (tls.certificate, tls.https, tls.hsts, tls.non_get_redirect) = (zoo::certificate("pair"), HttpsMethod::Redirect, Some(HSTS), 308);
    tls.locations[0].settings.security_headers = true;
    let mut outside = to_backend("outside.a.fr");
    (outside.certificate, outside.https, outside.external_ports) = (zoo::certificate("pair"), HttpsMethod::NoRedirect, (8080, 8443));
    outside.internal_only = true;
    vec![to_backend("plain.a.fr"), down, wait, tls, outside]
}

#[test]
fn requests_arrive_as_they_should() {
    for image in IMAGES {
        let settings = ProxySettings { features: features(image), ..ProxySettings::classic() };
        let nginx = Running::start(image, &sites(), &settings);
        let has = |url: &str, more: &[&str], wanted: &[&str]| {
            let said = nginx.ask(url, more);
            let lower = said.to_lowercase();
            for wanted in wanted {
                assert!(lower.contains(&wanted.to_lowercase()), "{image} {url}: no {wanted:?} in\n{said}");
            }
            said
        };
        let lies = [
            "-H",
            "X-Forwarded-For: 6.6.6.6",
            "-H",
            "X-Forwarded-Proto: https",
            "-H",
            "Forwarded: for=6.6.6.6",
            "-H",
            "X-Forwarded-Port: 1",
        ];
        has("http://plain.a.fr/p?q=1", &lies, &[" 200", "plain.a.fr|127.0.0.1|127.0.0.1|http|80|off|||/p?q=1|"]);
        let upgrade = ["-H", "Upgrade: WebSocket", "-H", "Connection: Upgrade"];
        has("http://plain.a.fr/", &upgrade, &["|WebSocket|upgrade|/|"]);
        has("http://down.a.fr/", &[], &[" 502", "retry-after: 5"]);
        has("http://wait.a.fr/", &[], &[" 503", "retry-after: 20", "ghost is starting"]);
        has("http://nobody.a.fr/", &[], &[" 503"]);
        has("http://tls.a.fr/x?y", &[], &[" 301", "location: https://tls.a.fr/x?y"]);
        has("http://tls.a.fr/x", &["-d", "a"], &[" 308"]);
        has("http://tls.a.fr/.well-known/acme-challenge/token", &[], &[" 200", "hello"]);
        let said = has("https://tls.a.fr/", &[], &["http/2 200", "strict-transport-security: max-age=63072000", "|https|443|on|"]);
        assert_eq!(said.to_lowercase().matches("x-content-type-options").count(), 1, "the application's own: {said}");
        has("http://outside.a.fr/", &[], &[" 200", "outside.a.fr:8080|", "|http|8080|off|"]);
        has("https://outside.a.fr/", &[], &["outside.a.fr:8443|", "|https|8443|on|"]);
        assert_eq!(nginx.ask("https://nobody.a.fr/", &[]), "", "no handshake for a name without a certificate");
    }
}

#[test]
fn only_who_is_trusted_is_believed() {
    for image in IMAGES {
        let trust = Trust::Networks(vec!["127.0.0.0/8".parse().unwrap()]);
        let settings = ProxySettings { features: features(image), trust, ..ProxySettings::classic() };
        let nginx = Running::start(image, &[to_backend("plain.a.fr")], &settings);
        let claims = ["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-Port: 444"];
        let said = nginx.ask("http://plain.a.fr/", &claims);
        assert!(said.contains("plain.a.fr|6.6.6.6|6.6.6.6, 127.0.0.1|https|444|on|"), "{image}: {said}");
        let said = nginx.ask("http://plain.a.fr/", &["-H", "X-Forwarded-Proto: \"x\"", "-H", "X-Forwarded-Port: a b"]);
        assert!(said.contains("|http|80|off|"), "{image}: {said}");
    }
}
