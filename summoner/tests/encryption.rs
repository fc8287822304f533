//! Keys and the recovery card as a person meets them at the command line; no engine is asked.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{Bed, Said};

/// A bed that keeps its backups in another folder too, encrypted for these recipients.
fn bed(recipients: &[&str]) -> Bed {
    let mut bed = Bed::new("card");
    // What is let through must end at once.
    bed.environment.push(("DOCKER_HOST".into(), format!("unix://{}", bed.path().join("none.sock").display())));
    write(&bed, recipients, "elsewhere");
    bed
}

fn write(bed: &Bed, recipients: &[&str], name: &str) {
    bed.config("  ghost:\n");
    let path = bed.path().join("config.yml");
    let encryption =
        if recipients.is_empty() { String::new() } else { format!("encryption: {{recipients: [{}]}}\n", recipients.join(", ")) };
    let text =
        std::fs::read_to_string(&path).unwrap() + &format!("repositories: {{{name}: {}}}\n{encryption}", bed.path().join(name).display());
    std::fs::write(path, text).unwrap();
}

/// A key of the bed, made by the program; its recipient and its fingerprint.
fn key(bed: &Bed, name: &str) -> (String, String) {
    let said = bed.ok(&["keys", "new", bed.path().join(name).to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let text = |key: &str| json["keys"][0][key].as_str().unwrap().to_owned();
    (text("recipient"), text("fingerprint"))
}

fn check(bed: &Bed) -> Option<(String, String)> {
    let said = bed.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let check = json["checks"].as_array().unwrap().iter().find(|check| check["id"] == "recovery-card")?;
    Some((check["state"].as_str().unwrap().to_owned(), check["message"].as_str().unwrap().to_owned()))
}

fn refused(said: &Said) {
    assert_eq!(said.code, 2, "{}", said.err);
    said.assert_says(&["what goes to other places would be encrypted", "next:  summoner recovery-card"]);
}

#[test]
fn a_key_is_made_where_the_data_is_not() {
    let bed = bed(&[]);
    let file = bed.path().join("new.key");
    let said = bed.ok(&["keys", "new", file.to_str().unwrap()]);
    let words: Vec<&str> = said.out.split_whitespace().collect();
    assert!(words[1].starts_with("age1") && words[3].len() == 19, "{}", said.out);
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    assert!(!said.out.contains(secret) && !said.err.contains(secret));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = bed.run(&["keys", "new", file.to_str().unwrap()]);
    assert!(again.code == 2 && again.err.contains("is there already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    std::fs::create_dir_all(bed.root().join("backups")).unwrap();
    let inside = bed.root().join("backups/key");
    let said = bed.run(&["keys", "new", inside.to_str().unwrap()]);
    assert!(said.code == 2 && said.err.contains("with what the key is to protect") && !inside.exists(), "{}", said.err);
    bed.ok(&["keys"]).assert_says(&["nothing is encrypted"]);
    // While config.yml has a fault a key can still be made.
    std::fs::write(bed.path().join("config.yml"), "version: 1\nencryption: {}\n").unwrap();
    bed.ok(&["keys", "new", bed.path().join("other.key").to_str().unwrap()]);
}

#[test]
fn nothing_is_encrypted_before_the_card_was_printed() {
    let bed = bed(&[]);
    assert_eq!(check(&bed).unwrap().0, "warning");
    let ((first, print), (second, other)) = (key(&bed, "1.key"), key(&bed, "2.key"));
    write(&bed, &[&first], "elsewhere");
    refused(&bed.run(&["install"]));
    refused(&bed.run(&["backup"]));
    assert!(bed.ok(&["keys"]).out.contains(&print));
    let folder = bed.path().join("stick");
    let said = bed.ok(&["recovery-card", "--out", folder.to_str().unwrap()]);
    let files: Vec<&str> = said.out.lines().collect();
    assert_eq!(files.len(), 2, "{}", said.out);
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(
            text.contains(&print) && text.contains(&first) && text.contains("--restore-from") && !text.contains("SECRET-KEY"),
            "{text}"
        );
    }
    assert_eq!(check(&bed).unwrap().0, "ok");
    assert!(!bed.run(&["install"]).err.contains("recovery-card"));
    // Another key, another place: the card is an old one.
    write(&bed, &[&second], "elsewhere");
    let (state, message) = check(&bed).unwrap();
    assert!(state == "warning" && message.contains(&print) && message.contains(&other), "{message}");
    refused(&bed.run(&["install"]));
    write(&bed, &[&first], "attic");
    refused(&bed.run(&["backup"]));
    let json = bed.ok(&["recovery-card", "--json", "--out", folder.to_str().unwrap()]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["version"], &json["card"]["keys"][0]["fingerprint"], json["files"].as_array().unwrap().len()),
        (&1.into(), &print.clone().into(), 2)
    );
    assert_eq!(check(&bed).unwrap().0, "ok");
}

#[test]
fn a_private_key_in_config_yml_is_refused_and_not_shown() {
    let bed = bed(&[]);
    key(&bed, "1.key");
    let secret = std::fs::read_to_string(bed.path().join("1.key")).unwrap().lines().last().unwrap().to_owned();
    write(&bed, &[&secret], "elsewhere");
    for arguments in [["config", "check"].as_slice(), &["install"], &["keys"], &["config", "show", "--json"], &["-v", "plan"]] {
        let said = bed.run(arguments);
        assert_eq!(said.code, 2, "{}", said.err);
        said.assert_says(&["PRIVATE key", "summoner keys new FILE"]);
        assert!(!said.err.contains(&secret[20..]) && !said.out.contains(&secret[20..]), "{}", said.err);
    }
}
