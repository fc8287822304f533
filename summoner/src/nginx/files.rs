//! What lies in the folders of the proxy's owner: names and hashes, looked at again only when a time stamp changed.
//!
//! Reads and judges nothing but certificates; called by `crate::observe` for the managed proxy and by `crate::proxy`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::classic;
use crate::disk;
use crate::error::Result;
use crate::layout::{Layout, ProxyFolder};
use crate::plan::cert::OWN;
use crate::plan::route::files::{CertificateFiles, Files, UserFiles};

/// Far above any file of a person.
const MAX_BYTES: u64 = 4 << 20;
/// More files than this in a folder are not looked at: it is no folder of a proxy.
const MAX_FILES: usize = 10_000;

/// The owner's own page for failures, below `html`.
pub const ERROR_PAGE: &str = "errors/50x.html";

/// The group for the oldest policy, below nginx's own folder.
const DHPARAM: &str = "dhparam/dhparam.pem";

/// Where the owner's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// `vhost.d`.
    pub vhosts: PathBuf,
    /// `htpasswd`.
    pub passwords: PathBuf,
    /// `conf.d`.
    pub conf: PathBuf,
    /// `certs`.
    pub certs: PathBuf,
    /// `html`.
    pub html: PathBuf,
    /// nginx's own folder, for `proxy.conf` and `network_internal.conf`; None looks for neither.
    pub nginx: Option<PathBuf>,
}

/// Inodes, sizes and times of everything that is looked at.
pub type Stamp = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

impl Folders {
    /// Below Summoner's own storage.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        let folder = |folder| layout.proxy_folder(folder);
        Self {
            vhosts: folder(ProxyFolder::Vhosts),
            passwords: folder(ProxyFolder::Passwords),
            conf: folder(ProxyFolder::Conf),
            certs: layout.certs(),
            html: folder(ProxyFolder::Html),
            nginx: None,
        }
    }

    /// Where nginx-proxy has them, below nginx's own folder.
    #[must_use]
    pub fn classic(nginx: &Path, html: &Path) -> Self {
        Self {
            vhosts: nginx.join(ProxyFolder::Vhosts.name()),
            passwords: nginx.join(ProxyFolder::Passwords.name()),
            conf: nginx.join(ProxyFolder::Conf.name()),
            certs: nginx.join("certs"),
            html: html.to_owned(),
            nginx: Some(nginx.to_owned()),
        }
    }

    fn singles(&self) -> Vec<PathBuf> {
        let own = self.nginx.iter().flat_map(|nginx| ["proxy.conf", "network_internal.conf", DHPARAM].map(|name| nginx.join(name)));
        own.chain([self.html.join(ERROR_PAGE)]).collect()
    }

    /// What tells one state of all of them from the next.
    ///
    /// # Errors
    /// A folder is there and cannot be read.
    pub fn stamp(&self) -> Result<Stamp> {
        let mut all = self.singles();
        for folder in [&self.vhosts, &self.passwords, &self.conf, &self.certs] {
            all.extend(disk::files_in(folder)?.into_iter().take(MAX_FILES));
        }
        // Followed: certificates are links to a folder that is replaced.
        let seen = all.into_iter().filter_map(|path| {
            let found = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
            // Our own file changes with every generation.
            (path.file_name() != Some(classic::FILE.as_ref()) || path.parent() != Some(&self.conf))
                .then_some((path, (found.ino(), found.size(), found.mtime(), found.mtime_nsec())))
        });
        Ok(seen.collect())
    }
}

/// Looks at everything.
///
/// # Errors
/// A folder or file is there and cannot be read.
pub fn read(folders: &Folders) -> Result<UserFiles> {
    let mut conf = hashes(&folders.conf)?;
    conf.retain(|name, _| name.ends_with(".conf") && name != classic::FILE);
    let single = |name: &str| -> Result<Option<String>> {
        let Some(nginx) = &folders.nginx else { return Ok(None) };
        Ok(disk::read_if_there(&nginx.join(name), MAX_BYTES)?.map(|bytes| hash(&bytes)))
    };
    let certs = |name: &str| disk::read_if_there(&folders.certs.join(name), MAX_BYTES);
    let client_ca = certs("ca.crt")?.filter(|pem| !is_own(pem));
    let client_crl = certs("ca.crl.pem")?;
    // Both are read for every host that has none of its own.
    let shared: Vec<&[u8]> = [&client_ca, &client_crl].into_iter().flatten().map(Vec::as_slice).collect();
    Ok(UserFiles {
        vhosts: hashes(&folders.vhosts)?,
        passwords: hashes(&folders.passwords)?,
        conf,
        certificates: certificates(&folders.certs, &shared)?,
        client_ca: client_ca.as_deref().map(hash),
        client_crl: client_crl.as_deref().map(hash),
        dhparam: single(DHPARAM)?,
        internal: single("network_internal.conf")?,
        proxy: single("proxy.conf")?,
    })
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether it is the authority that Summoner itself keeps there for people to trust: nobody's clients have certificates of it.
fn is_own(pem: &[u8]) -> bool {
    let Some(Ok(block)) = Pem::iter_from_buffer(pem).next() else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&block.contents) else { return false };
    certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).any(|name| name.starts_with(OWN))
}

fn hashes(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    for path in disk::files_in(folder)?.into_iter().take(MAX_FILES) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || !path.is_file() {
            continue;
        }
        if let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? {
            files.insert(name.to_owned(), hash(&bytes));
        }
    }
    Ok(files)
}

/// Pairs by their stem; `shared` is read for each of them too.
fn certificates(folder: &Path, shared: &[&[u8]]) -> Result<BTreeMap<String, CertificateFiles>> {
    let mut pairs = BTreeMap::new();
    for path in disk::files_in(folder)?.into_iter().take(MAX_FILES) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(".crt").filter(|stem| !stem.is_empty() && *stem != "ca" && !stem.ends_with(".ca")) else {
            continue;
        };
        let beside = |ending: &str| folder.join(format!("{stem}.{ending}"));
        let Some(chain) = disk::read_if_there(&path, MAX_BYTES)? else { continue };
        let key = disk::read_if_there(&beside("key"), MAX_BYTES)?;
        let mut all = Sha256::new();
        let mut parts = vec![chain.clone(), key.clone().unwrap_or_default()];
        for ending in ["dhparam.pem", "ca.crt", "crl.pem"] {
            parts.extend(disk::read_if_there(&beside(ending), MAX_BYTES)?);
        }
        for part in parts.iter().map(Vec::as_slice).chain(shared.iter().copied()) {
            all.update(Sha256::digest(part));
        }
        pairs.insert(
            stem.to_owned(),
            CertificateFiles {
                fingerprint: hex::encode(all.finalize()),
                dhparam: beside("dhparam.pem").is_file(),
                chain: beside("chain.pem").is_file(),
                client_ca: beside("ca.crt").is_file(),
                client_crl: beside("crl.pem").is_file(),
                fault: fault(&chain, key.as_deref()),
            },
        );
    }
    Ok(pairs)
}

/// Why nginx could not use a pair; what we cannot judge is left to `nginx -t`.
fn fault(chain: &[u8], key: Option<&[u8]>) -> Option<String> {
    let block =
        |pem: &[u8], ends: &str| Pem::iter_from_buffer(pem).map_while(std::result::Result::ok).find(|block| block.label.ends_with(ends));
    let Some(key) = key else { return Some("it has no key beside it".into()) };
    let Some(leaf) = block(chain, "CERTIFICATE") else { return Some("it is damaged: it holds no certificate".into()) };
    let Ok((_, certificate)) = X509Certificate::from_der(&leaf.contents) else { return Some("it is damaged".into()) };
    let Some(key) = block(key, "PRIVATE KEY") else { return Some("its key is damaged: it holds none".into()) };
    let pair = KeyPair::try_from(key.contents).ok()?;
    let same = certificate.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&pair);
    (!same).then(|| "its key belongs to another certificate".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_owner_put_there_is_seen_and_an_edit_too() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::classic(folder.path(), &folder.path().join("html"));
        assert_eq!(read(&folders).unwrap(), UserFiles::default(), "nothing there is fine");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let pair = rcgen::generate_simple_self_signed(vec!["a.org".to_owned()]).unwrap();
        let other = KeyPair::generate().unwrap();
        write("vhost.d/a.org", "one");
        write("conf.d/own.conf", "x");
        write("conf.d/default.conf", "ours");
        write("conf.d/own.conf.off", "x");
        write("certs/a.org.crt", &pair.cert.pem());
        write("certs/a.org.key", &pair.signing_key.serialize_pem());
        write("certs/b.org.crt", &pair.cert.pem());
        write("certs/b.org.key", &other.serialize_pem());
        write("certs/c.org.crt", "nonsense");
        write("certs/ca.crt", "authority");
        let found = read(&folders).unwrap();
        assert_eq!(found.vhosts.keys().collect::<Vec<_>>(), ["a.org"]);
        assert_eq!(found.conf.keys().collect::<Vec<_>>(), ["own.conf"]);
        assert_eq!(found.certificates["a.org"].fault, None);
        assert_eq!(found.certificates["b.org"].fault.as_deref(), Some("its key belongs to another certificate"));
        assert_eq!(found.certificates["c.org"].fault.as_deref(), Some("it has no key beside it"));
        assert!(found.client_ca.is_some() && !found.certificates.contains_key("ca"));
        write("certs/a.org.ca.crt", "another authority");
        assert_ne!(read(&folders).unwrap().certificates["a.org"].fingerprint, found.certificates["a.org"].fingerprint);
        let layout = Layout { files: folder.path().join("data"), databases: folder.path().join("database") };
        crate::acme::Authority::open(&layout, &"a.fr".parse().unwrap(), chrono::Utc::now()).unwrap();
        write("certs/ca.crt", &std::fs::read_to_string(layout.certs().join("ca.crt")).unwrap());
        assert_eq!(read(&folders).unwrap().client_ca, None, "our own authority knows no clients");
        let before = folders.stamp().unwrap();
        write("conf.d/default.conf", "ours, written anew");
        assert_eq!(folders.stamp().unwrap(), before, "our own file is no news");
        write("vhost.d/a.org", "other");
        assert_ne!(folders.stamp().unwrap(), before);
    }
}
