//! Compose files against goldens, and against the real `docker compose config` where it is.
//!
//! Every `tests/compose/ok/*.yml` must load to the project and the warnings of its sibling `.json`; every
//! `tests/compose/refused/*.yml` must give the fault lines of its sibling `.txt`. `SUMMONER_BLESS=1` writes both.
//! A sibling `.env` gives the variables; a first line `# profiles: a,b` activates profiles.
//!
//! The oracle is the binary that `scripts/compose-oracle` fetches, named in `SUMMONER_COMPOSE_BIN`, or the installed
//! plugin. With `SUMMONER_REQUIRE_COMPOSE=1` its absence is a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own corpus should stop")]

#[path = "compose/theirs.rs"]
mod theirs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use summoner::compose::{self, Input, Loaded};
use summoner::fault::{Fault, Source};

/// Where we differ on purpose: file, pointer into the comparable form, why. A pointer covers what is under it.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "numbers",
        "/services/a/environment",
        "a plain number is kept as it was written, with a warning; Go's YAML makes 18 of 022 and 1.1 of 1.10",
    ),
    ("profiles", "/services/web/depends_on", "an optional dependency that no active profile selects is not there, so nothing waits for it"),
];

/// Files that the real one refuses or reads in another way as a whole, with the reason.
const NOT_COMPARED: &[(&str, &str)] = &[
    ("owncloud-2015", "Compose refuses files without `services:` since 2023; catalogues of that time still have them"),
    ("wekan-2017", "the same"),
];

const HOME: &str = "/home/person";

fn corpus(kind: &str) -> (PathBuf, Vec<PathBuf>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    files.sort();
    (folder, files)
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn profiles(text: &str) -> Vec<String> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("# profiles: "));
    line.map(|all| all.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

fn load(path: &Path) -> Result<Loaded, Vec<Fault>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut variables = match std::fs::read_to_string(path.with_extension("env")) {
        Ok(env) => compose::dotenv(&env).unwrap(),
        Err(_) => BTreeMap::new(),
    };
    variables.insert("HOME".into(), HOME.into());
    let profiles = profiles(&text);
    let shown = path.file_name().unwrap().to_string_lossy();
    let input = Input {
        source: Source::new(shown, text),
        folder: path.parent().unwrap(),
        project: None,
        variables: &variables,
        profiles: &profiles,
        home: Some(Path::new(HOME)),
    };
    compose::load(&input)
}

/// Compares a text with its golden, or writes it.
fn golden(path: &Path, found: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("SUMMONER_BLESS").is_some() {
        std::fs::write(path, found).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    if wanted != found {
        let first = wanted.lines().zip(found.lines()).find(|(a, b)| a != b);
        wrong.push(format!("{}: first difference {first:?}; whole:\n{found}", path.display()));
    }
}

#[test]
fn files_that_are_right_load_to_their_goldens() {
    let (folder, files) = corpus("ok");
    assert!(files.len() >= 40, "the corpus shrank to {} files", files.len());
    let mut wrong = Vec::new();
    for path in &files {
        match load(path) {
            Err(faults) => {
                wrong.push(format!("{}:\n{}", path.display(), faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
            }
            Ok(loaded) => {
                let warnings: Vec<String> = loaded.warnings.iter().map(Fault::line).collect();
                let order = compose::start_order(&loaded.project);
                let all = json!({"warnings": warnings, "start_order": order, "project": loaded.project});
                let text = serde_json::to_string_pretty(&all).unwrap().replace(parent(&folder).as_str(), "{compose}") + "\n";
                golden(&path.with_extension("json"), &text, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{} files differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn files_that_are_wrong_are_refused_with_every_line() {
    let (folder, files) = corpus("refused");
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for path in &files {
        match load(path) {
            Ok(_) => wrong.push(format!("{} loads", path.display())),
            Err(faults) => {
                let mut text = String::new();
                for fault in faults {
                    text += &fault.line();
                    text += &fault.help.map_or(String::new(), |help| format!(" ({help})"));
                    text.push('\n');
                }
                golden(&path.with_extension("txt"), &text.replace(parent(&folder).as_str(), "{compose}"), &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{} files differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn parent(folder: &Path) -> String {
    folder.parent().unwrap().display().to_string()
}

/// The real one, or None where it is not.
fn oracle() -> Option<PathBuf> {
    let plugins = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins"];
    let installed = plugins.iter().map(|folder| Path::new(folder).join("docker-compose"));
    let named = std::env::var_os("SUMMONER_COMPOSE_BIN").map(PathBuf::from);
    named.into_iter().chain(installed).find(|path| path.is_file())
}

fn ask(binary: &Path, path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut command = Command::new(binary);
    // The environment is part of the input, so it must not differ from one machine to the next.
    command.env_clear().env("HOME", HOME).arg("-f").arg(path);
    let variables = path.with_extension("env");
    command.arg("--env-file").arg(if variables.is_file() { variables.as_path() } else { Path::new("/dev/null") });
    for profile in profiles(&text) {
        command.arg("--profile").arg(profile);
    }
    let output = command.args(["config", "--format", "json"]).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

#[test]
fn the_real_compose_understands_the_same() {
    let Some(binary) = oracle() else {
        let required = std::env::var("SUMMONER_REQUIRE_COMPOSE").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "SUMMONER_REQUIRE_COMPOSE=1, but there is no docker compose: run scripts/compose-oracle and set SUMMONER_COMPOSE_BIN"
        );
        println!("no docker compose here: the goldens alone were checked");
        return;
    };
    let (_, files) = corpus("ok");
    let (mut wrong, mut compared, mut used) = (Vec::new(), 0, vec![false; EXPLAINED.len()]);
    for path in &files {
        let name = name(path);
        let whole = NOT_COMPARED.iter().find(|(file, _)| *file == name);
        let theirs = match (ask(&binary, path), whole) {
            (Ok(_), Some(_)) => {
                wrong.push(format!("{name}: the real one reads it now; take it out of NOT_COMPARED"));
                continue;
            }
            (Err(_), Some(_)) => continue,
            (Err(error), None) => {
                let we = if load(path).is_ok() { "we read it" } else { "so do we" };
                wrong.push(format!("{name}: the real one refuses it, {we}: {}", error.trim()));
                continue;
            }
            (Ok(theirs), None) => theirs::comparable(theirs),
        };
        let Ok(loaded) = load(path) else {
            wrong.push(format!("{name}: we refuse it"));
            continue;
        };
        let ours = theirs::ours(serde_json::to_value(&loaded.project).unwrap());
        compared += 1;
        for (pointer, ours, theirs) in differences("", &ours, &theirs) {
            let known = EXPLAINED.iter().position(|(file, under, _)| *file == name && pointer.starts_with(under));
            match known {
                Some(at) => used[at] = true,
                None => wrong.push(format!("{name}: {pointer}\n    ours   {ours}\n    theirs {theirs}")),
            }
        }
    }
    for ((file, pointer, _), _) in EXPLAINED.iter().zip(&used).filter(|(_, used)| !**used) {
        wrong.push(format!("{file}: {pointer} is explained but does not differ any more"));
    }
    println!("{compared} files compared with {}", binary.display());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every place where two values differ, with both.
fn differences(at: &str, ours: &Value, theirs: &Value) -> Vec<(String, String, String)> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            let each =
                |key: &String| differences(&format!("{at}/{key}"), a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            keys.into_iter().flat_map(each).collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().flat_map(|(n, (a, b))| differences(&format!("{at}/{n}"), a, b)).collect()
        }
        _ if ours == theirs => Vec::new(),
        _ => vec![(at.to_owned(), ours.to_string(), theirs.to_string())],
    }
}
