//! Walks `minions/`: each folder is read, resolved and linted, so a new minion is tested by being there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::fs;
use std::path::{Path, PathBuf};

use summoner::fault::Source;
use summoner::minion::{Catalogue, Minion, Origin, VARIABLES, catalogue, inspect, read};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names() -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(root().join("minions")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn complaints(minion: &Minion) -> Vec<String> {
    match inspect(minion) {
        Ok(findings) => findings.iter().map(ToString::to_string).collect(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("wiki").join(name)).unwrap()
}

#[test]
fn every_folder_is_a_minion_that_keeps_the_promises() {
    let mut all = Vec::new();
    for name in names() {
        match catalogue::folder(&name, &root().join("minions").join(&name)) {
            Ok(minion) => all.extend(complaints(&minion)),
            Err(error) => all.push(error.to_string()),
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn the_binary_holds_the_same_minions() {
    let catalogue = Catalogue::open(None).unwrap();
    assert_eq!(catalogue.names().collect::<Vec<_>>(), names());
    for (name, minion) in catalogue.iter() {
        let folder = catalogue::folder(name, &root().join("minions").join(name)).unwrap();
        let minion = minion.unwrap();
        assert_eq!((&minion.source.text, &minion.compose.text), (&folder.source.text, &folder.compose.text), "{name}");
    }
}

#[test]
fn there_is_one_proxy() {
    let catalogue = Catalogue::open(None).unwrap();
    assert_eq!(catalogue.iter().filter(|(_, minion)| minion.as_ref().unwrap().proxy).count(), 1);
}

/// The block of a page whose first line names this file.
fn block(page: &str, file: &str) -> String {
    let start = page.find(&format!("# minions/{file}\n")).unwrap_or_else(|| panic!("{file} is not on the page"));
    page[start..].split("```").next().unwrap_or_default().to_owned()
}

#[test]
fn the_example_of_the_wiki_is_a_minion() {
    let page = page("write-your-own-minion.md");
    let source = |file: &str| Source::new(format!("wiki: {file}"), block(&page, &format!("linkding/{file}")));
    let minion = read("linkding", Origin::Catalogue, &source("minion.yml"), &source("docker-compose.yml"));
    let minion = minion.unwrap_or_else(|faults| panic!("{}", faults[0]));
    assert_eq!(complaints(&minion), Vec::<String>::new());
}

#[test]
fn the_wiki_names_every_minion_and_variable() {
    let page = page("minions.md");
    for name in names() {
        assert!(page.contains(&format!("| {name} |")), "{name} is not in the table");
    }
    for variable in VARIABLES {
        let row = format!("| `{}` | {}{} |", variable.name, variable.meaning, if variable.proxy { " (proxy only)" } else { "" });
        assert!(page.contains(&row), "missing: {row}");
    }
}
