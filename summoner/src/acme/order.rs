//! One order from its beginning to its certificate (RFC 8555, 7.4): prove control of each name, send the request, fetch
//! the chain, and look whether it is what was ordered.
//!
//! Every step can be the last: the order's address and key are on disk before the authority is told to go on, and the
//! chain is before anything that is served changes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use instant_acme::{Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order, OrderStatus};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use tokio::time::Instant;

use super::account::{NONCE_TRIES, again};
use super::challenge::Files;
use super::client::Client;
use super::dns::{self, Answer};
use super::failure::{Failure, is_bad_nonce, problem_of, sort};
use super::pending::Pending;
use super::{Issued, Places, key, read};
use crate::apply::crash;
use crate::config::certificates::Challenge;
use crate::config::dns::DnsSettings;
use crate::plan::cert::{Blame, Wanted, covers};

/// Authorities look within seconds; some, from several places and twice.
const POLL: Duration = Duration::from_secs(240);
/// Between two looks, at first and at most.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// TLS feature `status_request` (RFC 7633), in DER.
const MUST_STAPLE: (&[u64], &[u8]) = (&[1, 3, 6, 1, 5, 5, 7, 1, 24], &[0x30, 0x03, 0x02, 0x01, 0x05]);

/// What is ordered, and with what.
pub(super) struct Request<'a> {
    pub(super) places: &'a Places,
    pub(super) wanted: &'a Wanted,
    pub(super) directory: &'a str,
    /// The certificate that it replaces by the authority's own suggestion.
    pub(super) replaces: Option<CertificateIdentifier<'static>>,
    /// The key that is kept.
    pub(super) old_key: Option<KeyPair>,
    /// A test authority: nothing is kept of it.
    pub(super) rehearsal: bool,
    pub(super) now: DateTime<Utc>,
}

/// Orders, and gives chain and key.
pub(super) async fn obtain(request: &Request<'_>, account: &Account, client: &Client) -> Result<Issued, Failure> {
    let (mut order, mut pending) = match resume(request, account).await? {
        Some(found) => found,
        None => begin(request, account, client).await?,
    };
    if matches!(order.state().status, OrderStatus::Pending) {
        prove(request, &mut order, client).await?;
    }
    if matches!(order.state().status, OrderStatus::Ready) {
        let csr = csr(request, &pending.key)?;
        crash::point();
        again!(order.finalize_csr(&csr).await).map_err(|error| sort(&error, client.heard(), request.now))?;
    }
    let chain = fetch(request, &mut order, client).await?;
    check(request, &chain, &pending.key)?;
    pending.chain = Some(chain.clone());
    if !request.rehearsal {
        pending.save(request.places, &request.wanted.stem)?;
    }
    Ok(Issued { chain, key: pending.key })
}

/// The order that was under way, if the authority still knows it and it can still end well.
async fn resume(request: &Request<'_>, account: &Account) -> Result<Option<(Order, Pending)>, Failure> {
    if request.rehearsal {
        return Ok(None);
    }
    let Some(pending) = Pending::load(request.places, &request.wanted.stem)? else { return Ok(None) };
    let same = pending.digest == request.wanted.digest() && pending.directory == request.directory;
    if same
        && let Ok(mut order) = again!(account.order(pending.url.clone()).await)
        && order.state().error.is_none()
        && !matches!(order.state().status, OrderStatus::Invalid)
    {
        return Ok(Some((order, pending)));
    }
    Pending::remove(request.places, &request.wanted.stem)?;
    Ok(None)
}

async fn begin(request: &Request<'_>, account: &Account, client: &Client) -> Result<(Order, Pending), Failure> {
    let wanted = request.wanted;
    let key = match request.old_key.as_ref().filter(|old| !wanted.new_keys && key::is(old, wanted.key)) {
        Some(old) => old.serialize_pem(),
        None => {
            let kind = wanted.key;
            let made = tokio::task::spawn_blocking(move || key::make(kind)).await;
            made.map_err(|error| Failure::new(Blame::Here, format!("making a key broke off: {error}")))??.serialize_pem()
        }
    };
    let names: Vec<Identifier> = wanted.names.iter().map(|name| identifier(name)).collect();
    // An authority without this profile gives its own default: better than no certificate.
    let profile = wanted.profile.as_deref().filter(|wanted| account.profiles().any(|known| known.name == *wanted));
    let mut replaces = request.replaces.clone();
    let order = loop {
        let mut new = NewOrder::new(&names);
        if let Some(profile) = profile {
            new = new.profile(profile);
        }
        let renewal = replaces.is_some();
        if let Some(replaced) = replaces.take() {
            new = new.replaces(replaced);
        }
        crash::point();
        match again!(account.new_order(&new).await) {
            Ok(order) => break order,
            // Replaced already, or it forgot: without the mark it is an ordinary order.
            Err(error) if renewal && client.heard().status != Some(429) => {
                tracing::debug!(%error, "the authority does not take the mark of a renewal");
            }
            Err(error) => return Err(sort(&error, client.heard(), request.now)),
        }
    };
    let pending = Pending::new(&wanted.digest(), request.directory, order.url(), &key, request.replaces.is_some());
    if !request.rehearsal {
        pending.save(request.places, &wanted.stem)?;
    }
    Ok((order, pending))
}

fn identifier(name: &str) -> Identifier {
    name.parse().map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip)
}

/// One challenge that must be answered.
struct Open {
    name: String,
    token: String,
    /// The file's content.
    text: String,
    /// The record's.
    digest: String,
}

/// Answers all challenges, tells the authority, and waits for its verdict. The answers are gone afterwards.
async fn prove(request: &Request<'_>, order: &mut Order, client: &Client) -> Result<(), Failure> {
    let open = open(request, order, client).await?;
    match request.wanted.challenge {
        Challenge::Http => {
            let mut files = Files::default();
            let written = open.iter().try_for_each(|open| files.put(request.places, &open.token, &open.text));
            let result = match written {
                Ok(()) => validate(request, order, client).await,
                Err(error) => Err(error.into()),
            };
            let cleared = files.clear();
            result?;
            Ok(cleared?)
        }
        Challenge::Dns => {
            let settings = records(request.wanted)?;
            let solver = dns::open(settings)?;
            let answers: Vec<Answer> =
                open.into_iter().map(|open| Answer { domain: open.name.trim_start_matches("*.").to_owned(), value: open.digest }).collect();
            let validated = async { Ok(validate(request, order, client).await) };
            let solved = dns::solve(settings, &*solver, &answers, validated).await?;
            if let Some(left) = solved.left {
                tracing::warn!(%left, "a record of a challenge stays");
            }
            solved.value
        }
    }
}

/// How the records of DNS-01 are written; asked before an order too, which would be in vain without.
pub(super) fn records(wanted: &Wanted) -> Result<&DnsSettings, Failure> {
    wanted.dns.as_ref().ok_or_else(|| match &wanted.dns_fault {
        Some(fault) => Failure::new(Blame::Settings, fault.clone())
            .next("correct it at the container, or put dns: {provider: …} under certificates in config.yml"),
        None => Failure::new(Blame::Settings, "nothing says how to write the records that prove a wildcard, or DNS-01")
            .next("put dns: {provider: …} under certificates in config.yml"),
    })
}

/// The challenges that nobody answered yet.
async fn open(request: &Request<'_>, order: &mut Order, client: &Client) -> Result<Vec<Open>, Failure> {
    let fail = |error: instant_acme::Error| sort(&error, client.heard(), request.now);
    let mut found = Vec::new();
    let mut all = order.authorizations();
    while let Some(next) = all.next().await {
        let mut authorization = next.map_err(fail)?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Failure::new(Blame::Name, "an authorisation of the order is not open any more")),
        }
        let name = authorization.identifier().to_string();
        let Some(challenge) = authorization.challenge(kind(request)) else {
            return Err(Failure::new(Blame::Settings, format!("it does not offer this challenge for {name}")));
        };
        let answer = challenge.key_authorization();
        let (token, text) = (challenge.token.clone(), answer.as_str().to_owned());
        found.push(Open { name, token, text, digest: answer.dns_value() });
    }
    Ok(found)
}

fn kind(request: &Request<'_>) -> ChallengeType {
    match request.wanted.challenge {
        Challenge::Http => ChallengeType::Http01,
        Challenge::Dns => ChallengeType::Dns01,
    }
}

/// Tells the authority that all answers are there.
async fn validate(request: &Request<'_>, order: &mut Order, client: &Client) -> Result<(), Failure> {
    let fail = |error: instant_acme::Error| sort(&error, client.heard(), request.now);
    let mut all = order.authorizations();
    while let Some(next) = all.next().await {
        let mut authorization = next.map_err(fail)?;
        if authorization.status == AuthorizationStatus::Pending
            && let Some(mut challenge) = authorization.challenge(kind(request))
        {
            again!(challenge.set_ready().await).map_err(fail)?;
        }
    }
    settle(request, order, client).await
}

/// Waits until the order is ready, and finds the reason when it will never be.
async fn settle(request: &Request<'_>, order: &mut Order, client: &Client) -> Result<(), Failure> {
    let status = poll(request, order, client, |status| !matches!(status, OrderStatus::Pending)).await?;
    if !matches!(status, OrderStatus::Invalid) {
        return Ok(());
    }
    let fail = |error: instant_acme::Error| sort(&error, client.heard(), request.now);
    let mut reasons = Vec::new();
    let mut found: Option<Failure> = None;
    let mut all = order.authorizations();
    while let Some(next) = all.next().await {
        let mut authorization = next.map_err(fail)?;
        again!(authorization.refresh().await).map_err(fail)?;
        let name = authorization.identifier().to_string();
        for problem in authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            let failure = problem_of(problem, request.now);
            reasons.push(format!("{name}: {}", failure.said));
            found.get_or_insert(failure);
        }
    }
    let failure = found.unwrap_or_else(|| Failure::new(Blame::Name, "it refused the order and gave no reason"));
    // Whatever an authority finds while it looks at a name is the name's matter.
    let blame = if failure.blame == Blame::Limit { Blame::Limit } else { Blame::Name };
    let said = if reasons.is_empty() { failure.said.clone() } else { reasons.join("; ") };
    Err(Failure { blame, said, ..failure })
}

async fn poll(
    request: &Request<'_>,
    order: &mut Order,
    client: &Client,
    done: impl Fn(OrderStatus) -> bool,
) -> Result<OrderStatus, Failure> {
    let until = Instant::now() + POLL;
    let mut pause = PAUSE;
    loop {
        let state = again!(order.refresh().await).map_err(|error| sort(&error, client.heard(), request.now))?;
        let status = state.status;
        if done(status) || matches!(status, OrderStatus::Invalid) {
            return Ok(status);
        }
        let wait = client.heard().retry_after.unwrap_or(pause).clamp(PAUSE, LONGEST_PAUSE);
        if Instant::now() + wait > until {
            return Err(Failure::new(Blame::Authority, format!("it did not decide within {} minutes", POLL.as_secs() / 60)));
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn fetch(request: &Request<'_>, order: &mut Order, client: &Client) -> Result<String, Failure> {
    let status = poll(request, order, client, |status| matches!(status, OrderStatus::Valid)).await?;
    if matches!(status, OrderStatus::Invalid) {
        let refused = order.state().error.as_ref().map(|problem| problem_of(problem, request.now));
        return Err(refused.unwrap_or_else(|| Failure::new(Blame::Authority, "it refused the finished order")));
    }
    let chain = again!(order.certificate().await).map_err(|error| sort(&error, client.heard(), request.now))?;
    chain.ok_or_else(|| Failure::new(Blame::Authority, "it finished the order and gave no certificate"))
}

/// The certificate request.
fn csr(request: &Request<'_>, key: &str) -> Result<Vec<u8>, Failure> {
    let here =
        |error: &dyn std::fmt::Display| Failure::new(Blame::Here, format!("the request for the certificate cannot be made: {error}"));
    let key = KeyPair::from_pem(key).map_err(|error| here(&error))?;
    let mut params = CertificateParams::new(request.wanted.names.clone()).map_err(|error| here(&error))?;
    params.distinguished_name = DistinguishedName::new();
    if request.wanted.must_staple {
        let (oid, value) = MUST_STAPLE;
        params.custom_extensions.push(CustomExtension::from_oid_content(oid, value.to_vec()));
    }
    params.serialize_request(&key).map(|csr| csr.der().to_vec()).map_err(|error| here(&error))
}

/// What came must be what was ordered: nothing else is put in the place of a certificate that works.
fn check(request: &Request<'_>, chain: &str, key: &str) -> Result<(), Failure> {
    let host = request.wanted.stem.parse().map_err(|error: crate::name::NameError| Failure::new(Blame::Here, error.to_string()));
    let observed = read::usable(&host?, chain.as_bytes(), key.as_bytes());
    let wrong = |what: &str| Failure::new(Blame::Authority, format!("what it sent is not what was ordered: {what}"));
    let observed = observed.map_err(|why| wrong(&why))?;
    if let Some(name) = request.wanted.names.iter().find(|name| !covers(&observed.names, name) && !observed.names.contains(name)) {
        return Err(wrong(&format!("{name} is missing")));
    }
    Ok(())
}
