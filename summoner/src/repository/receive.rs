//! Takes a snapshot over from another repository: packs first, then artefacts, the manifest last, all of it hashed on its
//! way. What does not have the hash that it should is not stored.

use std::io::{self, Read};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::index::{DAMAGED, Index, OBJECTS};
use super::needs::Need;
use super::{Repository, put_json};
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::SnapshotId;

/// What came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Repository {
    /// Takes a snapshot over from another repository and reads it back here. One that is here and good is left as it is.
    ///
    /// # Errors
    /// It is not there, does not open with the key at hand, or is not as its manifest says; nothing that is here is
    /// touched, and the same call again goes on where this one ended.
    pub fn receive(&self, from: &Self, id: &SnapshotId, now: DateTime<Utc>, cancel: &dyn Fn() -> Result<()>) -> Result<Received> {
        self.check_writable()?;
        let mut received = Received::default();
        if self.snapshot(id).is_ok_and(|here| here.is_some_and(|here| here.is_good())) {
            return Ok(received);
        }
        let manifest = from.need(id)?;
        let locks = self.lock_to_write(&id.instance)?;
        let index = Index::load(&from.backend, &id.instance)?;
        let mine = Index::load(&self.backend, &id.instance)?;
        for need in from.needed_packs(&manifest, &index)? {
            cancel()?;
            let sound = mine.packs.iter().find(|pack| !pack.damaged && need.blob.contains(&pack.id));
            if sound.is_some() {
                continue;
            }
            // The list of a pack has a hash of its own, in its last line; a wrong one is made again from the pack.
            self.take_over(from, &need, &mut received)?;
            if need.blob.ends_with(OBJECTS) {
                let damaged = need.blob.replace(&format!(".{OBJECTS}"), &format!(".{DAMAGED}"));
                self.backend.delete(&damaged)?;
            }
        }
        for need in Self::needed_artefacts(&manifest) {
            cancel()?;
            self.take_over(from, &need, &mut received)?;
        }
        put_json(self.backend.as_ref(), &layout::artefact(&id.instance, &id.stamp(), layout::MANIFEST), &manifest)?;
        drop(locks);
        let verified = self.verify(id, false, now)?;
        match verified.fault {
            None => Ok(received),
            Some(fault) => Err(Error::external(format!("the snapshot {id} of {} is damaged", from.location()))
                .cause(fault)
                .next(format!("summoner snapshots --from {}   shows the others", from.location()))),
        }
    }

    fn take_over(&self, from: &Self, need: &Need, received: &mut Received) -> Result<()> {
        let bytes = from.backend.get(&need.blob)?;
        let bytes = bytes.ok_or_else(|| Error::external(format!("{} is missing at {}", need.blob, from.location())))?;
        let mut checking = Checking::new(bytes, need.sha256.clone());
        let receipt = self.backend.put(&need.blob, &mut checking).map_err(|error| {
            Error::external(format!("cannot take {} over from {}", need.blob, from.location()))
                .cause(error.cause.map_or_else(|| error.message.clone(), |cause| format!("{}: {cause}", error.message)))
        })?;
        received.blobs += 1;
        received.bytes += receipt.bytes;
        Ok(())
    }
}

/// Fails at the end of what is not what it should be, so that it is not stored.
pub(crate) struct Checking {
    inner: Box<dyn Read + Send>,
    hash: Sha256,
    /// What the hash begins with.
    wanted: Option<String>,
}

impl Checking {
    /// Nothing was read yet.
    pub(crate) fn new(inner: Box<dyn Read + Send>, wanted: Option<String>) -> Self {
        Self { inner, hash: Sha256::new(), wanted }
    }
}

impl Read for Checking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() {
            let found = hex::encode(self.hash.clone().finalize());
            if self.wanted.as_ref().is_some_and(|wanted| !found.starts_with(wanted.as_str())) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as it was written: its hash differs"));
            }
        }
        Ok(read)
    }
}
