//! Encrypts what goes to a place and decrypts what comes from it: every blob is one file of age (age-encryption.org/v1)
//! with the ending `.age`, so that the stock program opens it.
//!
//! Knows names, keys and the order of bytes; what the blobs mean is the repository's matter. A few blobs stay plain: they
//! say what this place is and how to open it, and name no files. To write, no private key is needed here. What lay there
//! in the clear before stays readable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Backend, Blob, Held, Hold, Receipt, identity};
use crate::config::encryption::{fingerprint, recipient};
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;

/// What encryption adds to a blob's name.
const ENDING: &str = ".age";
/// One chunk of age's own, so that nothing is copied twice.
const CHUNK: usize = 64 << 10;
/// The longest list of keys.
const KEYS_MAX: u64 = 1 << 20;
/// The newest form of `keys.json` that this Summoner reads and writes.
const KEYS_VERSION: u32 = 1;

/// Another backend whose blobs are encrypted.
pub struct Sealed {
    inner: Arc<dyn Backend>,
    recipients: Vec<Recipient>,
    identities: Vec<Identity>,
    /// What `keys.json` says; written before the first blob that needs it.
    keys: Mutex<Keys>,
}

/// `keys.json`: for whom blobs of this place were ever encrypted. It stays plain: whoever holds one of the private keys
/// finds out that it is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    version: u32,
    /// In the order in which they were first used.
    pub keys: Vec<Key>,
}

/// A public key that was used at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its short form.
    pub fingerprint: String,
    /// The key.
    pub recipient: String,
    /// When it was first used.
    pub first_used_at: DateTime<Utc>,
    /// Since when nothing new is encrypted for it; None for one that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Keys {
    /// Reads the list of a place; one without a list has none.
    ///
    /// # Errors
    /// It cannot be read, or a newer Summoner wrote it.
    pub fn of(place: &dyn Backend) -> Result<Self> {
        let Some(bytes) = place.get(layout::KEYS)? else { return Ok(Self::default()) };
        let fail = || Error::external(format!("{} at {} cannot be read", layout::KEYS, place.location()));
        let mut text = String::new();
        bytes.take(KEYS_MAX).read_to_string(&mut text).map_err(|error| fail().cause(error))?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| fail().cause(error))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version <= u64::from(KEYS_VERSION) => serde_json::from_value(value).map_err(|error| fail().cause(error)),
            _ => Err(fail().cause("a newer Summoner wrote it").next("use the newer Summoner that made it")),
        }
    }

    /// The keys that new blobs are encrypted for.
    pub fn present(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.last_used_at.is_none())
    }

    /// Notes that these and no others are used from now on; whether that is news.
    fn turn(&mut self, recipients: &[String], now: DateTime<Utc>) -> bool {
        let before = self.clone();
        self.version = KEYS_VERSION;
        for key in &mut self.keys {
            let used = recipients.contains(&key.recipient);
            key.last_used_at = if used { None } else { key.last_used_at.or(Some(now)) };
        }
        for recipient in recipients {
            if self.keys.iter().all(|key| key.recipient != *recipient) {
                let (fingerprint, recipient) = (fingerprint(recipient), recipient.clone());
                self.keys.push(Key { fingerprint, recipient, first_used_at: now, last_used_at: None });
            }
        }
        *self != before
    }
}

/// Whether a blob lies there as it is.
fn stays_plain(name: &str) -> bool {
    let parts = name.strip_suffix(layout::PARTS).is_some_and(|folder| folder.ends_with('/'));
    parts || [layout::ABOUT, layout::README, layout::RESTORE, layout::KEYS].contains(&name)
}

impl Sealed {
    /// Encrypts for these recipients, and decrypts with the private keys of a file. Without recipients what is written is
    /// encrypted for those that the place itself names, and is plain where it names none.
    ///
    /// # Errors
    /// Something is no recipient, the file is none of private keys, or the place cannot be read.
    pub fn new(inner: Arc<dyn Backend>, recipients: &[String], identity: Option<&Path>) -> Result<Self> {
        let keys = Keys::of(inner.as_ref())?;
        let wanted: Vec<String> =
            if recipients.is_empty() { keys.present().map(|key| key.recipient.clone()).collect() } else { recipients.to_vec() };
        let recipients = wanted.iter().map(|text| parsed(text)).collect::<Result<_>>()?;
        let identities = identity.map(identity::read).transpose()?.unwrap_or_default();
        Ok(Self { inner, recipients, identities, keys: Mutex::new(keys) })
    }

    /// For whom blobs of this place were ever encrypted.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Public parts of the private keys that are at hand.
    #[must_use]
    pub fn at_hand(&self) -> Vec<String> {
        self.identities.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    /// The list of keys is there before the first blob that needs one of them.
    fn note_keys(&self) -> Result<()> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let recipients: Vec<String> = self.recipients.iter().map(ToString::to_string).collect();
        // Another host may have written there meanwhile.
        let mut keys = known.clone();
        if !keys.turn(&recipients, Utc::now()) {
            return Ok(());
        }
        keys = Keys::of(self.inner.as_ref())?;
        if keys.turn(&recipients, Utc::now()) {
            let mut text =
                serde_json::to_vec_pretty(&keys).map_err(|error| Error::internal("the list of keys does not serialise").cause(error))?;
            text.push(b'\n');
            self.inner.put(layout::KEYS, &mut text.as_slice())?;
        }
        *known = keys;
        Ok(())
    }

    fn encryptor(&self) -> Result<Encryptor> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        Encryptor::with_recipients(recipients).map_err(|error| Error::internal("the recipients do not go together").cause(error))
    }

    /// Under which name a blob lies there: encrypted, or in the clear from before.
    fn lies_as(&self, name: &str) -> Result<String> {
        let sealed = format!("{name}{ENDING}");
        Ok(if !stays_plain(name) && self.inner.get(&sealed)?.is_some() { sealed } else { name.to_owned() })
    }

    fn open(&self, name: &str, bytes: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
        let decryptor = Decryptor::new(bytes).map_err(|error| self.damaged(name, &error))?;
        if self.identities.is_empty() {
            return Err(self.wrong_key("they are encrypted, and no private key was given"));
        }
        let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
        match decryptor.decrypt(identities) {
            Ok(plain) => Ok(Box::new(plain)),
            Err(DecryptError::NoMatchingKeys) => {
                let own: Vec<String> = self.at_hand().iter().map(|public| fingerprint(public)).collect();
                Err(self.wrong_key(&format!("{name} is not encrypted for the key that was given ({})", own.join(", "))))
            }
            Err(error) => Err(self.damaged(name, &error)),
        }
    }

    fn damaged(&self, name: &str, error: &DecryptError) -> Error {
        Error::external(format!("{name} at {} is damaged: it is no whole file of age", self.inner.location())).cause(error)
    }

    /// Names the keys that would fit: a file of age does not say for whom it is, so those of the place.
    fn wrong_key(&self, why: &str) -> Error {
        let keys = self.keys();
        let line = |key: &Key| match key.last_used_at {
            None => format!("{} (since {})", key.fingerprint, key.first_used_at.format("%Y-%m-%d")),
            Some(last) => {
                format!("{} (from {} to {})", key.fingerprint, key.first_used_at.format("%Y-%m-%d"), last.format("%Y-%m-%d"))
            }
        };
        let fits: Vec<String> = keys.keys.iter().map(line).collect();
        let fits = if fits.is_empty() { "nobody noted which".to_owned() } else { fits.join(", ") };
        Error::new(Kind::WrongKey, format!("cannot open the backups at {}", self.inner.location()))
            .cause(format!("{why}\nkeys that fit: {fits}"))
            .next("--identity FILE   names the file with the private key; the recovery card says where it lies")
    }
}

fn parsed(text: &str) -> Result<Recipient> {
    let fail = |why: String| Error::new(Kind::Config, "cannot encrypt").cause(why);
    let known = recipient(text).map_err(fail)?;
    known.parse().map_err(|why: &str| fail(why.to_owned()))
}

impl Backend for Sealed {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        if stays_plain(name) || self.recipients.is_empty() {
            return self.inner.put(name, bytes);
        }
        self.note_keys()?;
        let mut sealing =
            Sealing::begin(self.encryptor()?, bytes).map_err(|error| Error::external(format!("cannot encrypt {name}")).cause(error))?;
        self.inner.put(&format!("{name}{ENDING}"), &mut sealing)
    }

    fn read_back(&self, name: &str) -> Result<Option<Receipt>> {
        if !stays_plain(name)
            && let Some(receipt) = self.inner.read_back(&format!("{name}{ENDING}"))?
        {
            return Ok(Some(receipt));
        }
        self.inner.read_back(name)
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        if stays_plain(name) || self.recipients.is_empty() {
            return self.inner.take(name, file);
        }
        let mut from = std::fs::File::open(file).map_err(|error| Error::io("open", file, &error))?;
        self.put(name, &mut from)?;
        std::fs::remove_file(file).map_err(|error| Error::io("remove", file, &error))
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        if stays_plain(name) {
            return self.inner.get(name);
        }
        match self.inner.get(&format!("{name}{ENDING}"))? {
            Some(bytes) => self.open(name, bytes).map(Some),
            None => self.inner.get(name),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        let mut found = BTreeMap::new();
        // The list of keys is this driver's own.
        for Blob { name, bytes } in self.inner.list(prefix)?.into_iter().filter(|blob| blob.name != layout::KEYS) {
            match name.strip_suffix(ENDING).filter(|plain| !stays_plain(plain)) {
                Some(plain) => _ = found.insert(plain.to_owned(), bytes),
                // What is encrypted counts before what lies there in the clear from before.
                None => _ = found.entry(name).or_insert(bytes),
            }
        }
        Ok(found.into_iter().map(|(name, bytes)| Blob { name, bytes }).collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        // The newer one last: a crash between the two leaves what was there.
        self.inner.delete(name)?;
        if stays_plain(name) { Ok(()) } else { self.inner.delete(&format!("{name}{ENDING}")) }
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let lies = self.lies_as(from)?;
        let ending = if lies == from { "" } else { ENDING };
        self.inner.link(&lies, &format!("{to}{ending}"))
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.inner.lock(name, hold)
    }
}

/// Gives the encrypted form of what it reads, a chunk at a time.
struct Sealing<'a> {
    from: &'a mut dyn Read,
    /// None once the end was written, without which age takes a file for cut off.
    into: Option<StreamWriter<Made>>,
    made: Made,
    given: usize,
    chunk: Vec<u8>,
}

/// What was encrypted and not yet given.
#[derive(Clone, Default)]
struct Made(Rc<RefCell<Vec<u8>>>);

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Sealing<'a> {
    fn begin(encryptor: Encryptor, from: &'a mut dyn Read) -> io::Result<Self> {
        let made = Made::default();
        let into = Some(encryptor.wrap_output(made.clone())?);
        Ok(Self { from, into, made, given: 0, chunk: vec![0; CHUNK] })
    }
}

impl Read for Sealing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            {
                let mut made = self.made.0.borrow_mut();
                if self.given < made.len() {
                    let count = buffer.len().min(made.len() - self.given);
                    buffer[..count].copy_from_slice(&made[self.given..self.given + count]);
                    self.given += count;
                    return Ok(count);
                }
                made.clear();
                self.given = 0;
            }
            let Some(mut into) = self.into.take() else { return Ok(0) };
            match self.from.read(&mut self.chunk) {
                Ok(0) => _ = into.finish()?,
                Ok(read) => {
                    into.write_all(&self.chunk[..read])?;
                    self.into = Some(into);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.into = Some(into),
                // Whoever reads on after an error must not find an end.
                Err(error) => {
                    self.into = Some(into);
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
