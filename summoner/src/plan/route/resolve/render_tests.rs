//! The corpus of strangers' words down to the files: nothing that was decided is rejected by the writer, no other host's file changes,
//! and no file holds a directive that honest words do not bring.

use std::sync::LazyLock;

use super::fuzz_tests::{EVIL, GLOBALS, GOOD, OF_LABELS, VARIABLES, forms, settle};
use super::*;
use crate::plan::route::{ProxySettings, host_file, render};
use crate::vhost::LABELS;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn good() -> HostName {
    HostName::Exact("good.test".into())
}

/// The names of all directives, as nginx's own reader would find them; panics where it would find none.
fn directives(text: &str) -> BTreeSet<String> {
    let (mut names, mut word, mut first) = (BTreeSet::new(), String::new(), true);
    let mut chars = text.chars();
    let mut end = |word: &mut String, first: &mut bool| {
        if !word.is_empty() && *first {
            names.insert(std::mem::take(word));
            *first = false;
        }
        word.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_empty() => drop(chars.by_ref().find(|c| *c == '\n')),
            '"' | '\'' if word.is_empty() => loop {
                match chars.next().expect("a quotation mark closes") {
                    '\\' => drop(chars.next()),
                    other if other == c => break,
                    _ => {}
                }
            },
            ' ' | '\n' => end(&mut word, &mut first),
            ';' | '{' | '}' => {
                end(&mut word, &mut first);
                first = true;
            }
            other => word.push(other),
        }
    }
    names
}

/// What honest words of every kind bring.
static HONEST: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    let balances = ["least_conn", "ip_hash", "random two", "hash $uri"];
    let mut add = |environment: &[(&str, &str)], labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| (format!("{LABELS}{k}"), (*v).to_owned())).collect();
        let rendered = render(&settle(&texts(environment), &labels).sites, &ProxySettings::own(80, 443, "web"));
        names
            .extend(rendered.generation.files.iter().filter(|(path, _)| path.starts_with("hosts/")).flat_map(|(_, text)| directives(text)));
    };
    for proto in ["http", "https", "uwsgi", "fastcgi", "grpc", "grpcs"] {
        add(&[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PROTO", proto), ("VIRTUAL_PATH", "/p"), ("DEFAULT_ROOT", "301 https://x.test")], &[]);
        add(
            &[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PROTO", proto), ("SERVER_TOKENS", "off"), ("NETWORK_ACCESS", "internal")],
            &[("debug-endpoint", "true")],
        );
    }
    for balance in balances {
        add(&[("VIRTUAL_HOST", "a.test")], &[("loadbalance", balance), ("keepalive", "disabled")]);
    }
    names
});

fn harmless(resolved: &Resolved, alone: &str) {
    let rendered = render(&resolved.sites, &ProxySettings::own(80, 443, "web"));
    assert!(rendered.rejected.is_empty(), "{:?}", rendered.rejected);
    assert_eq!(rendered.generation.files[&host_file(&good())], alone, "another host's file has changed");
    for (path, text) in rendered.generation.files.iter().filter(|(path, _)| path.starts_with("hosts/")) {
        let new: Vec<String> = directives(text).difference(&HONEST).cloned().collect();
        assert!(new.is_empty(), "{path} has {new:?}:\n{text}");
    }
}

#[test]
fn no_word_of_a_stranger_becomes_a_directive() {
    let value = |key: &str| GOOD.iter().find(|(name, _)| *name == key).map_or("true", |(_, value)| *value);
    let alone = |globals: &BTreeMap<String, String>| {
        let rendered = render(&settle(globals, &BTreeMap::new()).sites, &ProxySettings::own(80, 443, "web"));
        rendered.generation.files[&host_file(&good())].clone()
    };
    let untouched = alone(&BTreeMap::new());
    for evil in EVIL {
        for key in VARIABLES.into_iter().chain(GLOBALS).chain(OF_LABELS) {
            for text in forms(evil, value(key)) {
                let (mut environment, mut labels) = (texts(&[("VIRTUAL_HOST", "a.test")]), BTreeMap::new());
                if OF_LABELS.contains(&key) {
                    labels.insert(format!("{LABELS}{key}"), text);
                } else {
                    environment.insert(key.to_owned(), text);
                }
                let resolved = settle(&environment, &labels);
                // What the proxy itself says of all hosts may change them; a container must not.
                let global = GLOBALS.contains(&key).then(|| environment.into_iter().filter(|(name, _)| name == key).collect());
                harmless(&resolved, &global.map_or_else(|| untouched.clone(), |global| alone(&global)));
            }
        }
    }
}

#[test]
fn the_reader_of_directives_can_see_one() {
    let found = directives("server {\n  listen 80;\n  add_header A \"x;} evil\" always; # return\n  return 200 a}; }\n evil;");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["add_header", "evil", "listen", "return", "server"]);
    let sites = settle(&texts(&[("VIRTUAL_HOST", "a.test")]), &BTreeMap::new());
    let rendered = render(&sites.sites, &ProxySettings::own(80, 443, "web"));
    let text = &rendered.generation.files[&host_file(&good())];
    assert!(directives(text).contains("proxy_pass") && !HONEST.contains("perl_set"));
    let spoiled = text.replace("good.test", "good.test; perl_set $a 1");
    assert!(!directives(&spoiled).is_subset(&HONEST));
}
