//! Whom a ban hits: one subscriber. And which addresses belong to no single one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An IPv4 address, or the /64 of an IPv6 address: a subscriber has at least that, and moves in it freely (RFC 8981).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One address.
    V4(Ipv4Addr),
    /// The first address of a /64.
    V6(Ipv6Addr),
}

impl Subject {
    /// Whose an address is; one of IPv4 that is written as IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        }
    }

    /// As a range.
    #[must_use]
    pub fn net(self) -> IpNet {
        match self {
            Self::V4(v4) => IpNet::V4(Ipv4Net::from(v4)),
            // 64 is a length that exists.
            Self::V6(v6) => IpNet::V6(Ipv6Net::new(v6, 64).unwrap_or_else(|_| Ipv6Net::from(v6))),
        }
    }

    /// Whether a range holds any address of it: one allowed person spares their neighbours in the same /64.
    #[must_use]
    pub fn meets(self, net: &IpNet) -> bool {
        let own = self.net();
        net.contains(&own) || own.contains(net)
    }

    /// The first bytes in hexadecimal, as the guard in nginx makes them of a connection: 8 digits for IPv4, 16 for IPv6.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::V4(v4) => hex::encode(v4.octets()),
            Self::V6(v6) => hex::encode(&v6.octets()[..8]),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => v4.fmt(out),
            Self::V6(v6) => write!(out, "{v6}/64"),
        }
    }
}

/// Text that names no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: write 198.51.100.7, 2001:db8::1 or 2001:db8::/64")]
pub struct NoSubject(String);

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let address = || text.parse::<IpAddr>().ok();
        let net = || match text.parse::<IpNet>().ok()? {
            IpNet::V4(net) if net.prefix_len() == 32 => Some(IpAddr::V4(net.addr())),
            IpNet::V6(net) if net.prefix_len() >= 64 => Some(IpAddr::V6(net.addr())),
            _ => None,
        };
        let shown = || text.chars().take(60).filter(|c| !c.is_control()).collect();
        address().or_else(net).map(Self::of).ok_or_else(|| NoSubject(shown()))
    }
}

/// Whether an address is one that a stranger on the internet can have.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64.0.0/10: a provider shares one address among many (RFC 6598). 240.0.0.0/4 and 0.0.0.0/8 are nobody's.
            let shared = a == 100 && b & 0xC0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || shared || a == 0 || a >= 240)
        }
        // 2000::/3 is all that was ever given out (RFC 4291).
        IpAddr::V6(v6) => v6.segments()[0] & 0xE000 == 0x2000,
    }
}
