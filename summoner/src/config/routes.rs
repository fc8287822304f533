//! `routes:` of config.yml: hosts that lead to something that is no app of ours — another machine, a port of this one, a
//! redirect, a folder of files.
//!
//! Text in, values out; `plan::route` makes sites of them. Nothing here is nginx's own words.

use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::hosts::Hosts;
use super::today::{checked, domain};
use super::values;
use super::written::At;
use crate::fault::Faults;
use crate::name::Domain;
use crate::vhost::HttpsMethod;
use crate::yaml::{Fields, Node, kind_of};

/// Most routes of one file, and most paths and servers of one route.
const MAX: usize = 500;

/// A host that leads to something that is no app of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where people go.
    pub host: Domain,
    /// Names that redirect to it.
    pub aliases: Vec<Domain>,
    /// What http and https do.
    pub https: HttpsMethod,
    /// Where `/` leads; None where only `paths` lead anywhere.
    pub to: Option<RouteTarget>,
    /// Paths that lead elsewhere.
    pub paths: Vec<(String, RouteTarget)>,
    /// Name of a file in `proxy/htpasswd/`: who may come in.
    pub auth: Option<String>,
    /// Only these networks; empty is everybody.
    pub allow: Vec<IpNet>,
    /// Largest request body in bytes; 0 is without limit.
    pub body_bytes: Option<u64>,
    /// How long what stands behind may be silent.
    pub read_timeout: Option<Duration>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// To these; at least one, all by http or all by https.
    Servers {
        /// TLS on the way to them.
        tls: bool,
        /// Host, port, share of the requests.
        servers: Vec<(String, u16, Option<u32>)>,
        /// What takes the path's place.
        path: Option<String>,
    },
    /// Elsewhere, with the rest of what was asked for.
    Redirect(String),
    /// To the files of a folder of this name in `proxy/html/`.
    Folder(String),
    /// An empty answer with this status.
    Answer(u16),
}

/// Reads the list; each host is claimed, so that no app has it too.
pub(super) fn read(node: Option<&Node>, hosts: &mut Hosts, faults: &mut Faults) -> Vec<Route> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
    let Some(items) = node.as_list() else {
        let help = "begin each with a dash: `- {host: wiki.example.org, to: \"http://10.0.0.5:8080\"}`";
        faults.error_with_help(&node.span, format!("routes must be a list, but {} stands here", kind_of(node)), help);
        return Vec::new();
    };
    if let Some(item) = items.get(MAX) {
        faults.error(&item.span, format!("routes holds more than {MAX}"));
    }
    items.iter().take(MAX).enumerate().filter_map(|(at, item)| route(item, &format!("routes[{at}]"), hosts, faults)).collect()
}

fn route(node: &Node, at: &str, hosts: &mut Hosts, faults: &mut Faults) -> Option<Route> {
    let mut fields = Fields::open(node, at, faults)?;
    let name = |key: &str| format!("{at}.{key}");
    let host = fields.require("host", faults).and_then(|node| domain(node, &name("host"), faults));
    let aliases: Vec<At<Domain>> = list(fields.take("aliases"), &name("aliases"), domain, faults);
    let https = fields.take("https").and_then(|node| checked(node, &name("https"), https, faults)).unwrap_or(HttpsMethod::Redirect);
    let to = target(&mut fields, at, faults);
    let paths = paths(fields.take("paths"), &name("paths"), faults);
    let auth = fields.take("auth").and_then(|node| checked(node, &name("auth"), file_name, faults));
    let allow = list(fields.take("allow"), &name("allow"), |node, what, faults| checked(node, what, network, faults), faults);
    let body_bytes = fields.take("body").and_then(|node| checked(node, &name("body"), values::size, faults));
    let read_timeout = fields.take("read_timeout").and_then(|node| checked(node, &name("read_timeout"), values::duration, faults));
    fields.finish(faults);
    for claimed in host.iter().chain(&aliases) {
        hosts.claim(claimed, at, faults);
    }
    let to = to?;
    if to.is_none() && paths.is_empty() {
        faults.error_with_help(&node.span, format!("{at} leads nowhere"), "say one of `to`, `redirect`, `folder`, `answer`, or `paths`");
        return None;
    }
    let aliases = aliases.into_iter().map(|alias| alias.value).collect();
    Some(Route { host: host?.value, aliases, https, to, paths, auth, allow, body_bytes, read_timeout })
}

pub(super) fn list<T>(node: Option<&Node>, what: &str, one: impl Fn(&Node, &str, &mut Faults) -> Option<T>, faults: &mut Faults) -> Vec<T> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if let Some(item) = items.get(MAX) {
        faults.error(&item.span, format!("{what} holds more than {MAX}"));
    }
    items.iter().take(MAX).enumerate().filter_map(|(at, item)| one(item, &format!("{what}[{at}]"), faults)).collect()
}

/// One of `to`, `redirect`, `folder`, `answer`. The outer None is a fault, the inner one says nothing.
fn target(fields: &mut Fields<'_>, at: &str, faults: &mut Faults) -> Option<Option<RouteTarget>> {
    let name = |key: &str| format!("{at}.{key}");
    let found: Vec<(&'static str, &Node)> =
        ["to", "redirect", "folder", "answer"].into_iter().filter_map(|key| fields.take(key).map(|node| (key, node))).collect();
    match found.as_slice() {
        [] => Some(None),
        [("to", node)] => servers(node, &name("to"), faults).map(Some),
        [("redirect", node)] => checked(node, &name("redirect"), redirect, faults).map(|to| Some(RouteTarget::Redirect(to))),
        [("folder", node)] => checked(node, &name("folder"), folder, faults).map(|folder| Some(RouteTarget::Folder(folder))),
        [(_, node)] => checked(node, &name("answer"), answer, faults).map(|status| Some(RouteTarget::Answer(status))),
        [(first, _), (second, node), ..] => {
            faults.error(&node.span, format!("{at} leads to one place, but both `{first}` and `{second}` are there"));
            None
        }
    }
}

/// A URL, or a list of URLs, or of `{url: …, weight: …}`.
fn servers(node: &Node, what: &str, faults: &mut Faults) -> Option<RouteTarget> {
    let found: Vec<(Url, Option<u32>)> = list(Some(node), what, server, faults);
    let wanted = node.as_list().map_or(1, <[Node]>::len);
    let ((first, _), rest) = found.split_first()?;
    if found.len() != wanted {
        return None;
    }
    if rest.iter().any(|(url, _)| (url.tls, &url.path) != (first.tls, &first.path)) {
        faults.error(&node.span, format!("{what}: all of them need the same scheme and the same path"));
        return None;
    }
    let (tls, path) = (first.tls, first.path.clone());
    let servers = found.into_iter().map(|(url, weight)| (url.host, url.port, weight)).collect();
    Some(RouteTarget::Servers { tls, servers, path })
}

fn server(node: &Node, what: &str, faults: &mut Faults) -> Option<(Url, Option<u32>)> {
    if node.as_map().is_none() {
        return checked(node, what, url, faults).map(|url| (url, None));
    }
    let mut fields = Fields::open(node, what, faults)?;
    let found = fields.require("url", faults).and_then(|node| checked(node, &format!("{what}.url"), url, faults));
    let weight = fields.take("weight").and_then(|node| checked(node, &format!("{what}.weight"), weight, faults));
    fields.finish(faults);
    Some((found?, weight))
}

fn paths(node: Option<&Node>, what: &str, faults: &mut Faults) -> Vec<(String, RouteTarget)> {
    let entries = node.and_then(|node| node.entries(what, faults)).unwrap_or_default();
    if let Some((key, _)) = entries.get(MAX) {
        faults.error(&key.span, format!("{what} holds more than {MAX}"));
    }
    let mut all = Vec::new();
    for (key, node) in entries.iter().take(MAX) {
        let at = format!("{what}.{}", values::short(&key.text));
        if !key.text.starts_with('/') || key.text == "/" {
            faults.error_with_help(
                &key.span,
                format!("{at} is no path such as /api/"),
                "`/` itself is what the route says without `paths`",
            );
            continue;
        }
        let Some(mut fields) = Fields::open(node, at.as_str(), faults) else { continue };
        let found = target(&mut fields, &at, faults);
        fields.finish(faults);
        match found {
            Some(Some(target)) => all.push((key.text.clone(), target)),
            Some(None) => faults.error(&key.span, format!("{at} leads nowhere: say one of `to`, `redirect`, `folder`, `answer`")),
            None => {}
        }
    }
    all
}

/// An address of something behind the proxy.
struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: Option<String>,
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = || format!("`{}` is no address such as http://10.0.0.5:8080", values::short(text));
    let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(wrong()),
    };
    let (authority, path) = rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(rest[at..].to_owned())));
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end..].rfind(':') {
        Some(at) => (&authority[..end + at], authority[end + at + 1..].parse::<u16>().map_err(|_| wrong())?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain =
        host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let address = host.parse::<std::net::IpAddr>().is_ok();
    if !(plain || address) || port == 0 || path.as_ref().is_some_and(|path| !plain_text(path)) {
        return Err(wrong());
    }
    Ok(Url { tls, host: host.to_owned(), port, path: path.filter(|path| path != "/") })
}

/// What can be given to nginx without being read in its own way.
fn plain_text(text: &str) -> bool {
    text.bytes().all(|b| (b'!'..=b'~').contains(&b) && !b"$\"'\\{};#?".contains(&b))
}

fn https(text: &str) -> Result<HttpsMethod, String> {
    match text {
        "redirect" => Ok(HttpsMethod::Redirect),
        "both" => Ok(HttpsMethod::NoRedirect),
        "only" => Ok(HttpsMethod::NoHttp),
        "never" => Ok(HttpsMethod::NoHttps),
        _ => Err(format!("`{}` is none of redirect, both, only, never", values::short(text))),
    }
}

fn redirect(text: &str) -> Result<String, String> {
    let whole = text.starts_with("https://") || text.starts_with("http://");
    if whole && text.bytes().all(|b| (b'!'..=b'~').contains(&b) && !b"$\"'\\{};".contains(&b)) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!("`{}` is no address such as https://example.net", values::short(text)))
    }
}

/// nginx's container sees only what is mounted into it.
fn folder(text: &str) -> Result<String, String> {
    file_name(text).map_err(|_| {
        format!(
            "`{}` is no name of a folder in the proxy's html folder: put the files into <storage.files>/summoner/proxy/html/<name>, which \
             nginx sees, and write its name",
            values::short(text)
        )
    })
}

pub(super) fn file_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && !text.is_empty() && text.len() <= 200 && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no name of a file: letters, digits, `-`, `_` and `.`", values::short(text)))
    }
}

fn answer(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (200..600).contains(status));
    status.ok_or_else(|| format!("`{}` is no status such as 404", values::short(text)))
}

fn weight(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| (1..=1000).contains(weight));
    weight.ok_or_else(|| format!("`{}` is no weight: 1 to 1000", values::short(text)))
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    IpNet::from_str(text).or_else(|_| single()).map_err(|_| format!("`{}` is no network such as 192.0.2.0/24", values::short(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::{loaded, surroundings};
    use crate::fault::Source;

    const HEAD: &str = "version: 1\ndomain: a.org\nemail: you@a.org\napps: {ghost: }\nroutes:\n";

    #[test]
    fn all_kinds_of_targets() {
        let text = "\
- host: wiki.a.org
  to: http://10.0.0.5:8080
- host: pool.a.org
  aliases: [www.pool.a.org]
  to: [{url: 'https://[fd00::1]:8443/base/', weight: 3}, 'https://two.lan:8443/base/']
  allow: [192.0.2.0/24, 198.51.100.7]
  auth: team
  body: 1g
  read_timeout: 5m
  https: both
- {host: old.a.org, redirect: 'https://new.a.org/'}
- host: files.a.org
  folder: site
  paths: {/api/: {to: 'http://10.0.0.6'}, /gone: {answer: 410}}
";
        let routes = loaded(&format!("{HEAD}{text}")).0.routes;
        let servers = |tls, servers: &[(&str, u16, Option<u32>)], path: Option<&str>| RouteTarget::Servers {
            tls,
            servers: servers.iter().map(|(host, port, weight)| ((*host).to_owned(), *port, *weight)).collect(),
            path: path.map(str::to_owned),
        };
        assert_eq!(routes[0].to, Some(servers(false, &[("10.0.0.5", 8080, None)], None)));
        assert_eq!(routes[1].to, Some(servers(true, &[("fd00::1", 8443, Some(3)), ("two.lan", 8443, None)], Some("/base/"))));
        assert_eq!((routes[1].https, routes[1].body_bytes, routes[1].allow.len()), (HttpsMethod::NoRedirect, Some(1 << 30), 2));
        assert_eq!((routes[1].read_timeout, routes[1].auth.as_deref()), (Some(Duration::from_secs(300)), Some("team")));
        assert_eq!(routes[2].to, Some(RouteTarget::Redirect("https://new.a.org".to_owned())));
        assert_eq!(routes[3].to, Some(RouteTarget::Folder("site".to_owned())));
        assert_eq!(routes[3].paths[0], ("/api/".to_owned(), servers(false, &[("10.0.0.6", 80, None)], None)));
        assert_eq!(routes[3].paths[1], ("/gone".to_owned(), RouteTarget::Answer(410)));
    }

    #[test]
    fn every_fault_says_what_would_be_right() {
        let faults = |text: &str| match crate::config::load(&Source::new("config.yml", format!("{HEAD}{text}\n")), &surroundings()) {
            Ok(_) => panic!("no fault: {text}"),
            Err(faults) => faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join(" | "),
        };
        let all = [
            "- {host: blog.a.org, answer: 404}",
            "- {host: x.a.org}",
            "- {host: x.a.org, to: 'ftp://a'}",
            "- {host: x.a.org, to: 'http://a;b'}",
            "- {host: x.a.org, to: 'http://a/$host'}",
            "- {host: x.a.org, to: ['http://a', 'https://b']}",
            "- {host: x.a.org, to: 'http://a', redirect: 'https://b'}",
            "- {host: x.a.org, folder: ./site}",
            "- {host: x.a.org, answer: 99}",
            "- {host: x.a.org, answer: 404, allow: [all]}",
            "- {host: x.a.org, answer: 404, auth: ../x}",
            "- {host: x.a.org, answer: 404, paths: {api: {answer: 404}, /b: {}}}",
        ]
        .map(faults);
        insta::assert_snapshot!(all.join("\n"), @"
        routes[0] would answer on blog.a.org, and so does apps.ghost (line 4)
        routes[0] leads nowhere
        routes[0].to[0]: `ftp://a` is no address such as http://10.0.0.5:8080
        routes[0].to[0]: `http://a;b` is no address such as http://10.0.0.5:8080
        routes[0].to[0]: `http://a/$host` is no address such as http://10.0.0.5:8080
        routes[0].to: all of them need the same scheme and the same path
        routes[0] leads to one place, but both `to` and `redirect` are there
        routes[0].folder: `./site` is no name of a folder in the proxy's html folder: put the files into <storage.files>/summoner/proxy/html/<name>, which nginx sees, and write its name
        routes[0].answer: `99` is no status such as 404
        routes[0].allow[0]: `all` is no network such as 192.0.2.0/24
        routes[0].auth: `../x` is no name of a file: letters, digits, `-`, `_` and `.`
        routes[0].paths.api is no path such as /api/ | routes[0].paths./b leads nowhere: say one of `to`, `redirect`, `folder`, `answer`
        ");
    }
}
