//! One host: its upstream, the redirects to it, and the server that proxies.

use super::writer::{Param, Text, Unsafe};
use super::{CERTS, PAGES, ProxySettings, RouteSpec, pages};
use crate::name::Domain;

/// Headers that frame or route a message; one added by hand breaks the connection or loses cookies.
const FORBIDDEN_HEADERS: [&str; 9] =
    ["connection", "content-length", "content-encoding", "keep-alive", "set-cookie", "trailer", "transfer-encoding", "upgrade", "location"];
/// Replaced by the proxy's own policy.
const HSTS: &str = "strict-transport-security";
/// Two years, as Mozilla's guideline says; neither subdomains nor preload: those are the owner's to decide.
const HSTS_VALUE: &str = "max-age=63072000";

/// The file of one host.
pub(super) fn write(route: &RouteSpec, proxy: &ProxySettings) -> Result<String, Unsafe> {
    let host = Param::data("the host", route.host.as_str())?;
    let parts = Parts::check(route, proxy)?;
    let mut text = Text::default();
    text.note("instance", &Param::data("the instance", &route.instance.to_string())?);
    text.note("certificate", &parts.certificate);
    text.block("upstream", std::slice::from_ref(&host), |text| {
        text.line("zone", &[host.clone(), Param::ours("64k")]);
        text.line("server", &[parts.server.clone(), Param::ours("resolve"), Param::ours("max_fails=0")]);
        text.ours("keepalive 16");
        text.remark("Below the 5 s of Node and Apache, so that no request meets a connection that is just closing.");
        text.ours("keepalive_timeout 4s");
    });
    text.block("server", &[], |text| {
        text.ours("listen 80");
        text.line("server_name", &parts.names);
        redirect_all(text, &parts.url);
    });
    if let [_, aliases @ ..] = parts.names.as_slice()
        && !aliases.is_empty()
    {
        text.block("server", &[], |text| {
            listen_tls(text, aliases, &host);
            hsts(text, proxy);
            redirect_all(text, &parts.url);
        });
    }
    text.block("server", &[], |text| {
        listen_tls(text, &parts.names[..1], &host);
        hsts(text, proxy);
        serve(text, route, &parts, &host);
    });
    Ok(text.finish())
}

/// Everything of a route that comes from outside, checked.
struct Parts {
    names: Vec<Param>,
    server: Param,
    certificate: Param,
    /// `https://host[:port]`.
    url: Param,
    /// `:port` when it is not 443.
    port: Param,
    https_port: u64,
    redirects: Vec<(Param, Param)>,
    headers: Vec<(Param, Param)>,
}

impl Parts {
    fn check(route: &RouteSpec, proxy: &ProxySettings) -> Result<Self, Unsafe> {
        let mut aliases: Vec<&Domain> = route.aliases.iter().filter(|alias| **alias != route.host).collect();
        aliases.sort();
        aliases.dedup();
        let names: Result<Vec<Param>, Unsafe> =
            std::iter::once(&route.host).chain(aliases).map(|name| Param::data("the host", name.as_str())).collect();
        let host = Param::data("the host", route.host.as_str())?;
        let port = match proxy.https_port {
            443 => Param::ours(""),
            port => Param::ours(":").then(&Param::number(port.into())),
        };
        if route.settings.port == 0 {
            return Err(Unsafe::Form { what: "the application's port", reason: "is 0" });
        }
        Ok(Self {
            names: names?,
            server: server(route, proxy)?,
            certificate: fingerprint(&route.certificate)?,
            url: Param::ours("https://").then(&host).then(&port),
            port,
            https_port: proxy.https_port.into(),
            redirects: route.settings.redirects.iter().map(|(from, to)| redirect(from, to)).collect::<Result<_, _>>()?,
            headers: headers(route)?,
        })
    }
}

/// The name with the network's behind it: Docker knows it in that form too, and asks no public name server for it when
/// the container is gone, where the plain `ghost-example.org` could be anybody's domain.
fn server(route: &RouteSpec, proxy: &ProxySettings) -> Result<Param, Unsafe> {
    let name = |what, text: &str| {
        let fits =
            text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if fits {
            Param::data(what, text)
        } else {
            Err(Unsafe::Form { what, reason: "is not a name that the engine's name server can know" })
        }
    };
    let port = Param::ours(":").then(&Param::number(route.settings.port.into()));
    let network = name("the network", &proxy.network)?;
    Ok(name("the container", &route.container)?.then(&Param::ours(".")).then(&network).then(&port))
}

fn fingerprint(text: &str) -> Result<Param, Unsafe> {
    let what = "the certificate's fingerprint";
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unsafe::Form { what, reason: "is not hexadecimal" });
    }
    Param::data(what, text)
}

fn redirect(from: &str, to: &str) -> Result<(Param, Param), Unsafe> {
    if !from.starts_with('/') || from.contains(['?', '#', ' ']) {
        return Err(Unsafe::Form { what: "a redirect's source", reason: "is not a path that begins with / and has no query" });
    }
    let local = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    if !(local || to.starts_with("https://")) || to.contains(' ') {
        return Err(Unsafe::Form { what: "a redirect's target", reason: "is neither a path that begins with / nor an https URL" });
    }
    Ok((Param::data("a redirect's source", from)?, Param::data("a redirect's target", to)?))
}

fn headers(route: &RouteSpec) -> Result<Vec<(Param, Param)>, Unsafe> {
    let mut seen = std::collections::BTreeSet::new();
    let mut headers = Vec::new();
    for (name, value) in &route.settings.headers {
        let what = "a header's name";
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Unsafe::Form { what, reason: "holds more than letters, digits and hyphens" });
        }
        if lower == HSTS || FORBIDDEN_HEADERS.contains(&lower.as_str()) {
            return Err(Unsafe::Form { what, reason: "is one that only the application or the proxy itself may send" });
        }
        if !seen.insert(lower) {
            return Err(Unsafe::Form { what, reason: "is there twice" });
        }
        headers.push((Param::data(what, name)?, Param::data("a header's value", value)?));
    }
    Ok(headers)
}

fn listen_tls(text: &mut Text, names: &[Param], host: &Param) {
    text.ours("listen 443 ssl");
    text.ours("http2 on");
    text.line("server_name", names);
    let file = |ending| Param::ours(CERTS).then(&Param::ours("/")).then(host).then(&Param::ours(ending));
    text.line("ssl_certificate", &[file(".crt")]);
    text.line("ssl_certificate_key", &[file(".key")]);
}

/// Only on the real port: a browser would hold a test server's promise against every other port of that name.
fn hsts(text: &mut Text, proxy: &ProxySettings) {
    if proxy.https_port == 443 {
        text.line("add_header", &[Param::ours("Strict-Transport-Security"), Param::ours(HSTS_VALUE), Param::ours("always")]);
    }
}

/// 301 for what a browser reads, as nginx-proxy does; 308 for the rest, so that a POST stays one.
fn redirect_all(text: &mut Text, url: &Param) {
    let target = url.clone().then(&Param::ours("$request_uri"));
    text.block("location", &[Param::ours("/")], |text| {
        text.block("if ($request_method !~ ^(GET|HEAD)$)", &[], |text| text.line("return", &[Param::ours("308"), target.clone()]));
        text.line("return", &[Param::ours("301"), target.clone()]);
    });
}

fn serve(text: &mut Text, route: &RouteSpec, parts: &Parts, host: &Param) {
    let wanted = |name: &str| route.settings.headers.keys().any(|other| other.eq_ignore_ascii_case(name));
    text.line("client_max_body_size", &[Param::number(route.settings.body_bytes)]);
    if !wanted("x-content-type-options") {
        text.ours("add_header X-Content-Type-Options $add_nosniff always");
    }
    if !wanted("referrer-policy") {
        text.ours("add_header Referrer-Policy $add_referrer_policy always");
    }
    for (name, value) in &parts.headers {
        text.line("add_header", &[name.clone(), value.clone(), Param::ours("always")]);
    }
    for (from, to) in &parts.redirects {
        text.block("location", &[Param::ours("="), from.clone()], |text| text.line("return", &[Param::ours("301"), to.clone()]));
    }
    text.block("location", &[Param::ours("/")], |text| proxy_pass(text, route, parts, host));
    text.ours("error_page 502 503 =503 /.summoner/starting.html");
    text.ours("error_page 504 /.summoner/starting.html");
    text.block("location", &[Param::ours("="), Param::ours("/.summoner/starting.html")], |text| {
        text.ours("internal");
        text.line("alias", &[Param::ours(PAGES).then(&Param::ours("/starting/")).then(host).then(&Param::ours(".html"))]);
        text.line("add_header", &[Param::ours("Retry-After"), Param::number(pages::RETRY_S), Param::ours("always")]);
        text.ours("add_header Cache-Control no-store always");
    });
}

fn proxy_pass(text: &mut Text, route: &RouteSpec, parts: &Parts, host: &Param) {
    let settings = &route.settings;
    let seconds = Param::number(settings.read_timeout.as_secs().max(1)).then(&Param::ours("s"));
    text.line("proxy_pass", &[Param::ours("http://").then(host)]);
    text.ours("proxy_http_version 1.1");
    text.ours("proxy_redirect off");
    text.ours("proxy_connect_timeout 5s");
    text.line("proxy_read_timeout", std::slice::from_ref(&seconds));
    text.line("proxy_send_timeout", &[seconds]);
    text.ours("proxy_buffer_size 16k");
    text.ours("proxy_buffers 8 16k");
    text.line("proxy_buffering", &[on(settings.response_buffering)]);
    text.line("proxy_request_buffering", &[on(settings.request_buffering)]);
    let host_and_port = Param::ours("$host").then(&parts.port);
    text.line("proxy_set_header", &[Param::ours("Host"), host_and_port.clone()]);
    text.line("proxy_set_header", &[Param::ours("X-Forwarded-Host"), host_and_port]);
    text.line("proxy_set_header", &[Param::ours("X-Forwarded-Port"), Param::number(parts.https_port)]);
    text.remark("The client's own claims are replaced, not extended: nothing trusted stands in front of this proxy.");
    text.ours("proxy_set_header X-Forwarded-For $remote_addr");
    text.ours("proxy_set_header X-Real-IP $remote_addr");
    text.ours("proxy_set_header X-Forwarded-Proto https");
    text.ours("proxy_set_header X-Forwarded-Ssl on");
    for ours in ["Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Server", "Proxy"] {
        text.line("proxy_set_header", &[Param::ours(ours), Param::ours("")]);
    }
    let (upgrade, connection) = if settings.websocket { ("$upgrade", "$upgrade_connection") } else { ("", "") };
    text.line("proxy_set_header", &[Param::ours("Upgrade"), Param::ours(upgrade)]);
    text.line("proxy_set_header", &[Param::ours("Connection"), Param::ours(connection)]);
    text.ours("proxy_hide_header Strict-Transport-Security");
    for (name, _) in &parts.headers {
        text.line("proxy_hide_header", std::slice::from_ref(name));
    }
}

fn on(yes: bool) -> Param {
    Param::ours(if yes { "on" } else { "off" })
}
