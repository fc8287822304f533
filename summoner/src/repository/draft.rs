//! A snapshot that is being made: artefacts and packs are written beside the repository's own, and the manifest, written
//! last, makes them one. Dropped before that, it is what a crash leaves, and the next one removes it.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codec::{self, Compression, Output};
use super::index::{Index, OBJECTS, list_of};
use super::pack::PackWriter;
use super::{Repository, Sink, Sinks, Stored, TREE, put_json};
use crate::apply::crash;
use crate::backend::Held;
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::plan::snapshot::{Manifest, Snapshot, SnapshotId};

/// How much of a failed draft is kept for a person to look at.
const FAILED_MAX: u64 = 1024 * 1024 * 1024;

/// A snapshot that is being made.
pub struct Draft {
    repository: Repository,
    id: SnapshotId,
    folder: PathBuf,
    compression: Compression,
    added: Arc<AtomicU64>,
    _locks: Vec<Box<dyn Held>>,
}

impl Draft {
    pub(super) fn begin(repository: Repository, id: SnapshotId, compression: Compression, locks: Vec<Box<dyn Held>>) -> Result<Self> {
        let folder = layout::draft(&repository.spool, &id.instance, &id.stamp());
        crash::point();
        disk::ensure_folder(&folder, 0o700, None)?;
        Ok(Self { repository, id, folder, compression, added: Arc::default(), _locks: locks })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// Its folder, for files that go with it: what lies there and is no artefact of the manifest goes at the end.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins to write packs; one writer at a time.
    ///
    /// # Errors
    /// The packs of the instance cannot be listed.
    pub fn packer(&self) -> Result<PackWriter> {
        let backend = &self.repository.backend;
        let index = Index::load(backend, &self.id.instance)?;
        // A list that was lost is written again from what its pack says.
        for number in &index.relisted {
            let pack = &index.packs[*number];
            backend.put(&layout::pack(&self.id.instance, &pack.id, OBJECTS), &mut list_of(&pack.objects).as_bytes())?;
        }
        Ok(PackWriter::new(backend, &self.id.instance, &self.folder, self.compression, &index).counting(&self.added))
    }

    /// Makes it a snapshot. `bytes_added` of the manifest is set here: only here is known what was there already.
    ///
    /// # Errors
    /// An artefact of the manifest is not there as it was written, a pack is missing, or the disk refuses: there is no
    /// snapshot then, and all others are untouched.
    pub fn commit(self, mut manifest: Manifest) -> Result<Snapshot> {
        if manifest.id != self.id {
            return Err(Error::internal(format!("the manifest of {} was made for {}", manifest.id, self.id)));
        }
        let backend = self.repository.backend.as_ref();
        let packs = backend.list(&layout::packs(&self.id.instance))?;
        let there = |id: &String| packs.iter().any(|blob| blob.name.contains(&format!("/{id}.tar.")));
        if let Some(missing) = manifest.files.iter().flat_map(|files| &files.packs).find(|id| !there(id)) {
            return Err(Error::internal(format!("the pack {missing} of {} was not written", self.id)));
        }
        let earlier: Vec<Manifest> =
            self.repository.list(Some(&self.id.instance))?.0.into_iter().map(|snapshot| snapshot.manifest).collect();
        manifest.bytes_added = self.added.load(Ordering::SeqCst);
        for artefact in &manifest.artefacts {
            let file = self.folder.join(&artefact.name);
            let found = fs::metadata(&file).map_err(|error| Error::io("look at", &file, &error))?;
            if !found.is_file() || found.len() != artefact.bytes {
                return Err(Error::external(format!("{} is not as it was written", file.display())));
            }
            let blob = layout::artefact(&self.id.instance, &self.id.stamp(), &artefact.name);
            // The newest that holds it: between two backups lies a dump, which has no tree.
            let same = earlier.iter().rev().find_map(|parent| {
                let same = parent.artefacts.iter().find(|old| old.sha256 == artefact.sha256 && old.bytes == artefact.bytes)?;
                Some(layout::artefact(&parent.id.instance, &parent.id.stamp(), &same.name))
            });
            match same {
                Some(same) if self.repository.is_whole(&same, artefact)? => backend.link(&same, &blob)?,
                _ => {
                    backend.take(&blob, &file)?;
                    manifest.bytes_added += artefact.bytes;
                }
            }
        }
        put_json(backend, &layout::artefact(&self.id.instance, &self.id.stamp(), layout::MANIFEST), &manifest)?;
        fs::remove_dir_all(&self.folder).map_err(|error| Error::io("remove", &self.folder, &error))?;
        Ok(Snapshot { manifest, verified: None })
    }

    /// Gives it up: what was written is kept aside for a person to look at, in the place of the last one that failed.
    ///
    /// # Errors
    /// It cannot be moved aside; it is removed with the next snapshot then.
    pub fn abandon(self, why: &str) -> Result<()> {
        let failed = layout::failed(&self.repository.spool, &self.id.instance);
        let fail = |error: io::Error| Error::io("keep aside", &self.folder, &error);
        if let Some(parent) = failed.parent() {
            disk::ensure_folder(parent, 0o700, None)?;
        }
        if failed.exists() {
            fs::remove_dir_all(&failed).map_err(fail)?;
        }
        // Copies of files and parts of packs say nothing to a person.
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let found = entry.metadata().map_err(fail)?;
            if found.is_dir() {
                fs::remove_dir_all(entry.path()).map_err(fail)?;
            } else if entry.file_name().to_string_lossy().starts_with("pack-") {
                fs::remove_file(entry.path()).map_err(fail)?;
            } else {
                files.push((found.len(), entry.path()));
            }
        }
        files.sort();
        let mut kept = 0;
        let mut text = format!("{}\n{why}\n", self.id);
        for (bytes, path) in files {
            kept += bytes;
            if kept > FAILED_MAX {
                text.push_str(&format!("{} of {bytes} bytes was not kept\n", path.display()));
                fs::remove_file(&path).map_err(fail)?;
            }
        }
        disk::write_atomic(&self.folder.join("why.txt"), text.as_bytes(), 0o600)?;
        disk::rename(&self.folder, &failed)
    }
}

impl Sinks for Draft {
    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !name.starts_with('.');
        // The tree is written while packs are.
        let small = name == TREE;
        let name = format!("{name}.{}", self.compression.ending());
        if !plain || name == layout::MANIFEST {
            return Err(Error::internal(format!("{name} is no name for an artefact")));
        }
        let path = self.folder.join(&name);
        if path.exists() {
            return Err(Error::internal(format!("the snapshot {} has an artefact {name} already", self.id)));
        }
        crash::point();
        let part = self.folder.join(format!("{name}.part"));
        let output = if small { Output::create_small(&part, self.compression)? } else { Output::create(&part, self.compression)? };
        Ok(Box::new(File { output, part, path, name }))
    }

    fn read(&self, stored: &Stored) -> Result<Box<dyn Read + Send>> {
        let path = self.folder.join(&stored.name);
        let file = fs::File::open(&path).map_err(|error| Error::io("open", &path, &error))?;
        codec::checked(Box::new(file), &stored.sha256).map_err(|error| Error::io("read", &path, &error))
    }
}

/// An artefact of a draft.
struct File {
    output: Output,
    part: PathBuf,
    path: PathBuf,
    name: String,
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl Sink for File {
    fn finish(self: Box<Self>) -> Result<Stored> {
        let Self { output, part, path, name } = *self;
        let written = output.finish()?;
        crash::point();
        disk::rename(&part, &path)?;
        Ok(Stored { name, bytes: written.bytes, bytes_raw: written.raw, sha256: written.sha256 })
    }
}
