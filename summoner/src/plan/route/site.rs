//! What the proxy serves, decided to the last detail: one [`Site`] a host name. `super::render` turns sites into text.
//!
//! Everything here is a value; where it came from (an instance, containers that ask, config.yml) is told by [`Source`] only
//! to people. No field holds nginx's own words.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::minion::SignIn;
use crate::name::{Domain, InstanceId};
use crate::vhost::{Balance, HostName, Hsts, HttpsMethod, KeepAlive, PathMatch, Protocol, VerifyClient};

/// One host name, or family of names, that the proxy serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where people go.
    pub name: HostName,
    /// Names that redirect to it; an exact name has some at most.
    pub aliases: Vec<Domain>,
    /// Whose it is.
    pub source: Source,
    /// The certificate; None serves as `https` says without one.
    pub certificate: Option<Certificate>,
    /// What http and https do; settled already for a site without a certificate.
    pub https: HttpsMethod,
    /// None sends no header.
    pub hsts: Option<Hsts>,
    /// One of [`super::POLICIES`]; None is the proxy's own default.
    pub policy: Option<&'static str>,
    /// HTTP/2 in TLS.
    pub http2: bool,
    /// HTTP/3 in QUIC; only where this nginx can.
    pub http3: bool,
    /// The ports of the outside world for http and https: part of redirects and of `X-Forwarded-Port`.
    pub external_ports: (u16, u16),
    /// Only clients of the internal networks.
    pub internal_only: bool,
    /// Only these; empty lets everyone in.
    pub allow: Vec<IpNet>,
    /// Where people sign in, for the guard to watch; only an instance has any.
    pub sign_ins: Vec<SignIn>,
    /// None is the proxy's default.
    pub server_tokens: Option<bool>,
    /// Status of the redirect for what is neither GET nor HEAD: 301, 307, 308.
    pub non_get_redirect: u16,
    /// Whether port 80 answers ACME's challenge.
    pub acme_location: bool,
    /// Client certificates; needs `certs/<stem>.ca.crt` or `certs/ca.crt`.
    pub verify_client: Option<VerifyClient>,
    /// By path; two never have the same one.
    pub locations: Vec<Location>,
    /// Text of the debug endpoint, JSON; None has none.
    pub debug: Option<String>,
    /// `vhost.d/<name>` or `vhost.d/default`, when there is one.
    pub include: Option<UserFile>,
}

/// Whose a site is, in words that a person knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An instance of config.yml.
    Instance(InstanceId),
    /// Containers that ask for it, by name.
    Containers(Vec<String>),
    /// `routes:` of config.yml.
    Config,
}

/// The files of a certificate in the folder of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `<stem>.crt` and `<stem>.key`; a plain file name.
    pub stem: String,
    /// Of the certificate (hexadecimal): a new one makes a new generation, so nginx loads it.
    pub fingerprint: String,
    /// `<stem>.dhparam.pem` is there.
    pub dhparam: bool,
    /// `<stem>.ca.crt`, or else `ca.crt`, for client certificates.
    pub client_ca: Option<String>,
    /// `<stem>.crl.pem`, or else `ca.crl.pem`.
    pub client_crl: Option<String>,
}

/// A file that the owner of the proxy wrote, to be included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFile {
    /// Its path as nginx sees it; of plain characters.
    pub path: String,
    /// Hash of its content (hexadecimal): an edit makes a new generation.
    pub fingerprint: String,
}

/// The paths of a site that lead to one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Which.
    pub path: PathMatch,
    /// Where to.
    pub target: Target,
    /// How.
    pub settings: LocationSettings,
    /// The owner's own block in place of this one (`…_location_override`).
    pub replaced_by: Option<UserFile>,
    /// Lines of the owner inside the block (`…_location`).
    pub include: Option<UserFile>,
    /// `htpasswd/<name>`: names and passwords that open it.
    pub passwords: Option<UserFile>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To one or more servers.
    Upstream(Upstream),
    /// Elsewhere by a redirect; `keep_path` adds what the client asked for.
    Redirect {
        /// A whole URL, or a path.
        to: String,
        /// 301, 302, 307 or 308.
        status: u16,
        /// Adds `$request_uri`.
        keep_path: bool,
    },
    /// To files that nginx sees at this path.
    Folder(String),
    /// Not yet: the waiting page, 503 with `Retry-After`.
    Waiting {
        /// When to come back.
        retry_after: Duration,
        /// For people: "ghost is starting".
        reason: String,
    },
    /// An empty answer (`DEFAULT_ROOT=404`).
    Status(u16),
}

/// The servers behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Unique in the proxy: the host or its hash, and the path's hash.
    pub name: String,
    /// How to speak.
    pub protocol: Protocol,
    /// None reachable is a `down` server: 502, never a fault of the configuration.
    pub servers: Vec<Server>,
    /// Connections kept open.
    pub keepalive: KeepAlive,
    /// None takes turns.
    pub balance: Option<Balance>,
    /// What takes the matched path's place.
    pub dest: Option<String>,
    /// `FastCGI`'s folder of files.
    pub root: Option<String>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Where.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// Share of the requests; None is 1.
    pub weight: Option<u32>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// Known now.
    Ip(IpAddr),
    /// A name that the engine's (or the network's) name server knows; nginx asks again by itself where it can.
    Name(String),
}

/// How a location behaves, in our words (`minion.yml`, `routes:`); the defaults are those of [`LocationSettings::default`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationSettings {
    /// Largest request body in bytes; 0 is without limit; None is nginx's or the owner's own.
    pub body_bytes: Option<u64>,
    /// How long it may take until the application takes a connection.
    pub connect_timeout: Option<Duration>,
    /// How long the application may be silent.
    pub read_timeout: Option<Duration>,
    /// How long it may take nothing of a request; None is as long as it may be silent.
    pub send_timeout: Option<Duration>,
    /// Whether the proxy keeps answers before it sends them on.
    pub response_buffering: bool,
    /// Whether the proxy keeps requests before it sends them on.
    pub request_buffering: bool,
    /// Whether connections may be upgraded, and to what.
    pub upgrade: Upgrade,
    /// Headers added to every answer.
    pub headers: BTreeMap<String, String>,
    /// Adds nosniff and a referrer policy where the application is silent; containers that ask get none, as nginx-proxy does.
    pub security_headers: bool,
}

/// Which `Upgrade:` headers pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// None.
    None,
    /// WebSocket alone.
    Websocket,
    /// Whatever the client says, as nginx-proxy does.
    Any,
}

impl Default for LocationSettings {
    fn default() -> Self {
        Self {
            body_bytes: None,
            connect_timeout: None,
            read_timeout: None,
            send_timeout: None,
            response_buffering: true,
            request_buffering: true,
            upgrade: Upgrade::Any,
            headers: BTreeMap::new(),
            security_headers: false,
        }
    }
}
