//! Accounts with authorities: made once for each authority and e-mail address, kept with mode 0600, never made twice.
//!
//! Each attempt opens the account anew with a client of its own: that reads the directory, so a dead authority is found
//! out before anything is asked.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::failure::{Failure, is_bad_nonce, sort};
use super::{MAX_PEM_BYTES, Places};
use crate::apply::crash;
use crate::config::certificates::{Authority, EabKey};
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::cert::Blame;

const VERSION: u32 = 1;
/// How often one request is sent again when only its nonce was refused: at 30 % refusals one order in 200,000 fails.
pub(super) const NONCE_TRIES: u32 = 6;

/// Sends a request again while only its nonce is refused: the authority has not looked at it.
macro_rules! again {
    ($call:expr) => {{
        let mut tries = 0;
        loop {
            tries += 1;
            match $call {
                Err(error) if is_bad_nonce(&error) && tries < NONCE_TRIES => {}
                result => break result,
            }
        }
    }};
}
pub(super) use again;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    directory: String,
    email: Option<String>,
    credentials: AccountCredentials,
}

/// Where one authority's account is, and how it is reached.
pub(super) struct Door<'a> {
    pub(super) places: &'a Places,
    pub(super) authority: &'a Authority,
    pub(super) directory: &'a str,
    pub(super) email: Option<&'a str>,
    /// E-mail addresses that are still in use: an account of another one gets the new address.
    pub(super) emails: &'a [String],
    pub(super) now: DateTime<Utc>,
}

impl Door<'_> {
    fn path(&self) -> PathBuf {
        let hash = Sha256::digest(format!("{}\n{}", self.directory, self.email.unwrap_or_default()));
        let name: String = self.authority.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
        self.places.acme.join(format!("{name}-{}.json", hex::encode(&hash[..6])))
    }

    /// Opens the account, or makes it.
    pub(super) async fn open(&self, client: &Client) -> Result<Account, Failure> {
        let path = self.path();
        if let Some(stored) = self.stored(&path)? {
            return self.restore(client, stored.credentials).await;
        }
        if let Some((old, stored)) = self.left_behind()? {
            let account = self.restore(client, stored.credentials).await?;
            let contact = self.email.map(|email| format!("mailto:{email}"));
            let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
            again!(account.update_contacts(&contacts).await).map_err(|error| sort(&error, client.heard(), self.now))?;
            let Some(again) = self.stored(&old)? else { return Err(Failure::new(Blame::Here, "the account's file went away")) };
            self.save(&Stored { email: self.email.map(str::to_owned), ..again })?;
            disk::remove_file(&old)?;
            return Ok(account);
        }
        self.make(client).await
    }

    async fn restore(&self, client: &Client, credentials: AccountCredentials) -> Result<Account, Failure> {
        let opened = Account::builder_with_http(Box::new(client.clone())).from_credentials(credentials).await;
        opened.map_err(|error| sort(&error, client.heard(), self.now))
    }

    async fn make(&self, client: &Client) -> Result<Account, Failure> {
        let eab = self.eab()?;
        let contact = self.email.map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
        crash::point();
        let made = again!(Account::builder_with_http(Box::new(client.clone())).create(&new, self.directory.to_owned(), eab.as_ref()).await);
        let (account, credentials) = made.map_err(|error| sort(&error, client.heard(), self.now))?;
        self.save(&Stored { version: VERSION, directory: self.directory.to_owned(), email: self.email.map(str::to_owned), credentials })?;
        Ok(account)
    }

    fn eab(&self) -> Result<Option<ExternalAccountKey>, Failure> {
        let Some(eab) = &self.authority.eab else { return Ok(None) };
        let text = match &eab.key {
            EabKey::Text(secret) => secret.0.clone(),
            EabKey::File(path) => String::from_utf8_lossy(&disk::read_bounded(path, MAX_PEM_BYTES)?).into_owned().into(),
        };
        let text = text.trim().trim_end_matches('=');
        let key = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).map_err(|_| {
            Failure::new(Blame::Settings, "the key of eab is not base64url")
                .next("copy the HMAC key from the authority's page into the file that hmac_file names")
        })?;
        Ok(Some(ExternalAccountKey::new(eab.kid.clone(), &key)))
    }

    fn stored(&self, path: &std::path::Path) -> Result<Option<Stored>> {
        let Some(bytes) = disk::read_if_there(path, MAX_PEM_BYTES)? else { return Ok(None) };
        let damaged = || {
            Error::external(format!("the account {} is damaged, or a newer Summoner wrote it", path.display()))
                .next(format!("put it back from a backup, or begin with a new account: mv {0} {0}.damaged", path.display()))
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged().cause(error))?;
        if stored.version > VERSION { Err(damaged()) } else { Ok(Some(stored)) }
    }

    fn save(&self, stored: &Stored) -> Result<()> {
        disk::ensure_own_folder(&self.places.acme, 0o700, None)?;
        let bytes = serde_json::to_vec(stored).map_err(|error| Error::internal("an account does not serialise").cause(error))?;
        crash::point();
        disk::write_atomic(&self.path(), &bytes, 0o600)
    }

    /// An account of this authority whose e-mail address nobody uses any more.
    fn left_behind(&self) -> Result<Option<(PathBuf, Stored)>> {
        for path in disk::files_in(&self.places.acme)? {
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            // Another file of this folder, or a damaged account: neither is taken over.
            let Ok(Some(stored)) = self.stored(&path) else { continue };
            let used = stored.email.as_ref().is_some_and(|email| self.emails.contains(email));
            if stored.directory == self.directory && stored.email.is_some() && !used {
                return Ok(Some((path, stored)));
            }
        }
        Ok(None)
    }

    /// Forgets an account that the authority does not know any more.
    pub(super) fn forget(&self) -> Result<()> {
        disk::remove_file(&self.path())
    }
}
