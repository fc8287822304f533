//! The other places as a person meets them: filled, listed, read back and, when nothing is left here, all that there is.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Bed, Said};

const OLD: &str = "ghost-a.fr/20270115T090000Z";
const NEW: &str = "ghost-a.fr/20270115T100000Z";

/// A host whose backups were taken by somebody else, and another place; no engine answers.
fn bed() -> Bed {
    let mut bed = Bed::new("sync");
    bed.domain = "a.fr".into();
    bed.config("  ghost:\n");
    let config = bed.path().join("config.yml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, format!("timezone: UTC\nrepositories: {{attic: {}}}\n{text}", attic(&bed).display())).unwrap();
    bed.environment =
        vec![("SUMMONER_NOW".into(), "2027-01-15T12:00:00Z".into()), ("DOCKER_HOST".into(), "unix:///nowhere/docker.sock".into())];
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repository-v1"), &bed.root().join("backups"));
    fs::create_dir(attic(&bed)).unwrap();
    bed.ok(&["verify"]);
    bed
}

fn attic(bed: &Bed) -> PathBuf {
    bed.path().join("attic")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { _ = fs::copy(from, to).unwrap() }
    }
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).unwrap()
}

fn says(said: &Said, words: &[&str]) {
    let all = format!("{}{}", said.out, said.err);
    for word in words {
        assert!(all.contains(word), "`{word}` is not in:\n{all}");
    }
}

#[test]
fn the_other_place_is_filled_listed_and_read_back() {
    let bed = bed();
    let said = bed.ok(&["sync", "--dry-run"]);
    says(&said, &[&format!("attic: {NEW} is missing: it is not there"), OLD]);
    assert!(!attic(&bed).join("repository.json").exists());
    let said = bed.ok(&["sync"]);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    assert!(said.out.contains("attic       2 "), "{}", said.out);
    let said = json(&bed.ok(&["sync", "attic", "--json"]));
    let place = &said["repositories"][0];
    assert_eq!((place["name"].as_str(), place["sent_bytes"].as_u64(), place["error"].is_null()), (Some("attic"), Some(0), true));
    let listed = bed.ok(&["snapshots"]).out;
    assert!(listed.contains("ALSO AT") && listed.lines().skip(1).all(|line| line.ends_with("attic")), "{listed}");
    assert_eq!(json(&bed.ok(&["snapshots", "--json"]))["snapshots"][0]["repositories"][0], "attic");
    let said = bed.run(&["sync", "atic"]);
    assert_eq!(said.code, 2);
    says(&said, &["config.yml names no repository `atic`", "there are: attic"]);
    // One that is damaged there is found by reading it, and mended.
    let dump = attic(&bed).join(format!("snapshots/{NEW}/mysql.sql.zst"));
    let good = fs::read(&dump).unwrap();
    let mut bad = good.clone();
    bad[9] ^= 1;
    fs::write(&dump, &bad).unwrap();
    let said = bed.run(&["verify", "--from", "attic"]);
    assert_eq!(said.code, 1);
    says(&said, &["mysql.sql.zst is not as it was sent: its hash differs", "summoner sync"]);
    says(&bed.ok(&["sync"]), &["attic       1 "]);
    assert_eq!(fs::read(&dump).unwrap(), good);
    bed.ok(&["verify", "--from", "attic", "--read-data", "ghost"]);
}

#[test]
fn when_nothing_is_left_here_the_other_place_is_enough() {
    let bed = bed();
    bed.ok(&["sync"]);
    fs::remove_dir_all(bed.root()).unwrap();
    assert_eq!(bed.run(&["snapshots"]).code, 10);
    assert_eq!(bed.run(&["sync"]).code, 10);
    let said = bed.ok(&["snapshots", "ghost", "--from", "attic"]);
    assert!(said.out.contains(OLD) && said.out.contains(NEW), "{}", said.out);
    // Not even a configuration.
    fs::remove_file(bed.path().join("config.yml")).unwrap();
    let place = attic(&bed).display().to_string();
    let said = json(&bed.ok(&["snapshots", "--from", &place, "--json"]));
    assert_eq!(said["snapshots"][1]["id"], NEW);
    assert!(said["snapshots"][1]["there_bytes"].as_u64().unwrap() > 0);
    bed.ok(&["verify", "--from", &place, NEW]);
    let said = bed.run(&["snapshots", "--from", "/nowhere/at/all"]);
    assert_ne!(said.code, 0);
    says(&said, &["/nowhere/at/all"]);
    // What is cut there is told without reading it.
    fs::write(attic(&bed).join(format!("snapshots/{OLD}/mysql.sql.zst")), "cut").unwrap();
    let said = bed.run(&["snapshots", "--from", &place]);
    assert_eq!(said.code, 3);
    says(&said, &["BROKEN: mysql.sql.zst has 3 bytes instead of "]);
}

#[test]
fn a_place_that_cannot_be_had_fails_and_says_what_to_type() {
    let bed = bed();
    fs::remove_dir(attic(&bed)).unwrap();
    fs::write(attic(&bed), "a file").unwrap();
    let said = bed.run(&["sync"]);
    assert_eq!(said.code, 1, "{}", said.err);
    says(&said, &["attic", "summoner sync attic"]);
    fs::remove_file(attic(&bed)).unwrap();
    fs::create_dir(attic(&bed)).unwrap();
    fs::write(attic(&bed).join("somebody.else"), "x").unwrap();
    let said = bed.run(&["sync"]);
    assert_eq!(said.code, 1, "{}", said.err);
    says(&said, &["holds something else"]);
    assert_eq!(fs::read_dir(attic(&bed)).unwrap().count(), 1);
}
