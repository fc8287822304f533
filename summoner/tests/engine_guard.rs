//! Bans and doors of a whole installation, as `summoner install` and `summoner daemon` make them: the configuration that is
//! really rendered, and a guard that the daemon keeps. `engine_bans.rs` has the policy itself.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod support;

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

/// nginx refuses a POST to what it has as a file, and knows nothing else: both stand for a wrong password.
const SIGN_IN: &str = "sign_in: [{path: /login, failed: [404, 405]}]\n";
/// An address of the proxy that is on no private network, so that its clients are strangers (RFC 2544).
const PROXY: u8 = 2;

struct Stage {
    bed: Bed,
    prefix: String,
    daemon: Option<Child>,
}

impl Stage {
    fn new() -> Self {
        let bed = Bed::new("guarded");
        bed.minion("pair", &format!("{PAIR_MINION}{SIGN_IN}"), PAIR_COMPOSE);
        bed.config("  pair:\n  closed: {minion: pair, subdomain: closed, access: {auth: team}}\n");
        let prefix = format!("198.19.{}", std::process::id() % 250);
        Self { bed, prefix, daemon: None }
    }

    fn network(&self) -> String {
        format!("strangers-{}", self.bed.domain.replace('.', "-"))
    }

    fn proxy(&self) -> String {
        self.bed.id("nginx")
    }

    /// Clients with addresses of their own, on a network that leads to the proxy.
    fn strangers(&self) {
        let (network, label) = (self.network(), format!("summoner.root={}", self.bed.root().display()));
        self.bed.docker(&["network", "create", "--label", &label, "--subnet", &format!("{}.0/24", self.prefix), &network]);
        self.bed.docker(&["network", "connect", "--ip", &self.address(PROXY), &network, &self.proxy()]);
        for (name, last) in [("a", 10), ("b", 11)] {
            let (container, address) = (format!("{network}-{name}"), self.address(last));
            let run = ["run", "-d", "--name", &container, "--label", &label, "--network", &network, "--ip", &address];
            self.bed.docker(&[&run[..], &["nginx:1.30.6", "sleep", "infinity"]].concat());
        }
    }

    fn address(&self, last: u8) -> String {
        format!("{}.{last}", self.prefix)
    }

    /// Status, headers and body that a stranger gets.
    fn ask(&self, client: &str, words: &[&str], path: &str) -> (String, String) {
        let container = format!("{}-{client}", self.network());
        let host = format!("pair.{}", self.bed.domain);
        let (resolve, url) = (format!("{host}:443:{}", self.address(PROXY)), format!("https://{host}{path}"));
        let fixed = ["exec", &container, "curl", "-sSki", "--max-time", "5", "-w", "\n%{http_code}", "--resolve", &resolve];
        let said = self.bed.docker_said(&[&fixed[..], words, &[&url]].concat());
        let (text, status) = said.out.rsplit_once('\n').unwrap_or((&said.err, "000"));
        (status.to_owned(), text.to_owned())
    }

    fn locked_out(&self, client: &str) -> bool {
        let (status, text) = self.ask(client, &[], "/");
        status == "403" && text.to_lowercase().contains("\nretry-after: ") && text.contains("Locked out")
    }

    fn wait(&self, what: &str, mut there: impl FnMut() -> bool) -> Duration {
        let begin = Instant::now();
        while !there() {
            assert!(
                begin.elapsed() < Duration::from_secs(15),
                "{what}\n{}",
                self.bed.docker_said(&["logs", "--tail", "20", &self.proxy()]).err
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        begin.elapsed()
    }

    fn generation(&self) -> PathBuf {
        std::fs::read_link(self.bed.root().join("summoner/nginx/current")).unwrap()
    }

    fn start_daemon(&mut self) {
        self.daemon = Some(self.bed.command(&["daemon"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let socket = self.bed.root().join("summoner/nginx/sign-ins.sock");
        self.wait("the daemon's guard listens", || socket.exists());
    }

    fn end_daemon(&mut self) -> Said {
        let child = self.daemon.take().unwrap();
        let ended = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(ended.success());
        Said::of(child.wait_with_output().unwrap())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

#[test]
fn an_installation_locks_out_by_itself_and_keeps_its_doors() {
    let mut stage = Stage::new();
    door(&stage.bed);

    // Nobody listens yet: nginx serves, and counts nothing.
    stage.strangers();
    assert_eq!(stage.ask("a", &["-X", "POST"], "/login").0, "404");
    assert!(!stage.locked_out("a") && !stage.bed.root().join("summoner/nginx/sign-ins.sock").exists());

    stage.start_daemon();
    let before = stage.generation();
    for attempt in 1..=10 {
        assert_eq!(stage.ask("a", &["-X", "POST"], "/login").0, "404", "{attempt}");
    }
    let took = stage.wait("the tenth failure locks out", || stage.locked_out("a"));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(stage.generation(), before, "without a reload");
    assert!(!stage.locked_out("b"));
    let said = stage.bed.ok(&["bans", "--json"]);
    assert!(said.out.contains(&stage.address(10)) && said.out.contains("\"real\""), "{}", said.out);

    // nginx comes back with what it knew, and the first address is let in when a person says so.
    stage.bed.docker(&["restart", "-t", "1", &stage.proxy()]);
    stage.wait("nginx is back", || stage.ask("b", &[], "/").0 != "000");
    stage.wait("and knows who is locked out", || stage.locked_out("a"));
    stage.bed.ok(&["bans", "lift", &stage.address(10)]);
    stage.wait("who is lifted comes in", || !stage.locked_out("a"));

    let said = stage.end_daemon();
    said.assert_says(&["is locked out until"]);
    assert_eq!(said.code, 0, "{}", said.err);
}

/// An app behind a password of the proxy's: closed without its file, closed without a password, open with it; and the
/// challenge of an authority is answered all the same.
fn door(bed: &Bed) {
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    said.assert_says(&["the file of names and passwords is not in the proxy's folder htpasswd"]);
    assert_eq!(bed.get("pair", "/").0, 403, "an empty folder");

    let folder = bed.root().join("summoner/proxy");
    std::fs::write(folder.join("htpasswd/team"), "me:{PLAIN}secret\n").unwrap();
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("the second install");
    let (status, page) = bed.get("closed", "/");
    assert!(status == 401 && page.contains("401"), "{status} {page}");
    let ask = |scheme: &str, port: u16, words: &[&str], path: &str| {
        let host = format!("closed.{}", bed.domain);
        let (resolve, url) = (format!("{host}:{port}:127.0.0.1"), format!("{scheme}://{host}:{port}{path}"));
        let fixed = ["-sSk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "--resolve", &resolve];
        Said::of(std::process::Command::new("curl").args(fixed).args(words).arg(&url).output().unwrap()).out
    };
    assert_eq!(ask("https", bed.https_port, &["-u", "me:wrong"], "/"), "401");
    assert_eq!(ask("https", bed.https_port, &["-u", "me:secret"], "/none"), "404", "the application itself answers");
    let challenge = folder.join("html/.well-known/acme-challenge");
    std::fs::create_dir_all(&challenge).unwrap();
    std::fs::write(challenge.join("token"), "proof").unwrap();
    assert_eq!(ask("http", bed.http_port, &[], "/.well-known/acme-challenge/token"), "200");
}
