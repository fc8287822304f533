//! Reads a snapshot back: hashes and objects by the repository, the end of each dump by its database's own rules.

use crate::database;
use crate::error::Result;
use crate::plan::snapshot::{Content, Snapshot, Verified};
use crate::repository::Repository;

use chrono::{DateTime, Utc};

/// Reads it back and writes down what was found.
///
/// # Errors
/// The repository cannot be read at all; a fault of the snapshot is in the answer.
pub async fn snapshot(repository: &Repository, snapshot: &Snapshot, read_data: bool, now: DateTime<Utc>) -> Result<Verified> {
    let (repository, snapshot) = (repository.clone(), snapshot.clone());
    super::blocking(move |cancel| {
        let id = &snapshot.manifest.id;
        let mut verified = repository.verify(id, read_data, now)?;
        for artefact in snapshot.manifest.artefacts.iter().filter(|artefact| artefact.content == Content::Dump) {
            cancel()?;
            let Some(facts) = artefact.database.as_ref().filter(|_| verified.fault.is_none()) else { continue };
            let read = repository.artefact(id, &artefact.name);
            let checked = read.and_then(|mut reader| database::check(facts.kind, artefact.content, &mut reader));
            if let Err(error) = checked {
                verified.fault = Some(format!("{}: {}", artefact.name, error.message));
                repository.mark(id, &verified)?;
            }
        }
        Ok(verified)
    })
    .await
}
