//! Data that is lost comes back: real applications on their real databases, backed up, destroyed, restored, and read.
//!
//! Ghost, WordPress and Etherpad hold real text; contract images stand for what needs MongoDB and what stands still
//! without a stop.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod support;
mod text;

use std::fs;

use serde_json::Value;
use support::Bed;
use text::Written;

/// Takes an instance's containers, files and databases away, as a bad morning does. Secrets too: they are in the snapshot.
fn destroy(bed: &Bed, app: &str) {
    let id = bed.id(app);
    for name in bed.containers().iter().filter(|name| name.ends_with(&id)) {
        bed.docker(&["rm", "-f", "-v", name]);
    }
    let root = bed.root();
    for folder in [root.join(&id), root.join("summoner/secrets").join(&id)] {
        fs::remove_dir_all(folder).unwrap();
    }
    for entry in fs::read_dir(root.join("database")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().ends_with(&id) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

fn snapshots(bed: &Bed) -> Vec<Value> {
    let said = bed.ok(&["snapshots", "--json"]);
    let all: Value = serde_json::from_str(&said.out).unwrap();
    all["snapshots"].as_array().unwrap().clone()
}

/// Write, back up, write more, destroy, restore: what was written before is there, what came after is not.
fn round_trip(app: &str, write: fn(&Bed, &str) -> Written) {
    let bed = Bed::new(&format!("back{app}"));
    bed.config(&format!("  {app}:\n"));
    bed.ok(&["install"]);
    let kept = write(&bed, "kept before the backup");
    bed.ok(&["backup", app]);
    let taken = snapshots(&bed);
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0]["verified_at"].is_string() && taken[0]["consistency"] == "application", "{}", taken[0]);
    kept.assert_there(&bed);
    let later = write(&bed, "written after it");

    destroy(&bed, app);
    let said = bed.ok(&["restore", app]);
    assert!(said.out.contains("summoner restore --confirm"), "{}", said.out);
    kept.assert_there(&bed);
    later.assert_gone(&bed);
    bed.assert_nothing_to_do("a restore");
    assert!(bed.containers().iter().all(|name| !name.ends_with("_restore")), "{:?}", bed.containers());
}

#[test]
fn ghost_comes_back() {
    round_trip("ghost", text::ghost);
}

#[test]
fn wordpress_comes_back() {
    round_trip("wordpress", text::wordpress);
}

#[test]
fn etherpad_comes_back() {
    round_trip("etherpad", text::etherpad);
}

#[test]
fn an_application_on_mongodb_comes_back() {
    round_trip("wekan", text::contract);
}

#[test]
fn an_application_that_stands_still_without_a_stop_comes_back() {
    round_trip("nextcloud", text::contract);
}

/// A restore over live data: the present state is a snapshot first, what is replaced is kept, and undo brings it back.
#[test]
fn a_restore_is_undone() {
    let bed = Bed::new("undo");
    bed.config("  nextcloud:\n");
    bed.ok(&["install"]);
    let first = text::contract(&bed, "first");
    bed.ok(&["backup", "nextcloud"]);
    let second = text::contract(&bed, "second");

    let said = bed.ok(&["restore", "nextcloud"]);
    first.assert_there(&bed);
    second.assert_gone(&bed);
    assert_eq!(snapshots(&bed).iter().filter(|snapshot| snapshot["purpose"] == "pre-restore").count(), 1, "{}", said.err);
    let again = bed.run(&["restore", "nextcloud"]);
    assert_eq!(again.code, 2, "{}", again.err);
    again.assert_says(&["is not confirmed yet", "--confirm", "--undo"]);

    bed.ok(&["restore", "--undo", "nextcloud"]);
    first.assert_there(&bed);
    second.assert_there(&bed);
    bed.ok(&["restore", "--confirm", "nextcloud"]);
    second.assert_there(&bed);
    let beside: Vec<_> = fs::read_dir(bed.root()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(beside.iter().all(|name| !name.to_string_lossy().starts_with(".restore-")), "{beside:?}");
}

/// The old state comes back by itself when the restored one does not come up.
#[test]
fn a_restore_that_fails_leaves_everything_as_it_was() {
    let bed = Bed::new("fails");
    bed.config("  nextcloud:\n");
    bed.ok(&["install"]);
    text::contract(&bed, "of the snapshot");
    bed.ok(&["backup", "nextcloud"]);
    let newer = text::contract(&bed, "newer");
    // Nothing of this can be read by the application: it ends at once.
    let id = bed.id("nextcloud");
    let before = fs::read_dir(bed.root().join(&id)).unwrap().count();
    let said = bed.run(&["restore", "nextcloud", "--only", "html/no/such/file"]);
    assert_eq!(said.code, 2, "{}", said.err);
    said.assert_says(&["holds no", "nothing that is live was touched"]);
    newer.assert_there(&bed);
    assert_eq!(fs::read_dir(bed.root().join(&id)).unwrap().count(), before);
    damage(&bed);
    let said = bed.run(&["restore", "nextcloud"]);
    assert_eq!(said.code, 1, "{}", said.err);
    said.assert_says(&["is damaged and was not restored", "summoner snapshots"]);
    newer.assert_there(&bed);
    let said = bed.run(&["verify"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("DAMAGED"), "{}", said.out);
    let status = bed.run(&["status"]);
    assert_eq!(status.code, 3, "{}", status.out);
    assert!(status.out.contains("is damaged"), "{}", status.out);
}

/// Flips one byte in the middle of each artefact of each dump.
fn damage(bed: &Bed) {
    let folder = bed.root().join("backups/snapshots").join(bed.id("nextcloud"));
    for snapshot in fs::read_dir(folder).unwrap().flatten() {
        let path = snapshot.path().join("mariadb.sql.zst");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
}
