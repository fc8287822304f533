//! The recovery card: what a person must keep elsewhere, so that the machine may burn.
//!
//! Decides what stands on it and for which configuration it holds; `text` and `page` say the same in two forms. Pure: the
//! commands that print it read what was proven, and remember the [`Basis`].

pub mod page;
pub mod text;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::encryption::fingerprint;
use crate::config::repositories::{Place, RepositorySettings, S3, Sftp};
use crate::name::InstanceId;
use crate::plan::drill::Short;

/// The form of the card for programs.
pub const VERSION: u32 = 1;
/// What each repository is told to need, beside the private key.
const NOTHING: &str = "the disk";
/// The name of the file with the private key in the commands.
pub const KEY_FILE: &str = "KEYFILE";
/// And that of the key that signs in over SFTP.
const SSH_KEY: &str = "SSHKEY";

/// What of a configuration is on a card: when it changes, the card is an old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The first domain.
    pub domain: String,
    /// Fingerprints of the recipients, sorted.
    pub keys: Vec<String>,
    /// Names and places of the other repositories, in the order of config.yml.
    pub places: Vec<BasisPlace>,
}

/// One repository of a [`Basis`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasisPlace {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Whether what goes there is encrypted.
    pub encrypted: bool,
}

impl Basis {
    /// What a card made now would be for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut keys: Vec<String> = config.recipients.iter().map(|recipient| fingerprint(recipient)).collect();
        keys.sort();
        let places = config.repositories.iter().map(|settings| BasisPlace {
            name: settings.name.clone(),
            place: settings.place.to_string(),
            encrypted: encrypted(config, settings),
        });
        Self { domain: config.domain.to_string(), keys, places: places.collect() }
    }

    /// What is not on the card that was made; empty when it holds.
    #[must_use]
    pub fn missing_on(&self, made: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.domain != made.domain {
            missing.push(format!("the domain is {} now", self.domain));
        }
        missing.extend(self.keys.iter().filter(|key| !made.keys.contains(key)).map(|key| format!("the key {key} is new")));
        missing.extend(made.keys.iter().filter(|key| !self.keys.contains(key)).map(|key| format!("the key {key} is used no more")));
        missing.extend(self.places.iter().filter(|place| !made.places.contains(place)).map(|place| format!("{} is new there", place.name)));
        let gone = made.places.iter().filter(|place| self.places.iter().all(|now| now.name != place.name));
        missing.extend(gone.map(|place| format!("{} is used no more", place.name)));
        missing
    }

    /// Why nothing may be encrypted yet: nobody was told how to open it. None when nothing is encrypted, or the card that
    /// was made names the keys and the places.
    #[must_use]
    pub fn refusal(&self, made: Option<&Self>) -> Option<String> {
        let places: Vec<&BasisPlace> = self.places.iter().filter(|place| place.encrypted).collect();
        if places.is_empty() {
            return None;
        }
        let Some(made) = made else { return Some("no recovery card was made".to_owned()) };
        let new: Vec<&String> = self.keys.iter().filter(|key| !made.keys.contains(key)).collect();
        if let Some(key) = new.first() {
            return Some(format!("the recovery card was made before the key {key} was there"));
        }
        if made.keys.iter().any(|key| !self.keys.contains(key)) {
            return Some("the recovery card names a key that is used no more".to_owned());
        }
        let place = places.into_iter().find(|place| !made.places.contains(place))?;
        Some(format!("the recovery card does not name {} ({})", place.name, place.place))
    }
}

/// Whether what goes to a place is encrypted.
#[must_use]
pub fn encrypted(config: &Config, settings: &RepositorySettings) -> bool {
    settings.encrypt && !config.recipients.is_empty()
}

/// What was proven of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Which.
    pub id: InstanceId,
    /// Where it answers.
    pub url: Option<String>,
    /// The newest snapshot that was read back and found whole: when it was taken.
    pub verified: Option<DateTime<Utc>>,
    /// The last drill.
    pub drill: Option<Short>,
}

/// Everything that stands on the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Form of it.
    pub version: u32,
    /// The first domain.
    pub domain: String,
    /// Who is responsible.
    pub email: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Version of the Summoner that made it.
    pub summoner: String,
    /// Where config.yml lies on this server.
    pub config: String,
    /// The private keys that are needed.
    pub keys: Vec<CardKey>,
    /// Where the backups are, the one on this server first.
    pub places: Vec<CardPlace>,
    /// What to type on an empty machine.
    pub steps: Vec<Step>,
    /// The same without Summoner.
    pub without: Vec<Step>,
    /// What was proven.
    pub instances: Vec<Proof>,
}

/// A key that opens what is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardKey {
    /// The short form.
    pub fingerprint: String,
    /// The public part.
    pub recipient: String,
}

/// One place with backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardPlace {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Whether a key is needed.
    pub encrypted: bool,
    /// What is needed to reach it, and where that lies on this server.
    pub needs: Vec<String>,
}

/// One step of what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is for.
    pub what: String,
    /// What to type.
    pub commands: Vec<String>,
}

impl Card {
    /// The card for a configuration.
    #[must_use]
    pub fn of(config: &Config, summoner: &str, instances: Vec<Proof>, now: DateTime<Utc>) -> Self {
        let here = CardPlace {
            name: "this server".to_owned(),
            place: config.layout.backups().display().to_string(),
            encrypted: false,
            needs: vec!["burns with this server".to_owned()],
        };
        let others = config.repositories.iter().map(|settings| CardPlace {
            name: settings.name.clone(),
            place: settings.place.to_string(),
            encrypted: encrypted(config, settings),
            needs: needs(&settings.place),
        });
        let keys = config.recipients.iter().map(|recipient| CardKey { fingerprint: fingerprint(recipient), recipient: recipient.clone() });
        Self {
            version: VERSION,
            domain: config.domain.to_string(),
            email: config.email.clone(),
            made_at: now,
            summoner: summoner.to_owned(),
            config: config.path.display().to_string(),
            keys: keys.collect(),
            places: std::iter::once(here).chain(others).collect(),
            steps: steps(config, summoner),
            without: without(config),
            instances,
        }
    }
}

fn needs(place: &Place) -> Vec<String> {
    match place {
        Place::Folder(_) => vec![NOTHING.to_owned()],
        Place::Sftp(Sftp { user, host, port, key_file, .. }) => {
            let key = key_file
                .as_ref()
                .map_or_else(|| "a private key of SSH".to_owned(), |file| format!("the private key of SSH {}", file.display()));
            vec![format!("user {user} at {host}, port {port}"), key]
        }
        Place::S3(S3 { region, access_key, secret_key_file, .. }) => {
            let access = access_key.as_ref().map_or_else(|| "an access key".to_owned(), |key| format!("the access key {key}"));
            let secret =
                secret_key_file.as_ref().map_or_else(|| "its secret key".to_owned(), |file| format!("its secret key {}", file.display()));
            vec![format!("region {region}"), access, secret]
        }
    }
}

/// The place that a recovery begins with: one that does not burn, the first of config.yml.
fn first(config: &Config) -> Option<&RepositorySettings> {
    config.repositories.first()
}

fn step(what: &str, commands: &[&str]) -> Step {
    Step { what: what.to_owned(), commands: commands.iter().map(|command| (*command).to_owned()).collect() }
}

fn steps(config: &Config, summoner: &str) -> Vec<Step> {
    let mut steps = vec![
        step("An empty machine with Debian or Ubuntu, as root:", &["apt-get update && apt-get install -y docker.io openssh-client"]),
        step(
            &format!("The program, version {summoner} or newer: from a copy, or built in its sources by scripts/summon --dry-run:"),
            &["install -m 0755 summoner /usr/local/bin/summoner"],
        ),
    ];
    steps.extend(first(config).and_then(|settings| reach(&settings.place)));
    let place = first(config).map_or_else(|| config.layout.backups().display().to_string(), |settings| settings.place.to_string());
    let mut flags = String::new();
    if let Some(settings) = first(config) {
        if matches!(settings.place, Place::Sftp(_)) {
            flags += &format!(" --ssh-key {SSH_KEY}");
        }
        if encrypted(config, settings) {
            flags += &format!(" --identity {KEY_FILE}");
        }
    }
    steps.push(step(
        "Everything as it was: config.yml, passwords, certificates, every application with its data:",
        &[&format!("summoner install --restore-from {place}{flags}")],
    ));
    steps
}

/// What has to lie where before the place can be reached.
fn reach(place: &Place) -> Option<Step> {
    match place {
        Place::Folder(path) => Some(step("The disk, mounted so that this shows repository.json:", &[&format!("ls {}", path.display())])),
        Place::Sftp(Sftp { user, host, port, path, .. }) => Some(step(
            &format!(
                "The private key of SSH in a file {SSH_KEY} (mode 0600); say yes to the host that you know; this shows repository.json:"
            ),
            &[&format!("echo ls {path} | sftp -i {SSH_KEY} -P {port} {user}@{host}")],
        )),
        Place::S3(S3 { region, access_key, .. }) => Some(step(
            "The access key and its secret key, both in the environment:",
            &[&format!(
                "export AWS_REGION={region} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=...",
                access_key.as_deref().unwrap_or("...")
            )],
        )),
    }
}

fn without(config: &Config) -> Vec<Step> {
    let (place, sealed) = first(config)
        .map_or_else(|| (Place::Folder(config.layout.backups()), false), |settings| (settings.place.clone(), encrypted(config, settings)));
    let copy = match &place {
        Place::Folder(path) => format!("cp -r {} backups", path.display()),
        Place::Sftp(Sftp { user, host, port, path, .. }) => format!("sftp -r -i {SSH_KEY} -P {port} {user}@{host}:{path} backups"),
        Place::S3(S3 { endpoint, bucket, prefix, region, .. }) => {
            let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
            format!("aws s3 sync --endpoint-url {endpoint} --region {region} s3://{bucket}{prefix} backups")
        }
    };
    let mut steps = vec![step("All of it onto an empty disk:", &[&copy, "cd backups"])];
    if sealed {
        steps.push(step("Opened with age, each file in the place of its encrypted one:", &[&decrypt(KEY_FILE)]));
    }
    steps.push(step(
        "What there is, and one of it into a new folder (sh, tar, zstd and sha256sum do it):",
        &["sh restore.sh", "sh restore.sh INSTANCE/TIME FOLDER"],
    ));
    steps
}

/// Decrypts every file below the folder where it is typed; README.txt in each repository has the same words.
#[must_use]
pub fn decrypt(key_file: &str) -> String {
    format!("find . -name '*.age' -exec sh -euc 'for f; do age -d -i \"$0\" -o \"${{f%.age}}\" \"$f\"; rm \"$f\"; done' {key_file} {{}} +")
}

#[cfg(test)]
mod tests;
