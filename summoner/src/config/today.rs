//! Today's form of config.yml (`version: 1`), field by field.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::apps::app_name;
use super::backup::WrittenBackup;
use super::routes::network;
use super::written::{At, Written, WrittenApp};
use super::{Proxy, Resources};
use super::{access, bans, certificates, encryption, outside, values};
use crate::fault::Faults;
use crate::name::Domain;
use crate::yaml::{Fields, Node, kind_of};

/// Reads everything that stands there; faults are recorded and leave their field empty.
pub(super) fn read(node: &Node, faults: &mut Faults) -> Option<Written> {
    let mut fields = Fields::open(node, "", faults)?;
    fields.take("version");
    // Read when the apps have their hosts: `load`.
    fields.take("routes");
    // Read when the storage roots are known: `load`.
    fields.take("repositories");
    let mut written = Written {
        domain: fields.require("domain", faults).and_then(|node| domain(node, "domain", faults)),
        email: fields.require("email", faults).and_then(|node| checked(node, "email", values::email, faults)),
        timezone: timezone(&mut fields, faults),
        ..Written::default()
    };
    storage(&mut fields, &mut written, faults);
    written.certificates = certificates::read(fields.take("certificates"), faults);
    proxy(&mut fields, &mut written, faults);
    written.bans = bans::read(fields.take("bans"), faults);
    written.encryption = encryption::read(fields.take("encryption"), faults);
    written.outside = outside::read(&mut fields, faults);
    if let Some(mut networks) = fields.take("networks").and_then(|node| Fields::open(node, "networks", faults)) {
        written.network_range = networks.take("range").and_then(|node| checked(node, "networks.range", values::network_range, faults));
        written.edge_network = networks.take("edge").and_then(|node| checked(node, "networks.edge", values::network_name, faults));
        networks.finish(faults);
    }
    written.daemon = fields.boolean("daemon", faults);
    written.parallel = fields.take("parallel").and_then(|node| checked(node, "parallel", values::parallel, faults));
    written.backup = WrittenBackup::read(fields.take("backup"), "backup", faults);
    written.apps = fields.take("apps").map(|node| apps(node, faults)).unwrap_or_default();
    fields.finish(faults);
    Some(written)
}

fn timezone(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<String> {
    let node = fields.take("timezone")?;
    let text = node.text("timezone", faults)?;
    match values::timezone(&text) {
        Ok(zone) => Some(zone),
        Err(help) => {
            faults.error_with_help(&node.span, format!("`{}` is no time zone", values::short(&text)), help);
            None
        }
    }
}

fn storage(fields: &mut Fields<'_>, written: &mut Written, faults: &mut Faults) {
    let Some(mut storage) = fields.take("storage").and_then(|node| Fields::open(node, "storage", faults)) else { return };
    written.files = storage.take("files").and_then(|node| path(node, "storage.files", faults));
    written.databases = storage.take("databases").and_then(|node| path(node, "storage.databases", faults));
    storage.finish(faults);
}

pub(super) fn path(node: &Node, what: &str, faults: &mut Faults) -> Option<At<String>> {
    node.text(what, faults).map(|text| At::new(text, &node.span))
}

fn proxy(fields: &mut Fields<'_>, written: &mut Written, faults: &mut Faults) {
    let Some(node) = fields.take("proxy") else { return };
    let Some(mut proxy) = Fields::open(node, "proxy", faults) else { return };
    written.proxy_minion = proxy.take("minion").and_then(|node| path(node, "proxy.minion", faults));
    let address = proxy.take("address").and_then(|node| {
        checked(
            node,
            "proxy.address",
            |text| IpAddr::from_str(text).map_err(|_| format!("`{}` is no IP address of this host", values::short(text))),
            faults,
        )
    });
    let trusted = trusted(&mut proxy, faults);
    let default = Proxy::default();
    let http = port(&mut proxy, "http_port", default.http_port, faults);
    let https = port(&mut proxy, "https_port", default.https_port, faults);
    if let (Some(http_port), Some(https_port)) = (http, https) {
        if http_port == https_port {
            faults.error(&node.span, format!("proxy.http_port and proxy.https_port are both {http_port}"));
        }
        written.proxy = Proxy { address, http_port, https_port, trusted };
    }
    proxy.finish(faults);
}

fn trusted(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<IpNet> {
    let texts = fields.take("trusted").map(|node| node.as_list().map_or_else(|| vec![node], |items| items.iter().collect()));
    texts.into_iter().flatten().filter_map(|node| checked(node, "proxy.trusted", network, faults)).collect()
}

fn port(fields: &mut Fields<'_>, key: &'static str, default: u16, faults: &mut Faults) -> Option<u16> {
    let what = fields.name(key);
    let Some(node) = fields.take(key) else { return Some(default) };
    let port = node.text(&what, faults)?;
    let number = port.parse::<u16>().ok().filter(|port| *port > 0);
    if number.is_none() {
        faults.error(&node.span, format!("{what} is a port, 1 to 65535, not `{}`", values::short(&port)));
    }
    number
}

fn apps(node: &Node, faults: &mut Faults) -> Vec<WrittenApp> {
    let Some(entries) = node.as_map() else {
        if !node.is_null() {
            let help = "each app is a key of its own, such as `ghost:` (without a dash before it)";
            faults.error_with_help(&node.span, format!("apps must be a mapping, but {} stands here", kind_of(node)), help);
        }
        return Vec::new();
    };
    let mut apps = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| !key.text.starts_with("x-")) {
        let name = app_name(&key.text, &key.span, faults);
        // A faulty name does not hide the faults of what stands below it.
        let path = format!("apps.{}", values::short(&key.text));
        let placeholder = || "app".parse().ok().map(|app| At::new(app, &key.span));
        let found = name.clone().or_else(placeholder).and_then(|at| app(WrittenApp::named(at), node, &path, faults));
        apps.extend(found.filter(|_| name.is_some()));
    }
    apps
}

fn app(mut app: WrittenApp, node: &Node, at: &str, faults: &mut Faults) -> Option<WrittenApp> {
    let mut fields = Fields::open(node, at, faults)?;
    let name = |key: &str| format!("{at}.{key}");
    app.minion = fields.take("minion").and_then(|node| path(node, &name("minion"), faults));
    app.subdomain = fields.take("subdomain").and_then(|node| path(node, &name("subdomain"), faults));
    app.domains = domains(&mut fields, faults);
    app.aliases = fields.take("aliases").map(|node| list(node, &name("aliases"), faults)).unwrap_or_default();
    app.environment = fields.take("environment").map(|node| environment(node, &name("environment"), faults)).unwrap_or_default();
    if let Some(mut resources) = fields.take("resources").and_then(|node| Fields::open(node, name("resources"), faults)) {
        app.resources = Resources {
            memory_bytes: resources.take("memory").and_then(|node| checked(node, &name("resources.memory"), values::memory, faults)),
            nano_cpus: resources.take("cpus").and_then(|node| checked(node, &name("resources.cpus"), values::cpus, faults)),
        };
        resources.finish(faults);
    }
    app.version = fields.take("version").and_then(|node| checked(node, &name("version"), values::tag, faults));
    app.access = access::read(fields.take("access"), &name("access"), faults);
    app.backup = WrittenBackup::read(fields.take("backup"), &name("backup"), faults);
    fields.finish(faults);
    Some(app)
}

fn domains(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<At<Domain>> {
    let (one, many) = (fields.name("domain"), fields.name("domains"));
    let single = fields.take("domain");
    match (single, fields.take("domains")) {
        (None, None) => Vec::new(),
        (Some(node), None) => domain(node, &one, faults).into_iter().collect(),
        (None, Some(node)) => list(node, &many, faults),
        (Some(node), Some(_)) => {
            faults.error_with_help(&node.span, format!("{one} and {many} are both there"), "put all of them into `domains:`");
            Vec::new()
        }
    }
}

pub(super) fn domain(node: &Node, what: &str, faults: &mut Faults) -> Option<At<Domain>> {
    let domain = checked(node, what, |text| Domain::from_str(text).map_err(|error| error.to_string()), faults)?;
    Some(At::new(domain, &node.span))
}

/// A list of domains, each at most once; one alone needs no list.
fn list(node: &Node, what: &str, faults: &mut Faults) -> Vec<At<Domain>> {
    let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut all: Vec<At<Domain>> = Vec::new();
    for (at, item) in nodes.iter().enumerate() {
        let Some(domain) = domain(item, &format!("{what}[{at}]"), faults) else { continue };
        if all.iter().any(|known| known.value == domain.value) {
            faults.error(&item.span, format!("{what} holds {} twice", domain.value));
        } else {
            all.push(domain);
        }
    }
    all
}

fn environment(node: &Node, what: &str, faults: &mut Faults) -> BTreeMap<String, String> {
    let entries = node.entries(what, faults).unwrap_or_default();
    let mut all = BTreeMap::new();
    for (key, value) in entries {
        if !values::variable(&key.text) {
            faults.error(
                &key.span,
                format!("`{}` in {what} is no name for a variable: letters, digits and _, no digit first", values::short(&key.text)),
            );
        } else if let Some(text) = value.text(&format!("{what}.{}", key.text), faults) {
            all.insert(key.text.clone(), text);
        }
    }
    all
}

/// A text that must pass a check; the check's sentence becomes the fault.
pub(super) fn checked<T>(node: &Node, what: &str, check: impl Fn(&str) -> Result<T, String>, faults: &mut Faults) -> Option<T> {
    let text = node.text(what, faults)?;
    check(&text).map_err(|reason| faults.error(&node.span, format!("{what}: {reason}"))).ok()
}
