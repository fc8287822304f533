//! What runs in the containers of a test: nginx, and applications that answer what their minion expects.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use summoner::docker::fake::Program;
use summoner::docker::{ExecOutput, ExecPiece, ExecSpec};
use summoner::layout::Layout;
use summoner::minion::{Action, Administrator, Request};
use summoner::plan::route::{INSIDE, MARKER_PORT};
use summoner::plan::wanted::InstanceWanted;

/// Serves the generation that the link named at its start, or at the last reload; without one it ends, as nginx does.
pub struct Nginx {
    layout: Layout,
    live: Mutex<Option<String>>,
    refused: Mutex<Option<String>>,
}

impl Nginx {
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone(), live: Mutex::new(None), refused: Mutex::new(None) }
    }

    /// Whether the configuration that runs serves a host.
    pub fn serves(&self, host: &str) -> bool {
        let live = self.live.lock().unwrap().clone();
        live.is_some_and(|folder| self.layout.nginx_generation(&folder).join("hosts").join(format!("{host}.conf")).exists())
    }

    /// From now on `nginx -t` refuses configurations with this host; None refuses no more.
    pub fn refuse(&self, host: Option<&str>) {
        *self.refused.lock().unwrap() = host.map(str::to_owned);
    }

    fn load(&self) -> bool {
        let target = fs::read_link(self.layout.nginx_current()).ok();
        let folder = target.and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
        let there = folder.filter(|folder| self.layout.nginx_generation(folder).join("nginx.conf").exists());
        let loaded = there.is_some();
        if loaded {
            *self.live.lock().unwrap() = there;
        }
        loaded
    }
}

impl Program for Nginx {
    fn start(&self) -> Option<i64> {
        (!self.load()).then_some(1)
    }
    fn exec(&self, spec: &ExecSpec) -> ExecOutput {
        if spec.command.iter().any(|word| word == "reload") {
            return ExecOutput { exit_code: i64::from(!self.load()), ..ExecOutput::default() };
        }
        if spec.command.iter().any(|word| word == "-V") {
            return ExecOutput { stderr: b"nginx version: nginx/1.30.6\n".to_vec(), ..ExecOutput::default() };
        }
        if spec.stdin.is_some() {
            // A probe: this one's library is as old as its tag promises nothing of.
            return ExecOutput { exit_code: 1, ..ExecOutput::default() };
        }
        let file = spec.command.last().and_then(|file| file.strip_prefix(INSIDE)).unwrap_or_default();
        let path = self.layout.nginx().join(file.trim_start_matches('/'));
        let refused = self.refused.lock().unwrap().clone().map(|host| format!("hosts/{host}.conf"));
        if let Some(host) = refused.filter(|host| path.with_file_name(host).exists()) {
            let folder = file.trim_end_matches("nginx.conf");
            let words = format!("nginx: [emerg] invalid value \"none\" in {INSIDE}{folder}{host}:7\n");
            return ExecOutput { exit_code: 1, stderr: words.into_bytes(), ..ExecOutput::default() };
        }
        let there = path.exists();
        ExecOutput { exit_code: i64::from(!there), ..ExecOutput::default() }
    }
    /// The shell that stays open: a line is a question.
    fn hears(&self, _: &ExecSpec, stdin: &[u8]) -> (Vec<ExecPiece>, Option<i64>) {
        let text = String::from_utf8_lossy(stdin);
        let Some(line) = text.strip_suffix('\n').and_then(|text| text.lines().last()) else { return (Vec::new(), None) };
        let words = match line.strip_prefix("t ") {
            Some(file) => vec!["nginx", "-t", "-c", file],
            None => vec!["nginx", "-s", "reload"],
        };
        let said = self.exec(&ExecSpec { command: words.into_iter().map(str::to_owned).collect(), ..ExecSpec::default() });
        let mut bytes = said.stderr;
        bytes.extend(format!("\n={}\n", said.exit_code).bytes());
        (vec![ExecPiece::Out(bytes)], None)
    }
    fn ports(&self) -> Vec<u16> {
        vec![MARKER_PORT]
    }
    fn answer(&self, _: &str, _: &str) -> (u16, String) {
        let live = self.live.lock().unwrap().clone().unwrap_or_default();
        (200, live.trim_start_matches("gen-").to_owned())
    }
}

/// Answers the requests of a minion as the minion expects; `exists` fails until an administrator was made.
struct Application {
    exists: Option<Request>,
    create: Vec<Request>,
    made: AtomicBool,
}

impl Program for Application {
    fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.exists.iter().chain(&self.create).map(|request| request.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
    fn answer(&self, method: &str, path: &str) -> (u16, String) {
        let asked = |request: &&Request| request.method == method && request.path == path;
        if let Some(exists) = self.exists.as_ref().filter(asked) {
            return if self.made.load(Ordering::SeqCst) { expected(exists) } else { (404, String::new()) };
        }
        match self.create.iter().find(asked) {
            Some(request) => {
                self.made.store(true, Ordering::SeqCst);
                expected(request)
            }
            None => (404, format!("{method} {path} is unknown here")),
        }
    }
}

fn expected(request: &Request) -> (u16, String) {
    (request.expect.first().copied().unwrap_or(200), request.contains.clone().unwrap_or_default())
}

/// The program of each container of an instance that answers requests.
pub fn applications(instance: &InstanceWanted) -> Vec<(String, Arc<dyn Program>)> {
    let requests = |service: &str| {
        let creates = instance.administrator.iter().flat_map(|administrator: &Administrator| &administrator.create);
        let all = creates.chain(&instance.configure).filter_map(|action| match action {
            Action::Request(request) => Some(request.clone()),
            Action::Exec(_) => None,
        });
        all.filter(|request| request.service == service).collect::<Vec<_>>()
    };
    let exists = instance.administrator.as_ref().and_then(|administrator| administrator.exists.clone());
    let programs = instance.containers.iter().map(|container| Application {
        exists: exists.clone().filter(|request| request.service == container.service),
        create: requests(&container.service),
        made: AtomicBool::new(false),
    });
    let named = programs.zip(&instance.containers).filter(|(program, _)| !program.ports().is_empty());
    named.map(|(program, container)| (container.name.clone(), Arc::new(program) as Arc<dyn Program>)).collect()
}
