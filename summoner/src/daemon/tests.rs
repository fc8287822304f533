use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use chrono::TimeDelta;
use tokio::time::{Instant, sleep};

use super::runner::Cancel;
use super::*;
use crate::config::{self, Surroundings};
use crate::error::Error;
use crate::event::Event;
use crate::minion::catalogue::Catalogue;
use crate::plan::schedule::{JobSpec, Outcome, Run};
use crate::state::runs;

const DUMP: &str = "dump ghost-a.org";
/// A dump every night at two in Paris, and nothing else.
const CONFIG: &str = "backup: {dump: nightly, cold: never, verify: never, forget: never}";

/// A runner that does as it is told.
#[derive(Default)]
struct Fake {
    ran: Mutex<Vec<String>>,
    failures: AtomicUsize,
    /// Takes until it is told to stop.
    endless: AtomicBool,
    /// Then takes no notice.
    deaf: AtomicBool,
    /// The most that ran at once.
    at_once: AtomicUsize,
    running: AtomicUsize,
}

impl Runner for Fake {
    async fn run(&self, _: Arc<Setup>, job: &JobSpec, _: u32, cancel: Cancel) -> Result<String> {
        self.ran.lock().unwrap().push(job.id.clone());
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once.fetch_max(running, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
        if self.endless.load(Ordering::SeqCst) {
            if self.deaf.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            cancel.cancelled().await;
            return Err(Error::new(Kind::Interrupted, "the application was started again"));
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        let failing = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if failing { Err(Error::external("there is no Docker Engine here").cause("connection refused")) } else { Ok("1 kB".into()) }
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Listener for Heard {
    fn hear(&self, event: &Event) {
        let line = match event {
            Event::Note { message } => message.clone(),
            Event::Failed { instance, message } => format!("{instance}: {message}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

pub(super) struct Bed {
    folder: tempfile::TempDir,
    fake: Arc<Fake>,
    heard: Heard,
    start: DateTime<Utc>,
    since: Instant,
    /// What somebody set the clock by, in seconds.
    step: Arc<AtomicI64>,
}

impl Bed {
    pub(super) fn new(start: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bed = Self {
            folder,
            fake: Arc::default(),
            heard: Heard::default(),
            start: start.parse().unwrap(),
            since: Instant::now(),
            step: Arc::default(),
        };
        bed.write(CONFIG, "ghost:");
        bed
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.yml")
    }

    fn write(&self, more: &str, apps: &str) {
        let text = format!("version: 1\ndomain: a.org\nemail: you@a.org\ntimezone: Europe/Paris\n{more}\napps:\n  {apps}\n");
        crate::disk::write_atomic(&self.path(), text.as_bytes(), 0o644).unwrap();
    }

    pub(super) fn setup(&self) -> Arc<Setup> {
        Arc::new(load(&self.path()).unwrap())
    }

    /// The configuration, to be changed.
    pub(super) fn loaded(&self) -> Setup {
        load(&self.path()).unwrap()
    }

    fn now(&self) -> impl Fn() -> DateTime<Utc> + use<> {
        let (start, since, step) = (self.start, self.since, Arc::clone(&self.step));
        move || start + since.elapsed() + TimeDelta::seconds(step.load(Ordering::SeqCst))
    }

    /// The daemon, until somebody stops it.
    fn daemon(&self, stopped: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<Result<()>> {
        let path = self.path();
        let watch = Watch::new(&self.path(), Box::new(move || load(&path)));
        let (fake, setup, heard, now) = (Arc::clone(&self.fake), self.setup(), Box::new(self.heard.clone()), self.now());
        tokio::spawn(async move { run(fake, setup, Vec::new(), watch, heard, now, stopped).await })
    }

    /// Lets the daemon live for so long.
    async fn live(&self, hours: u64) {
        self.daemon(sleep(Duration::from_secs(hours * 3600))).await.unwrap().unwrap();
    }

    fn runs(&self, id: &str) -> Vec<Run> {
        runs::load(&self.setup().config.layout).unwrap().0.jobs.get(id).map(|history| history.runs.clone()).unwrap_or_default()
    }

    fn ran(&self) -> Vec<String> {
        self.fake.ran.lock().unwrap().clone()
    }

    /// "time result message" of each run of the dump.
    fn told(&self) -> String {
        let line = |run: Run| format!("{} {} {}", run.at.format("%m-%dT%H:%M"), run.result.as_str(), run.message);
        self.runs(DUMP).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn heard(&self) -> String {
        self.heard.0.lock().unwrap().join("\n")
    }
}

fn load(path: &Path) -> Result<Setup> {
    let catalogue = Catalogue::open(None)?;
    let surroundings = Surroundings { path, home: None, host_timezone: "UTC", minions: &catalogue };
    let source = config::read(path)?;
    let config = config::load(&source, &surroundings).map_err(|faults| Error::faults("config.yml has faults", faults))?.0;
    Ok(Setup { config, catalogue })
}

#[tokio::test(start_paused = true)]
async fn a_night_passes_and_the_job_ran_once() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    bed.live(24).await;
    assert_eq!(bed.told(), "11-22T01:00 ok 1 kB");
    assert_eq!(bed.heard(), "dump ghost-a.org begins\ndump ghost-a.org: ok: 1 kB");
}

#[tokio::test(start_paused = true)]
async fn two_missed_nights_are_caught_up_with_by_one_run() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    bed.live(1).await;
    // The machine slept: the wall clock went on, nothing else did.
    bed.step.store(2 * 86400, Ordering::SeqCst);
    bed.live(2).await;
    assert_eq!(bed.told(), "11-23T13:00 ok catches up with 2 missed runs; 1 kB");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_while_it_sleeps_is_seen() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    let daemon = bed.daemon(sleep(Duration::from_secs(1800)));
    sleep(Duration::from_secs(600)).await;
    bed.step.store(86400, Ordering::SeqCst);
    sleep(Duration::from_secs(90)).await;
    assert_eq!(bed.ran(), [DUMP], "within a minute and a half");
    // Set back again: the run of the future is forgotten, and tonight's comes.
    bed.step.store(0, Ordering::SeqCst);
    daemon.await.unwrap().unwrap();
    bed.live(24).await;
    assert_eq!(bed.ran().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nights_on_which_the_clock_changes_have_one_run() {
    for (start, ran) in [("2026-03-28T12:00:00Z", "03-29T01:00 ok 1 kB"), ("2026-10-24T12:00:00Z", "10-25T00:00 ok 1 kB")] {
        let bed = Bed::new(start);
        bed.live(20).await;
        assert_eq!(bed.told(), ran);
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_gone_stops_no_loop() {
    let bed = Bed::new("2026-11-21T23:00:00Z");
    bed.fake.failures.store(2, Ordering::SeqCst);
    bed.live(10).await;
    insta::assert_snapshot!(bed.told(), @"
    11-22T01:00 failed there is no Docker Engine here: connection refused
    11-22T01:15 failed retry 1; there is no Docker Engine here: connection refused
    11-22T02:15 ok retry 2; 1 kB
    ");
}

#[tokio::test(start_paused = true)]
async fn told_to_end_it_lets_the_job_put_things_in_order() {
    let bed = Bed::new("2026-11-22T00:59:00Z");
    bed.fake.endless.store(true, Ordering::SeqCst);
    bed.live(1).await;
    assert_eq!(bed.told(), "11-22T01:00 interrupted the application was started again");
    // It is tried again when the daemon is back.
    bed.fake.endless.store(false, Ordering::SeqCst);
    bed.live(1).await;
    assert_eq!(bed.told().lines().nth(1), Some("11-22T02:14 ok retry 1; 1 kB"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_listen_is_ended_after_a_while() {
    let bed = Bed::new("2026-11-22T00:59:00Z");
    bed.fake.endless.store(true, Ordering::SeqCst);
    bed.fake.deaf.store(true, Ordering::SeqCst);
    bed.live(1).await;
    assert_eq!(bed.runs(DUMP)[0].result, Outcome::Interrupted);
    assert_eq!(bed.since.elapsed().as_secs() / 60, 61);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_process_was_killed_is_found() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    bed.live(1).await;
    let layout = bed.setup().config.layout.clone();
    let mut memory = runs::load(&layout).unwrap().0;
    let spec = jobs::specs(&bed.setup()).remove(0);
    memory.begin(&spec, 0, "", "2026-11-21T12:30:00Z".parse().unwrap());
    runs::save(&layout, &memory).unwrap();
    bed.live(1).await;
    assert!(bed.heard().contains("dump ghost-a.org was interrupted; it is tried again"), "{}", bed.heard());
    assert_eq!(bed.told().lines().map(|line| line.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), ["interrupted", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn an_edited_configuration_is_taken_over_and_a_broken_one_refused() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    let daemon = bed.daemon(sleep(Duration::from_secs(12 * 3600)));
    sleep(Duration::from_secs(600)).await;
    bed.write("backup: {dump: nigthly}", "ghost:");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(bed.heard().matches("the old one stays").count(), 1, "{}", bed.heard());
    assert!(bed.heard().contains("`nigthly` is no word for times"));
    bed.write("storage: {files: ./elsewhere}", "ghost:");
    sleep(Duration::from_secs(120)).await;
    assert!(bed.heard().contains("moves the storage"));
    bed.write("backup: {dump: '0 15 * * *', cold: never, verify: never, forget: never}", "ghost:");
    daemon.await.unwrap().unwrap();
    assert!(bed.heard().contains("was edited and is taken over"));
    assert_eq!(bed.told(), "11-21T14:00 ok 1 kB");
}

#[tokio::test(start_paused = true)]
async fn a_second_daemon_hears_who_holds_the_lock() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    let first = bed.daemon(sleep(Duration::from_secs(3600)));
    sleep(Duration::from_secs(60)).await;
    let error = bed.daemon(std::future::pending()).await.unwrap().unwrap_err();
    assert_eq!(error.kind.exit_code(), 11);
    assert!(error.message.starts_with("`summoner daemon` (process "), "{error}");
    assert!(error.message.ends_with("has held the lock of scheduled jobs since 2026-11-21T12:00:00Z"), "{error}");
    let due = run_due(Arc::clone(&bed.fake), bed.setup(), Box::new(bed.heard.clone()), bed.now(), None, std::future::pending()).await;
    assert_eq!(due.unwrap(), None);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn jobs_share_the_machine_as_asked() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    let backup = "backup: {dump: nightly, cold: nightly, verify: never, forget: never, drill: never}";
    for (parallel, at_once) in [(1, 1), (8, 2)] {
        bed.fake.ran.lock().unwrap().clear();
        bed.write(&format!("parallel: {parallel}\n{backup}"), "ghost:\n  wekan:");
        bed.live(24).await;
        assert_eq!(bed.fake.at_once.swap(0, Ordering::SeqCst), at_once);
        // One instance never has two; a dump goes first.
        let mut ran = bed.ran();
        assert!(ran[0].starts_with("dump"));
        ran.sort();
        assert_eq!(ran, ["backup ghost-a.org", "backup wekan-a.org", "dump ghost-a.org", "dump wekan-a.org"]);
    }
}

#[tokio::test(start_paused = true)]
async fn run_due_runs_what_is_due_and_ends() {
    let bed = Bed::new("2026-11-21T12:00:00Z");
    let call = || run_due(Arc::clone(&bed.fake), bed.setup(), Box::new(bed.heard.clone()), bed.now(), None, std::future::pending());
    assert_eq!(call().await.unwrap(), Some((0, 0)));
    bed.step.store(14 * 3600, Ordering::SeqCst);
    bed.fake.failures.store(1, Ordering::SeqCst);
    assert_eq!(call().await.unwrap(), Some((1, 1)));
    assert_eq!(call().await.unwrap(), Some((0, 0)));
    bed.step.store(15 * 3600, Ordering::SeqCst);
    assert_eq!(call().await.unwrap(), Some((1, 0)));
}
