//! The paths of a site: who may come in, and where they lead.

use std::time::Duration;

use ipnet::IpNet;

use super::settings::ProxySettings;
use super::shared::{FORWARDED, path as plain_path};
use super::site::{Location, LocationSettings, Site, Source, Target, Upgrade, Upstream, UserFile};
use super::upstream::{self, Reach};
use super::writer::{Param, Text, Unsafe};
use super::{headers, pages};
use crate::vhost::{HostName, KeepAlive, PathMatch, Protocol};

/// Who is internal when the owner has no file that says it.
const PRIVATE: [&str; 8] =
    ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"];

/// One location, ready to be written into a server.
pub(super) struct Written {
    /// Lines at the level of `http`.
    pub upstreams: Text,
    /// The block itself, at the depth of a server's content.
    pub block: Text,
}

/// What the locations of a site have in common.
pub(super) struct Around<'a> {
    pub site: &'a Site,
    pub settings: &'a ProxySettings,
    /// Headers of the whole server, for an nginx that forgets them where a location adds its own.
    pub server_headers: &'a [headers::Header],
}

/// Writes one location.
pub(super) fn write(location: &Location, around: &Around<'_>) -> Result<Written, Unsafe> {
    let mut upstreams = Text::default();
    let mut block = Text::at_depth(1);
    if let Some(file) = &location.replaced_by {
        // The owner's block leads to our upstream by its name.
        if let Target::Upstream(upstream) = &location.target {
            upstream::write(&mut upstreams, upstream, around.settings, around.ours())?;
        }
        user_file(&mut block, "the location's file", file)?;
        return Ok(Written { upstreams, block });
    }
    let reach = match &location.target {
        Target::Upstream(upstream) => Some(upstream::write(&mut upstreams, upstream, around.settings, around.ours())?),
        _ => None,
    };
    let path = path(&location.path)?;
    let mut inside = Text::at_depth(2);
    access(&mut inside, location, around)?;
    behaviour(&mut inside, location, around)?;
    target(&mut inside, location, reach.as_ref(), around)?;
    if let Some(file) = &location.include {
        user_file(&mut inside, "the location's file", file)?;
    }
    block.block("location", &path, |text| text.append(&inside));
    Ok(Written { upstreams, block })
}

impl Around<'_> {
    /// Whether we know the application: then nothing is left to nginx's defaults.
    pub(super) fn ours(&self) -> bool {
        matches!(self.site.source, Source::Instance(_))
    }

    /// What a server allows where a location says nothing else, the owner's own locations among them.
    pub(super) fn usual_upgrade(&self) -> Upgrade {
        if self.ours() { Upgrade::None } else { Upgrade::Any }
    }
}

/// Its name in the map of `shared`.
pub(super) fn upgrade(upgrade: Upgrade) -> &'static str {
    match upgrade {
        Upgrade::None => "none",
        Upgrade::Websocket => "websocket",
        Upgrade::Any => "any",
    }
}

/// Includes a file of the owner; a star in its name is one, and no pattern (`*.example.org`).
pub(super) fn user_file(text: &mut Text, what: &'static str, file: &UserFile) -> Result<(), Unsafe> {
    let name = file.path.replace('\\', "").replace('*', "+");
    plain_path(what, &name)?;
    let escaped = file.path.replace("\\*", "*").replace('*', "\\*");
    text.note("hash", &super::fingerprint(&file.fingerprint)?);
    text.line("include", &[Param::data(what, &escaped)?]);
    Ok(())
}

fn path(path: &PathMatch) -> Result<Vec<Param>, Unsafe> {
    let what = "the path";
    let plain = |text: &str| {
        if text.starts_with('/') && !text.contains([' ', '?', '#']) {
            Param::data(what, text)
        } else {
            Err(Unsafe::Form { what, reason: "is not a path that begins with / and has no query" })
        }
    };
    Ok(match path {
        PathMatch::Prefix(text) => vec![plain(text)?],
        PathMatch::PrefixOnly(text) => vec![Param::ours("^~"), plain(text)?],
        PathMatch::Exact(text) => vec![Param::ours("="), plain(text)?],
        PathMatch::Regex { expression, any_case } => {
            vec![Param::ours(if *any_case { "~*" } else { "~" }), Param::regex(what, expression)?]
        }
    })
}

fn access(text: &mut Text, location: &Location, around: &Around<'_>) -> Result<(), Unsafe> {
    let site = around.site;
    match (site.internal_only, &around.settings.internal) {
        (true, Some(file)) if site.allow.is_empty() => user_file(text, "the file of internal networks", file)?,
        (true, Some(_)) => {
            return Err(Unsafe::Form {
                what: "the list of networks",
                reason: "cannot be joined with the owner's file of internal networks",
            });
        }
        (true, None) => {
            text.remark("Only clients of internal networks.");
            let private = PRIVATE.iter().filter_map(|net| net.parse::<IpNet>().ok());
            let inside = |net: &IpNet| site.allow.iter().any(|allowed| allowed.contains(net));
            let both = |net: &IpNet, private: &IpNet| private.contains(net);
            let nets: Vec<IpNet> = if site.allow.is_empty() {
                private.collect()
            } else {
                let private: Vec<IpNet> = private.collect();
                let narrow = site.allow.iter().filter(|net| private.iter().any(|whole| both(net, whole))).copied();
                narrow.chain(private.iter().filter(|net| inside(net)).copied()).collect()
            };
            only(text, &nets)?;
        }
        (false, _) if site.allow.is_empty() => {}
        (false, _) => only(text, &site.allow)?,
    }
    if let Some(file) = &location.passwords {
        let realm = match (&site.name, &location.path) {
            (HostName::Exact(host), PathMatch::Prefix(path)) => Param::data("the realm", &format!("Restricted {host}{path}"))?,
            _ => Param::ours("Restricted"),
        };
        if file.fingerprint.is_empty() {
            let reason = "is not in the proxy's folder htpasswd, so nobody may come in; `htpasswd -c` makes one";
            return Err(Unsafe::Form { what: "the file of names and passwords", reason });
        }
        text.line("auth_basic", &[realm]);
        text.line("auth_basic_user_file", &[plain_path_with_star("the file of passwords", &file.path)?]);
    }
    Ok(())
}

/// Not a pattern here: nginx opens the file by its name.
fn plain_path_with_star(what: &'static str, path: &str) -> Result<Param, Unsafe> {
    plain_path(what, &path.replace('*', "+"))?;
    Param::data(what, path)
}

fn only(text: &mut Text, networks: &[IpNet]) -> Result<(), Unsafe> {
    for network in networks {
        text.line("allow", &[Param::data("a network", &network.to_string())?]);
    }
    text.ours("deny all");
    Ok(())
}

/// Directives that every way to speak has under its own name.
struct Words {
    connect_timeout: &'static str,
    read_timeout: &'static str,
    send_timeout: &'static str,
    /// gRPC is never buffered.
    buffering: Option<(&'static str, &'static str)>,
    hide_header: &'static str,
}

fn words(protocol: Protocol) -> Words {
    macro_rules! words {
        ($prefix:literal, $buffering:expr) => {
            Words {
                connect_timeout: concat!($prefix, "_connect_timeout"),
                read_timeout: concat!($prefix, "_read_timeout"),
                send_timeout: concat!($prefix, "_send_timeout"),
                buffering: $buffering,
                hide_header: concat!($prefix, "_hide_header"),
            }
        };
    }
    match protocol {
        Protocol::Http | Protocol::Https => words!("proxy", Some(("proxy_buffering", "proxy_request_buffering"))),
        Protocol::Uwsgi => words!("uwsgi", Some(("uwsgi_buffering", "uwsgi_request_buffering"))),
        Protocol::Fastcgi => words!("fastcgi", Some(("fastcgi_buffering", "fastcgi_request_buffering"))),
        Protocol::Grpc | Protocol::Grpcs => words!("grpc", None),
    }
}

fn behaviour(text: &mut Text, location: &Location, around: &Around<'_>) -> Result<(), Unsafe> {
    let settings = &location.settings;
    if let Some(bytes) = settings.body_bytes {
        text.line("client_max_body_size", &[Param::number(bytes)]);
    }
    let mut own = headers::of_location(settings)?;
    if !own.is_empty() && !around.settings.features.add_header_inherit {
        own.splice(0..0, around.server_headers.iter().cloned());
    }
    headers::write(text, &own);
    if let Target::Upstream(upstream) = &location.target {
        timeouts(text, settings, upstream.protocol);
        let words = words(upstream.protocol);
        if around.ours() {
            text.line(words.hide_header, &[Param::ours("Strict-Transport-Security")]);
        }
        for (name, _) in headers::named(settings)? {
            text.line(words.hide_header, &[name]);
        }
        buffers(text, settings, &words, around.ours());
    }
    Ok(())
}

fn timeouts(text: &mut Text, settings: &LocationSettings, protocol: Protocol) {
    let words = words(protocol);
    let seconds = |duration: Duration| Param::number(duration.as_secs().max(1)).then(&Param::ours("s"));
    for (name, duration) in [
        (words.connect_timeout, settings.connect_timeout),
        (words.read_timeout, settings.read_timeout),
        (words.send_timeout, settings.send_timeout.or(settings.read_timeout)),
    ] {
        if let Some(duration) = duration {
            text.line(name, &[seconds(duration)]);
        }
    }
}

fn buffers(text: &mut Text, settings: &LocationSettings, words: &Words, ours: bool) {
    let Some((response, request)) = words.buffering else { return };
    // Said only where it matters: the owner may have said something for all.
    for (name, on) in [(response, settings.response_buffering), (request, settings.request_buffering)] {
        if ours || !on {
            text.line(name, &[Param::ours(if on { "on" } else { "off" })]);
        }
    }
    if ours && response == "proxy_buffering" {
        text.ours("proxy_buffer_size 16k");
        text.ours("proxy_buffers 8 16k");
    }
}

fn target(text: &mut Text, location: &Location, reach: Option<&Reach>, around: &Around<'_>) -> Result<(), Unsafe> {
    match (&location.target, reach) {
        (Target::Upstream(upstream), Some(reach)) => pass(text, location, upstream, reach, around),
        (Target::Redirect { to, status, keep_path }, _) => redirect(text, to, *status, *keep_path),
        (Target::Folder(folder), _) => files(text, location, folder),
        (Target::Waiting { retry_after, reason }, _) => pages::inline(text, 503, reason, retry_after.as_secs().max(1)),
        (Target::Status(status), _) if (200..600).contains(status) => {
            text.line("return", &[Param::number((*status).into())]);
            Ok(())
        }
        (Target::Status(_) | Target::Upstream(_), _) => {
            Err(Unsafe::Form { what: "the answer", reason: "is not a status that a server may give" })
        }
    }
}

fn redirect(text: &mut Text, to: &str, status: u16, keep_path: bool) -> Result<(), Unsafe> {
    let what = "a redirect's target";
    let local = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    if !(local || to.starts_with("https://") || to.starts_with("http://")) || to.contains(' ') {
        return Err(Unsafe::Form { what, reason: "is neither a path that begins with / nor an http or https URL" });
    }
    if ![301, 302, 303, 307, 308].contains(&status) {
        return Err(Unsafe::Form { what: "a redirect's status", reason: "is not one of 301, 302, 303, 307, 308" });
    }
    let to = Param::data(what, to)?;
    let to = if keep_path { to.then(&Param::ours("$request_uri")) } else { to };
    text.line("return", &[Param::number(status.into()), to]);
    Ok(())
}

/// `alias` replaces the path as text: without a slash at both ends `/docs../` would lead out of the folder.
fn files(text: &mut Text, location: &Location, folder: &str) -> Result<(), Unsafe> {
    let what = "the folder";
    let folder = plain_path(what, folder.trim_end_matches('/'))?;
    match &location.path {
        PathMatch::Prefix(path) | PathMatch::PrefixOnly(path) if path == "/" => text.line("root", &[folder]),
        PathMatch::Prefix(path) | PathMatch::PrefixOnly(path) if path.ends_with('/') => {
            text.line("alias", &[folder.then(&Param::ours("/"))]);
        }
        _ => return Err(Unsafe::Form { what, reason: "can only stand behind a path that ends with /" }),
    }
    text.ours("index index.html index.htm");
    text.remark("A link in it leads nowhere that its owner does not own.");
    text.ours("disable_symlinks if_not_owner");
    Ok(())
}

fn pass(text: &mut Text, location: &Location, upstream: &Upstream, reach: &Reach, around: &Around<'_>) -> Result<(), Unsafe> {
    let settings = &location.settings;
    if settings.upgrade != around.usual_upgrade() {
        text.line("set", &[Param::ours("$upgrade_policy"), Param::ours(upgrade(settings.upgrade))]);
    }
    let keeps = upstream.keepalive != KeepAlive::Disabled && matches!(reach, Reach::Named(_));
    if keeps {
        text.ours("set $upstream_keepalive true");
    }
    let to = match reach {
        Reach::Named(name) => name.clone(),
        Reach::Looked(address) => {
            text.line("set", &[Param::ours("$looked_up"), address.clone()]);
            Param::ours("$looked_up")
        }
    };
    match upstream.protocol {
        Protocol::Http => proxy(text, location, upstream, &Param::ours("http://").then(&to), reach, around)?,
        Protocol::Https => proxy(text, location, upstream, &Param::ours("https://").then(&to), reach, around)?,
        Protocol::Uwsgi => {
            params(text, "uwsgi_param", &CGI);
            text.line("uwsgi_pass", &[Param::ours("uwsgi://").then(&to)]);
        }
        Protocol::Fastcgi => fastcgi(text, upstream, &to, keeps)?,
        Protocol::Grpc | Protocol::Grpcs => {
            params(text, "grpc_set_header", &FORWARDED);
            let scheme = if upstream.protocol == Protocol::Grpc { "grpc://" } else { "grpcs://" };
            text.line("grpc_pass", &[Param::ours(scheme).then(&to)]);
        }
    }
    Ok(())
}

fn proxy(text: &mut Text, location: &Location, upstream: &Upstream, to: &Param, reach: &Reach, around: &Around<'_>) -> Result<(), Unsafe> {
    let what = "the path inside";
    let dest = match &upstream.dest {
        None => Param::ours(""),
        Some(dest) if !dest.is_empty() && !dest.starts_with('/') || dest.contains(' ') => {
            return Err(Unsafe::Form { what, reason: "is not a path that begins with /" });
        }
        Some(_) if matches!(location.path, PathMatch::Regex { .. }) => {
            return Err(Unsafe::Form { what, reason: "cannot take the place of a path that is an expression" });
        }
        Some(_) if matches!(reach, Reach::Looked(_)) => {
            return Err(Unsafe::Form { what, reason: "needs a server with an address, or nginx 1.27.3" });
        }
        Some(dest) => Param::data(what, dest)?,
    };
    if around.ours() {
        text.ours("proxy_redirect off");
    }
    text.line("proxy_pass", &[to.clone().then(&dest)]);
    Ok(())
}

fn fastcgi(text: &mut Text, upstream: &Upstream, to: &Param, keeps: bool) -> Result<(), Unsafe> {
    let root = upstream.root.as_deref().unwrap_or("/var/www/public");
    text.line("root", &[plain_path("FastCGI's folder", root)?]);
    text.ours("fastcgi_index index.php");
    params(text, "fastcgi_param", &CGI);
    params(text, "fastcgi_param", &FASTCGI);
    if keeps {
        text.ours("fastcgi_keep_conn on");
    }
    text.line("fastcgi_pass", std::slice::from_ref(to));
    Ok(())
}

fn params(text: &mut Text, directive: &'static str, pairs: &[(&'static str, &'static str)]) {
    for (name, value) in pairs {
        text.line(directive, &[Param::ours(name), Param::ours(value)]);
    }
}

/// As in the files `uwsgi_params` and `fastcgi_params` that come with nginx, but what the outside sees; the last one is
/// the httpoxy attack's.
const CGI: [(&str, &str); 17] = [
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_URI", "$request_uri"),
    ("PATH_INFO", "$document_uri"),
    ("DOCUMENT_URI", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$proxy_x_forwarded_proto"),
    ("HTTPS", "$proxy_x_forwarded_ssl"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_ADDR", "$server_addr"),
    ("SERVER_PORT", "$proxy_x_forwarded_port"),
    ("SERVER_NAME", "$host"),
    ("HTTP_PROXY", ""),
];

/// `FastCGI`'s own.
const FASTCGI: [(&str, &str); 5] = [
    ("SCRIPT_FILENAME", "$document_root$fastcgi_script_name"),
    ("SCRIPT_NAME", "$fastcgi_script_name"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx"),
    ("REDIRECT_STATUS", "200"),
];
