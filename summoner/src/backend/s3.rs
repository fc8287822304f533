//! The driver for a bucket of an object store that speaks S3.
//!
//! An object is there whole or not at all: a small one is one request, a large one an upload of parts that counts when it is
//! completed, and is aborted when anything fails. Every request carries the SHA-256 of what it sends, which the store checks
//! before it answers. Objects are never changed, so their names are all that has to be agreed on; see `held` for locks.
//! Where the bucket has object lock or versions with a default retention, they hold for what is put here without a word more.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use zeroize::Zeroizing;

use self::body::Body;
use self::ear::Ear;
use self::http::Http;
use self::parts::{Fault, PART, Upload, part};
use super::{Backend, Blob, Hashing, Held, Hold, Receipt, held, wire};
use crate::apply::crash;
use crate::config::repositories::{Place, REGION, S3 as Settings};
use crate::disk;
use crate::error::{Error, Result};

mod body;
mod ear;
mod http;
mod parts;

/// The largest object that a store copies by itself (Amazon S3 API Reference, `CopyObject`).
const MOST_COPIED: u64 = 5 << 30;
/// An object that breaks off while it is read is asked for again from there, so often and for so long.
const RESUMED: usize = 4;
const RESUMED_FOR: Duration = Duration::from_secs(180);
const LONGEST_SECRET: u64 = 4096;

/// A bucket, or what is below a prefix of one.
pub struct S3 {
    location: String,
    settings: Settings,
    keys: Keys,
    http: reqwest::Client,
}

struct Keys {
    access: String,
    secret: Zeroizing<String>,
    /// Of keys that end by themselves.
    token: Option<String>,
}

impl S3 {
    /// A driver for this bucket. Asks it for nothing yet.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn open(settings: &Settings) -> Result<Self> {
        let location = Place::S3(settings.clone()).to_string();
        let mut settings = settings.clone();
        let keys = match (&settings.access_key, &settings.secret_key_file) {
            (Some(access), Some(file)) => Keys { access: access.clone(), secret: secret(file)?, token: None },
            _ => {
                if let (REGION, Some(region)) = (settings.region.as_str(), variable("AWS_REGION")) {
                    settings.region = region;
                }
                Keys::of_the_environment(&location)?
            }
        };
        let driver = Self { location, settings, keys, http: http::client()? };
        // Says now what is wrong with the settings.
        driver.store()?;
        Ok(driver)
    }

    /// The client for one operation, and what it hears of refusals.
    fn store(&self) -> Result<(Arc<AmazonS3>, Ear)> {
        let ear = Ear::default();
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(&self.settings.endpoint)
            .with_allow_http(true)
            .with_bucket_name(&self.settings.bucket)
            .with_region(&self.settings.region)
            .with_access_key_id(&self.keys.access)
            .with_secret_access_key(self.keys.secret.as_str())
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { max_retries: RESUMED, retry_timeout: RESUMED_FOR, ..RetryConfig::default() })
            .with_http_connector(Http::new(self.http.clone(), ear.clone()));
        if let Some(token) = &self.keys.token {
            builder = builder.with_token(token);
        }
        let store = builder.build().map_err(|error| Error::external(format!("cannot speak to {}", self.location)).cause(error))?;
        Ok((Arc::new(store), ear))
    }

    fn key(&self, name: &str) -> Result<Path> {
        let slash = if self.settings.prefix.is_empty() || name.is_empty() { "" } else { "/" };
        let key = format!("{}{slash}{name}", self.settings.prefix);
        Path::parse(&key).map_err(|error| Error::internal(format!("{name} is no name for an object")).cause(error))
    }

    fn cannot(&self, doing: &str, name: &str) -> Error {
        Error::external(format!("cannot {doing} {name} at {}", self.location))
    }

    fn failed(&self, doing: &str, name: &str, ear: &Ear, error: &object_store::Error) -> Error {
        ear.explain(self.cannot(doing, name), error, &self.settings)
    }

    /// Does one thing with an object; None when there is no such object.
    fn ask<T, F>(&self, doing: &str, name: &str, work: impl FnOnce(Arc<AmazonS3>, Path) -> F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (store, ear) = self.store()?;
        match wire::run(work(store, self.key(name)?))? {
            Ok(done) => Ok(Some(done)),
            Err(object_store::Error::NotFound { .. }) if ear.is_silent() => Ok(None),
            Err(error) => Err(self.failed(doing, name, &ear, &error)),
        }
    }

    /// Stores what is more than one part.
    fn put_parts(&self, name: &str, first: Vec<u8>, rest: &mut dyn Read) -> Result<()> {
        let (store, ear) = self.store()?;
        let explained = |fault: Fault| match fault {
            Fault::Store(error) => self.failed("store", name, &ear, &error),
            Fault::Source(error) => self.cannot("store", name).cause(error),
            Fault::TooLarge => self.cannot("store", name).cause("it is larger than 117 GiB, the most that fits into one upload"),
            Fault::Ours(error) => error,
        };
        let mut upload = Upload::begin(store, self.key(name)?).map_err(explained)?;
        let sent = upload.send_all(first, rest).and_then(|()| {
            crash::point();
            upload.complete(&ear)
        });
        let Err(fault) = sent else { return Ok(()) };
        let error = explained(fault);
        match upload.abort() {
            Ok(()) => Err(error),
            Err(_) => Err(error.next("parts of it lie in the bucket until a lifecycle rule removes unfinished uploads")),
        }
    }
}

impl Keys {
    fn of_the_environment(location: &str) -> Result<Self> {
        let missing = || {
            Error::usage(format!("there are no keys for {location}"))
                .next("write access_key and secret_key_file of that repository into config.yml")
                .next("or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        };
        let access = variable("AWS_ACCESS_KEY_ID").ok_or_else(missing)?;
        let secret = variable("AWS_SECRET_ACCESS_KEY").map(Zeroizing::new).ok_or_else(missing)?;
        Ok(Self { access, secret, token: variable("AWS_SESSION_TOKEN") })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn secret(file: &FilePath) -> Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(disk::read_bounded(file, LONGEST_SECRET)?);
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(Error::external(format!("{} holds no secret key", file.display())).next("put the key into it, alone on one line"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

impl Backend for S3 {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        let mut hashing = Hashing::new(bytes);
        let first = part(&mut hashing).map_err(|error| self.cannot("store", name).cause(error))?;
        crash::point();
        if first.len() < PART {
            let stored = self.ask("store", name, |store, key| async move { store.put(&key, PutPayload::from(first)).await })?;
            // A bucket that is not there is a refusal that was heard; this is another thing that is not found.
            stored.ok_or_else(|| self.cannot("store", name).cause("the store does not find where to put it"))?;
        } else {
            self.put_parts(name, first, &mut hashing)?;
        }
        Ok(hashing.receipt())
    }

    fn take(&self, name: &str, file: &FilePath) -> Result<()> {
        let mut bytes = File::open(file).map_err(|error| Error::io("open", file, &error))?;
        self.put(name, &mut bytes)?;
        fs::remove_file(file).map_err(|error| Error::io("remove", file, &error))
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        let found = self.ask("read", name, |store, key| async move { store.get(&key).await })?;
        Ok(found.map(|found| Box::new(Body::new(found, format!("{name} at {}", self.location))) as Box<dyn Read + Send>))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        let shown = if prefix.is_empty() { "everything" } else { prefix };
        let (store, ear) = self.store()?;
        let below = self.key(prefix.trim_end_matches('/'))?;
        let listed = wire::run(async move { store.list(Some(&below)).try_collect::<Vec<_>>().await })?;
        let listed = listed.map_err(|error| self.failed("list", shown, &ear, &error))?;
        let own = if self.settings.prefix.is_empty() { String::new() } else { format!("{}/", self.settings.prefix) };
        let named = |object: object_store::ObjectMeta| {
            let name = object.location.as_ref().strip_prefix(&own)?.to_owned();
            Some(Blob { name, bytes: object.size })
        };
        let mut blobs: Vec<Blob> = listed.into_iter().filter_map(named).filter(|blob| blob.name.starts_with(prefix)).collect();
        blobs.sort();
        Ok(blobs)
    }

    fn delete(&self, name: &str) -> Result<()> {
        crash::point();
        self.ask("remove", name, |store, key| async move { store.delete(&key).await }).map(|_| ())
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let missing = || self.cannot("copy", from).cause("there is no such object");
        let found = self.ask("read", from, |store, key| async move { store.head(&key).await })?.ok_or_else(missing)?;
        if found.size > MOST_COPIED {
            let mut bytes = self.get(from)?.ok_or_else(missing)?;
            return self.put(to, &mut bytes).map(|_| ());
        }
        let target = self.key(to)?;
        crash::point();
        self.ask("copy", from, |store, key| async move { store.copy(&key, &target).await })?.ok_or_else(missing)
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        Ok(held::lock(&self.location, name, hold))
    }
}
