//! Private keys of certificates: made anew by kind, or read from any of the forms that other programs wrote.
//!
//! ring signs with all of them and makes the elliptic ones; RSA keys come from the rsa crate, which ring cannot make.
//! P-521 nobody here can sign with, and RSA beyond 4096 bits neither: the next smaller kind takes their place, said aloud.

use rcgen::KeyPair;
use rsa::pkcs8::EncodePrivateKey;

use super::read;
use crate::error::{Error, Result};
use crate::vhost::KeyKind;

/// ring signs with no longer RSA key.
const MOST_RSA_BITS: u16 = 4096;
/// `AlgorithmIdentifier` of RSA (RFC 8017, A.1) and of the curves (RFC 5480), in DER.
const RSA: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const P256: &[u8] =
    &[0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// The kind that is made in place of one that cannot be, and why.
#[must_use]
pub fn possible(kind: KeyKind) -> (KeyKind, Option<&'static str>) {
    match kind {
        KeyKind::P521 => (KeyKind::P384, Some("no ec-521 key can be made here: it has an ec-384 one")),
        KeyKind::Rsa(bits) if bits > MOST_RSA_BITS => {
            (KeyKind::Rsa(MOST_RSA_BITS), Some("no RSA key of more than 4096 bits can be made here: it has one of 4096"))
        }
        kind => (kind, None),
    }
}

/// Makes a key; minutes of work for a long RSA key in a debug build, so not on a thread that others need.
///
/// # Errors
/// When the machine gives no randomness.
pub fn make(kind: KeyKind) -> Result<KeyPair> {
    let failed = |error: &dyn std::fmt::Display| Error::internal("cannot make a private key").cause(error);
    match possible(kind).0 {
        KeyKind::Rsa(bits) => {
            let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, usize::from(bits)).map_err(|error| failed(&error))?;
            let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
            KeyPair::try_from(der.as_bytes()).map_err(|error| failed(&error))
        }
        KeyKind::P384 | KeyKind::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).map_err(|error| failed(&error)),
        KeyKind::P256 => KeyPair::generate().map_err(|error| failed(&error)),
    }
}

/// A key as a file holds it: PKCS#8, PKCS#1 or SEC 1. None when it is none, or of a kind that nothing here can use.
pub(super) fn parse(pem: &[u8]) -> Option<KeyPair> {
    if let Some(der) = read::block(pem, "PRIVATE KEY") {
        return KeyPair::try_from(der).ok();
    }
    if let Some(der) = read::block(pem, "RSA PRIVATE KEY") {
        return KeyPair::try_from(pkcs8(RSA, &der)).ok();
    }
    let der = read::block(pem, "EC PRIVATE KEY")?;
    [P256, P384].into_iter().find_map(|curve| KeyPair::try_from(pkcs8(curve, &der)).ok())
}

/// Whether a key is of this kind.
pub(super) fn is(key: &KeyPair, kind: KeyKind) -> bool {
    let found = key.algorithm();
    match possible(kind).0 {
        KeyKind::P256 => *found == rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::P384 | KeyKind::P521 => *found == rcgen::PKCS_ECDSA_P384_SHA384,
        // The modulus is nearly all of it; its header is 38 bytes at most.
        KeyKind::Rsa(bits) => {
            let spki = rcgen::PublicKeyData::subject_public_key_info(key).len();
            *found == rcgen::PKCS_RSA_SHA256 && (usize::from(bits / 8)..usize::from(bits / 8) + 48).contains(&spki)
        }
    }
}

/// `PrivateKeyInfo` (RFC 5208, 5) around a key of an older form.
fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let inner = [&[0x02, 0x01, 0x00], algorithm, &field(0x04, key)].concat();
    field(0x30, &inner)
}

fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut field = vec![tag];
    if content.len() > 127 {
        // At most eight bytes.
        field.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
    }
    field.extend_from_slice(length);
    field.extend_from_slice(content);
    field
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is needed for this test");
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn every_form_of_a_key_is_read() {
        for (kind, name) in [(KeyKind::P256, "ec"), (KeyKind::P384, "ec"), (KeyKind::Rsa(2048), "rsa")] {
            let key = make(kind).unwrap();
            let text = key.serialize_pem();
            assert!(is(&parse(text.as_bytes()).unwrap(), kind), "{kind:?}");
            let old = openssl(&[name, "-traditional"], text.as_bytes());
            let old = if old.is_empty() { openssl(&[name], text.as_bytes()) } else { old };
            let label = format!("-----BEGIN {} PRIVATE KEY-----", name.to_uppercase());
            assert!(String::from_utf8_lossy(&old).contains(&label), "{}", String::from_utf8_lossy(&old));
            let read = parse(&old).unwrap();
            assert_eq!(
                rcgen::PublicKeyData::subject_public_key_info(&read),
                rcgen::PublicKeyData::subject_public_key_info(&key),
                "{kind:?}"
            );
        }
        assert!(parse(b"no key").is_none());
        assert!(!is(&make(KeyKind::P256).unwrap(), KeyKind::P384));
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        assert_eq!(possible(KeyKind::Rsa(8192)).0, KeyKind::Rsa(4096));
        assert!(possible(KeyKind::P521).1.is_some_and(|why| why.contains("ec-384")));
        assert_eq!(possible(KeyKind::P256), (KeyKind::P256, None));
    }
}
