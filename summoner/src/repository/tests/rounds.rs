//! Backups and restores that go well.

use std::time::Duration;

use super::*;

#[test]
fn everything_comes_back_as_it_was() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut bed = Bed { compression, ..Bed::new() };
        everything(&bed.path("files"));
        let before = view(&bed.path("files"));
        for seen in ["user.a=b%=", "user.note=two", "system.posix_acl_access="] {
            assert!(before.iter().any(|line| line.contains(seen)), "{seen}: {before:?}");
        }
        let first = bed.backup();
        bed.restores(&first.manifest.id, &before);
        // Again, from what the first one saw: nothing new but the manifest.
        let second = bed.backup();
        assert_eq!(second.manifest.bytes_added, 0, "{:?}", second.manifest);
        bed.restores(&second.manifest.id, &before);
        for id in [first.manifest.id, second.manifest.id] {
            let verified = bed.repository().verify(&id, true, bed.now).unwrap();
            assert_eq!(verified.fault, None);
            assert!(bed.repository().snapshot(&id).unwrap().unwrap().is_good());
        }
    }
}

#[test]
fn each_night_costs_what_changed_and_each_restores() {
    let mut bed = Bed::new();
    let files = bed.path("files");
    everything(&files);
    let mut nights = Vec::new();
    for night in 0..4 {
        let text = format!("night {night}").repeat(100);
        fs::write(files.join("text"), &text).unwrap();
        fs::write(files.join(format!("new {night}")), &text).unwrap();
        if night == 2 {
            fs::remove_file(files.join("deep/noise")).unwrap();
            fs::rename(files.join("empty"), files.join("renamed")).unwrap();
            fs::remove_file(files.join("fifo")).unwrap();
            fs::create_dir(files.join("fifo")).unwrap();
        }
        if night == 3 {
            // A lost or damaged cache costs reading, nothing else.
            bed.seen = Seen::default();
        }
        let wanted = view(&files);
        let snapshot = bed.backup();
        assert!(night == 0 || snapshot.manifest.bytes_added < 10_000, "{}", snapshot.manifest.bytes_added);
        nights.push((snapshot.manifest.id, wanted));
    }
    for (id, wanted) in &nights {
        bed.restores(id, wanted);
    }
}

#[test]
fn a_change_that_hides_its_time_is_seen_and_settled_files_are_not_read_again() {
    let mut bed = Bed::new();
    let files = bed.path("files");
    fs::write(files.join("a"), "one").unwrap();
    fs::write(files.join("b"), "two").unwrap();
    let time = fs::metadata(files.join("a")).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    bed.backup();
    // The same size, inode and mtime.
    let file = fs::File::options().write(true).open(files.join("a")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"ONE", 0).unwrap();
    file.set_modified(time).unwrap();
    let repository = bed.repository();
    bed.now += chrono::TimeDelta::hours(1);
    let draft = repository.begin(SnapshotId::new(instance(), bed.now), Compression::Zstd).unwrap();
    let mut packs = draft.packer().unwrap();
    let mut capture = Capture::begin(bed.roots(), bed.seen.clone());
    capture.live(&mut packs, &|| Ok(())).unwrap();
    let totals = capture.still(&draft.folder().join("staging"), &|| Ok(())).unwrap();
    // What was written within the last seconds is copied again, whatever the live pass read.
    assert_eq!((totals.files, totals.copied_files, totals.copied_bytes, totals.moving_files), (2, 1, 3, 0));
    draft.abandon("a test").unwrap();
    assert!(fs::read_to_string(bed.path("backups/failed/ghost-a.fr/why.txt")).unwrap().contains("a test"));
    let wanted = view(&files);
    let id = bed.backup().manifest.id;
    bed.restores(&id, &wanted);
}

#[test]
fn what_changes_between_the_passes_and_behind_the_back_is_as_it_stood_still() {
    let mut bed = Bed::new();
    let files = bed.path("files");
    for name in ["changes", "goes", "stays"] {
        fs::write(files.join(name), name).unwrap();
    }
    let repository = bed.repository();
    bed.now += chrono::TimeDelta::hours(1);
    let draft = repository.begin(SnapshotId::new(instance(), bed.now), Compression::Zstd).unwrap();
    let mut packs = draft.packer().unwrap();
    let mut capture = Capture::begin(bed.roots(), Seen::default());
    capture.live(&mut packs, &|| Ok(())).unwrap();
    fs::write(files.join("changes"), "CHANGED").unwrap();
    fs::write(files.join("comes"), "new").unwrap();
    fs::remove_file(files.join("goes")).unwrap();
    capture.still(&draft.folder().join("staging"), &|| Ok(())).unwrap();
    let stood_still = view(&files);
    // The application runs again.
    fs::write(files.join("changes"), "later").unwrap();
    fs::remove_file(files.join("comes")).unwrap();
    let mut sink = draft.create(TREE).unwrap();
    let captured = capture.finish(&mut packs, &mut sink, &|| Ok(())).unwrap();
    let stored = sink.finish().unwrap();
    packs.finish().unwrap();
    assert_eq!((captured.files, captured.others), (3, 1));
    let index = Index::load(&repository.backend, &instance()).unwrap();
    let place = bed.path("back");
    archive::extract(&|| draft.read(&stored), &index, &[("files/app".into(), place.clone())], &[]).unwrap();
    assert_eq!(view(&place), stood_still);
}

#[test]
fn what_cannot_or_need_not_be_kept_is_left_out_and_said() {
    let mut bed = Bed::new();
    let files = bed.path("files");
    fs::create_dir(files.join("cache")).unwrap();
    fs::write(files.join("cache/made again"), "x").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(files.join("mysqld.sock")).unwrap();
    let roots = vec![Root { leave_out: vec![files.join("cache")], ..bed.roots().remove(0) }];
    bed.now += chrono::TimeDelta::hours(1);
    let draft = bed.repository().begin(SnapshotId::new(instance(), bed.now), Compression::Zstd).unwrap();
    let mut capture = Capture::begin(roots, Seen::default());
    capture.still(&draft.folder().join("staging"), &|| Ok(())).unwrap();
    let captured = capture.finish(&mut draft.packer().unwrap(), &mut Vec::new(), &|| Ok(())).unwrap();
    assert_eq!((captured.files, captured.others), (0, 2));
    assert_eq!(captured.notes, ["files/app/mysqld.sock is a socket and was left out"]);
}

#[test]
fn a_pause_that_lasts_too_long_is_stopped_and_the_draft_is_none() {
    let mut bed = Bed::new();
    fs::write(bed.path("files/large"), vec![7; 40 << 20]).unwrap();
    bed.now += chrono::TimeDelta::hours(1);
    let id = SnapshotId::new(instance(), bed.now);
    let draft = bed.repository().begin(id.clone(), Compression::Zstd).unwrap();
    let asked = std::cell::Cell::new(0);
    let cancel = || {
        asked.set(asked.get() + 1);
        if asked.get() > 2 { Err(Error::new(Kind::Interrupted, "the pause lasts too long")) } else { Ok(()) }
    };
    let mut capture = Capture::begin(bed.roots(), Seen::default());
    // Also in the middle of a file.
    let error = capture.still(&draft.folder().join("staging"), &cancel).unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
    drop((capture, draft));
    assert!(bed.repository().snapshot(&id).unwrap().is_none());
    bed.backup();
    assert!(!bed.path(&format!("backups/snapshots/{id}.part")).exists());
}

#[test]
fn a_root_that_is_missing_fails_and_one_that_is_a_file_comes_back() {
    let mut bed = Bed::new();
    let mut capture = Capture::begin(vec![Root { path: bed.path("none"), ..bed.roots().remove(0) }], Seen::default());
    let error = capture.still(&bed.path("staging"), &|| Ok(())).unwrap_err();
    assert!(error.message.ends_with("/none"), "{error}");
    fs::remove_dir(bed.path("files")).unwrap();
    fs::write(bed.path("files"), "one file").unwrap();
    let id = bed.backup().manifest.id;
    bed.restores(&id, &view(&bed.path("files")));
}

#[test]
fn parts_come_back_alone_also_under_their_other_name() {
    let mut bed = Bed::new();
    everything(&bed.path("files"));
    let id = bed.backup().manifest.id;
    let only = |paths: &[&str]| {
        let into = tempfile::tempdir().unwrap();
        let place = into.path().join("back");
        let only: Vec<Vec<u8>> = paths.iter().map(|path| format!("files/app/{path}").into_bytes()).collect();
        let totals = bed.repository().extract(&id, &[("files/app".into(), place.clone())], &only);
        totals.map(|totals| (totals, view(&place))).map_err(|error| error.message)
    };
    let whole = view(&bed.path("files"));
    let (totals, lines) = only(&["zzz", "deep/er"]).unwrap();
    assert_eq!((totals.files, totals.bytes), (2, 3_000_000 + 9_000_001));
    let names: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["", "deep", "deep/er", "deep/er/est", "deep/er/holes", "zzz"]);
    // Folders above have their own owner, mode and times too.
    assert!(whole.contains(&lines[1]) && whole.contains(&lines[4]), "{lines:?}");
    let (_, lines) = only(&["another name", "zzz"]).unwrap();
    assert!(lines[1].ends_with("= another\\x20name") || lines[1].contains("= another name"), "{lines:?}");
    assert_eq!(only(&["none"]).unwrap_err(), "the snapshot holds nothing at files/app/none");
    let occupied = bed.repository().extract(&id, &[("files/app".into(), bed.path("files"))], &[]).unwrap_err();
    assert!(occupied.message.contains("is occupied"), "{occupied}");
}

#[test]
fn one_writes_at_a_time_and_nobody_forgets_meanwhile() {
    let mut bed = Bed::new();
    let id = bed.backup().manifest.id;
    let repository = bed.repository();
    let draft = repository.begin(SnapshotId::new(instance(), bed.now + chrono::TimeDelta::hours(9)), Compression::Zstd).unwrap();
    let second = repository.begin(SnapshotId::new(instance(), bed.now + chrono::TimeDelta::hours(10)), Compression::Zstd);
    assert_eq!(second.err().unwrap().kind, Kind::Locked);
    assert_eq!(repository.forget(std::slice::from_ref(&id), false).unwrap_err().kind, Kind::Locked);
    // Reading goes on.
    assert_eq!(repository.verify(&id, true, bed.now).unwrap().fault, None);
    drop(draft);
    let error = repository.begin(id.clone(), Compression::Zstd).err().unwrap();
    assert_eq!(error.message, format!("there is a snapshot {id} already"));
}

#[test]
fn a_cache_is_kept_and_a_damaged_one_is_none() {
    let mut bed = Bed::new();
    everything(&bed.path("files"));
    bed.backup();
    let path = bed.path("cache/ghost-a.fr.seen");
    bed.seen.save(&path).unwrap();
    assert!(!bed.seen.is_empty());
    assert_eq!(Seen::load(&path), bed.seen);
    flip(&path);
    assert_eq!(Seen::load(&path), Seen::default());
    assert_eq!(Seen::load(&bed.path("none")), Seen::default());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 10, failure_persistence: None, ..Default::default() })]

    /// Whatever is done to a folder, each snapshot restores what was there.
    #[test]
    fn any_history_of_a_folder_restores(steps in proptest::collection::vec((0..7u8, 0..12usize, 0..12usize, 0..2_500_000usize, 0..=0o7777u32), 1..24)) {
        let mut bed = Bed::new();
        let files = bed.path("files");
        let mut nights = Vec::new();
        for (index, (what, a, b, size, mode)) in steps.iter().enumerate() {
            step(&files, *what, *a, *b, *size, *mode);
            if index % 8 == 7 || index + 1 == steps.len() {
                let wanted = view(&files);
                nights.push((bed.backup().manifest.id, wanted));
            }
        }
        for (id, wanted) in &nights {
            bed.restores(id, wanted);
        }
    }
}

/// Does something to a folder; what is not possible there is passed over.
fn step(files: &Path, what: u8, a: usize, b: usize, size: usize, mode: u32) {
    use std::os::unix::ffi::OsStrExt;
    const NAMES: [&[u8]; 12] = [b"a", b"a/a", b"a/b", b"a.b", b"b", b"b/\xff", b"b/c", b"b/c/d", b"\n", b"a-", b"c", b"c/ c"];
    let at = |n: usize| files.join(std::ffi::OsStr::from_bytes(NAMES[n]));
    let content: Vec<u8> = (0..size).map(|n| if n > 1_100_000 { 0 } else { (n >> 3) as u8 ^ b as u8 }).collect();
    let done = match what {
        0 => fs::create_dir(at(a)),
        1 | 2 => fs::write(at(a), content),
        3 => fs::hard_link(at(a), at(b)),
        4 => symlink(at(b), at(a)),
        5 => fs::remove_file(at(a)).or_else(|_| fs::remove_dir_all(at(a))),
        _ => fs::rename(at(a), at(b)),
    };
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    if done.is_ok() && fs::symlink_metadata(at(a)).is_ok_and(|found| !found.is_symlink()) {
        fs::set_permissions(at(a), mode).unwrap();
    }
}
