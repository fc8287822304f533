//! The one entry of everybody who wants certificates: install, the daemon, `summoner proxy`, `summoner certs renew`.
//!
//! Looks at what lies there and at what is known, and asks authorities for what is due: a few at a time, each failure
//! written down before anything else happens. When nothing is due, nothing is asked and nothing is written.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use instant_acme::CertificateIdentifier;
use rustls::pki_types::CertificateDer;

use super::account::Door;
use super::client::Client;
use super::failure::{Failure, sort};
use super::order::{Request, obtain, records};
use super::pending::Pending;
use super::{Issued, MAX_PEM_BYTES, Places, challenge, key, memory, preflight, read, store};
use crate::apply::crash;
use crate::config::certificates::Challenge;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::plan::cert::memory::{Failed, LastError, Signed, Suggested};
use crate::plan::cert::{Blame, HTTP_PORT, Lying, Memory, Turn, Wanted, turn};

/// Certificates that are worked on at once.
const AT_ONCE: usize = 4;
/// For one certificate, all its authorities and tries together.
const LONGEST: Duration = Duration::from_secs(900);
/// Another one who tends is waited for this long.
const LOCK_WAIT: Duration = Duration::from_secs(120);
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at an authority's suggestion (RFC 9773, 4.3: it may say otherwise, within reason).
const LOOK_AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::minutes(10), TimeDelta::hours(12));
/// The kind of a failure that was found out here.
const PREFLIGHT: &str = "preflight";
/// After a look that failed.
const LOOK_LATER: TimeDelta = TimeDelta::hours(1);

/// What is to be tended.
#[derive(Debug, Clone, Copy)]
pub struct Tending<'a> {
    /// Where everything lies.
    pub places: &'a Places,
    /// All certificates that are wanted from authorities on the network.
    pub wanted: &'a [Wanted],
    /// Stems that a person wants anew, although they are not due.
    pub force: &'a BTreeSet<String>,
    /// The moment.
    pub now: DateTime<Utc>,
    /// The DNS servers that names are looked up with; none: this machine's.
    pub resolvers: &'a [SocketAddr],
    /// The port that authorities ask: 80, but in tests.
    pub http_port: u16,
}

impl<'a> Tending<'a> {
    /// With this machine's DNS servers, and port 80.
    #[must_use]
    pub fn of(places: &'a Places, wanted: &'a [Wanted], force: &'a BTreeSet<String>, now: DateTime<Utc>) -> Self {
        Self { places, wanted, force, now, resolvers: &[], http_port: HTTP_PORT }
    }
}

/// What became of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The stem of its files.
    pub stem: String,
    /// Its names.
    pub names: Vec<String>,
    /// What happened.
    pub what: What,
    /// Why, in a clause.
    pub reason: String,
    /// When something happens next: a renewal, or another try.
    pub next_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub error: Option<LastError>,
}

/// What happened to one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing was due.
    Kept,
    /// A new one lies there.
    Issued {
        /// Who signed it.
        authority: String,
    },
    /// It is due, and nobody may be asked yet.
    Waiting,
    /// It was asked for in vain.
    Failed,
}

/// Tends all of them. What goes wrong with one certificate is its outcome and harms no other.
///
/// # Errors
/// What lies there cannot be read, another one tends for minutes, or the memory cannot be written.
pub async fn tend(tending: &Tending<'_>) -> Result<Vec<Outcome>> {
    let known = memory::load(tending.places)?;
    let idle: Option<Vec<Outcome>> =
        tending.wanted.iter().map(|wanted| idle(tending, wanted, &known).transpose()).collect::<Option<Result<_>>>().transpose()?;
    if let Some(outcomes) = idle {
        return Ok(outcomes);
    }
    disk::ensure_own_folder(&tending.places.acme, 0o700, None)?;
    let _lock = lock(&tending.places.lock).await?;
    challenge::sweep(&tending.places.html, tending.now)?;
    // Somebody else may have done it meanwhile.
    let work = Work { tending, memory: Mutex::new(memory::load(tending.places)?) };
    let mut outcomes: Vec<(usize, Result<Outcome>)> = stream::iter(tending.wanted.iter().enumerate())
        .map(|(number, wanted)| {
            let work = &work;
            async move { (number, work.bounded(wanted).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// What lies there and what would be done, without asking anybody.
///
/// # Errors
/// A file cannot be read.
pub fn standing(tending: &Tending<'_>) -> Result<Vec<(Lying, Outcome)>> {
    let known = memory::load(tending.places)?;
    let one = |wanted: &Wanted| {
        let lying = store::look(tending.places, &wanted.stem, &known)?;
        let turn = turn::turn(wanted, &lying, &known, tending.force.contains(&wanted.stem), tending.now);
        let outcome = outcome(wanted, turn, &known, false);
        Ok((lying, outcome))
    };
    tending.wanted.iter().map(one).collect()
}

/// The outcome, when nothing needs to be asked, written or mended.
fn idle(tending: &Tending<'_>, wanted: &Wanted, known: &Memory) -> Result<Option<Outcome>> {
    let lying = store::look(tending.places, &wanted.stem, known)?;
    let unfinished = Pending::load(tending.places, &wanted.stem)?.is_some_and(|pending| pending.chain.is_some());
    if unfinished || looks(&lying, known, wanted, tending.now) {
        return Ok(None);
    }
    let force = tending.force.contains(&wanted.stem);
    let turn = turn::turn(wanted, &lying, known, force, tending.now);
    if matches!(turn, Turn::Ask { .. }) {
        return Ok(None);
    }
    store::link(tending.places, wanted, known)?;
    Ok(Some(outcome(wanted, turn, known, false)))
}

/// Whether the authority is asked for its suggestion.
fn looks(lying: &Lying, known: &Memory, wanted: &Wanted, now: DateTime<Utc>) -> bool {
    let known = known.certificates.get(&wanted.stem);
    matches!(lying, Lying::Ours(_)) && known.is_some_and(|known| known.directory.is_some() && known.look_again.is_none_or(|at| now >= at))
}

fn outcome(wanted: &Wanted, turn: Turn, known: &Memory, failed: bool) -> Outcome {
    let error = known.certificates.get(&wanted.stem).and_then(|known| known.last_error.clone());
    let (what, reason, next_at) = match turn {
        Turn::Keep { until, reason } => (What::Kept, reason, until),
        Turn::Wait { until, reason } => (What::Waiting, reason, Some(until)),
        Turn::Ask { reason, .. } => (What::Waiting, reason, None),
    };
    let what = if failed { What::Failed } else { what };
    let reason = match wanted.note() {
        Some(note) => format!("{reason}; {note}"),
        None => reason,
    };
    Outcome { stem: wanted.stem.clone(), names: wanted.names.clone(), what, reason, next_at, error }
}

pub(super) async fn lock(path: &Path) -> Result<std::fs::File> {
    let until = tokio::time::Instant::now() + LOCK_WAIT;
    loop {
        if let Some(file) = disk::lock(path, true)? {
            return Ok(file);
        }
        if tokio::time::Instant::now() > until {
            return Err(Error::new(Kind::Locked, "another summoner command is asking for certificates").next("wait for it to end"));
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// One round over all certificates.
struct Work<'a> {
    tending: &'a Tending<'a>,
    memory: Mutex<Memory>,
}

impl Work<'_> {
    fn look<T>(&self, look: impl FnOnce(&Memory) -> T) -> T {
        look(&self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is known, on disk too when this returns.
    fn change(&self, change: impl FnOnce(&mut Memory)) -> Result<()> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut memory);
        memory::save(self.tending.places, &memory)
    }

    fn emails(&self) -> Vec<String> {
        self.tending.wanted.iter().filter_map(|wanted| wanted.email.clone()).collect()
    }

    fn door<'a>(&'a self, wanted: &'a Wanted, authority: usize, directory: &'a str, emails: &'a [String]) -> Door<'a> {
        let (places, now) = (self.tending.places, self.tending.now);
        Door { places, authority: &wanted.authorities[authority], directory, email: wanted.email.as_deref(), emails, now }
    }

    async fn bounded(&self, wanted: &Wanted) -> Result<Outcome> {
        if let Ok(outcome) = tokio::time::timeout(LONGEST, self.one(wanted)).await {
            return outcome;
        }
        let failure = Failure::new(Blame::Authority, format!("it took longer than {} minutes", LONGEST.as_secs() / 60));
        self.note(wanted, None, &failure, None)?;
        self.end(wanted, true)
    }

    /// As many turns as there are authorities, each with its test authority.
    async fn one(&self, wanted: &Wanted) -> Result<Outcome> {
        let (places, now) = (self.tending.places, self.tending.now);
        self.finish(wanted)?;
        let mut force = self.tending.force.contains(&wanted.stem);
        let (mut failed, mut forgotten) = (false, false);
        for _ in 0..=2 * wanted.authorities.len() + 1 {
            let lying = self.look(|memory| store::look(places, &wanted.stem, memory))?;
            if self.look(|memory| looks(&lying, memory, wanted, now)) {
                self.suggestion(wanted).await?;
            }
            let turn = self.look(|memory| turn::turn(wanted, &lying, memory, force, now));
            let Turn::Ask { authority, staging, renewal, .. } = turn else { break };
            let ends_at = lying.observed().map(|observed| observed.not_after);
            let asked = Asked { authority, staging, renewal };
            match self.ask(wanted, &asked).await {
                Ok(None) => {}
                Ok(Some(issued)) => return self.keep(wanted, &asked, &issued),
                Err(failure) if failure.blame == Blame::Account && !forgotten => {
                    let directory = wanted.directory(authority, staging).unwrap_or_default();
                    self.door(wanted, authority, directory, &[]).forget()?;
                    forgotten = true;
                }
                Err(failure) => {
                    // What was found out before anybody was asked counts against nobody.
                    let asked = (failure.kind != PREFLIGHT).then_some((authority, staging));
                    self.note(wanted, asked, &failure, ends_at)?;
                    (failed, force) = (true, false);
                }
            }
        }
        self.end(wanted, failed)
    }

    fn end(&self, wanted: &Wanted, failed: bool) -> Result<Outcome> {
        let (places, now) = (self.tending.places, self.tending.now);
        self.look(|memory| {
            let lying = store::look(places, &wanted.stem, memory)?;
            store::link(places, wanted, memory)?;
            Ok(outcome(wanted, turn::turn(wanted, &lying, memory, false, now), memory, failed))
        })
    }

    /// Asks one authority: None when its test authority signed.
    async fn ask(&self, wanted: &Wanted, asked: &Asked) -> Result<Option<Issued>, Failure> {
        let (places, now) = (self.tending.places, self.tending.now);
        let Some(directory) = wanted.directory(asked.authority, asked.staging) else {
            return Err(Failure::new(Blame::Here, "the authority went away"));
        };
        if wanted.challenge == Challenge::Dns
            && let Err(failure) = records(wanted)
        {
            return Err(Failure { kind: PREFLIGHT.to_owned(), ..failure });
        }
        let replaces = if asked.renewal { self.identifier(&wanted.stem)? } else { None };
        let old_key = if wanted.new_keys { None } else { store::old_key(places, &wanted.stem)? };
        let client = Client::new(wanted.authorities[asked.authority].root.as_deref())?;
        self.preflight(wanted, directory, &client).await?;
        let emails = self.emails();
        let account = self.door(wanted, asked.authority, directory, &emails).open(&client).await?;
        self.change(|memory| memory.ordered(directory, now))?;
        let request = Request { places, wanted, directory, replaces, old_key, rehearsal: asked.staging, now };
        let issued = obtain(&request, &account, &client).await?;
        if asked.staging {
            self.change(|memory| memory.proven(&wanted.stem, &wanted.digest()))?;
            return Ok(None);
        }
        Ok(Some(issued))
    }

    /// What would fail for certain is found out before an authority counts it.
    async fn preflight(&self, wanted: &Wanted, directory: &str, client: &Client) -> Result<(), Failure> {
        if !wanted.preflight {
            return Ok(());
        }
        let (identities, own) = (client.identities(directory).await, preflight::own_addresses());
        let (challenge, folder) = match wanted.challenge {
            Challenge::Http => (preflight::Challenge::Http01, Some(challenge::folder(self.tending.places)?)),
            Challenge::Dns => (preflight::Challenge::Dns01, None),
        };
        let options = preflight::Options {
            resolvers: self.tending.resolvers,
            identities: &identities,
            account: None,
            http_port: self.tending.http_port,
            own_addresses: &own,
            challenge_folder: folder.as_deref(),
        };
        let findings = preflight::check(&wanted.names, challenge, &options).await;
        let refused: Vec<_> = findings.iter().filter(|finding| finding.severity == preflight::Severity::Refuse).collect();
        let Some(first) = refused.first() else { return Ok(()) };
        let said = refused.iter().map(|finding| finding.sentence.as_str()).collect::<Vec<_>>().join("; ");
        Err(Failure { kind: PREFLIGHT.to_owned(), ..Failure::new(Blame::Name, said).next(first.next.clone()) })
    }

    /// Puts a certificate in its place. It is noted as ours before it lies there: after a crash it must not look like a
    /// person's own.
    fn keep(&self, wanted: &Wanted, asked: &Asked, issued: &Issued) -> Result<Outcome> {
        let directory = wanted.directory(asked.authority, false).unwrap_or_default();
        self.put(wanted, directory, asked.renewal, issued)?;
        let mut outcome = self.end(wanted, false)?;
        outcome.what = What::Issued { authority: wanted.authorities[asked.authority].name.clone() };
        if let Some(note) = key::possible(wanted.key).1 {
            outcome.reason = format!("{}; {note}", outcome.reason);
        }
        Ok(outcome)
    }

    fn put(&self, wanted: &Wanted, directory: &str, renewal: bool, issued: &Issued) -> Result<()> {
        let (places, now) = (self.tending.places, self.tending.now);
        let observed = read::usable_named(&wanted.stem, issued.chain.as_bytes(), issued.key.as_bytes())
            .map_err(|why| Error::external(format!("the certificate of {} cannot be served", wanted.stem)).cause(why))?;
        let signed = Signed { directory, fingerprint: &observed.fingerprint, names: &wanted.names, renewal };
        self.change(|memory| memory.signed(&wanted.stem, &signed, now))?;
        crash::point();
        self.look(|memory| store::store(places, wanted, issued, memory))?;
        Pending::remove(places, &wanted.stem)
    }

    /// Ends what a crash left: a chain that came and was not put in its place.
    fn finish(&self, wanted: &Wanted) -> Result<()> {
        let Some(pending) = Pending::load(self.tending.places, &wanted.stem)? else { return Ok(()) };
        let Some(chain) = pending.chain else { return Ok(()) };
        let lying = self.look(|memory| store::look(self.tending.places, &wanted.stem, memory))?;
        if pending.digest != wanted.digest() || matches!(lying, Lying::Theirs(_) | Lying::Broken(_)) {
            return Pending::remove(self.tending.places, &wanted.stem);
        }
        self.put(wanted, &pending.directory, pending.renewal, &Issued { chain, key: pending.key })
    }

    fn note(&self, wanted: &Wanted, asked: Option<(usize, bool)>, failure: &Failure, ends_at: Option<DateTime<Utc>>) -> Result<()> {
        let digest = wanted.digest();
        let authority = asked.and_then(|(number, staging)| {
            let name = wanted.authorities.get(number)?.name.as_str();
            Some((wanted.directory(number, staging)?, name))
        });
        let failed = Failed {
            authority,
            blame: failure.blame,
            said: &failure.said,
            next: failure.next.as_deref(),
            wait: failure.wait,
            names: &wanted.names,
            ends_at,
            digest: &digest,
        };
        self.change(|memory| memory.failed(&wanted.stem, &failed, self.tending.now))
    }

    /// The name under which the authority knows the certificate that lies there (RFC 9773, 4.1).
    fn identifier(&self, stem: &str) -> Result<Option<CertificateIdentifier<'static>>> {
        let path = store::Files::of(self.tending.places, stem).certificate;
        let Some(pem) = disk::read_if_there(&path, MAX_PEM_BYTES)? else { return Ok(None) };
        let Some(der) = read::block(&pem, "CERTIFICATE") else { return Ok(None) };
        // One without the key identifier of its issuer has no such name.
        Ok(CertificateIdentifier::try_from(&CertificateDer::from(der)).ok().map(CertificateIdentifier::into_owned))
    }

    /// Asks the authority when the certificate should be renewed. Without an answer the last one stands.
    async fn suggestion(&self, wanted: &Wanted) -> Result<()> {
        let now = self.tending.now;
        let (stem, places) = (&wanted.stem, self.tending.places);
        let Lying::Ours(observed) = self.look(|memory| store::look(places, stem, memory))? else { return Ok(()) };
        let found = self.suggested(wanted).await;
        self.change(|memory| {
            let known = memory.certificates.entry(stem.clone()).or_default();
            match found {
                Some((mut suggested, wait)) => {
                    suggested.fingerprint.clone_from(&observed.fingerprint);
                    let wait = TimeDelta::from_std(wait).unwrap_or(LOOK_AGAIN.1).clamp(LOOK_AGAIN.0, LOOK_AGAIN.1);
                    (known.suggested, known.look_again) = (Some(suggested), Some(now + wait));
                }
                None => known.look_again = Some(now + LOOK_LATER),
            }
        })
    }

    async fn suggested(&self, wanted: &Wanted) -> Option<(Suggested, Duration)> {
        let signer = self.look(|memory| memory.certificates.get(&wanted.stem)?.directory.clone())?;
        let number = (0..wanted.authorities.len()).find(|number| wanted.directory(*number, false) == Some(signer.as_str()))?;
        let identifier = self.identifier(&wanted.stem).ok()??;
        let client = Client::new(wanted.authorities[number].root.as_deref()).ok()?;
        let account = self.door(wanted, number, &signer, &self.emails()).open(&client).await.ok()?;
        let (info, wait) = account
            .renewal_info(&identifier)
            .await
            .map_err(|error| tracing::debug!(failure = ?sort(&error, client.heard(), self.tending.now), "no suggestion for the renewal"))
            .ok()?;
        let start = DateTime::from_timestamp(info.suggested_window.start.unix_timestamp(), 0)?;
        let end = DateTime::from_timestamp(info.suggested_window.end.unix_timestamp(), 0)?;
        Some((Suggested { fingerprint: String::new(), start, end, explanation: info.explanation_url }, wait))
    }
}

/// Whom, and how.
struct Asked {
    authority: usize,
    staging: bool,
    renewal: bool,
}
