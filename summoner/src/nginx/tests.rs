use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::docker::{
    self, Container, ContainerDetail, CreateSpec, Described, EngineInfo, ExecOutput, ExecSpec, Health, Image, Network, NetworkSpec, Running,
};
use crate::error::Error;
use crate::plan::route::{self, RouteSpec};

/// An nginx that is a listener and a few switches: it refuses files that hold the word "refused", and on a reload it takes
/// the generation of the link, unless it is deaf.
struct Fake {
    layout: Layout,
    runs: AtomicBool,
    deaf: AtomicBool,
    /// It keeps an older folder than the one that we write to.
    blind: AtomicBool,
    signals: AtomicUsize,
    live: Arc<Mutex<String>>,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Fake {
    async fn new(runs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().to_owned(), databases: folder.path().join("database") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = Arc::new(Mutex::new("0".repeat(16)));
        let (port, answer) = (listener.local_addr().unwrap().port(), Arc::clone(&live));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let text = format!("HTTP/1.1 200 OK\r\n\r\n{}", answer.lock().unwrap());
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { layout, runs: runs.into(), deaf: false.into(), blind: false.into(), signals: 0.into(), live, port, _folder: folder }
    }

    fn nginx(&self) -> Nginx<'_, Self> {
        let confirm = Duration::from_secs(if self.deaf.load(Ordering::Relaxed) { 0 } else { 5 });
        Nginx { marker_port: self.port, confirm, ..Nginx::new(self, &self.layout, "nginx-a.fr") }
    }

    async fn install(&self, routes: &[RouteSpec]) -> Result<Installed> {
        let settings = ProxySettings::own(80, 443, "summoner-edge");
        self.nginx().install(&route::sites(routes, &settings), &settings).await
    }

    fn folders(&self) -> usize {
        std::fs::read_dir(self.layout.nginx()).unwrap().count()
    }
}

fn never<T>() -> Result<T> {
    unreachable!("nginx needs no such verb")
}

impl Engine for Fake {
    async fn describe(&self, _: &str) -> Result<Option<Described>> {
        let place = docker::Place { v4: Some([127, 0, 0, 1].into()), ..docker::Place::default() };
        Ok(Some(Described {
            id: String::new(),
            name: String::new(),
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            networks: BTreeMap::from([("summoner-edge".to_owned(), place)]),
            exposed: BTreeSet::new(),
            host_mode: false,
            running: if self.runs.load(Ordering::Relaxed) { Running::Running } else { Running::Restarting },
            health: Health::None,
            pid: None,
        }))
    }
    async fn exec(&self, _: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        let [.., file] = spec.command.as_slice() else { return never() };
        if spec.command.contains(&"reload".to_owned()) {
            self.signals.fetch_add(1, Ordering::Relaxed);
            if !self.deaf.load(Ordering::Relaxed) {
                *self.live.lock().unwrap() = generation::current(&self.layout)?.unwrap();
            }
            return Ok(ExecOutput::default());
        }
        if self.blind.load(Ordering::Relaxed) {
            let stderr = format!("nginx: [emerg] open() \"{file}\" failed (2: No such file or directory)\n").into_bytes();
            return Ok(ExecOutput { exit_code: 1, stdout: Vec::new(), stderr });
        }
        let folder = self.layout.nginx().join(file.strip_prefix("/etc/nginx/summoner/").unwrap()).with_file_name("hosts");
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(self.layout.nginx()).unwrap().display().to_string();
            let place = if text.contains("unnamed") { String::new() } else { format!(" in /etc/nginx/summoner/{name}:7") };
            if text.contains("refused") {
                let stderr = format!("nginx: [emerg] refused{place}\nnginx: configuration file {file} test failed\n").into_bytes();
                return Ok(ExecOutput { exit_code: 1, stdout: Vec::new(), stderr });
            }
        }
        Ok(ExecOutput::default())
    }
    async fn logs(&self, _: &str, _: usize) -> Result<String> {
        Ok("2026/11/21 14:10:37 [notice] 1#1: reconfiguring\n2026/11/21 14:10:37 [emerg] 1#1: bind() failed\n".to_owned())
    }
    async fn open_exec(&self, _: &str, _: &ExecSpec) -> Result<docker::ExecSession> {
        Err(Error::external("there is no shell in this image"))
    }
    async fn exec_state(&self, _: &str) -> Result<docker::ExecState> {
        never()
    }
    async fn info(&self) -> Result<EngineInfo> {
        never()
    }
    async fn matching(&self, _: &[(String, String)]) -> Result<BTreeSet<String>> {
        never()
    }
    async fn containers(&self) -> Result<Vec<Container>> {
        never()
    }
    async fn inspect(&self, _: &str) -> Result<Option<ContainerDetail>> {
        never()
    }
    fn events(&self, _: Option<i64>) -> docker::Events {
        unreachable!("nginx needs no such verb")
    }
    async fn disconnect(&self, _: &str, _: &str) -> Result<()> {
        never()
    }
    async fn networks(&self) -> Result<Vec<Network>> {
        never()
    }
    async fn image(&self, _: &str) -> Result<Option<Image>> {
        never()
    }
    async fn pull(&self, _: &str, _: &(dyn Fn(&str) + Send + Sync)) -> Result<()> {
        never()
    }
    async fn create_network(&self, _: &NetworkSpec) -> Result<()> {
        never()
    }
    async fn remove_network(&self, _: &str) -> Result<()> {
        never()
    }
    async fn connect(&self, _: &str, _: &str, _: &[String]) -> Result<()> {
        never()
    }
    async fn create_volume(&self, _: &str, _: &BTreeMap<String, String>) -> Result<()> {
        never()
    }
    async fn remove_volume(&self, _: &str) -> Result<()> {
        never()
    }
    async fn create(&self, _: &CreateSpec<'_>) -> Result<String> {
        never()
    }
    async fn start(&self, _: &str) -> Result<()> {
        *self.live.lock().unwrap() = generation::current(&self.layout)?.unwrap();
        self.blind.store(false, Ordering::Relaxed);
        self.runs.store(true, Ordering::Relaxed);
        Ok(())
    }
    async fn stop(&self, _: &str, _: Option<Duration>) -> Result<()> {
        self.runs.store(false, Ordering::Relaxed);
        Ok(())
    }
    async fn discard(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, _: &str) -> Result<()> {
        never()
    }
    async fn rename(&self, _: &str, _: &str) -> Result<()> {
        never()
    }
}

fn spec(host: &str, header: &str) -> RouteSpec {
    let mut spec = route::sample(host);
    spec.settings.headers = BTreeMap::from([("X-Test".to_owned(), header.to_owned())]);
    spec
}

fn hosts(installed: &Installed) -> Vec<&str> {
    let exact = installed.quarantined.iter().filter_map(|rejected| match &rejected.host {
        crate::vhost::HostName::Exact(host) => Some(host.as_str()),
        _ => None,
    });
    exact.collect()
}

#[tokio::test]
async fn a_good_one_is_installed_once() {
    let fake = Fake::new(true).await;
    let first = fake.install(&[spec("a.fr", "1")]).await.unwrap();
    assert!(first.live && !first.unchanged && first.quarantined.is_empty());
    assert_eq!(fake.nginx().running().await.unwrap(), Some(first.id.clone()));
    let again = fake.install(&[spec("a.fr", "1")]).await.unwrap();
    assert!(again.unchanged && again.id == first.id);
    assert_eq!(fake.signals.load(Ordering::Relaxed), 1, "the same configuration is not loaded twice");
}

#[tokio::test]
async fn one_refused_host_of_three_is_left_out() {
    for words in ["refused", "refused unnamed"] {
        let fake = Fake::new(true).await;
        let installed = fake.install(&[spec("c.fr", "1"), spec("b.fr", words), spec("a.fr", "1")]).await.unwrap();
        assert_eq!((hosts(&installed), installed.live), (vec!["b.fr"], true));
        assert!(installed.quarantined[0].reason.starts_with("refused"));
        assert!(fake.layout.nginx_current().join("hosts/c.fr.conf").exists());
        assert_eq!(fake.folders(), 2, "refused generations do not stay");
    }
}

#[tokio::test]
async fn all_hosts_may_be_refused() {
    let fake = Fake::new(true).await;
    let installed = fake.install(&[spec("a.fr", "refused"), spec("b.fr", "$refused")]).await.unwrap();
    assert_eq!((hosts(&installed), installed.live), (vec!["a.fr", "b.fr"], true));
}

#[tokio::test]
async fn a_generation_that_does_not_come_to_life_is_rolled_back() {
    let fake = Fake::new(true).await;
    let first = fake.install(&[spec("a.fr", "1")]).await.unwrap();
    fake.deaf.store(true, Ordering::Relaxed);
    let error = fake.install(&[spec("a.fr", "2")]).await.unwrap_err();
    assert_eq!(fake.nginx().current().unwrap(), Some(first.id));
    assert_eq!(fake.signals.load(Ordering::Relaxed), 3, "one to load, one in vain, one to go back");
    let cause = error.cause.as_ref().unwrap();
    let (first_line, log) = cause.split_once('\n').unwrap();
    assert!(first_line.starts_with("it did not run generation") && log.ends_with("bind() failed"), "{cause}");
    assert_eq!(error.next, ["summoner logs nginx-a.fr"]);
}

#[tokio::test]
async fn before_its_first_start_only_the_link_is_set() {
    let fake = Fake::new(false).await;
    let domain: Domain = "a.fr".parse().unwrap();
    let now = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let authority = acme::Authority::open(&fake.layout, &domain, now).unwrap();
    acme::renew(&fake.layout, &authority, &[domain], now).unwrap();
    let installed = fake.install(&[spec("a.fr", "1"), spec("b.fr", "1")]).await.unwrap();
    assert!(!installed.live && !installed.unchanged);
    assert_eq!(hosts(&installed), ["b.fr"], "nginx would not start without its certificate");
    assert_eq!(fake.nginx().current().unwrap(), Some(installed.id));
    assert_eq!(fake.signals.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn three_generations_stay_and_damage_is_repaired() {
    let fake = Fake::new(true).await;
    std::fs::create_dir_all(fake.layout.nginx().join(".new-left")).unwrap();
    for header in ["1", "2", "3", "4", "5"] {
        fake.install(&[spec("a.fr", header)]).await.unwrap();
    }
    assert_eq!(fake.folders(), 4, "three generations and the link");
    let hosts = fake.layout.nginx_current().join("hosts");
    let good = std::fs::read(hosts.join("a.fr.conf")).unwrap();
    std::fs::write(hosts.join("a.fr.conf"), "by hand").unwrap();
    std::fs::write(hosts.join("foreign.conf"), "refused").unwrap();
    let installed = fake.install(&[spec("a.fr", "5")]).await.unwrap();
    assert!(!installed.unchanged, "nginx may have read what was there");
    assert_eq!(std::fs::read(hosts.join("a.fr.conf")).unwrap(), good);
    assert!(!hosts.join("foreign.conf").exists());
}

#[tokio::test]
async fn a_container_that_looks_at_a_removed_folder_is_started_again() {
    let fake = Fake::new(true).await;
    fake.install(&[spec("a.fr", "1")]).await.unwrap();
    std::fs::remove_dir_all(fake.layout.nginx()).unwrap();
    fake.blind.store(true, Ordering::Relaxed);
    let installed = fake.install(&[spec("b.fr", "refused"), spec("c.fr", "1")]).await.unwrap();
    assert!(installed.live && fake.runs.load(Ordering::Relaxed));
    assert_eq!(hosts(&installed), ["b.fr"]);
    assert_eq!(fake.nginx().running().await.unwrap(), Some(installed.id));
}
