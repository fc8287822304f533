//! One command at a time changes a host. The lock says who holds it and since when.
//!
//! The kernel's lock on the file is the truth and ends with the process, also after `kill -9`; the text inside only
//! tells people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;

/// How often a waiting command looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    version: u32,
    command: String,
    process: u32,
    since: String,
}

impl Lock {
    /// Takes the lock for a command, at once or by waiting.
    ///
    /// # Errors
    /// Held by another: names it, exit code 11.
    pub async fn take(layout: &Layout, command: &str, wait: bool, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.lock(), "the lock of this host", layout, command, wait, now).await
    }

    /// Takes the lock of whoever runs scheduled jobs: the daemon, or `run-due`.
    ///
    /// # Errors
    /// Held by another: names it, exit code 11.
    pub async fn take_runs(layout: &Layout, command: &str, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.runs_lock(), "the lock of scheduled jobs", layout, command, false, now).await
    }

    /// Takes the lock of whoever changes the list of bans; waits, for it is held for as long as two files are written.
    ///
    /// # Errors
    /// Its file cannot be opened.
    pub async fn take_bans(layout: &Layout, command: &str, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.bans_lock(), "the lock of bans", layout, command, true, now).await
    }

    /// Takes the lock of whoever changes what people were told of; waits, for it is held for as long as a file is written.
    ///
    /// # Errors
    /// Its file cannot be opened.
    pub async fn take_told(layout: &Layout, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.told_lock(), "the lock of news", layout, "notify", true, now).await
    }

    /// Takes the lock of the one `summoner proxy` that works on this data.
    ///
    /// # Errors
    /// Held by another: names it, exit code 11.
    pub async fn take_proxy(layout: &Layout, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.proxy_lock(), "the lock of the proxy", layout, "proxy", false, now).await
    }

    /// Takes the lock of drills: one runs at a time, beside whatever else is done on this host.
    ///
    /// # Errors
    /// Held by another: names it, exit code 11.
    pub async fn take_drill(layout: &Layout, command: &str, wait: bool, now: DateTime<Utc>) -> Result<Self> {
        Self::take_at(&layout.drill_lock(), "the lock of drills", layout, command, wait, now).await
    }

    async fn take_at(path: &Path, what: &str, layout: &Layout, command: &str, wait: bool, now: DateTime<Utc>) -> Result<Self> {
        disk::ensure_own_folder(&layout.own(), 0o700, None)?;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = opened.map_err(|error| Error::io("open the lock", path, &error))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if wait => tokio::time::sleep(LOOK_AGAIN).await,
                Err(TryLockError::WouldBlock) => return Err(held(&mut file, what)),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, &error)),
            }
        }
        let holder = Holder {
            version: 1,
            command: command.to_owned(),
            process: std::process::id(),
            since: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        };
        let text = serde_json::to_string(&holder).map_err(|error| Error::internal("the lock's text does not serialise").cause(error))?;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| Error::io("write", path, &error))?;
        Ok(Self { _file: file })
    }
}

fn held(file: &mut File, what: &str) -> Error {
    let mut text = String::new();
    let read = file.take(4096).read_to_string(&mut text);
    tracing::debug!(?read, "text of the lock");
    let by = serde_json::from_str::<Holder>(&text).map_or_else(
        |_| format!("another summoner command holds {what}"),
        |holder| format!("`summoner {}` (process {}) has held {what} since {}", holder.command, holder.process, holder.since),
    );
    Error::new(Kind::Locked, by).next("wait for it to end, or add --wait to do so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_hears_who_holds_it_and_the_first_one_s_end_frees_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let first = Lock::take(&layout, "install", false, now).await.unwrap();
        let error = Lock::take(&layout, "invoke ghost", false, now).await.unwrap_err();
        assert_eq!(error.kind.exit_code(), 11);
        assert_eq!(
            error.message,
            format!("`summoner install` (process {}) has held the lock of this host since 2027-01-15T08:00:00Z", std::process::id())
        );
        drop(first);
        Lock::take(&layout, "invoke ghost", false, now).await.unwrap();
    }
}
