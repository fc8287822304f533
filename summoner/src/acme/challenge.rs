//! The answers to challenges: a file on port 80 (RFC 8555, 8.3), or a record (8.4). Put there before the authority is
//! told, and taken away when it has looked, whatever it said.

use std::path::{Path, PathBuf};

use super::Places;
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Result};

/// Far above any token; RFC 8555 asks for 128 bits at least.
const MAX_TOKEN: usize = 256;

/// Files that the proxy serves below `/.well-known/acme-challenge/`.
#[derive(Debug, Default)]
pub(super) struct Files {
    written: Vec<PathBuf>,
}

impl Files {
    /// Puts an answer there, readable for the proxy's own user.
    ///
    /// # Errors
    /// The token is no plain file name, or the disk refuses.
    pub(super) fn put(&mut self, places: &Places, token: &str, answer: &str) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if token.is_empty() || token.len() > MAX_TOKEN || !token.chars().all(plain) {
            return Err(Error::external("the authority's token is no plain name"));
        }
        let path = folder(places)?.join(token);
        crash::point();
        // Noted first: what is half there is taken away too.
        self.written.push(path.clone());
        disk::write_atomic(&path, answer.as_bytes(), 0o644)
    }

    /// Takes all of them away.
    ///
    /// # Errors
    /// The first that cannot be removed; the others are.
    pub(super) fn clear(&mut self) -> Result<()> {
        let results: Vec<Result<()>> = self.written.drain(..).map(|path| disk::remove_file(&path)).collect();
        results.into_iter().collect()
    }
}

/// The folder of the answers, which the proxy's own user can read.
///
/// # Errors
/// It cannot be made.
pub(super) fn folder(places: &Places) -> Result<PathBuf> {
    let mut folder = places.html.clone();
    disk::ensure_folder(&folder, 0o755, None)?;
    for part in [".well-known", "acme-challenge"] {
        folder.push(part);
        disk::ensure_folder(&folder, 0o755, None)?;
    }
    Ok(folder)
}

/// Removes what a crash left of answers: nothing is under way when this is called.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub(super) fn sweep(html: &Path, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let folder = html.join(".well-known").join("acme-challenge");
    for path in disk::files_in(&folder)? {
        let old = path.metadata().and_then(|found| found.modified()).is_ok_and(|modified| {
            let age = now - chrono::DateTime::<chrono::Utc>::from(modified);
            age > OLD
        });
        let token = path.file_name().is_some_and(|name| name.to_string_lossy().len() >= 22);
        if old && token && path.is_file() {
            disk::remove_file(&path)?;
        }
    }
    Ok(())
}

/// No order takes as long.
const OLD: chrono::TimeDelta = chrono::TimeDelta::hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lies_there_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::of(&crate::layout::Layout { files: folder.path().into(), databases: folder.path().into() });
        let mut files = Files::default();
        assert!(files.put(&places, "../../etc/x", "y").is_err());
        files.put(&places, "abcdefghijklmnopqrstuvwxyz", "answer").unwrap();
        let path = places.html.join(".well-known/acme-challenge/abcdefghijklmnopqrstuvwxyz");
        assert_eq!(std::fs::read(&path).unwrap(), b"answer");
        sweep(&places.html, chrono::Utc::now()).unwrap();
        assert!(path.exists(), "a fresh one may be another's");
        sweep(&places.html, chrono::Utc::now() + OLD * 2).unwrap();
        assert!(!path.exists());
        files.put(&places, "abcdefghijklmnopqrstuvwxyz", "answer").unwrap();
        files.clear().unwrap();
        assert!(!path.exists());
    }
}
