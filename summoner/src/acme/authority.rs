//! The own authority: a certificate that people trust by hand, made once, and the host certificates it signs.
//!
//! Key and certificate are one file, so they are written in one step and cannot be half there; `ca.crt` beside the
//! host certificates is a copy for people. Neither is ever overwritten: whoever trusts the old one would be locked out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Issued, MAX_PEM_BYTES, read};
use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::Domain;

const AUTHORITY_DAYS: i64 = 3650;
/// Until something runs by itself, a person renews by `summoner install`: long, and below the 397 days that browsers
/// accept at most.
const LEAF_DAYS: i64 = 365;
/// RFC 5280, appendix A.1: `ub-common-name`.
const MAX_COMMON_NAME: usize = 64;
/// Clocks differ.
const EARLIER: TimeDelta = TimeDelta::hours(1);

/// The own authority, ready to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    name: String,
    key_id: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

impl Authority {
    /// Reads the authority of this host, or makes it when there never was one; `domain` names a new one.
    ///
    /// # Errors
    /// When its files are damaged, incomplete or do not belong together: a new authority is never made over an old one.
    pub fn open(layout: &Layout, domain: &Domain, now: DateTime<Utc>) -> Result<Self> {
        let (secret, public) = (secret(layout), layout.authority());
        let published = disk::read_if_there(&public, MAX_PEM_BYTES)?;
        let stored = match disk::read_if_there(&secret, MAX_PEM_BYTES)? {
            Some(stored) => stored,
            None if published.is_some() => return Err(unusable(&secret, &public, "the file with its key is gone")),
            None => {
                disk::ensure_folder(&layout.own(), 0o700, None)?;
                let made = make(domain, now).map_err(|e| Error::internal("cannot make an authority").cause(e))?;
                disk::write_atomic(&secret, made.as_bytes(), 0o600)?;
                made.into_bytes()
            }
        };
        let authority = Self::parse(&stored).ok_or_else(|| unusable(&secret, &public, "the file with its key is damaged"))?;
        match published {
            Some(published) if published != authority.pem.as_bytes() => {
                Err(unusable(&secret, &public, "the certificate that people trust is not the one of the key"))
            }
            Some(_) => Ok(authority),
            None => {
                disk::ensure_folder(&layout.certs(), 0o700, None)?;
                disk::write_atomic(&public, authority.pem.as_bytes(), 0o644)?;
                Ok(authority)
            }
        }
    }

    /// "Summoner CA example.org".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identifier of its key (hexadecimal), as its certificates name it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Signs a certificate for these names with a new key.
    ///
    /// # Errors
    /// When the authority itself is not valid at `now`.
    pub fn issue(&self, names: &[Domain], now: DateTime<Utc>) -> Result<Issued> {
        if now < self.not_before || now >= self.not_after {
            return Err(Error::external(format!(
                "cannot sign with {}: it is valid from {} to {}",
                self.name, self.not_before, self.not_after
            ))
            .next("check the clock of this machine: timedatectl"));
        }
        let fail = |source: rcgen::Error| Error::internal("cannot sign a certificate").cause(source);
        let mut params = CertificateParams::new(names.iter().map(Domain::to_string).collect::<Vec<_>>()).map_err(fail)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        // Browsers read the alternative names only.
        if let Some(host) = names.first().filter(|host| host.as_str().len() <= MAX_COMMON_NAME) {
            params.distinguished_name.push(DnType::CommonName, host.as_str());
        }
        let from = (now - EARLIER).max(self.not_before);
        validity(&mut params, from, (from + TimeDelta::days(LEAF_DAYS)).min(self.not_after));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(fail)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(fail)?;
        Ok(Issued { chain: leaf.pem() + &self.pem, key: key.serialize_pem() })
    }

    fn parse(stored: &[u8]) -> Option<Self> {
        let der = read::block(stored, "CERTIFICATE")?;
        let key = KeyPair::try_from(read::block(stored, "PRIVATE KEY")?).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        if !certificate.is_ca() || certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return None;
        }
        let text = std::str::from_utf8(stored).ok()?;
        Some(Self {
            pem: text.get(text.find(BEGIN)?..)?.to_owned(),
            name: read::common_name(certificate.subject()),
            key_id: read::subject_key(&certificate)?,
            not_before: read::time(certificate.validity().not_before.timestamp())?,
            not_after: read::time(certificate.validity().not_after.timestamp())?,
            issuer: Issuer::from_ca_cert_der(&der.as_slice().into(), key).ok()?,
        })
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Key and certificate in one text, the key first.
fn make(domain: &Domain, now: DateTime<Utc>) -> std::result::Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name: String = format!("Summoner CA {domain}").chars().take(MAX_COMMON_NAME).collect();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now - EARLIER, now - EARLIER + TimeDelta::days(AUTHORITY_DAYS));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(key.serialize_pem() + &certificate.pem())
}

/// The key: not beside the certificates, since that folder is mounted into the proxy.
fn secret(layout: &Layout) -> PathBuf {
    layout.authority_key()
}

fn unusable(secret: &Path, public: &Path, why: &str) -> Error {
    Error::external(format!("cannot use the own authority {}", secret.display()))
        .cause(why)
        .next(format!("put {} back from a backup", secret.display()))
        .next(format!(
            "or begin with a new authority, which everyone must trust again: move {} and {} away, then summoner install",
            secret.display(),
            public.display()
        ))
}

/// rcgen's moments are of the time crate, which we need for nothing else: 1970 plus seconds makes one.
pub(crate) fn validity(params: &mut CertificateParams, from: DateTime<Utc>, to: DateTime<Utc>) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |at: DateTime<Utc>| Duration::from_secs(at.timestamp().max(0).unsigned_abs());
    params.not_before = epoch + since(from);
    params.not_after = epoch + since(to);
}

#[cfg(test)]
mod tests;
