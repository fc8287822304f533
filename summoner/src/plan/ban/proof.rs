//! The self-test: do the addresses that nginx sees belong to its clients? Where the engine's own proxy stands between
//! (`userland-proxy`, IPv6 without a subnet), every client has the gateway's address, and a ban would hit everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Ground, Subject};

/// How many different addresses of this machine are remembered.
const MOST_OWN: usize = 16;

/// What was seen of clients' addresses so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Sign-ins from addresses that are clients' own.
    pub real: u64,
    /// Sign-ins from addresses of this machine, by address.
    pub own: BTreeMap<IpAddr, u64>,
}

/// What the self-test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody signed in yet.
    Waiting,
    /// Clients' own addresses arrive.
    Real,
    /// Some clients arrive with an address of this machine; those are never locked out.
    Mixed,
    /// All clients arrive with an address of this machine: nobody can be locked out.
    Gateway,
    /// The addresses of this machine are not known, so nobody is locked out.
    Unknown,
}

impl Proof {
    /// Hears the address of one sign-in; true when the verdict may have changed.
    pub fn hear(&mut self, ground: &Ground, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let Some(own) = &ground.own else { return false };
        let before = self.verdict(ground);
        if is_own(own, address) {
            if self.own.len() < MOST_OWN || self.own.contains_key(&address) {
                let count = self.own.entry(address).or_default();
                *count = count.saturating_add(1);
            }
        } else {
            self.real = self.real.saturating_add(1);
        }
        self.verdict(ground) != before
    }

    /// What follows.
    #[must_use]
    pub fn verdict(&self, ground: &Ground) -> Verdict {
        match (&ground.own, self.real, self.own.is_empty()) {
            (None, ..) => Verdict::Unknown,
            (_, 0, true) => Verdict::Waiting,
            (_, 0, false) => Verdict::Gateway,
            (_, _, true) => Verdict::Real,
            (_, _, false) => Verdict::Mixed,
        }
    }
}

fn is_own(own: &BTreeSet<IpAddr>, address: IpAddr) -> bool {
    own.iter().any(|own| Subject::of(own.to_canonical()) == Subject::of(address))
}

impl Verdict {
    /// The word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Real => "real",
            Self::Mixed => "mixed",
            Self::Gateway => "gateway",
            Self::Unknown => "unknown",
        }
    }

    /// The verdict of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Real, Self::Mixed, Self::Gateway, Self::Unknown].into_iter().find(|verdict| verdict.word() == word)
    }

    /// Whether anybody can be locked out.
    #[must_use]
    pub fn bans(self) -> bool {
        matches!(self, Self::Real | Self::Mixed)
    }

    /// The sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Waiting => "no sign-in was seen yet",
            Self::Real => "clients arrive with their own addresses",
            Self::Mixed => "some clients arrive with an address of this machine; those cannot be told apart and are never locked out",
            Self::Gateway => {
                "all clients arrive with an address of this machine, so nobody can be locked out: switch the engine's \
                 userland-proxy off, give its networks IPv6, or name the proxy in front of this one in proxy.trusted"
            }
            Self::Unknown => "the addresses of this machine are not known, so nobody is locked out",
        }
    }
}
