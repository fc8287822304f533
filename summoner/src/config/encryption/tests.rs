use super::*;
use crate::config::load::tests::{loaded, surroundings};
use crate::config::{load, show};

const ONE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const OTHER: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
const BEGINNING: &str = "version: 1\ndomain: a.org\nemail: you@a.org\n";

fn private() -> String {
    format!("AGE-SECRET-KEY-1{}", "QPZRY9X8".repeat(7))
}

fn said(rest: &str) -> String {
    let faults = load(&Source::new("config.yml", format!("{BEGINNING}{rest}")), &surroundings()).unwrap_err();
    faults.iter().map(|fault| format!("{}\n{fault}\n", fault.line())).collect()
}

#[test]
fn recipients_are_read_and_shown_with_their_fingerprints() {
    let (config, _) =
        loaded(&format!("{BEGINNING}encryption:\n  recipients: [{ONE}, {}]\n  recipients_file: keys/more\n", OTHER.to_uppercase()));
    assert_eq!(config.recipients, [ONE, OTHER]);
    assert_eq!(config.recipients_file.as_deref(), Some(Path::new("/srv/team/keys/more")));
    let text = show(&config);
    assert!(text.contains(&format!("- recipient: {ONE}\n    fingerprint: {}", fingerprint(ONE))), "{text}");
    let (config, _) = loaded(&format!("{BEGINNING}encryption: {{recipients: {ONE}}}\n"));
    assert_eq!(config.recipients, [ONE]);
    let (config, _) = loaded(BEGINNING);
    assert!(config.recipients.is_empty() && !show(&config).contains("encryption"));
}

/// Cards that were printed years ago show it: it never changes.
#[test]
fn a_fingerprint_is_what_a_shell_computes() {
    assert_eq!(fingerprint(ONE), "cf7e-5682-3131-5068");
}

#[test]
fn a_private_key_is_refused_and_never_repeated() {
    for rest in [
        format!("encryption: {{recipients: [{ONE}, {}]}}\n", private()),
        format!("encryption: {{recipients: {}}}\n", private().to_lowercase()),
        format!("encryption:\n  recipients:\n  - 'mine: {}'\n", private()),
    ] {
        let said = said(&rest);
        assert!(said.contains("this is a PRIVATE key") && said.contains("summoner keys new FILE"), "{said}");
        assert!(!said.to_uppercase().contains("QPZRY9X8"), "{said}");
    }
    let (mut config, _) = loaded(BEGINNING);
    for text in [private(), format!("# secret key: {}\n{ONE}\n", private())] {
        let error = add_listed(&mut config, Path::new("/etc/keys"), &text).unwrap_err().to_string();
        assert!(error.contains("PRIVATE") && !error.contains("QPZ"), "{error}");
    }
}

#[test]
fn what_is_no_recipient_says_so() {
    let rest = format!(
        "encryption:\n  recipients:\n  - {ONE}\n  - {ONE}\n  - {}\n  - ssh-ed25519 AAAA me@here\n  - age1pq1abc\n  - fingerprint\n  colour: red\n",
        &OTHER[..50]
    );
    let faults = load(&Source::new("config.yml", format!("{BEGINNING}{rest}")), &surroundings()).unwrap_err();
    let lines: Vec<String> = faults.iter().map(crate::fault::Fault::line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    config.yml:7:5: encryption.recipients[1]: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac… stands there twice
    config.yml:8:5: encryption.recipients[2]: `age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl` is no recipient: it has a letter too many, too few, or wrong; copy it whole
    config.yml:9:5: encryption.recipients[3]: `ssh-ed25519 AAAA me@here` is no recipient: keys of ssh are not taken; `summoner keys new FILE` makes one of age
    config.yml:10:5: encryption.recipients[4]: `age1pq1abc` is no recipient: the age of many distributions cannot open this kind yet; `summoner keys new FILE` makes one that all open
    config.yml:11:5: encryption.recipients[5]: `fingerprint` is no recipient: it is the public key that begins with age1, as `summoner keys new FILE` or age-keygen shows it
    config.yml:12:3: unknown key `colour` in encryption
    ");
    assert!(said("encryption: {recipients: []}\n").contains("1 to 20 public keys"));
    assert!(said("encryption: {}\n").contains("names no recipients"));
    assert!(said("encryption: {recipients_file: ''}\n").contains("recipients_file cannot be ``"));
    loaded(&format!("{BEGINNING}encryption:\n"));
}

#[test]
fn a_file_adds_its_recipients() {
    let (mut config, _) = loaded(&format!("{BEGINNING}encryption: {{recipients: [{ONE}], recipients_file: /etc/keys}}\n"));
    add_listed(&mut config, Path::new("/etc/keys"), &format!("# the office\r\n\n {OTHER} \r\n{ONE}")).unwrap();
    assert_eq!(config.recipients, [ONE, OTHER]);
    let error = add_listed(&mut config, Path::new("/etc/keys"), &format!("{OTHER}\n{OTHER}\nnot a key\n")).unwrap_err();
    let lines: Vec<String> = error.faults.iter().map(crate::fault::Fault::line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    /etc/keys:2:1: recipient: age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfa… stands there twice
    /etc/keys:3:1: recipient: `not a key` is no recipient: it is the public key that begins with age1, as `summoner keys new FILE` or age-keygen shows it
    ");
    assert!(add_listed(&mut config, Path::new("/etc/keys"), "# none\n").is_err());
}
