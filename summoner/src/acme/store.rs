//! Certificates in the layout that people know: `<stem>.crt`, `<stem>.key`, `<stem>.chain.pem`, and links for further hosts.
//!
//! Looks before it writes: a person's own files are never touched, and links of acme-companion's layout are written
//! through, so that whoever reads `<stem>/fullchain.pem` sees the new certificate too. Deletes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Issued, MAX_PEM_BYTES, Places, key, read};
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::cert::{Lying, Memory, OWN, Observed, Wanted};

/// acme-companion's mark of a folder that it may write (its `set_ownership_and_permissions`).
const MARK: &str = ".companion";

/// Whether the own authority signed it.
#[must_use]
pub fn is_own(observed: &Observed) -> bool {
    observed.issuer.starts_with(OWN)
}

/// Where the files of a stem are.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) chain: PathBuf,
}

impl Files {
    pub(super) fn of(places: &Places, stem: &str) -> Self {
        let file = |ending: &str| places.certs.join(format!("{stem}.{ending}"));
        Self { certificate: file("crt"), key: file("key"), chain: file("chain.pem") }
    }
}

/// What lies there for a stem.
///
/// # Errors
/// A file is there and cannot be read.
pub fn look(places: &Places, stem: &str, memory: &Memory) -> Result<Lying> {
    let files = Files::of(places, stem);
    let chain = disk::read_if_there(&files.certificate, MAX_PEM_BYTES)?;
    let key = disk::read_if_there(&files.key, MAX_PEM_BYTES)?;
    let Some(chain) = chain else { return Ok(Lying::Nothing) };
    let ours = |fingerprint: &str| memory.issued(fingerprint);
    let Some(leaf) = read::leaf(stem, &chain) else { return Ok(Lying::Broken("the .crt holds no certificate".to_owned())) };
    let own = is_own(&leaf);
    let Some(key) = key else {
        return Ok(if own || ours(&leaf.fingerprint) { Lying::Nothing } else { Lying::Broken("its .key is missing".to_owned()) });
    };
    match read::usable_named(stem, &chain, &key) {
        Ok(observed) if own => Ok(Lying::Placeholder(observed)),
        Ok(observed) if ours(&observed.fingerprint) || adopted(&files.certificate) => Ok(Lying::Ours(observed)),
        Ok(observed) => Ok(Lying::Theirs(observed)),
        // Half of a pair of ours: a crash came between its two files.
        Err(_) if own || ours(&leaf.fingerprint) || adopted(&files.certificate) => Ok(Lying::Nothing),
        Err(why) => Ok(Lying::Broken(why)),
    }
}

/// Whether a link leads into a folder of acme-companion.
fn adopted(path: &Path) -> bool {
    let target = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
    target.is_some_and(|target| {
        let marked = |folder: Option<&Path>| folder.is_some_and(|folder| folder.join(MARK).exists());
        marked(target.parent()) || marked(path.parent())
    })
}

/// Stores what an authority gave: key first, so that a crash leaves a pair that does not fit rather than one that fits
/// and is wrong; then links for the further hosts.
///
/// # Errors
/// The disk refuses, a link leads out of the folder, or what lies there afterwards cannot be served.
pub fn store(places: &Places, wanted: &Wanted, issued: &Issued, memory: &Memory) -> Result<Observed> {
    let files = Files::of(places, &wanted.stem);
    disk::ensure_folder(&places.certs, 0o700, None)?;
    let (leaf, rest) = split(&issued.chain);
    let key = through(places, &files.key)?;
    let certificate = through(places, &files.certificate)?;
    crash::point();
    disk::write_atomic_as(&key, issued.key.as_bytes(), places.key_mode, places.owner)?;
    crash::point();
    disk::write_atomic_as(&certificate, issued.chain.as_bytes(), 0o644, places.owner)?;
    disk::write_atomic_as(&through(places, &files.chain)?, rest.as_bytes(), 0o644, places.owner)?;
    // acme-companion keeps the leaf alone beside the chain.
    let alone = certificate.with_file_name("cert.pem");
    if certificate.file_name().is_some_and(|name| name == "fullchain.pem") && alone.exists() {
        disk::write_atomic_as(&alone, leaf.as_bytes(), 0o644, places.owner)?;
    }
    let observed = read::usable_named(&wanted.stem, issued.chain.as_bytes(), issued.key.as_bytes())
        .map_err(|why| Error::internal(format!("the certificate just written to {} cannot be served", certificate.display())).cause(why))?;
    link(places, wanted, memory)?;
    Ok(observed)
}

/// Gives each further host its links, where no file of a person stands.
///
/// # Errors
/// The disk refuses.
pub fn link(places: &Places, wanted: &Wanted, memory: &Memory) -> Result<()> {
    let hosts: BTreeSet<&String> = wanted.hosts.iter().filter(|host| **host != wanted.stem).collect();
    for host in hosts {
        if Files::of(places, &wanted.stem).certificate.symlink_metadata().is_err() {
            continue;
        }
        let files = Files::of(places, host);
        let ours = matches!(look(places, host, memory)?, Lying::Nothing | Lying::Placeholder(_)) || files.certificate.is_symlink();
        let target = |ending: &str| PathBuf::from(format!("./{}.{ending}", wanted.stem));
        let right = |path: &Path, ending: &str| std::fs::read_link(path).is_ok_and(|found| found == target(ending));
        if !ours || (right(&files.certificate, "crt") && right(&files.key, "key")) {
            continue;
        }
        crash::point();
        disk::link_atomic(&target("key"), &files.key)?;
        disk::link_atomic(&target("crt"), &files.certificate)?;
        disk::link_atomic(&target("chain.pem"), &files.chain)?;
    }
    Ok(())
}

/// The key that lies there.
///
/// # Errors
/// The file cannot be read.
pub(super) fn old_key(places: &Places, stem: &str) -> Result<Option<rcgen::KeyPair>> {
    Ok(disk::read_if_there(&Files::of(places, stem).key, MAX_PEM_BYTES)?.and_then(|pem| key::parse(&pem)))
}

/// The file that a path means: itself, or what its link leads to, as long as that stays in the folder. A link to
/// another host's files is not followed: this host gets files of its own.
fn through(places: &Places, path: &Path) -> Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    let Ok(target) = path.canonicalize() else { return Ok(path.to_owned()) };
    let folder = places.certs.canonicalize().map_err(|error| Error::io("look at", &places.certs, &error))?;
    if !target.starts_with(&folder) {
        return Err(Error::external(format!("{} leads out of {}", path.display(), folder.display()))
            .next(format!("put the file itself there, or make the link lead into {}", folder.display())));
    }
    Ok(if target.parent() == Some(folder.as_path()) { path.to_owned() } else { target })
}

/// The first certificate, and those that lead to its root.
fn split(chain: &str) -> (&str, &str) {
    const END: &str = "-----END CERTIFICATE-----";
    let Some(at) = chain.find(END) else { return (chain, "") };
    let (leaf, rest) = chain.split_at(at + END.len());
    (leaf, rest.trim_start())
}

#[cfg(test)]
mod tests;
