//! A host of its own for each test: storage in a temporary folder, an engine in memory, a front with TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use summoner::apply::{self, Outcome};
use summoner::config::{self, Config, Surroundings};
use summoner::docker::fake::Fake;
use summoner::docker::{Container, Running};
use summoner::error::{Error, Result};
use summoner::event::{Event, Listener};
use summoner::fault::Source;
use summoner::minion::Catalogue;
use summoner::observe::{Situation, observe};
use summoner::plan::Plan;
use summoner::plan::deploy::Scope;
use summoner::plan::wanted::{LABEL_INSTANCE, LABEL_SERVICE};
use tempfile::TempDir;

use super::front::{self, Front, Page};
use super::minions;
use super::programs::{self, Nginx};

/// Everything of a test.
pub struct World {
    pub fake: Arc<Fake>,
    pub config: Config,
    pub front: Arc<Front>,
    pub told: Told,
    now: DateTime<Utc>,
    address: std::net::Ipv4Addr,
    folder: Folder,
}

/// A folder in memory where there is one: a thousand flushes to disk cost minutes on a busy machine. config.yml refuses
/// storage below /dev, so it is reached through a link.
struct Folder {
    path: PathBuf,
    _link: TempDir,
    _memory: Option<TempDir>,
}

impl Folder {
    fn new() -> Self {
        let link = tempfile::tempdir().unwrap();
        let memory = tempfile::tempdir_in("/dev/shm").ok();
        let path = link.path().join("host");
        match &memory {
            Some(memory) => std::os::unix::fs::symlink(memory.path(), &path).unwrap(),
            None => fs::create_dir(&path).unwrap(),
        }
        Self { path, _link: link, _memory: memory }
    }
}

/// Keeps what was told.
#[derive(Default)]
pub struct Told(Mutex<Vec<Event>>);

impl Listener for Told {
    fn hear(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    /// The instances that were told ready so far.
    pub fn ready(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        told.iter().filter_map(|event| if let Event::Ready { instance, .. } = event { Some(instance.clone()) } else { None }).collect()
    }
}

impl World {
    /// A host with these entries under `apps:`.
    pub async fn new(apps: &str) -> Self {
        // The second test of a process finds it there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let folder = Folder::new();
        let (address, listener) = front::bind();
        let config = resolve(&folder.path, address, minions::catalogue(), apps);
        let (fake, nginx) = (Arc::new(Fake::new()), Arc::new(Nginx::new(&config.layout)));
        let proxy = config.proxy_instance.id.to_string();
        fake.run(&proxy, nginx.clone());
        let front = Arc::new(Front { fake: fake.clone(), layout: config.layout.clone(), nginx, proxy, pages: Mutex::new(BTreeMap::new()) });
        front.clone().listen(listener);
        let world = Self { fake, config, front, told: Told::default(), now: Utc::now(), address, folder };
        world.programs().await;
        world
    }

    /// Other entries under `apps:`.
    pub async fn configure(&mut self, apps: &str) {
        self.config = resolve(&self.folder.path, self.address, minions::catalogue(), apps);
        self.programs().await;
    }

    async fn programs(&self) {
        for instance in &self.situation().await.unwrap().wanted.instances {
            for (container, program) in programs::applications(instance) {
                self.fake.run(&container, program);
            }
            let (Some(smoke), Some(route)) = (&instance.smoke, instance.routes.first()) else { continue };
            let page = Page {
                container: route.container.clone(),
                status: smoke.expect.first().copied().unwrap_or(200),
                body: smoke.contains.clone().unwrap_or_default(),
            };
            self.front.pages.lock().unwrap().insert(route.host.to_string(), page);
        }
    }

    pub async fn situation(&self) -> Result<Situation> {
        observe(&*self.fake, &self.config, minions::catalogue(), self.now).await
    }

    pub fn world(&self) -> apply::World<'_, Fake> {
        apply::World {
            engine: &self.fake,
            config: &self.config,
            catalogue: minions::catalogue(),
            listener: &self.told,
            now: self.now,
            restored: false,
        }
    }

    /// `summoner install`.
    pub async fn install(&self) -> Result<Outcome> {
        self.apply(&Scope::default()).await
    }

    pub async fn apply(&self, scope: &Scope) -> Result<Outcome> {
        apply::run(&self.world(), scope).await
    }

    /// `summoner install` that succeeds in everything.
    pub async fn installs(&self) {
        let outcome = self.install().await.unwrap_or_else(|error| panic!("{error}"));
        assert!(outcome.failed.is_empty(), "{}", self.text(&errors(&outcome).join("\n")));
    }

    /// `summoner plan`, one step a line.
    pub async fn plan(&self) -> String {
        self.plan_of(&Scope::default()).await
    }

    pub async fn plan_of(&self, scope: &Scope) -> String {
        let (_, plan) = self.world().plan(scope).await.unwrap_or_else(|error| panic!("{error}"));
        self.shown(&plan)
    }

    fn shown(&self, plan: &Plan) -> String {
        let steps = plan.steps.iter().map(ToString::to_string);
        let obstacles = plan.obstacles.iter().map(|found| format!("obstacle {}: {}; {}", found.instance, found.message, found.hint));
        self.text(&steps.chain(obstacles).collect::<Vec<_>>().join("\n"))
    }

    /// A text without what differs from one run to the next.
    pub fn text(&self, text: &str) -> String {
        let text = text.replace(&self.folder.path.display().to_string(), "/srv");
        let hidden = |word: &str| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let words = text.split_inclusive([' ', ':', '\n']).map(|piece| {
            let word = piece.trim_end_matches([' ', ':', '\n']);
            if hidden(word) { piece.replace(word, "GENERATION") } else { piece.to_owned() }
        });
        words.collect()
    }

    /// Containers of a role in an instance, by Compose's service.
    pub fn containers(&self, instance: &str, service: &str) -> Vec<Container> {
        let is = |known: &Container, key: &str, value: &str| known.labels.get(key).is_some_and(|found| found == value);
        let mut all = self.fake.shown();
        all.retain(|known| is(known, LABEL_INSTANCE, instance) && is(known, LABEL_SERVICE, service));
        all
    }

    /// What is wrong with the containers: one of each, under its name, running, and nothing left over.
    pub async fn faults(&self) -> Vec<String> {
        let wanted: BTreeSet<String> =
            self.situation().await.unwrap().wanted.instances.iter().flat_map(|all| &all.containers).map(|one| one.name.clone()).collect();
        let found = self.fake.shown();
        let names: BTreeSet<String> = found.iter().map(|known| known.name.clone()).collect();
        let absent = wanted.difference(&names).map(|name| format!("{name} is absent"));
        let surplus = names.difference(&wanted).map(|name| format!("{name} is left over"));
        let still = found.iter().filter(|known| known.running != Running::Running).map(|known| format!("{} {}", known.name, known.status));
        absent.chain(surplus).chain(still).collect()
    }

    /// Everything installed: nothing to plan, nothing wrong, every route open.
    pub async fn is_whole(&self) {
        assert_eq!(self.plan().await, "", "the plan right after an install");
        assert_eq!(self.faults().await, Vec::<String>::new());
        for host in self.front.pages.lock().unwrap().keys() {
            let asked = self.config.instances.iter().any(|instance| instance.host.as_ref().is_some_and(|own| own.as_str() == host));
            assert_eq!(self.front.is_open(host), asked, "route of {host}");
        }
        let memory = self.situation().await.unwrap().observed.memory;
        for instance in &self.config.instances {
            assert!(memory.instances[&instance.id].installed_at.is_some(), "{} never counted as installed", instance.id);
        }
    }

    /// Every secret with its bytes.
    pub fn secrets(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.config.layout.own().join("secrets"))
    }

    /// Every file and folder of applications and databases.
    pub fn data(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&self.config.layout.files).unwrap() {
            let path = entry.unwrap().path();
            if path != self.config.layout.own() {
                all.extend(files(&path));
            }
        }
        all
    }

    /// Puts a file into every folder of data, to see whether it stays.
    pub async fn fill_data(&self) {
        for folder in self.situation().await.unwrap().wanted.instances.iter().flat_map(|instance| &instance.folders) {
            fs::write(folder.path.join("kept"), folder.path.display().to_string()).unwrap();
        }
    }
}

/// The errors of an outcome, each whole.
pub fn errors(outcome: &Outcome) -> Vec<String> {
    outcome.failed.iter().map(|(id, error): &(_, Error)| format!("{id}: {error}")).collect()
}

/// Lets all clocks of the installation jump once a container has been looked at this often and these instances are ready.
pub async fn jump(world: &World, container: &str, ready: &[&str], by: std::time::Duration) {
    while world.fake.looks(container) < 5 || ready.iter().any(|id| !world.told.ready().contains(&(*id).to_owned())) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::advance(by).await;
}

fn resolve(folder: &Path, address: std::net::Ipv4Addr, catalogue: &Catalogue, apps: &str) -> Config {
    let text = format!(
        "version: 1\ndomain: team.test\nemail: you@team.test\ntimezone: UTC\nstorage: {{files: {0}/data, databases: {0}/data/database}}\n\
         proxy: {{address: {address}, http_port: 8080, https_port: {1}}}\nnetworks: {{range: 10.213.0.0/16}}\napps: {apps}\n",
        folder.display(),
        front::PORT,
    );
    let path = folder.join("config.yml");
    let surroundings = Surroundings { path: &path, home: None, host_timezone: "UTC", minions: catalogue };
    let loaded = config::load(&Source::new("config.yml", text), &surroundings);
    loaded.unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<String>())).0
}

/// All files below a folder with their bytes, and empty folders with none.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.insert(path.clone(), Vec::new());
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}
