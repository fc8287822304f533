//! What the proxy's own container says for all: nginx-proxy's global variables and acme-companion's.
//!
//! Nothing here stops the proxy: a variable that does not parse is refused, told, and its default holds.

use std::collections::BTreeMap;

use super::network::{self, DefaultRoot, LogFormat, Resolvers, Trust};
use super::words::{Read, Words, number, port, shown, token};
use super::{CertificateWish, HostName, Refusal, SiteSettings, certificate, host, path, settings};

/// Settings of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    /// `DEFAULT_HOST`: who answers for names that nobody serves.
    pub default_host: Option<HostName>,
    /// `DEFAULT_ROOT`.
    pub default_root: DefaultRoot,
    /// False by `DISABLE_ACCESS_LOGS` (any value, as nginx-proxy).
    pub access_log: bool,
    /// `LOG_JSON`.
    pub log_json: bool,
    /// `LOG_FORMAT`, `LOG_FORMAT_ESCAPE`.
    pub log_format: Option<LogFormat>,
    /// `ENABLE_IPV6`.
    pub ipv6: bool,
    /// `ENABLE_PROXY_PROTOCOL`.
    pub proxy_protocol: bool,
    /// `HTTP_PORT`: where nginx listens, and what redirects say.
    pub http_port: u16,
    /// `HTTPS_PORT`.
    pub https_port: u16,
    /// `PREFER_IPV6_NETWORK`.
    pub prefer_ipv6: bool,
    /// `RESOLVERS`; None takes those of nginx's container.
    pub resolvers: Option<Resolvers>,
    /// `SHA1_UPSTREAM_NAME`.
    pub sha1_upstream: bool,
    /// `TRUST_DOWNSTREAM_PROXY`.
    pub trust: Trust,
    /// `DHPARAM_SKIP`: `dhparam/dhparam.pem` is not used though it is there.
    pub dhparam_skip: bool,
    /// `DOCKER_CONTAINER_FILTERS`: the engine's filters, all of them have to hold.
    pub filters: Vec<(String, String)>,
    /// `NGINX_CONTAINER_LABEL`: the label of a separate nginx.
    pub nginx_label: Option<String>,
    /// `ACME_HTTP_CHALLENGE_ACCEPT_UNKNOWN_HOST`.
    pub acme_unknown_host: bool,
    /// Defaults of every site.
    pub settings: SiteSettings,
    /// Defaults of every certificate; names none.
    pub certificate: CertificateWish,
    /// `CREATE_DEFAULT_CERTIFICATE`.
    pub create_default_certificate: bool,
    /// `CA_BUNDLE`: authorities that sign the certificate of the ACME server.
    pub ca_bundle: Option<String>,
    /// Owners and modes of the files of certificates.
    pub files: Files,
    /// Variables that are understood and have no effect here, and why.
    pub unused: Vec<(&'static str, &'static str)>,
}

/// `FILES_UID`, `FILES_GID`, `FILES_PERMS`, `FOLDERS_PERMS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// None leaves it.
    pub uid: Option<u32>,
    /// None is the owner's.
    pub gid: Option<u32>,
    /// Of keys.
    pub mode: Option<u32>,
    /// Of folders.
    pub folder_mode: Option<u32>,
}

impl Default for Globals {
    fn default() -> Self {
        globals(&BTreeMap::new()).0
    }
}

/// Variables with nothing to do here.
const UNUSED: [(&str, &str); 5] = [
    ("DHPARAM_BITS", "no policy but the oldest uses Diffie-Hellman groups; dhparam/dhparam.pem is used when it is there"),
    ("CERTS_UPDATE_INTERVAL", "every certificate is looked at when it is due"),
    ("RELOAD_NGINX_ONLY_ONCE", "certificates that arrive together make one reload"),
    ("DOCKER_GEN_WAIT", "changes are applied after 50 ms of quiet, 250 ms at most"),
    ("NGINX_DOCKER_GEN_CONTAINER", "there is no second container that renders"),
];

/// Reads them; what is refused has its default.
#[must_use]
pub fn globals(environment: &BTreeMap<String, String>) -> (Globals, Vec<Refusal>) {
    let mut words = Words::new(environment, "");
    let words = &mut words;
    let line = words.take("LOG_FORMAT", network::log_line);
    let escape = words.take("LOG_FORMAT_ESCAPE", network::escape).unwrap_or("default");
    let globals = Globals {
        default_host: words.take("DEFAULT_HOST", one_host),
        default_root: words.take("DEFAULT_ROOT", network::default_root).unwrap_or(DefaultRoot::Status(404)),
        access_log: words.get("DISABLE_ACCESS_LOGS").is_none(),
        log_json: words.switch("LOG_JSON").unwrap_or(false),
        log_format: line.map(|line| LogFormat { line, escape }),
        ipv6: words.switch("ENABLE_IPV6").unwrap_or(false),
        proxy_protocol: words.switch("ENABLE_PROXY_PROTOCOL").unwrap_or(false),
        http_port: words.take("HTTP_PORT", port).unwrap_or(80),
        https_port: words.take("HTTPS_PORT", port).unwrap_or(443),
        prefer_ipv6: words.switch("PREFER_IPV6_NETWORK").unwrap_or(false),
        resolvers: words.take("RESOLVERS", network::resolvers),
        sha1_upstream: words.switch("SHA1_UPSTREAM_NAME").unwrap_or(false),
        trust: words.take("TRUST_DOWNSTREAM_PROXY", network::trust).unwrap_or_default(),
        dhparam_skip: words.switch("DHPARAM_SKIP").unwrap_or(false),
        filters: words.take("DOCKER_CONTAINER_FILTERS", filters).unwrap_or_default(),
        nginx_label: words.take("NGINX_CONTAINER_LABEL", |text| token(text, 128)),
        acme_unknown_host: words.switch("ACME_HTTP_CHALLENGE_ACCEPT_UNKNOWN_HOST").unwrap_or(true),
        settings: settings::of_proxy(words),
        certificate: certificate::of_proxy(words),
        create_default_certificate: words.switch("CREATE_DEFAULT_CERTIFICATE").unwrap_or(false),
        ca_bundle: words.take("CA_BUNDLE", path::root),
        files: Files {
            uid: words.take("FILES_UID", owner),
            gid: words.take("FILES_GID", owner),
            mode: words.take("FILES_PERMS", mode),
            folder_mode: words.take("FOLDERS_PERMS", mode),
        },
        unused: UNUSED.into_iter().filter(|(key, _)| words.get(key).is_some()).collect(),
    };
    (globals, std::mem::take(&mut words.refusals))
}

fn one_host(text: &str) -> Read<HostName> {
    host::parse(text)?.into_iter().next().ok_or_else(|| "it names no host".to_owned())
}

fn owner(text: &str) -> Read<u32> {
    if text == "root" { Ok(0) } else { number(text, 0, 1 << 30).map_err(|_| format!("{} is neither root nor a number", shown(text))) }
}

fn mode(text: &str) -> Read<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| text.len() <= 4 && *mode <= 0o777);
    mode.ok_or_else(|| format!("{} is not a mode such as 600", shown(text)))
}

/// `label=a=b,network=web`, as the engine's list of containers is filtered.
fn filters(text: &str) -> Read<Vec<(String, String)>> {
    const NAMES: [&str; 10] = ["ancestor", "before", "expose", "health", "id", "label", "name", "network", "since", "volume"];
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((name, value)) if NAMES.contains(&name) => Ok((name.to_owned(), token(value, 256)?)),
            _ => Err(format!("{} is not one of the engine's filters for containers ({})", shown(entry), NAMES.join(", "))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_the_documented_default() {
        let (globals, refusals) = globals(&BTreeMap::new());
        assert!(refusals.is_empty());
        assert_eq!((globals.http_port, globals.https_port, globals.access_log, globals.ipv6), (80, 443, true, false));
        assert_eq!((globals.default_root, globals.trust), (DefaultRoot::Status(404), Trust::Nobody));
    }
}
