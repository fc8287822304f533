//! The ban policy on a real nginx: who fails to sign in is shut out within a second and without a reload, others are not,
//! and neither nginx nor the guard forgets when it restarts. Clients are containers with addresses of their own.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use summoner::ban::{Guard, Setup, store};
use summoner::config::Bans;
use summoner::daemon::clock;
use summoner::docker::engine::Docker;
use summoner::event::{Event, Listener};
use summoner::layout::Layout;
use support::Bed;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const CONFIGURATION: &str = include_str!("fixtures/bans/nginx.conf");
const SCRIPT: &str = include_str!("fixtures/bans/guard.js");
/// `me`, with a password that nobody types here.
const PASSWORDS: &str = "me:$apr1$x1y2z3a4$uY1b7lqQvQmDgBvS7iJ4A/\n";

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Listener for Notes {
    fn hear(&self, event: &Event) {
        if let Event::Note { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

impl Notes {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

/// nginx and its clients on a network whose addresses no private range holds.
struct Stage {
    bed: Bed,
    layout: Layout,
    prefix: String,
    notes: Notes,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

impl Stage {
    fn new() -> Self {
        let bed = Bed::new("bans");
        bed.config("");
        let layout = Layout { files: bed.root(), databases: bed.root().join("database") };
        std::fs::create_dir_all(layout.nginx()).unwrap();
        for (name, text) in [("nginx.conf", CONFIGURATION), ("guard.js", SCRIPT), ("passwords", PASSWORDS)] {
            std::fs::write(layout.nginx().join(name), text).unwrap();
        }
        // For tests of networks (RFC 2544): not private, and nobody's on the internet.
        let prefix = format!("198.18.{}", std::process::id() % 250);
        let stage = Self { bed, layout, prefix, notes: Notes::default() };
        let (network, subnet, label) = (stage.network(), format!("{}.0/24", stage.prefix), stage.label());
        stage.bed.docker(&["network", "create", "--label", &label, "--subnet", &subnet, &network]);
        let folder = format!("{}:/etc/nginx/summoner:ro", stage.layout.nginx().display());
        let nginx = ["nginx", "-c", "/etc/nginx/summoner/nginx.conf", "-g", "daemon off;"];
        stage.start("nginx", 2, &["-v", &folder], &nginx);
        for (name, last) in [("a", 10), ("b", 11), ("c", 12), ("d", 13)] {
            stage.start(name, last, &[], &["sleep", "infinity"]);
        }
        stage
    }

    fn network(&self) -> String {
        self.bed.domain.replace('.', "-")
    }

    fn label(&self) -> String {
        format!("summoner.root={}", self.bed.root().display())
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.network())
    }

    fn address(&self, last: u8) -> String {
        format!("{}.{last}", self.prefix)
    }

    fn start(&self, name: &str, last: u8, options: &[&str], command: &[&str]) {
        let (container, label, network, address) = (self.name(name), self.label(), self.network(), self.address(last));
        let mut words = vec!["run", "-d", "--name", &container, "--label", &label, "--network", &network, "--ip", &address];
        words.extend(options);
        words.push("nginx:1.30.6");
        words.extend(command);
        self.bed.docker(&words);
    }

    fn guard(&self, policy: Bans) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let (layout, notes) = (self.layout.clone(), self.notes.clone());
        let task = tokio::spawn(async move {
            let docker = Docker::connect().await.unwrap();
            let setup = Setup { layout, policy, trusted: Vec::new(), sources: Vec::new(), docker: None, reload: None };
            let stopped = async { stopped.await.unwrap_or_default() };
            Guard::run(setup, &docker, &notes, clock::now, stopped).await.unwrap();
        });
        Running { stop, task }
    }

    /// The status and the headers that a client gets; 000 is a connection that was cut.
    fn ask(&self, client: &str, words: &[&str], path: &str) -> (String, String) {
        let (container, url) = (self.name(client), format!("http://{}{path}", self.address(2)));
        let mut all = vec!["curl", "-sS", "-o", "/dev/null", "-D", "-", "--max-time", "5", "-w", "%{http_code}"];
        all.extend(words);
        all.push(&url);
        let out = match client {
            // From the machine itself: nginx sees the gateway of the network.
            "gateway" => {
                let output = std::process::Command::new("curl").args(&all[1..]).output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            }
            _ => self.bed.docker_said(&[&["exec", container.as_str()][..], &all].concat()).out,
        };
        let status = out[out.len() - 3..].to_owned();
        (status, out)
    }

    fn get(&self, client: &str) -> String {
        self.ask(client, &[], "/").0
    }

    fn post(&self, client: &str, path: &str) -> String {
        self.ask(client, &["-X", "POST"], path).0
    }

    /// Waits until a client gets this status; how long it took.
    fn wait(&self, client: &str, status: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let found = self.get(client);
            let took = begin.elapsed();
            if found == status {
                return took;
            }
            assert!(took < Duration::from_secs(10), "{client} gets {found}, not {status}\n{}\n{}", self.notes.all(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let said = self.bed.docker_said(&["logs", "--tail", "30", &self.name("nginx")]);
        said.out + &said.err
    }
}

/// Waits until the guard listens.
async fn listens(stage: &Stage) {
    for _ in 0..500 {
        if stage.layout.nginx_sign_ins().exists()
            && std::os::unix::net::UnixDatagram::unbound().unwrap().connect(stage.layout.nginx_sign_ins()).is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the guard does not listen: {}", stage.notes.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_to_sign_in_is_shut_out_and_nobody_else() {
    let stage = Stage::new();
    stage.wait("a", "200");
    let guard = stage.guard(Bans::default());
    listens(&stage).await;

    // Ten failures, and within a second the door is shut for this one alone.
    for _ in 0..10 {
        assert_eq!(stage.get("a"), "200");
        assert_eq!(stage.post("a", "/LOGIN/../login"), "401");
    }
    let took = stage.wait("a", "403");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (status, head) = stage.ask("a", &[], "/");
    let retry = head.lines().find_map(|line| line.strip_prefix("Retry-After: ")).and_then(|value| value.trim().parse::<u64>().ok());
    assert!(status == "403" && retry.is_some_and(|seconds| (200..=300).contains(&seconds)), "{head}");
    assert_eq!(stage.get("b"), "200");
    assert!(!stage.log().contains("reconfiguring"), "a reload is not needed");
    assert!(stage.notes.all().contains(&format!("{} is locked out until", stage.address(10))), "{}", stage.notes.all());

    // Everybody behind a gateway looks the same, so nobody there is locked out; and the list says so.
    for _ in 0..11 {
        assert_eq!(stage.post("gateway", "/login"), "401");
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(stage.get("gateway"), "200");
    let said = stage.bed.ok(&["bans", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["self_test"]["verdict"], json["bans"].as_array().unwrap().len()), (&"mixed".into(), 1), "{}", said.out);
    assert_eq!(json["bans"][0]["address"], stage.address(10));
    assert_eq!((&json["bans"][0]["instance"], &json["bans"][0]["failures"]), (&"notes-a.fr".into(), &10.into()));

    // Too fast, though every password is right: slowed down, not locked out.
    let statuses: Vec<String> = (0..14).map(|_| stage.post("b", "/login?right=1")).collect();
    assert_eq!((statuses[0].as_str(), statuses[13].as_str()), ("204", "429"), "{statuses:?}");
    let (_, head) = stage.ask("b", &["-X", "POST"], "/login?right=1");
    assert!(head.contains("Retry-After: 6"), "{head}");
    assert_eq!(stage.get("b"), "200");

    // nginx forgets nothing by itself, whichever way it ends.
    stage.bed.docker(&["kill", &stage.name("nginx")]);
    stage.bed.docker(&["start", &stage.name("nginx")]);
    stage.wait("b", "200");
    stage.wait("a", "403");

    // Without a guard bans hold; the next guard knows them and hears again.
    guard.end().await;
    assert_eq!(stage.get("a"), "403");
    let allow = format!("{}/32", stage.address(12)).parse().unwrap();
    let guard = stage.guard(Bans { allow: vec![allow], ..Bans::default() });
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(stage.get("a"), "403");
    assert_eq!(store::read(&stage.layout).unwrap().0.bans.len(), 1);
    for _ in 0..11 {
        assert_eq!(stage.post("c", "/login"), "401");
    }

    // The proxy's own password counts too. The first line after the guard's restart may be lost with the old socket.
    for _ in 0..12 {
        let status = stage.ask("d", &["-u", "me:wrong"], "/private/").0;
        assert!(status == "401" || status == "403", "{status}");
    }
    stage.wait("d", "403");
    assert_eq!(stage.get("c"), "200", "the allow list");

    // Lifted, and a second and a third time by hand: nothing is answered at all.
    stage.bed.ok(&["bans", "lift", &stage.address(10)]);
    let took = stage.wait("a", "200");
    assert!(took < Duration::from_secs(2), "{took:?}");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    stage.bed.ok(&["bans", "add", &stage.address(10), "--for", "1h"]);
    stage.wait("a", "403");
    stage.bed.ok(&["bans", "add", &stage.address(10)]);
    stage.wait("a", "000");
    let refused = stage.bed.run(&["bans", "add", &stage.address(1)]);
    assert!(refused.code == 2 && refused.err.contains("an address of this machine"), "{}", refused.err);
    let unknown = stage.bed.run(&["bans", "lift", "192.0.2.1"]);
    assert_eq!((unknown.code, unknown.err.lines().next()), (2, Some("error: 192.0.2.1 is not locked out, and nothing is held against it")));
    guard.end().await;
}
