//! The driver for a folder of this host.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Backend, Blob, Hashing, Held, Hold, Receipt};
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Result};

/// Nobody else reads backups.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// Blobs as files below a folder.
#[derive(Debug, Clone)]
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// A driver for this folder, which is there.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent() {
            let mut missing: Vec<&Path> = parent.ancestors().take_while(|folder| *folder != self.root && !folder.exists()).collect();
            while let Some(folder) = missing.pop() {
                disk::ensure_folder(folder, FOLDER, None)?;
            }
        }
        Ok(path)
    }
}

impl Backend for Local {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        let path = self.place(name)?;
        crash::point();
        let mut hashing = Hashing::new(bytes);
        disk::write_stream(&path, &mut hashing, FILE)?;
        Ok(hashing.receipt())
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        let path = self.place(name)?;
        let flushed = File::open(file).and_then(|file| file.sync_all());
        flushed.map_err(|error| Error::io("flush", file, &error))?;
        crash::point();
        match fs::rename(file, &path) {
            Ok(()) => disk::sync_folder(path.parent().unwrap_or(&self.root)),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                let mut from = File::open(file).map_err(|error| Error::io("open", file, &error))?;
                self.put(name, &mut from)?;
                fs::remove_file(file).map_err(|error| Error::io("remove", file, &error))
            }
            Err(error) => Err(Error::io("rename to", &path, &error)),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let path = self.root.join(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", &path, &error)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        let mut blobs = Vec::new();
        let mut folders = vec![prefix.trim_end_matches('/').to_owned()];
        while let Some(name) = folders.pop() {
            let path = self.root.join(&name);
            let fail = |error: &io::Error| Error::io("list", &path, error);
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(&error)),
            };
            for entry in entries {
                let entry = entry.map_err(|e| fail(&e))?;
                // A name that is no text is not ours.
                let Ok(below) = entry.file_name().into_string() else { continue };
                let below = if name.is_empty() { below } else { format!("{name}/{below}") };
                let found = match fs::symlink_metadata(entry.path()) {
                    Ok(found) => found,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::io("look at", &entry.path(), &error)),
                };
                let temporary = entry.file_name().to_string_lossy().starts_with(disk::TEMPORARY);
                if found.is_dir() {
                    folders.push(below);
                } else if found.is_file() && !temporary {
                    blobs.push(Blob { name: below, bytes: found.len() });
                }
            }
        }
        blobs.sort();
        Ok(blobs)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        crash::point();
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("remove", &path, &error)),
        }
        // Folders that became empty go too, up to the repository itself; one that is not stays.
        let mut last = path.parent().unwrap_or(&self.root);
        while last != self.root && fs::remove_dir(last).is_ok() {
            last = last.parent().unwrap_or(&self.root);
        }
        disk::sync_folder(last)
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let (source, path) = (self.root.join(from), self.place(to)?);
        crash::point();
        match fs::hard_link(&source, &path) {
            Ok(()) => disk::sync_folder(path.parent().unwrap_or(&self.root)),
            // No hard links here, or too many of them.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let mut bytes = File::open(&source).map_err(|error| Error::io("open", &source, &error))?;
                self.put(to, &mut bytes).map(|_| ())
            }
            Err(error) => Err(Error::io("link", &source, &error)),
        }
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        let path = self.place(name)?;
        Ok(disk::lock(&path, hold == Hold::Alone)?.map(|file| Box::new(Flock { _file: file }) as Box<dyn Held>))
    }
}

struct Flock {
    _file: File,
}

impl Held for Flock {}
