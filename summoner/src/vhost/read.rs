//! All that one container asks for, from its variables and labels.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{MAX_LIST, Read, Words, port, word};
use super::{Asked, HostName, PathMatch, Protocol, Wish, certificate, host, labels, multiports, path, settings};

/// Most hosts of one container.
const MAX_HOSTS: usize = 300;
/// Most routes of one container.
const MAX_ROUTES: usize = 1000;
/// Where `FastCGI` finds its files unless `VIRTUAL_ROOT` says otherwise.
const ROOT: &str = "/var/www/public";

/// What a container asks of the proxy; None when it asks for nothing.
///
/// A host that does not parse is left out alone. A setting that does not parse (`HTTPS_METHOD=rediret`, a port, a label) takes
/// the routes of the whole container away: to serve it in another way than asked could show to all what was meant for few.
/// What concerns the certificate alone leaves the routes.
#[must_use]
pub fn read(environment: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> Option<Asked> {
    let mut words = Words::new(environment, "");
    let asks = ["VIRTUAL_HOST", "VIRTUAL_HOST_MULTIPORTS"].iter().any(|key| words.get(key).is_some());
    let certificate = certificate::of_container(&mut words);
    if !asks && certificate.is_none() && words.refusals.is_empty() {
        return None;
    }
    let mut asked = Asked { certificate, ..Asked::default() };
    if asks {
        let before = words.refusals.len();
        asked.settings = settings::of_container(&mut words);
        let mut of_labels = Words::new(labels, labels::PREFIX);
        labels::read(&mut of_labels, &mut asked.settings);
        words.refusals.append(&mut of_labels.refusals);
        let usable = words.refusals.len() == before;
        let wishes = wishes(&mut words);
        if usable {
            asked.wishes = wishes;
        }
    }
    asked.refusals = words.refusals;
    Some(asked)
}

/// One path, before it is known for which hosts.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) path: PathMatch,
    pub(super) dest: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Protocol,
    pub(super) root: Option<String>,
}

impl Default for Route {
    fn default() -> Self {
        Self { path: PathMatch::Prefix("/".into()), dest: None, port: None, protocol: Protocol::Http, root: None }
    }
}

impl Route {
    /// nginx cannot replace what an expression matched.
    pub(super) fn check(self) -> Read<Self> {
        match matches!(self.path, PathMatch::Regex { .. }) && self.dest.is_some() {
            true => Err("a path that is an expression cannot have a destination".into()),
            false => Ok(self),
        }
    }

    pub(super) fn wish(self, host: HostName, (http, https): (Option<u16>, Option<u16>)) -> Wish {
        let root = (self.protocol == Protocol::Fastcgi).then(|| self.root.unwrap_or_else(|| ROOT.to_owned()));
        // Only `proxy_pass` can replace a path; nginx-proxy leaves it alone for the others.
        let dest = self.dest.filter(|_| matches!(self.protocol, Protocol::Http | Protocol::Https));
        Wish {
            host,
            path: self.path,
            dest,
            port: self.port,
            protocol: self.protocol,
            root,
            external_http_port: http,
            external_https_port: https,
        }
    }
}

/// `VIRTUAL_PROTO`.
pub(super) fn protocol(text: &str) -> Read<Protocol> {
    let words = [
        ("http", Protocol::Http),
        ("https", Protocol::Https),
        ("uwsgi", Protocol::Uwsgi),
        ("fastcgi", Protocol::Fastcgi),
        ("grpc", Protocol::Grpc),
        ("grpcs", Protocol::Grpcs),
    ];
    word(text, &words)
}

fn wishes(words: &mut Words<'_>) -> Vec<Wish> {
    let before = words.refusals.len();
    let root = words.take("VIRTUAL_ROOT", path::root);
    let external = (words.take("EXTERNAL_HTTP_PORT", port), words.take("EXTERNAL_HTTPS_PORT", port));
    let mut wishes = match words.get("VIRTUAL_HOST_MULTIPORTS") {
        Some(text) if words.refusals.len() == before => multiports::read(words, text, root.as_deref()),
        Some(_) => Vec::new(),
        None => simple(words, root, before),
    };
    for wish in &mut wishes {
        wish.external_http_port = wish.external_http_port.or(external.0);
        wish.external_https_port = wish.external_https_port.or(external.1);
    }
    let mut seen = BTreeSet::new();
    wishes.retain(|wish| seen.insert((wish.host.clone(), wish.path.clone())));
    if wishes.len() > MAX_ROUTES {
        words.refuse("VIRTUAL_HOST", format!("the container has {} routes; at most {MAX_ROUTES} are served", wishes.len()));
        wishes.truncate(MAX_ROUTES);
    }
    wishes
}

/// `VIRTUAL_HOST`, with one path and port for all hosts.
fn simple(words: &mut Words<'_>, root: Option<String>, before: usize) -> Vec<Wish> {
    let route = Route {
        path: words.take("VIRTUAL_PATH", path::parse).unwrap_or(PathMatch::Prefix("/".into())),
        dest: words.take("VIRTUAL_DEST", path::dest),
        port: words.take("VIRTUAL_PORT", port),
        protocol: words.take("VIRTUAL_PROTO", protocol).unwrap_or(Protocol::Http),
        root,
    };
    let route = match route.check() {
        Ok(route) if words.refusals.len() == before => route,
        Ok(_) => return Vec::new(),
        Err(reason) => {
            words.refuse("VIRTUAL_DEST", reason);
            return Vec::new();
        }
    };
    hosts(words).into_iter().map(|host| route.clone().wish(host, (None, None))).collect()
}

fn hosts(words: &mut Words<'_>) -> Vec<HostName> {
    const KEY: &str = "VIRTUAL_HOST";
    let text = words.get(KEY).unwrap_or_default();
    if text.len() > MAX_LIST {
        words.refuse(KEY, format!("it has {} bytes; at most {MAX_LIST} are read", text.len()));
        return Vec::new();
    }
    let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.len() > MAX_HOSTS {
        words.refuse(KEY, format!("it names {} hosts; at most {MAX_HOSTS} are served", entries.len()));
        return Vec::new();
    }
    let mut hosts = Vec::new();
    for entry in entries {
        match host::parse(entry) {
            Ok(names) => hosts.extend(names),
            Err(reason) => words.refuse(KEY, reason),
        }
    }
    hosts
}
