//! `summoner proxy` on the real engine: a container that starts is served, and what is broken comes back by itself.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod support;

use std::fs::File;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use support::{Bed, Said};

/// How long anything may take on a loaded machine.
const SOON: Duration = Duration::from_secs(20);

/// The proxy of a test, and the containers that ask.
struct Front {
    bed: Bed,
    name: String,
    child: Option<Child>,
}

impl Front {
    fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        let name = format!("summoner-proxy-{}", bed.domain.replace('.', "-"));
        Self { bed, name, child: None }
    }

    fn command(&self) -> Command {
        let (http, https) = (self.bed.http_port.to_string(), self.bed.https_port.to_string());
        let data = self.bed.root().display().to_string();
        let mut command = self.bed.command(&["proxy", "--name", &self.name, "--data", &data, "--http-port", &http, "--https-port", &https]);
        // Tests run side by side on one engine.
        command.env("DOCKER_CONTAINER_FILTERS", format!("label=summoner.root={data}"));
        command
    }

    /// Starts the watcher, which dies at its k-th effect when one is named.
    fn start(&mut self, crash_at: Option<usize>) {
        let log = |name: &str| File::create(self.bed.path().join(name)).unwrap();
        let mut command = self.command();
        if let Some(at) = crash_at {
            command.env("SUMMONER_CRASH_AT", at.to_string());
        }
        self.child = Some(command.stdout(log("out")).stderr(log("err")).spawn().unwrap());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            Said::of(Command::new("kill").arg(child.id().to_string()).output().unwrap());
            child.wait().unwrap();
        }
    }

    fn story(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.bed.path().join(name)).unwrap_or_default();
        format!("{}{}", read("out"), read("err"))
    }

    /// A container of nginx that asks for a host.
    fn web(&self, name: &str, host: &str) {
        let owner = format!("summoner.root={}", self.bed.root().display());
        let asks = format!("VIRTUAL_HOST={host}");
        self.bed.docker(&["run", "-d", "--name", &self.container(name), "--label", &owner, "-e", &asks, "nginx:1.30.6"]);
    }

    fn container(&self, name: &str) -> String {
        format!("{name}-{}", self.bed.domain.replace('.', "-"))
    }

    fn status(&self, host: &str) -> String {
        let url = format!("http://127.0.0.1:{}/", self.bed.http_port);
        let host = format!("Host: {host}");
        let words = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "-H", &host, &url];
        Said::of(Command::new("curl").args(words).output().unwrap()).out
    }

    fn until_told(&self, words: &str) {
        let end = Instant::now() + SOON;
        while !self.story().contains(words) {
            assert!(Instant::now() < end, "no word of {words:?}:\n{}", self.story());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a host answers so.
    fn until(&self, host: &str, status: &str, after: &str) {
        let end = Instant::now() + SOON;
        loop {
            let got = self.status(host);
            if got == status {
                return;
            }
            assert!(Instant::now() < end, "{host} answers {got}, not {status}, after {after}:\n{}", self.story());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A small disk of its own, in memory.
struct Disk(std::path::PathBuf);

impl Disk {
    fn new(path: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let said = Said::of(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&path).output().unwrap());
        assert_eq!(said.code, 0, "{}", said.err);
        Self(path)
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Said::of(Command::new("umount").arg("-l").arg(&self.0).output().unwrap());
    }
}

#[test]
fn routes_open_by_themselves_and_come_back_by_themselves() {
    let mut front = Front::new("watch");
    front.web("one", "one.test");
    front.start(None);
    front.until("one.test", "200", "the start of the proxy");
    front.until_told("Watching docker events\n");
    front.web("two", "two.test");
    front.until("two.test", "200", "the start of a container");
    front.bed.docker(&["rm", "-f", &front.container("two")]);
    front.until("two.test", "404", "its end");

    // As the kernel does when memory runs out: a worker, then all of it.
    let master = front.bed.docker(&["inspect", "-f", "{{.State.Pid}}", &front.name]);
    Said::of(Command::new("pkill").args(["-KILL", "-P", master.trim()]).output().unwrap());
    front.until("one.test", "200", "nginx's workers were killed");
    Said::of(Command::new("kill").args(["-KILL", master.trim()]).output().unwrap());
    front.until("one.test", "200", "nginx ran out of memory");
    front.bed.docker(&["kill", &front.name]);
    front.until("one.test", "200", "nginx was killed");
    front.bed.docker(&["rm", "-f", &front.name]);
    front.until("one.test", "200", "its container was removed");
    std::fs::remove_dir_all(front.bed.root().join("summoner/nginx")).unwrap();
    front.web("three", "three.test");
    front.until("three.test", "200", "the configuration was removed");

    let vhosts = front.bed.root().join("summoner/proxy/vhost.d");
    std::fs::write(vhosts.join("three.test"), "no_such_directive on;\n").unwrap();
    front.until("three.test", "404", "a bad file of its owner");
    assert_eq!(front.status("one.test"), "200", "the others do not suffer");
    front.until_told("no_such_directive");
    std::fs::remove_file(vhosts.join("three.test")).unwrap();
    front.until("three.test", "200", "it was mended");

    let said = Said::of(front.command().arg("--down").output().unwrap());
    assert_eq!(said.code, 11, "who is at work would make it again: {}", said.err);
    front.stop();
    assert_eq!(front.status("one.test"), "200", "nginx goes on without us");
    let said = Said::of(front.command().arg("--down").output().unwrap());
    assert_eq!((said.code, front.status("one.test").as_str()), (0, "000"), "{}", said.err);
}

#[test]
fn killed_at_any_step_the_next_one_serves() {
    let mut front = Front::new("watchkill");
    front.web("one", "one.test");
    for at in 1..12 {
        front.start(Some(at));
        let mut child = front.child.take().unwrap();
        let end = Instant::now() + SOON;
        let killed = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break !status.success();
            }
            if front.status("one.test") == "200" || Instant::now() > end {
                break false;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        if !killed {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        front.start(None);
        front.until("one.test", "200", &format!("death at step {at}"));
        front.stop();
        if !killed {
            assert!(at > 3, "only {at} steps");
            break;
        }
        // From nothing again.
        front.bed.docker(&["rm", "-f", &front.name]);
        std::fs::remove_dir_all(front.bed.root().join("summoner/nginx")).unwrap();
    }
    Said::of(front.command().arg("--down").output().unwrap());
}

#[test]
fn a_full_disk_keeps_what_is_served_and_nothing_more_until_there_is_room() {
    let mut front = Front::new("watchfull");
    let disk = Disk::new(front.bed.root());
    front.web("one", "one.test");
    front.start(None);
    front.until("one.test", "200", "the start of the proxy");
    disk.fill();
    front.web("two", "two.test");
    front.until_told("No space left on device");
    assert_eq!((front.status("one.test").as_str(), front.status("two.test").as_str()), ("200", "404"), "{}", front.story());
    front.bed.docker(&["restart", "-t", "1", &front.name]);
    front.until("one.test", "200", "nginx was started again from a full disk");
    disk.free();
    front.until("two.test", "200", "there is room again");
    front.stop();
    Said::of(front.command().arg("--down").output().unwrap());
}
