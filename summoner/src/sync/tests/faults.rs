//! Whatever fails or dies at whatever step: a copy is whole and proven there, or the run failed and names the object; and the
//! repeat finishes without sending again what is there.

use super::*;

/// Names that were sent more than once; what is small and says when it was copied may be.
fn twice(sent: &[String]) -> Vec<&String> {
    let large = sent.iter().filter(|name| name.starts_with("packs/") || name.ends_with(".zst"));
    let mut names: Vec<&String> = large.collect();
    names.sort();
    let all = names.clone();
    names.dedup();
    names.into_iter().filter(|name| all.iter().filter(|other| *other == name).count() > 1).collect()
}

#[test]
fn a_store_that_fails_at_the_n_th_change() {
    for fault in [Fault::Full, Fault::Short, Fault::After] {
        let mut failures = 0;
        for good in 0.. {
            let two = Two::with(2);
            let store = two.odd();
            let report = two.fill(Faulty::new(store.clone(), good, fault));
            let whole = two.whole();
            let Some(error) = report.error else {
                assert_eq!(whole, two.ids_here());
                break;
            };
            failures += 1;
            let said = format!("{error}");
            assert!(said.contains("packs/ghost-a.fr/") || said.contains("snapshots/ghost-a.fr/"), "{fault:?} {good}: {said}");
            assert!(said.contains("summoner sync attic"), "{said}");
            // What says that it was copied was; what was not is missing, and said to be.
            assert!(report.copied.iter().all(|id| whole.contains(id)));
            assert_eq!(report.copied.len() + report.missing.len(), 2, "{fault:?} {good}");
            let report = two.fill(store.clone());
            assert!(report.error.is_none(), "{fault:?} {good}: {:?}", report.error);
            assert_eq!(two.whole(), two.ids_here());
            let sent = store.sent.lock().unwrap().clone();
            assert_eq!(twice(&sent), Vec::<&String>::new(), "{fault:?} {good}");
        }
        assert!(failures > 8, "{fault:?} came {failures} times");
    }
}

#[test]
fn what_is_cut_there_is_found_and_sent_again() {
    let two = Two::with(2);
    let store = two.odd();
    store.cuts.store(1, Ordering::SeqCst);
    let report = two.fill(store.clone());
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(two.whole(), two.ids_here());
    assert_eq!(twice(&store.sent.lock().unwrap()).len(), 1);
    // One that never keeps what it is sent.
    let two = Two::with(1);
    let store = two.odd();
    store.cuts.store(u32::MAX, Ordering::SeqCst);
    let error = two.fill(store).error.unwrap();
    let said = format!("{error}");
    assert!(said.contains(".tar.zst: it does not lie there as it was sent"), "{said}");
    assert_eq!(two.whole(), []);
    // One that was cut later is seen by its size, and mended.
    assert!(two.fill(two.odd()).error.is_none());
    let id = two.ids_here().remove(0);
    let tree = two.place().join(format!("snapshots/{id}/tree.tar.zst"));
    fs::write(&tree, "half").unwrap();
    let report = two.fill(two.odd());
    assert_eq!((report.copied.as_slice(), report.error.is_none()), ([id].as_slice(), true));
    assert_eq!(two.whole(), two.ids_here());
}

#[test]
fn what_changed_there_is_found_by_reading_and_sent_again() {
    let two = Two::with(1);
    assert!(two.fill(two.odd()).error.is_none());
    let pack = fs::read_dir(two.place().join("packs/ghost-a.fr")).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "zst")).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[20] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    assert!(two.fill(two.odd()).copied.is_empty(), "its size is the same");
    let mut memory = two.memory();
    let seen = look(&Local::new(&two.place()), None, &memory).unwrap();
    let fault = check::copy(&two.there(), &seen.there[0], false, &mut memory, &|| Ok(())).unwrap().unwrap();
    assert!(fault.contains("its hash differs"), "{fault}");
    copies::save(&two.filling().layout, "attic", &memory).unwrap();
    let report = two.fill(two.odd());
    assert!(report.error.is_none() && report.copied.len() == 1, "{:?}", report.error);
    assert_eq!(two.whole(), two.ids_here());
    assert!(two.memory().broken.is_empty());
}

#[test]
fn a_list_that_lags_costs_reading_and_no_sending() {
    let mut two = Two::with(2);
    assert!(two.fill(two.odd()).error.is_none());
    let newest = two.backup();
    let store = Odd { lags: true, ..two.odd() };
    let report = two.fill(store.clone());
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(report.copied, [newest]);
    assert_eq!(twice(&store.sent.lock().unwrap()), Vec::<&String>::new());
    let shared = store.sent.lock().unwrap().iter().filter(|name| is_pack(name)).count();
    assert_eq!(shared, 1, "the packs that were there are not sent");
    // Nothing is forgotten because a list does not show what stays.
    two.keep = 1;
    let report = two.fill(Odd { lags: true, ..two.odd() });
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(two.whole(), two.ids_here()[2..]);
}

#[test]
fn packs_that_are_written_again_meanwhile_are_looked_for_once_more() {
    let two = Two::with(1);
    let here = Odd { inner: Local::new(&two.bed.path("backups")), ..two.odd() };
    here.vanishes.store(1, Ordering::SeqCst);
    let from = Repository::on(Arc::new(here.clone()), &two.bed.path("backups")).unwrap();
    let report = fill_from(&two.filling(), &from, two.odd());
    assert!(report.error.is_none(), "{:?}", report.error);
    here.vanishes.store(u32::MAX, Ordering::SeqCst);
    fs::remove_dir_all(two.place().join("packs")).unwrap();
    let said = format!("{}", fill_from(&two.filling(), &from, two.odd()).error.unwrap());
    assert!(said.contains("are being written again"), "{said}");
}

#[test]
fn what_is_damaged_here_does_not_go_there() {
    let two = Two::with(1);
    let pack = fs::read_dir(two.bed.path("backups/packs/ghost-a.fr")).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "zst")).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[20] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let report = two.fill(two.odd());
    let said = format!("{}", report.error.unwrap());
    assert!(said.contains("its hash differs") && said.contains("packs/ghost-a.fr/"), "{said}");
    assert_eq!((two.whole(), report.missing.len()), (vec![], 1));
}

/// Run by the test below in a process of its own, which dies on the way.
#[test]
#[ignore = "it is the victim of the test below"]
fn a_victim_fills_and_forgets() {
    let Some(folder) = std::env::var_os("SUMMONER_TEST_BED") else { return };
    let now = DateTime::from_timestamp(1_800_100_000, 0).unwrap();
    let report = fill(&filling(Path::new(&folder), now, 2, false), &|| Ok(()));
    assert!(report.error.is_none(), "{:?}", report.error);
}

#[test]
fn one_that_is_killed_at_any_step_is_finished_by_the_next() {
    let mut killed = 0;
    for step in (1..).step_by(2) {
        let mut two = Two::with(2);
        assert!(two.fill(two.odd()).error.is_none());
        two.backup();
        two.keep = 2;
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--exact", "sync::tests::faults::a_victim_fills_and_forgets", "--ignored", "--nocapture"]);
        victim.env("SUMMONER_TEST_BED", two.bed.folder.path()).env("SUMMONER_CRASH_AT", step.to_string());
        let output = victim.output().unwrap();
        // What is whole is whole to its last object, and the newest that was there stays.
        let whole = two.whole();
        assert!(whole.contains(&two.ids_here()[1]), "step {step}: {whole:?}");
        let report = two.fill(two.odd());
        assert!(report.error.is_none(), "step {step}: {:?}", report.error);
        assert_eq!(two.whole(), two.ids_here()[1..], "step {step}");
        let left = fs::read_dir(two.place().join("snapshots/ghost-a.fr")).unwrap().count();
        assert_eq!(left, 2, "step {step}");
        if output.status.success() {
            break;
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("crash point"), "{output:?}");
        killed += 1;
    }
    assert!(killed > 10, "{killed}");
}
