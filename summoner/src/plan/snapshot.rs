//! A snapshot as a value: its id and its manifest, the file that makes a folder of artefacts one backup.
//!
//! Pure. The repository writes and reads it, retention and restore decide on it; `wiki/repository.md` documents the form.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::name::{DatabaseKind, InstanceId};

/// The newest form of a manifest that this Summoner reads and writes.
pub const VERSION: u32 = 1;

/// How a snapshot's time is spelled: sorts as it was taken, and is a folder's name everywhere.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// `<instance>/<time>`: `ghost-example.org/20261121T020000Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId {
    /// Whose.
    pub instance: InstanceId,
    /// When it was begun, whole seconds.
    pub time: DateTime<Utc>,
}

impl SnapshotId {
    /// An id for a snapshot begun now.
    #[must_use]
    pub fn new(instance: InstanceId, now: DateTime<Utc>) -> Self {
        let time = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
        Self { instance, time }
    }

    /// The time as it is spelled in the id.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.time.format(TIME).to_string()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.instance, self.stamp())
    }
}

impl FromStr for SnapshotId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || format!("`{text}` is no snapshot: <instance>/<time>, such as ghost-example.org/20261121T020000Z");
        let (instance, time) = text.split_once('/').ok_or_else(fail)?;
        let instance = instance.parse().map_err(|_| fail())?;
        Ok(Self { instance, time: stamp(time).ok_or_else(fail)? })
    }
}

/// The time that a stamp spells.
#[must_use]
pub fn stamp(text: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, TIME).ok()?.and_utc();
    // Only the one spelling: two folders must not mean one snapshot.
    (time.format(TIME).to_string() == text).then_some(time)
}

impl TryFrom<String> for SnapshotId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.to_string()
    }
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Databases alone, while everything ran.
    Dump,
    /// Files, databases and secrets at one point.
    Backup,
}

/// What the artefacts are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Each database at one moment, files not at all.
    Hot,
    /// As after a power cut: something was still running or did not end cleanly.
    Crash,
    /// The application stood still: files and databases belong together.
    Application,
}

/// Why it was taken; those before a change are kept apart from the schedule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A person asked.
    Asked,
    /// The schedule asked.
    Schedule,
    /// Before a restore.
    PreRestore,
    /// Before an update.
    PreUpdate,
}

/// What makes a folder of artefacts one snapshot. Written last, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the file.
    pub version: u32,
    /// Its id.
    pub id: SnapshotId,
    /// What was taken.
    pub kind: Kind,
    /// What the artefacts are to each other.
    pub consistency: Consistency,
    /// Why.
    pub purpose: Purpose,
    /// Version of the Summoner that took it.
    pub summoner: String,
    /// Version of the Docker Engine.
    pub engine: String,
    /// The minion.
    pub minion: String,
    /// The minion's version: the tag of the application's image.
    pub minion_version: Option<String>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// The files beside the manifest.
    pub artefacts: Vec<Artefact>,
    /// What the file tree needs from the packs; none for a dump.
    pub files: Option<Files>,
    /// Images by container name.
    pub images: BTreeMap<String, ImageUse>,
    /// Everything that it holds, uncompressed.
    pub bytes_total: u64,
    /// What it added to the repository, compressed.
    pub bytes_added: u64,
    /// How long the application did not answer.
    pub downtime_ms: Option<u64>,
    /// How long that was expected to be.
    pub downtime_predicted_ms: Option<u64>,
    /// How long everything took.
    pub duration_ms: u64,
    /// What a person should know: sockets that were skipped, tables that are not transactional.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One file beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// The file's name: `mysql-ghost.sql.zst`.
    pub name: String,
    /// What it is.
    pub content: Content,
    /// Its size.
    pub bytes: u64,
    /// Its size before compression.
    pub bytes_raw: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The database that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseFacts>,
}

/// What an artefact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A tar of the folders, each file holding the names of the objects that make it.
    Tree,
    /// A database.
    Dump,
    /// A server's roles: PostgreSQL's globals.
    Globals,
    /// The instance's secrets, a tar.
    Secrets,
    /// Files that an application wrote as its own dump, a tar.
    Files,
}

/// What is known of a dumped database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// The container's name.
    pub container: String,
    /// Its kind.
    pub kind: DatabaseKind,
    /// The database; the server's whole content when empty.
    pub name: String,
    /// What the server calls its version.
    pub server_version: String,
    /// Tables or collections.
    pub tables: u64,
    /// Rows or documents by table; those of older snapshots have them for MongoDB alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
    /// A checksum of the content of each table that has rows, to compare with when it was restored: of all rows, or with
    /// PostgreSQL of the first thousand. None where it was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<BTreeMap<String, String>>,
}

/// The file tree in numbers, and the packs that hold its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Regular files.
    pub files: u64,
    /// Everything else: folders, links, FIFOs.
    pub others: u64,
    /// Content of all files.
    pub bytes: u64,
    /// Packs that hold its objects, sorted.
    pub packs: Vec<String>,
}

/// The image that a container ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// `mysql:8.4.11`.
    pub reference: String,
    /// The engine's id.
    pub id: String,
    /// `repository@sha256:…`; none for an image that was built here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What was found out about a snapshot after it was taken: `verified.json` beside the manifest, replaced whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Form of the file.
    pub version: u32,
    /// When it was read back.
    pub at: DateTime<Utc>,
    /// Whether every object in its packs was read too, or only hashes of whole files.
    pub read_data: bool,
    /// What is wrong with it; none is good.
    #[serde(default)]
    pub fault: Option<String>,
}

/// A snapshot of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its manifest.
    pub manifest: Manifest,
    /// What was found out since.
    pub verified: Option<Verified>,
}

impl Snapshot {
    /// Whether it was read back and found whole.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.verified.as_ref().is_some_and(|verified| verified.fault.is_none())
    }
}

/// A backup that holds files and one database, for tests of decisions.
#[cfg(test)]
pub(crate) fn example(id: &str, version: Option<&str>) -> Manifest {
    let id: SnapshotId = id.parse().unwrap();
    let artefact =
        |name: &str, content| Artefact { name: name.into(), content, bytes: 10, bytes_raw: 100, sha256: String::new(), database: None };
    Manifest {
        version: VERSION,
        kind: Kind::Backup,
        consistency: Consistency::Application,
        purpose: Purpose::Schedule,
        summoner: "0.1.0".into(),
        engine: "20.10.24".into(),
        minion: id.instance.app.to_string(),
        minion_version: version.map(str::to_owned),
        ended_at: id.time,
        artefacts: vec![artefact("mysql.sql.zst", Content::Dump), artefact("tree.tar.zst", Content::Tree)],
        files: Some(Files { files: 1, others: 0, bytes: 100, packs: vec![] }),
        images: BTreeMap::new(),
        bytes_total: 200,
        bytes_added: 20,
        downtime_ms: Some(500),
        downtime_predicted_ms: None,
        duration_ms: 1000,
        notes: vec![],
        id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id: SnapshotId = "ghost-a.fr/20261121T020000Z".parse().unwrap();
        assert_eq!(id.to_string(), "ghost-a.fr/20261121T020000Z");
        assert_eq!(id.time.to_rfc3339(), "2026-11-21T02:00:00+00:00");
        for wrong in ["ghost-a.fr", "ghost-a.fr/latest", "ghost-a.fr/20261121T020000", "../20261121T020000Z", "ghost-a.fr/20261121T0200 0Z"]
        {
            assert!(wrong.parse::<SnapshotId>().unwrap_err().contains("is no snapshot"), "{wrong}");
        }
    }
}
