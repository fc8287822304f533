//! Carries blobs to a place: two at a time, each read back there before it counts, none sent that is proven to be there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::apply::crash;
use crate::backend::{Backend, Receipt};
use crate::error::{Error, Result};
use crate::plan::sync::Part;
use crate::repository::needs::Need;
use crate::repository::receive::Checking;

/// Blobs on their way at once: while one is read back, the next is sent.
const AT_ONCE: usize = 2;
/// A blob that is not read back as it was sent is sent this often.
const ATTEMPTS: u32 = 3;

/// Why blobs did not arrive.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is not here any more: the packs of its instance were written again.
    Vanished(String),
    /// This blob could not be carried.
    Failed(Error),
}

/// From where, to where, and what is known of the place.
pub(super) struct Carrier<'a> {
    pub(super) from: &'a dyn Backend,
    pub(super) to: &'a dyn Backend,
    /// What lies there is not byte for byte what lies here.
    pub(super) sealed: bool,
    /// Sizes of what lies there.
    pub(super) listed: &'a BTreeMap<String, u64>,
    /// What was proven to lie there, by name.
    pub(super) known: &'a (dyn Fn(&str) -> Option<Part> + Sync),
    /// What was sent there by name, and not read back.
    pub(super) unproven: &'a (dyn Fn(&str) -> Option<Part> + Sync),
    /// Called with each blob that was sent, before it is read back.
    pub(super) began: &'a (dyn Fn(&Part) -> Result<()> + Sync),
    /// Called with each blob that was proven now, before the next is begun.
    pub(super) proven: &'a (dyn Fn(&Part) -> Result<()> + Sync),
    /// Counts what was sent.
    pub(super) sent: &'a AtomicU64,
    pub(super) cancel: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Carrier<'_> {
    /// Brings all of these there; what they are there, in their order.
    pub(super) fn all(&self, needs: &[Need]) -> Result<Vec<Part>, Failure> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        let parts: Mutex<BTreeMap<usize, Part>> = Mutex::new(BTreeMap::new());
        let work = || {
            while !stop.load(Ordering::SeqCst) {
                let at = next.fetch_add(1, Ordering::SeqCst);
                let Some(need) = needs.get(at) else { break };
                match self.one(need) {
                    Ok(part) => _ = parts.lock().unwrap_or_else(PoisonError::into_inner).insert(at, part),
                    Err(found) => {
                        stop.store(true, Ordering::SeqCst);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(needs.len()) {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(parts.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()),
        }
    }

    fn one(&self, need: &Need) -> Result<Part, Failure> {
        (self.cancel)().map_err(Failure::Failed)?;
        let named = |error: Error| Failure::Failed(of_blob(&need.blob, error));
        if let Some(part) = self.is_there(need).map_err(named)? {
            return Ok(part);
        }
        self.send(need)
    }

    /// The blob when it is proven to be there already.
    fn is_there(&self, need: &Need) -> Result<Option<Part>> {
        let listed = self.listed.get(&need.blob);
        if let Some(known) = (self.known)(&need.blob) {
            match listed {
                Some(bytes) if *bytes == known.bytes => return Ok(Some(known)),
                // It was cut.
                Some(_) => return Ok(None),
                // A list may lag: the blob itself does not.
                None => {
                    let back = self.to.read_back(&need.blob)?;
                    return Ok(back.filter(|back| back.bytes == known.bytes && back.sha256 == known.sha256).map(|_| known));
                }
            }
        }
        if let Some(begun) = (self.unproven)(&need.blob)
            && self.to.read_back(&need.blob)?.is_some_and(|back| part(&need.blob, back) == begun)
        {
            (self.proven)(&begun)?;
            return Ok(Some(begun));
        }
        if self.sealed || listed.is_none() {
            return Ok(None);
        }
        // Sent by a run that could not write it down: what lies there must be what lies here.
        let wanted = match &need.sha256 {
            Some(sha256) => Some(sha256.clone()),
            None => self.from.read_back(&need.blob)?.map(|here| here.sha256),
        };
        let back = self.to.read_back(&need.blob)?.filter(|back| wanted.is_some_and(|wanted| back.sha256.starts_with(&wanted)));
        let part = back.map(|back| part(&need.blob, back));
        part.iter().try_for_each(|part| (self.proven)(part))?;
        Ok(part)
    }

    /// Sends a blob and reads it back.
    pub(super) fn send(&self, need: &Need) -> Result<Part, Failure> {
        let named = |error: Error| Failure::Failed(of_blob(&need.blob, error));
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let bytes = self.from.get(&need.blob).map_err(named)?.ok_or_else(|| Failure::Vanished(need.blob.clone()))?;
            crash::point();
            let sent = self.to.put(&need.blob, &mut Checking::new(bytes, need.sha256.clone())).map_err(named)?;
            self.sent.fetch_add(sent.bytes, Ordering::SeqCst);
            (self.began)(&part(&need.blob, sent.clone())).map_err(named)?;
            match self.to.read_back(&need.blob).map_err(named)? {
                Some(back) if back == sent => {
                    let part = part(&need.blob, back);
                    (self.proven)(&part).map_err(named)?;
                    return Ok(part);
                }
                Some(back) => last = format!("{} bytes were sent and {} read back, or their hashes differ", sent.bytes, back.bytes),
                None => last = "what was sent is not there".to_owned(),
            }
            (self.cancel)().map_err(Failure::Failed)?;
        }
        Err(named(Error::external(format!("it does not lie there as it was sent, {ATTEMPTS} times")).cause(last)))
    }

    /// Stores a small text and reads it back.
    pub(super) fn put(&self, name: &str, text: &[u8]) -> Result<()> {
        crash::point();
        let named = |error: Error| of_blob(name, error);
        let sent = self.to.put(name, &mut &*text).map_err(named)?;
        self.sent.fetch_add(sent.bytes, Ordering::SeqCst);
        if self.to.read_back(name).map_err(named)?.as_ref() == Some(&sent) {
            return Ok(());
        }
        Err(named(Error::external("it does not lie there as it was sent")))
    }
}

fn part(name: &str, receipt: Receipt) -> Part {
    Part { name: name.to_owned(), bytes: receipt.bytes, sha256: receipt.sha256 }
}

/// An error with the name of the blob, whatever it says itself.
fn of_blob(blob: &str, error: Error) -> Error {
    let why = match &error.cause {
        Some(cause) => format!("{}: {cause}", error.message),
        None => error.message.clone(),
    };
    let cause = if why.contains(blob) { why } else { format!("{blob}: {why}") };
    Error { message: format!("cannot carry {blob}"), cause: Some(cause), ..error }
}
