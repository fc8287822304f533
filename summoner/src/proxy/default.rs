//! `CREATE_DEFAULT_CERTIFICATE`: a certificate of nobody for names that have none, as acme-companion makes it.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::acme;
use crate::disk;
use crate::error::{Error, Result};

const MAX_BYTES: u64 = 256 << 10;
/// As long as nobody has to think of it; nobody trusts it anyway.
const LIFE: TimeDelta = TimeDelta::days(3650);

/// Makes `default.crt` and `default.key`, when neither is there; true when it did.
///
/// # Errors
/// The disk refuses.
pub(super) fn make(folder: &Path, now: DateTime<Utc>) -> Result<bool> {
    let (crt, key) = (folder.join("default.crt"), folder.join("default.key"));
    if disk::read_if_there(&crt, MAX_BYTES)?.is_some() {
        return Ok(false);
    }
    let fail = |error: rcgen::Error| Error::internal("cannot make a default certificate").cause(error);
    let pair = KeyPair::generate().map_err(fail)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "summoner proxy default");
    acme::validity(&mut params, now - TimeDelta::days(1), now + LIFE);
    let certificate = params.self_signed(&pair).map_err(fail)?;
    disk::ensure_folder(folder, 0o700, None)?;
    // The key first: a crash in between leaves no certificate, and both are made anew.
    disk::write_atomic(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    disk::write_atomic(&crt, certificate.pem().as_bytes(), 0o644)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert!(make(folder.path(), Utc::now()).unwrap());
        let made = std::fs::read(folder.path().join("default.crt")).unwrap();
        assert!(!make(folder.path(), Utc::now()).unwrap());
        assert_eq!(std::fs::read(folder.path().join("default.crt")).unwrap(), made);
    }
}
