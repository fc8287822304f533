//! How DNS-01 answers are published (RFC 8555, section 8.4): by which provider, with which credential, how long to wait.
//!
//! Reads a node of config.yml, and the words of acme.sh that containers carry. Opens no file: a credential is a path that
//! `acme::dns` reads when it is used. Only what acme.sh brings inline is held here, and that is never shown.

mod acme_sh;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::today::checked;
use crate::fault::{Faults, did_you_mean};
use crate::yaml::{Fields, Node};

pub use acme_sh::from_acme_sh;

/// How long the name servers may take to serve a new record, unless config.yml says otherwise.
pub const PROPAGATION: Duration = Duration::from_secs(120);
/// How long a hook may run, unless config.yml says otherwise.
const HOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds that others may remember a record of ours, where the provider lets us choose.
pub const TTL: u32 = 60;
const PROVIDERS: [&str; 5] = ["cloudflare", "desec", "exec", "hetzner", "rfc2136"];

/// Everything that a DNS-01 answer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Who publishes.
    pub provider: Provider,
    /// How long to wait at most until the name servers serve the value.
    pub propagation: Duration,
    /// The servers to ask whether it is there; none: the zone's own name servers.
    pub resolvers: Vec<SocketAddr>,
}

/// Who publishes a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// A name server that takes updates (RFC 2136), signed with a shared key (RFC 8945).
    Rfc2136(Rfc2136),
    /// A program of the user's own.
    Exec(Hook),
    /// Cloudflare's API.
    Cloudflare(Cloudflare),
    /// deSEC's API.
    Desec(Api),
    /// Hetzner's API (that of its cloud; the DNS console's own is gone).
    Hetzner(Api),
}

/// A name server that takes updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfc2136 {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The zone; None: the server is asked for it.
    pub zone: Option<String>,
    /// The name of the key; None: the key's file says it.
    pub key_name: Option<String>,
    /// The key: base64 alone, or a `key` statement as `tsig-keygen` writes it.
    pub key: Credential,
    /// The key's algorithm; None: the key's file says it, else HMAC-SHA-256.
    pub algorithm: Option<Algorithm>,
    /// Seconds that others may remember the record.
    pub ttl: u32,
}

/// How an update is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`.
    HmacSha256,
    /// `hmac-sha512`.
    HmacSha512,
}

/// A program that publishes: it gets `present` or `remove`, the name and the value as its last three arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program and its first arguments; no shell reads them.
    pub command: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
}

/// Cloudflare's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    /// Where, and as whom.
    pub api: Api,
    /// The zone; None: the API is asked for it, which needs the right to read zones.
    pub zone_id: Option<String>,
}

/// Where a provider's API is, and as whom we speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// The token.
    pub token: Credential,
    /// Another address than the provider's own.
    pub url: Option<String>,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// In a file that only its owner may read.
    File(PathBuf),
    /// Given as it is, by a container's environment.
    Inline(Secret),
}

/// A secret that came as text. It cannot be printed, and its memory is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it out of sight.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself, to be sent to its provider and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl Provider {
    /// Its word in config.yml.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Rfc2136(_) => "rfc2136",
            Self::Exec(_) => "exec",
            Self::Cloudflare(_) => "cloudflare",
            Self::Desec(_) => "desec",
            Self::Hetzner(_) => "hetzner",
        }
    }
}

/// Reads the settings that stand at `what`. None after a fault.
#[must_use]
pub fn read(node: &Node, what: &str, faults: &mut Faults) -> Option<DnsSettings> {
    let mut fields = Fields::open(node, what, faults)?;
    let name = fields.name("provider");
    let found = fields.require("provider", faults);
    let word = found.and_then(|node| node.text(&name, faults));
    let provider = match word.as_deref() {
        Some("rfc2136") => rfc2136(&mut fields, faults),
        Some("exec") => exec(&mut fields, faults),
        Some("cloudflare") => cloudflare(&mut fields, faults),
        Some("desec") => api(&mut fields, faults).map(Provider::Desec),
        Some("hetzner") => api(&mut fields, faults).map(Provider::Hetzner),
        Some(other) => {
            let help = did_you_mean(other, PROVIDERS).unwrap_or_else(|| format!("allowed: {}", PROVIDERS.join(", ")));
            let message = format!("{name}: `{}` is not known", super::values::short(other));
            faults.error_with_help(&found?.span, message, help);
            // Which keys belong here is unknown too: to call them unknown would mislead.
            return None;
        }
        None => return None,
    };
    let propagation = optional(&mut fields, "propagation", values::propagation, faults);
    let resolvers = resolvers(&mut fields, faults);
    fields.finish(faults);
    Some(DnsSettings { provider: provider?, propagation: propagation?.unwrap_or(PROPAGATION), resolvers: resolvers? })
}

fn rfc2136(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Provider> {
    let server = required(fields, "server", values::server, faults);
    let zone = optional(fields, "zone", values::name, faults);
    let key_name = optional(fields, "key_name", values::name, faults);
    let key = required(fields, "key_file", values::file, faults);
    let algorithm = optional(fields, "algorithm", values::algorithm, faults);
    let ttl = optional(fields, "ttl", values::ttl, faults);
    let (host, port) = server?;
    Some(Provider::Rfc2136(Rfc2136 {
        host,
        port,
        zone: zone?,
        key_name: key_name?,
        key: Credential::File(key?),
        algorithm: algorithm?,
        ttl: ttl?.unwrap_or(TTL),
    }))
}

fn exec(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Provider> {
    let name = fields.name("command");
    let node = fields.require("command", faults);
    let command = node.and_then(|node| node.texts(&name, faults));
    let timeout = optional(fields, "timeout", values::hook_timeout, faults);
    let (node, command) = (node?, command?);
    if let Err(reason) = values::command(&command) {
        faults.error_with_help(&node.span, format!("{name}: {reason}"), "write a list: [/usr/local/bin/hook, --zone, example.org]");
        return None;
    }
    Some(Provider::Exec(Hook { command, timeout: timeout?.unwrap_or(HOOK_TIMEOUT) }))
}

fn cloudflare(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Provider> {
    let api = api(fields, faults);
    let zone_id = optional(fields, "zone_id", values::zone_id, faults);
    Some(Provider::Cloudflare(Cloudflare { api: api?, zone_id: zone_id? }))
}

fn api(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Api> {
    let token = required(fields, "token_file", values::file, faults);
    let url = optional(fields, "api", values::url, faults);
    Some(Api { token: Credential::File(token?), url: url? })
}

fn resolvers(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Vec<SocketAddr>> {
    const MOST: usize = 8;
    let name = fields.name("resolvers");
    let Some(node) = fields.take("resolvers") else { return Some(Vec::new()) };
    let texts = node.texts(&name, faults)?;
    let found: Result<Vec<SocketAddr>, String> = texts.iter().map(|text| values::resolver(text)).collect();
    match found {
        Ok(found) if found.len() <= MOST => Some(found),
        Ok(_) => {
            faults.error(&node.span, format!("{name}: at most {MOST} servers"));
            None
        }
        Err(reason) => {
            faults.error(&node.span, format!("{name}: {reason}"));
            None
        }
    }
}

fn required<T>(fields: &mut Fields<'_>, key: &'static str, check: impl Fn(&str) -> Result<T, String>, faults: &mut Faults) -> Option<T> {
    let name = fields.name(key);
    let node = fields.require(key, faults)?;
    checked(node, &name, check, faults)
}

/// Some(None) when it is absent, None when it is wrong.
fn optional<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    check: impl Fn(&str) -> Result<T, String>,
    faults: &mut Faults,
) -> Option<Option<T>> {
    let name = fields.name(key);
    match fields.take(key) {
        None => Some(None),
        Some(node) => checked(node, &name, check, faults).map(Some),
    }
}
