//! One certificate that is wanted: its names, and from whom.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::config::certificates::{Authority, Certificates, Challenge, Eab, EabKey, Issuer, Staging};
use crate::config::dns::{DnsSettings, from_acme_sh};
use crate::error::Result;
use crate::minion::catalogue::Catalogue;
use crate::name::Domain;
use crate::vhost::{CertificateWish, HttpsMethod, KeyKind};

/// Authorities look at this port of a name, whatever the proxy has (RFC 8555, 8.3).
pub const HTTP_PORT: u16 = 80;

/// One certificate that an authority on the network should sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The stem of its files: the first name, without its star.
    pub stem: String,
    /// What it is valid for, the host first; wildcards begin with `*.`.
    pub names: Vec<String>,
    /// Hosts whose own files are links to it.
    pub hosts: Vec<String>,
    /// The authorities, in order.
    pub authorities: Vec<Authority>,
    /// The contact of the account.
    pub email: Option<String>,
    /// How control of the names is proven.
    pub challenge: Challenge,
    /// How records are written.
    pub dns: Option<DnsSettings>,
    /// Why what a container says about records is not followed.
    pub dns_fault: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// The key.
    pub key: KeyKind,
    /// A new key with each renewal.
    pub new_keys: bool,
    /// The TLS feature extension (RFC 7633).
    pub must_staple: bool,
    /// Days after which it is renewed, where a person said so.
    pub renew_after_days: Option<u32>,
    /// Whether the way is proven first.
    pub staging: Staging,
    /// Whether names are looked up first.
    pub preflight: bool,
}

impl Wanted {
    /// What config.yml asks for, for these names (the host first). None when there is no name.
    #[must_use]
    pub fn of(settings: &Certificates, names: &[String]) -> Option<Self> {
        let mut sorted: Vec<String> = Vec::new();
        for name in names {
            if !sorted.contains(name) {
                sorted.push(name.clone());
            }
        }
        let first = sorted.first()?;
        // A name with a wildcard challenge needs a record: no file proves it.
        let dns = settings.challenge == Challenge::Dns || sorted.iter().any(|name| name.starts_with("*."));
        Some(Self {
            stem: first.strip_prefix("*.").unwrap_or(first).to_owned(),
            hosts: sorted.iter().filter(|name| !name.starts_with("*.")).cloned().collect(),
            names: sorted,
            authorities: settings.authorities.clone(),
            email: settings.email.clone(),
            challenge: if dns { Challenge::Dns } else { Challenge::Http },
            dns: settings.dns.clone(),
            dns_fault: None,
            profile: settings.profile.clone(),
            key: settings.key,
            new_keys: true,
            must_staple: false,
            renew_after_days: None,
            staging: settings.staging,
            preflight: settings.preflight,
        })
    }

    /// What a container asks for, over what config.yml says.
    #[must_use]
    pub fn of_container(settings: &Certificates, wish: &CertificateWish) -> Vec<Self> {
        let all = wish.certificates.iter().filter_map(|names| {
            let mut wanted = Self::of(settings, names)?;
            if let Some(dns) = wish.dns {
                wanted.challenge = if dns { Challenge::Dns } else { Challenge::Http };
            }
            if !wish.dns_api.is_empty() {
                let words = wish.dns_api.iter().map(|(key, secret)| (key.clone(), secret.0.to_string())).collect();
                match from_acme_sh(&words) {
                    Ok(dns) => wanted.dns = Some(dns),
                    Err(why) => wanted.dns_fault = Some(format!("ACMESH_DNS_API_CONFIG of its container: {why}")),
                }
            }
            if let Some(directory) = &wish.directory {
                wanted.authorities = vec![Authority::at(directory)];
            }
            if let (Some((kid, key)), Some(first)) = (&wish.eab, wanted.authorities.first_mut()) {
                first.eab = Some(Eab { kid: kid.clone(), key: EabKey::Text(key.clone()) });
            }
            if wish.staging {
                wanted.staging = Staging::Only;
            }
            wanted.email = wish.email.clone().or(wanted.email);
            wanted.profile = wish.profile.clone().or(wanted.profile);
            wanted.key = wish.key.unwrap_or(wanted.key);
            wanted.new_keys = wish.renew_keys.unwrap_or(true);
            wanted.must_staple = wish.must_staple;
            wanted.renew_after_days = wish.renew_after_days;
            Some(wanted)
        });
        all.collect()
    }

    /// One certificate for each domain in place of one for each of its hosts: `*.domain` and the domain itself.
    #[must_use]
    pub fn shared(settings: &Certificates, domain: &str, hosts: &[String]) -> Option<Self> {
        let names = [domain.to_owned(), format!("*.{domain}")];
        Some(Self { hosts: hosts.to_vec(), ..Self::of(settings, &names)? })
    }

    /// What a person should know although everything goes on.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let fault = self.dns_fault.as_ref()?;
        match (self.challenge, &self.dns) {
            (Challenge::Dns, Some(_)) => Some(format!("records are written as config.yml says, since {fault}")),
            // Without any other way it is a failure, and told as such.
            (Challenge::Dns, None) => None,
            (Challenge::Http, _) => Some(format!("proven on port 80; not followed is {fault}")),
        }
    }

    /// The directory of an authority, or of its test authority.
    #[must_use]
    pub fn directory(&self, authority: usize, staging: bool) -> Option<&str> {
        let authority = self.authorities.get(authority)?;
        let test = authority.staging.as_deref().filter(|_| staging || self.staging == Staging::Only);
        Some(test.unwrap_or(&authority.directory))
    }

    /// Tells one set of settings from another: what was refused is tried again when it changes.
    #[must_use]
    pub fn digest(&self) -> String {
        let authorities: Vec<(&str, Option<&str>)> = self
            .authorities
            .iter()
            .map(|authority| (authority.directory.as_str(), authority.eab.as_ref().map(|eab| eab.kid.as_str())))
            .collect();
        let text = format!(
            "{:?}",
            (
                (&self.names, authorities, &self.email, self.challenge, &self.profile, self.key, self.must_staple, self.staging),
                (&self.dns, &self.dns_fault),
            )
        );
        hex::encode(&Sha256::digest(text)[..8])
    }
}

/// The certificates that authorities on the network should sign for an installation: each host with its aliases, or one
/// for each domain and its hosts.
#[must_use]
pub fn of_hosts(config: &Config, hosts: &[(Domain, Vec<Domain>)]) -> Vec<Wanted> {
    let settings = &config.certificates;
    let mut all = Vec::new();
    let mut shared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (host, aliases) in hosts {
        let names = std::iter::once(host).chain(aliases).map(Domain::to_string);
        let names: Vec<String> = names.filter(|name| settings.issuer_of(name) == Issuer::Acme).collect();
        if settings.issuer_of(host.as_str()) != Issuer::Acme {
            continue;
        }
        let zone = domains(config).find(|domain| {
            let held = [domain.to_string(), format!("*.{domain}")];
            settings.wildcard && names.iter().all(|name| covers(&held, name))
        });
        match zone {
            Some(zone) => shared.entry(zone.to_string()).or_default().extend(names),
            None => all.extend(Wanted::of(settings, &names)),
        }
    }
    all.extend(shared.iter().filter_map(|(zone, hosts)| Wanted::shared(settings, zone, hosts)));
    all.sort_by(|one, other| one.stem.cmp(&other.stem));
    all.dedup_by(|one, other| one.stem == other.stem);
    all
}

/// What a person should know when the proxy does not have the port that authorities look at (RFC 8555, 8.3).
#[must_use]
pub fn other_port(config: &Config, wanted: &[Wanted]) -> Option<String> {
    let port = config.proxy.http_port;
    let asked = wanted.iter().find(|wanted| wanted.challenge == Challenge::Http)?;
    (port != HTTP_PORT).then(|| {
        format!(
            "authorities look at port {HTTP_PORT} of {}, and proxy.http_port is {port}: something must lead from the one to the other",
            asked.stem
        )
    })
}

/// The hosts of an installation, each with its aliases: an instance's own, those of its minion's further routes, and
/// `routes:` that https leads to.
///
/// # Errors
/// A minion cannot be read.
pub fn hosts(config: &Config, minions: &Catalogue) -> Result<Vec<(Domain, Vec<Domain>)>> {
    let mut all = Vec::new();
    for instance in &config.instances {
        let Some(host) = &instance.host else { continue };
        all.push((host.clone(), instance.aliases.clone()));
        let labels = minions.get(&instance.minion)?.routes.iter().filter_map(|route| route.subdomain.as_ref());
        all.extend(labels.filter_map(|label| format!("{label}-{host}").parse().ok()).map(|host| (host, Vec::new())));
    }
    all.extend(of_routes(config));
    Ok(all)
}

/// The hosts of `routes:` that want a certificate, each with its aliases.
pub fn of_routes(config: &Config) -> impl Iterator<Item = (Domain, Vec<Domain>)> {
    let routes = config.routes.iter().filter(|route| route.https != HttpsMethod::NoHttps);
    routes.map(|route| (route.host.clone(), route.aliases.clone()))
}

/// The domains of an installation.
fn domains(config: &Config) -> impl Iterator<Item = &Domain> {
    std::iter::once(&config.domain).chain(config.instances.iter().map(|instance| &instance.id.domain))
}

/// Whether names on a certificate hold a name, by itself or under a star (RFC 6125, 6.4.3: one label).
#[must_use]
pub fn covers(held: &[String], name: &str) -> bool {
    held.iter().any(|held| {
        held == name
            || held.strip_prefix("*.").is_some_and(|zone| name.split_once('.').is_some_and(|(label, rest)| rest == zone && label != "*"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vhost::Secret;

    #[test]
    fn a_wildcard_needs_a_record_and_holds_one_label() {
        let settings = Certificates::default();
        let wanted = Wanted::shared(&settings, "a.fr", &["blog.a.fr".to_owned()]).unwrap();
        assert_eq!((wanted.stem.as_str(), wanted.challenge), ("a.fr", Challenge::Dns));
        assert!(covers(&wanted.names, "blog.a.fr") && covers(&wanted.names, "a.fr") && !covers(&wanted.names, "x.blog.a.fr"));
        assert!(!covers(&["*.a.fr".to_owned()], "a.fr"));
        assert_eq!(Wanted::of(&settings, &[]), None);
    }

    #[test]
    fn a_container_has_the_last_word() {
        let wish = CertificateWish {
            certificates: vec![vec!["a.fr".to_owned(), "www.a.fr".to_owned(), "a.fr".to_owned()], vec![]],
            directory: Some("https://ca.test/dir".to_owned()),
            key: Some(KeyKind::Rsa(2048)),
            renew_keys: Some(false),
            ..CertificateWish::default()
        };
        let all = Wanted::of_container(&Certificates::default(), &wish);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].names.len(), all[0].key, all[0].new_keys), (2, KeyKind::Rsa(2048), false));
        assert_eq!((all[0].authorities[0].name.as_str(), all[0].directory(0, true)), ("ca.test", Some("https://ca.test/dir")));
        assert_ne!(all[0].digest(), Wanted { must_staple: true, ..all[0].clone() }.digest());
    }

    #[test]
    fn words_of_acme_sh_that_are_not_known_are_told() {
        let secret = |text: &str| Secret(text.to_owned().into());
        let wish = CertificateWish {
            certificates: vec![vec!["a.fr".to_owned()]],
            dns: Some(true),
            dns_api: [("DNS_API".to_owned(), secret("dns_gd")), ("GD_Key".to_owned(), secret("s3cret"))].into(),
            ..CertificateWish::default()
        };
        let of = |settings: &Certificates, wish: &CertificateWish| Wanted::of_container(settings, wish).remove(0);
        let alone = of(&Certificates::default(), &wish);
        assert!(alone.dns.is_none() && alone.note().is_none(), "it fails, with this reason");
        assert!(alone.dns_fault.as_ref().unwrap().contains("`dns_gd` is not known"));
        let settings = Certificates {
            dns: Some(
                from_acme_sh(&[("DNS_API".to_owned(), "dns_desec".to_owned()), ("DEDYN_TOKEN".to_owned(), "t".to_owned())].into()).unwrap(),
            ),
            ..Certificates::default()
        };
        let told = of(&settings, &wish).note().unwrap();
        assert!(told.starts_with("records are written as config.yml says, since ACMESH_DNS_API_CONFIG"), "{told}");
        let http = of(&settings, &CertificateWish { dns: None, ..wish.clone() });
        assert!(http.note().unwrap().starts_with("proven on port 80"));
        assert_eq!(of(&settings, &CertificateWish { dns_api: [].into(), ..wish }).note(), None);
        for wanted in [alone, http] {
            assert!(!format!("{wanted:?}{:?}", wanted.note()).contains("s3cret"));
        }
    }
}
