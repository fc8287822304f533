//! Whatever fails or dies at whatever step: what was good stays good, and the next backup works.

use std::process::Command;

use super::*;
use crate::backend::faulty::{Fault, Faulty};

/// A bed with one good snapshot and something new to back up.
fn bed() -> (Bed, SnapshotId, Vec<String>) {
    let mut bed = Bed::new();
    fs::write(bed.path("files/old"), "x".repeat(5000)).unwrap();
    fs::write(bed.path("files/gone"), "y".repeat(90_000)).unwrap();
    let wanted = view(&bed.path("files"));
    let id = bed.backup().manifest.id;
    fs::remove_file(bed.path("files/gone")).unwrap();
    fs::write(bed.path("files/new"), "z".repeat(7000)).unwrap();
    (bed, id, wanted)
}

/// Every snapshot that is listed reads back, and nothing is damaged.
fn all_good(bed: &Bed) -> Vec<SnapshotId> {
    let (snapshots, damaged) = bed.repository().list(None).unwrap();
    assert_eq!(damaged, []);
    let ids: Vec<SnapshotId> = snapshots.into_iter().map(|snapshot| snapshot.manifest.id).collect();
    for id in &ids {
        assert_eq!(bed.repository().verify(id, true, bed.now).unwrap().fault, None, "{id}");
    }
    ids
}

fn after(bed: &mut Bed, old: Option<(&SnapshotId, &[String])>) {
    let ids = all_good(bed);
    if let Some((id, wanted)) = old {
        assert!(ids.contains(id));
        bed.restores(id, wanted);
    }
    let wanted = view(&bed.path("files"));
    let id = bed.backup().manifest.id;
    bed.restores(&id, &wanted);
    all_good(bed);
    let parts = fs::read_dir(bed.path("backups/snapshots/ghost-a.fr")).unwrap();
    assert!(parts.map(|entry| entry.unwrap().file_name()).all(|name| !name.to_string_lossy().ends_with(".part")));
}

#[test]
fn a_backup_whose_n_th_write_fails_changes_nothing_that_was_good() {
    for fault in [Fault::Full, Fault::Short, Fault::After] {
        for good in 0.. {
            let (mut bed, old, wanted) = bed();
            let root = bed.path("backups");
            let backend = Arc::new(Faulty::new(Local::new(&root), good, fault));
            let repository = Repository::on(backend, &root).unwrap();
            let result = bed.backup_to(&repository);
            bed.now += chrono::TimeDelta::hours(1);
            after(&mut bed, Some((&old, &wanted)));
            if result.is_ok() {
                assert!(good > 1, "{fault:?} never came");
                break;
            }
        }
    }
}

#[test]
fn forgetting_whose_n_th_step_fails_leaves_the_others_good() {
    for fault in [Fault::Full, Fault::After] {
        for good in 0.. {
            let (mut bed, old, _) = bed();
            let wanted = view(&bed.path("files"));
            let second = bed.backup().manifest.id;
            let root = bed.path("backups");
            let repository = Repository::on(Arc::new(Faulty::new(Local::new(&root), good, fault)), &root).unwrap();
            let result = repository.forget(std::slice::from_ref(&old), false);
            after(&mut bed, Some((&second, &wanted)));
            bed.repository().forget(&[old], false).unwrap();
            after(&mut bed, Some((&second, &wanted)));
            if result.is_ok() {
                assert!(good > 3, "{fault:?} never came");
                break;
            }
        }
    }
}

/// Run by the test below in a process of its own, which dies on the way.
#[test]
#[ignore = "it is the victim of the test below"]
fn a_victim_backs_up_and_forgets() {
    let Some(folder) = std::env::var_os("SUMMONER_TEST_BED") else { return };
    let repository = Repository::open(&Path::new(&folder).join("backups")).unwrap();
    let old = repository.list(None).unwrap().0.remove(0);
    let mut bed = Bed::new();
    bed.now = old.manifest.ended_at;
    fs::remove_dir(bed.path("files")).unwrap();
    symlink(Path::new(&folder).join("files"), bed.path("files")).unwrap();
    bed.backup_to(&repository).unwrap();
    repository.forget(&[old.manifest.id], false).unwrap();
}

#[test]
fn a_backup_and_a_forgetting_that_are_killed_at_any_step_leave_what_was_good() {
    let mut killed = 0;
    for step in 1.. {
        let (mut bed, old, wanted) = bed();
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--exact", "repository::tests::faults::a_victim_backs_up_and_forgets", "--ignored", "--nocapture"]);
        victim.env("SUMMONER_TEST_BED", bed.folder.path()).env("SUMMONER_CRASH_AT", step.to_string());
        let output = victim.output().unwrap();
        bed.now += chrono::TimeDelta::hours(2);
        let there = bed.repository().list(None).unwrap().0.len();
        assert!(there >= 1, "step {step}: no snapshot is left");
        let is_old = bed.repository().snapshot(&old).unwrap().is_some();
        after(&mut bed, is_old.then_some((&old, &wanted)));
        if output.status.success() {
            assert!(!is_old);
            break;
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("crash point"), "{output:?}");
        killed += 1;
    }
    assert!(killed > 10, "{killed}");
}
