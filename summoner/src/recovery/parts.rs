//! What a record consists of: names in its archive, and where each is on this host.

use std::path::{Component, Path, PathBuf};

use crate::config::Config;
use crate::config::certificates::EabKey;
use crate::config::dns::{Api, Credential, Provider};
use crate::config::repositories::Place;
use crate::error::{Error, Result};
use crate::layout;
use crate::plan::recovery::Target;

/// What config.yml is called in a record.
pub(super) const CONFIG: &str = "config.yml";
/// What is remembered of the instances.
pub(super) const STATE: &str = "state.json";
/// Files anywhere on the host that config.yml names: keys, credentials.
pub(super) const OUTSIDE: &str = "outside";

/// One part: a file, or a folder with all that is in it.
pub(super) struct Part {
    /// Its name in the archive.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// All parts, in the order of the archive. What can be made again is not among them: nginx's configuration, caches, locks,
/// what jobs ran when.
pub(super) fn parts(target: &Target) -> Vec<Part> {
    let layout = &target.layout;
    let all = [
        ("secrets", layout.all_secrets()),
        ("authority.pem", layout.authority_key()),
        ("certs", layout.certs()),
        ("acme", layout.acme()),
        ("certificates.json", layout.certificates()),
        ("proxy", layout.proxy()),
        ("bans.json", layout.bans()),
        ("minions", layout::own_minions(&target.config)),
        (STATE, layout.state()),
        (CONFIG, target.config.clone()),
    ];
    all.map(|(name, path)| Part { name, path }).into()
}

/// Files that config.yml names and that nothing else brings back.
pub(super) fn outside(config: &Config) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for repository in &config.repositories {
        match &repository.place {
            Place::Folder(_) => {}
            Place::Sftp(sftp) => files.extend([&sftp.key_file, &sftp.known_hosts].into_iter().flatten().cloned()),
            Place::S3(s3) => files.extend(s3.secret_key_file.clone()),
        }
    }
    let certificates = &config.certificates;
    for authority in &certificates.authorities {
        files.extend(authority.root.clone());
        if let Some(EabKey::File(file)) = authority.eab.as_ref().map(|eab| &eab.key) {
            files.push(file.clone());
        }
    }
    let api = |api: &Api| api.token.clone();
    let credential = certificates.dns.as_ref().and_then(|dns| match &dns.provider {
        Provider::Rfc2136(server) => Some(server.key.clone()),
        Provider::Exec(_) => None,
        Provider::Cloudflare(cloudflare) => Some(api(&cloudflare.api)),
        Provider::Desec(found) | Provider::Hetzner(found) => Some(api(found)),
    });
    if let Some(Credential::File(file)) = credential {
        files.push(file);
    }
    files.retain(|file| file.is_absolute());
    files.sort();
    files.dedup();
    files
}

/// Where an entry of an archive goes: the folder that everything of its part stays in, and its path below that; empty for a
/// part that is one file.
pub(super) fn place(target: &Target, entry: &[u8]) -> Result<(PathBuf, PathBuf)> {
    let refuse = |why: &str| Error::external("the record of the installation is refused").cause(format!("{}: {why}", entry.escape_ascii()));
    let text = std::str::from_utf8(entry).map_err(|_| refuse("its name is no text"))?;
    let path = Path::new(text);
    if text.is_empty() || path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(refuse("its name leads elsewhere"));
    }
    let first = path.components().next().and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    if first == OUTSIDE {
        let rest = path.strip_prefix(OUTSIDE).unwrap_or(path);
        return Ok((PathBuf::from("/"), rest.to_owned()));
    }
    let part = parts(target).into_iter().find(|part| part.name == first).ok_or_else(|| refuse("this Summoner does not know it"))?;
    Ok((part.path, path.strip_prefix(first).map(Path::to_owned).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn an_entry_has_one_place_and_none_outside_it() {
        let layout = Layout { files: "/srv/data".into(), databases: "/srv/data/database".into() };
        let target = Target { layout, config: "/root/s/config.yml".into() };
        let at = |name: &str| place(&target, name.as_bytes()).map(|(root, rest)| root.join(rest).display().to_string());
        assert_eq!(at("secrets/ghost-a.fr/token").unwrap(), "/srv/data/summoner/secrets/ghost-a.fr/token");
        assert_eq!(at("config.yml").unwrap().trim_end_matches('/'), "/root/s/config.yml");
        assert_eq!(at("minions/own/minion.yml").unwrap(), "/root/s/minions/own/minion.yml");
        assert_eq!(at("outside/etc/summoner/s3.key").unwrap(), "/etc/summoner/s3.key");
        for wrong in ["", "/etc/passwd", "secrets/../../../etc/passwd", "shadow", "./secrets/a"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
