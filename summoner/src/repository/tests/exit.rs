//! The way out: the shipped script restores what Summoner restores, with stock tools alone.

use std::process::Command;

use super::*;

#[test]
fn the_shipped_script_restores_with_stock_tools_alone() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut bed = Bed { compression, ..Bed::new() };
        everything(&bed.path("files"));
        let before = view(&bed.path("files"));
        let id = bed.backup().manifest.id;
        fs::write(bed.path("files/text"), "another text").unwrap();
        bed.backup();
        let script = bed.path("backups/restore.sh");
        let run = |arguments: &[&str]| {
            let output = Command::new("sh").arg(&script).args(arguments).env("LC_ALL", "C").output().unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let listed = run(&[]);
        assert_eq!(listed.1, "ghost-a.fr/20270115T090000Z\nghost-a.fr/20270115T100000Z\n", "{listed:?}");
        let target = bed.path("by-hand");
        let restored = run(&[&id.to_string(), target.to_str().unwrap()]);
        // What tar says about times that are far off is no matter.
        assert!(restored.0 && restored.2.lines().all(|line| line.contains("time stamp")), "{restored:?}");
        assert_eq!(view(&target.join("files/app")), before);
        assert_eq!(fs::read_to_string(target.join("mysql.sql")).unwrap(), "-- a dump\n");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 2);
        let again = run(&[&id.to_string(), target.to_str().unwrap()]);
        assert!(!again.0 && again.2.contains("is there already"), "{again:?}");
        // A damaged artefact is named.
        let dump = bed.path(&format!("backups/snapshots/{id}/mysql.sql.{}", compression.ending()));
        flip(&dump);
        let refused = run(&[&id.to_string(), bed.path("other").to_str().unwrap()]);
        assert!(!refused.0 && refused.2.contains("is damaged"), "{refused:?}");
    }
}

/// A repository of the first version, written by the first release, opens for ever.
#[test]
fn a_repository_of_version_1_opens_and_restores() {
    let bed = Bed::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repository-v1");
    // Opening takes locks, which are files: the fixture itself is left alone.
    let copied = Command::new("cp").arg("-r").arg(&fixture).arg(bed.path("backups")).status().unwrap();
    assert!(copied.success());
    let (snapshots, damaged) = bed.repository().list(None).unwrap();
    assert_eq!((snapshots.len(), damaged), (2, vec![]));
    let ids: Vec<&SnapshotId> = snapshots.iter().map(|snapshot| &snapshot.manifest.id).collect();
    for id in &ids {
        assert_eq!(bed.repository().verify(id, true, bed.now).unwrap().fault, None);
    }
    let place = bed.path("back");
    bed.repository().extract(ids[0], &[("files/app".into(), place.clone())], &[]).unwrap();
    insta::assert_snapshot!(view(&place).join("\n"), @r#"
     40755 (0, 0) 0 (1790000000, 123456789)  []
    config.json 100600 (0, 0) 24 (1790000000, 123456789) d864de2a671b825a5b25f17495ea89c1a9737ecbcc6ffb77afd98a1718494e16 [] = config.json
    content 40755 (999, 999) 0 (1790000000, 123456789)  ["user.note=kept"]
    content/images 40755 (0, 0) 0 (1790000000, 123456789)  []
    content/images/n\xc3\xa4me 100644 (0, 0) 10 (1790000000, 123456789) 4be03b812f1f04284e6e69ea2426be3e933fc2c6b771ccabf57aff9670c8b2ac []
    empty 100644 (0, 0) 0 (1790000000, 123456789) e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 []
    holes 100644 (0, 0) 2500000 (1790000000, 123456789) 90685e576954da5f527ee95141a9f05b5b471fa81d2c6b8817d6054d32b700b3 []
    link 120777 (0, 0) 0 (1790000000, 123456789) -> content/images []
    other 100600 (0, 0) 24 (1790000000, 123456789) d864de2a671b825a5b25f17495ea89c1a9737ecbcc6ffb77afd98a1718494e16 [] = config.json
    "#);
}
