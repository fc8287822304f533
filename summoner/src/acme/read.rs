//! Reads certificates back from disk: the world's side of `plan::cert`.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::{MAX_PEM_BYTES, files, key};
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
    Ok(chain.zip(key).and_then(|(chain, key)| usable(host, &chain, &key).ok()))
}

/// The pair of a host, or why it cannot be served.
pub(super) fn usable_named(stem: &str, chain: &[u8], key: &[u8]) -> std::result::Result<Observed, String> {
    let host: Domain = stem.parse().map_err(|error: crate::name::NameError| error.to_string())?;
    usable(&host, chain, key)
}

/// The pair of a host, or why it cannot be served.
pub(super) fn usable(host: &Domain, chain: &[u8], key: &[u8]) -> std::result::Result<Observed, String> {
    let blocks: Vec<Vec<u8>> = blocks(chain, "CERTIFICATE").collect();
    let leaf = blocks.first().ok_or("the .crt holds no certificate")?;
    let key = key::parse(key).ok_or("the .key holds no private key that can be used here")?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| "the .crt holds a damaged certificate")?;
    if certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
        let parsed = blocks.iter().skip(1).filter_map(|der| X509Certificate::from_der(der).ok());
        let later = parsed.into_iter().any(|(_, other)| other.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key));
        return Err(if later {
            "the certificates in the .crt are in the wrong order: the host's own must be the first".to_owned()
        } else {
            "the key belongs to another certificate".to_owned()
        });
    }
    in_order(&blocks)?;
    observed(host, leaf, &certificate).ok_or_else(|| "the times of the certificate make no sense".to_owned())
}

/// Each certificate must be signed by the next one (RFC 8446, 4.4.2, asks for it; many clients insist).
fn in_order(blocks: &[Vec<u8>]) -> std::result::Result<(), String> {
    let parsed: Vec<X509Certificate<'_>> = blocks.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    for (number, pair) in parsed.windows(2).enumerate() {
        if let [one, next] = pair
            && one.issuer() != next.subject()
        {
            return Err(format!(
                "the certificates in the .crt are in the wrong order: number {} was signed by {}, and number {} is {}",
                number + 1,
                common_name(one.issuer()),
                number + 2,
                common_name(next.subject())
            ));
        }
    }
    Ok(())
}

/// The certificate alone, whatever its key.
pub(super) fn leaf(stem: &str, chain: &[u8]) -> Option<Observed> {
    let leaf = block(chain, "CERTIFICATE")?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    observed(&stem.parse().ok()?, &leaf, &certificate)
}

fn observed(host: &Domain, leaf: &[u8], certificate: &X509Certificate<'_>) -> Option<Observed> {
    Some(Observed {
        host: host.clone(),
        names: names(certificate),
        issuer: common_name(certificate.issuer()),
        issuer_key: authority_key(certificate).unwrap_or_default(),
        not_before: time(certificate.validity().not_before.timestamp())?,
        not_after: time(certificate.validity().not_after.timestamp())?,
        fingerprint: hex::encode(Sha256::digest(leaf)),
    })
}

fn blocks<'a>(pem: &'a [u8], label: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    Pem::iter_from_buffer(pem).map_while(std::result::Result::ok).filter(move |block| block.label == label).map(|block| block.contents)
}

/// The first block with this label, decoded.
pub(super) fn block(pem: &[u8], label: &str) -> Option<Vec<u8>> {
    blocks(pem, label).next()
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
