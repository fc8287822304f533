//! The way back: from the place alone.

use super::*;

#[test]
fn a_snapshot_comes_back_when_nothing_is_left_here() {
    let mut two = Two::with(2);
    let wanted = view(&two.bed.path("files"));
    let newest = two.ids_here().pop().unwrap();
    assert!(two.fill(two.odd()).error.is_none());
    fs::remove_dir_all(two.bed.path("backups")).unwrap();
    let here = Repository::create_or_open(&two.bed.path("backups"), two.bed.now).unwrap();
    let received = here.receive(&two.there(), &newest, two.bed.now, &|| Ok(())).unwrap();
    assert!(received.blobs > 2 && received.bytes > 0);
    two.bed.restores(&newest, &wanted);
    assert_eq!(here.receive(&two.there(), &newest, two.bed.now, &|| Ok(())).unwrap().blobs, 0, "it is here");
    // The next backup goes on from there, and what is there is not sent again.
    two.bed.now += chrono::TimeDelta::days(1);
    two.backup();
    let store = two.odd();
    let report = two.fill(store.clone());
    assert!(report.error.is_none() && report.copied.len() == 1, "{report:?}");
    assert_eq!(two.whole().len(), 3);
    assert_eq!(instance(), newest.instance);
}

#[test]
fn what_is_damaged_there_does_not_come_here() {
    let two = Two::with(1);
    let id = two.ids_here().remove(0);
    assert!(two.fill(two.odd()).error.is_none());
    let dump = two.place().join(format!("snapshots/{id}/mysql.sql.zst"));
    let mut bytes = fs::read(&dump).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&dump, &bytes).unwrap();
    fs::remove_dir_all(two.bed.path("backups")).unwrap();
    let here = Repository::create_or_open(&two.bed.path("backups"), two.bed.now).unwrap();
    let said = format!("{}", here.receive(&two.there(), &id, two.bed.now, &|| Ok(())).unwrap_err());
    assert!(said.contains("mysql.sql.zst") && said.contains("its hash differs"), "{said}");
    assert!(here.snapshot(&id).unwrap().is_none());
    assert_eq!(check::chosen(&look(&Local::new(&two.place()), None, &Memory::new()).unwrap(), &["ghost".into()]).len(), 1);
}
