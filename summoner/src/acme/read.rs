//! Reads certificates back from disk: the world's side of `plan::cert`.

use chrono::{DateTime, Utc};
use rcgen::KeyPair;
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::{MAX_PEM_BYTES, files};
use crate::disk;
use crate::error::Result;
use crate::layout::Layout;
use crate::name::Domain;
use crate::plan::cert::Observed;

/// What lies on disk for a host; None when there is no pair that nginx could use (absent, damaged, or a key that belongs
/// to another certificate).
///
/// # Errors
/// When a file is there and cannot be read.
pub fn observe(layout: &Layout, host: &Domain) -> Result<Option<Observed>> {
    let (certificate, key) = files(layout, host);
    let (chain, key) = (disk::read_if_there(&certificate, MAX_PEM_BYTES)?, disk::read_if_there(&key, MAX_PEM_BYTES)?);
    Ok(chain.zip(key).and_then(|(chain, key)| usable(host, &chain, &key)))
}

fn usable(host: &Domain, chain: &[u8], key: &[u8]) -> Option<Observed> {
    let leaf = block(chain, "CERTIFICATE")?;
    let key = KeyPair::try_from(block(key, "PRIVATE KEY")?).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    if certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
        return None;
    }
    Some(Observed {
        host: host.clone(),
        names: names(&certificate),
        issuer: common_name(certificate.issuer()),
        issuer_key: authority_key(&certificate).unwrap_or_default(),
        not_before: time(certificate.validity().not_before.timestamp())?,
        not_after: time(certificate.validity().not_after.timestamp())?,
        fingerprint: hex::encode(Sha256::digest(&leaf)),
    })
}

/// The first block with this label, decoded.
pub(super) fn block(pem: &[u8], label: &str) -> Option<Vec<u8>> {
    Pem::iter_from_buffer(pem).map_while(std::result::Result::ok).find(|block| block.label == label).map(|block| block.contents)
}

pub(super) fn time(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => format!("{other:?}"),
    };
    extension.value.general_names.iter().map(name).collect()
}

pub(super) fn common_name(name: &x509_parser::x509::X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

fn authority_key(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| hex::encode(id.0)),
        _ => None,
    })
}

pub(super) fn subject_key(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(hex::encode(id.0)),
        _ => None,
    })
}
