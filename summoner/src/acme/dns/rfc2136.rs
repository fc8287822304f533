//! A name server that takes updates (RFC 2136), signed with a shared key (TSIG, RFC 8945).

use std::net::SocketAddr;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use tokio::time::sleep;

use super::resolve::{self, shown, zone_in};
use super::wire::{self, FUDGE};
use super::{Solver, TxtRecord, credential};
use crate::config::dns::{Algorithm, Rfc2136};
use crate::error::{Error, Result};

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Looking up the server's own name.
const LOOKUP: Duration = Duration::from_secs(10);

/// The name server.
pub(super) struct NameServer {
    host: String,
    port: u16,
    zone: Option<Name>,
    key: String,
    signer: TSigner,
    ttl: u32,
}

/// What is done with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Delete,
}

/// Why an update failed: only what is temporary is tried again.
enum Failed {
    Temporary(String),
    Permanent(Error),
}

impl NameServer {
    pub(super) fn open(settings: &Rfc2136) -> Result<Self> {
        let found = credential::key(&settings.key)?;
        let Some(key) = settings.key_name.clone().or(found.name) else {
            return Err(Error::external("the key for signed updates has no name").next("write `key_name:` beside `key_file:`"));
        };
        let algorithm = match settings.algorithm.or(found.algorithm) {
            Some(Algorithm::HmacSha512) => TsigAlgorithm::HmacSha512,
            Some(Algorithm::HmacSha256) | None => TsigAlgorithm::HmacSha256,
        };
        let signer = TSigner::new(found.secret.to_vec(), algorithm, resolve::name(&key)?, FUDGE)
            .map_err(|error| Error::external(format!("the key {key} cannot sign")).cause(error))?;
        let zone = settings.zone.as_deref().map(resolve::name).transpose()?;
        Ok(Self { host: settings.host.clone(), port: settings.port, zone, key, signer, ttl: settings.ttl })
    }

    async fn change(&self, change: Change, record: &TxtRecord) -> Result<()> {
        let name = resolve::name(&record.name)?;
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.attempt(change, &name, &record.value).await {
                Ok(()) => return Ok(()),
                Err(Failed::Permanent(error)) => return Err(error),
                Err(Failed::Temporary(why)) if attempt == TRIES => {
                    return Err(self.failed(&name).cause(format!("{why} (tried {TRIES} times)")).next(format!(
                        "dig SOA {} @{}",
                        shown(&name),
                        self.host
                    )));
                }
                Err(Failed::Temporary(_)) => {}
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn attempt(&self, change: Change, name: &Name, value: &str) -> Result<(), Failed> {
        let server = self.address().await?;
        let zone = match &self.zone {
            Some(zone) if zone.zone_of(name) => zone.clone(),
            Some(zone) => return Err(Failed::Permanent(self.failed(name).cause(format!("it is not in the zone {}", shown(zone))))),
            None => self.find_zone(server, name).await?,
        };
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
        let message = message(change, &zone, name, value, self.ttl);
        let answer = wire::update(server, message, &self.signer, now).await.map_err(|lost| match lost {
            wire::Lost::Garbled(why) => Failed::Permanent(self.failed(name).cause(why)),
            lost => Failed::Temporary(format!("{}: {lost}", self.describe())),
        })?;
        self.judge(&answer, &zone, name)
    }

    async fn address(&self) -> Result<SocketAddr, Failed> {
        let lookup = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let none = |why: String| Failed::Temporary(format!("the name server {} has no address: {why}", self.host));
        match lookup {
            Err(_) => Err(none("no answer".to_owned())),
            Ok(Err(error)) => Err(none(error.to_string())),
            Ok(Ok(mut found)) => found.next().ok_or_else(|| none("none".to_owned())),
        }
    }

    /// The server itself is asked: it may serve what the rest of the world does not see.
    async fn find_zone(&self, server: SocketAddr, name: &Name) -> Result<Name, Failed> {
        let mut asked = name.clone();
        loop {
            let answer = wire::ask(server, &asked, RecordType::SOA, false).await;
            let answer = answer.map_err(|lost| Failed::Temporary(format!("{}: {lost}", self.describe())))?;
            match answer.metadata.response_code {
                ResponseCode::ServFail => return Err(Failed::Temporary(format!("{} answers SERVFAIL", self.describe()))),
                _ if answer.metadata.authoritative => {
                    if let Some(zone) = zone_in(&answer, &asked) {
                        return Ok(zone);
                    }
                }
                _ => {}
            }
            if asked.is_root() {
                let error = self.failed(name).cause(format!("{} serves no zone that holds it", self.describe()));
                return Err(Failed::Permanent(error.next("name the zone: `zone:` beside `server:`")));
            }
            asked = asked.base_name();
        }
    }

    fn judge(&self, answer: &Message, zone: &Name, name: &Name) -> Result<(), Failed> {
        let tsig = answer.signature.as_ref().and_then(|record| record.data.error);
        let (key, zone, server) = (&self.key, shown(zone), self.describe());
        let refused = |why: String, next: String| Err(Failed::Permanent(self.failed(name).cause(why).next(next)));
        match (answer.metadata.response_code, tsig) {
            (ResponseCode::NoError, _) => Ok(()),
            (ResponseCode::ServFail, _) => Err(Failed::Temporary(format!("{server} answers SERVFAIL: see its log"))),
            (_, Some(TsigError::BadKey)) => refused(
                format!("{server} does not know the key {key}"),
                format!("give it the key, or write its name for it: `key_name:` (here it is {key})"),
            ),
            (_, Some(TsigError::BadSig | TsigError::BadTrunc)) => refused(
                format!("the key {key} of {server} holds another secret or algorithm"),
                "copy the key again, both ends must have the same".to_owned(),
            ),
            (_, Some(TsigError::BadTime)) => refused(
                format!("the clocks of this machine and of {server} differ by more than {FUDGE} s"),
                "timedatectl set-ntp true".to_owned(),
            ),
            (ResponseCode::Refused, _) => refused(
                format!("{server} does not let the key {key} change it"),
                format!("in BIND: update-policy {{ grant {key} name {} TXT; }}; in the zone {zone}", shown(name)),
            ),
            (ResponseCode::NotAuth | ResponseCode::NotZone, _) => {
                refused(format!("{server} is not the primary of a zone {zone} that holds it"), "check `server:` and `zone:`".to_owned())
            }
            (code, _) => refused(format!("{server} answers {code}"), "see the log of the name server".to_owned()),
        }
    }

    fn failed(&self, name: &Name) -> Error {
        Error::external(format!("cannot change the TXT record of {}", shown(name)))
    }
}

/// RFC 2136, section 2: the zone where the question stands, the change where an answer has its authorities.
fn message(change: Change, zone: &Name, name: &Name, value: &str, ttl: u32) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    let mut record = Record::from_rdata(name.clone(), ttl, RData::TXT(TXT::new(vec![value.to_owned()])));
    if change == Change::Delete {
        // Section 2.5.4: one record of a set.
        record.dns_class = DNSClass::NONE;
        record.ttl = 0;
    }
    message.add_authority(record);
    message
}

impl Solver for NameServer {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.change(Change::Add, record).boxed()
    }

    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.change(Change::Delete, record).boxed()
    }

    fn describe(&self) -> String {
        format!("the name server {}", self.host)
    }
}
