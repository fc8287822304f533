//! Generated secrets: one file each, 0600 in a folder that nobody else may enter; never logged, never in argv.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine as _;
use rand::RngExt;
use rand::distr::Alphanumeric;

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::minion::{SecretFormat, SecretSpec};
use crate::name::InstanceId;

/// No secret is longer.
const MAX_BYTES: u64 = 64 << 10;

/// Where a secret lies.
#[must_use]
pub fn path(layout: &Layout, id: &InstanceId, name: &str) -> PathBuf {
    layout.secrets(id).join(name)
}

/// A secret, when it exists.
///
/// # Errors
/// When it cannot be read, or is empty: an empty password would open the door.
pub fn read(layout: &Layout, id: &InstanceId, name: &str) -> Result<Option<String>> {
    let path = path(layout, id, name);
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok(None) };
    let value =
        String::from_utf8(bytes).map_err(|error| Error::external(format!("the secret {} is damaged", path.display())).cause(error))?;
    if value.trim().is_empty() {
        return Err(Error::external(format!("the secret {} is empty", path.display()))
            .next("put the old value back; if there never was one, remove the file and run summoner install"));
    }
    Ok(Some(value))
}

/// Generates a secret that does not exist; one that does is kept for ever.
///
/// # Errors
/// When it cannot be written.
pub fn generate(layout: &Layout, id: &InstanceId, spec: &SecretSpec) -> Result<()> {
    let path = path(layout, id, &spec.name);
    if read(layout, id, &spec.name)?.is_some() {
        return Ok(());
    }
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    disk::ensure_own_folder(&layout.all_secrets(), 0o700, None)?;
    disk::ensure_own_folder(&layout.secrets(id), 0o700, None)?;
    disk::write_atomic_as(&path, make(spec).as_bytes(), 0o600, spec.owner.map(|uid| (uid, uid)))
}

fn make(spec: &SecretSpec) -> String {
    let random = rand::rng();
    match spec.format {
        SecretFormat::Alphanumeric => random.sample_iter(Alphanumeric).take(spec.length).map(char::from).collect(),
        SecretFormat::Hex => hex::encode(bytes(spec.length.div_ceil(2)))[..spec.length].to_owned(),
        SecretFormat::Base64 => base64::engine::general_purpose::STANDARD.encode(bytes(spec.length)),
    }
}

fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rand::rng().fill(&mut bytes[..]);
    bytes
}

/// Closes folders that others could enter; gives those that were open.
///
/// # Errors
/// When a folder cannot be read or closed.
pub fn guard(layout: &Layout) -> Result<Vec<PathBuf>> {
    let own = layout.own();
    let mut opened = Vec::new();
    for folder in [own.clone(), layout.all_secrets()] {
        let Ok(metadata) = std::fs::metadata(&folder) else { continue };
        if metadata.permissions().mode() & 0o077 != 0 {
            disk::ensure_own_folder(&folder, 0o700, None)?;
            opened.push(folder);
        }
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(format: SecretFormat, length: usize) -> SecretSpec {
        SecretSpec { name: "db_password".into(), length, format, owner: None }
    }

    #[test]
    fn secrets_have_their_form_and_are_generated_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        assert_eq!(read(&layout, &id, "db_password").unwrap(), None);
        generate(&layout, &id, &spec(SecretFormat::Alphanumeric, 32)).unwrap();
        let first = read(&layout, &id, "db_password").unwrap().unwrap();
        assert!(first.len() == 32 && first.bytes().all(|b| b.is_ascii_alphanumeric()), "a secret of another form");
        generate(&layout, &id, &spec(SecretFormat::Alphanumeric, 32)).unwrap();
        assert_eq!(read(&layout, &id, "db_password").unwrap().unwrap(), first);
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path(&layout, &id, "db_password")), 0o600);
        assert_eq!(mode(layout.secrets(&id)), 0o700);
        assert_eq!(make(&spec(SecretFormat::Hex, 63)).len(), 63);
        assert_eq!(make(&spec(SecretFormat::Base64, 32)).len(), 44);
    }

    #[test]
    fn an_open_folder_is_closed_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        std::fs::create_dir_all(layout.own().join("secrets")).unwrap();
        std::fs::set_permissions(layout.own(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(layout.own().join("secrets"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(guard(&layout).unwrap(), [layout.own(), layout.own().join("secrets")]);
        assert_eq!(guard(&layout).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn an_empty_secret_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        std::fs::create_dir_all(layout.secrets(&id)).unwrap();
        std::fs::write(path(&layout, &id, "db_password"), "\n").unwrap();
        assert!(read(&layout, &id, "db_password").unwrap_err().message.ends_with("is empty"));
    }
}
