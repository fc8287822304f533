//! Forgetting frees what nothing needs, and only that.

use super::*;

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Three nights; the first one has a large file that the others do not need.
fn three(bed: &mut Bed) -> Vec<(SnapshotId, Vec<String>)> {
    let files = bed.path("files");
    fs::write(files.join("stays"), noise(1, 300_000)).unwrap();
    fs::write(files.join("goes"), noise(2, 2_000_000)).unwrap();
    let mut nights = Vec::new();
    for night in 0..3 {
        fs::write(files.join("changes"), noise(10 + night, 100_000)).unwrap();
        let wanted = view(&files);
        nights.push((bed.backup().manifest.id, wanted));
        if night == 0 {
            fs::remove_file(files.join("goes")).unwrap();
        }
    }
    nights
}

fn packs(bed: &Bed) -> Vec<(String, u64)> {
    let blobs = bed.repository().backend.list("packs/").unwrap();
    blobs.into_iter().filter(|blob| blob.name.contains(".tar.")).map(|blob| (blob.name, blob.bytes)).collect()
}

#[test]
fn a_forgotten_snapshot_frees_what_only_it_had() {
    let mut bed = Bed::new();
    let nights = three(&mut bed);
    let before = (packs(&bed), bed.repository().space().unwrap());
    let ids = [nights[0].0.clone(), nights[1].0.clone()];
    let dry = bed.repository().forget(&ids, true).unwrap();
    assert_eq!((packs(&bed), bed.repository().list(None).unwrap().0.len()), (before.0.clone(), 3));
    let freed = bed.repository().forget(&ids, false).unwrap();
    assert_eq!((dry, freed.snapshots, freed.packs_removed, freed.packs_rewritten), (freed, 2, 1, 1));
    let after = bed.repository().space().unwrap();
    assert!(after.packs < 500_000 && before.1.packs > 2_000_000, "{before:?} {after:?}");
    let (left, damaged) = bed.repository().list(None).unwrap();
    assert_eq!((left.len(), damaged), (1, vec![]));
    // The pack that its manifest names is another one now, and it is as good as before.
    assert_eq!(bed.repository().verify(&nights[2].0, true, bed.now).unwrap().fault, None);
    bed.restores(&nights[2].0, &nights[2].1);
    assert!(!bed.path("backups/snapshots/ghost-a.fr/rewrite.part").exists());
    // The next night finds everything there, though the cache is older than the packs.
    assert_eq!(bed.backup().manifest.bytes_added, 0);
}

#[test]
fn forgetting_the_last_one_leaves_nothing() {
    let mut bed = Bed::new();
    let ids: Vec<SnapshotId> = three(&mut bed).into_iter().map(|night| night.0).collect();
    bed.repository().forget(&ids, false).unwrap();
    assert_eq!(packs(&bed), []);
    assert_eq!(bed.repository().backend.list("snapshots/").unwrap(), []);
}

#[test]
fn nothing_is_freed_that_a_snapshot_may_need_which_cannot_be_read() {
    let mut bed = Bed::new();
    let nights = three(&mut bed);
    fs::write(bed.path(&format!("backups/snapshots/{}/manifest.json", nights[1].0)), "garbage").unwrap();
    let before = packs(&bed);
    let error = bed.repository().forget(&[nights[0].0.clone()], false).unwrap_err();
    assert!(error.message.contains("no pack is freed"), "{error}");
    assert_eq!(packs(&bed), before);
    // The damaged one can be forgotten, and frees then.
    bed.repository().forget(&[nights[1].0.clone()], false).unwrap();
    assert_ne!(packs(&bed), before);
    bed.restores(&nights[2].0, &nights[2].1);
}
