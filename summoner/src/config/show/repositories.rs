//! `repositories:` of the resolved configuration. Keys are in files: their paths are shown, never what is in them.

use std::path::Path;

use serde::Serialize;

use super::Keep;
use crate::config::repositories::{Place, RepositorySettings};

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    name: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_hosts: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key_file: Option<&'a Path>,
    /// None keeps what the apps' own says.
    keep: Option<Keep>,
    /// Bytes a second.
    bandwidth: Option<u64>,
    append_only: bool,
    encrypt: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn of(settings: &'a RepositorySettings) -> Self {
        let (sftp, s3) = match &settings.place {
            Place::Folder(_) => (None, None),
            Place::Sftp(sftp) => (Some(sftp), None),
            Place::S3(s3) => (None, Some(s3)),
        };
        Self {
            name: &settings.name,
            at: settings.place.to_string(),
            key_file: sftp.and_then(|sftp| sftp.key_file.as_deref()),
            known_hosts: sftp.and_then(|sftp| sftp.known_hosts.as_deref()),
            region: s3.map(|s3| s3.region.as_str()),
            access_key: s3.and_then(|s3| s3.access_key.as_deref()),
            secret_key_file: s3.and_then(|s3| s3.secret_key_file.as_deref()),
            keep: settings.keep.map(Keep::of),
            bandwidth: settings.bytes_per_second,
            append_only: settings.append_only,
            encrypt: settings.encrypt,
        }
    }
}
