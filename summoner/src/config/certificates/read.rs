//! The text of `certificates:`: every fault with its line.

use std::path::PathBuf;

use super::{Authority, Certificates, Challenge, Eab, EabKey, Issuer, Staging};
use crate::config::dns;
use crate::config::today::checked;
use crate::config::values::{self, short};
use crate::fault::{Faults, did_you_mean};
use crate::vhost::KeyKind;
use crate::yaml::{Fields, Node};

/// Nobody needs more, and each costs a try.
const MOST_AUTHORITIES: usize = 8;
const KNOWN: [&str; 4] = ["google", "letsencrypt", "letsencrypt-staging", "zerossl"];

/// Reads the section; faults are recorded and leave the default in their place.
pub(in crate::config) fn read(node: Option<&Node>, faults: &mut Faults) -> Certificates {
    let mut found = Certificates::default();
    let Some(node) = node else { return found };
    let Some(mut fields) = Fields::open(node, "certificates", faults) else { return found };
    found.issuer = word(&mut fields, "issuer", &[("acme", Issuer::Acme), ("internal", Issuer::Internal)], faults);
    found.email = fields.take("email").and_then(|node| checked(node, "certificates.email", values::email, faults));
    if let Some(node) = fields.take("authorities") {
        found.authorities = authorities(node, faults);
    }
    let challenges = [("dns-01", Challenge::Dns), ("http-01", Challenge::Http)];
    found.challenge = word(&mut fields, "challenge", &challenges, faults).unwrap_or(found.challenge);
    found.dns = fields.take("dns").and_then(|node| dns::read(node, "certificates.dns", faults));
    found.profile = fields.take("profile").and_then(|node| checked(node, "certificates.profile", profile, faults));
    found.key = word(&mut fields, "key", &KEYS, faults).unwrap_or(found.key);
    found.wildcard = fields.boolean("wildcard", faults).unwrap_or(found.wildcard);
    let stagings = [("first", Staging::First), ("never", Staging::Never), ("only", Staging::Only)];
    found.staging = word(&mut fields, "staging", &stagings, faults).unwrap_or(found.staging);
    found.preflight = fields.boolean("preflight", faults).unwrap_or(found.preflight);
    fields.finish(faults);
    let dns = found.challenge == Challenge::Dns || found.wildcard;
    if dns && found.dns.is_none() && faults.errors.is_empty() {
        let what = if found.wildcard { "a wildcard" } else { "dns-01" };
        let help = "say who writes them: dns: {provider: rfc2136 | exec | cloudflare | desec, …}";
        faults.error_with_help(&node.span, format!("certificates: {what} is proven by records, and nothing says how to write them"), help);
    }
    found
}

pub(super) const KEYS: [(&str, KeyKind); 5] = [
    ("ec-256", KeyKind::P256),
    ("ec-384", KeyKind::P384),
    ("rsa-2048", KeyKind::Rsa(2048)),
    ("rsa-3072", KeyKind::Rsa(3072)),
    ("rsa-4096", KeyKind::Rsa(4096)),
];

/// One word of a list.
fn word<T: Copy>(fields: &mut Fields<'_>, key: &'static str, words: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let text = node.text(&what, faults)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        faults.error_with_help(&node.span, format!("{what}: `{}` is not known", short(&text)), format!("allowed: {}", names.join(", ")));
    }
    found
}

/// A name as directories list them.
fn profile(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no name of a profile, such as tlsserver or shortlived", short(text)))
    }
}

fn authorities(node: &Node, faults: &mut Faults) -> Vec<Authority> {
    let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut all: Vec<Authority> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let what = format!("certificates.authorities[{at}]");
        let Some(found) = (if node.as_map().is_some() { described(node, &what, faults) } else { named(node, &what, faults) }) else {
            continue;
        };
        if all.iter().any(|known| known.directory == found.directory) {
            faults.error(&node.span, format!("certificates.authorities holds {} twice", found.name));
        } else {
            all.push(found);
        }
    }
    if all.is_empty() && faults.errors.is_empty() {
        faults.error_with_help(&node.span, "certificates.authorities is empty", "take the key out for Let's Encrypt");
    }
    if all.len() > MOST_AUTHORITIES {
        faults.error(&node.span, format!("certificates.authorities: at most {MOST_AUTHORITIES}"));
    }
    all
}

fn named(node: &Node, what: &str, faults: &mut Faults) -> Option<Authority> {
    let text = node.text(what, faults)?;
    let known = Authority::known(&text);
    if known.is_none() {
        let help =
            did_you_mean(&text, KNOWN).unwrap_or_else(|| format!("known: {}; any other: {{directory: https://…}}", KNOWN.join(", ")));
        faults.error_with_help(&node.span, format!("{what}: `{}` is no authority", short(&text)), help);
    }
    known
}

fn described(node: &Node, what: &str, faults: &mut Faults) -> Option<Authority> {
    let mut fields = Fields::open(node, what, faults)?;
    let name = fields.take("name").and_then(|node| node.text(&format!("{what}.name"), faults));
    let written = fields.take("directory");
    let directory = written.and_then(|node| checked(node, &format!("{what}.directory"), url, faults));
    let staging = fields.take("staging").and_then(|node| checked(node, &format!("{what}.staging"), url, faults));
    let root = fields.take("root").and_then(|node| checked(node, &format!("{what}.root"), file, faults));
    let eab = fields.take("eab").and_then(|node| eab(node, &format!("{what}.eab"), faults));
    fields.finish(faults);
    let mut found = match (&name, directory) {
        (_, Some(directory)) => Authority::at(&directory),
        (Some(name), None) if Authority::known(name).is_some() => Authority::known(name)?,
        // Its own fault is told.
        _ if written.is_some() => return None,
        _ => {
            faults.error_with_help(&node.span, format!("{what}.directory is missing"), format!("or a known name: {}", KNOWN.join(", ")));
            return None;
        }
    };
    found.name = name.unwrap_or(found.name);
    found.staging = staging.or(found.staging);
    (found.root, found.eab) = (root, eab);
    Some(found)
}

fn eab(node: &Node, what: &str, faults: &mut Faults) -> Option<Eab> {
    let mut fields = Fields::open(node, what, faults)?;
    let kid = fields.require("kid", faults).and_then(|node| node.text(&format!("{what}.kid"), faults));
    let path = fields.require("hmac_file", faults).and_then(|node| checked(node, &format!("{what}.hmac_file"), file, faults));
    fields.finish(faults);
    Some(Eab { kid: kid?, key: EabKey::File(path?) })
}

/// An address of HTTPS: an account is worth protecting.
fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let strange = |c: char| c.is_whitespace() || c.is_control() || "\"'<>\\^`{}|@".contains(c);
    if rest.is_empty() || rest.starts_with('/') || text.len() > 500 || rest.contains(strange) {
        return Err(format!("`{}` is no address such as https://ca.example.org/directory", short(text)));
    }
    Ok(text.to_owned())
}

fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() && !text.contains('\0') { Ok(path) } else { Err(format!("`{}` is no absolute path of a file", short(text))) }
}

#[cfg(test)]
mod tests {
    use crate::config::load;
    use crate::config::load::tests::surroundings;
    use crate::fault::Source;

    fn said(section: &str) -> String {
        let text = format!("version: 1\ndomain: a.fr\nemail: you@a.fr\ncertificates:\n{section}\napps:\n");
        match load(&Source::new("config.yml", text.as_str()), &surroundings()) {
            Ok((config, _)) => format!("{:?}", config.certificates),
            Err(faults) => faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; "),
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        let all = said(
            "  authorities: [zerossl, {directory: 'https://127.0.0.1:14000/dir', root: /ca.pem, eab: {kid: k, hmac_file: /k}}]\n  \
             challenge: dns-01\n  dns: {provider: exec, command: [/hook]}\n  key: rsa-3072\n  wildcard: true\n  staging: never",
        );
        for part in [
            "issuer: None",
            "email: Some(\"you@a.fr\")",
            "zerossl",
            "127.0.0.1:14000",
            "kid: \"k\"",
            "Rsa(3072)",
            "wildcard: true",
            "Never",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(said("  issuer: internal").contains("Some(Internal)"));
    }

    #[test]
    fn every_fault_is_told() {
        let all = [
            said("  issuer: letsencrypt"),
            said("  authorities: [letsencript]"),
            said("  authorities: [{directory: 'http://a.fr/dir'}]"),
            said("  authorities: [{eab: {kid: k}}]"),
            said("  authorities: [zerossl, zerossl]"),
            said("  challenge: dns-01"),
            said("  wildcard: true"),
            said("  key: ec-521"),
            said("  profile: 'a b'"),
            said("  retries: 3"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        certificates.issuer: `letsencrypt` is not known
        certificates.authorities[0]: `letsencript` is no authority
        certificates.authorities[0].directory: `http://a.fr/dir` is no address such as https://ca.example.org/directory
        certificates.authorities[0].directory is missing; `hmac_file` is missing in certificates.authorities[0].eab
        certificates.authorities holds zerossl twice
        certificates: dns-01 is proven by records, and nothing says how to write them
        certificates: a wildcard is proven by records, and nothing says how to write them
        certificates.key: `ec-521` is not known
        certificates.profile: `a b` is no name of a profile, such as tlsserver or shortlived
        unknown key `retries` in certificates
        ");
    }
}
