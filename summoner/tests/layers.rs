//! The laws of the source tree: imports point one way, decisions are pure, one module writes files, files stay short.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// The layers from the bottom up: a module imports from its own layer and those below.
const LAYERS: [(&str, &[&str]); 4] = [
    ("WANTED", &["compose", "config", "error", "event", "fault", "layout", "minion", "name", "vhost", "yaml"]),
    ("DECIDE", &["plan"]),
    (
        "WORLD",
        &[
            "acme",
            "apply",
            "archive",
            "backend",
            "backup",
            "ban",
            "database",
            "disk",
            "docker",
            "doctor",
            "drill",
            "journal",
            "lock",
            "metrics",
            "nginx",
            "notify",
            "observe",
            "proxy",
            "recovery",
            "rehearsal",
            "repository",
            "restore",
            "state",
            "sync",
        ],
    ),
    ("FACES", &["cli", "daemon", "web"]),
];
/// What no decision may know: effects, clocks, surroundings.
const IMPURE: [&str; 11] = [
    "async",
    "await",
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::net::Tcp",
    "Utc::now",
    "Local::now",
    "SystemTime::now",
    "Instant::now",
];
/// Writes a file without flushing it, or leaves half of it after a crash.
const WRITES: [&str; 4] = ["fs::write", "File::create", "OpenOptions", "File::options"];
/// disk.rs is the one place that writes; the lock's file is held open for as long as the lock.
const WRITERS: [&str; 2] = ["disk.rs", "lock.rs"];
/// A part of a path that only layout.rs may spell.
const SPELLS_PATHS: [&str; 3] = [".own().join(", "layout.files.join(", "layout.databases.join("];
/// The longest file.
const LINES: usize = 500;

static IMPORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bcrate::(?:\{([^;]*?)\};|([a-z_]+))").unwrap());
static NESTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"::\{[^{}]*\}|::[A-Za-z_:]+").unwrap());

/// Everything wrong with one file; its path is relative to `src`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let test = path.ends_with("tests.rs") || path.contains("/tests/");
    if !test && !text.starts_with("//!") {
        faults.push("does not begin with //!: what it knows, what it must not do, who calls it".into());
    }
    if text.lines().count() > LINES {
        faults.push(format!("has more than {LINES} lines"));
    }
    let code = without_comments(text);
    let code = if test { "" } else { code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default() };
    imports(path, code, &mut faults);
    let has = |words: &'static [&'static str]| words.iter().filter(|word| holds(code, word));
    if path.starts_with("plan/") {
        faults.extend(has(&IMPURE).map(|word| format!("is a decision and holds `{word}`")));
    }
    if !WRITERS.contains(&path) {
        faults.extend(has(&WRITES).map(|word| format!("writes files by itself: `{word}`")));
    }
    if path != "layout.rs" {
        faults.extend(has(&SPELLS_PATHS).map(|word| format!("spells a path that belongs into layout.rs: `{word}…)`")));
    }
    if !path.starts_with("docker/") && holds(code, "bollard") {
        faults.push("knows the client library of the engine".into());
    }
    faults
}

fn imports(path: &str, code: &str, faults: &mut Vec<String>) {
    let own = path.split(['/', '.']).next().unwrap_or_default();
    // The map and the entry point stand above all layers.
    if matches!(own, "lib" | "main") {
        return;
    }
    let Some(layer) = layer(own) else {
        faults.push(format!("the module {own} belongs to no layer: add it to one"));
        return;
    };
    for found in IMPORT.captures_iter(code) {
        let list = found.get(1).map_or_else(|| found[2].to_owned(), |list| flat(list.as_str()));
        for module in list.split(',').map(str::trim).filter(|module| module.starts_with(|c: char| c.is_ascii_lowercase())) {
            match self::layer(module) {
                Some(other) if other > layer => {
                    faults.push(format!("is {} and imports {module}, which is {}", LAYERS[layer].0, LAYERS[other].0));
                }
                _ => {}
            }
        }
    }
}

/// The first parts of a nested import.
fn flat(list: &str) -> String {
    let mut list = list.to_owned();
    while NESTED.is_match(&list) {
        list = NESTED.replace_all(&list, "").into_owned();
    }
    list
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// Whether a word stands there, not as a part of a longer one.
fn holds(code: &str, word: &str) -> bool {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let alone = word.starts_with(of_word);
    code.match_indices(word).any(|(at, _)| !(alone && code[..at].ends_with(of_word) || code[at + word.len()..].starts_with(of_word)))
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Every source file with its path below `src`.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, root: &Path, all: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push((path.strip_prefix(root).unwrap().display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    walk(&root, &root, &mut all);
    all.sort();
    all
}

#[test]
fn the_tree_keeps_its_laws() {
    let sources = sources();
    assert!(sources.len() > 80, "{} files", sources.len());
    let all: Vec<String> =
        sources.iter().flat_map(|(path, text)| faults(path, text).into_iter().map(move |fault| format!("{path} {fault}"))).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_module_is_on_the_map() {
    let map = sources().into_iter().find(|(path, _)| path == "lib.rs").unwrap().1;
    let named: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(named.len() > 15, "{named:?}");
    let homeless: Vec<&&str> = named.iter().filter(|module| layer(module).is_none()).collect();
    assert!(homeless.is_empty(), "in no layer: {homeless:?}");
}

#[test]
fn each_law_can_be_broken() {
    let broken = |path: &str, code: &str| faults(path, &format!("//! A file.\n{code}\n")).join("; ");
    let long = format!("//! Long.\n{}", "\n".repeat(LINES));
    let lines = [
        broken("plan/deploy.rs", "use crate::docker::Engine;"),
        broken("config/mod.rs", "fn f() { crate::apply::run() }"),
        broken("name.rs", "use crate::{fault::{Fault, Source}, plan::{Plan, deploy::deploy}, error};"),
        broken("nginx/mod.rs", "use crate::cli::context::Context;"),
        broken("misc.rs", "use crate::name::Domain;"),
        broken("plan/mod.rs", "async fn now() -> DateTime<Utc> { Utc::now() }"),
        broken("plan/cert.rs", "use std::{fmt, fs};\nfn f() { std::env::var(\"A\"); }"),
        broken("apply/data.rs", "fn f() { std::fs::write(\"a\", \"b\") }"),
        broken("acme/mod.rs", "use std::fs::OpenOptions;"),
        broken("state/mod.rs", "let path = layout.own().join(\"x\");"),
        broken("apply/mod.rs", "use bollard::Docker;"),
        faults("apply/mod.rs", "use crate::name::Domain;\n").join("; "),
        faults("apply/mod.rs", &long).join("; "),
        broken("apply/mod.rs", "/// As [`crate::cli`].\nuse crate::{plan::Plan, docker}; // std::fs::write\nlet asynchronous = 1;"),
        broken("plan/mod.rs", "use crate::name::Domain;\n#[cfg(test)]\nmod tests {\n    use crate::docker::Engine;\n}"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    is DECIDE and imports docker, which is WORLD
    is WANTED and imports apply, which is WORLD
    is WANTED and imports plan, which is DECIDE
    is WORLD and imports cli, which is FACES
    the module misc belongs to no layer: add it to one
    is a decision and holds `async`; is a decision and holds `Utc::now`
    is a decision and holds `std::env`
    writes files by itself: `fs::write`
    writes files by itself: `OpenOptions`
    spells a path that belongs into layout.rs: `.own().join(…)`
    knows the client library of the engine
    does not begin with //!: what it knows, what it must not do, who calls it
    has more than 500 lines
    ");
}
