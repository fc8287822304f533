//! The proxy's own settings, as values: what is the same for all of its sites. Faces and `crate::nginx` fill it in.

use std::net::IpAddr;

use ipnet::IpNet;

use super::features::Features;
use super::guard::Guard;
use super::site::UserFile;
use crate::vhost::{HostName, Hsts};

/// Two years, as Mozilla's guideline says; neither subdomains nor preload: those are the owner's to decide.
pub const HSTS: Hsts = Hsts { max_age: 63_072_000, subdomains: false, preload: false };
/// The policy where nobody says another one.
pub const DEFAULT_POLICY: &str = "Mozilla-Intermediate";

/// The proxy's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// How the files are laid out.
    pub arrangement: Arrangement,
    /// What this nginx can.
    pub features: Features,
    /// Port of the outside world for http; part of every URL when it is not 80.
    pub http_port: u16,
    /// The same for https.
    pub https_port: u16,
    /// Where nginx itself listens.
    pub listen: Listen,
    /// The network that nginx shares with what it routes to.
    pub network: String,
    /// Whose word about the client is believed.
    pub trust: Trust,
    /// The requests' log.
    pub log: AccessLog,
    /// Name servers for servers that are known by name.
    pub resolvers: Resolvers,
    /// `server_tokens`; None is nginx's own or the owner's.
    pub server_tokens: Option<bool>,
    /// One of [`super::POLICIES`].
    pub policy: &'static str,
    /// Answers names that no site has (`DEFAULT_HOST`).
    pub default_host: Option<HostName>,
    /// `certs/default.{crt,key}`: hash, when it is there. Names without a certificate meet it; without it they meet none.
    pub default_certificate: Option<String>,
    /// Port 80 answers challenges for names that no site has. On by default: after a reload nginx's old workers accept a
    /// moment longer, and the authority's question about a new host may reach one of them.
    pub acme_unknown_host: bool,
    /// `conf.d/*.conf` of the owner, for our own `nginx.conf` to include.
    pub conf: Vec<UserFile>,
    /// `network_internal.conf`: who is internal; None is the private ranges.
    pub internal: Option<UserFile>,
    /// `proxy.conf`: headers to the application in place of ours.
    pub proxy_conf: Option<UserFile>,
    /// `html/errors/50x.html` is there: the owner's own page for failures.
    pub error_page: bool,
    /// `dhparam/dhparam.pem`: for policies with classic Diffie-Hellman.
    pub dhparam: Option<UserFile>,
    /// Who fails to sign in is locked out; None knows nothing of it.
    pub guard: Option<Guard>,
    /// Where the marker listens: only on the loopback address when nginx is on the host's network or our child.
    pub marker_local: bool,
}

/// How the files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Our own `nginx.conf` in the generation's folder, a file a host.
    Own,
    /// nginx-proxy's: a stock `nginx.conf` includes `conf.d/*.conf`, and all of ours is `default.conf` there.
    Classic,
}

/// Where nginx itself listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// For http.
    pub http: u16,
    /// For https.
    pub https: u16,
    /// On IPv6 as well.
    pub ipv6: bool,
    /// Something in front speaks the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Name servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolvers {
    /// With its port when that is not 53; none writes no directive.
    pub servers: Vec<(IpAddr, Option<u16>)>,
    /// How long an answer holds, in seconds; None is as long as it says.
    pub valid_s: Option<u32>,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

impl Resolvers {
    /// The engine's own, on networks that somebody made.
    #[must_use]
    pub fn engine() -> Self {
        Self { servers: vec![(IpAddr::from([127, 0, 0, 11]), None)], valid_s: Some(2), ipv6: false }
    }
}

/// Whose `X-Forwarded-…` is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: what clients claim is replaced.
    Nobody,
    /// That of proxies in these networks; the client's address is taken from it too.
    Networks(Vec<IpNet>),
    /// Everybody's (`TRUST_DOWNSTREAM_PROXY=true`): only behind something that cleans the headers.
    Everybody,
}

/// The requests' log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Ours: no query strings, for they hold tokens.
    Plain,
    /// nginx-proxy's line.
    Vhost,
    /// An object a line (`LOG_JSON`).
    Json,
    /// The owner's own words (`LOG_FORMAT`), nginx variables among them.
    Format {
        /// Printable ASCII.
        text: String,
        /// `default`, `json` or `none` (`LOG_FORMAT_ESCAPE`).
        escape: Escape,
    },
}

/// How values are written into a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `\xXX`.
    Default,
    /// As in JSON.
    Json,
    /// As they are.
    None,
}

impl ProxySettings {
    /// Our own arrangement: the catalogue's nginx in front of our instances.
    #[must_use]
    pub fn own(http_port: u16, https_port: u16, network: &str) -> Self {
        Self {
            arrangement: Arrangement::Own,
            features: Features::catalogue(),
            http_port,
            https_port,
            listen: Listen { http: 80, https: 443, ipv6: false, proxy_protocol: false },
            network: network.to_owned(),
            trust: Trust::Nobody,
            log: AccessLog::Plain,
            // Docker's own: an application that moves is found without a reload.
            resolvers: Resolvers::engine(),
            server_tokens: Some(false),
            policy: DEFAULT_POLICY,
            default_host: None,
            default_certificate: None,
            acme_unknown_host: true,
            conf: Vec::new(),
            internal: None,
            proxy_conf: None,
            error_page: false,
            dhparam: None,
            guard: None,
            marker_local: false,
        }
    }

    /// nginx-proxy's arrangement, with its defaults but one: nobody is trusted unless somebody says whom.
    #[must_use]
    pub fn classic() -> Self {
        Self {
            arrangement: Arrangement::Classic,
            features: Features::least(),
            log: AccessLog::Vhost,
            resolvers: Resolvers::default(),
            server_tokens: None,
            ..Self::own(80, 443, "")
        }
    }
}
