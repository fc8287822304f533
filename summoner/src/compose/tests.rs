//! The whole path from text to project; single rules are tested beside their module, real files in `tests/compose/`.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Loaded, Vec<String>> {
    let variables = BTreeMap::from([("TAG".to_owned(), "5".to_owned())]);
    let source = Source::new("c.yml", text);
    let input = Input {
        source,
        folder: Path::new("/srv/My App"),
        project: None,
        variables: &variables,
        profiles: &[],
        home: Some(Path::new("/home/me")),
    };
    load(&input).map_err(|all| all.iter().map(Fault::line).collect())
}

#[test]
fn a_project_is_resolved() {
    let loaded =
        read("services:\n  web:\n    image: ghost:${TAG}\n    volumes: [./a:/a]\n    healthcheck: {test: curl x, interval: 1m30s}\n")
            .unwrap();
    insta::assert_snapshot!(serde_json::to_string(&loaded.project).unwrap(), @r#"{"name":"myapp","services":{"web":{"image":"ghost:5","volumes":[{"type":"bind","source":"/srv/My App/a","target":"/a","create_host_path":true}],"networks":{"default":{}},"healthcheck":{"test":["CMD-SHELL","curl x"],"interval_ms":90000}}},"networks":{"default":{"name":"myapp_default"}}}"#);
}

/// The wiki's table is generated from the tables in the code; this prints the right one when it is stale.
#[test]
fn the_wiki_shows_every_refused_key_with_its_reason() {
    let mut table = String::from("| place | key | why |\n| --- | --- | --- |\n");
    for (place, keys) in refused::ALL {
        let mut reasons: Vec<&str> = keys.iter().map(|(_, why)| *why).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for why in reasons {
            let with: Vec<String> = keys.iter().filter(|(_, reason)| *reason == why).map(|(key, _)| format!("`{key}`")).collect();
            table += &format!("| {place} | {} | {why} |\n", with.join(" "));
        }
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wiki/compose.md")).unwrap();
    assert!(page.contains(&table), "wiki/compose.md should hold\n{table}");
}

#[test]
fn copies_cannot_fill_the_memory() {
    let base = vec!["A=b"; 1000].join(",");
    let mut text = format!("services:\n  base: {{image: i, dns: [{base}]}}\n");
    for n in 0..400 {
        text += &format!("  s{n}: {{extends: base}}\n");
    }
    assert!(read(&text).unwrap_err()[0].contains("grows too large when `extends` is resolved"));
    let mut chain = String::from("services:\n  s0: {image: i}\n");
    for n in 1..100 {
        chain += &format!("  s{n}: {{extends: s{}}}\n", n - 1);
    }
    assert!(read(&chain).unwrap_err()[0].contains("more than 32 services extend one another"));
}

#[test]
fn names_come_from_where_compose_takes_them() {
    let name = |project: Option<&str>, variables: &[(&str, &str)], text: &str| {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let input = Input {
            source: Source::new("c.yml", text),
            folder: Path::new("/srv/_My App"),
            project,
            variables: &variables,
            profiles: &[],
            home: None,
        };
        load(&input).unwrap().project.name
    };
    let (plain, named) = ("services: {a: {image: x}}", "name: filed\nservices: {a: {image: x}}");
    assert_eq!(name(None, &[], plain), "myapp");
    assert_eq!(name(None, &[], named), "filed");
    assert_eq!(name(None, &[("COMPOSE_PROJECT_NAME", "varied")], named), "varied");
    assert_eq!(name(Some("asked"), &[("COMPOSE_PROJECT_NAME", "varied")], named), "asked");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_files_never_panic(
        key in "(image|ports|volumes|environment|env_file|build|command|deploy|healthcheck|networks|depends_on|extends|secrets|ulimits|x|tmpfs|labels|devices|extra_hosts|expose|mem_limit|cpus|restart|links)",
        value in r#"([\[\]{}:,"'$ \-a-z0-9./&*!é]|\$\{[A-Z]:?[-?+]|: ){0,40}"#,
    ) {
        let _ = read(&format!("services:\n  a:\n    image: i\n    {key}: {value}\n"));
        let _ = read(&format!("services: {{a: {{image: i, {key}: [{value}]}}}}\n"));
        let _ = read(&format!("include: {value}\nservices: {{a: {{{key}: {{{value}}}}}}}\n"));
        let _ = read(&value);
    }
}
