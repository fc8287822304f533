//! The text of the debug endpoint: what was decided for a host, as JSON in nginx-proxy's words.

use serde_json::{Map, Value, json};

use crate::plan::route::site::{Address, Site, Target};
use crate::vhost::{Globals, HostName, HttpsMethod, KeepAlive, Protocol, Trust};

/// Where it answers.
pub(super) const PATH: &str = "/nginx-proxy-debug";
/// Longest text as nginx is given it: a parameter with its quotes and escapes has at most 4,096 bytes, nginx-proxy stops at
/// 4,000, and the writer escapes a few characters more.
const MAX: usize = 3800;

/// The whole story when it fits, else without servers, else the name alone.
pub(super) fn text(site: &Site, globals: &Globals) -> String {
    let global = global(globals);
    let full = json!({ "global": global, "vhost": vhost(site, true) });
    let short = json!({ "global": global, "vhost": vhost(site, false), "warning": "the servers are left out: the text would be too long" });
    let least = json!({ "vhost": { "hostname": site.name.to_string() }, "warning": "all else is left out: the text would be too long" });
    let texts = [full, short].map(|value| ascii(&value.to_string()));
    texts.into_iter().find(|text| text.len() <= MAX).unwrap_or_else(|| ascii(&least.to_string()))
}

/// JSON's own escapes for whatever nginx would read in its own way.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) && !matches!(c, '$' | '\'') {
            text.push(c);
        } else {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

fn global(globals: &Globals) -> Value {
    let trust = match globals.trust {
        Trust::Nobody => "false",
        Trust::Everyone => "true",
        Trust::Networks(_) => "networks",
    };
    json!({
        "default_host": globals.default_host.as_ref().map(ToString::to_string),
        "enable_access_log": globals.access_log,
        "enable_ipv6": globals.ipv6,
        "enable_json_logs": globals.log_json,
        "external_http_port": globals.http_port.to_string(),
        "external_https_port": globals.https_port.to_string(),
        "sha1_upstream_name": globals.sha1_upstream,
        "trust_downstream_proxy": trust,
    })
}

fn vhost(site: &Site, servers: bool) -> Value {
    let mut paths = Map::new();
    for location in &site.locations {
        paths.insert(location.path.to_string(), path(&location.target, servers, site.internal_only));
    }
    let method = match site.https {
        HttpsMethod::Redirect => "redirect",
        HttpsMethod::NoRedirect => "noredirect",
        HttpsMethod::NoHttp => "nohttp",
        HttpsMethod::NoHttps => "nohttps",
    };
    json!({
        "hostname": site.name.to_string(),
        "is_regexp": matches!(site.name, HostName::Regex(_)),
        "cert": site.certificate.as_ref().map_or("", |certificate| certificate.stem.as_str()),
        "cert_ok": site.certificate.is_some(),
        "https_method": method,
        "hsts": site.hsts.map_or_else(|| "off".to_owned(), |hsts| format!("max-age={}", hsts.max_age)),
        "http2_enabled": site.http2,
        "http3_enabled": site.http3,
        "ssl_policy": site.policy.unwrap_or_default(),
        "acme_http_challenge_enabled": site.acme_location,
        "paths": paths,
    })
}

fn path(target: &Target, servers: bool, internal: bool) -> Value {
    let upstream = match target {
        Target::Upstream(upstream) => upstream,
        Target::Waiting { reason, .. } => return json!({ "waiting": reason }),
        Target::Redirect { to, .. } => return json!({ "redirect": to }),
        Target::Status(status) => return json!({ "status": status }),
        Target::Folder(_) => return json!({ "folder": true }),
    };
    let proto = match upstream.protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
        Protocol::Uwsgi => "uwsgi",
        Protocol::Fastcgi => "fastcgi",
        Protocol::Grpc => "grpc",
        Protocol::Grpcs => "grpcs",
    };
    let keepalive = match upstream.keepalive {
        KeepAlive::Auto => "auto".to_owned(),
        KeepAlive::Connections(number) => number.to_string(),
        KeepAlive::Disabled => "disabled".to_owned(),
    };
    let mut value = json!({
        "dest": upstream.dest.as_deref().unwrap_or_default(),
        "keepalive": keepalive,
        "network_tag": if internal { "internal" } else { "external" },
        "proto": proto,
        "upstream": upstream.name,
    });
    if servers && let Value::Object(object) = &mut value {
        let all: Vec<String> = upstream
            .servers
            .iter()
            .map(|server| match &server.address {
                Address::Ip(ip) => std::net::SocketAddr::new(*ip, server.port).to_string(),
                Address::Name(name) => format!("{name}:{}", server.port),
            })
            .collect();
        object.insert("servers".into(), json!(all));
    }
    value
}
