//! Where nginx stands, and the proxy's settings: the container that it is in, the variables, the owner's files.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use crate::disk;
use crate::docker::{Described, Engine};
use crate::error::Result;
use crate::nginx::asking::joined;
use crate::plan::route::features::Features;
use crate::plan::route::files::UserFiles;
use crate::plan::route::resolve::ProxyView;
use crate::plan::route::settings::{AccessLog, Arrangement, Escape, Listen, ProxySettings, Resolvers, Trust};
use crate::plan::route::site::UserFile;
use crate::vhost::{self, Globals};

/// `/proc/self/mountinfo` and `/etc/resolv.conf` are a few kB.
const MAX_BYTES: u64 = 1 << 20;

/// What nginx's container sees; None is the host itself. `inward` are the networks that reach nothing outside.
pub(super) fn of(container: Option<&Described>, inward: &BTreeSet<String>) -> ProxyView {
    let Some(found) = container else { return ProxyView { host_mode: true, ..ProxyView::default() } };
    let networks = found.networks.iter().map(|(name, place)| (name.clone(), joined(place, inward.contains(name)))).collect();
    // By address: a name is looked up again only after two seconds, a reload is done in a fraction of one.
    ProxyView { networks, host_mode: found.host_mode, resolve_names: false }
}

/// The container that this process runs in; None on a host.
pub(super) async fn own_container<E: Engine>(engine: &E) -> Result<Option<Described>> {
    let text = disk::read_if_there(Path::new("/proc/self/mountinfo"), MAX_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // Docker mounts these three from the container's own folder.
    let own = |line: &&str| [" /etc/hostname ", " /etc/hosts ", " /etc/resolv.conf "].iter().any(|path| line.contains(path));
    let hexadecimal = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    match text.lines().filter(own).find_map(|line| line.split(['/', ' ']).find(hexadecimal)) {
        Some(id) => engine.describe(id).await,
        None => Ok(None),
    }
}

/// The proxy's settings; the ports are those of the outside world.
pub(super) fn settings(
    arrangement: Arrangement,
    ports: (u16, u16),
    globals: &Globals,
    files: &UserFiles,
    features: &Features,
) -> ProxySettings {
    let single =
        |name: &str, hash: &Option<String>| hash.clone().map(|fingerprint| UserFile { path: format!("/etc/nginx/{name}"), fingerprint });
    let base = match arrangement {
        Arrangement::Own => ProxySettings::own(ports.0, ports.1, ""),
        Arrangement::Classic => {
            ProxySettings { resolvers: Resolvers { servers: name_servers(), ..Resolvers::default() }, ..ProxySettings::classic() }
        }
    };
    let asked = globals.resolvers.as_ref().map(|asked| Resolvers {
        servers: asked.servers.clone(),
        valid_s: asked.valid_s,
        ipv6: asked.ipv6.unwrap_or(true),
    });
    let default = files.certificates.get("default").filter(|pair| pair.fault.is_none());
    ProxySettings {
        arrangement,
        features: features.clone(),
        http_port: ports.0,
        https_port: ports.1,
        listen: Listen { http: globals.http_port, https: globals.https_port, ipv6: globals.ipv6, proxy_protocol: globals.proxy_protocol },
        trust: match &globals.trust {
            vhost::Trust::Nobody => Trust::Nobody,
            vhost::Trust::Everyone => Trust::Everybody,
            vhost::Trust::Networks(networks) => Trust::Networks(networks.clone()),
        },
        log: log(globals),
        resolvers: asked.unwrap_or_else(|| base.resolvers.clone()),
        server_tokens: globals.settings.server_tokens.or(base.server_tokens),
        policy: globals.settings.ssl_policy.unwrap_or(base.policy),
        default_host: globals.default_host.clone(),
        default_certificate: default.map(|pair| pair.fingerprint.clone()),
        acme_unknown_host: globals.acme_unknown_host,
        conf: files.conf.iter().filter_map(|(name, hash)| single(&format!("conf.d/{name}"), &Some(hash.clone()))).collect(),
        dhparam: single("dhparam/dhparam.pem", &files.dhparam).filter(|_| !globals.dhparam_skip),
        internal: single("network_internal.conf", &files.internal),
        proxy_conf: single("proxy.conf", &files.proxy),
        ..base
    }
}

fn log(globals: &Globals) -> AccessLog {
    match &globals.log_format {
        _ if !globals.access_log => AccessLog::Off,
        _ if globals.log_json => AccessLog::Json,
        None => AccessLog::Vhost,
        Some(format) => AccessLog::Format {
            text: format.line.to_string(),
            escape: match format.escape {
                "json" => Escape::Json,
                "none" => Escape::None,
                _ => Escape::Default,
            },
        },
    }
}

/// Those of this machine, or of the container that we are in.
fn name_servers() -> Vec<(IpAddr, Option<u16>)> {
    let text = disk::read_if_there(Path::new("/etc/resolv.conf"), MAX_BYTES).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok()).map(|address| (address, None)).collect()
}
