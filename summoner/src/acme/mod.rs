//! Certificates: who issues them, where they lie, and what is in them. `plan::cert` decides whether one is needed.
//!
//! An issuer turns names into an [`Issued`] pair; everything after that is the same for all of them. There are two: the
//! own [`Authority`], for tests and local networks, and authorities on the network (RFC 8555), which [`tend()`] asks for
//! whatever is due. Nothing here deletes a certificate.

use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::{Layout, ProxyFolder};
use crate::name::Domain;
use crate::plan::cert::Observed;

mod account;
mod authority;
mod challenge;
mod client;
pub mod dns;
mod failure;
mod import;
mod key;
mod memory;
mod order;
mod pending;
pub mod preflight;
mod read;
mod revoke;
pub mod shown;
mod store;
mod tend;
mod told;

pub use authority::Authority;
pub(crate) use authority::validity;
pub use failure::Failure;
pub use import::import;
pub use memory::load as remembered;
pub use read::observe;
pub use revoke::{Reason, revoke};
pub use shown::Shown;
pub use store::{is_own, look};
pub use tend::{Outcome, Tending, What, standing, tend};
pub use told::{told, untold};

/// Far above any chain of certificates.
const MAX_PEM_BYTES: u64 = 256 * 1024;

/// Where everything about certificates lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `<stem>.crt` and `<stem>.key`.
    pub certs: PathBuf,
    /// What the proxy serves on port 80: the answers to challenges are below it.
    pub html: PathBuf,
    /// Accounts, and orders under way.
    pub acme: PathBuf,
    /// What is known of authorities.
    pub memory: PathBuf,
    /// The lock of whoever asks them.
    pub lock: PathBuf,
    /// Whose the files of certificates are, by uid and gid; None leaves it.
    pub owner: Option<(u32, u32)>,
    /// Who may read a key.
    pub key_mode: u32,
}

impl Places {
    /// Those of an installation.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        Self {
            certs: layout.certs(),
            html: layout.proxy_folder(ProxyFolder::Html),
            acme: layout.acme(),
            memory: layout.certificates(),
            lock: layout.certificates_lock(),
            owner: None,
            key_mode: 0o600,
        }
    }
}

/// A certificate as an issuer gives it.
pub struct Issued {
    /// PEM: the certificate, then those that lead to its root.
    pub chain: String,
    /// PEM: its private key (PKCS#8).
    pub key: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Issued").field("chain", &self.chain).field("key", &"***").finish()
    }
}

/// Where the certificate of a host and its key lie.
#[must_use]
pub fn files(layout: &Layout, host: &Domain) -> (PathBuf, PathBuf) {
    let folder = layout.certs();
    (folder.join(format!("{host}.crt")), folder.join(format!("{host}.key")))
}

/// Stores what an issuer gave and reads it back as nginx will. The key comes first: a crash between the two files leaves
/// a pair that does not fit, which [`observe`] does not call usable, so the next run issues again.
///
/// # Errors
/// When the disk refuses, or what lies there afterwards is not usable.
pub fn store(layout: &Layout, host: &Domain, issued: &Issued) -> Result<Observed> {
    let (certificate, key) = files(layout, host);
    disk::ensure_folder(&layout.certs(), 0o700, None)?;
    disk::write_atomic(&key, issued.key.as_bytes(), 0o600)?;
    disk::write_atomic(&certificate, issued.chain.as_bytes(), 0o644)?;
    observe(layout, host)?
        .ok_or_else(|| Error::internal(format!("the certificate just written to {} does not fit its key", certificate.display())))
}

/// Issues by the own authority and stores: `names` is the host and its aliases, the host first.
///
/// # Errors
/// When `names` is empty, the authority is outside its time, or the disk refuses.
pub fn renew(layout: &Layout, authority: &Authority, names: &[Domain], now: DateTime<Utc>) -> Result<Observed> {
    let host = names.first().ok_or_else(|| Error::internal("a certificate without a name was asked for"))?;
    store(layout, host, &authority.issue(names, now)?)
}
