//! Records of the installation itself, beside the snapshots: an archive and its manifest, a folder each.
//!
//! Knows their names, the order of writing and deleting, and what is whole. What is in the archive is the matter of
//! `recovery`, which calls this; `sync` carries the blobs to other places as they are.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use chrono::TimeDelta;

use super::{Repository, codec, put_json, read_text};
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;
use crate::plan::recovery::{KEPT, Record, VERSION};
use crate::plan::snapshot::stamp;

/// So many records of one second each get a second of their own.
const SAME_SECOND: i64 = 10;

/// Something that should be a record and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The name of its folder.
    pub name: String,
    /// What is wrong.
    pub why: String,
    /// A newer Summoner made it.
    pub newer: bool,
}

impl Repository {
    /// All records, oldest first, and what is none.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn records(&self) -> Result<(Vec<Record>, Vec<Broken>)> {
        let (mut records, mut broken) = (Vec::new(), Vec::new());
        for (name, blobs) in self.record_folders()? {
            if !blobs.contains(&layout::server(&name, layout::MANIFEST)) {
                continue;
            }
            match self.record(&name)? {
                Ok(record) => records.push(record),
                Err(found) => broken.push(found),
            }
        }
        records.sort_by_key(|record| record.at);
        Ok((records, broken))
    }

    /// The archive of a record, uncompressed; a wrong hash is an error of the last read.
    ///
    /// # Errors
    /// It is missing, or cannot be opened.
    pub fn record_archive(&self, record: &Record) -> Result<Box<dyn Read + Send>> {
        let blob = layout::server(&record.stamp(), layout::RECORD);
        let damaged =
            || Error::external(format!("the record of the installation of {} is damaged", record.at.format("%Y-%m-%d %H:%M UTC")));
        let bytes = self.backend.get(&blob)?.ok_or_else(|| damaged().cause(format!("{blob} is missing")))?;
        codec::checked(bytes, &record.sha256).map_err(|error| damaged().cause(error))
    }

    /// Stores a record whose archive waits in a file, reads it back, and removes the oldest beyond [`KEPT`]. None, and the
    /// file is left, when the newest one says the same.
    ///
    /// # Errors
    /// It cannot be stored, or is not there as it was written: then it does not count.
    pub fn add_record(&self, mut record: Record, archive: &Path) -> Result<Option<Record>> {
        self.check_writable()?;
        let (records, _) = self.records()?;
        if let Some(newest) = records.last() {
            if newest.says_the_same(&record) {
                return Ok(None);
            }
            // Two runs within a second.
            let later = (0..SAME_SECOND).map(|seconds| record.at + TimeDelta::seconds(seconds)).find(|at| *at > newest.at);
            record.at = later.unwrap_or(record.at);
        }
        self.remove_begun_records()?;
        let (blob, manifest) = (layout::server(&record.stamp(), layout::RECORD), layout::server(&record.stamp(), layout::MANIFEST));
        self.backend.take(&blob, archive)?;
        let found = self.backend.read_back(&blob)?;
        if found.as_ref().is_none_or(|found| found.bytes != record.bytes || found.sha256 != record.sha256) {
            return Err(Error::external(format!("the record of the installation at {} is not as it was written", self.location()))
                .cause(format!("{blob} was read back as {found:?}"))
                .next("summoner doctor, and a look at that disk"));
        }
        put_json(self.backend.as_ref(), &manifest, &record)?;
        if self.record(&record.stamp())?.ok().as_ref() != Some(&record) {
            return Err(Error::external(format!("{manifest} at {} is not as it was written", self.location())));
        }
        let old = records.len().saturating_sub(KEPT - 1);
        for old in &records[..old] {
            self.backend.delete(&layout::server(&old.stamp(), layout::MANIFEST))?;
            self.backend.delete(&layout::server(&old.stamp(), layout::RECORD))?;
        }
        Ok(Some(record))
    }

    /// Takes a record over from another repository.
    ///
    /// # Errors
    /// It is missing there, or is not as its manifest says.
    pub fn receive_record(&self, from: &Self, record: &Record) -> Result<()> {
        let blob = layout::server(&record.stamp(), layout::RECORD);
        let bytes = from.backend.get(&blob)?;
        let mut bytes = bytes.ok_or_else(|| Error::external(format!("{blob} is missing at {}", from.location())))?;
        let receipt = self.backend.put(&blob, &mut bytes)?;
        if receipt.bytes != record.bytes || receipt.sha256 != record.sha256 {
            return Err(Error::external(format!("{blob} at {} is damaged", from.location())));
        }
        put_json(self.backend.as_ref(), &layout::server(&record.stamp(), layout::MANIFEST), record)
    }

    /// A key that does not fit says nothing about the record: that is an error of its own.
    fn record(&self, name: &str) -> Result<std::result::Result<Record, Broken>> {
        match read_text(self.backend.as_ref(), &layout::server(name, layout::MANIFEST)) {
            Ok(text) => Ok(parsed(name, &text.unwrap_or_default())),
            Err(error) if error.kind == Kind::WrongKey => Err(error),
            Err(error) => Ok(Err(Broken { name: name.to_owned(), why: error.cause.unwrap_or(error.message), newer: false })),
        }
    }

    /// Removes what a crash left of a record that was being stored or removed.
    fn remove_begun_records(&self) -> Result<()> {
        for (name, blobs) in self.record_folders()? {
            if !blobs.contains(&layout::server(&name, layout::MANIFEST)) {
                blobs.iter().try_for_each(|blob| self.backend.delete(blob))?;
            }
        }
        Ok(())
    }

    /// Names of blobs by the folder of their record.
    fn record_folders(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for blob in self.backend.list(layout::SERVER)? {
            let name = blob.name.strip_prefix(layout::SERVER).and_then(|rest| rest.split('/').next());
            if let Some(name) = name.filter(|name| stamp(name).is_some()) {
                folders.entry(name.to_owned()).or_default().push(blob.name.clone());
            }
        }
        Ok(folders)
    }
}

fn parsed(name: &str, text: &str) -> std::result::Result<Record, Broken> {
    let broken = |why: String, newer| Broken { name: name.to_owned(), why, newer };
    // The version first: a newer form may have anything else.
    let version = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| value.get("version")?.as_u64());
    match version {
        Some(version) if version > u64::from(VERSION) => {
            return Err(broken(format!("it has version {version}, and this Summoner reads up to {VERSION}"), true));
        }
        None => return Err(broken("its manifest is none".into(), false)),
        Some(_) => {}
    }
    let record: Record = serde_json::from_str(text).map_err(|error| broken(format!("its manifest is damaged: {error}"), false))?;
    if record.stamp() == name { Ok(record) } else { Err(broken(format!("its manifest is that of {}", record.stamp()), false)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repository::codec::{Compression, Output};

    fn record(at: &str) -> Record {
        Record {
            version: VERSION,
            at: at.parse().unwrap(),
            domain: "a.fr".parse().unwrap(),
            summoner: "0.1.0".into(),
            engine: "20.10.24".into(),
            config: "/root/config.yml".into(),
            files: "/srv/data".into(),
            databases: "/srv/data/database".into(),
            bytes: 0,
            bytes_raw: 0,
            sha256: String::new(),
            instances: vec![],
        }
    }

    fn add(repository: &Repository, folder: &Path, at: &str, content: &str) -> Option<Record> {
        let file = folder.join("record.part");
        let _ = fs::remove_file(&file);
        let mut output = Output::create_small(&file, Compression::Zstd).unwrap();
        std::io::Write::write_all(&mut output, content.as_bytes()).unwrap();
        let written = output.finish().unwrap();
        let record = Record { bytes: written.bytes, bytes_raw: written.raw, sha256: written.sha256, ..record(at) };
        repository.add_record(record, &file).unwrap()
    }

    #[test]
    fn five_records_are_kept_and_an_unchanged_one_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-11-21T02:00:00Z".parse().unwrap();
        let repository = Repository::create_or_open(&folder.path().join("backups"), now).unwrap();
        assert!(repository.records().unwrap().0.is_empty());
        assert!(add(&repository, folder.path(), "2026-11-01T02:00:00Z", "first").is_some());
        assert!(add(&repository, folder.path(), "2026-11-02T02:00:00Z", "first").is_none());
        for day in 3..9 {
            assert!(add(&repository, folder.path(), &format!("2026-11-0{day}T02:00:00Z"), &format!("day {day}")).is_some());
        }
        let again = add(&repository, folder.path(), "2026-11-08T02:00:00Z", "the same second").unwrap();
        assert_eq!(again.stamp(), "20261108T020001Z");
        let (records, broken) = repository.records().unwrap();
        let stamps: Vec<String> = records.iter().map(Record::stamp).collect();
        assert_eq!(stamps[0], "20261105T020000Z");
        assert_eq!((stamps.len(), broken.len()), (KEPT, 0));
        let mut text = String::new();
        repository.record_archive(&records[0]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "day 5");
        assert_eq!(fs::read_dir(folder.path().join("backups/server")).unwrap().count(), KEPT);
    }

    #[test]
    fn a_damaged_one_is_told_and_a_newer_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("backups");
        let repository = Repository::create_or_open(&place, "2026-11-21T02:00:00Z".parse().unwrap()).unwrap();
        let record = add(&repository, folder.path(), "2026-11-01T02:00:00Z", "first").unwrap();
        let archive = place.join(layout::server(&record.stamp(), layout::RECORD));
        let mut bytes = fs::read(&archive).unwrap();
        bytes[9] ^= 1;
        fs::write(&archive, &bytes).unwrap();
        let read = repository
            .record_archive(&record)
            .and_then(|mut archive| archive.read_to_end(&mut Vec::new()).map_err(|error| Error::external("read").cause(error)));
        assert!(read.is_err());
        fs::write(place.join(layout::server(&record.stamp(), layout::MANIFEST)), r#"{"version": 2}"#).unwrap();
        // What a crash left of another one is none.
        fs::create_dir_all(place.join("server/20261102T020000Z")).unwrap();
        fs::write(place.join("server/20261102T020000Z/record.tar.zst"), "half").unwrap();
        let (records, broken) = repository.records().unwrap();
        assert!(records.is_empty() && broken.len() == 1 && broken[0].newer, "{broken:?}");
        assert!(add(&repository, folder.path(), "2026-11-03T02:00:00Z", "next").is_some());
        assert!(!place.join("server/20261102T020000Z").exists());
    }
}
