//! Secrets from their files, read when they are used: nobody but their owner may read them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::dns::{Algorithm, Credential};
use crate::disk;
use crate::error::{Error, Result};

/// Far above any token or key.
const MOST_BYTES: u64 = 8 * 1024;
/// The permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// The text of a secret.
pub(super) fn read(credential: &Credential) -> Result<Zeroizing<String>> {
    let text = match credential {
        Credential::Inline(secret) => Zeroizing::new(secret.reveal().trim().to_owned()),
        Credential::File(path) => {
            check(path)?;
            let bytes = Zeroizing::new(disk::read_bounded(path, MOST_BYTES)?);
            let text = std::str::from_utf8(&bytes).map_err(|_| Error::external(format!("{} holds no text", path.display())))?;
            Zeroizing::new(text.trim().to_owned())
        }
    };
    if text.is_empty() {
        return Err(Error::external(format!("{} is empty: it should hold the secret", of(credential))));
    }
    Ok(text)
}

/// A token: one word, as it goes into a header.
pub(super) fn token(credential: &Credential) -> Result<Zeroizing<String>> {
    let text = read(credential)?;
    if text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Error::external(format!("{} holds no token: it should hold one word and nothing else", of(credential))))
    }
}

/// What a key's file says.
pub(super) struct Key {
    /// Its name, where the file says it.
    pub(super) name: Option<String>,
    /// Its algorithm, where the file says it.
    pub(super) algorithm: Option<Algorithm>,
    /// The secret itself.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// A key for signed updates: base64 alone, `[algorithm:]name:base64`, or a `key` statement of BIND.
pub(super) fn key(credential: &Credential) -> Result<Key> {
    let text = read(credential)?;
    parse_key(&text).map_err(|why| {
        Error::external(format!("{} holds no key for signed updates: {why}", of(credential)))
            .next("tsig-keygen -a hmac-sha256 NAME writes one; it also goes into the name server's configuration")
    })
}

fn parse_key(text: &str) -> Result<Key, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.starts_with("//"));
    let plain: Zeroizing<String> = Zeroizing::new(lines.collect::<Vec<_>>().join(" "));
    let words: Vec<&str> = plain.split(|c: char| c.is_whitespace() || "{};\"".contains(c)).filter(|word| !word.is_empty()).collect();
    let after = |word: &str| words.iter().position(|found| *found == word).and_then(|at| words.get(at + 1)).copied();
    let (name, algorithm, secret) = match words.as_slice() {
        ["key", ..] => (after("key"), after("algorithm"), after("secret").ok_or("it has no `secret`")?),
        [only] => match only.split(':').collect::<Vec<_>>().as_slice() {
            [secret] => (None, None, *secret),
            [name, secret] => (Some(*name), None, *secret),
            [algorithm, name, secret] => (Some(*name), Some(*algorithm), *secret),
            _ => return Err("it has too many colons".to_owned()),
        },
        _ => return Err("it is neither base64 nor a `key` statement".to_owned()),
    };
    let algorithm = match algorithm.map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("hmac-sha256") => Some(Algorithm::HmacSha256),
        Some("hmac-sha512") => Some(Algorithm::HmacSha512),
        Some(_) => return Err("its algorithm is neither hmac-sha256 nor hmac-sha512".to_owned()),
    };
    let secret = STANDARD.decode(secret).map_err(|_| "its secret is not base64".to_owned())?;
    Ok(Key { name: name.map(|name| name.trim_end_matches('.').to_owned()), algorithm, secret: Zeroizing::new(secret) })
}

/// Refuses a file that others may read.
fn check(path: &Path) -> Result<()> {
    let found = std::fs::metadata(path).map_err(|e| Error::io("read the secret in", path, &e))?;
    if !found.is_file() {
        return Err(Error::external(format!("{} is no ordinary file: it should hold a secret", path.display())));
    }
    if found.mode() & OTHERS != 0 {
        return Err(Error::external(format!("others may read the secret in {}: its mode is {:03o}", path.display(), found.mode() & 0o777))
            .next(format!("chmod 600 {}", path.display())));
    }
    Ok(())
}

fn of(credential: &Credential) -> String {
    match credential {
        Credential::File(path) => path.display().to_string(),
        Credential::Inline(_) => "the secret that the container names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::dns::Secret;

    fn said(text: &[u8], mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = token(&Credential::File(path)).unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "/x")
    }

    #[test]
    fn a_secret_that_is_none_or_not_secret_is_refused() {
        let all = [said(b"s3cret", 0o640), said(b"\n", 0o600), said(b"two words", 0o600), said(b"\xff", 0o600)];
        insta::assert_snapshot!(all.join("\n"), @r"
        error: others may read the secret in /x/key: its mode is 640
          next:  chmod 600 /x/key
        error: /x/key is empty: it should hold the secret
        error: /x/key holds no token: it should hold one word and nothing else
        error: /x/key holds no text
        ");
        assert!(read(&Credential::File("/nonexistent/key".into())).unwrap_err().to_string().contains("/nonexistent/key"));
        assert!(said(&[b'x'; 9000], 0o600).contains("longer than 8192 bytes"));
    }

    #[test]
    fn a_key_is_read_in_every_form_that_people_have() {
        let key = |text: &str| key(&Credential::Inline(Secret::new(text.to_owned())));
        let tsig = "# made by tsig-keygen\nkey \"acme.\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0\";\n};\n";
        let found = key(tsig).unwrap();
        assert_eq!(
            (found.name.as_deref(), found.algorithm, found.secret.as_slice()),
            (Some("acme"), Some(Algorithm::HmacSha512), &b"secret"[..])
        );
        let found = key("hmac-sha256:acme:c2VjcmV0").unwrap();
        assert_eq!((found.name.as_deref(), found.algorithm), (Some("acme"), Some(Algorithm::HmacSha256)));
        assert_eq!(key("acme:c2VjcmV0").unwrap().name.as_deref(), Some("acme"));
        assert_eq!(key("c2VjcmV0\n").unwrap().secret.as_slice(), b"secret");
        for text in ["key \"a\" { algorithm hmac-sha256; };", "no base64", "a:b:c:d", "hmac-md5:acme:c2VjcmV0", "c2VjcmV", ""] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
