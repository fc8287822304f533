//! What an authority would find, found out before it is asked: each failure at an authority counts against its limits.
//!
//! Does the name lead here, does port 80 reach us, does CAA allow it (RFC 8659)? Every finding is a sentence with what to
//! do. Refused is only what will fail for certain; what cannot be seen from this machine is a warning. The ACME client
//! calls [`check`] before each order. Nothing is left behind.

mod caa;
mod reach;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use futures_util::{StreamExt, stream};

use super::dns::resolve::{self, Failure, Resolvers};
use crate::doctor::own_addresses;

/// How many names are looked at together.
const TOGETHER: usize = 8;

/// How names will be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By a file that port 80 serves (RFC 8555, section 8.3).
    Http01,
    /// By a TXT record (section 8.4).
    Dns01,
}

impl Challenge {
    /// Its name in ACME, as CAA's `validationmethods` has it (RFC 8657).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may work nevertheless.
    Warn,
    /// An order would fail: none is made.
    Refuse,
}

/// Something that stands between a name and its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name.
    pub name: String,
    /// What follows from it.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub sentence: String,
    /// What to do about it.
    pub next: String,
}

impl Finding {
    fn new(name: &str, severity: Severity, sentence: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name: name.to_owned(), severity, sentence: sentence.into(), next: next.into() }
    }
}

/// What the checks need to know.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The DNS servers to ask; none: this machine's.
    pub resolvers: &'a [SocketAddr],
    /// How the authority calls itself in CAA records (`caaIdentities` of its directory); none: not known.
    pub identities: &'a [String],
    /// The address of our account there; None: not known yet.
    pub account: Option<&'a str>,
    /// The port that the authority asks: 80, but in tests.
    pub http_port: u16,
    /// The addresses of this machine, see [`own_addresses()`].
    pub own_addresses: &'a [IpAddr],
    /// The folder that the proxy serves as `/.well-known/acme-challenge/`; None: port 80 is not tried.
    pub challenge_folder: Option<&'a Path>,
}

/// The addresses of this machine, as far as the kernel tells.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    own_addresses::read().list().to_vec()
}

/// Looks at every name; no finding is good. Bounded in time: about half a minute when nothing at all answers.
pub async fn check(names: &[String], challenge: Challenge, options: &Options<'_>) -> Vec<Finding> {
    let Some(first) = names.first() else { return Vec::new() };
    let resolvers = match Resolvers::open(options.resolvers) {
        Ok(resolvers) => resolvers,
        Err(error) => return vec![Finding::new(first, Severity::Warn, error.message, error.next.join("; "))],
    };
    let mut findings = Vec::new();
    let probe = match options.challenge_folder.filter(|_| challenge == Challenge::Http01).map(reach::Probe::place).transpose() {
        Ok(probe) => probe,
        Err(error) => {
            let why = error.cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            findings.push(Finding::new(
                first,
                Severity::Refuse,
                format!("{}{why}", error.message),
                "free space, or mend the folder's rights",
            ));
            return findings;
        }
    };
    let looking = stream::iter(names).map(|name| look(name, challenge, options, &resolvers, probe.as_ref()));
    findings.extend(looking.buffered(TOGETHER).collect::<Vec<_>>().await.into_iter().flatten());
    findings
}

async fn look(
    shown: &str,
    challenge: Challenge,
    options: &Options<'_>,
    resolvers: &Resolvers,
    probe: Option<&reach::Probe>,
) -> Vec<Finding> {
    let (base, wildcard) = shown.strip_prefix("*.").map_or((shown, false), |base| (base, true));
    if wildcard && challenge == Challenge::Http01 {
        let sentence = format!("{shown} is a wildcard: authorities take no proof over HTTP for it");
        return vec![Finding::new(shown, Severity::Refuse, sentence, "set up DNS-01 for it (`dns:`), or name each host")];
    }
    if let Ok(address) = base.parse::<IpAddr>() {
        return reach::look(shown, base, &[address], options, resolvers, probe).await;
    }
    let name = match resolve::name(base) {
        Ok(name) => name,
        Err(error) => return vec![Finding::new(shown, Severity::Refuse, error.message, "mend the name")],
    };
    let caa = caa::look(shown, &name, wildcard, challenge, options, resolvers);
    if challenge == Challenge::Dns01 {
        return caa.await.into_iter().collect();
    }
    let reached = async {
        match resolvers.addresses(&name).await {
            Ok(found) if found.is_empty() => {
                let next = format!(
                    "at the provider of your domain, let {base} (or a wildcard above it) lead to this machine: an A record, or AAAA"
                );
                vec![Finding::new(shown, Severity::Refuse, format!("{base} has no address in the DNS"), next)]
            }
            Ok(found) => reach::look(shown, base, &found, options, resolvers, probe).await,
            Err(failure) => vec![unresolved(shown, &format!("the addresses of {base}"), &failure, resolvers).await],
        }
    };
    let (mut findings, caa) = tokio::join!(reached, caa);
    findings.extend(caa);
    findings
}

/// A server that says that it cannot tell is believed when it can tell other things.
async fn unresolved(name: &str, what: &str, failure: &Failure, resolvers: &Resolvers) -> Finding {
    let certain = matches!(failure, Failure::Said(..)) && resolvers.sane().await;
    let severity = if certain { Severity::Refuse } else { Severity::Warn };
    let next = if certain {
        "see the zone at its provider (delegation, DNSSEC): an authority gets the same answer"
    } else {
        "see whether this machine has a DNS server that answers: /etc/resolv.conf"
    };
    Finding::new(name, severity, format!("{what} cannot be found out: {failure}"), next)
}
