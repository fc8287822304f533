//! The servers behind a path, as an `upstream` of nginx.

use super::settings::ProxySettings;
use super::site::{Address, Server, Upstream};
use super::writer::{Param, Text, Unsafe};
use crate::vhost::{Balance, KEYS, KeepAlive, OF_REQUESTS};

/// Most servers of one path.
const MAX_SERVERS: usize = 1000;

/// How a location reaches its servers.
pub(super) enum Reach {
    /// By an `upstream` of this name.
    Named(Param),
    /// By a variable that nginx looks up for each request: `host:port`. For names on an nginx without `resolve`.
    Looked(Param),
}

/// Writes the block where one is needed, and says how to reach it.
pub(super) fn write(text: &mut Text, upstream: &Upstream, settings: &ProxySettings, ours: bool) -> Result<Reach, Unsafe> {
    let name = plain_name("the upstream", &upstream.name)?;
    if upstream.servers.len() > MAX_SERVERS {
        return Err(Unsafe::Form { what: "the upstream", reason: "has too many servers" });
    }
    let named = upstream.servers.iter().any(|server| matches!(server.address, Address::Name(_)));
    if named && settings.resolvers.servers.is_empty() {
        return Err(Unsafe::Form { what: "the upstream", reason: "has a server that is known by name, and the proxy has no name server" });
    }
    if named && !settings.features.resolve {
        let [server] = upstream.servers.as_slice() else {
            return Err(Unsafe::Form {
                what: "the upstream",
                reason: "has several servers that are known by name, for which nginx 1.27.3 is needed",
            });
        };
        return Ok(Reach::Looked(at(server)?));
    }
    let balance = upstream.balance.as_ref().map(balance).transpose()?;
    let servers = upstream.servers.iter().map(|server| line(server, upstream.servers.len() == 1)).collect::<Result<Vec<_>, _>>()?;
    let keepalive = match upstream.keepalive {
        KeepAlive::Auto if ours => 16,
        KeepAlive::Auto => 2 * u64::try_from(servers.len().max(1)).unwrap_or(1),
        KeepAlive::Connections(number) => number.into(),
        KeepAlive::Disabled => 0,
    };
    text.block("upstream", std::slice::from_ref(&name), |text| {
        if named {
            text.line("zone", &[name.clone(), Param::ours("64k")]);
        }
        if let Some((directive, params)) = &balance {
            text.line(directive, params);
        }
        for params in &servers {
            text.line("server", params);
        }
        if servers.is_empty() {
            text.remark("No container can be reached.");
            text.ours("server 127.0.0.1 down");
        }
        if keepalive > 0 {
            text.line("keepalive", &[Param::number(keepalive)]);
            text.remark("Below the 5 s of Node and Apache, so that no request meets a connection that is just closing.");
            text.ours("keepalive_timeout 4s");
        } else if settings.features.version >= (1, 29, 7) {
            text.remark("On by default since 1.29.7.");
            text.ours("keepalive 0");
        }
    });
    Ok(Reach::Named(name))
}

fn line(server: &Server, alone: bool) -> Result<Vec<Param>, Unsafe> {
    let mut params = vec![at(server)?];
    if matches!(server.address, Address::Name(_)) {
        params.push(Param::ours("resolve"));
    }
    if alone {
        params.push(Param::ours("max_fails=0"));
    }
    if let Some(weight) = server.weight {
        if weight == 0 {
            return Err(Unsafe::Form { what: "the weight of a server", reason: "is 0" });
        }
        params.push(Param::ours("weight=").then(&Param::number(weight.into())));
    }
    Ok(params)
}

/// `address:port`.
fn at(server: &Server) -> Result<Param, Unsafe> {
    if server.port == 0 {
        return Err(Unsafe::Form { what: "the application's port", reason: "is 0" });
    }
    let host = match &server.address {
        Address::Ip(ip) if ip.is_ipv6() => Param::data("the address", &format!("[{ip}]"))?,
        Address::Ip(ip) => Param::data("the address", &ip.to_string())?,
        Address::Name(name) => plain_name("the container", name)?,
    };
    Ok(host.then(&Param::ours(":")).then(&Param::number(server.port.into())))
}

/// A name that a name server, or nginx among its upstreams, can know.
fn plain_name(what: &'static str, text: &str) -> Result<Param, Unsafe> {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        Param::data(what, text)
    } else {
        Err(Unsafe::Form { what, reason: "is not a name that a name server can know" })
    }
}

fn balance(balance: &Balance) -> Result<(&'static str, Vec<Param>), Unsafe> {
    Ok(match balance {
        Balance::LeastConnections => ("least_conn", Vec::new()),
        Balance::IpHash => ("ip_hash", Vec::new()),
        Balance::Random { two: false } => ("random", Vec::new()),
        Balance::Random { two: true } => ("random", vec![Param::ours("two"), Param::ours("least_conn")]),
        Balance::Hash { key, consistent } => {
            let mut params = vec![hash_key(key)?];
            if *consistent {
                params.push(Param::ours("consistent"));
            }
            ("hash", params)
        }
    })
}

/// Known variables and plain text between them.
fn hash_key(key: &str) -> Result<Param, Unsafe> {
    let what = "the key to spread requests by";
    let mut parts = key.split('$');
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/{}".contains(&b));
    let known = |part: &str| {
        let braced = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (name, rest) = braced.unwrap_or_else(|| part.split_at(end));
        let family = OF_REQUESTS.iter().any(|family| name.strip_prefix(family).is_some_and(|rest| !rest.is_empty()));
        let characters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (KEYS.contains(&name) || family && characters) && plain(rest) && !rest.contains(['{', '}'])
    };
    let head = parts.next().unwrap_or_default();
    if key.is_empty() || !plain(head) || head.contains(['{', '}']) || !parts.all(known) {
        return Err(Unsafe::Form { what, reason: "holds more than plain text and the variables of a request" });
    }
    Param::variables(what, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_keys() {
        for good in ["$remote_addr", "$remote_addr$request_uri", "a:${cookie_session}", "$http_x_user/", "$arg_id"] {
            assert!(hash_key(good).is_ok(), "{good}");
        }
        for bad in ["", "$", "$document_root", "$remote_addr; return 200", "${remote_addr", "$cookie_", "a b", "$http_x\n", "{", "$upgrade"]
        {
            assert!(hash_key(bad).is_err(), "{bad}");
        }
    }
}
