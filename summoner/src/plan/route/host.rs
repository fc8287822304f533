//! One site: its upstreams, the redirects to it, and the server that answers.

use super::guard::{self, Watch};
use super::headers::{self, Header};
use super::location::{self, Around, user_file};
use super::settings::{Arrangement, ProxySettings};
use super::shared::access_log;
use super::site::{Certificate, Site, Source, Target};
use super::writer::{Param, Text, Unsafe};
use super::{CERTS, HTML, fingerprint, page_file, pages, server_name, tls};
use crate::vhost::{HostName, HttpsMethod, VerifyClient};

/// Where the page lies that is shown while an application does not answer.
const STARTING: &str = "/.summoner/starting.html";
/// The path of nginx-proxy's debug endpoint.
const DEBUG: &str = "/nginx-proxy-debug";

/// The text of one site.
pub(super) fn write(site: &Site, settings: &ProxySettings) -> Result<String, Unsafe> {
    let parts = Parts::check(site, settings)?;
    let mut text = Text::default();
    source(&mut text, &site.source)?;
    if let Some(certificate) = &parts.certificate {
        text.note("certificate", &certificate.fingerprint);
    }
    let content = content(site, settings, &parts)?;
    text.append(&content.upstreams);
    if let Some(server) = http_only(site, settings, &parts) {
        text.try_block("server", &[], server)?;
    }
    let serves_http = parts.serves_http(site);
    let tls = parts.certificate.as_ref().filter(|_| site.https != HttpsMethod::NoHttps);
    if !parts.aliases.is_empty() && (serves_http || tls.is_some()) {
        text.try_block("server", &[], |text| aliases(text, site, settings, &parts))?;
    }
    if serves_http || tls.is_some() {
        text.block("server", &[], |text| {
            if serves_http {
                listen_http(text, settings, parts.default);
            }
            if let Some(certificate) = tls {
                listen_https(text, site, settings, parts.default);
                text.line("server_name", std::slice::from_ref(&parts.name));
                certificate.write(text, site, settings);
            } else {
                text.line("server_name", std::slice::from_ref(&parts.name));
            }
            text.append(&content.inside);
        });
    }
    if parts.certificate.is_none() && site.https != HttpsMethod::NoHttps && settings.default_certificate.is_some() {
        text.block("server", &[], |text| {
            text.remark("Without this, the handshake would end at the certificate for unknown names, which is not trusted here.");
            listen_https(text, site, settings, parts.default);
            text.line("server_name", std::slice::from_ref(&parts.name));
            text.ours("ssl_reject_handshake on");
        });
    }
    Ok(text.finish())
}

/// Everything of a site's head that comes from outside, checked.
struct Parts {
    name: Param,
    aliases: Vec<Param>,
    certificate: Option<Files>,
    /// `https://host[:port]`, and the same for http.
    https_url: Param,
    http_url: Param,
    /// Answers names that nobody has.
    default: bool,
}

/// A certificate, checked.
struct Files {
    stem: Param,
    fingerprint: Param,
    dhparam: bool,
    client_ca: Option<Param>,
    client_crl: Option<Param>,
}

impl Parts {
    fn check(site: &Site, settings: &ProxySettings) -> Result<Self, Unsafe> {
        let mut aliases: Vec<&str> = site.aliases.iter().map(crate::name::Domain::as_str).collect();
        aliases.retain(|alias| HostName::Exact((*alias).to_owned()) != site.name);
        aliases.sort_unstable();
        aliases.dedup();
        let host = match &site.name {
            HostName::Exact(_) => server_name(&site.name)?,
            _ => Param::ours("$host"),
        };
        let url = |scheme, port: u16, usual| {
            let url = Param::ours(scheme).then(&host);
            if port == usual { url } else { url.then(&Param::ours(":")).then(&Param::number(port.into())) }
        };
        if ![301, 302, 307, 308].contains(&site.non_get_redirect) {
            return Err(Unsafe::Form { what: "the status of a redirect", reason: "is not 301, 302, 307 or 308" });
        }
        Ok(Self {
            name: server_name(&site.name)?,
            aliases: aliases.into_iter().map(|alias| Param::data("an alias", alias)).collect::<Result<_, _>>()?,
            certificate: site.certificate.as_ref().map(|certificate| Files::check(certificate, site)).transpose()?,
            https_url: url("https://", site.external_ports.1, 443),
            http_url: url("http://", site.external_ports.0, 80),
            default: settings.default_host.as_ref() == Some(&site.name),
        })
    }

    /// Whether port 80 answers with the application itself.
    fn serves_http(&self, site: &Site) -> bool {
        matches!(site.https, HttpsMethod::NoRedirect | HttpsMethod::NoHttps)
    }
}

impl Files {
    fn check(certificate: &Certificate, site: &Site) -> Result<Self, Unsafe> {
        let file = |what, name: &str| {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*+".contains(&b));
            if plain && !name.is_empty() && !name.starts_with('.') {
                Param::data(what, name)
            } else {
                Err(Unsafe::Form { what, reason: "is not a plain file name" })
            }
        };
        let optional = |what, name: &Option<String>| name.as_deref().map(|name| file(what, name)).transpose();
        let asks = matches!(site.verify_client, Some(VerifyClient::On | VerifyClient::Optional));
        if asks && certificate.client_ca.is_none() {
            return Err(Unsafe::Form {
                what: "ssl_verify_client",
                reason: "needs the authority of the clients' certificates, a file ca.crt beside the certificate",
            });
        }
        Ok(Self {
            stem: file("the certificate's name", &certificate.stem)?,
            fingerprint: fingerprint(&certificate.fingerprint)?,
            dhparam: certificate.dhparam,
            client_ca: optional("the clients' authority", &certificate.client_ca)?,
            client_crl: optional("the list of revoked certificates", &certificate.client_crl)?,
        })
    }

    fn write(&self, text: &mut Text, site: &Site, settings: &ProxySettings) {
        let in_folder = |name: &Param| Param::ours(CERTS).then(&Param::ours("/")).then(name);
        let file = |ending| in_folder(&self.stem).then(&Param::ours(ending));
        text.line("ssl_certificate", &[file(".crt")]);
        text.line("ssl_certificate_key", &[file(".key")]);
        if self.dhparam {
            text.line("ssl_dhparam", &[file(".dhparam.pem")]);
        }
        if let Some(policy) = site.policy.filter(|policy| *policy != settings.policy) {
            tls::write(text, policy);
        }
        let Some(verify) = site.verify_client else { return };
        let verify = match verify {
            VerifyClient::On => "on",
            VerifyClient::Off => "off",
            VerifyClient::Optional => "optional",
            VerifyClient::OptionalNoCa => "optional_no_ca",
        };
        text.line("ssl_verify_client", &[Param::ours(verify)]);
        if let Some(authority) = &self.client_ca {
            text.line("ssl_client_certificate", &[in_folder(authority)]);
        }
        if let Some(list) = &self.client_crl {
            text.line("ssl_crl", &[in_folder(list)]);
        }
    }
}

fn source(text: &mut Text, source: &Source) -> Result<(), Unsafe> {
    match source {
        Source::Instance(id) => text.note("instance", &Param::data("the instance", &id.to_string())?),
        Source::Containers(names) => {
            for name in names {
                text.note("container", &Param::data("the container", name)?);
            }
        }
        Source::Config => text.remark("routes: of config.yml"),
    }
    Ok(())
}

/// What the answering server holds, and what stands before it.
struct Content {
    upstreams: Text,
    inside: Text,
}

fn content(site: &Site, settings: &ProxySettings, parts: &Parts) -> Result<Content, Unsafe> {
    let headers = server_headers(site, settings, parts);
    let around = Around { site, settings, server_headers: &headers };
    let mut content = Content { upstreams: Text::default(), inside: Text::at_depth(1) };
    let text = &mut content.inside;
    common(text, site, settings)?;
    if settings.guard.is_some() {
        guard::server(text, watched(site).as_ref())?;
    }
    if site.external_ports != (settings.http_port, settings.https_port) {
        outside_ports(text, site.external_ports);
    }
    text.line("set", &[Param::ours("$upgrade_policy"), Param::ours(location::upgrade(around.usual_upgrade()))]);
    text.ours("set $upstream_keepalive false");
    headers::write(text, &headers);
    if let Some(file) = &site.include {
        user_file(text, "the host's file", file)?;
    }
    if site.acme_location && parts.serves_http(site) {
        acme(text);
    }
    let mut looked_up = false;
    for location in &site.locations {
        let written = location::write(location, &around)?;
        content.upstreams.append(&written.upstreams);
        text.append(&written.block);
        looked_up |= matches!(location.target, Target::Upstream(_));
    }
    if looked_up {
        failures(text, site, settings, &around)?;
    }
    if let Some(debug) = &site.debug {
        let json = Param::json("the debug text", debug).unwrap_or_else(|_| Param::ours("{\"error\":\"too long\"}"));
        text.block("location", &[Param::ours("="), Param::ours(DEBUG)], |text| {
            text.ours("default_type application/json");
            text.line("return", &[Param::ours("200"), json]);
        });
    }
    Ok(content)
}

/// Where people sign in, of an instance that says so.
fn watched(site: &Site) -> Option<Watch<'_>> {
    let Source::Instance(instance) = &site.source else { return None };
    (!site.sign_ins.is_empty()).then(|| Watch { instance: instance.to_string(), sign_ins: &site.sign_ins })
}

fn common(text: &mut Text, site: &Site, settings: &ProxySettings) -> Result<(), Unsafe> {
    if settings.arrangement == Arrangement::Classic {
        access_log(text, settings)?;
    }
    if let Some(tokens) = site.server_tokens.or(settings.server_tokens) {
        text.line("server_tokens", &[Param::ours(if tokens { "on" } else { "off" })]);
    }
    Ok(())
}

/// Where a site has other ports than the proxy.
fn outside_ports(text: &mut Text, (http, https): (u16, u16)) {
    let port = |port: u16, usual: u16| {
        let number = Param::number(port.into());
        let suffix = if port == usual { Param::ours("") } else { Param::ours(":").then(&number) };
        [[Param::ours("$outside_port"), number], [Param::ours("$host_port"), suffix]]
    };
    for pair in port(http, 80) {
        text.line("set", &pair);
    }
    text.block("if ($scheme = https)", &[], |text| {
        for pair in port(https, 443) {
            text.line("set", &pair);
        }
    });
}

fn server_headers(site: &Site, settings: &ProxySettings, parts: &Parts) -> Vec<Header> {
    let mut all = Vec::new();
    let only_https = matches!(site.https, HttpsMethod::Redirect | HttpsMethod::NoHttp);
    if let Some(hsts) = site.hsts.filter(|_| only_https && parts.certificate.is_some()) {
        all.push(headers::hsts(hsts));
    }
    if quic(site, settings) && parts.certificate.is_some() && site.https != HttpsMethod::NoHttps {
        let value = Param::ours("h3=\":").then(&Param::number(site.external_ports.1.into())).then(&Param::ours("\"; ma=86400"));
        all.push((Param::ours("Alt-Svc"), value));
    }
    all
}

fn quic(site: &Site, settings: &ProxySettings) -> bool {
    site.http3 && settings.features.http3
}

/// The server on port 80 that does not answer with the application: it redirects, or serves the challenge alone.
fn http_only<'a>(
    site: &'a Site,
    settings: &'a ProxySettings,
    parts: &'a Parts,
) -> Option<impl FnOnce(&mut Text) -> Result<(), Unsafe> + 'a> {
    let redirect = match site.https {
        HttpsMethod::Redirect => true,
        HttpsMethod::NoHttp if site.acme_location => false,
        _ => return None,
    };
    Some(move |text: &mut Text| {
        listen_http(text, settings, parts.default);
        let names: Vec<Param> = std::iter::once(parts.name.clone()).chain(parts.aliases.iter().cloned()).collect();
        text.line("server_name", &names);
        common(text, site, settings)?;
        if site.acme_location {
            acme(text);
        }
        if redirect {
            redirect_all(text, &parts.https_url, site.non_get_redirect);
        } else {
            text.block("location", &[Param::ours("/")], |text| text.ours("return 503"));
        }
        Ok(())
    })
}

/// Further names, where they are not redirected with all of port 80 already.
fn aliases(text: &mut Text, site: &Site, settings: &ProxySettings, parts: &Parts) -> Result<(), Unsafe> {
    let serves_http = parts.serves_http(site);
    let tls = parts.certificate.as_ref().filter(|_| site.https != HttpsMethod::NoHttps);
    if serves_http {
        listen_http(text, settings, false);
    }
    if tls.is_some() {
        listen_https(text, site, settings, false);
    }
    text.line("server_name", &parts.aliases);
    if let Some(certificate) = tls {
        certificate.write(text, site, settings);
    }
    common(text, site, settings)?;
    headers::write(text, &server_headers(site, settings, parts));
    if site.acme_location && serves_http {
        acme(text);
    }
    redirect_all(text, if tls.is_some() { &parts.https_url } else { &parts.http_url }, site.non_get_redirect);
    Ok(())
}

/// What the files of an authority's challenge need: nothing stands in its way, no password and no redirect.
pub(super) fn acme(text: &mut Text) {
    text.block("location", &[Param::ours("^~"), Param::ours("/.well-known/acme-challenge/")], |text| {
        text.ours("auth_basic off");
        text.ours("auth_request off");
        text.ours("allow all");
        text.line("root", &[Param::ours(HTML)]);
        text.ours("default_type text/plain");
        text.ours("try_files $uri =404");
    });
}

/// 301 for what a browser reads, as nginx-proxy does; the rest as the site says (308 keeps a POST one).
fn redirect_all(text: &mut Text, url: &Param, other: u16) {
    let target = url.clone().then(&Param::ours("$request_uri"));
    text.block("location", &[Param::ours("/")], |text| {
        if other != 301 {
            text.block("if ($request_method !~ ^(GET|HEAD)$)", &[], |text| {
                text.line("return", &[Param::number(other.into()), target.clone()]);
            });
        }
        text.line("return", &[Param::ours("301"), target.clone()]);
    });
}

pub(super) fn listen_http(text: &mut Text, settings: &ProxySettings, default: bool) {
    listen(text, settings, settings.listen.http, &[], default);
}

fn listen_https(text: &mut Text, site: &Site, settings: &ProxySettings, default: bool) {
    // Before 1.25.1 a socket speaks HTTP/2 for all of its servers or for none.
    let on_socket = site.http2 && !settings.features.http2_directive;
    listen(text, settings, settings.listen.https, if on_socket { &["ssl", "http2"] } else { &["ssl"] }, default);
    if settings.features.http2_directive {
        text.line("http2", &[Param::ours(if site.http2 { "on" } else { "off" })]);
    }
    if quic(site, settings) {
        listen_quic(text, settings, default);
        text.ours("http3 on");
    }
}

/// QUIC comes as datagrams; nothing in front of it speaks the PROXY protocol.
pub(super) fn listen_quic(text: &mut Text, settings: &ProxySettings, default: bool) {
    let mut plain = settings.clone();
    plain.listen.proxy_protocol = false;
    listen(text, &plain, settings.listen.https, &["quic"], default);
}

/// One line, or two where IPv6 is asked for.
pub(super) fn listen(text: &mut Text, settings: &ProxySettings, port: u16, words: &[&'static str], default: bool) {
    let mut more: Vec<Param> = words.iter().map(|word| Param::ours(word)).collect();
    if default {
        more.push(Param::ours("default_server"));
    }
    if settings.listen.proxy_protocol {
        more.push(Param::ours("proxy_protocol"));
    }
    for address in ["", "[::]:"].iter().take(if settings.listen.ipv6 { 2 } else { 1 }) {
        let at = Param::ours(address).then(&Param::number(port.into()));
        let params: Vec<Param> = std::iter::once(at).chain(more.iter().cloned()).collect();
        text.line("listen", &params);
    }
}

/// `html/errors/50x.html`.
pub(super) fn owners_page(text: &mut Text) {
    text.remark("The owner's own page.");
    text.ours("error_page 500 502 503 504 /50x.html");
    text.block("location", &[Param::ours("="), Param::ours("/50x.html")], |text| {
        text.line("root", &[Param::ours(HTML).then(&Param::ours("/errors"))]);
        text.ours("internal");
    });
}

/// What is shown when the application does not answer: a page that looks again, 503 and `Retry-After`.
fn failures(text: &mut Text, site: &Site, settings: &ProxySettings, around: &Around<'_>) -> Result<(), Unsafe> {
    if settings.error_page && !around.ours() {
        owners_page(text);
        return Ok(());
    }
    let is_down = |target: &Target| matches!(target, Target::Upstream(upstream) if upstream.servers.is_empty());
    let down = site.locations.iter().all(|location| is_down(&location.target));
    let inline = settings.arrangement == Arrangement::Classic;
    let page = if inline { Param::ours("@summoner_waiting") } else { Param::ours(STARTING) };
    if down {
        text.remark("No server at all: 502, as nginx-proxy says.");
        text.line("error_page", &[Param::ours("502"), page.clone()]);
    } else {
        text.line("error_page", &[Param::ours("502"), Param::ours("503"), Param::ours("=503"), page.clone()]);
    }
    text.line("error_page", &[Param::ours("504"), page.clone()]);
    if inline {
        let status = if down { 502 } else { 503 };
        return text.try_block("location", &[page], |text| pages::inline(text, status, &pages::starting_title(site), pages::RETRY_S));
    }
    let file = page_file(&site.name);
    text.block("location", &[Param::ours("="), page], |text| {
        text.ours("internal");
        text.line("root", &[Param::ours(super::INSIDE)]);
        text.line("add_header", &[Param::ours("Retry-After"), Param::number(pages::RETRY_S), Param::ours("always")]);
        text.ours("add_header Cache-Control no-store always");
        text.remark("The first one is there while Summoner itself keeps the application still.");
        let waiting = Param::ours("/waiting/").then(&file);
        let usual = Param::ours("/current/pages/starting/").then(&file);
        text.line("try_files", &[waiting, usual, Param::ours("=503")]);
    });
    Ok(())
}
