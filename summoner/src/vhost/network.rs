//! What the proxy itself is told of the world around it: whom to trust, whom to ask, what to log, what to answer.

use std::net::IpAddr;

use ipnet::IpNet;

use super::template::{OF_REQUESTS, Part, Template};
use super::words::{Read, number, shown, switch, word};

/// Most entries of a list.
const MAX_ENTRIES: usize = 256;

/// Whose `X-Forwarded-…` headers are believed (`TRUST_DOWNSTREAM_PROXY`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Nobody's: every client could claim any address. Said by `false`, and when nothing is said.
    #[default]
    Nobody,
    /// Everyone's, as nginx-proxy does unless told otherwise. Said by `true` alone.
    Everyone,
    /// Those of clients in these networks.
    Networks(Vec<IpNet>),
}

/// What a path that nobody serves is answered (`DEFAULT_ROOT`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultRoot {
    /// No answer is written: the owner's file does it.
    None,
    /// An empty answer.
    Status(u16),
    /// A redirect.
    Redirect {
        /// 301, 302, 303, 307, 308.
        status: u16,
        /// Where to.
        to: Template,
    },
}

/// `LOG_FORMAT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// The line.
    pub line: Template,
    /// `default`, `json` or `none`.
    pub escape: &'static str,
}

/// Name servers (`RESOLVERS`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolvers {
    /// At least one, with its port when that is not 53.
    pub servers: Vec<(IpAddr, Option<u16>)>,
    /// How long an answer holds, in seconds; None is as long as it says.
    pub valid_s: Option<u32>,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: Option<bool>,
}

/// Reads `true`, `false`, or networks between commas or blanks.
pub(super) fn trust(text: &str) -> Read<Trust> {
    if let Ok(everyone) = switch(text) {
        return Ok(if everyone { Trust::Everyone } else { Trust::Nobody });
    }
    let entries: Vec<&str> = text.split([',', ' ']).filter(|entry| !entry.is_empty()).collect();
    if entries.len() > MAX_ENTRIES {
        return Err(format!("it has {} entries; at most {MAX_ENTRIES} are read", entries.len()));
    }
    let network = |entry: &str| entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)).ok();
    let networks = entries.iter().map(|entry| network(entry).map(|network| network.trunc()));
    let mut networks: Vec<IpNet> =
        networks.collect::<Option<_>>().ok_or_else(|| format!("{} is neither true nor false nor a list of networks", shown(text)))?;
    networks.sort();
    networks.dedup();
    Ok(Trust::Networks(networks))
}

/// Reads `404`, `none`, `301 https://…$request_uri`.
pub(super) fn default_root(text: &str) -> Read<DefaultRoot> {
    // What the client wrote, still encoded: `$uri` would let it add headers.
    const VARIABLES: [&str; 7] = ["scheme", "host", "request_uri", "server_name", "server_port", "args", "is_args"];
    if text.eq_ignore_ascii_case("none") {
        return Ok(DefaultRoot::None);
    }
    let (status, to) = text.split_once(' ').map_or((text, ""), |(status, to)| (status, to.trim()));
    let status = u16::try_from(number(status, 200, 599).or_else(|reason| if status == "444" { Ok(444) } else { Err(reason) })?)
        .map_err(|_| "it is no status".to_owned())?;
    if to.is_empty() {
        return Ok(DefaultRoot::Status(status));
    }
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err("a text can be given with 301, 302, 303, 307 and 308 only".into());
    }
    let to = Template::parse(to.trim_matches(['"', '\'']), &VARIABLES, &[])?;
    let begins = match to.0.first() {
        Some(Part::Text(text)) => text.starts_with("http://") || text.starts_with("https://") || text.starts_with('/'),
        Some(Part::Variable(name)) => name == "scheme",
        None => false,
    };
    let blank = to.0.iter().any(|part| matches!(part, Part::Text(text) if text.contains([' ', '"', '\'', '\\'])));
    match begins && !blank {
        true => Ok(DefaultRoot::Redirect { status, to }),
        false => Err("the target is not a URL, nor a path".into()),
    }
}

/// Reads `127.0.0.11 [::1]:5353 valid=10s ipv6=off`.
pub(super) fn resolvers(text: &str) -> Read<Resolvers> {
    let mut all = Resolvers::default();
    for entry in text.split([' ', ',']).filter(|entry| !entry.is_empty()) {
        if let Some(valid) = entry.strip_prefix("valid=") {
            all.valid_s = Some(number(valid.strip_suffix('s').unwrap_or(valid), 1, 86_400)?);
        } else if let Some(ipv6) = entry.strip_prefix("ipv6=") {
            all.ipv6 = Some(switch(ipv6)?);
        } else {
            all.servers.push(server(entry)?);
        }
    }
    match (1..=MAX_ENTRIES).contains(&all.servers.len()) {
        true => Ok(all),
        false => Err(format!("it has to name 1 to {MAX_ENTRIES} name servers")),
    }
}

fn server(entry: &str) -> Read<(IpAddr, Option<u16>)> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok((address, None));
    }
    let socket = entry.parse::<std::net::SocketAddr>().ok().filter(|socket| socket.port() != 0);
    socket.map(|socket| (socket.ip(), Some(socket.port()))).ok_or_else(|| format!("{} is not the address of a name server", shown(entry)))
}

/// Reads `LOG_FORMAT`; the variables are those of nginx's own documentation.
pub(super) fn log_line(text: &str) -> Read<Template> {
    const FAMILIES: [&str; 8] = [
        OF_REQUESTS[0],
        OF_REQUESTS[1],
        OF_REQUESTS[2],
        "sent_http_",
        "upstream_http_",
        "upstream_cookie_",
        "sent_trailer_",
        "ssl_client_",
    ];
    Template::parse(text, &LOGGED, &FAMILIES)
}

/// `LOG_FORMAT_ESCAPE`.
pub(super) fn escape(text: &str) -> Read<&'static str> {
    word(text, &[("default", "default"), ("json", "json"), ("none", "none")])
}

/// Variables of the modules that every build for HTTP has.
const LOGGED: [&str; 60] = [
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "content_length",
    "content_type",
    "document_root",
    "document_uri",
    "gzip_ratio",
    "host",
    "hostname",
    "http2",
    "https",
    "is_args",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "proxy_port",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "query_string",
    "realip_remote_addr",
    "realip_remote_port",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "ssl_cipher",
    "ssl_curve",
    "ssl_protocol",
    "ssl_server_name",
    "ssl_session_reused",
    "status",
    "time_iso8601",
    "time_local",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_time",
    "upstream_status",
];
