//! One host, decided: its certificate, what http does, its paths.

use std::collections::BTreeSet;

use super::{Claim, Paths, Refused, World, certificate, debug, location, merge, names, refused, source};
use crate::plan::route::site::{Location, LocationSettings, Site, Target};
use crate::vhost::{AcmeLocation, DefaultRoot, HostName, Hsts, HttpsMethod, Part, PathMatch, Template, VerifyClient};

/// What nginx-proxy sends where nobody says anything.
const HSTS: Hsts = Hsts { max_age: 31_536_000, subdomains: false, preload: false };
/// Where authorities ask for their challenges.
const ACME: &str = "/.well-known/acme-challenge/";
/// Pages of the proxy itself.
const OURS: &str = "/.summoner/";

/// Decides a host.
///
/// # Errors
/// A reason why it cannot be served at all.
pub(super) fn decide(
    host: &HostName,
    paths: &Paths<'_>,
    world: &World<'_>,
    upstreams: &mut BTreeSet<String>,
    told: &mut Vec<Refused>,
) -> Result<Site, String> {
    let said = merge::settings(host, paths, told);
    let settings = merge::with_defaults(said, &world.globals.settings);
    if let Some(reason) = certificate::fault(&settings, world.files) {
        told.extend(first_claim(paths).map(|claim| refused(&claim.by.name, Some(host), reason)));
    }
    let https = settings.https_method.unwrap_or(HttpsMethod::Redirect);
    let certificate = if https == HttpsMethod::NoHttps { None } else { certificate::choose(host, &settings, world.files) };
    let https = certificate::settle(&settings, certificate.is_some());
    let client_ca = certificate.as_ref().is_some_and(|certificate| certificate.client_ca.is_some());
    let verify_client = match (settings.verify_client, client_ca) {
        (Some(VerifyClient::On | VerifyClient::Optional), false) if certificate.is_some() => {
            return Err("ssl_verify_client: there is no certs/ca.crt, nor one of this host's, to know the clients by".into());
        }
        (Some(VerifyClient::On), _) if certificate.is_none() => {
            return Err("ssl_verify_client: without https no client can show a certificate".into());
        }
        // As nginx-proxy: an authority that lies there is used unless a label says otherwise.
        (None, true) => Some(VerifyClient::On),
        (said, _) => said,
    };
    let hsts = match (https, &certificate) {
        (HttpsMethod::NoRedirect | HttpsMethod::NoHttps, _) | (_, None) => None,
        _ => settings.hsts.unwrap_or(Some(HSTS)),
    };
    let acme_location = match settings.acme_location.unwrap_or(AcmeLocation::On) {
        AcmeLocation::On => true,
        AcmeLocation::Off => false,
        AcmeLocation::Legacy => certificate.is_some() && https == HttpsMethod::Redirect,
    };
    let debugged = settings.debug_endpoint.unwrap_or(false);
    let mut site = Site {
        name: host.clone(),
        aliases: Vec::new(),
        source: source(paths),
        hsts,
        policy: settings.ssl_policy,
        http2: settings.http2.unwrap_or(true),
        http3: settings.http3.unwrap_or(false),
        external_ports: external(host, paths, world, told),
        internal_only: settings.internal_only.unwrap_or(false),
        allow: Vec::new(),
        sign_ins: Vec::new(),
        server_tokens: settings.server_tokens,
        non_get_redirect: settings.non_get_redirect.unwrap_or(301),
        acme_location,
        verify_client,
        locations: Vec::new(),
        debug: None,
        include: names::include(host, &world.files.vhosts),
        certificate,
        https,
    };
    site.locations = locations(host, paths, world, debugged, upstreams, told);
    site.locations.extend(fallback(&site, world));
    site.locations.sort_by(|a, b| a.path.cmp(&b.path));
    site.debug = debugged.then(|| debug::text(&site, world.globals));
    Ok(site)
}

fn first_claim<'a, 'b>(paths: &'b Paths<'a>) -> Option<&'b Claim<'a>> {
    paths.values().flatten().min_by_key(|claim| (&claim.by.name, &claim.by.id))
}

/// `EXTERNAL_HTTP_PORT` and its sister, else where the proxy listens.
fn external(host: &HostName, paths: &Paths<'_>, world: &World<'_>, told: &mut Vec<Refused>) -> (u16, u16) {
    let mut claims: Vec<&Claim<'_>> = paths.values().flatten().collect();
    claims.sort_by_key(|claim| (&claim.by.name, &claim.by.id));
    let (mut http, mut https) = (None, None);
    for claim in claims {
        let mut tell = |what: &str| {
            let reason = format!("{what}: another container of this host says otherwise and is first by name");
            told.push(refused(&claim.by.name, Some(host), reason));
        };
        merge::take(&mut http, &claim.wish.external_http_port, "EXTERNAL_HTTP_PORT", &mut tell);
        merge::take(&mut https, &claim.wish.external_https_port, "EXTERNAL_HTTPS_PORT", &mut tell);
    }
    (http.unwrap_or(world.globals.http_port), https.unwrap_or(world.globals.https_port))
}

fn locations(
    host: &HostName,
    paths: &Paths<'_>,
    world: &World<'_>,
    debugged: bool,
    upstreams: &mut BTreeSet<String>,
    told: &mut Vec<Refused>,
) -> Vec<Location> {
    let mut locations: Vec<Location> = Vec::new();
    for (path, claims) in paths {
        let clash = match path {
            // nginx takes `/a` and `^~ /a` for the same location, and stops.
            PathMatch::PrefixOnly(text) if paths.contains_key(&PathMatch::Prefix(text.clone())) => Some("is there as a plain path too"),
            _ => reserved(path, debugged),
        };
        if let Some(reason) = clash {
            told.extend(claims.iter().map(|claim| refused(&claim.by.name, Some(host), format!("VIRTUAL_PATH: {path} {reason}"))));
            continue;
        }
        locations.extend(location::decide(host, path, claims, world, upstreams, told));
    }
    locations
}

/// Paths that the proxy answers itself; a second one of the same name would stop nginx.
fn reserved(path: &PathMatch, debugged: bool) -> Option<&'static str> {
    match path {
        PathMatch::Prefix(path) | PathMatch::PrefixOnly(path) if path == ACME => Some("is where authorities ask for challenges"),
        PathMatch::Exact(path) if debugged && path == debug::PATH => Some("is the debug endpoint"),
        PathMatch::Prefix(path) | PathMatch::PrefixOnly(path) | PathMatch::Exact(path) if path.starts_with(OURS) => {
            Some("belongs to the proxy's own pages")
        }
        _ => None,
    }
}

/// What paths that nobody serves are answered (`DEFAULT_ROOT`).
fn fallback(site: &Site, world: &World<'_>) -> Option<Location> {
    let root = PathMatch::Prefix("/".into());
    let taken = |location: &Location| matches!(&location.path, PathMatch::Prefix(path) | PathMatch::PrefixOnly(path) if path == "/");
    if site.locations.iter().any(taken) {
        return None;
    }
    let target = match &world.globals.default_root {
        DefaultRoot::None => return None,
        DefaultRoot::Status(status) => Target::Status(*status),
        DefaultRoot::Redirect { status, to } => redirect(site, *status, to).unwrap_or(Target::Status(404)),
    };
    Some(Location {
        replaced_by: names::replacement(&site.name, &root, &world.files.vhosts),
        include: None,
        passwords: None,
        path: root,
        target,
        settings: LocationSettings::default(),
    })
}

/// A redirect with its variables filled in as far as they are known for the site. The path that was asked for may come last.
fn redirect(site: &Site, status: u16, to: &Template) -> Option<Target> {
    let https = site.certificate.is_some() && site.https != HttpsMethod::NoHttps;
    let (parts, keep_path) = match to.0.split_last() {
        Some((Part::Variable(last), parts)) if last == "request_uri" => (parts, true),
        _ => (to.0.as_slice(), false),
    };
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable(name) => match (name.as_str(), &site.name) {
                ("scheme", _) => text.push_str(if https { "https" } else { "http" }),
                ("host" | "server_name", HostName::Exact(host)) => text.push_str(host),
                ("server_port", _) => text.push_str(&if https { site.external_ports.1 } else { site.external_ports.0 }.to_string()),
                _ => return None,
            },
        }
    }
    Some(Target::Redirect { to: text, status, keep_path })
}
