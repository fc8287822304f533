//! `repositories:` in config.yml: the other places that hold snapshots, each by its name.
//!
//! Values only; nothing here opens a place. `crate::backend::open` does. A place has one form in words, the same in config.yml
//! and on the command line ([`Place`]'s `FromStr` and `Display`).

mod place;
mod read;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::Keep;

pub(super) use read::read;

/// Where SSH listens, unless a place says otherwise.
pub const SSH_PORT: u16 = 22;
/// What an object store is asked with, unless it has regions of its own.
pub const REGION: &str = "us-east-1";

/// Another place for snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositorySettings {
    /// What commands call it.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// How many are kept there; None keeps what the apps' own `keep` says.
    pub keep: Option<Keep>,
    /// At most so many bytes a second go there.
    pub bytes_per_second: Option<u64>,
    /// Whatever lies there stays: this host may add and not remove.
    pub append_only: bool,
    /// Whether what goes there is encrypted: as soon as there are recipients, unless it says no.
    pub encrypt: bool,
}

impl RepositorySettings {
    /// A place that no config.yml tells about, such as one named on the command line: its words are its name.
    #[must_use]
    pub fn at(place: Place) -> Self {
        Self { name: place.to_string(), place, keep: None, bytes_per_second: None, append_only: false, encrypt: true }
    }
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this host, such as a disk that is mounted: `/mnt/disk/backups`.
    Folder(PathBuf),
    /// A folder of a host that speaks SFTP: `sftp://user@host:port/path`.
    Sftp(Sftp),
    /// A bucket: `s3+https://host:port/bucket/prefix`.
    S3(S3),
}

/// A folder of another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sftp {
    /// Who signs in.
    pub user: String,
    /// The host.
    pub host: String,
    /// 22, unless it says otherwise.
    pub port: u16,
    /// The folder there, absolute.
    pub path: String,
    /// The file of the private key; None is what ssh itself finds.
    pub key_file: Option<PathBuf>,
    /// The file with the host's key; None is the user's own `known_hosts`.
    pub known_hosts: Option<PathBuf>,
}

/// A bucket of an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `https://s3.example.org`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with; empty, or without slashes around it.
    pub prefix: String,
    /// `us-east-1`, unless it says otherwise.
    pub region: String,
    /// The access key; None takes `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` from the environment.
    pub access_key: Option<String>,
    /// The file that holds the secret key.
    pub secret_key_file: Option<PathBuf>,
}
