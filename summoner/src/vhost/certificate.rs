//! What acme-companion is asked for: `ACME_*`, and `LETSENCRYPT_*` where that is not said.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::words::{MAX_LIST, Read, Words, number, shown, token, word};
use super::{CertificateWish, KeyKind, Secret, host, multiports};

/// Most names of one certificate; that of Let's Encrypt's classic profile.
const MAX_NAMES: usize = 100;
/// Most certificates of one container.
const MAX_CERTIFICATES: usize = 300;
/// Longest secret.
const MAX_SECRET: usize = 4096;

/// The wish of one container; None asks for no certificate.
pub(super) fn of_container(words: &mut Words<'_>) -> Option<CertificateWish> {
    let key = if words.get("ACME_HOST").is_some() { "ACME_HOST" } else { "LETSENCRYPT_HOST" };
    let names = names(words, key);
    if names.is_empty() {
        return None;
    }
    let single = words.either("ACME_SINGLE_DOMAIN_CERTS", "LETSENCRYPT_SINGLE_DOMAIN_CERTS", super::words::switch);
    let certificates = match single {
        Some(true) => names.into_iter().map(|name| vec![name]).collect(),
        _ if names.len() > MAX_NAMES => {
            words.refuse(key, format!("it names {} hosts; one certificate has at most {MAX_NAMES}", names.len()));
            return None;
        }
        _ => vec![names],
    };
    Some(CertificateWish {
        certificates,
        email: words.either("ACME_EMAIL", "LETSENCRYPT_EMAIL", email),
        key: words.either("ACME_KEYSIZE", "LETSENCRYPT_KEYSIZE", key_kind),
        staging: words.switch("LETSENCRYPT_TEST").unwrap_or(false),
        must_staple: words.switch("ACME_OCSP").unwrap_or(false),
        renew_keys: words.either("ACME_RENEW_PRIVATE_KEYS", "RENEW_PRIVATE_KEYS", super::words::switch),
        restart_container: words.either("ACME_RESTART_CONTAINER", "LETSENCRYPT_RESTART_CONTAINER", super::words::switch).unwrap_or(false),
        preferred_chain: words.take("ACME_PREFERRED_CHAIN", chain),
        ..common(words)
    })
}

/// What the proxy says for containers that do not say it.
pub(super) fn of_proxy(words: &mut Words<'_>) -> CertificateWish {
    let renew_after_days = words.take("DEFAULT_RENEW", days);
    let common = common(words);
    CertificateWish {
        email: words.either("DEFAULT_EMAIL", "ACME_EMAIL", email),
        key: words.either("DEFAULT_KEY_SIZE", "ACME_KEYSIZE", key_kind),
        renew_keys: words.switch("RENEW_PRIVATE_KEYS"),
        preferred_chain: words.take("ACME_PREFERRED_CHAIN", chain),
        renew_after_days: common.renew_after_days.or(renew_after_days),
        ..common
    }
}

fn common(words: &mut Words<'_>) -> CertificateWish {
    for hook in ["ACME_PRE_HOOK", "ACME_POST_HOOK"] {
        if words.get(hook).is_some() {
            words.refuse(hook, "commands in variables are not run; the certificate is asked for all the same");
        }
    }
    if words.get("ZEROSSL_API_KEY").is_some() && words.get("ACME_EAB_KID").is_none() {
        words.refuse("ZEROSSL_API_KEY", "it is not used: ZeroSSL shows ACME_EAB_KID and ACME_EAB_HMAC_KEY among its developer settings");
    }
    CertificateWish {
        directory: words.take("ACME_CA_URI", directory),
        dns: words.take("ACME_CHALLENGE", |text| word(text, &[("HTTP-01", false), ("DNS-01", true)])),
        dns_api: dns_api(words),
        profile: words.take("ACME_CERT_PROFILE", |text| token(text, 64)),
        eab: eab(words),
        renew_after_days: words.take("ACME_RENEW_AFTER", days),
        ..CertificateWish::default()
    }
}

impl CertificateWish {
    /// With the defaults where nothing is said.
    #[must_use]
    pub fn or(mut self, defaults: &Self) -> Self {
        self.email = self.email.or_else(|| defaults.email.clone());
        self.directory = self.directory.or_else(|| defaults.directory.clone());
        self.dns = self.dns.or(defaults.dns);
        if self.dns_api.is_empty() {
            self.dns_api.clone_from(&defaults.dns_api);
        }
        self.profile = self.profile.or_else(|| defaults.profile.clone());
        self.eab = self.eab.or_else(|| defaults.eab.clone());
        self.key = self.key.or(defaults.key);
        self.preferred_chain = self.preferred_chain.or_else(|| defaults.preferred_chain.clone());
        self.renew_after_days = self.renew_after_days.or(defaults.renew_after_days);
        self.renew_keys = self.renew_keys.or(defaults.renew_keys);
        self
    }
}

/// The names in their order, each once; a comma or a dot at the end is forgiven, as the companion does.
fn names(words: &mut Words<'_>, key: &str) -> Vec<String> {
    let text = words.get(key).unwrap_or_default();
    if text.len() > MAX_LIST {
        words.refuse(key, format!("it has {} bytes; at most {MAX_LIST} are read", text.len()));
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match host::for_certificate(entry) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) if names.len() < MAX_CERTIFICATES => names.push(name),
            Ok(_) => {
                words.refuse(key, format!("it names more than {MAX_CERTIFICATES} hosts; the others get no certificate"));
                break;
            }
            Err(reason) => words.refuse(key, reason),
        }
    }
    names
}

fn email(text: &str) -> Read<String> {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+%&'/=~".contains(&b));
    match text.rsplit_once('@') {
        Some((name, domain)) if text.len() <= 254 && plain(name) && plain(domain) => Ok(text.to_owned()),
        _ => Err(format!("{} is not an e-mail address", shown(text))),
    }
}

fn directory(text: &str) -> Read<String> {
    let text = token(text, 512)?;
    match text.strip_prefix("https://") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') => Ok(text),
        _ => Err(format!("{} is not an https URL", shown(&text))),
    }
}

fn key_kind(text: &str) -> Read<KeyKind> {
    let kinds = [
        ("2048", KeyKind::Rsa(2048)),
        ("3072", KeyKind::Rsa(3072)),
        ("4096", KeyKind::Rsa(4096)),
        ("8192", KeyKind::Rsa(8192)),
        ("ec-256", KeyKind::P256),
        ("ec-384", KeyKind::P384),
        ("ec-521", KeyKind::P521),
    ];
    word(text, &kinds)
}

fn chain(text: &str) -> Read<String> {
    match text.len() <= 128 && text.chars().all(|c| (' '..='~').contains(&c)) {
        true => Ok(text.to_owned()),
        false => Err("it is not the name of an issuer".into()),
    }
}

fn days(text: &str) -> Read<u32> {
    number(text, 1, 3650)
}

fn eab(words: &mut Words<'_>) -> Option<(String, Secret)> {
    let both = (words.get("ACME_EAB_KID").is_some(), words.get("ACME_EAB_HMAC_KEY").is_some());
    match both {
        (true, true) => {
            let kid = words.take("ACME_EAB_KID", |text| token(text, 256));
            let key = words.take("ACME_EAB_HMAC_KEY", |text| token(text, 512));
            kid.zip(key.map(|key| Secret(Zeroizing::new(key))))
        }
        (true, false) | (false, true) => {
            words.refuse("ACME_EAB_KID", "ACME_EAB_KID and ACME_EAB_HMAC_KEY are needed both or none");
            None
        }
        (false, false) => None,
    }
}

/// acme.sh's own words; their values are secrets and never part of a reason.
fn dns_api(words: &mut Words<'_>) -> BTreeMap<String, Secret> {
    const KEY: &str = "ACMESH_DNS_API_CONFIG";
    let Some(text) = words.get(KEY) else { return BTreeMap::new() };
    let document = multiports::document(text).ok();
    let entries = document.as_ref().and_then(|node| node.as_map()).unwrap_or_default();
    let mut api = BTreeMap::new();
    for (key, value) in entries {
        let plain = !key.text.is_empty() && key.text.len() <= 64 && key.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let value = value.as_str().filter(|value| value.len() <= MAX_SECRET && !value.chars().any(char::is_control));
        if let (true, Some(value)) = (plain, value) {
            api.insert(key.text.clone(), Secret(Zeroizing::new(value.to_owned())));
        }
    }
    if api.is_empty() || api.len() != entries.len() {
        words.refuse(KEY, "it is not a mapping of acme.sh's names to values in YAML or JSON");
        return BTreeMap::new();
    }
    api
}
