//! Our instances as sites: what a minion says of its route, with the proxy's own rules around it.

use ipnet::IpNet;

use super::settings::{HSTS, ProxySettings};
use super::site::{Address, Certificate, Location, LocationSettings, Server, Site, Source, Target, Upgrade, Upstream, UserFile};
use crate::minion::{self, PathTarget, RoutePath, SignIn};
use crate::name::{Domain, InstanceId};
use crate::vhost::{HostName, HttpsMethod, KeepAlive, PathMatch, Protocol};

/// One host of one of our instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// Whose it is.
    pub instance: InstanceId,
    /// Where people go.
    pub host: Domain,
    /// Names that redirect to it.
    pub aliases: Vec<Domain>,
    /// The container's name on the proxy's network.
    pub container: String,
    /// What the minion asks for.
    pub settings: minion::Route,
    /// Where people sign in.
    pub sign_ins: Vec<SignIn>,
    /// Only these networks; empty is everybody.
    pub allow: Vec<IpNet>,
    /// Who may come in; without a fingerprint the file is not there, and the host stays closed.
    pub passwords: Option<UserFile>,
    /// Fingerprint of the host's certificate (hexadecimal): a new one makes a new generation, so nginx loads it.
    pub certificate: String,
}

/// The site of a route.
#[must_use]
pub fn site(spec: &RouteSpec, settings: &ProxySettings) -> Site {
    let route = &spec.settings;
    let mut locations: Vec<Location> = route
        .redirects
        .iter()
        .map(|(from, to)| {
            let target = Target::Redirect { to: to.clone(), status: 301, keep_path: false };
            location(PathMatch::Exact(from.clone()), target, LocationSettings::default())
        })
        .collect();
    locations.extend(route.paths.iter().enumerate().map(|(number, path)| own_path(spec, number, path, settings)));
    let upstream = upstream(spec, spec.host.as_str().to_owned(), route.port, settings);
    locations.push(location(PathMatch::Prefix("/".to_owned()), Target::Upstream(upstream), whole(route)));
    for location in &mut locations {
        location.passwords.clone_from(&spec.passwords);
    }
    Site {
        name: HostName::Exact(spec.host.as_str().to_owned()),
        aliases: spec.aliases.clone(),
        source: Source::Instance(spec.instance.clone()),
        certificate: Some(Certificate {
            stem: spec.host.as_str().to_owned(),
            fingerprint: spec.certificate.clone(),
            dhparam: false,
            client_ca: None,
            client_crl: None,
        }),
        https: HttpsMethod::Redirect,
        // Only on the real port: a browser would hold a test server's promise against every other port of that name.
        hsts: (settings.https_port == 443).then_some(HSTS),
        policy: None,
        http2: true,
        http3: false,
        external_ports: (settings.http_port, settings.https_port),
        internal_only: false,
        allow: spec.allow.clone(),
        sign_ins: spec.sign_ins.clone(),
        server_tokens: None,
        non_get_redirect: 308,
        acme_location: true,
        verify_client: None,
        locations,
        debug: None,
        include: None,
    }
}

/// The sites of many routes.
#[must_use]
pub fn sites(specs: &[RouteSpec], settings: &ProxySettings) -> Vec<Site> {
    specs.iter().map(|spec| site(spec, settings)).collect()
}

fn upstream(spec: &RouteSpec, name: String, port: u16, settings: &ProxySettings) -> Upstream {
    Upstream {
        name,
        protocol: Protocol::Http,
        servers: vec![server(spec, port, settings)],
        keepalive: KeepAlive::Auto,
        balance: None,
        dest: None,
        root: None,
    }
}

/// A path that behaves in its own way.
fn own_path(spec: &RouteSpec, number: usize, path: &RoutePath, settings: &ProxySettings) -> Location {
    let text = path.path.clone();
    let target = match &path.to {
        PathTarget::Port(port) => {
            let port = port.unwrap_or(spec.settings.port);
            Target::Upstream(upstream(spec, format!("{}-{}", spec.host, number + 1), port, settings))
        }
        PathTarget::Redirect(to) => Target::Redirect { to: to.clone(), status: 301, keep_path: false },
        PathTarget::Answer(status) => Target::Status(*status),
    };
    let route = whole(&spec.settings);
    let upgrade = path.websocket.map_or(route.upgrade, websocket);
    let settings = LocationSettings {
        body_bytes: path.body_bytes.or(route.body_bytes),
        read_timeout: path.read_timeout.or(route.read_timeout),
        response_buffering: path.response_buffering.unwrap_or(route.response_buffering),
        request_buffering: path.request_buffering.unwrap_or(route.request_buffering),
        upgrade,
        ..route
    };
    location(if path.exact { PathMatch::Exact(text) } else { PathMatch::Prefix(text) }, target, settings)
}

fn websocket(wanted: bool) -> Upgrade {
    if wanted { Upgrade::Websocket } else { Upgrade::None }
}

/// The name with the network's behind it: Docker knows it in that form too, and asks no public name server for it when
/// the container is gone, where the plain `ghost-example.org` could be anybody's domain.
fn server(spec: &RouteSpec, port: u16, settings: &ProxySettings) -> Server {
    Server { address: Address::Name(format!("{}.{}", spec.container, settings.network)), port, weight: None }
}

fn location(path: PathMatch, target: Target, settings: LocationSettings) -> Location {
    Location { path, target, settings, replaced_by: None, include: None, passwords: None }
}

fn whole(route: &minion::Route) -> LocationSettings {
    LocationSettings {
        body_bytes: Some(route.body_bytes),
        connect_timeout: Some(route.connect_timeout),
        read_timeout: Some(route.read_timeout),
        send_timeout: route.send_timeout,
        response_buffering: route.response_buffering,
        request_buffering: route.request_buffering,
        upgrade: websocket(route.websocket),
        headers: route.headers.clone(),
        security_headers: true,
    }
}
