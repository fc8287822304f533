//! Forgets what retention gives up: decided by `plan::retention`, done by the repository.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::config::{Backup, Config};
use crate::error::{Error, Result};
use crate::name::InstanceId;
use crate::plan::retention::{Verdict, retention};
use crate::plan::snapshot::{Snapshot, SnapshotId};
use crate::repository::Repository;

/// Judges every snapshot of the repository, instance by instance.
///
/// # Errors
/// There is no repository, or one of its snapshots is damaged beyond reading: then nothing is judged.
pub fn verdicts(config: &Config, now: DateTime<Utc>) -> Result<Vec<Verdict>> {
    let repository = Repository::open(&config.layout.backups())?;
    let (snapshots, damaged) = repository.list(None)?;
    if let Some(first) = damaged.first() {
        return Err(Error::external("nothing is forgotten while a snapshot cannot be read").cause(first).next("summoner verify"));
    }
    let zone: Tz = config.timezone.parse().unwrap_or(Tz::UTC);
    let mut by_instance: BTreeMap<InstanceId, Vec<Snapshot>> = BTreeMap::new();
    for snapshot in snapshots {
        by_instance.entry(snapshot.manifest.id.instance.clone()).or_default().push(snapshot);
    }
    let judge = |(instance, of): (InstanceId, Vec<Snapshot>)| {
        // An instance that is gone keeps what the general rules say.
        let found = config.instances.iter().find(|known| known.id == instance);
        let keep = found.map_or_else(|| Backup::default().keep, |known| known.backup.keep);
        retention(&of, &keep, zone, now)
    };
    Ok(by_instance.into_iter().flat_map(judge).collect())
}

/// Deletes what is not kept; gives the bytes that were freed.
///
/// # Errors
/// The disk refuses; what is kept is whole, and the command may be repeated.
pub async fn carry_out(config: &Config, verdicts: &[Verdict]) -> Result<u64> {
    let repository = Repository::open(&config.layout.backups())?;
    let ids: Vec<SnapshotId> = verdicts.iter().filter(|verdict| !verdict.keep).map(|verdict| verdict.id.clone()).collect();
    super::blocking(move |_| repository.forget(&ids, false).map(|freed| freed.bytes)).await
}
