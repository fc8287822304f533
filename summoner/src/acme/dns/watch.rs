//! Where a challenge's record really lies, and whether everyone who could be asked for it serves it.
//!
//! Without servers of the user's own, the zone's own name servers are asked directly, without recursion: a resolver would
//! remember for a while that the record was not there. Only `mod.rs` calls it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, sleep};

use super::TxtRecord;
use super::resolve::{self, Failure, Resolvers, shown, silent, texts, zone_in};
use super::wire;
use crate::config::dns::DnsSettings;
use crate::error::{Error, Result};

/// Between two rounds: short at first, since a name server of one's own is ready at once.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After so many rounds a server that never answered is left out: one with an address that this machine cannot reach
/// (IPv6 without IPv6) would never answer.
const PATIENCE: u32 = 3;

/// Who is asked.
pub(super) struct Watch {
    resolvers: Resolvers,
    /// The user named the servers: they are asked, nobody else.
    chosen: bool,
    propagation: Duration,
}

/// One server of a record, under each of its addresses.
struct Server {
    name: String,
    addresses: Vec<SocketAddr>,
    recursive: bool,
}

/// What a server says of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Serves,
    Lacks(String),
    Silent(String),
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves => out.write_str("serves it"),
            Self::Lacks(what) => out.write_str(what),
            Self::Silent(why) => write!(out, "did not answer: {why}"),
        }
    }
}

impl Watch {
    pub(super) fn open(settings: &DnsSettings) -> Result<Self> {
        Ok(Self {
            resolvers: Resolvers::open(&settings.resolvers)?,
            chosen: !settings.resolvers.is_empty(),
            propagation: settings.propagation,
        })
    }

    /// Where the record of a challenge lies: at the end of its aliases (RFC 8555, section 8.4, by way of CNAME).
    pub(super) async fn target(&self, challenge: &str) -> Result<String> {
        let name = resolve::name(challenge)?;
        let found = if self.chosen {
            Resolvers::follow(&name, async |name| self.resolvers.ask(&name, RecordType::CNAME).await).await
        } else {
            Resolvers::follow(&name, async |name| self.ask_owners(&name, RecordType::CNAME).await).await
        };
        found.map(|name| shown(&name)).map_err(|why| {
            Error::external(format!("cannot find out where {challenge} leads"))
                .cause(why)
                .next(format!("see what the DNS says: dig CNAME {challenge}"))
        })
    }

    /// Waits until every server serves every value.
    pub(super) async fn wait(&self, records: &[TxtRecord]) -> Result<()> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for record in records {
            wanted.entry(&record.name).or_default().push(&record.value);
        }
        let deadline = Instant::now() + self.propagation;
        for (name, values) in wanted {
            self.wait_for(&resolve::name(name)?, &values, deadline).await?;
        }
        Ok(())
    }

    async fn wait_for(&self, name: &Name, values: &[&str], deadline: Instant) -> Result<()> {
        let mut servers = self.servers(name).await.map_err(|why| {
            Error::external(format!("cannot find the name servers of {}", shown(name)))
                .cause(why)
                .next("dig NS, or name servers yourself: `resolvers:` beside `provider:`")
        })?;
        let mut pause = FIRST_PAUSE;
        let mut round = 0;
        loop {
            round += 1;
            let said = join_all(servers.iter().map(|server| server.look(name, values))).await;
            if ready(&said, round) {
                return Ok(());
            }
            if round >= PATIENCE && !self.chosen && said.iter().all(|said| matches!(said, Said::Silent(_))) {
                // A network that lets no question out but to its own resolver.
                servers = recursive(self.resolvers.servers());
            }
            if Instant::now() + pause > deadline {
                return Err(self.too_late(name, &servers, &said));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn too_late(&self, name: &Name, servers: &[Server], said: &[Said]) -> Error {
        let name = shown(name);
        let lines: Vec<String> = servers.iter().zip(said).map(|(server, said)| format!("{} {said}", server.name)).collect();
        let error = Error::external(format!("the TXT record of {name} is not served everywhere after {} s", self.propagation.as_secs()));
        error
            .cause(lines.join("\n"))
            .next(format!("see it yourself: dig TXT {name}"))
            .next("if it comes later than that, wait longer: `propagation: 10m` beside `provider:`")
    }

    async fn servers(&self, name: &Name) -> Result<Vec<Server>, Failure> {
        if self.chosen {
            return Ok(recursive(self.resolvers.servers()));
        }
        Ok(self
            .owners(name)
            .await?
            .into_iter()
            .map(|(name, addresses)| Server { name: shown(&name), addresses, recursive: false })
            .collect())
    }

    /// The servers of the zone that a name lies in. The resolver is asked for its parent, never for the name itself: it
    /// would remember that there was none.
    async fn owners(&self, name: &Name) -> Result<Vec<(Name, Vec<SocketAddr>)>, Failure> {
        let zone = self.resolvers.zone(&name.base_name()).await?;
        let zone = zone.ok_or_else(|| Failure::Silent(format!("no zone holds {}", shown(name))))?;
        let servers = self.resolvers.servers_of(&zone).await?;
        // Its own zone, delegated there?
        match ask_any(&servers, name, RecordType::SOA).await {
            Ok(answer) => match delegated(&answer, &zone, name).or_else(|| zone_in(&answer, name).filter(|found| *found != zone)) {
                Some(below) => self.resolvers.servers_of(&below).await,
                None => Ok(servers),
            },
            Err(_) => Ok(servers),
        }
    }

    /// Asks the owners of a name; where they cannot be reached, the resolver.
    async fn ask_owners(&self, name: &Name, kind: RecordType) -> Result<Message, Failure> {
        match ask_any(&self.owners(name).await?, name, kind).await {
            Ok(answer) => Ok(answer),
            Err(_) => self.resolvers.ask(name, kind).await,
        }
    }
}

impl Server {
    async fn look(&self, name: &Name, values: &[&str]) -> Said {
        let mut last = Said::Silent("it has no address".to_owned());
        for address in &self.addresses {
            match wire::ask(*address, name, RecordType::TXT, self.recursive).await {
                Ok(answer) => return judge(&answer, values),
                Err(lost) => last = Said::Silent(lost.to_string()),
            }
        }
        last
    }
}

fn judge(answer: &Message, values: &[&str]) -> Said {
    let found = texts(answer);
    let missing = values.iter().filter(|value| !found.iter().any(|text| text == *value)).count();
    match answer.metadata.response_code {
        ResponseCode::NoError if missing == 0 => Said::Serves,
        ResponseCode::NoError if found.is_empty() => Said::Lacks("has no TXT record there".to_owned()),
        ResponseCode::NoError => Said::Lacks(format!("serves {} other of {} values", values.len() - missing, values.len())),
        ResponseCode::NXDomain => Said::Lacks("says that there is no such name".to_owned()),
        code => Said::Lacks(format!("answers {code}")),
    }
}

/// Every server that can be asked serves all, and at least one can be asked.
fn ready(said: &[Said], round: u32) -> bool {
    let silent = said.iter().any(|said| matches!(said, Said::Silent(_)));
    let lacks = said.iter().any(|said| matches!(said, Said::Lacks(_)));
    said.contains(&Said::Serves) && !lacks && (!silent || round >= PATIENCE)
}

fn recursive(servers: &[SocketAddr]) -> Vec<Server> {
    servers.iter().map(|address| Server { name: address.to_string(), addresses: vec![*address], recursive: true }).collect()
}

/// The first answer of any server of a zone.
async fn ask_any(servers: &[(Name, Vec<SocketAddr>)], name: &Name, kind: RecordType) -> Result<Message, Failure> {
    let mut last = Failure::Silent(format!("no name server of {} has an address", shown(name)));
    for address in servers.iter().flat_map(|(_, addresses)| addresses) {
        match wire::ask(*address, name, kind, false).await {
            Ok(answer) if matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => return Ok(answer),
            Ok(answer) => last = Failure::Said(*address, answer.metadata.response_code),
            Err(lost) => last = silent(*address, &lost),
        }
    }
    Err(last)
}

/// The zone below `zone` that a referral leads to.
fn delegated(answer: &Message, zone: &Name, name: &Name) -> Option<Name> {
    let referral = answer.answers.is_empty() && !answer.metadata.authoritative;
    let below = |owner: &Name| owner != zone && zone.zone_of(owner) && owner.zone_of(name);
    let owner = answer.authorities.iter().find(|record| matches!(record.data, RData::NS(_)) && below(&record.name));
    owner.filter(|_| referral).map(|record| record.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_that_lacks_it_holds_all_back() {
        let silent = || Said::Silent("no answer".to_owned());
        let lacks = || Said::Lacks("has no TXT record there".to_owned());
        assert!(!ready(&[], 9), "nobody was asked");
        assert!(!ready(&[Said::Serves, lacks()], 9));
        assert!(!ready(&[silent(), silent()], 9));
        assert!(!ready(&[Said::Serves, silent()], PATIENCE - 1), "it may answer yet");
        assert!(ready(&[Said::Serves, silent()], PATIENCE));
        assert!(ready(&[Said::Serves, Said::Serves], 1));
    }
}
