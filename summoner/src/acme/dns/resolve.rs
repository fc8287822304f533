//! Questions to resolvers, and what follows from their answers: addresses, the zone of a name, the servers of a zone.
//!
//! Nothing is cached: each question is asked to know what is so now. Preflight and the wait for a record call it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::wire::{self, Lost};
use crate::error::{Error, Result};

/// Far above any zone's.
const MOST_SERVERS: usize = 16;
/// A chain of aliases that is longer is a loop, or as good as one.
const MOST_ALIASES: usize = 8;

/// The name servers that answer for the whole of the DNS.
#[derive(Debug, Clone)]
pub(crate) struct Resolvers(Vec<SocketAddr>);

/// An answer that is none.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// A server said that it cannot tell: SERVFAIL, REFUSED.
    Said(SocketAddr, ResponseCode),
    /// No server said anything that can be used.
    Silent(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(server, ResponseCode::ServFail) => {
                write!(out, "{server} answers SERVFAIL: its name servers do not answer, or its DNSSEC signatures are wrong")
            }
            Self::Said(server, ResponseCode::Refused) => write!(out, "{server} answers REFUSED: it does not resolve for us"),
            Self::Said(server, code) => write!(out, "{server} answers {code}"),
            Self::Silent(why) => out.write_str(why),
        }
    }
}

impl Resolvers {
    /// These servers; none: those of this machine (`/etc/resolv.conf`).
    ///
    /// # Errors
    /// When this machine names none.
    pub(crate) fn open(servers: &[SocketAddr]) -> Result<Self> {
        if !servers.is_empty() {
            return Ok(Self(servers.to_vec()));
        }
        let none = || Error::external("this machine names no DNS server").next("write one into /etc/resolv.conf: nameserver 192.0.2.53");
        let (config, _) = hickory_resolver::system_conf::read_system_conf().map_err(|error| none().cause(error))?;
        let mut found: Vec<SocketAddr> = config
            .name_servers()
            .iter()
            .filter_map(|server| server.connections.first().map(|connection| SocketAddr::new(server.ip, connection.port)))
            .collect();
        found.dedup();
        if found.is_empty() { Err(none()) } else { Ok(Self(found)) }
    }

    /// The servers themselves.
    pub(crate) fn servers(&self) -> &[SocketAddr] {
        &self.0
    }

    /// Asks one after another until one answers that there is something, or that there is nothing.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, Failure> {
        let mut last = Failure::Silent("no DNS server was asked".to_owned());
        for server in &self.0 {
            match wire::ask(*server, name, kind, true).await {
                Ok(answer) if matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => return Ok(answer),
                Ok(answer) => last = Failure::Said(*server, answer.metadata.response_code),
                // What a server said is worth more than that another said nothing.
                Err(lost) => {
                    if matches!(last, Failure::Silent(_)) {
                        last = silent(*server, &lost);
                    }
                }
            }
        }
        Err(last)
    }

    /// Whether they resolve anything at all: that the root has no address, every one of them knows.
    pub(crate) async fn sane(&self) -> bool {
        self.ask(&Name::root(), RecordType::A).await.is_ok()
    }

    /// The addresses of a name, IPv6 after IPv4. Where one kind could not be asked for, those of the other count.
    pub(crate) async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, Failure> {
        let (four, six) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let mut found = Vec::new();
        let mut failure = None;
        for answer in [four, six] {
            match answer {
                Ok(answer) => found.extend(answer.answers.iter().filter_map(|record| address(&record.data))),
                Err(failed) => failure = Some(failed),
            }
        }
        match failure {
            Some(failure) if found.is_empty() => Err(failure),
            _ => Ok(found),
        }
    }

    /// The zone that a name lies in, whether the name exists or not.
    pub(crate) async fn zone(&self, name: &Name) -> Result<Option<Name>, Failure> {
        let mut asked = name.clone();
        loop {
            let answer = self.ask(&asked, RecordType::SOA).await?;
            if let Some(zone) = zone_in(&answer, &asked) {
                return Ok(Some(zone));
            }
            if asked.is_root() {
                return Ok(None);
            }
            asked = asked.base_name();
        }
    }

    /// The servers of a zone, each with its addresses.
    pub(crate) async fn servers_of(&self, zone: &Name) -> Result<Vec<(Name, Vec<SocketAddr>)>, Failure> {
        let answer = self.ask(zone, RecordType::NS).await?;
        let names: Vec<Name> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::NS(server) => Some(server.0.clone()),
                _ => None,
            })
            .take(MOST_SERVERS)
            .collect();
        let mut servers = Vec::new();
        for name in names {
            let addresses = self.addresses(&name).await.unwrap_or_default();
            servers.push((name, addresses.into_iter().map(|address| SocketAddr::new(address, DNS_PORT)).collect()));
        }
        Ok(servers)
    }

    /// Where a name leads through its aliases; itself when it is none. `ask` says who is asked about each name.
    pub(crate) async fn follow<F>(name: &Name, ask: impl Fn(Name) -> F) -> Result<Name, Failure>
    where
        F: Future<Output = Result<Message, Failure>>,
    {
        let mut name = name.clone();
        for _ in 0..MOST_ALIASES {
            let answer = ask(name.clone()).await?;
            let alias = answer.answers.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == name => Some(target.0.clone()),
                _ => None,
            });
            match alias {
                None => return Ok(name),
                Some(target) => name = target,
            }
        }
        Err(Failure::Silent(format!("its aliases (CNAME) lead on and on, to {} at last", shown(&name))))
    }
}

const DNS_PORT: u16 = 53;

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

pub(super) fn silent(server: SocketAddr, lost: &Lost) -> Failure {
    Failure::Silent(format!("{server} gave no answer that can be used: {lost}"))
}

/// The zone that an answer to a question for a SOA record names.
pub(super) fn zone_in(answer: &Message, asked: &Name) -> Option<Name> {
    let all = answer.answers.iter().chain(&answer.authorities);
    all.filter(|record| matches!(record.data, RData::SOA(_)) && record.name.zone_of(asked)).map(|record| record.name.clone()).next()
}

/// The texts of an answer to a question for TXT records.
pub(super) fn texts(answer: &Message) -> Vec<String> {
    let text = |data: &RData| match data {
        RData::TXT(text) => Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>()),
        _ => None,
    };
    answer.answers.iter().filter_map(|record| text(&record.data)).collect()
}

/// A name of the DNS from text.
///
/// # Errors
/// When it is none.
pub(crate) fn name(text: &str) -> Result<Name> {
    let mut name = Name::from_ascii(text).map_err(|error| Error::usage(format!("`{text}` is no name of the DNS")).cause(error))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

/// As people write it, without the dot at its end.
pub(crate) fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    if text == "." { text } else { text.trim_end_matches('.').to_owned() }
}
