//! What goes away at a place: by its own rule alone, and never what is somebody else's.

use super::*;

#[test]
fn that_place_forgets_by_its_own_rule_and_a_deletion_here_does_not_travel() {
    let mut two = Two::with(3);
    assert!(two.fill(two.odd()).error.is_none());
    let all = two.ids_here();
    // Here only the newest is left; there all stay.
    two.bed.repository().forget(&all[..2], false).unwrap();
    let report = two.fill(two.odd());
    assert!(report.error.is_none() && report.forgotten.is_empty(), "{report:?}");
    assert_eq!(two.whole(), all);
    two.backup();
    two.keep = 2;
    let report = two.fill(two.odd());
    assert!(report.error.is_none(), "{:?}", report.error);
    let gone: Vec<String> = report.forgotten.iter().map(|verdict| format!("{}: {}", verdict.id, verdict.reason)).collect();
    assert_eq!(gone, [format!("{}: older than all slots", all[1]), format!("{}: older than all slots", all[0])]);
    assert_eq!(two.whole(), two.ids_here());
    // Nothing is left of them that nobody needs.
    let named: BTreeSet<String> = look(&Local::new(&two.place()), None, &Memory::new())
        .unwrap()
        .there
        .iter()
        .flat_map(|there| there.parts.blobs.iter().map(|part| part.name.clone()))
        .collect();
    let packs = Local::new(&two.place()).list("packs/").unwrap();
    assert!(packs.iter().all(|blob| named.contains(&blob.name)), "{packs:?}");
    // All of it gone here, with the id of the repository: nothing of it goes there.
    fs::remove_dir_all(two.bed.path("backups")).unwrap();
    Repository::create_or_open(&two.bed.path("backups"), two.bed.now).unwrap();
    two.keep = 1;
    let report = two.fill(two.odd());
    assert!(report.error.is_none() && report.forgotten.is_empty(), "{report:?}");
    assert_eq!(two.whole().len(), 2);
}

#[test]
fn a_place_that_may_only_be_added_to_is_only_added_to() {
    let mut two = Two::with(3);
    two.append_only = true;
    assert!(two.fill(two.odd()).error.is_none());
    two.keep = 1;
    two.backup();
    let report = two.fill(two.odd());
    assert!(report.error.is_none() && report.forgotten.is_empty() && report.copied.len() == 1, "{report:?}");
    assert_eq!(two.whole().len(), 4);
}

#[test]
fn what_is_somebody_else_s_stays_and_what_cannot_be_understood_stops_the_forgetting() {
    let mut two = Two::with(2);
    let strange =
        ["packs/ghost-a.fr/00000000000000000000000000000000.tar.zst", "snapshots/wekan-b.fr/20260101T000000Z/manifest.json", "notes.txt"];
    for name in strange {
        fs::create_dir_all(two.place().join(name).parent().unwrap()).unwrap();
        fs::write(two.place().join(name), "theirs").unwrap();
    }
    assert!(two.fill(two.odd()).error.is_none());
    two.backup();
    two.keep = 1;
    let report = two.fill(two.odd());
    assert_eq!((report.forgotten.len(), report.error.is_none()), (2, true));
    assert!(strange.iter().all(|name| two.place().join(name).exists()));
    // A snapshot of this instance that says not what it is made of may need any of its packs.
    two.backup();
    let manifest = two.place().join("snapshots/ghost-a.fr/20200101T000000Z/manifest.json");
    fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    fs::write(&manifest, "{}").unwrap();
    let report = two.fill(two.odd());
    assert!(report.error.is_none() && report.forgotten.is_empty() && report.copied.len() == 1, "{report:?}");
    assert!(report.notes[0].contains("nothing of ghost-a.fr is forgotten there"), "{:?}", report.notes);
    assert!(manifest.exists());
}

#[test]
fn parts_that_lead_elsewhere_are_not_followed() {
    let mut two = Two::with(1);
    assert!(two.fill(two.odd()).error.is_none());
    let id = two.ids_here().remove(0);
    let other = two.place().join("packs/wekan-b.fr/theirs.tar.zst");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "theirs").unwrap();
    let parts = two.place().join(format!("snapshots/{id}/parts.json"));
    let text = fs::read_to_string(&parts).unwrap().replace("packs/ghost-a.fr/", "packs/wekan-b.fr/");
    fs::write(&parts, text).unwrap();
    two.backup();
    two.keep = 1;
    let report = two.fill(two.odd());
    assert!(report.notes.iter().any(|note| note.contains("which is not of this snapshot")), "{:?}", report.notes);
    assert!(other.exists());
}

/// As an account that may not remove, and not replace either.
struct AddOnly(Odd);

impl Backend for AddOnly {
    fn location(&self) -> String {
        self.0.location()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        if self.0.get(name)?.is_some() {
            return Err(Error::external(format!("{name} is there already, and may not be replaced")));
        }
        self.0.put(name, bytes)
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        self.0.take(name, file)
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.0.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        self.0.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        Err(Error::external(format!("{name} may not be removed")))
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.0.link(from, to)
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.0.lock(name, hold)
    }
}

#[test]
fn an_account_that_can_only_add_is_enough_whatever_fails_on_the_way() {
    for fault in [Fault::Full, Fault::After] {
        for good in 0.. {
            let mut two = Two::with(1);
            two.append_only = true;
            let failed = two.fill(Faulty::new(AddOnly(two.odd()), good, fault)).error.is_some();
            let report = two.fill(AddOnly(two.odd()));
            assert!(report.error.is_none(), "{fault:?} {good}: {:?}", report.error);
            assert_eq!(two.whole(), two.ids_here());
            if !failed {
                assert!(good > 5, "{fault:?} came {good} times");
                break;
            }
        }
    }
}
