//! An order under way, as it survives a crash: its address, its key, and the chain once it came. Taken up again before
//! anything new is asked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{MAX_PEM_BYTES, Places};
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Result};

const VERSION: u32 = 1;

/// One order.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    version: u32,
    /// The settings that it was placed for, see `plan::cert::Wanted::digest`.
    pub(super) digest: String,
    /// Where it was placed.
    pub(super) directory: String,
    /// Its address.
    pub(super) url: String,
    /// The key that its request is signed with (PEM).
    pub(super) key: String,
    /// It follows the authority's own suggestion.
    pub(super) renewal: bool,
    /// The chain, once it came.
    pub(super) chain: Option<String>,
}

impl Pending {
    pub(super) fn new(digest: &str, directory: &str, url: &str, key: &str, renewal: bool) -> Self {
        let text = |text: &str| text.to_owned();
        Self { version: VERSION, digest: text(digest), directory: text(directory), url: text(url), key: text(key), renewal, chain: None }
    }

    /// What was begun for a stem; what cannot be read was not begun.
    pub(super) fn load(places: &Places, stem: &str) -> Result<Option<Self>> {
        let Some(bytes) = disk::read_if_there(&path(places, stem), 2 * MAX_PEM_BYTES)? else { return Ok(None) };
        Ok(serde_json::from_slice::<Self>(&bytes).ok().filter(|pending| pending.version == VERSION))
    }

    pub(super) fn save(&self, places: &Places, stem: &str) -> Result<()> {
        disk::ensure_own_folder(&places.acme, 0o700, None)?;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::internal("an order does not serialise").cause(error))?;
        crash::point();
        disk::write_atomic(&path(places, stem), &bytes, 0o600)
    }

    pub(super) fn remove(places: &Places, stem: &str) -> Result<()> {
        disk::remove_file(&path(places, stem))
    }
}

fn path(places: &Places, stem: &str) -> PathBuf {
    places.acme.join(format!("{stem}.order"))
}
