//! `routes:` of config.yml as sites.

use super::files::UserFiles;
use super::settings::{HSTS, ProxySettings};
use super::site::{Address, Certificate, Location, LocationSettings, Server, Site, Source, Target, Upgrade, Upstream, UserFile};
use super::{HTML, PASSWORDS};
use crate::config::{Route, RouteTarget};
use crate::vhost::{HostName, HttpsMethod, KeepAlive, PathMatch, Protocol};

/// The site of a route. Without a certificate http serves what https would lead to, unless only https may.
///
/// # Errors
/// The file of names and passwords that it names is not there: the host stays closed rather than open to everybody.
pub fn configured(route: &Route, certificate: Option<Certificate>, files: &UserFiles, settings: &ProxySettings) -> Result<Site, String> {
    let passwords = route.auth.as_deref().map(|name| password_file(name, files)).transpose()?;
    let whole = |(number, path, target): (usize, String, &RouteTarget)| Location {
        path: PathMatch::Prefix(path),
        target: target_of(route, number, target),
        settings: behaviour(route),
        replaced_by: None,
        include: None,
        passwords: passwords.clone(),
    };
    let paths = route.paths.iter().enumerate().map(|(number, (path, target))| (number + 1, path.clone(), target));
    let locations = paths.chain(route.to.iter().map(|target| (0, "/".to_owned(), target))).map(whole).collect();
    let https = match (route.https, &certificate) {
        (HttpsMethod::Redirect, None) => HttpsMethod::NoRedirect,
        (method, _) => method,
    };
    Ok(Site {
        name: HostName::Exact(route.host.as_str().to_owned()),
        aliases: route.aliases.clone(),
        source: Source::Config,
        certificate,
        https,
        hsts: (settings.https_port == 443).then_some(HSTS),
        policy: None,
        http2: true,
        http3: false,
        external_ports: (settings.http_port, settings.https_port),
        internal_only: false,
        allow: route.allow.clone(),
        sign_ins: Vec::new(),
        server_tokens: None,
        non_get_redirect: 308,
        acme_location: true,
        verify_client: None,
        locations,
        debug: None,
        include: None,
    })
}

fn password_file(name: &str, files: &UserFiles) -> Result<UserFile, String> {
    let fingerprint = files.passwords.get(name);
    let fingerprint =
        fingerprint.ok_or_else(|| format!("there is no file `{name}` in the proxy's folder htpasswd, which says who may come in"))?;
    Ok(UserFile { path: format!("{PASSWORDS}/{name}"), fingerprint: fingerprint.clone() })
}

fn behaviour(route: &Route) -> LocationSettings {
    LocationSettings {
        body_bytes: route.body_bytes,
        read_timeout: route.read_timeout,
        upgrade: Upgrade::Websocket,
        security_headers: true,
        ..LocationSettings::default()
    }
}

fn target_of(route: &Route, number: usize, target: &RouteTarget) -> Target {
    match target {
        RouteTarget::Redirect(to) => Target::Redirect { to: to.clone(), status: 301, keep_path: true },
        RouteTarget::Folder(name) => Target::Folder(format!("{HTML}/{name}")),
        RouteTarget::Answer(status) => Target::Status(*status),
        RouteTarget::Servers { tls, servers, path } => {
            let address = |host: &str| host.parse().map_or_else(|_| Address::Name(host.to_owned()), Address::Ip);
            let servers = servers.iter().map(|(host, port, weight)| Server { address: address(host), port: *port, weight: *weight });
            let name = if number == 0 { route.host.to_string() } else { format!("{}-{number}", route.host) };
            Target::Upstream(Upstream {
                name,
                protocol: if *tls { Protocol::Https } else { Protocol::Http },
                servers: servers.collect(),
                keepalive: KeepAlive::Auto,
                balance: None,
                dest: path.clone(),
                root: None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::route::render;

    fn route() -> Route {
        let servers = vec![("10.0.0.5".to_owned(), 8080, Some(3)), ("wiki.lan".to_owned(), 8080, None)];
        Route {
            host: "wiki.a.fr".parse().unwrap(),
            aliases: vec!["handbook.a.fr".parse().unwrap()],
            https: HttpsMethod::Redirect,
            to: Some(RouteTarget::Servers { tls: false, servers, path: None }),
            paths: vec![
                ("/old/".to_owned(), RouteTarget::Redirect("https://new.a.fr".to_owned())),
                ("/files/".to_owned(), RouteTarget::Folder("site".to_owned())),
            ],
            auth: Some("team".to_owned()),
            allow: vec!["192.0.2.0/24".parse().unwrap()],
            body_bytes: Some(0),
            read_timeout: None,
        }
    }

    #[test]
    fn a_route_is_a_site() {
        let settings = ProxySettings::own(80, 443, "summoner-edge");
        let files = UserFiles { passwords: BTreeMap::from([("team".to_owned(), "ab".to_owned())]), ..UserFiles::default() };
        let site = configured(&route(), None, &files, &settings).unwrap();
        let rendered = render(&[site], &settings);
        assert_eq!(rendered.rejected, []);
        let text = &rendered.generation.files["hosts/wiki.a.fr.conf"];
        for line in [
            "server 10.0.0.5:8080 weight=3;",
            "server wiki.lan:8080 resolve;",
            "allow 192.0.2.0/24;",
            "auth_basic \"Restricted wiki.a.fr/files/\";",
            "auth_basic_user_file /etc/nginx/htpasswd/team;",
            "alias /usr/share/nginx/html/site/;",
            "return 301 https://new.a.fr$request_uri;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("listen 443"), "no TLS without a certificate");
    }

    #[test]
    fn a_missing_list_of_people_keeps_it_closed() {
        let error = configured(&route(), None, &UserFiles::default(), &ProxySettings::own(80, 443, "edge")).unwrap_err();
        assert!(error.starts_with("there is no file `team`"), "{error}");
    }
}
