//! Carries the records of the installation: the newest ones, the archive first and its manifest last, as they lie here.

use std::collections::BTreeMap;

use super::carry::Failure;
use super::{Report, Site};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::stamp;
use crate::plan::sync::{Part, RECORDS};
use crate::repository::needs::Need;

impl Site<'_> {
    /// Brings the newest records there, and removes those that were sent from here and are older than the newest ones.
    pub(super) fn records(&mut self, report: &mut Report) -> Result<()> {
        let here = folders(self.here.backend().as_ref())?;
        let there = folders(self.there.backend().as_ref())?;
        let listed = self.there.backend().list(layout::SERVER)?;
        self.seen.listed.extend(listed.into_iter().map(|blob| (blob.name, blob.bytes)));
        for (time, blobs) in here.iter().rev().take(RECORDS) {
            (self.cancel)()?;
            let sent = self.memory.records.get(time);
            let lies = |part: &Part| there.get(time).is_some_and(|blobs| blobs.get(&part.name) == Some(&part.bytes));
            // A place that may only be added to takes nothing a second time; the manifest came last.
            let stays = self.filling.settings.append_only && there.contains_key(time);
            if stays || sent.is_some_and(|parts| parts.len() == blobs.len() && parts.iter().all(lies)) {
                continue;
            }
            match self.record(time, blobs) {
                Ok(parts) => {
                    self.memory.records.insert(time.clone(), parts);
                    self.save()?;
                    report.records.push(time.clone());
                }
                Err(error) => {
                    let name = &self.filling.settings.name;
                    let cause = error.cause.clone().unwrap_or_else(|| error.message.clone());
                    let failed = Error::new(error.kind, format!("the record of the installation of {time} did not arrive at {name}"));
                    report.error.get_or_insert(failed.cause(cause).next(self.filling.next()));
                    return Ok(());
                }
            }
        }
        self.forget_records()
    }

    fn record(&mut self, time: &str, blobs: &BTreeMap<String, u64>) -> Result<Vec<Part>> {
        let manifest = layout::server(time, layout::MANIFEST);
        let need = |name: &String| Need { blob: name.clone(), sha256: None };
        let others: Vec<Need> = blobs.keys().filter(|name| **name != manifest).map(need).collect();
        let gone = |failure: Failure| match failure {
            Failure::Failed(error) => error,
            Failure::Vanished(name) => Error::external(format!("{name} was removed here while it was copied")),
        };
        let mut parts = self.carry(&others).map_err(gone)?;
        parts.push(self.plain().send(&need(&manifest)).map_err(gone)?);
        for part in &parts {
            self.memory.sent.remove(&part.name);
        }
        Ok(parts)
    }

    fn forget_records(&mut self) -> Result<()> {
        if self.filling.settings.append_only {
            return Ok(());
        }
        let old = self.memory.records.len().saturating_sub(RECORDS);
        let old: Vec<String> = self.memory.records.keys().take(old).cloned().collect();
        for time in old {
            let place = self.there.backend();
            let manifest = layout::server(&time, layout::MANIFEST);
            place.delete(&manifest)?;
            for part in self.memory.records.get(&time).into_iter().flatten() {
                place.delete(&part.name)?;
            }
            self.memory.records.remove(&time);
            self.save()?;
        }
        Ok(())
    }
}

/// Blobs of the records that are whole, by time.
fn folders(place: &dyn Backend) -> Result<BTreeMap<String, BTreeMap<String, u64>>> {
    let mut folders: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for blob in place.list(layout::SERVER)? {
        let time = blob.name.strip_prefix(layout::SERVER).and_then(|rest| rest.split('/').next());
        if let Some(time) = time.filter(|time| stamp(time).is_some()) {
            folders.entry(time.to_owned()).or_default().insert(blob.name.clone(), blob.bytes);
        }
    }
    folders.retain(|time, blobs| blobs.contains_key(&layout::server(time, layout::MANIFEST)));
    Ok(folders)
}
