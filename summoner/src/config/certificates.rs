//! `certificates:` of config.yml: who signs, how control of a name is proven, and which key a certificate has.
//!
//! Values only; authorities are asked by `crate::acme`. The loader calls it.

mod read;

use std::net::IpAddr;
use std::path::PathBuf;

use super::dns::DnsSettings;
use crate::vhost::{KeyKind, Secret};

pub(super) use read::read;

/// Names that no public authority signs: RFC 2606, 6761, 6762, 8375, 9476, and what people use at home.
const PRIVATE: [&str; 20] = [
    "localhost",
    "test",
    "local",
    "internal",
    "home.arpa",
    "invalid",
    "example",
    "onion",
    "alt",
    "lan",
    "home",
    "corp",
    "intranet",
    "private",
    "localdomain",
    "box",
    "example.org",
    "example.com",
    "example.net",
    "arpa",
];

/// Who signs, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Who signs; None decides by the name: an authority for public ones, the own one for the others.
    pub issuer: Option<Issuer>,
    /// Whom authorities write to.
    pub email: Option<String>,
    /// The authorities, in the order in which they are asked.
    pub authorities: Vec<Authority>,
    /// How control of a name is proven.
    pub challenge: Challenge,
    /// How records are written, for DNS-01.
    pub dns: Option<DnsSettings>,
    /// The profile of certificates (RFC draft-aaron-acme-profiles), where the authority has it.
    pub profile: Option<String>,
    /// The key of certificates.
    pub key: KeyKind,
    /// One certificate for a domain and all its hosts.
    pub wildcard: bool,
    /// Whether the way is proven with a test authority first.
    pub staging: Staging,
    /// Whether names are looked up before an authority is asked.
    pub preflight: bool,
}

/// Who signs certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// An own authority, for tests and local networks.
    Internal,
    /// Authorities on the network (RFC 8555).
    Acme,
}

/// How control of a name is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By a file that the proxy serves on port 80.
    Http,
    /// By a record of the name's zone.
    Dns,
}

/// Whether a test authority is asked before the real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staging {
    /// For a certificate that was never issued, and after a failure.
    First,
    /// The test authority alone; browsers trust none of its certificates.
    Only,
    /// Never.
    Never,
}

/// One authority on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// As people read it.
    pub name: String,
    /// Where it describes itself.
    pub directory: String,
    /// The same of its test authority.
    pub staging: Option<String>,
    /// A root that its own HTTPS is trusted by, in place of the host's (PEM).
    pub root: Option<PathBuf>,
    /// The account that the person has there already.
    pub eab: Option<Eab>,
}

/// External account binding (RFC 8555, 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eab {
    /// Identifier of the key.
    pub kid: String,
    /// The key itself.
    pub key: EabKey,
}

/// Where the key of an external account binding is: base64url, as authorities show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EabKey {
    /// In a file.
    File(PathBuf),
    /// In the environment of a container.
    Text(Secret),
}

impl Authority {
    /// A well-known authority by its name.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        let (directory, staging) = match name {
            "letsencrypt" => {
                ("https://acme-v02.api.letsencrypt.org/directory", Some("https://acme-staging-v02.api.letsencrypt.org/directory"))
            }
            "letsencrypt-staging" => ("https://acme-staging-v02.api.letsencrypt.org/directory", None),
            "zerossl" => ("https://acme.zerossl.com/v2/DV90", None),
            "google" => ("https://dv.acme-v02.api.pki.goog/directory", Some("https://dv.acme-v02.test-api.pki.goog/directory")),
            _ => return None,
        };
        Some(Self { name: name.to_owned(), directory: directory.to_owned(), staging: staging.map(str::to_owned), root: None, eab: None })
    }

    /// One that is known by its address alone.
    #[must_use]
    pub fn at(directory: &str) -> Self {
        let known = ["letsencrypt", "letsencrypt-staging", "zerossl", "google"].into_iter().filter_map(Self::known);
        known.into_iter().find(|known| known.directory == directory).unwrap_or_else(|| {
            let host = directory.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(directory);
            Self { name: host.to_owned(), directory: directory.to_owned(), staging: None, root: None, eab: None }
        })
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            issuer: None,
            email: None,
            authorities: Authority::known("letsencrypt").into_iter().collect(),
            challenge: Challenge::Http,
            dns: None,
            profile: None,
            key: KeyKind::P256,
            wildcard: false,
            staging: Staging::First,
            preflight: true,
        }
    }
}

impl Certificates {
    /// Who signs for a name.
    #[must_use]
    pub fn issuer_of(&self, name: &str) -> Issuer {
        self.issuer.unwrap_or(if is_public(name) { Issuer::Acme } else { Issuer::Internal })
    }
}

/// A word of config.yml.
pub(super) fn key_word(key: KeyKind) -> String {
    let known = read::KEYS.iter().find(|(_, kind)| *kind == key);
    known.map_or_else(|| format!("{key:?}").to_lowercase(), |(word, _)| (*word).to_owned())
}

/// Whether a public authority could sign for a name.
#[must_use]
pub fn is_public(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let below = |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let address =
        name.parse::<IpAddr>().is_ok() || name.rsplit('.').next().is_none_or(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.contains('.') && !address && !PRIVATE.iter().any(|zone| below(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_who_signs() {
        let public = ["virtualdonkey.fr", "a.co.uk", "*.a.fr", "localhost.fr", "testing.dev"];
        let private =
            ["localhost", "a.localhost", "a.test", "nas.local", "x.home.arpa", "10.0.0.1", "::1", "a.example.org", "intranet", "1.2"];
        assert!(public.iter().all(|name| is_public(name)));
        assert_eq!(private.iter().filter(|name| is_public(name)).collect::<Vec<_>>(), Vec::<&&str>::new());
        let settings = Certificates { issuer: Some(Issuer::Internal), ..Certificates::default() };
        assert_eq!(settings.issuer_of("virtualdonkey.fr"), Issuer::Internal);
    }
}
