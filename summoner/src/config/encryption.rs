//! `encryption:` in config.yml: for whom what goes to other places is encrypted.
//!
//! Knows what a public key of age looks like and the short form in which people compare two; encrypts nothing, and never
//! repeats a private key that somebody pasted. The reader of config.yml calls it; the recovery card and the backend that
//! encrypts take its words for keys.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::values::short;
use super::written::{At, Written};
use super::{Config, Surroundings, storage};
use crate::error::{Error, Kind, Result};
use crate::fault::{Faults, Source};
use crate::yaml::{Fields, Node};

/// Every blob bears a part for each of them.
pub const MOST_RECIPIENTS: usize = 20;
/// Begins every private key of age, whatever its kind.
const PRIVATE: &str = "age-secret-key-";
/// What such a fault says; the key itself stands in no message.
const IS_PRIVATE: &str = "this is a PRIVATE key: whoever has it opens every backup, and on this host it would protect nothing";
const MAKE_ANOTHER: &str = "take it out of this file and never use it again (files are copied and backed up); \
     `summoner keys new FILE` makes a new pair: FILE goes elsewhere, the public part begins with age1 and goes here";
/// The longest file of recipients.
pub const FILE_MAX: u64 = 64 << 10;
/// Bytes of the hash that a fingerprint shows, and of each of its groups.
const FINGERPRINT: usize = 8;
const GROUP: usize = 2;

/// What `encryption:` says.
#[derive(Debug, Default)]
pub(super) struct WrittenEncryption {
    recipients: Vec<String>,
    file: Option<At<String>>,
}

/// A public key as age spells it (X25519), in its one form.
///
/// # Errors
/// The sentence that says what would be right; a private key is not repeated in it.
pub fn recipient(text: &str) -> Result<String, String> {
    let text = text.trim();
    if is_private(text) {
        return Err(IS_PRIVATE.to_owned());
    }
    let wrong = |why: &str| Err(format!("`{}` is no recipient: {why}", short(text)));
    if text.starts_with("ssh-") {
        return wrong("keys of ssh are not taken; `summoner keys new FILE` makes one of age");
    }
    if text.to_ascii_lowercase().starts_with("age1pq1") {
        return wrong("the age of many distributions cannot open this kind yet; `summoner keys new FILE` makes one that all open");
    }
    if !text.to_ascii_lowercase().starts_with("age1") {
        return wrong("it is the public key that begins with age1, as `summoner keys new FILE` or age-keygen shows it");
    }
    match text.parse::<age::x25519::Recipient>() {
        Ok(recipient) => Ok(recipient.to_string()),
        Err(_) => wrong("it has a letter too many, too few, or wrong; copy it whole"),
    }
}

/// Whether a text holds a private key.
#[must_use]
pub fn is_private(text: &str) -> bool {
    text.to_ascii_lowercase().contains(PRIVATE)
}

/// The short form of a public key, for people to compare: the first 64 bits of the SHA-256 of its text.
/// `printf %s age1… | sha256sum` shows the same.
#[must_use]
pub fn fingerprint(recipient: &str) -> String {
    let hash = Sha256::digest(recipient.as_bytes());
    hash[..FINGERPRINT].chunks(GROUP).map(hex::encode).collect::<Vec<_>>().join("-")
}

pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> WrittenEncryption {
    let Some(mut fields) = node.and_then(|node| Fields::open(node, "encryption", faults)) else { return WrittenEncryption::default() };
    let listed = fields.take("recipients").map(|node| recipients(node, faults));
    let file = fields.take("recipients_file").and_then(|node| super::today::path(node, "encryption.recipients_file", faults));
    if let (Some(node), None, None) = (node, &listed, &file) {
        faults.error_with_help(
            &node.span,
            "encryption names no recipients, so nothing would be encrypted",
            "`summoner keys new FILE` makes a key and shows its recipient",
        );
    }
    fields.finish(faults);
    WrittenEncryption { recipients: listed.unwrap_or_default(), file }
}

fn recipients(node: &Node, faults: &mut Faults) -> Vec<String> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if items.is_empty() || items.len() > MOST_RECIPIENTS {
        faults.error_with_help(
            &node.span,
            format!("encryption.recipients holds 1 to {MOST_RECIPIENTS} public keys"),
            "leave out `encryption:` to encrypt nothing",
        );
        return Vec::new();
    }
    let mut all = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let what = format!("encryption.recipients[{at}]");
        if let Some(text) = item.text(&what, faults) {
            add(&mut all, &text, &what, &item.span, faults);
        }
    }
    all
}

fn add(all: &mut Vec<String>, text: &str, what: &str, span: &std::ops::Range<usize>, faults: &mut Faults) {
    match recipient(text) {
        Err(_) if is_private(text) => faults.error_with_help(span, format!("{what}: {IS_PRIVATE}"), MAKE_ANOTHER),
        Err(why) => faults.error(span, format!("{what}: {why}")),
        Ok(known) if all.contains(&known) => faults.error(span, format!("{what}: {} stands there twice", short(&known))),
        Ok(new) => all.push(new),
    }
}

/// The recipients of config.yml, and where the file with further ones lies.
pub(super) fn resolve(
    written: &Written,
    surroundings: &Surroundings<'_>,
    faults: &mut Faults,
) -> (Vec<String>, Option<std::path::PathBuf>) {
    let file = written.encryption.file.as_ref().and_then(|file| {
        let found = storage::absolute(&file.value, surroundings);
        found.map_err(|why| faults.error(&file.span, format!("encryption.recipients_file cannot be `{}`: {why}", short(&file.value)))).ok()
    });
    (written.encryption.recipients.clone(), file)
}

/// Adds the recipients of the file that config.yml names as `recipients_file`.
///
/// # Errors
/// Something in it is no recipient, or there is none.
pub fn add_listed(config: &mut Config, path: &Path, text: &str) -> Result<()> {
    let (found, faults) = listed(path, text);
    if let Err(faults) = faults.finish(Some(())) {
        return Err(Error::faults(format!("{} cannot be used; nothing was touched", path.display()), faults));
    }
    let refused = |why: String| Err(Error::new(Kind::Config, why).next("summoner keys new FILE   makes a key and shows its recipient"));
    if found.is_empty() {
        return refused(format!("{} names no recipient", path.display()));
    }
    for recipient in found {
        if !config.recipients.contains(&recipient) {
            config.recipients.push(recipient);
        }
    }
    if config.recipients.len() > MOST_RECIPIENTS {
        return refused(format!("config.yml and {} name more than {MOST_RECIPIENTS} recipients", path.display()));
    }
    Ok(())
}

/// One a line; empty lines and those that begin with # say nothing, as in age's own files.
fn listed(path: &Path, text: &str) -> (Vec<String>, Faults) {
    let mut faults = Faults::new(&Source::new(path.display().to_string(), text));
    let mut all = Vec::new();
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let begin = end;
        end += line.len();
        let (span, line) = (begin..begin + line.trim_end().len(), line.trim());
        // A comment that holds a private key is the file of somebody who mixed them up.
        if is_private(line) || !(line.is_empty() || line.starts_with('#')) {
            add(&mut all, line, "recipient", &span, &mut faults);
        }
    }
    (all, faults)
}

/// What `config show` says of it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    recipients: Vec<ShownRecipient<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients_file: Option<&'a Path>,
}

#[derive(Serialize)]
struct ShownRecipient<'a> {
    recipient: &'a str,
    fingerprint: String,
}

impl<'a> Shown<'a> {
    /// None when nothing is encrypted.
    pub(super) fn of(config: &'a Config) -> Option<Self> {
        if config.recipients.is_empty() && config.recipients_file.is_none() {
            return None;
        }
        let recipients = config.recipients.iter();
        Some(Self {
            recipients: recipients.map(|recipient| ShownRecipient { recipient, fingerprint: fingerprint(recipient) }).collect(),
            recipients_file: config.recipients_file.as_deref(),
        })
    }
}

#[cfg(test)]
mod tests;
