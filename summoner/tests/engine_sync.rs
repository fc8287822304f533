//! On the real engine: a backup goes to the other place by itself, a copy that fails is a failed run, and an app comes back
//! from there when the host's own repository is gone.

mod support;

use std::fs;

use support::Bed;

#[test]
fn an_app_comes_back_from_the_other_place_alone() {
    let bed = Bed::new("offsite");
    bed.config("  statik:\n");
    let config = bed.path().join("config.yml");
    let attic = bed.path().join("attic");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("repositories: {{attic: {}}}\n{text}", attic.display())).unwrap();
    bed.ok(&["install"]);
    let page = bed.root().join(bed.id("statik")).join("html/index.html");
    fs::write(&page, "kept elsewhere").unwrap();

    // The disk is full of something else: the snapshot is good here, and the run has failed.
    fs::create_dir(&attic).unwrap();
    fs::write(attic.join("strange"), "").unwrap();
    let said = bed.run(&["backup", "statik"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    said.assert_says(&["what was taken is good here, and its copy failed", "summoner sync attic"]);
    fs::remove_file(attic.join("strange")).unwrap();
    bed.ok(&["backup", "--scheduled", "statik"]).assert_says(&["is at attic too"]);
    let at_attic = || bed.ok(&["snapshots"]).out.lines().filter(|line| line.ends_with("attic")).count();
    assert_eq!(at_attic(), 2, "what was missing went along");

    // The disk is gone for a while. The schedule tries again: what was taken is carried, and nothing is taken anew.
    let unplugged = bed.path().join("unplugged");
    fs::rename(&attic, &unplugged).unwrap();
    let said = bed.run(&["backup", "--scheduled", "statik"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert_eq!((at_attic(), bed.ok(&["snapshots"]).out.lines().count()), (2, 4));
    fs::rename(&unplugged, &attic).unwrap();
    bed.ok(&["backup", "--scheduled", "--again", "statik"]);
    assert_eq!((at_attic(), bed.ok(&["snapshots"]).out.lines().count()), (3, 4));

    fs::write(&page, "lost").unwrap();
    fs::remove_dir_all(bed.root().join("backups")).unwrap();
    let said = bed.ok(&["restore", "statik", "--from", "attic", "--dry-run"]);
    assert!(said.out.contains("swap"), "{}", said.out);
    assert!(!bed.root().join("backups").exists());
    bed.ok(&["restore", "statik", "--from", "attic"]).assert_says(&["is here and was read back"]);
    assert_eq!(fs::read_to_string(&page).unwrap(), "kept elsewhere");
    assert_eq!(bed.get("www", "/").1.trim(), "kept elsewhere");
    bed.assert_nothing_to_do("a restore from elsewhere");
}
