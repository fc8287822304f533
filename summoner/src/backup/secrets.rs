//! The instance's secrets as an artefact: without them a database full of encrypted values is worth nothing.

use super::Taking;
use crate::docker::Engine;
use crate::error::Result;
use crate::repository::secrets::{Small, write};
use crate::repository::{Draft, Sinks, Stored};
use crate::state::secrets;

/// Stores the secrets of an instance; None when it has none.
pub(super) fn store<E: Engine>(taking: &Taking<'_, E>, draft: &Draft) -> Result<Option<Stored>> {
    let (layout, id) = (taking.world.layout(), &taking.instance.id);
    let mut files = Vec::new();
    for spec in &taking.instance.secrets {
        if let Some(value) = secrets::read(layout, id, &spec.name)? {
            let owner = spec.owner.unwrap_or(0);
            files.push(Small { name: spec.name.clone(), bytes: value.into_bytes(), mode: 0o600, owner: (owner, owner) });
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut sink = draft.create("secrets.tar")?;
    write(&files, &mut sink)?;
    sink.finish().map(Some)
}
