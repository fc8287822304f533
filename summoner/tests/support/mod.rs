//! A test bed on the real engine: a throw-away installation with names, ports and networks of its own, and the program
//! itself as a person runs it. Everything that it made is removed by label when it is dropped, and by `scripts/test`
//! after a kill.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Each bed of a process has its own ports.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Where processes that run at once agree on who has which number; not where tests put their files, which differs.
const SLOTS: &str = "/tmp/summoner-test-slots";
/// So many at once, with so many ports each; all of them below those that the kernel gives to anybody.
const SLOT_COUNT: u16 = 100;
const SLOT_PORTS: u16 = 100;

/// The number of this process among those that test now: it is its own until it ends, however it ends.
fn slot() -> u16 {
    static SLOT: OnceLock<(u16, File)> = OnceLock::new();
    let take = || {
        std::fs::create_dir_all(SLOTS).expect("a folder for the numbers");
        let free = (0..SLOT_COUNT).find_map(|number| {
            let file = File::create(Path::new(SLOTS).join(number.to_string())).expect("a file for a number");
            file.try_lock().is_ok().then_some((number, file))
        });
        free.expect("a hundred processes are testing")
    };
    SLOT.get_or_init(take).0
}

/// A throw-away installation.
pub struct Bed {
    folder: tempfile::TempDir,
    /// The domain of everything in it.
    pub domain: String,
    /// Port for https.
    pub https_port: u16,
    /// Port for http.
    pub http_port: u16,
    /// Its networks' range: tests that run side by side must not choose the same.
    range: String,
    /// Variables for every command.
    pub environment: Vec<(String, String)>,
    /// What stands before every command: `ip netns exec …`.
    pub before: Vec<String>,
}

impl Bed {
    /// A bed named after its test; the names of its containers begin with the applications and end with it.
    pub fn new(name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        assert!(number * 2 < SLOT_PORTS, "more beds than ports");
        let base = 20_000 + slot() * SLOT_PORTS + number * 2;
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().expect("a folder for the test");
        let domain = format!("{name}{}.localhost", std::process::id());
        let range = format!("10.{}.{}.0/20", 20 + slot(), number % 16 * 16);
        Self { folder, domain, range, https_port: base, http_port: base + 1, environment: Vec::new(), before: Vec::new() }
    }

    /// The folder of the bed: its config.yml, its data and its home.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The storage root: the label of everything that it makes.
    pub fn root(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes config.yml with these lines below `apps:`.
    pub fn config(&self, apps: &str) -> &Self {
        let Self { domain, https_port, http_port, .. } = self;
        let edge = domain.replace('.', "-");
        let range = &self.range;
        let text = format!(
            "version: 1\ndomain: {domain}\nemail: someone@{domain}\nnetworks: {{edge: {edge}, range: {range}}}\n\
             proxy: {{address: 127.0.0.1, http_port: {http_port}, https_port: {https_port}}}\napps:\n{apps}"
        );
        std::fs::write(self.path().join("config.yml"), text).expect("config.yml");
        self
    }

    /// Adds a minion of the test's own.
    pub fn minion(&self, name: &str, minion: &str, compose: &str) -> &Self {
        let folder = self.path().join("minions").join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the minion");
        std::fs::write(folder.join("minion.yml"), minion).expect("minion.yml");
        std::fs::write(folder.join("docker-compose.yml"), compose).expect("docker-compose.yml");
        self
    }

    /// The program, ready to run in this bed.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_summoner");
        let mut words: Vec<&str> = self.before.iter().map(String::as_str).collect();
        words.push(program);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg("--config")
            .arg(self.path().join("config.yml"))
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.path())
            .stdin(Stdio::null());
        for name in ["SUMMONER_CONFIG_FILE", "SUMMONER_CRASH_AT", "MINIONS_DIR"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs the program and gives what it said.
    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().expect("the program runs"))
    }

    /// Runs the program; it must succeed.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "summoner {arguments:?} ended with {}\n{}{}", said.code, said.out, said.err);
        said
    }

    /// The law: planning right after applying gives an empty plan.
    pub fn assert_nothing_to_do(&self, after: &str) {
        let said = self.run(&["plan", "--check"]);
        assert_eq!((said.code, said.out.as_str()), (0, "nothing to do\n"), "after {after}:\n{}", said.err);
    }

    /// The plan as JSON.
    pub fn plan(&self) -> serde_json::Value {
        let said = self.run(&["plan", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err))
    }

    /// "action object" of each step.
    pub fn steps(&self) -> Vec<String> {
        let plan = self.plan();
        let steps = plan["steps"].as_array().expect("steps").iter();
        steps.map(|step| format!("{} {}", step["action"].as_str().unwrap_or("?"), step["object"].as_str().unwrap_or("?"))).collect()
    }

    /// `<app>-<domain>`.
    pub fn id(&self, app: &str) -> String {
        format!("{app}-{}", self.domain)
    }

    /// Names of all containers of this bed, sorted.
    pub fn containers(&self) -> Vec<String> {
        let out = self.docker(&["ps", "-a", "--filter", &self.filter(), "--format", "{{.Names}}"]);
        let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// All secrets by path, to prove that none changed.
    pub fn secrets(&self) -> std::collections::BTreeMap<PathBuf, String> {
        let root = self.root().join("summoner/secrets");
        let mut found = std::collections::BTreeMap::new();
        for instance in std::fs::read_dir(root).into_iter().flatten().flatten() {
            for secret in std::fs::read_dir(instance.path()).into_iter().flatten().flatten() {
                found.insert(secret.path(), std::fs::read_to_string(secret.path()).expect("a secret"));
            }
        }
        found
    }

    /// Docker's own client on this bed's engine; it must succeed.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let said = self.docker_said(arguments);
        assert_eq!(said.code, 0, "docker {arguments:?}: {}", said.err);
        said.out
    }

    /// Docker's own client on this bed's engine.
    pub fn docker_said(&self, arguments: &[&str]) -> Said {
        let output = Command::new("docker").args(arguments).envs(self.environment.iter().cloned()).output();
        Said::of(output.expect("docker runs"))
    }

    /// Asks a host of this bed through its proxy, trusting its own authority alone.
    pub fn get(&self, host: &str, path: &str) -> (u16, String) {
        let (host, port) = (format!("{host}.{}", self.domain), self.https_port);
        let mut words: Vec<String> = self.before.clone();
        let authority = self.root().join("summoner/certs/ca.crt");
        let resolve = format!("{host}:{port}:127.0.0.1");
        let url = format!("https://{host}:{port}{path}");
        words.extend(["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}", "--cacert"].map(str::to_owned));
        words.extend([authority.display().to_string(), "--resolve".into(), resolve, url]);
        let said = Said::of(Command::new(&words[0]).args(&words[1..]).output().expect("curl runs"));
        let (body, code) = said.out.rsplit_once('\n').unwrap_or((&said.err, "0"));
        (code.parse().unwrap_or(0), body.to_owned())
    }

    fn filter(&self) -> String {
        format!("label=summoner.root={}", self.root().display())
    }

    fn sweep(&self) {
        for (list, remove) in [(["ps", "-aq"], ["rm", "-f"]), (["network", "ls"], ["network", "rm"])] {
            let mut words = list.to_vec();
            let filter = self.filter();
            words.extend(["--filter", &filter]);
            if list[0] == "network" {
                words.push("-q");
            }
            let found = self.docker_said(&words).out;
            let ids: Vec<&str> = found.split_whitespace().collect();
            if !ids.is_empty() {
                self.docker_said(&[&remove[..], &ids].concat());
            }
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.sweep();
    }
}

/// What a program said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard error must hold all of these.
    pub fn assert_says(&self, words: &[&str]) {
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in:\n{}{}", self.err, self.out);
        }
    }
}

/// A minion of two small containers, for tests that need many installs.
pub const PAIR_MINION: &str = "version: 1\nsummary: Two small containers\nroutes: [{port: 80}]\nfolders: {html: {}}\n\
    secrets: {token: {}}\nsmoke: {path: /, expect: [200, 403]}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";

/// Its Compose file; `MARK` is for tests that change it.
pub const PAIR_COMPOSE: &str = "services:\n  app:\n    image: nginx:1.30.6\n    environment: {TOKEN: \"${SECRET_TOKEN}\", MARK: \"one\"}\n    \
    volumes: [\"${FILES}/html:/usr/share/nginx/html:ro\"]\n    depends_on: {cache: {condition: service_healthy}}\n    \
    healthcheck: {test: [\"CMD\", \"curl\", \"-sS\", \"-o\", \"/dev/null\", \"http://127.0.0.1/\"], interval: 1s, timeout: 3s, retries: 5, start_period: 5s}\n    \
    restart: unless-stopped\n    stop_grace_period: 1s\n  cache:\n    image: nginx:1.30.6\n    \
    healthcheck: {test: [\"CMD\", \"curl\", \"-sS\", \"-o\", \"/dev/null\", \"http://127.0.0.1/\"], interval: 1s, timeout: 3s, retries: 5, start_period: 5s}\n    \
    restart: unless-stopped\n    stop_grace_period: 1s\n";
