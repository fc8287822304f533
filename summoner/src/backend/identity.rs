//! The file of a private key, with which what is encrypted is opened again.
//!
//! Reads age's own files, those that are protected by a passphrase too: that is asked for at the terminal. No part of a
//! private key reaches a message. The backend that decrypts calls it, and nobody keeps what it gives for longer.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret, SecretString};
use age::x25519::Identity;
use chrono::{DateTime, SecondsFormat, Utc};
use zeroize::Zeroizing;

use crate::config::encryption;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::{self, Layout};

/// The longest file of private keys.
const FILE_MAX: u64 = 64 << 10;
/// Begins a file of age, as bytes and as text.
const SEALED: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];

/// The private keys of a file; at least one.
///
/// # Errors
/// The file cannot be read, holds no private key, or its passphrase is wrong or cannot be asked for.
pub fn read(path: &Path) -> Result<Vec<Identity>> {
    read_with(path, &|| ask(path))
}

/// As [`read`]; the passphrase comes from `passphrase` when there is need of one.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, passphrase: &dyn Fn() -> Result<SecretString>) -> Result<Vec<Identity>> {
    let bytes = Zeroizing::new(disk::read_bounded(path, FILE_MAX)?);
    if !SEALED.iter().any(|begin| bytes.trim_ascii_start().starts_with(begin)) {
        return keys(path, &bytes);
    }
    let wrong = |why: String| Error::new(Kind::WrongKey, format!("the passphrase does not open {}", path.display())).cause(why);
    let decryptor = age::Decryptor::new(ArmoredReader::new(bytes.trim_ascii_start())).map_err(|error| damaged(path, &error.to_string()))?;
    if !decryptor.is_scrypt() {
        return Err(damaged(path, "it is encrypted for another key, not with a passphrase"));
    }
    let scrypt = age::scrypt::Identity::new(passphrase()?);
    let plain = decryptor.decrypt(std::iter::once(&scrypt as &dyn age::Identity)).map_err(|error| wrong(error.to_string()))?;
    let mut text = Zeroizing::new(Vec::new());
    plain.take(FILE_MAX).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
    keys(path, &text)
}

/// Makes a private key in a new file that only its owner reads; gives its recipient.
///
/// # Errors
/// Something lies there already, it would lie where the backups or the data do (`roots`), or the disk refuses.
pub fn make(path: &Path, roots: &[PathBuf], now: DateTime<Utc>) -> Result<String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder = folder.canonicalize().map_err(|error| Error::io("find the folder", folder, &error))?;
    let refuse = |root: &Path| {
        Error::usage(format!("{} lies in {}, with what the key is to protect", path.display(), root.display()))
            .cause("whoever takes the data would have the key too, and when the disk is gone, so is the key")
            .next("name a file on a stick, or make the key on another machine")
    };
    if let Some(root) = roots.iter().filter_map(|root| root.canonicalize().ok()).find(|root| folder.starts_with(root)) {
        return Err(refuse(&root));
    }
    // Another installation's data, or a repository.
    let kept = |folder: &Path| {
        let layout = Layout { files: folder.to_path_buf(), databases: folder.to_path_buf() };
        layout.state().exists() || folder.join(layout::repository::ABOUT).exists()
    };
    if let Some(root) = folder.ancestors().find(|folder| kept(folder)) {
        return Err(refuse(root));
    }
    if path.symlink_metadata().is_ok() {
        return Err(Error::usage(format!("{} is there already, and a key that is lost cannot be made again", path.display()))
            .next("name a new file"));
    }
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let (at, secret) = (now.to_rfc3339_opts(SecondsFormat::Secs, true), identity.to_string());
    let text = Zeroizing::new(format!("# created: {at}\n# public key: {recipient}\n{}\n", secret.expose_secret()));
    let mut file = disk::create_new(path, 0o600)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| Error::io("write", path, &error))?;
    disk::sync_folder(&folder)?;
    Ok(recipient)
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(Kind::WrongKey, format!("{} is no file with a private key of age", path.display()))
        .cause(why)
        .next("such a file has a line that begins with AGE-SECRET-KEY-1, as summoner keys new and age-keygen write it")
}

fn keys(path: &Path, bytes: &[u8]) -> Result<Vec<Identity>> {
    let text = String::from_utf8_lossy(bytes);
    let mut all = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let key = line.parse::<Identity>();
        all.push(key.map_err(|_| damaged(path, &format!("line {} is none{}", number + 1, guess(line))))?);
    }
    if all.is_empty() {
        return Err(damaged(path, "it holds none"));
    }
    Ok(all)
}

/// What such a line looks like, without a word of it.
fn guess(line: &str) -> &'static str {
    if encryption::is_private(line) {
        ": a letter is wrong, or it is not whole"
    } else if line.starts_with("age1") {
        ": it is the public part, which encrypts and opens nothing"
    } else if line.starts_with("-----BEGIN") || line.starts_with("ssh-") {
        ": it is a key of another program"
    } else {
        ""
    }
}

fn ask(path: &Path) -> Result<SecretString> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Error::usage(format!("{} is protected by a passphrase, and nobody can type it here", path.display()))
            .next("run the command at a terminal")
            .next(format!("age -d -o KEY {}   writes it without the passphrase; remove KEY afterwards", path.display())));
    }
    let typed = dialoguer::Password::new().with_prompt(format!("Passphrase of {}", path.display())).interact();
    typed.map(SecretString::from).map_err(|error| Error::external("cannot ask on this terminal").cause(error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn sealed(plain: &[u8], passphrase: &str, armored: bool) -> Vec<u8> {
        let mut recipient = age::scrypt::Recipient::new(passphrase.to_owned().into());
        recipient.set_work_factor(2);
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
        let format = if armored { age::armor::Format::AsciiArmor } else { age::armor::Format::Binary };
        let mut out = encryptor.wrap_output(age::armor::ArmoredWriter::wrap_output(Vec::new(), format).unwrap()).unwrap();
        out.write_all(plain).unwrap();
        out.finish().unwrap().finish().unwrap()
    }

    #[test]
    fn keys_are_read_with_and_without_a_passphrase() {
        let (one, other) = (Identity::generate(), Identity::generate());
        let plain = format!("# created\n{}\n\n{}\n", one.to_string().expose_secret(), other.to_string().expose_secret());
        let never = || -> Result<SecretString> { panic!("there is no passphrase") };
        assert_eq!(read_with(file(plain.as_bytes()).path(), &never).unwrap().len(), 2);
        for armored in [false, true] {
            let file = file(&sealed(plain.as_bytes(), "correct horse", armored));
            let keys = read_with(file.path(), &|| Ok("correct horse".to_owned().into())).unwrap();
            assert_eq!(keys[1].to_public().to_string(), other.to_public().to_string());
            let error = read_with(file.path(), &|| Ok("wrong horse".to_owned().into())).err().unwrap();
            assert_eq!(error.kind, Kind::WrongKey, "{error}");
            // Tests have no terminal.
            let error = read(file.path()).err().unwrap();
            assert!(error.kind == Kind::Usage && error.message.ends_with("nobody can type it here"), "{error}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_not_beside_what_it_protects() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("backups")).unwrap();
        std::fs::create_dir_all(folder.path().join("other")).unwrap();
        std::fs::write(folder.path().join("other/repository.json"), "{}").unwrap();
        let path = folder.path().join("key");
        let make = |path: &Path| make(path, std::slice::from_ref(&data), DateTime::UNIX_EPOCH);
        let recipient = make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap()[0].to_public().to_string(), recipient);
        let before = std::fs::read(&path).unwrap();
        assert!(make(&path).unwrap_err().message.contains("is there already"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
        for place in [data.join("key"), data.join("backups/key"), folder.path().join("link/key"), folder.path().join("other/key")] {
            assert!(make(&place).unwrap_err().message.contains("to protect"), "{}", place.display());
            assert!(!place.exists());
        }
        assert!(make(&folder.path().join("none/key")).is_err());
    }

    #[test]
    fn what_is_no_private_key_is_told_apart_and_not_repeated() {
        let key = Identity::generate();
        let secret = key.to_string().expose_secret().to_owned();
        for (text, why) in [
            (String::new(), "it holds none"),
            (format!("{}\n", &secret[..secret.len() - 3]), "a letter is wrong"),
            (format!("# mine\n{}\n", key.to_public()), "line 2 is none: it is the public part"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned(), "another program"),
            ("age-encryption.org/v1\nrubbish".to_owned(), ""),
        ] {
            let error = read(file(text.as_bytes()).path()).err().unwrap();
            let text = error.to_string();
            assert!(error.kind == Kind::WrongKey && text.contains(why) && !text.contains(&secret[20..40]), "{text}");
        }
    }
}
