//! Failed sign-ins that are no ban yet, on disk: whoever tries goes on where they were when the guard restarts.
//!
//! Written by the guard alone, some seconds after each first one. A damaged file is begun anew.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::ban::Failure;

/// The form of the file.
const VERSION: u32 = 1;
/// [`crate::plan::ban::MOST_FAILURES_KEPT`] of them need less.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    failures: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: String,
    at: DateTime<Utc>,
    instance: String,
}

/// Reads them, oldest first; a damaged file is none and a note that says so.
///
/// # Errors
/// It cannot be read, or a newer Summoner wrote it.
pub(super) fn read(layout: &Layout) -> Result<(Vec<Failure>, Option<String>)> {
    let path = layout.failed_sign_ins();
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok((Vec::new(), None)) };
    // The version first: a newer form need not parse.
    let any: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
    let version = any.as_ref().ok().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        let message = format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display());
        return Err(Error::new(Kind::Config, message).next("use the newer program; this one would lose what it cannot read"));
    }
    let failure = |entry: Entry| {
        let subject = entry.address.parse().map_err(|error: crate::plan::ban::subject::NoSubject| error.to_string())?;
        Ok::<_, String>(Failure { subject, at: entry.at, instance: entry.instance })
    };
    let file = any.and_then(serde_json::from_value::<File>).map_err(|error| error.to_string());
    match file.and_then(|file| file.failures.into_iter().map(failure).collect()) {
        Ok(failures) => Ok((failures, None)),
        Err(reason) => Ok((Vec::new(), Some(format!("{} is damaged ({reason}); failed sign-ins are counted anew", path.display())))),
    }
}

/// Writes them.
///
/// # Errors
/// The disk refuses, or a newer Summoner wrote the file; it is untouched then.
pub(super) fn write(layout: &Layout, failures: &[Failure]) -> Result<()> {
    let path = layout.failed_sign_ins();
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    read(layout)?;
    let entry = |failure: &Failure| Entry { address: failure.subject.to_string(), at: failure.at, instance: failure.instance.clone() };
    let file = File { version: VERSION, failures: failures.iter().map(entry).collect() };
    let bytes = serde_json::to_vec(&file).map_err(|error| Error::internal("failed sign-ins do not serialise").cause(error))?;
    disk::write_atomic(&path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_read_a_damaged_file_is_told_and_a_newer_one_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        assert_eq!(read(&layout).unwrap(), (Vec::new(), None));
        let failure = |address: &str| Failure {
            subject: address.parse().unwrap(),
            at: "2026-11-21T02:00:00Z".parse().unwrap(),
            instance: "ghost-a.fr".into(),
        };
        let failures = vec![failure("198.51.100.7"), failure("2001:db8::1")];
        write(&layout, &failures).unwrap();
        assert_eq!(read(&layout).unwrap(), (failures.clone(), None));
        fs::write(layout.failed_sign_ins(), "{\"version\":1,\"fail").unwrap();
        assert!(read(&layout).unwrap().1.unwrap().contains("sign-ins.json is damaged"));
        write(&layout, &failures).unwrap();
        fs::write(layout.failed_sign_ins(), "{\"version\":2}").unwrap();
        assert!(write(&layout, &failures).is_err() && read(&layout).is_err());
        assert_eq!(fs::read_to_string(layout.failed_sign_ins()).unwrap(), "{\"version\":2}");
    }
}
