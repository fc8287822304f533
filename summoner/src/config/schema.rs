//! The JSON Schema of config.yml, for editors that complete and check while a person types.
//!
//! It is a file beside this one; tests hold its keys against those that the reader takes and those of the example.

/// The schema (draft 2020-12).
#[must_use]
pub fn schema() -> serde_json::Value {
    // Part of the program; a test reads it.
    serde_json::from_str(include_str!("schema.json")).expect("schema.json is JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::load;
    use crate::config::load::tests::surroundings;
    use crate::fault::Source;

    /// "apps.*.backup.keep" and the keys that may stand there, over the whole schema.
    fn walk(node: &Value, root: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
        let node = node.get("$ref").map_or(node, |name| {
            let name = name.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            &root["$defs"][name]
        });
        let Some(properties) = node.get("properties").and_then(Value::as_object) else {
            if let Some(each) = node.get("additionalProperties").filter(|each| each.is_object()) {
                walk(each, root, &format!("{path}.*"), found);
            }
            return;
        };
        assert_eq!(node["additionalProperties"], false, "{path} must be closed");
        found.push((path.to_owned(), properties.keys().cloned().collect()));
        for (key, inner) in properties {
            walk(inner, root, &format!("{path}.{key}"), found);
        }
    }

    fn mappings() -> Vec<(String, BTreeSet<String>)> {
        let (schema, mut found) = (schema(), Vec::new());
        walk(&schema, &schema, "", &mut found);
        found
    }

    /// The reader lists what it knows when it meets a key that is like none of them.
    #[test]
    fn the_schema_has_the_readers_keys() {
        let found = mappings();
        assert_eq!(found.len(), 18);
        for (path, keys) in found {
            let parts: Vec<&str> =
                path.split('.').filter(|part| !part.is_empty()).map(|part| if part == "*" { "ghost" } else { part }).collect();
            let mut text = parts
                .iter()
                .fold(("version: 1\n".to_owned(), 0), |(text, depth), part| (format!("{text}{}{part}:\n", "  ".repeat(depth)), depth + 1))
                .0;
            text.push_str(&format!("{}'{}': 1\n", "  ".repeat(parts.len()), "0".repeat(20)));
            let faults = load(&Source::new("config.yml", text.as_str()), &surroundings()).unwrap_err();
            let help =
                faults.iter().find_map(|fault| fault.help.as_ref()?.strip_prefix("allowed: ")).unwrap_or_else(|| panic!("{path}: {text}"));
            let known: BTreeSet<String> = help.split(", ").map(str::to_owned).collect();
            assert_eq!(known, keys, "{path}");
        }
    }

    #[test]
    fn the_example_documents_every_key() {
        let example = crate::config::EXAMPLE;
        let value: Value = serde_yaml::from_str(example).unwrap();
        for (path, keys) in mappings() {
            let parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
            // The keys of `backup:` are told once, above the apps, and those of `keep:` there.
            let told = path.starts_with(".apps.*.backup") || path == ".repositories.*.keep";
            let keys = if told { BTreeSet::new() } else { keys };
            // The keys of `backup:` are told once, above the apps.
            let mut keys = if path.starts_with(".apps.*.backup") { BTreeSet::new() } else { keys };
            // An app's own alone, and told there.
            if path == ".backup" && has(&value, &["apps", "*", "backup"], "ping") {
                keys.remove("ping");
            }
            for key in keys {
                assert!(has(&value, &parts, &key), "{path}.{key} is missing in example.yml");
            }
        }
        let head = example.lines().zip(example.lines().skip(1));
        let bare: Vec<&str> = head
            .filter(|(before, line)| !line.is_empty() && !line.starts_with([' ', '#']) && !before.starts_with('#'))
            .map(|(_, line)| line)
            .collect();
        assert!(bare.is_empty(), "no comment above {bare:?}");
    }

    fn has(value: &Value, path: &[&str], key: &str) -> bool {
        match path {
            [] => value.get(key).is_some(),
            ["*", rest @ ..] => value.as_object().is_some_and(|map| map.values().any(|each| has(each, rest, key))),
            [part, rest @ ..] => value.get(part).is_some_and(|inner| has(inner, rest, key)),
        }
    }
}
