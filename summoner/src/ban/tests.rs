//! The guard without an nginx: datagrams in, files out.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::docker::fake::Fake;
use crate::plan::ban::ProofVerdict;

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Listener for Notes {
    fn hear(&self, event: &Told) {
        if let Told::Note { message } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Reload for Count {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    layout: Layout,
    notes: Notes,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().join("data"), databases: folder.path().join("database") };
        fs::create_dir_all(&layout.files).unwrap();
        Self { _folder: folder, layout, notes: Notes::default() }
    }

    async fn guard(&self, sources: Vec<Source>, reload: Option<Arc<dyn Reload>>) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let (layout, notes) = (self.layout.clone(), self.notes.clone());
        let _ = fs::remove_file(self.layout.nginx_sign_ins());
        let task = tokio::spawn(async move {
            let setup = Setup { layout, policy: Bans::default(), trusted: Vec::new(), sources, docker: None, reload };
            let stopped = async { stopped.await.unwrap_or_default() };
            Guard::run(setup, &Fake::new(), &notes, now, stopped).await.unwrap();
        });
        self.until("the guard listens", || self.speaker().is_some()).await;
        Running { stop, task }
    }

    fn speaker(&self) -> Option<UnixDatagram> {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(self.layout.nginx_sign_ins()).ok().map(|()| socket)
    }

    fn fail(&self, address: &str, times: usize) {
        let line = format!(
            "<190>Nov 21 20:18:47 summoner: {{\"v\":1,\"address\":\"{address}\",\"rule\":\"notes-a.fr 401 204\",\"status\":\"401\",\"upstream\":\"401\",\"basic\":\"\",\"host\":\"a.fr\"}}"
        );
        let speaker = self.speaker().unwrap();
        for _ in 0..times {
            speaker.send(line.as_bytes()).unwrap();
        }
    }

    fn list(&self) -> String {
        fs::read_to_string(self.layout.nginx_bans()).unwrap_or_default()
    }

    fn who(&self) -> Vec<String> {
        self.list().lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..2500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not in time: {what}\n{}\n{:?}", self.list(), self.notes.0.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_datagrams_lock_out_and_garbage_does_not() {
    let bench = Bench::new();
    let guard = bench.guard(Vec::new(), None).await;
    let speaker = bench.speaker().unwrap();
    for garbage in [&b""[..], b"\xff\xfe", b"summoner: {", &[b'x'; 9000]] {
        speaker.send(garbage).unwrap();
    }
    bench.fail("198.51.100.7", 9);
    bench.fail("10.1.2.3", 30);
    bench.fail("127.0.0.1", 30);
    bench.fail("198.51.100.8", 10);
    bench.until(".8 is on nginx's list", || bench.who() == ["c6336408"]).await;
    bench.fail("198.51.100.7", 1);
    bench.until(".7 too", || bench.who() == ["c6336407", "c6336408"]).await;
    guard.end().await;
    let stored = store::read(&bench.layout).unwrap().0;
    let test = stored.test.unwrap();
    assert_eq!((stored.bans.len(), test.verdict), (2, ProofVerdict::Mixed), "{test:?}");
    // Another guard knows them, and what a command did meanwhile.
    change(&bench.layout, &Bans::default(), now(), |book| Ok(book.lift("198.51.100.8".parse().unwrap()))).await.unwrap();
    assert_eq!(bench.who(), ["c6336407"]);
    let guard = bench.guard(Vec::new(), None).await;
    bench.fail("198.51.100.9", 10);
    bench.until(".9 joins", || bench.who() == ["c6336407", "c6336409"]).await;
    // While it works, a command lifts: half a second later nothing of the guard's brings it back.
    change(&bench.layout, &Bans::default(), now(), |book| Ok(book.lift("198.51.100.7".parse().unwrap()))).await.unwrap();
    bench.fail("198.51.100.10", 10);
    bench.until(".10 joins and .7 is away", || bench.who() == ["c6336409", "c633640a"]).await;
    guard.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_without_njs_is_told_in_batches_and_a_log_is_followed() {
    let bench = Bench::new();
    let log = bench.layout.files.join("auth.log");
    fs::write(&log, "bad from 198.51.100.20\n".repeat(50)).unwrap();
    let pattern = crate::minion::SignInLog {
        place: crate::minion::LogPlace::File("auth.log".into()),
        failed: "^bad from (?<address>[0-9.]+)$".into(),
        succeeded: None,
    };
    let source = Source::new("notes-a.fr".into(), sources::Place::File(log.clone()), &pattern).unwrap();
    let count = Arc::new(Count::default());
    let reload: Arc<dyn Reload> = count.clone();
    let guard = bench.guard(vec![source], Some(reload)).await;
    bench.until("told at the start", || count.0.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    for last in 1..=20 {
        bench.fail(&format!("198.51.100.{last}"), 10);
    }
    let more = "bad from 203.0.113.9\n".repeat(60);
    fs::File::options().append(true).open(&log).unwrap().write_all(more.as_bytes()).unwrap();
    bench.until("all are listed", || bench.who().len() == 21).await;
    assert!(count.0.load(Ordering::SeqCst) <= 2, "twenty changes are no twenty reloads");
    let map = || fs::read_to_string(bench.layout.nginx_bans_map()).unwrap();
    bench.until("the map too", || map().contains("203.0.113.9/32 1;\n")).await;
    bench.until("told again", || count.0.load(Ordering::SeqCst) == 2).await;
    guard.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgives_no_failed_sign_in() {
    let bench = Bench::new();
    let guard = bench.guard(Vec::new(), None).await;
    bench.fail("198.51.100.7", 6);
    bench.fail("198.51.100.8", 10);
    bench.until("all of them are heard", || bench.who() == ["c6336408"]).await;
    guard.end().await;
    assert_eq!(failures::read(&bench.layout).unwrap().0.len(), 6, "written at the end");
    // Another that is killed after a while: what it counted by then is known.
    let guard = bench.guard(Vec::new(), None).await;
    bench.fail("198.51.100.7", 3);
    bench.until("nine are written", || failures::read(&bench.layout).unwrap().0.len() == 9).await;
    guard.task.abort();
    let guard = bench.guard(Vec::new(), None).await;
    assert_eq!(bench.who(), ["c6336408"], "nobody is locked out by a restart");
    bench.fail("198.51.100.7", 1);
    bench.until("the tenth locks out", || bench.who() == ["c6336407", "c6336408"]).await;
    guard.end().await;
    assert_eq!(failures::read(&bench.layout).unwrap().0.len(), 0, "a ban has used them up");
}
