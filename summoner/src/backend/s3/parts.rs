//! An upload in parts: two on their way while the next is read, and nothing to be seen before it is completed.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinHandle;

use super::ear::Ear;
use crate::backend::wire;
use crate::error::Error;

/// The size of a part; some stores want all of them of one size.
pub(super) const PART: usize = 12 << 20;
/// Amazon S3 User Guide, "Multipart upload limits": this many parts, which makes 117 GiB.
const MOST: usize = 10_000;
/// Parts on their way at once. With the one that is being read, all that an upload holds in memory.
const UNDER_WAY: usize = 2;

/// Why an upload did not happen.
pub(super) enum Fault {
    Store(object_store::Error),
    Source(io::Error),
    TooLarge,
    Ours(Error),
}

impl From<object_store::Error> for Fault {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// Reads one part; what is shorter is the last one.
pub(super) fn part(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(PART as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An upload that was begun. Whoever drops it has completed or aborted it.
pub(super) struct Upload {
    store: Arc<AmazonS3>,
    key: Path,
    /// None only while it is being completed or aborted.
    parts: Option<Box<dyn MultipartUpload>>,
    under_way: VecDeque<JoinHandle<object_store::Result<()>>>,
    count: usize,
    bytes: u64,
}

impl Upload {
    pub(super) fn begin(store: Arc<AmazonS3>, key: Path) -> Result<Self, Fault> {
        let begun = {
            let (store, key) = (store.clone(), key.clone());
            wire::run(async move { store.put_multipart(&key).await })??
        };
        Ok(Self { store, key, parts: Some(begun), under_way: VecDeque::new(), count: 0, bytes: 0 })
    }

    /// Sends everything, and waits until the store has it.
    pub(super) fn send_all(&mut self, first: Vec<u8>, rest: &mut dyn Read) -> Result<(), Fault> {
        let mut next = first;
        while !next.is_empty() {
            self.send(next)?;
            next = part(rest).map_err(Fault::Source)?;
        }
        while let Some(sent) = self.under_way.pop_front() {
            arrived(sent)?;
        }
        Ok(())
    }

    fn send(&mut self, part: Vec<u8>) -> Result<(), Fault> {
        if self.count == MOST {
            return Err(Fault::TooLarge);
        }
        self.count += 1;
        self.bytes += part.len() as u64;
        if let Some(parts) = &mut self.parts {
            self.under_way.push_back(wire::begin(parts.put_part(PutPayload::from(part)))?);
        }
        // One is read while so many are on their way.
        if self.under_way.len() < UNDER_WAY {
            return Ok(());
        }
        self.under_way.pop_front().map_or(Ok(()), arrived)
    }

    /// Makes it an object.
    pub(super) fn complete(&mut self, ear: &Ear) -> Result<(), Fault> {
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        let (parts, ended) = wire::run(async move {
            let ended = parts.complete().await;
            (parts, ended)
        })?;
        let Err(error) = ended else { return Ok(()) };
        self.parts = Some(parts);
        // The answer to a first request was lost, and the second one found the upload done.
        if ear.knows_no_upload() && self.is_there()? { Ok(()) } else { Err(error.into()) }
    }

    /// Whether the object is what was sent: its size, and the count of parts that stores end its tag with.
    fn is_there(&self) -> Result<bool, Fault> {
        let (store, key) = (self.store.clone(), self.key.clone());
        let found = wire::run(async move { store.head(&key).await })?;
        let parts = format!("-{}", self.count);
        let same = |tag: &String| tag.trim_matches('"').ends_with(&parts);
        Ok(found.is_ok_and(|found| found.size == self.bytes && found.e_tag.as_ref().is_some_and(same)))
    }

    /// Gives up: what was sent goes.
    pub(super) fn abort(&mut self) -> Result<(), Fault> {
        for sent in self.under_way.drain(..) {
            sent.abort();
        }
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        Ok(wire::run(async move { parts.abort().await })??)
    }
}

fn arrived(sent: JoinHandle<object_store::Result<()>>) -> Result<(), Fault> {
    let ended = wire::run(sent)?;
    ended.map_err(|error| Fault::Ours(Error::internal("sending a part ended in the middle of its work").cause(error)))??;
    Ok(())
}
