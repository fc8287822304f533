//! A world comes to life: networks, one `summoner proxy` with nginx in one container, every box of every case, then the
//! requests. All of it bears a label and goes when it is dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::ask::{self, Place};
use crate::engine;
use crate::read::{Case, Container, Given, Step, World};

/// The nginx of the suite, and the server behind it.
pub const NGINX: &str = "nginx:1.30.6";
const ECHO: &str = "summoner/echo:1";
/// Until the last started box is served; and how long a request may be wrong before its case has failed.
const UP: Duration = Duration::from_secs(90);
const RIGHT: Duration = Duration::from_secs(4);
/// The same after a change, of which there are many at once here: the proxy takes its time then.
const CHANGED: Duration = Duration::from_secs(30);
/// Boxes that start, and cases that run, at the same time.
const AT_ONCE: usize = 6;

static SUBNET: AtomicU16 = AtomicU16::new(0);
static MARK: AtomicU16 = AtomicU16::new(0);

/// A running world.
pub struct Running {
    pub name: String,
    /// Value of the label `summoner.test`, and the beginning of every name.
    pub mark: String,
    pub place: Place,
    folder: tempfile::TempDir,
    started: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        engine::sweep(&self.mark);
        engine::sweep(&format!("{}-foreign", self.mark));
    }
}

/// Runs every case of a table; the test fails with all that went wrong.
pub fn table(name: &str, table: &str) {
    let world = crate::read::world(name, table);
    let running = Running::start(name, &world);
    let failed = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = world.cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Some(fault) = running.case(case) {
                        failed.lock().expect("a list").push(format!("{name}.txt:{} {}: {fault}", case.line, case.title));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("a list");
    failed.sort();
    let (all, took) = (world.cases.len(), running.started.elapsed());
    println!("{name}: {} of {all} cases are right, {:.1} s", all - failed.len(), took.as_secs_f32());
    let log = || engine::logs(&running.proxy());
    assert!(failed.is_empty(), "{} of {all} cases failed:\n{}\n\nthe proxy's log:\n{}", failed.len(), failed.join("\n"), log());
}

impl Running {
    /// Starts everything and waits until the last box is served.
    pub fn start(name: &str, world: &World) -> Self {
        let started = Instant::now();
        // Two worlds of a process may have the same name.
        let mark = format!("proxy-{name}-{}-{}", std::process::id(), MARK.fetch_add(1, Ordering::SeqCst));
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().expect("a folder for the test");
        let place = Place { addresses: BTreeMap::new(), certs: folder.path().join("certs") };
        let mut running = Self { name: name.to_owned(), mark, place, folder, started };
        for inner in ["certs", "vhost.d", "conf.d", "htpasswd", "html", "dhparam", "toplevel.conf.d"] {
            std::fs::create_dir_all(running.folder.path().join(inner)).expect("a folder");
        }
        running.write(&world.given);
        world.cases.iter().for_each(|case| running.write(&case.given));
        for (network, v6, public) in &world.networks {
            running.network(network, *v6, *public);
        }
        for network in &world.away {
            running.network(network, false, false);
        }
        // Some are there before the proxy, the others come by events.
        let boxes: Vec<(usize, &Container)> =
            world.cases.iter().enumerate().flat_map(|(case, of)| of.boxes.iter().map(move |each| (case, each))).collect();
        let (before, after) = boxes.split_at(boxes.len() / 2);
        running.boxes(world, before);
        running.proxy_container(world);
        running.boxes(world, after);
        running.sentinel(world);
        running
    }

    /// A path in the folder that the proxy sees.
    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// The proxy's container.
    pub fn proxy(&self) -> String {
        format!("{}-proxy", self.mark)
    }

    fn write(&self, given: &Given) {
        for (name, hosts) in &given.certs {
            certificate(&self.place.certs, name, hosts);
        }
        for (from, to) in &given.copies {
            std::fs::copy(self.path(from), self.path(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
        }
        for (path, content) in &given.files {
            std::fs::create_dir_all(self.path(path).parent().expect("a folder")).expect("a folder");
            std::fs::write(self.path(path), content).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    fn network_name(&self, name: &str) -> String {
        if name == "host" { name.to_owned() } else { format!("{}-{name}", self.mark) }
    }

    fn network(&self, name: &str, v6: bool, public: bool) {
        let process = u16::try_from(std::process::id() % 200).expect("a small number");
        for _ in 0..100 {
            let number = SUBNET.fetch_add(1, Ordering::SeqCst);
            let (a, b) = (process + number / 200, (number * 7 + process) % 250);
            // 198.18.0.0/15 is for such measurements (RFC 2544): nobody's, and not private.
            let subnet = if public { format!("198.{}.{b}.0/24", 18 + a % 2) } else { format!("10.{}.{b}.0/24", 20 + a % 60) };
            let mut config = vec![json!({ "Subnet": subnet })];
            if v6 {
                config.push(json!({"Subnet": format!("fd5e:{a:x}:{b:x}::/64")}));
            }
            let body = json!({"Name": self.network_name(name), "CheckDuplicate": true, "EnableIPv6": v6,
                "IPAM": {"Config": config}, "Labels": {"summoner.test": self.mark}});
            let (status, said) = engine::call("POST", "/networks/create", Some(&body));
            if status == 201 {
                return;
            }
            assert!(said.contains("overlap"), "{status} {said}");
        }
        panic!("no free subnet for {name}");
    }

    /// Also what makes a name known to the engine: labels, networks, ports.
    fn container(&self, image: &str, networks: &[String], expose: &[String], env: &[(String, String)]) -> (Value, Vec<String>) {
        let mut networks = networks.iter().map(|each| self.network_name(each));
        let first = networks.next().unwrap_or_else(|| "none".to_owned());
        let ports: Map<String, Value> = expose.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = json!({"Image": image, "Env": env, "ExposedPorts": ports, "Labels": {"summoner.test": self.mark},
            "HostConfig": {"NetworkMode": first}});
        (body, networks.collect())
    }

    fn boxes(&self, world: &World, boxes: &[(usize, &Container)]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some((case, each)) = boxes.get(next.fetch_add(1, Ordering::SeqCst)) {
                        self.start_box(world, &format!("c{}-{}", case + 1, each.name), each);
                    }
                });
            }
        });
    }

    /// Starts one box behind the proxy.
    pub fn start_box(&self, world: &World, name: &str, each: &Container) -> String {
        let usual = [world.networks.first().map_or("host", |(name, ..)| name).to_owned()];
        let networks = if each.networks.is_empty() { &usual[..] } else { &each.networks };
        let (mut body, more) = self.container(ECHO, networks, &each.expose, &each.env);
        for (label, value) in &each.labels {
            body["Labels"][label] = json!(value);
        }
        if each.foreign {
            body["Labels"]["summoner.test"] = json!(format!("{}-foreign", self.mark));
        }
        let check = match each.health.as_str() {
            "" => None,
            "healthy" => Some("/bin/true"),
            _ => Some("/bin/false"),
        };
        if let Some(check) = check {
            const SECOND: u64 = 1_000_000_000;
            let wait = if each.health == "starting" { 600 * SECOND } else { 0 };
            body["Healthcheck"] =
                json!({"Test": ["CMD", check], "Interval": SECOND / 2, "Timeout": SECOND, "Retries": 1, "StartPeriod": wait});
        }
        engine::start(&format!("{}-{name}", self.mark), &body, &more)
    }

    fn proxy_container(&mut self, world: &World) {
        let networks: Vec<String> =
            if world.host_mode { vec!["host".to_owned()] } else { world.networks.iter().map(|(name, ..)| name.clone()).collect() };
        let mut env = world.env.clone();
        // The boxes of other tests are none of this proxy's business.
        env.push(("DOCKER_CONTAINER_FILTERS".to_owned(), format!("label=summoner.test={}", self.mark)));
        let (mut body, more) = self.container(NGINX, &networks, &[], &env);
        body["Entrypoint"] = json!(["/summoner"]);
        let mut command = vec!["proxy".to_owned(), "--nginx".to_owned(), "here".to_owned()];
        for network in world.networks.iter().filter(|_| !world.joins) {
            command.extend(["--network".to_owned(), self.network_name(&network.0)]);
        }
        body["Cmd"] = json!(command);
        let program = std::env::var("SUMMONER_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_summoner").to_owned());
        let mut binds = vec![format!("{program}:/summoner:ro"), format!("{}:/tmp/docker.sock", engine::socket())];
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let to = if name == "html" { "/usr/share/nginx/html".to_owned() } else { format!("/etc/nginx/{name}") };
            binds.push(format!("{}:{to}", entry.path().display()));
        }
        body["HostConfig"]["Binds"] = json!(binds);
        engine::start(&self.proxy(), &body, &more);
        let addresses = &mut self.place.addresses;
        if world.host_mode {
            addresses.insert(String::new(), "127.0.0.1".to_owned());
        }
        for (number, (network, v6, _)) in world.networks.iter().enumerate().filter(|_| !world.host_mode) {
            let (v4, six) = engine::address(&format!("{}-proxy", self.mark), &format!("{}-{network}", self.mark));
            assert!(!v4.is_empty() && (!v6 || !six.is_empty()), "the proxy ended:\n{}", engine::logs(&format!("{}-proxy", self.mark)));
            if number == 0 {
                addresses.insert(String::new(), v4.clone());
                addresses.insert("6".to_owned(), six.clone());
            }
            addresses.insert(network.clone(), v4);
            addresses.insert(format!("{network}/6"), six);
        }
    }

    /// The last box: when it is served, so is everything before it.
    fn sentinel(&self, world: &World) {
        let host = format!("sentinel.{}.test", self.name);
        let env = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let env = vec![env("VIRTUAL_HOST", &host), env("HTTPS_METHOD", "noredirect"), env("NAME", "sentinel"), env("LISTEN", "8080")];
        let mut each = Container { env, expose: vec!["8080".to_owned()], ..Container::default() };
        if world.host_mode && world.networks.is_empty() {
            each.env[3].1.clone_from(&free_port());
            let port = each.env[3].1.clone();
            each.env.push(("VIRTUAL_PORT".to_owned(), port));
        }
        self.start_box(world, "sentinel", &each);
        let port = world.env.iter().find(|(name, _)| name == "HTTP_PORT").map_or("80", |(_, port)| port);
        let words: Vec<String> = world.env.iter().filter(|(name, _)| name == "ENABLE_PROXY_PROTOCOL").map(|_| "pp".to_owned()).collect();
        serve_with(self, &format!("http://{host}:{port}/"), &words);
    }

    /// What is wrong with a case.
    pub fn case(&self, case: &Case) -> Option<String> {
        case.steps.iter().find_map(|step| match step {
            Step::Do(words) => {
                self.act(case.number, words);
                None
            }
            Step::Ask { line, method, url, words, status, facts } => {
                let changed = case.steps.iter().any(|step| matches!(step, Step::Do(_)));
                let fault = self.asked_for(method, url, (words, status, facts), if changed { CHANGED } else { RIGHT })?;
                Some(format!("line {line}: {method} {url}: {fault}"))
            }
        })
    }

    /// What is wrong with an answer.
    pub fn asked(&self, method: &str, url: &str, words: &[String], status: &str, facts: &[String]) -> Option<String> {
        self.asked_for(method, url, (words, status, facts), RIGHT)
    }

    /// A change needs its time: only what stays wrong is a fault.
    fn asked_for(&self, method: &str, url: &str, what: (&[String], &str, &[String]), patience: Duration) -> Option<String> {
        let (words, status, facts) = what;
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            let answer = match method {
                "LOG" => ask::found(&engine::logs(&self.proxy()), url),
                "CONF" => ask::found(&engine::exec(&self.proxy(), &["nginx", "-T"]), url),
                _ => ask::ask(&self.place, method, url, words),
            };
            let fault = answer.fault(&self.place, status, facts)?;
            // An address where nobody is costs a whole try.
            tries += 1;
            if began.elapsed() > patience && tries > 2 {
                let body: String = answer.body.chars().take(300).collect();
                return Some(format!("{fault}\n    {}\n    {}", answer.headers.trim().replace("\r\n", " | "), body.trim()));
            }
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    fn act(&self, case: usize, words: &[String]) {
        let container = format!("{}-c{case}-{}", self.mark, words[1]);
        match words[0].as_str() {
            "connect" => engine::connect(&self.network_name(&words[2]), &container),
            "disconnect" => {
                let body = json!({"Container": container, "Force": true});
                engine::ask("POST", &format!("/networks/{}/disconnect", self.network_name(&words[2])), Some(&body));
            }
            "stop" => drop(engine::ask("POST", &format!("/containers/{container}/stop?t=1"), None)),
            verb @ ("start" | "kill" | "pause" | "unpause" | "restart") => {
                engine::ask("POST", &format!("/containers/{container}/{verb}"), None);
            }
            other => panic!("what is `do {other}`?"),
        }
    }
}

/// Waits until this address is served.
pub fn serve(running: &Running, url: &str) {
    serve_with(running, url, &[]);
}

fn serve_with(running: &Running, url: &str, words: &[String]) {
    let began = Instant::now();
    loop {
        let answer = ask::ask(&running.place, "GET", url, words);
        if answer.status == "200" {
            return;
        }
        let log = || engine::logs(&running.proxy());
        assert!(began.elapsed() < UP, "{url} is not served: {} {}\n{}", answer.status, answer.body, log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A port of this host that is free now.
pub fn free_port() -> String {
    static TAKEN: LazyLock<Mutex<Vec<u16>>> = LazyLock::new(Mutex::default);
    let mut taken = TAKEN.lock().expect("a list");
    loop {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|each| each.local_addr()).expect("a port").port();
        if !taken.contains(&port) {
            taken.push(port);
            return port.to_string();
        }
    }
}

/// Signed by itself, which is enough to be told from others; `ca` certificates and what they sign are made by hand.
fn certificate(folder: &Path, name: &str, hosts: &[String]) {
    let hosts = if hosts.is_empty() { vec![name.to_owned()] } else { hosts.to_vec() };
    let made = rcgen::generate_simple_self_signed(hosts).expect("a certificate");
    std::fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).expect("a certificate");
    std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).expect("a key");
}
