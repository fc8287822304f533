//! The words of nginx-proxy and its companion: what a container asks of a reverse proxy by its variables and labels.
//!
//! Texts in, typed wishes out; whatever does not parse is a [`Refusal`] of that one route. Knows no engine and no nginx;
//! `plan::route` decides what becomes of the wishes. Contract: nginx-proxy `docs/README.md` (1.11), acme-companion
//! `docs/` (2.8), both MIT.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

mod balance;
mod certificate;
mod globals;
mod host;
mod hsts;
mod labels;
mod multiports;
mod network;
mod path;
mod read;
mod regex;
mod settings;
mod template;
mod words;

pub use balance::KEYS;
pub use globals::{Files, Globals, globals};
pub use host::parse as host_names;
pub use labels::PREFIX as LABELS;
pub use network::{DefaultRoot, LogFormat, Resolvers, Trust};
pub use read::read;
pub use regex::fits as regex_fits;
pub use template::{OF_REQUESTS, Part, Template};

/// Names of TLS policies (`SSL_POLICY`): Mozilla's, and those of AWS' load balancers.
pub const POLICIES: [&str; 22] = [
    "Mozilla-Modern",
    "Mozilla-Intermediate",
    "Mozilla-Old",
    "AWS-TLS13-1-3-2021-06",
    "AWS-TLS13-1-2-2021-06",
    "AWS-TLS13-1-2-Res-2021-06",
    "AWS-TLS13-1-2-Ext1-2021-06",
    "AWS-TLS13-1-2-Ext2-2021-06",
    "AWS-TLS13-1-1-2021-06",
    "AWS-TLS13-1-0-2021-06",
    "AWS-FS-1-2-Res-2020-10",
    "AWS-FS-1-2-Res-2019-08",
    "AWS-FS-1-2-2019-08",
    "AWS-FS-1-1-2019-08",
    "AWS-FS-2018-06",
    "AWS-TLS-1-2-Ext-2018-06",
    "AWS-TLS-1-2-2017-01",
    "AWS-TLS-1-1-2017-01",
    "AWS-2016-08",
    "AWS-2015-05",
    "AWS-2015-03",
    "AWS-2015-02",
];

/// The name, or the names, that a site answers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostName {
    /// `blog.example.org`; lower case, one label is enough (`intranet`).
    Exact(String),
    /// `*.example.org`: the part behind the star and its dot.
    Leading(String),
    /// `www.example.*`: the part before the dot and its star.
    Trailing(String),
    /// `~^.+\.example\.org$`: the expression without its `~`, one that [`regex_fits`].
    Regex(String),
}

/// The paths of a site that lead to one place; nginx's own ways to name them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathMatch {
    /// Everything below it.
    Prefix(String),
    /// `^~`: the same, and no expression is asked.
    PrefixOnly(String),
    /// `=`: this path alone.
    Exact(String),
    /// `~` or `~*`.
    Regex {
        /// Without its `~`.
        expression: String,
        /// `~*`.
        any_case: bool,
    },
}

/// How the proxy speaks to what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// The same in TLS; the certificate is not checked, as nginx-proxy does.
    Https,
    /// `uwsgi_pass`.
    Uwsgi,
    /// `fastcgi_pass`.
    Fastcgi,
    /// gRPC without TLS.
    Grpc,
    /// gRPC in TLS.
    Grpcs,
}

/// One path of one host that a container wants to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The host.
    pub host: HostName,
    /// The path.
    pub path: PathMatch,
    /// What takes the path's place on the way to the application; None passes it as it is.
    pub dest: Option<String>,
    /// The port inside; None is the only exposed one, else 80.
    pub port: Option<u16>,
    /// How to speak.
    pub protocol: Protocol,
    /// Where `FastCGI` finds the files (`VIRTUAL_ROOT`).
    pub root: Option<String>,
    /// Port of the outside world for http, in redirects and headers.
    pub external_http_port: Option<u16>,
    /// The same for https.
    pub external_https_port: Option<u16>,
}

/// What http does when there is https, and the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpsMethod {
    /// http leads to https.
    Redirect,
    /// Both serve.
    NoRedirect,
    /// https alone.
    NoHttp,
    /// http alone.
    NoHttps,
}

/// `Strict-Transport-Security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    /// Seconds.
    pub max_age: u64,
    /// `includeSubDomains`.
    pub subdomains: bool,
    /// `preload`.
    pub preload: bool,
}

/// Connections to the application that stay open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Twice the number of servers.
    Auto,
    /// This many.
    Connections(u32),
    /// None.
    Disabled,
}

/// How requests are spread over the servers of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// `least_conn`.
    LeastConnections,
    /// `ip_hash`.
    IpHash,
    /// `random`, with `two least_conn` when set.
    Random {
        /// Looks at two and takes the less busy one.
        two: bool,
    },
    /// `hash`, by variables that can do no harm (`$remote_addr`, `$request_uri`, `$cookie_…` …).
    Hash {
        /// Variables and letters, digits, `-_.:/`.
        key: String,
        /// `consistent`.
        consistent: bool,
    },
}

/// Whether clients must show a certificate of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyClient {
    /// `on`.
    On,
    /// `off`.
    Off,
    /// `optional`.
    Optional,
    /// `optional_no_ca`.
    OptionalNoCa,
}

/// Whether the challenge of ACME is answered on port 80.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeLocation {
    /// Always.
    On,
    /// Never.
    Off,
    /// Only where there is a certificate and http leads to https, as companions up to 2.3 expect.
    Legacy,
}

/// Settings of a site; the proxy container has the same as defaults for all. None is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteSettings {
    /// `CERT_NAME`: stem of the certificate's files; a plain file name.
    pub cert_name: Option<String>,
    /// `HTTPS_METHOD`.
    pub https_method: Option<HttpsMethod>,
    /// `HSTS`; the inner None is `off`.
    pub hsts: Option<Option<Hsts>>,
    /// `SSL_POLICY`: one of [`POLICIES`].
    pub ssl_policy: Option<&'static str>,
    /// `NETWORK_ACCESS=internal`.
    pub internal_only: Option<bool>,
    /// `SERVER_TOKENS`.
    pub server_tokens: Option<bool>,
    /// `ACME_HTTP_CHALLENGE_LOCATION`.
    pub acme_location: Option<AcmeLocation>,
    /// `ENABLE_HTTP_ON_MISSING_CERT`.
    pub http_on_missing_cert: Option<bool>,
    /// Label `http2.enable`, variable `ENABLE_HTTP2`.
    pub http2: Option<bool>,
    /// Label `http3.enable`, variable `ENABLE_HTTP3`.
    pub http3: Option<bool>,
    /// Label `keepalive`.
    pub keepalive: Option<KeepAlive>,
    /// Label `loadbalance`.
    pub balance: Option<Balance>,
    /// Label `non-get-redirect`, variable `NON_GET_REDIRECT`: 301, 307 or 308.
    pub non_get_redirect: Option<u16>,
    /// Label `ssl_verify_client`.
    pub verify_client: Option<VerifyClient>,
    /// Label `trust-default-cert`, variable `TRUST_DEFAULT_CERT`.
    pub trust_default_cert: Option<bool>,
    /// Label `debug-endpoint`, variable `DEBUG_ENDPOINT`.
    pub debug_endpoint: Option<bool>,
}

/// A secret; its debug form says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// The key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with this many bits: 2048, 3072, 4096, 8192.
    Rsa(u16),
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

/// What a container asks of an authority (`ACME_*`, or `LETSENCRYPT_*` where that is not said).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateWish {
    /// One certificate each: its names, the first one is the stem of its files. Wildcards allowed.
    pub certificates: Vec<Vec<String>>,
    /// `ACME_EMAIL`.
    pub email: Option<String>,
    /// `ACME_CA_URI`.
    pub directory: Option<String>,
    /// `LETSENCRYPT_TEST`.
    pub staging: bool,
    /// `ACME_CHALLENGE`: DNS-01 or HTTP-01; None is not said.
    pub dns: Option<bool>,
    /// `ACMESH_DNS_API_CONFIG`: acme.sh's own variables, secrets among them.
    pub dns_api: BTreeMap<String, Secret>,
    /// `ACME_CERT_PROFILE`.
    pub profile: Option<String>,
    /// `ACME_EAB_KID` and `ACME_EAB_HMAC_KEY`.
    pub eab: Option<(String, Secret)>,
    /// `ACME_KEYSIZE`.
    pub key: Option<KeyKind>,
    /// `ACME_OCSP`.
    pub must_staple: bool,
    /// `ACME_PREFERRED_CHAIN`.
    pub preferred_chain: Option<String>,
    /// `ACME_RENEW_AFTER`, in days.
    pub renew_after_days: Option<u32>,
    /// `RENEW_PRIVATE_KEYS`; None is not said.
    pub renew_keys: Option<bool>,
    /// `ACME_RESTART_CONTAINER`.
    pub restart_container: bool,
}

/// A variable or label that cannot be followed, and what is lost by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `VIRTUAL_HOST`, `com.github.nginx-proxy.nginx-proxy.keepalive`.
    pub key: String,
    /// What is wrong, without the value when that could hold anything.
    pub reason: String,
    /// The host that is not served because of it; None concerns all that the container asks for.
    pub host: Option<String>,
}

/// All that one container asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Its routes.
    pub wishes: Vec<Wish>,
    /// Settings of every host that it names.
    pub settings: SiteSettings,
    /// Certificates; None asks for none.
    pub certificate: Option<CertificateWish>,
    /// What was refused.
    pub refusals: Vec<Refusal>,
}

impl fmt::Display for HostName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => out.write_str(name),
            Self::Leading(rest) => write!(out, "*.{rest}"),
            Self::Trailing(rest) => write!(out, "{rest}.*"),
            Self::Regex(expression) => write!(out, "~{expression}"),
        }
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(path) => out.write_str(path),
            Self::PrefixOnly(path) => write!(out, "^~ {path}"),
            Self::Exact(path) => write!(out, "= {path}"),
            Self::Regex { expression, any_case: false } => write!(out, "~{expression}"),
            Self::Regex { expression, any_case: true } => write!(out, "~*{expression}"),
        }
    }
}

#[cfg(test)]
mod tests;
