//! The words of acme.sh, as containers carry them in `ACMESH_DNS_API_CONFIG`. The secret comes inline, by their nature.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::values;
use super::{Api, Cloudflare, Credential, DnsSettings, PROPAGATION, Provider, Rfc2136, Secret, TTL};
use crate::config::values::short;

/// Longer is no wait for a name server.
const LONGEST_SLEEP: u64 = 3600;

/// Understands `DNS_API` (`dns_cf`, `dns_desec`, `dns_hetznercloud`, `dns_nsupdate`) with its provider's variables and `DNS_SLEEP`.
///
/// acme.sh sleeps that long and hopes; here it is how long the name servers are watched at least before giving up.
///
/// # Errors
/// The sentence that says what is missing or not known; never the secret.
pub fn from_acme_sh(words: &BTreeMap<String, String>) -> Result<DnsSettings, String> {
    let words = Words(words);
    let api = words.needed("DNS_API")?;
    let (provider, own): (Provider, &[&str]) = match api {
        "dns_cf" => (cloudflare(&words)?, &["CF_Token", "CF_Zone_ID", "CF_Account_ID"]),
        "dns_desec" => (desec(&words)?, &["DEDYN_TOKEN", "DEDYN_NAME"]),
        "dns_hetznercloud" => (Provider::Hetzner(words.api("HETZNER_TOKEN")?), &["HETZNER_TOKEN", "HETZNER_TTL"]),
        "dns_nsupdate" => (nsupdate(&words)?, &["NSUPDATE_SERVER", "NSUPDATE_SERVER_PORT", "NSUPDATE_KEY", "NSUPDATE_ZONE"]),
        other => {
            let known =
                "dns_cf, dns_desec, dns_hetznercloud and dns_nsupdate are; a hook of your own can publish through any other provider";
            return Err(format!("DNS_API `{}` is not known: {known}", short(other)));
        }
    };
    if let Some(strange) = words.0.keys().find(|key| !["DNS_API", "DNS_SLEEP"].contains(&key.as_str()) && !own.contains(&key.as_str())) {
        return Err(format!("`{}` means nothing to {api}: it takes {}", short(strange), own.join(", ")));
    }
    let slept = match words.get("DNS_SLEEP") {
        None => Duration::ZERO,
        Some(text) => {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= LONGEST_SLEEP);
            Duration::from_secs(
                seconds.ok_or_else(|| format!("DNS_SLEEP `{}` is no number of seconds up to {LONGEST_SLEEP}", short(text)))?,
            )
        }
    };
    Ok(DnsSettings { provider, propagation: slept.max(PROPAGATION), resolvers: Vec::new() })
}

fn cloudflare(words: &Words<'_>) -> Result<Provider, String> {
    if words.get("CF_Key").is_some() || words.get("CF_Email").is_some() {
        return Err("CF_Key opens the whole account: make an API token that may edit the zone's DNS, and give it as CF_Token".to_owned());
    }
    let zone_id = words.get("CF_Zone_ID").map(values::zone_id).transpose().map_err(|why| format!("CF_Zone_ID: {why}"))?;
    Ok(Provider::Cloudflare(Cloudflare { api: words.api("CF_Token")?, zone_id }))
}

fn desec(words: &Words<'_>) -> Result<Provider, String> {
    Ok(Provider::Desec(words.api("DEDYN_TOKEN")?))
}

fn nsupdate(words: &Words<'_>) -> Result<Provider, String> {
    let why = |key: &'static str| move |reason: String| format!("{key}: {reason}");
    let (host, mut port) = values::server(words.get("NSUPDATE_SERVER").unwrap_or("localhost")).map_err(why("NSUPDATE_SERVER"))?;
    if let Some(text) = words.get("NSUPDATE_SERVER_PORT") {
        port = text.parse().map_err(|_| format!("NSUPDATE_SERVER_PORT `{}` is no port", short(text)))?;
    }
    let key = words.needed("NSUPDATE_KEY")?;
    // acme.sh takes the path of a key file; a `key` statement itself is what containers without a volume carry.
    let key = if key.starts_with('/') { Credential::File(PathBuf::from(key)) } else { Credential::Inline(Secret::new(key.to_owned())) };
    let zone = words.get("NSUPDATE_ZONE").map(values::name).transpose().map_err(why("NSUPDATE_ZONE"))?;
    Ok(Provider::Rfc2136(Rfc2136 { host, port, zone, key_name: None, key, algorithm: None, ttl: TTL }))
}

struct Words<'a>(&'a BTreeMap<String, String>);

impl<'a> Words<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn needed(&self, key: &str) -> Result<&'a str, String> {
        self.get(key).ok_or_else(|| format!("`{key}` is missing"))
    }

    fn api(&self, key: &str) -> Result<Api, String> {
        Ok(Api { token: Credential::Inline(Secret::new(self.needed(key)?.to_owned())), url: None })
    }
}
