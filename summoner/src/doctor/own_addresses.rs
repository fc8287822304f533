//! The addresses of this machine, from the kernel's tables: `/proc/net/fib_trie` and `/proc/net/if_inet6`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::read_text;

/// The addresses of this machine; none when the tables could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnAddresses(Vec<IpAddr>);

/// Reads both tables. One that is absent (no IPv6) adds nothing.
pub(crate) fn read() -> OwnAddresses {
    let text = |path| read_text(path).ok().flatten().unwrap_or_default();
    OwnAddresses(parse_v4(&text("/proc/net/fib_trie")).into_iter().chain(parse_v6(&text("/proc/net/if_inet6"))).collect())
}

impl OwnAddresses {
    /// Whether this is one of them; None when they are not known.
    pub(super) fn has(&self, address: IpAddr) -> Option<bool> {
        (!self.0.is_empty()).then(|| self.0.contains(&address))
    }

    /// All of them.
    pub(crate) fn list(&self) -> &[IpAddr] {
        &self.0
    }

    /// An address that the whole internet can reach, IPv4 first.
    pub(super) fn public(&self) -> Option<IpAddr> {
        self.0.iter().copied().filter(|address| is_public(*address)).min_by_key(IpAddr::is_ipv6)
    }

    /// All of them; empty when they are not known.
    pub(crate) fn all(&self) -> &[IpAddr] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of(addresses: &[&str]) -> Self {
        Self(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }
}

/// Whether the whole internet could reach an address.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10: a provider shares one address among many (RFC 6598).
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || shared)
        }
        // 2000::/3 is all that was ever given out (RFC 4291).
        IpAddr::V6(v6) => v6.segments()[0] & 0xE000 == 0x2000,
    }
}

/// Each leaf `|-- ADDRESS` that is followed by `/32 host LOCAL`.
fn parse_v4(fib_trie: &str) -> Vec<IpAddr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found: Vec<IpAddr> = Vec::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf.map(IpAddr::from).filter(|address| !found.contains(address)));
        }
    }
    found
}

/// 32 hexadecimal digits at the start of each line. Addresses of the link alone are no goal of a name.
fn parse_v6(if_inet6: &str) -> Vec<IpAddr> {
    let line = |line: &str| Some(Ipv6Addr::from(u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?));
    if_inet6.lines().filter_map(line).filter(|address| !address.is_unicast_link_local()).map(IpAddr::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 192.0.2.0
        /24 link UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
";
    const INET6: &str = "fe80000000000000f09afffffe216f96 f0 40 20 80 vethddab776
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 82     eth0
";

    #[test]
    fn local_addresses_are_read_once_each() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(parse_v4(TRIE), [ip("192.0.2.2"), ip("127.0.0.1")]);
        assert_eq!(parse_v6(INET6), [ip("::1"), ip("2001:db8::2")]);
        assert_eq!(read().has(ip("127.0.0.1")), Some(true), "this machine has a loopback");
        assert_eq!(OwnAddresses::default().has(ip("127.0.0.1")), None);
    }

    #[test]
    fn an_address_of_the_internet_is_told_from_a_private_one() {
        let own = OwnAddresses::of(&["127.0.0.1", "10.0.0.5", "172.17.0.1", "100.64.1.2", "2001:db8::2", "203.0.113.7", "fd00::2"]);
        assert_eq!(own.public(), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(OwnAddresses::of(&["10.0.0.5", "fd00::2", "::1"]).public(), None);
    }
}
