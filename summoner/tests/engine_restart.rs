//! A Docker Engine of the test's own, in a network of its own, so that it can be restarted, killed and "rebooted"
//! without disturbing anybody: what it ran runs again, planning gives an empty plan, and `summoner proxy` serves on.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

/// How long an engine may take to come up.
const START: Duration = Duration::from_secs(60);

const LEDGER_MINION: &str = "version: 1\nsummary: A page and a database\nroutes: [{port: 80}]\nfolders: {html: {}}\n\
    databases: [{service: db, kind: postgresql, name: ledger, user: ledger, password: db_password}]\n\
    secrets: {db_password: {}}\nsmoke: {path: /, expect: [200, 403]}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";
const LEDGER_COMPOSE: &str = r#"
services:
  app:
    image: nginx:1.30.6
    volumes: ["${FILES}/html:/usr/share/nginx/html:ro"]
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
    stop_grace_period: 1s
  db:
    image: postgres:17.11
    environment: {POSTGRES_DB: ledger, POSTGRES_USER: ledger, POSTGRES_PASSWORD_FILE: /run/secrets/db_password}
    secrets: [db_password]
    volumes: ["${DATABASE_FILES}:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "ledger", "-d", "ledger"]
      interval: 1s
      timeout: 5s
      retries: 10
      start_period: 60s
    restart: unless-stopped
secrets:
  db_password: {file: "${SECRETS}/db_password"}
"#;
/// More than pipes hold, so that a dump of it does not end before Docker does.
const FILL: &str = "create table lines (line text); insert into lines select md5(n::text) from generate_series(1, 2000000) n";

/// `dockerd` in a network namespace.
struct OwnEngine {
    namespace: String,
    folder: PathBuf,
    child: Option<Child>,
}

impl OwnEngine {
    fn start(bed: &Bed) -> Self {
        let namespace = format!("summoner-test-{}", std::process::id());
        run("ip", &["netns", "add", &namespace]);
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        let mut engine = Self { namespace, folder: bed.path().join("engine"), child: None };
        std::fs::create_dir_all(&engine.folder).unwrap();
        engine.up();
        engine
    }

    /// For `nsenter`; `ip netns exec` would hide the cgroups behind a new `/sys`.
    fn network(&self) -> String {
        format!("--net=/run/netns/{}", self.namespace)
    }

    fn socket(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    fn up(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let at = |name: &str| self.folder.join(name).display().to_string();
        let child = Command::new("nsenter")
            .args([&self.network(), "dockerd", "--host", &self.socket()])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("dockerd starts");
        self.child = Some(child);
        let since = Instant::now();
        while !Command::new("docker").args(["-H", &self.socket(), "version"]).output().unwrap().status.success() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(since.elapsed() < START, "dockerd does not come up:\n{}", log.lines().rev().take(15).collect::<Vec<_>>().join("\n"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends it politely: it stops its containers first.
    fn down(&mut self) {
        self.end("TERM");
    }

    /// As a power cut does: the engine and everything that it runs are gone at once.
    fn power_cut(&mut self) {
        for id in self.processes() {
            run_quietly("kill", &["-KILL", &id]);
        }
        self.end("KILL");
        // What lies in memory does not outlive a power cut: `/run` and mounts.
        self.unmount();
        std::fs::remove_dir_all(self.folder.join("exec")).ok();
        std::fs::remove_file(self.folder.join("pid")).ok();
    }

    fn unmount(&self) {
        let line = format!("grep -o '{}[^ ]*' /proc/mounts | sort -r | xargs -r -n1 umount -l", self.folder.display());
        run_quietly("sh", &["-c", &line]);
    }

    /// Whether a dump runs in this container. Asked of the kernel: Docker itself would take longer than the dump.
    fn dumps(id: &str) -> bool {
        let read = |process: &Path, name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes.into_iter().any(|process| read(&process, "comm").trim() == "pg_dump" && read(&process, "cgroup").contains(id))
    }

    /// All processes of the engine: itself, containerd, shims, and what runs in containers.
    fn processes(&self) -> Vec<String> {
        let listed = Command::new("ip").args(["netns", "pids", &self.namespace]).output().unwrap();
        let mut ids: Vec<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
        let folder = self.folder.display().to_string();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&folder) {
                ids.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        let containers = Command::new("docker").args(["-H", &self.socket(), "ps", "-q"]).output().unwrap();
        for id in String::from_utf8_lossy(&containers.stdout).lines() {
            let pid = Command::new("docker").args(["-H", &self.socket(), "inspect", "-f", "{{.State.Pid}}", id]).output().unwrap();
            ids.push(String::from_utf8_lossy(&pid.stdout).trim().to_owned());
        }
        let own = std::process::id().to_string();
        ids.retain(|id| !id.is_empty() && *id != own && *id != "0");
        ids
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut child) = self.child.take() {
            run_quietly("kill", &[&format!("-{signal}"), &child.id().to_string()]);
            child.wait().unwrap();
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.down();
        for id in self.processes() {
            run_quietly("kill", &["-KILL", &id]);
        }
        self.unmount();
        run_quietly("ip", &["netns", "del", &self.namespace]);
    }
}

/// `summoner proxy` on that engine, and a container that asks for a host by a variable alone.
struct Front<'a> {
    bed: &'a Bed,
    child: Option<Child>,
}

impl<'a> Front<'a> {
    /// In a network of its own every port is free.
    const PORT: &'static str = "8081";

    fn new(bed: &'a Bed) -> Self {
        bed.docker(&["run", "-d", "--name", "web", "--restart", "unless-stopped", "-e", "VIRTUAL_HOST=web.test", "nginx:1.30.6"]);
        Self { bed, child: None }
    }

    fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let data = self.bed.path().join("proxy").display().to_string();
        let mut command = self.bed.command(&["proxy", "--data", &data, "--http-port", Self::PORT, "--https-port", "8444"]);
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn log(&self) -> PathBuf {
        self.bed.path().join("proxy.log")
    }

    fn until_served(&self, after: &str) {
        let (url, since) = (format!("http://127.0.0.1:{}/", Self::PORT), Instant::now());
        let mut words: Vec<&str> = self.bed.before.iter().map(String::as_str).collect();
        words.extend(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "-H", "Host: web.test", &url]);
        loop {
            let said = Command::new(words[0]).args(&words[1..]).output().unwrap();
            if said.stdout == b"200" {
                return;
            }
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(since.elapsed() < START, "{after}: {}\n{log}", String::from_utf8_lossy(&said.stdout));
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            run_quietly("kill", &[&child.id().to_string()]);
            child.wait().unwrap();
        }
    }
}

impl Drop for Front<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// For what may be gone already.
fn run_quietly(program: &str, arguments: &[&str]) {
    let _ = Command::new(program).args(arguments).output();
}

fn wait_until_it_answers(bed: &Bed, after: &str) {
    let since = Instant::now();
    loop {
        let (status, page) = bed.get("pair", "/");
        if status == 403 {
            return;
        }
        assert!(since.elapsed() < START, "{after}: {status} {page}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn after_a_restart_of_docker_and_a_power_cut_everything_runs_and_nothing_is_to_do() {
    let mut bed = Bed::new("reboot");
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  pair:\n");
    let mut engine = OwnEngine::start(&bed);
    bed.environment = vec![("DOCKER_HOST".into(), engine.socket())];
    bed.before = vec!["nsenter".into(), engine.network()];
    run("sh", &["-c", &format!("docker save nginx:1.30.6 | docker -H {} load -q", engine.socket())]);
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("the install");
    let (secrets, containers) = (bed.secrets(), bed.containers());
    let mut front = Front::new(&bed);
    front.start();
    front.until_served("the start of the proxy");

    engine.down();
    bed.run(&["plan"]).assert_says(&["there is no Docker Engine here, or it does not run"]);
    engine.up();
    wait_until_it_answers(&bed, "a restart of Docker");
    bed.assert_nothing_to_do("a restart of Docker");
    front.until_served("a restart of Docker");

    // It takes the watcher too, which lives in the same network.
    engine.power_cut();
    engine.up();
    wait_until_it_answers(&bed, "a power cut");
    bed.assert_nothing_to_do("a power cut");
    front.end();
    front.start();
    front.until_served("a power cut");
    front.end();

    // A crash of the installer and a power cut in one night.
    bed.minion("pair", PAIR_MINION, &PAIR_COMPOSE.replace("MARK: \"one\"", "MARK: \"two\""));
    bed.command(&["install"]).env("SUMMONER_CRASH_AT", "4").output().unwrap();
    engine.power_cut();
    engine.up();
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("a crash and a power cut");
    assert_eq!((bed.secrets(), bed.containers()), (secrets, containers));
    a_dump_fails_with_docker_and_the_next_is_whole(&bed, &mut engine);
    drop(front);
    drop(engine);
    bed.environment.clear();
}

/// Docker is killed in the middle of a dump: no snapshot comes of it, it is said, and the next one is whole.
fn a_dump_fails_with_docker_and_the_next_is_whole(bed: &Bed, engine: &mut OwnEngine) {
    run("sh", &["-c", &format!("docker save postgres:17.11 | docker -H {} load -q", engine.socket())]);
    bed.minion("ledger", LEDGER_MINION, LEDGER_COMPOSE).config("  ledger:\n");
    bed.ok(&["install"]);
    let database = format!("postgresql-{}", bed.id("ledger"));
    run("docker", &["-H", &engine.socket(), "exec", &database, "psql", "-q", "-U", "ledger", "-c", FILL]);
    bed.ok(&["dump", "ledger"]);
    let id = bed.docker(&["inspect", "-f", "{{.Id}}", &database]).trim().to_owned();
    let snapshots = || bed.ok(&["snapshots", "--json"]).out.matches("\"id\"").count();
    assert_eq!(snapshots(), 1);

    let dump = bed.command(&["dump", "ledger"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while !OwnEngine::dumps(&id) {
        assert!(since.elapsed() < START, "no dump began");
        std::thread::sleep(Duration::from_millis(5));
    }
    engine.power_cut();
    let said = Said::of(dump.wait_with_output().unwrap());
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    said.assert_says(&["ledger"]);
    engine.up();
    bed.ok(&["install"]);
    assert_eq!(snapshots(), 1, "what broke off is no snapshot");
    bed.ok(&["dump", "ledger"]);
    assert_eq!(snapshots(), 2);
    bed.ok(&["verify", "--read-data"]);
    assert!(!OwnEngine::dumps(&id), "nothing of the first one still runs");
}
