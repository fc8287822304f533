//! Subnets for our networks: which range is free, and the next piece of it.
//!
//! Docker's own pools end after about 31 networks, so each instance gets a /27 of one private range.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Prefix of an instance's network: 29 containers.
const INSTANCE_PREFIX: u8 = 27;
/// Prefix of the edge network, which every routed application joins.
const EDGE_PREFIX: u8 = 22;
/// Ranges tried in this order when config.yml names none; seldom used by routers, companies and Docker itself.
const CANDIDATES: [&str; 6] = ["10.213.0.0/16", "10.199.0.0/16", "10.87.0.0/16", "172.29.0.0/16", "172.22.0.0/16", "192.168.208.0/20"];

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

impl Cidr {
    /// The network of this prefix that holds an address; the host part is cleared.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    /// Whether two networks share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let wider = self.prefix.min(other.prefix);
        self.base & mask(wider) == other.base & mask(wider)
    }

    /// The pieces of a given prefix, in order.
    fn pieces(self, prefix: u8) -> impl Iterator<Item = Self> {
        let count = 1_u64 << prefix.saturating_sub(self.prefix);
        let step = 1_u64 << (32 - prefix);
        (0..count).filter_map(move |at| u32::try_from(u64::from(self.base) + at * step).ok()).map(move |base| Self { base, prefix })
    }

    /// The first piece: where applications meet the proxy.
    #[must_use]
    pub fn edge(self) -> Self {
        Self { base: self.base, prefix: EDGE_PREFIX.max(self.prefix) }
    }

    /// The first piece for an instance that overlaps nothing taken.
    #[must_use]
    pub fn free_piece(self, taken: &[Self]) -> Option<Self> {
        let edge = self.edge();
        self.pieces(INSTANCE_PREFIX).find(|piece| !piece.overlaps(edge) && !taken.iter().any(|other| other.overlaps(*piece)))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || format!("`{text}` is not a network such as 10.213.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(fail)?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(fail)?;
        Ok(Self::new(address.parse().map_err(|_| fail())?, prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

/// The first of the usual private ranges that overlaps nothing in use.
#[must_use]
pub fn free_range(in_use: &[Cidr]) -> Option<Cidr> {
    CANDIDATES.iter().filter_map(|text| text.parse().ok()).find(|range: &Cidr| !in_use.iter().any(|other| other.overlaps(*range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn pieces_avoid_the_edge_and_each_other() {
        let range = cidr("10.213.0.0/16");
        assert_eq!(range.edge().to_string(), "10.213.0.0/22");
        let mut taken = Vec::new();
        for wanted in ["10.213.4.0/27", "10.213.4.32/27", "10.213.4.64/27"] {
            let piece = range.free_piece(&taken).unwrap();
            assert_eq!(piece.to_string(), wanted);
            taken.push(piece);
        }
        assert_eq!(cidr("192.168.208.0/20").free_piece(&[cidr("192.168.0.0/16")]), None);
    }

    #[test]
    fn a_range_in_use_is_passed_over() {
        assert_eq!(free_range(&[]).unwrap().to_string(), "10.213.0.0/16");
        assert_eq!(free_range(&[cidr("10.0.0.0/8")]).unwrap().to_string(), "172.29.0.0/16");
        assert!(cidr("0.0.0.0/0").overlaps(cidr("10.1.2.3/32")));
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
    }
}
