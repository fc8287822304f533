use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::backend::faulty::{Fault, Faulty};
use crate::backend::local::Local;
use crate::backend::{Backend, Blob, Held, Hold, Receipt};
use crate::config::repositories::Place;
use crate::event::Silent;
use crate::repository::tests::{Bed, instance, view};

mod elsewhere;
mod faults;
mod forgetting;

/// A store that does what stores do, and writes down what it was sent.
#[derive(Clone)]
struct Odd {
    inner: Local,
    /// Lists show nothing.
    lags: bool,
    /// So many packs are cut without a word.
    cuts: Arc<AtomicU32>,
    /// So many packs are gone when they are asked for.
    vanishes: Arc<AtomicU32>,
    sent: Arc<Mutex<Vec<String>>>,
}

fn once_more(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn is_pack(name: &str) -> bool {
    name.ends_with(".tar.zst") && name.starts_with("packs/")
}

impl Backend for Odd {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        let receipt = self.inner.put(name, bytes)?;
        self.sent.lock().unwrap().push(name.to_owned());
        if is_pack(name) && once_more(&self.cuts) {
            let path = Path::new(&self.location()).join(name);
            let half = fs::read(&path).unwrap().len() / 2;
            fs::File::options().write(true).open(&path).unwrap().set_len(half as u64).unwrap();
        }
        Ok(receipt)
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        self.inner.take(name, file)
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        if is_pack(name) && once_more(&self.vanishes) { Ok(None) } else { self.inner.get(name) }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        if self.lags { Ok(Vec::new()) } else { self.inner.list(prefix) }
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.inner.link(from, to)
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.inner.lock(name, hold)
    }
}

/// A host with snapshots, and another place.
struct Two {
    bed: Bed,
    keep: u32,
    append_only: bool,
}

impl Two {
    /// With so many good snapshots here.
    fn with(count: u32) -> Self {
        let mut two = Self { bed: Bed::new(), keep: 9, append_only: false };
        fs::write(two.bed.path("files/always"), "the same every day").unwrap();
        for _ in 0..count {
            two.backup();
        }
        Repository::create_or_open(&two.place(), two.bed.now).unwrap();
        two
    }

    fn place(&self) -> PathBuf {
        self.bed.path("elsewhere")
    }

    /// One more, with something new and something gone.
    fn backup(&mut self) -> SnapshotId {
        fs::write(self.bed.path("files/today"), format!("{}", self.bed.now).repeat(9000)).unwrap();
        let id = self.bed.backup().manifest.id;
        assert_eq!(self.bed.repository().verify(&id, false, self.bed.now).unwrap().fault, None);
        id
    }

    fn odd(&self) -> Odd {
        Odd { inner: Local::new(&self.place()), lags: false, cuts: Arc::default(), vanishes: Arc::default(), sent: Arc::default() }
    }

    fn filling(&self) -> Filling {
        filling(self.bed.folder.path(), self.bed.now, self.keep, self.append_only)
    }

    /// Fills the place through this store.
    fn fill(&self, store: impl Backend + 'static) -> Report {
        fill_from(&self.filling(), &self.bed.repository(), store)
    }

    fn memory(&self) -> Memory {
        copies::load(&self.filling().layout, "attic").unwrap()
    }

    fn there(&self) -> Repository {
        Repository::open(&self.place()).unwrap()
    }

    fn ids_here(&self) -> Vec<SnapshotId> {
        self.bed.repository().list(None).unwrap().0.into_iter().map(|snapshot| snapshot.manifest.id).collect()
    }

    /// What is whole at the place, every object of it read.
    fn whole(&self) -> Vec<SnapshotId> {
        let seen = look(&Local::new(&self.place()), None, &Memory::new()).unwrap();
        let whole = seen.there.iter().filter(|there| there.state == crate::plan::sync::State::Whole);
        let mut ids = Vec::new();
        for there in whole {
            let fault = check::copy(&self.there(), there, true, &mut Memory::new(), &|| Ok(())).unwrap();
            assert_eq!(fault, None, "{}", there.parts.id);
            ids.push(there.parts.id.clone());
        }
        ids.sort();
        ids
    }
}

fn filling(files: &Path, now: DateTime<Utc>, last: u32, append_only: bool) -> Filling {
    let keep = Keep { last, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None, at_most: None };
    let settings = RepositorySettings {
        name: "attic".into(),
        place: Place::Folder(files.join("elsewhere")),
        keep: Some(keep),
        bytes_per_second: None,
        append_only,
        encrypt: true,
    };
    Filling {
        settings,
        recipients: Vec::new(),
        layout: Layout { files: files.into(), databases: files.join("database") },
        keeps: BTreeMap::new(),
        zone: Tz::UTC,
        now,
        only: None,
        dry_run: false,
        wait: false,
        listener: Arc::new(Silent),
    }
}

fn fill_from(filling: &Filling, here: &Repository, store: impl Backend + 'static) -> Report {
    let there = Repository::on(Arc::new(store), &filling.layout.backups()).unwrap();
    let memory = copies::load(&filling.layout, "attic").unwrap();
    let mut report = Report::default();
    if let Err(error) = fill_at(filling, here, &there, false, memory, &|| Ok(()), &mut report) {
        report.error.get_or_insert(error);
    }
    report
}

#[test]
fn everything_arrives_once_and_is_read_back() {
    let two = Two::with(3);
    let report = fill(&two.filling(), &|| Ok(()));
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((report.copied.len(), report.missing.len(), report.forgotten.len()), (3, 0, 0));
    assert_eq!(report.copied[0], two.ids_here()[2], "the newest goes first");
    assert!(report.bytes_sent > 0);
    assert_eq!(two.whole(), two.ids_here());
    // Every copy opens by itself with the tools of the repository.
    for id in two.ids_here() {
        assert!(two.there().snapshot(&id).unwrap().unwrap().is_good());
    }
    let store = two.odd();
    let again = two.fill(store.clone());
    assert!(again.error.is_none() && again.copied.is_empty(), "{:?}", again.error);
    assert_eq!(*store.sent.lock().unwrap(), Vec::<String>::new());
    assert_eq!(two.memory().snapshots.into_iter().collect::<Vec<_>>(), two.ids_here());
    assert!(two.memory().sent.is_empty());
}

#[test]
fn a_dry_run_says_what_is_missing_and_touches_nothing() {
    let two = Two::with(2);
    fs::remove_dir_all(two.place()).unwrap();
    fs::create_dir(two.place()).unwrap();
    let report = fill(&Filling { dry_run: true, ..two.filling() }, &|| Ok(()));
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((report.missing.len(), report.copied.len()), (2, 0));
    assert!(!two.place().join("repository.json").exists());
    assert!(!two.filling().layout.copies("attic").exists());
}

#[test]
fn a_disk_that_is_not_mounted_is_not_filled_anew() {
    let mut two = Two::with(1);
    assert!(fill(&two.filling(), &|| Ok(())).error.is_none());
    fs::rename(two.place(), two.bed.path("unplugged")).unwrap();
    fs::create_dir(two.place()).unwrap();
    two.backup();
    let error = fill(&two.filling(), &|| Ok(())).error.unwrap();
    assert_eq!(error.message, "the repository attic is gone from its place");
    assert!(error.next.iter().any(|next| next.contains("rm ")), "{error}");
    assert_eq!(fs::read_dir(two.place()).unwrap().count(), 0);
    // Another disk in its place.
    Repository::create_or_open(&two.place(), two.bed.now).unwrap();
    assert!(fill(&two.filling(), &|| Ok(())).error.unwrap().message.contains("another repository lies at"));
    fs::remove_dir_all(two.place()).unwrap();
    fs::rename(two.bed.path("unplugged"), two.place()).unwrap();
    assert_eq!(fill(&two.filling(), &|| Ok(())).copied.len(), 1);
    // This host's own repository is no other place.
    fs::remove_file(two.filling().layout.copies("attic")).unwrap();
    let mut own = two.filling();
    own.settings.place = Place::Folder(two.bed.path("backups"));
    assert!(fill(&own, &|| Ok(())).error.unwrap().message.contains("this host's own repository"));
}

#[test]
fn records_of_the_installation_go_along_and_the_newest_five_stay() {
    let two = Two::with(1);
    let here = two.bed.repository();
    let record = |day: u32| {
        let time = format!("202611{day:02}T020000Z");
        for name in ["record.tar.zst", "manifest.json"] {
            let blob = crate::layout::repository::server(&time, name);
            here.backend().put(&blob, &mut format!("{name} of {day}").as_bytes()).unwrap();
        }
        time
    };
    let mut times: Vec<String> = (1..=7).map(record).collect();
    // One that somebody else keeps there, older than all.
    let strange = two.place().join("server/20200101T000000Z/manifest.json");
    fs::create_dir_all(strange.parent().unwrap()).unwrap();
    fs::write(&strange, "theirs").unwrap();
    let report = two.fill(two.odd());
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(report.records.len(), 5);
    times.push(record(8));
    let report = two.fill(two.odd());
    assert_eq!(report.records, [times[7].clone()]);
    let mut names: Vec<String> =
        fs::read_dir(two.place().join("server")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names[0], "20200101T000000Z");
    assert_eq!(names[1..], times[3..]);
    let text = fs::read_to_string(two.place().join("server").join(&times[7]).join("record.tar.zst")).unwrap();
    assert_eq!(text, "record.tar.zst of 8");
    let store = two.odd();
    assert!(two.fill(store.clone()).error.is_none());
    assert!(store.sent.lock().unwrap().is_empty());
}
