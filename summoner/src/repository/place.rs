//! Repositories at other places: what config.yml or a command line names, opened with what its blobs pass through.
//!
//! The one place that knows the stack: the driver, and over it the encryption, when there is any. Called by `sync`, and by
//! whoever restores from elsewhere.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Repository, read_text};
use crate::backend::sealed::Sealed;
use crate::backend::{self, Backend};
use crate::config::repositories::RepositorySettings;
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;

/// Opens the repository at a place. `identity` is the file of a private key, for what is encrypted there; `spool` a folder
/// of this host for what is on its way.
///
/// # Errors
/// The place cannot be reached, or there is no repository ([`Kind::NoRepository`]).
pub fn open(settings: &RepositorySettings, recipients: &[String], identity: Option<&Path>, spool: &Path) -> Result<Repository> {
    Repository::on(stack(settings, recipients, identity)?, spool).map_err(|error| match error.kind {
        Kind::NoRepository => Error { next: vec![format!("summoner sync {}   makes one there and fills it", settings.name)], ..error },
        _ => error,
    })
}

/// As [`open`]; makes the repository where there is none.
///
/// # Errors
/// The place cannot be reached or written, or holds something else.
pub fn create_or_open(
    settings: &RepositorySettings,
    recipients: &[String],
    identity: Option<&Path>,
    spool: &Path,
    now: DateTime<Utc>,
) -> Result<Repository> {
    let backend = stack(settings, recipients, identity)?;
    let strange = |name: &str| name != layout::KEYS && !name.starts_with(layout::LOCKS);
    let empty = || -> Result<bool> { Ok(!backend.list("")?.iter().any(|blob| strange(&blob.name))) };
    Repository::make(backend.as_ref(), empty, now)?;
    Repository::on(backend, spool)
}

/// Whether what goes to a place is encrypted.
#[must_use]
pub fn encrypts(settings: &RepositorySettings, recipients: &[String]) -> bool {
    settings.encrypt && !recipients.is_empty()
}

/// The driver and what lies over it. A place that was ever encrypted is read through the encryption, whatever config.yml
/// says today: names there are not those of the blobs.
fn stack(settings: &RepositorySettings, recipients: &[String], identity: Option<&Path>) -> Result<Arc<dyn Backend>> {
    let inner = backend::open(settings)?;
    let encrypts = encrypts(settings, recipients);
    if !encrypts && identity.is_none() && read_text(inner.as_ref(), layout::KEYS)?.is_none() {
        return Ok(inner);
    }
    Ok(Arc::new(Sealed::new(inner, if encrypts { recipients } else { &[] }, identity)?))
}
