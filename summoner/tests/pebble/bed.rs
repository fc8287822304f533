//! A real authority for tests: Pebble with its DNS server, on free ports, with a root of its own, gone when dropped.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use summoner::acme::{self, Outcome, Places, Tending};
use summoner::config::certificates::{Authority, Certificates, Challenge, Staging};
use summoner::config::dns::{DnsSettings, Hook, Provider};
use summoner::layout::Layout;
use summoner::plan::cert::{Lying, Wanted};

/// Where the programs are; fetched once.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/pebble");
    let said = Command::new(script).output().expect("scripts/pebble");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    PathBuf::from(String::from_utf8(said.stdout).expect("a path").trim()).join("bin")
});

/// What an authority of a test is like.
#[derive(Clone)]
pub struct Kind {
    /// Of a hundred nonces, refused.
    pub nonce_reject: u32,
    /// Seconds.
    pub life: u32,
    /// Wants the key of an account that is there already.
    pub eab: bool,
    /// Has a second profile; without a wish Pebble takes any of its profiles.
    pub profiles: bool,
}

impl Default for Kind {
    fn default() -> Self {
        Self { nonce_reject: 0, life: 90 * 24 * 3600, eab: false, profiles: false }
    }
}

/// The account that Pebble knows when it wants one.
pub const EAB: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// A test bed.
pub struct Bed {
    pub folder: tempfile::TempDir,
    pub places: Places,
    pub layout: Layout,
    pub root: PathBuf,
    pub server: Server,
    http_port: u16,
    dns: SocketAddr,
    management: SocketAddr,
    resolver: Child,
    pebbles: Vec<Pebble>,
    /// The moment of the next look.
    pub now: DateTime<Utc>,
}

/// One authority.
pub struct Pebble {
    process: Child,
    pub authority: Authority,
}

/// A certificate for 127.0.0.1 by the bed's own root, for fakes too.
pub struct Server {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let pebbles = self.pebbles.iter_mut().map(|pebble| &mut pebble.process);
        for process in pebbles.chain([&mut self.resolver]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|found| found.local_addr()).expect("a free port").port()
}

/// A program that ends with the test, also when that is killed.
fn start(program: &str, arguments: &[&str], environment: &[(&str, String)], log: &Path) -> Child {
    let log = std::fs::File::create(log).expect("a log");
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(PROGRAMS.join(program))
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .spawn()
        .expect("pebble starts")
}

fn wait_for(port: u16) {
    let since = Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Serves files below a folder, as nginx does for every site on port 80.
fn serve(html: PathBuf) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), html) = (stream, html.clone()) else { continue };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let file = std::fs::read(html.join(&path)).ok().filter(|_| path.starts_with(".well-known/acme-challenge/"));
                let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(&body);
            });
        }
    });
    port
}

impl Bed {
    /// A bed with one authority.
    pub fn new(kind: &Kind) -> Self {
        Self::in_front_of(kind, None)
    }

    /// A bed whose authorities ask this port; None is that of a small server of its own.
    pub fn in_front_of(kind: &Kind, http_port: Option<u16>) -> Self {
        // Each test is a first one for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().expect("a folder");
        let layout = Layout { files: folder.path().join("data"), databases: folder.path().join("data/database") };
        std::fs::create_dir_all(layout.proxy()).expect("its folders");
        let places = Places::of(&layout);
        let (root, server) = certificates(folder.path());
        let http_port = http_port.unwrap_or_else(|| serve(places.html.clone()));
        let (dns, management) = (free_port(), free_port());
        let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (dns, management) = (address(dns), address(management));
        let arguments = [
            "-dnsserver",
            &dns.to_string(),
            "-management",
            &management.to_string(),
            "-doh",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
        ];
        let resolver = start("pebble-challtestsrv", &arguments, &[], &folder.path().join("dns.log"));
        wait_for(management.port());
        let mut bed =
            Self { folder, places, layout, root, server, http_port, dns, management, resolver, pebbles: Vec::new(), now: Utc::now() };
        bed.add(kind);
        bed
    }

    /// Starts another authority.
    pub fn add(&mut self, kind: &Kind) -> Authority {
        let (port, management) = (free_port(), free_port());
        let mut profiles = serde_json::json!({"default": {"description": "as asked for", "validityPeriod": kind.life}});
        if kind.profiles {
            profiles["shortlived"] = serde_json::json!({"description": "six days", "validityPeriod": 6 * 24 * 3600});
        }
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": self.server.certificate, "privateKey": self.server.key,
            "httpPort": self.http_port, "tlsPort": free_port(),
            "externalAccountBindingRequired": kind.eab,
            "externalAccountMACKeys": {EAB.0: EAB.1},
            "domainBlocklist": ["blocked.test"],
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": profiles,
        }});
        let path = self.folder.path().join(format!("pebble-{port}.json"));
        std::fs::write(&path, config.to_string()).expect("the configuration");
        let environment = [
            ("PEBBLE_VA_NOSLEEP", "1".to_owned()),
            ("PEBBLE_WFE_NONCEREJECT", kind.nonce_reject.to_string()),
            ("PEBBLE_AUTHZREUSE", "0".to_owned()),
        ];
        let arguments = ["-config", path.to_str().expect("a path"), "-dnsserver", &self.dns.to_string(), "-strict"];
        let process = start("pebble", &arguments, &environment, &self.folder.path().join(format!("pebble-{port}.log")));
        wait_for(port);
        let directory = format!("https://127.0.0.1:{port}/dir");
        let authority = Authority { root: Some(self.root.clone()), name: format!("pebble-{port}"), ..Authority::at(&directory) };
        self.pebbles.push(Pebble { process, authority: authority.clone() });
        authority
    }

    /// Kills an authority.
    pub fn kill(&mut self, number: usize) {
        self.pebbles[number].process.kill().expect("it runs");
        self.pebbles[number].process.wait().expect("it ends");
    }

    /// What config.yml would say.
    pub fn settings(&self) -> Certificates {
        Certificates {
            authorities: self.pebbles.iter().map(|pebble| pebble.authority.clone()).collect(),
            email: Some("someone@a.fr".to_owned()),
            staging: Staging::Never,
            preflight: false,
            ..Certificates::default()
        }
    }

    /// One certificate.
    pub fn wanted(&self, names: &[&str]) -> Wanted {
        Wanted::of(&self.settings(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("a name")
    }

    /// Records by a hook that tells the DNS server of the bed.
    pub fn dns(&self) -> DnsSettings {
        let hook = self.folder.path().join("hook");
        let script = format!(
            "#!/bin/sh\ncase $1 in present) at=set-txt;; *) at=clear-txt;; esac\n\
             exec curl -sf --noproxy '*' -d \"{{\\\"host\\\": \\\"$2.\\\", \\\"value\\\": \\\"$3\\\"}}\" http://{}/$at\n",
            self.management
        );
        std::fs::write(&hook, script).expect("the hook");
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        let command = vec![hook.display().to_string()];
        let provider = Provider::Exec(Hook { command, timeout: Duration::from_secs(10) });
        DnsSettings { provider, propagation: Duration::from_secs(20), resolvers: vec![self.dns] }
    }

    /// A wildcard by DNS-01.
    pub fn wildcard(&self, domain: &str, hosts: &[&str]) -> Wanted {
        let settings = Certificates { challenge: Challenge::Dns, dns: Some(self.dns()), wildcard: true, ..self.settings() };
        Wanted::shared(&settings, domain, &hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).expect("a domain")
    }

    /// Tells the DNS server something.
    pub async fn tell(&self, what: &str, body: serde_json::Value) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/{what}", self.management);
        let answer = client.post(url).body(body.to_string()).send().await.expect("the DNS server");
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    /// Tends, and gives the outcomes.
    pub async fn tend(&self, wanted: &[Wanted]) -> Vec<Outcome> {
        self.tend_forced(wanted, &[]).await
    }

    /// Tends; these are wanted anew.
    pub async fn tend_forced(&self, wanted: &[Wanted], force: &[&str]) -> Vec<Outcome> {
        let force: BTreeSet<String> = force.iter().map(|stem| (*stem).to_owned()).collect();
        acme::tend(&self.tending(wanted, &force)).await.expect("tending goes on")
    }

    /// What is tended, with the bed's own DNS server and port.
    pub fn tending<'a>(&'a self, wanted: &'a [Wanted], force: &'a BTreeSet<String>) -> Tending<'a> {
        let resolvers = std::slice::from_ref(&self.dns);
        Tending { resolvers, http_port: self.http_port, ..Tending::of(&self.places, wanted, force, self.now) }
    }

    /// Moves the clock.
    pub fn later(&mut self, by: TimeDelta) {
        self.now += by;
    }

    /// What lies there.
    pub fn lying(&self, stem: &str) -> Lying {
        acme::look(&self.places, stem, &self.memory()).expect("the files")
    }

    /// The fingerprint of what an authority gave us.
    pub fn fingerprint(&self, stem: &str) -> String {
        match self.lying(stem) {
            Lying::Ours(observed) => observed.fingerprint,
            other => panic!("{stem}: {other:?}"),
        }
    }

    /// What is known of authorities.
    pub fn memory(&self) -> summoner::plan::cert::Memory {
        acme::remembered(&self.places).expect("the memory")
    }

    /// A file of the certificates' folder.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.places.certs.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What lies where answers to challenges lie.
    pub fn answers(&self) -> usize {
        std::fs::read_dir(self.places.html.join(".well-known/acme-challenge")).map_or(0, Iterator::count)
    }

    /// How often an authority heard a new order, by its log.
    pub fn orders(&self) -> usize {
        let logs = std::fs::read_dir(self.folder.path()).expect("the folder").flatten().map(|entry| entry.path());
        let logs = logs.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pebble-")));
        logs.filter_map(|path| std::fs::read_to_string(path).ok()).map(|text| text.matches("POST /order-plz").count()).sum()
    }
}

/// A root, and a certificate for 127.0.0.1.
fn certificates(folder: &Path) -> (PathBuf, Server) {
    let ca = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "a test's root");
    let root = params.self_signed(&ca).expect("a root");
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = rcgen::CertificateParams::new(names).expect("names").signed_by(&key, &rcgen::Issuer::from_params(&params, &ca));
    let path = |name: &str| folder.join(name);
    std::fs::write(path("root.pem"), root.pem()).expect("the root");
    std::fs::write(path("server.pem"), leaf.expect("a certificate").pem()).expect("the certificate");
    std::fs::write(path("server.key"), key.serialize_pem()).expect("the key");
    (path("root.pem"), Server { certificate: path("server.pem"), key: path("server.key") })
}

/// An authority that refuses every order: 429, and an hour's wait in a header.
pub struct Refusing {
    pub authority: Authority,
    /// What was asked of it.
    pub asked: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Refusing {
    pub fn new(bed: &Bed, retry_after: u64) -> Self {
        use rustls::pki_types::pem::PemObject;
        let chain = vec![rustls::pki_types::CertificateDer::from_pem_file(&bed.server.certificate).expect("a certificate")];
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&bed.server.key).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a server");
        let (config, asked) = (Arc::new(config), Arc::new(std::sync::Mutex::new(Vec::new())));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let base = format!("https://{}", listener.local_addr().expect("its address"));
        let (heard, own) = (Arc::clone(&asked), base.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut request = [0; 16384];
                let count = stream.read(&mut request).unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                heard.lock().expect("the list").push(path.clone());
                let (status, more, body) = match path.as_str() {
                    "/dir" => {
                        let body = format!(
                            r#"{{"newNonce": "{own}/nonce", "newAccount": "{own}/account", "newOrder": "{own}/order", "revokeCert": "{own}/revoke", "keyChange": "{own}/key"}}"#
                        );
                        ("200 OK", String::new(), body)
                    }
                    "/nonce" => ("200 OK", String::new(), String::new()),
                    "/account" => ("201 Created", format!("Location: {own}/account/1\r\n"), r#"{"status": "valid"}"#.to_owned()),
                    _ => {
                        let body = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429}"#;
                        ("429 Too Many Requests", format!("Retry-After: {retry_after}\r\n"), body.to_owned())
                    }
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nReplay-Nonce: abcdefgh\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        let authority = Authority { root: Some(bed.root.clone()), ..Authority::at(&format!("{base}/dir")) };
        Self { authority, asked }
    }
}
