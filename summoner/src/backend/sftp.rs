//! The driver for a folder of a host that speaks SFTP, by the host's own `ssh`.
//!
//! A blob is written beside its place under a name that no list shows, read-only from its first byte, flushed where the
//! server can, and renamed: it is there whole or not at all. Nothing is asked that an account must not have which may only
//! add (`internal-sftp -P remove,rmdir,setstat,fsetstat,posix-rename,…`): there a blob cannot be replaced and not be
//! removed, and what a broken line leaves stays until its owner sweeps. `wiki/offsite.md` shows such an account.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use self::reader::Reader;
use self::session::{Fault, HARD_LINK, Handle, NO_SUCH_FILE, PERMISSION_DENIED, POSIX_RENAME, Session};
use super::{Backend, Blob, Hashing, Held, Hold, Receipt, held};
use crate::apply::crash;
use crate::config::repositories::{Place, Sftp as Settings};
use crate::disk;
use crate::error::{Error, Result};

mod packet;
mod reader;
mod session;
mod ssh;
mod words;

/// Nobody else reads backups, and not even their owner changes them.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o400;
/// Every server takes this much at once (draft-ietf-secsh-filexfer-02, section 3).
const CHUNK: usize = 32 << 10;
/// Chunks on their way at once: two megabytes fill a long line.
const UNDER_WAY: usize = 64;
/// Connections that are kept for the next call.
const KEPT: usize = 4;
/// Deeper folders are none of a repository.
const DEEPEST: usize = 8;
/// A disk with less is full.
const FULL: u64 = 1 << 20;

/// A folder of another host.
pub struct Sftp {
    shared: Arc<Shared>,
    append_only: bool,
}

/// What readers that outlive a call need too.
struct Shared {
    location: String,
    settings: Settings,
    idle: Mutex<Vec<Session>>,
}

impl Shared {
    /// A connection that is known to be one.
    fn session(&self) -> std::result::Result<Session, (Fault, String)> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = kept else { return Session::start(&self.settings) };
            // A server ends those that are idle for long.
            if session.ping().is_ok() {
                return Ok(session);
            }
        }
    }

    /// Keeps a connection on which nothing is under way.
    fn keep(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if session.open_requests == 0 && idle.len() < KEPT {
            idle.push(session);
        }
    }
}

impl Sftp {
    /// A driver for this folder. Asks the host for nothing yet.
    #[must_use]
    pub fn open(settings: &Settings, append_only: bool) -> Self {
        let location = Place::Sftp(settings.clone()).to_string();
        Self { shared: Arc::new(Shared { location, settings: settings.clone(), idle: Mutex::default() }), append_only }
    }

    fn path(&self, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.shared.settings.path, name.trim_end_matches('/'))
    }

    fn cannot(&self, doing: &str, name: &str) -> String {
        format!("cannot {doing} {name} at {}", self.shared.location)
    }

    /// Does one thing on a connection, and keeps it unless it broke.
    fn with<T>(&self, doing: &str, name: &str, work: impl FnOnce(&mut Session) -> std::result::Result<T, Fault>) -> Result<T> {
        let explain = |fault: &Fault, said: &str| words::explain(self.cannot(doing, name), fault, said, &self.shared.settings);
        let mut session = self.shared.session().map_err(|(fault, said)| explain(&fault, &said))?;
        match work(&mut session) {
            Ok(done) => {
                self.shared.keep(session);
                Ok(done)
            }
            Err(Fault::Lost(error)) => {
                let said = session.ssh.last_words();
                Err(explain(&Fault::Lost(error), &said))
            }
            Err(fault) => {
                let mut error = explain(&fault, "");
                let full =
                    matches!(fault, Fault::Refused(..)) && session.free_bytes(&self.shared.settings.path).is_some_and(|free| free < FULL);
                if full {
                    error = error.next("free space on the disk there, then run the same command again");
                }
                self.shared.keep(session);
                Err(error)
            }
        }
    }

    /// Writes a blob beside its place and gives it its name.
    fn write(&self, session: &mut Session, name: &str, bytes: &mut dyn Read) -> std::result::Result<(), Fault> {
        let target = self.path(name);
        let part = beside(&target);
        crash::point();
        let handle = match session.create(&part, FILE) {
            Err(fault) if fault.is(NO_SUCH_FILE) => {
                self.make_folders(session, &target)?;
                session.create(&part, FILE)?
            }
            made => made?,
        };
        let written = send(session, &handle, bytes).and_then(|()| session.flush(&handle));
        let closed = if matches!(written, Err(Fault::Lost(_))) { Ok(()) } else { session.close(&handle) };
        crash::point();
        let named = written.and(closed).and_then(|()| self.name(session, &part, &target));
        if named.is_err() && !self.append_only && !matches!(named, Err(Fault::Lost(_))) {
            // What failed is told; that its half could not be removed is no more than a file that no list shows.
            let _ = session.remove(&part);
        }
        named
    }

    /// Gives what was written its name, in place of what has it.
    fn name(&self, session: &mut Session, part: &str, target: &str) -> std::result::Result<(), Fault> {
        if self.append_only {
            return session.rename(part, target);
        }
        if session.can(POSIX_RENAME) {
            return session.extended(POSIX_RENAME, part, target);
        }
        match session.rename(part, target) {
            // Without that extension there is no way to replace in one step.
            Err(Fault::Refused(..)) if session.look(target)?.is_some() => {
                session.remove(target)?;
                session.rename(part, target)
            }
            renamed => renamed,
        }
    }

    /// Makes the folders above a path, down from the first that is there.
    fn make_folders(&self, session: &mut Session, path: &str) -> std::result::Result<(), Fault> {
        let above: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|folder| !folder.is_empty()).collect();
        let mut missing = Vec::new();
        for folder in above.into_iter().rev() {
            if session.look(folder)?.is_some() {
                break;
            }
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            match session.make_folder(folder, FOLDER) {
                // Somebody else was faster.
                Err(Fault::Refused(..)) if session.look(folder)?.is_some() => {}
                made => made?,
            }
        }
        Ok(())
    }

    /// Where nothing may be replaced: whether what lies there is what was to be sent.
    fn same(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        let mut hashing = Hashing::new(bytes);
        io::copy(&mut hashing, &mut io::sink()).map_err(|error| Error::external(self.cannot("store", name)).cause(error))?;
        let receipt = hashing.receipt();
        if self.read_back(name)?.as_ref() == Some(&receipt) {
            return Ok(receipt);
        }
        Err(Error::external(self.cannot("replace", name)).cause("something else of that name lies there, and the place is append_only"))
    }
}

/// Sends everything, so many chunks ahead of their answers.
fn send(session: &mut Session, handle: &Handle, bytes: &mut dyn Read) -> std::result::Result<(), Fault> {
    let (mut chunk, mut under_way, mut offset) = (vec![0; CHUNK], VecDeque::new(), 0);
    loop {
        let count = fill(bytes, &mut chunk).map_err(Fault::Source);
        let sent = count.and_then(|count| match count {
            0 => Ok(None),
            _ => session.write(handle, offset, &chunk[..count]).map(|id| Some((id, count))),
        });
        match sent {
            Ok(Some((id, count))) => {
                under_way.push_back(id);
                offset += count as u64;
            }
            ended => {
                let answered = under_way.into_iter().try_for_each(|id| session.written(id));
                return ended.and(answered);
            }
        }
        if under_way.len() == UNDER_WAY
            && let Some(id) = under_way.pop_front()
            && let Err(fault) = session.written(id)
        {
            // The others are answered too, or the connection could not be used for anything else.
            for id in under_way {
                if let Err(lost @ Fault::Lost(_)) = session.written(id) {
                    return Err(lost);
                }
            }
            return Err(fault);
        }
    }
}

/// Reads until the chunk is full or the source has ended.
fn fill(bytes: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match bytes.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A name beside a blob that no list shows and nobody else takes.
fn beside(target: &str) -> String {
    let (folder, name) = target.rsplit_once('/').unwrap_or(("", target));
    format!("{folder}/{}{name}.{}", disk::TEMPORARY, hex::encode(rand::random::<[u8; 8]>()))
}

impl Backend for Sftp {
    fn location(&self) -> String {
        self.shared.location.clone()
    }

    fn append_only(&self) -> bool {
        self.append_only
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        let path = self.path(name);
        if self.append_only && self.with("store", name, |session| session.look(&path))?.is_some() {
            return self.same(name, bytes);
        }
        let mut hashing = Hashing::new(bytes);
        self.with("store", name, |session| self.write(session, name, &mut hashing))?;
        Ok(hashing.receipt())
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        let mut bytes = File::open(file).map_err(|error| Error::io("open", file, &error))?;
        self.put(name, &mut bytes)?;
        fs::remove_file(file).map_err(|error| Error::io("remove", file, &error))
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let explain = |fault: &Fault, said: &str| words::explain(self.cannot("read", name), fault, said, &self.shared.settings);
        let mut session = self.shared.session().map_err(|(fault, said)| explain(&fault, &said))?;
        match session.open(&self.path(name)) {
            Ok((handle, size)) => {
                let what = format!("{name} at {}", self.shared.location);
                Ok(Some(Box::new(Reader::new(self.shared.clone(), session, handle, size, what))))
            }
            Err(fault) if fault.is(NO_SUCH_FILE) => {
                self.shared.keep(session);
                Ok(None)
            }
            Err(fault) => Err(explain(&fault, &session.ssh.last_words())),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        let shown = if prefix.is_empty() { "everything" } else { prefix };
        let mut blobs = self.with("list", shown, |session| {
            let mut blobs = Vec::new();
            let mut folders = vec![(prefix.trim_end_matches('/').to_owned(), 0)];
            while let Some((folder, depth)) = folders.pop() {
                for (name, found) in session.list(&self.path(&folder))?.unwrap_or_default() {
                    // A name that is no text is not ours.
                    let Ok(name) = String::from_utf8(name) else { continue };
                    if name == "." || name == ".." {
                        continue;
                    }
                    let below = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                    if found.is_folder() && depth < DEEPEST {
                        folders.push((below, depth + 1));
                    } else if found.is_file() && !name.starts_with(disk::TEMPORARY) {
                        blobs.push(Blob { name: below, bytes: found.size });
                    }
                }
            }
            Ok(blobs)
        })?;
        blobs.sort();
        Ok(blobs)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        crash::point();
        self.with("remove", name, |session| {
            match session.remove(&path) {
                Err(fault) if fault.is(NO_SUCH_FILE) => return Ok(()),
                removed => removed?,
            }
            // Folders that became empty go too, up to the repository itself; one that is not refuses.
            let mut last = path.as_str();
            while let Some((folder, _)) = last.rsplit_once('/').filter(|(folder, _)| folder.len() > self.shared.settings.path.len()) {
                match session.remove_folder(folder) {
                    Ok(()) => last = folder,
                    Err(Fault::Refused(..)) => break,
                    Err(fault) => return Err(fault),
                }
            }
            Ok(())
        })
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (self.path(from), self.path(to));
        let linked = self.with("copy", from, |session| {
            if session.look(&source)?.is_none() {
                return Err(Fault::Refused(NO_SUCH_FILE, "there is no such file".to_owned()));
            }
            if !session.can(HARD_LINK) {
                return Ok(false);
            }
            self.make_folders(session, &target)?;
            crash::point();
            match session.extended(HARD_LINK, &source, &target) {
                Ok(()) => Ok(true),
                // A disk without them, or something of that name: it is copied over.
                Err(fault @ Fault::Refused(..)) if !fault.is(PERMISSION_DENIED) => Ok(false),
                Err(fault) => Err(fault),
            }
        })?;
        if linked {
            return Ok(());
        }
        let missing = || Error::external(self.cannot("copy", from)).cause("there is no such file");
        let mut bytes = self.get(from)?.ok_or_else(missing)?;
        self.put(to, &mut bytes).map(|_| ())
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        Ok(held::lock(&self.shared.location, name, hold))
    }
}
