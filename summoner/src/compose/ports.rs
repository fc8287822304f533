//! `ports` and `expose`: `[[address:][host]:]container[/protocol]`, ranges, and the long form; one entry a port.

use super::model::Port;
use super::values::inert;
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// How many ports one service may publish: a range is written in a few bytes.
const MAX_PORTS: usize = 2000;

/// Reads the list of published ports.
pub(super) fn published(node: &Node, what: &str, faults: &mut Faults) -> Vec<Port> {
    let mut all: Vec<Port> = Vec::new();
    let Some(items) = node.as_list() else {
        faults.error(&node.span, format!("{what} must be a list"));
        return all;
    };
    for (at, item) in items.iter().enumerate() {
        let what = format!("{what}[{at}]");
        let ports = match item.as_str() {
            Some(text) => short(text).map_err(|reason| faults.error(&item.span, format!("{what} `{text}`: {reason}"))).ok(),
            None => long(item, &what, faults),
        };
        for port in ports.into_iter().flatten() {
            // Compose keeps one of two equal entries.
            if !all.contains(&port) {
                all.push(port);
            }
        }
        if all.len() > MAX_PORTS {
            faults.error(&item.span, format!("{what}: more than {MAX_PORTS} ports are published"));
            return Vec::new();
        }
    }
    all
}

/// Reads the list of ports for other containers: `1234`, `5-6/udp`.
pub(super) fn exposed(node: &Node, what: &str, faults: &mut Faults) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (at, text) in node.texts(what, faults).unwrap_or_default().iter().enumerate() {
        let parsed = protocol(text).and_then(|(ports, protocol)| range(ports).map(|range| (range, protocol)));
        match parsed {
            Err(reason) => faults.error(&node.span, format!("{what}[{at}] `{text}`: {reason}")),
            Ok(((first, last), protocol)) => {
                for port in first..=last {
                    let port = format!("{port}/{protocol}");
                    if !all.contains(&port) {
                        all.push(port);
                    }
                }
            }
        }
        if all.len() > MAX_PORTS {
            faults.error(&node.span, format!("{what}: more than {MAX_PORTS} ports are exposed"));
            return Vec::new();
        }
    }
    all
}

fn short(text: &str) -> Result<Vec<Port>, String> {
    let (ports, protocol) = protocol(text)?;
    let (host_ip, published, target) = parts(ports)?;
    let (first, last) = range(target)?;
    let published = match published {
        None => None,
        Some(published) => {
            let (host_first, host_last) = range(published)?;
            if host_last - host_first != last - first {
                return Err("the two ranges have different lengths".into());
            }
            Some(host_first)
        }
    };
    let port = |target: u16| Port {
        target,
        published: published.map(|published| published + (target - first)),
        host_ip: host_ip.clone(),
        protocol: protocol.to_owned(),
    };
    Ok((first..=last).map(port).collect())
}

/// Address, host port and container port of the short form; an address of IPv6 stands in brackets.
fn parts(text: &str) -> Result<(Option<String>, Option<&str>, &str), String> {
    if let Some(after) = text.strip_prefix('[') {
        let (address, after) = after.split_once(']').ok_or("the bracket is not closed")?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| format!("`{address}` is no IPv6 address"))?;
        let (published, target) =
            after.strip_prefix(':').and_then(|ports| ports.split_once(':')).ok_or("an address is followed by `:host:container`")?;
        return Ok((Some(address.to_owned()), Some(published).filter(|port| !port.is_empty()), target));
    }
    let all: Vec<&str> = text.split(':').collect();
    match all[..] {
        [target] => Ok((None, None, target)),
        [published, target] => Ok((None, Some(published).filter(|port| !port.is_empty()), target)),
        [address, published, target] => {
            if !address.is_empty() {
                address.parse::<std::net::Ipv4Addr>().map_err(|_| format!("`{address}` is no address"))?;
            }
            Ok((Some(address.to_owned()).filter(|a| !a.is_empty()), Some(published).filter(|port| !port.is_empty()), target))
        }
        _ => Err("too many colons; an IPv6 address stands in brackets".into()),
    }
}

fn protocol(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('/') {
        None => Ok((text, "tcp")),
        Some((ports, protocol)) => known_protocol(protocol).map(|protocol| (ports, protocol)),
    }
}

fn known_protocol(text: &str) -> Result<&'static str, String> {
    let lower = text.to_ascii_lowercase();
    ["tcp", "udp", "sctp"].into_iter().find(|known| *known == lower).ok_or_else(|| format!("`{text}` is none of tcp, udp, sctp"))
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0).ok_or_else(|| format!("`{text}` is no port"))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err("a range goes from the lower port to the higher one".into());
    }
    // Before it is written out: a range takes a few bytes in the file and a lot of work here.
    if usize::from(last - first) >= MAX_PORTS {
        return Err(format!("a range holds at most {MAX_PORTS} ports"));
    }
    Ok((first, last))
}

fn long(node: &Node, what: &str, faults: &mut Faults) -> Option<Vec<Port>> {
    let mut fields = Fields::open(node, what, faults)?;
    let target = fields.require("target", faults).and_then(|node| node.integer::<u16>(&format!("{what}.target"), faults));
    let published = fields.take("published");
    let published = published.map(|node| match node.as_str().map(range) {
        Some(Ok((first, last))) if first == last => Some(first),
        // An empty host port lets the engine choose, as in the short form.
        _ if node.as_str() == Some("") => None,
        Some(Ok(_)) => {
            faults.error(&node.span, format!("{what}.published: the engine cannot be asked to choose from a range"));
            None
        }
        _ => {
            faults.error(&node.span, format!("{what}.published must be a port"));
            None
        }
    });
    let host_ip = fields.text("host_ip", faults).filter(|address| !address.is_empty());
    let protocol = match fields.text("protocol", faults).as_deref().map(known_protocol) {
        Some(Err(reason)) => {
            faults.error(&node.span, format!("{what}.protocol: {reason}"));
            return None;
        }
        Some(Ok(protocol)) => protocol,
        None => "tcp",
    };
    super::values::word(&mut fields, "mode", &["host", "ingress"], faults);
    inert(&mut fields, "name", "a port's name is for people only", faults);
    inert(&mut fields, "app_protocol", "the engine does not look into the traffic", faults);
    fields.finish(faults);
    let target = target.filter(|port| *port > 0)?;
    Some(vec![Port { target, published: published.flatten(), host_ip, protocol: protocol.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(port: &Port) -> String {
        let host = port.published.map_or(String::new(), |port| port.to_string());
        format!("{}:{host}:{}/{}", port.host_ip.as_deref().unwrap_or(""), port.target, port.protocol)
    }

    #[test]
    fn the_short_form() {
        for (given, wanted) in [
            ("80", "::80/tcp".to_owned()),
            ("8080:80", ":8080:80/tcp".into()),
            ("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp".into()),
            ("127.0.0.1::80", "127.0.0.1::80/tcp".into()),
            ("[::1]:53:53/udp", "::1:53:53/udp".into()),
            ("8000-8001:80-81", ":8000:80/tcp :8001:81/tcp".into()),
            ("3000-3001", "::3000/tcp ::3001/tcp".into()),
        ] {
            let found: Vec<String> = short(given).unwrap().iter().map(text).collect();
            assert_eq!(found.join(" "), wanted, "{given}");
        }
    }

    #[test]
    fn what_is_no_port() {
        for (given, wanted) in [
            ("http", "`http` is no port"),
            ("0:80", "`0` is no port"),
            ("70000", "`70000` is no port"),
            ("8000-8010:80", "the two ranges have different lengths"),
            ("81-80", "a range goes from the lower port to the higher one"),
            ("80:80/icmp", "`icmp` is none of tcp, udp, sctp"),
            ("::1:80:80", "too many colons; an IPv6 address stands in brackets"),
            ("host:80:80", "`host` is no address"),
            ("", "`` is no port"),
            ("1-65535:1-65535", "a range holds at most 2000 ports"),
        ] {
            assert_eq!(short(given).unwrap_err(), wanted, "{given}");
        }
    }
}
