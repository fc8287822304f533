//! Names of what lies in a repository: of blobs, relative to it, and of the folders that only this host uses.

use std::path::{Path, PathBuf};

use crate::name::InstanceId;

/// What makes a folder a repository.
pub const ABOUT: &str = "repository.json";
/// How to restore without Summoner.
pub const README: &str = "README.txt";
/// The script that does so.
pub const RESTORE: &str = "restore.sh";
/// Makes a folder of artefacts a snapshot.
pub const MANIFEST: &str = "manifest.json";
/// What was found out about it since.
pub const VERIFIED: &str = "verified.json";
/// What came of restoring it in a drill, and the same in plain words.
pub const DRILLED: &str = "drilled.json";
/// The page beside it.
pub const DRILLED_PAGE: &str = "drilled.txt";
/// What a snapshot is made of at another place, for anybody to read.
pub const PARTS: &str = "parts.json";
/// Kernel locks; the files say nothing.
pub const LOCKS: &str = "locks/";
/// The public keys that anything there was ever encrypted for.
pub const KEYS: &str = "keys.json";
/// All packs.
pub const PACKS: &str = "packs/";
/// All snapshots.
pub const SNAPSHOTS: &str = "snapshots/";
/// All records of the installation itself.
pub const SERVER: &str = "server/";
/// What a record holds.
pub const RECORD: &str = "record.tar.zst";
/// Ends the folder of a snapshot that is being made.
pub const DRAFT: &str = ".part";

/// All packs of an instance.
#[must_use]
pub fn packs(instance: &InstanceId) -> String {
    format!("{PACKS}{instance}/")
}

/// Something about a pack: the tar itself, its list of objects, the mark of a damaged one.
#[must_use]
pub fn pack(instance: &InstanceId, id: &str, ending: &str) -> String {
    format!("{PACKS}{instance}/{id}.{ending}")
}

/// All snapshots, or those of an instance.
#[must_use]
pub fn snapshots(instance: Option<&InstanceId>) -> String {
    instance.map_or_else(|| SNAPSHOTS.to_owned(), |instance| format!("{SNAPSHOTS}{instance}/"))
}

/// A file of a snapshot.
#[must_use]
pub fn artefact(instance: &InstanceId, stamp: &str, name: &str) -> String {
    format!("{SNAPSHOTS}{instance}/{stamp}/{name}")
}

/// A file of a record of the installation.
#[must_use]
pub fn server(stamp: &str, name: &str) -> String {
    format!("{SERVER}{stamp}/{name}")
}

/// The lock that whoever writes holds, or the one that whoever reads shares.
#[must_use]
pub fn lock(instance: &InstanceId, what: &str) -> String {
    format!("{LOCKS}{instance}.{what}")
}

/// Where a snapshot is being made.
#[must_use]
pub fn draft(root: &Path, instance: &InstanceId, stamp: &str) -> PathBuf {
    drafts(root, instance).join(format!("{stamp}{DRAFT}"))
}

/// Where the drafts of an instance lie.
#[must_use]
pub fn drafts(root: &Path, instance: &InstanceId) -> PathBuf {
    root.join(snapshots(Some(instance)))
}

/// The newest failed draft of an instance.
#[must_use]
pub fn failed(root: &Path, instance: &InstanceId) -> PathBuf {
    root.join("failed").join(instance.to_string())
}
