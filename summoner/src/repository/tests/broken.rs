//! Damage is named, marked, and healed by the next backup where the content is still there.

use super::*;

type Damage<'a> = &'a dyn Fn(&Bed, &SnapshotId);

/// What verify says after something was done to the newest snapshot's files.
fn fault(bed: &Bed, id: &SnapshotId) -> String {
    let fault = bed.repository().verify(id, false, bed.now).unwrap().fault.unwrap_or_default();
    let pack = bed.path("backups/packs/ghost-a.fr");
    let names = fs::read_dir(&pack).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.fold(fault, |text, name| text.replace(name.split('.').next().unwrap(), "PACK"))
}

fn pack(bed: &Bed) -> PathBuf {
    let folder = bed.path("backups/packs/ghost-a.fr");
    let packs = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    packs.filter(|path| path.to_string_lossy().ends_with(".tar.zst")).min().unwrap()
}

fn bed() -> (Bed, SnapshotId, Vec<String>) {
    let mut bed = Bed::new();
    everything(&bed.path("files"));
    let wanted = view(&bed.path("files"));
    let id = bed.backup().manifest.id;
    (bed, id, wanted)
}

#[test]
fn each_damage_to_a_snapshot_is_named() {
    let mut said = Vec::new();
    let damage: [Damage<'_>; 6] = [
        &|bed, id| fs::remove_file(bed.path(&format!("backups/snapshots/{id}/mysql.sql.zst"))).unwrap(),
        &|bed, id| fs::write(bed.path(&format!("backups/snapshots/{id}/mysql.sql.zst")), "short").unwrap(),
        &|bed, id| flip(&bed.path(&format!("backups/snapshots/{id}/tree.tar.zst"))),
        &|bed, _| flip(&pack(bed)),
        &|bed, _| fs::remove_file(pack(bed)).unwrap(),
        &|bed, id| fs::write(bed.path(&format!("backups/snapshots/{id}/manifest.json")), "<html>").unwrap(),
    ];
    for damage in damage {
        let (bed, id, _) = bed();
        damage(&bed, &id);
        said.push(fault(&bed, &id).split(" (missing").next().unwrap().to_owned());
    }
    insta::assert_snapshot!(said.join("\n"), @"
    the artefact mysql.sql.zst is missing
    the artefact mysql.sql.zst has 5 bytes instead of 23
    the artefact tree.tar.zst is not as it was written: its hash differs
    the pack packs/ghost-a.fr/PACK.tar.zst is not as it was written: its hash differs
    an object of files/app/another name is in no pack
    the manifest of the snapshot ghost-a.fr/20270115T090000Z cannot be used: its manifest is none
    ");
}

#[test]
fn damaged_manifests_are_listed_as_such_and_strangers_are_passed_over() {
    let (bed, id, _) = bed();
    let at = |name: &str| bed.path(&format!("backups/snapshots/ghost-a.fr/{name}"));
    let text = fs::read_to_string(at(&format!("{}/manifest.json", id.stamp()))).unwrap();
    let put = |time: &str, text: &str| {
        fs::create_dir(at(time)).unwrap();
        fs::write(at(&format!("{time}/manifest.json")), text).unwrap();
    };
    put("20270116T000000Z", &text.replace("\"version\": 1", "\"version\": 2"));
    put("20270117T000000Z", "not json");
    put("20270118T000000Z", &text);
    put("20270119T000000Z", "{\"version\": 1}");
    put("yesterday", &text);
    fs::create_dir(at("20270120T000000Z")).unwrap();
    fs::write(at("20270120T000000Z/tree.tar.zst"), "left by a crash").unwrap();
    fs::write(at("note"), "a stranger").unwrap();
    fs::write(bed.path("backups/packs/ghost-a.fr/note.txt"), "a stranger").unwrap();
    let (snapshots, damaged) = bed.repository().list(Some(&instance())).unwrap();
    assert_eq!(snapshots.len(), 1);
    let lines: Vec<String> = damaged.iter().map(|damaged| format!("{}: {}", damaged.name, damaged.why)).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    ghost-a.fr/20270116T000000Z: its manifest has version 2, and this Summoner reads up to 1
    ghost-a.fr/20270117T000000Z: its manifest is none
    ghost-a.fr/20270118T000000Z: its manifest is that of ghost-a.fr/20270115T090000Z
    ghost-a.fr/20270119T000000Z: its manifest is damaged: missing field `id` at line 1 column 14
    ghost-a.fr/yesterday: its folder is not named as a snapshot's is
    ");
    assert_eq!(bed.repository().verify(&id, true, bed.now).unwrap().fault, None);
}

#[test]
fn a_damaged_pack_is_healed_by_the_next_backup() {
    let (mut bed, first, wanted) = bed();
    flip(&pack(&bed));
    let into = bed.path("back");
    let error = bed.repository().extract(&first, &[("files/app".into(), into)], &[]).unwrap_err();
    assert!(error.message.contains("is damaged"), "{error}");
    assert!(bed.repository().verify_new(&first, bed.now).unwrap().fault.is_some());
    let second = bed.backup().manifest.id;
    assert_eq!(bed.repository().verify(&second, true, bed.now).unwrap().fault, None);
    bed.restores(&second, &wanted);
    // The same content gave the same pack, in the place of the damaged one: the first one is whole again.
    assert_eq!(bed.repository().verify(&first, true, bed.now).unwrap().fault, None);
}

#[test]
fn a_lost_or_damaged_list_is_made_again() {
    let (mut bed, first, wanted) = bed();
    let list = pack(&bed).with_extension("").with_extension("objects");
    let text = fs::read_to_string(&list).unwrap();
    let shorter = text.split_once('\n').unwrap().1.to_owned();
    for damage in [None, Some(shorter.as_str()), Some("garbage")] {
        match damage {
            None => fs::remove_file(&list).unwrap(),
            Some(damage) => fs::write(&list, damage).unwrap(),
        }
        bed.restores(&first, &wanted);
        assert_eq!(bed.backup().manifest.bytes_added, 0);
        assert_eq!(fs::read_to_string(&list).unwrap(), text);
    }
}

#[test]
fn a_folder_that_is_no_repository_or_a_newer_one_is_left_alone() {
    let (bed, id, wanted) = bed();
    assert_eq!(Repository::open(&bed.path("files")).err().unwrap().kind, Kind::NoRepository);
    let error = Repository::create_or_open(&bed.path("files"), bed.now).err().unwrap();
    assert!(error.message.ends_with("is to be the repository, and holds something else"), "{error}");
    let about = bed.path("backups/repository.json");
    let text = fs::read_to_string(&about).unwrap();
    fs::write(&about, text.replace("\"version\": 1", "\"version\": 2, \"colour\": \"red\"")).unwrap();
    let later = SnapshotId::new(instance(), bed.now + chrono::TimeDelta::hours(5));
    for error in [
        bed.repository().begin(later, Compression::Zstd).err().unwrap(),
        bed.repository().forget(std::slice::from_ref(&id), false).unwrap_err(),
    ] {
        assert!(error.message.ends_with("has version 2, and this Summoner writes up to 1"), "{error}");
    }
    assert_eq!(bed.repository().list(None).unwrap().0.len(), 1);
    bed.restores(&id, &wanted);
    fs::write(&about, "garbage").unwrap();
    let error = Repository::open(&bed.path("backups")).err().unwrap();
    assert!(error.message.starts_with("repository.json of the repository at "), "{error}");
}
