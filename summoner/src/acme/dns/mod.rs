//! DNS-01 (RFC 8555, section 8.4): publishes the records that an authority wants to see, waits until the zone's name
//! servers serve them, and takes them away again, whatever became of the validation.
//!
//! Knows no order and no authority: the ACME client calls [`solve`] with the digests and with what to do in between. One
//! file per way to publish. A process that is killed in between leaves a record behind, which proves nothing to anyone.

mod api;
mod cloudflare;
mod credential;
mod desec;
mod exec;
mod hetzner;
pub(crate) mod resolve;
mod rfc2136;
mod watch;
pub(crate) mod wire;

use futures_util::future::BoxFuture;

use crate::config::dns::{DnsSettings, Provider};
use crate::error::{Error, Result};

/// The label that a challenge's record lies below (RFC 8555, section 8.4).
const LABEL: &str = "_acme-challenge";
/// Far above what one certificate needs.
const MOST_ANSWERS: usize = 200;

/// A TXT record: its whole name, without the dot at its end, and its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TxtRecord {
    /// Where it is, aliases already followed.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// What an authority wants to see for one of its authorizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The host or domain, without `*.`.
    pub domain: String,
    /// The digest of the key authorization, base64url.
    pub value: String,
}

/// A way to publish records. Both actions are idempotent and leave other values of the same name alone: a wildcard and
/// its base share one name.
pub trait Solver: Send + Sync {
    /// Publishes the record.
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>>;
    /// Takes the record away; one that is not there is no error.
    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>>;
    /// "the name server ns1.example.org": who publishes, for messages.
    fn describe(&self) -> String;
}

/// What came of the work that the records were published for.
#[derive(Debug)]
pub struct Solved<T> {
    /// Its result.
    pub value: T,
    /// Why a record could not be taken away again. The certificate does not suffer from it.
    pub left: Option<Error>,
}

/// Opens the way to publish that the settings name; its credential is read here.
///
/// # Errors
/// When the credential cannot be read, others may read it too, or it is none.
pub fn open(settings: &DnsSettings) -> Result<Box<dyn Solver>> {
    Ok(match &settings.provider {
        Provider::Rfc2136(server) => Box::new(rfc2136::NameServer::open(server)?),
        Provider::Exec(hook) => Box::new(exec::Program::open(hook)),
        Provider::Cloudflare(account) => Box::new(cloudflare::Account::open(account)?),
        Provider::Desec(api) => Box::new(desec::Account::open(api)?),
        Provider::Hetzner(api) => Box::new(hetzner::Account::open(api)?),
    })
}

/// Publishes all answers, waits until they are served, does `validate`, and takes them away again, also after a failure.
///
/// # Errors
/// When a record cannot be published, is not served in time, or `validate` fails; then too nothing is left behind, or the
/// error says what.
pub async fn solve<T>(
    settings: &DnsSettings,
    solver: &dyn Solver,
    answers: &[Answer],
    validate: impl Future<Output = Result<T>>,
) -> Result<Solved<T>> {
    if answers.len() > MOST_ANSWERS {
        return Err(Error::usage(format!("{} DNS-01 answers at once are too many: {MOST_ANSWERS} at most", answers.len())));
    }
    let watch = watch::Watch::open(settings)?;
    let mut records = Vec::new();
    for answer in answers {
        records.push(TxtRecord { name: watch.target(&challenge_name(&answer.domain)).await?, value: answer.value.clone() });
    }
    records.sort();
    records.dedup();
    let mut done = 0;
    let result = async {
        for record in &records {
            // Counted before it is done: a failure may have come after the record was written.
            done += 1;
            solver.present(record).await?;
        }
        watch.wait(&records).await.map_err(|error| {
            let said = format!("the record was given to {}", solver.describe());
            Error { cause: Some(error.cause.as_ref().map_or_else(|| said.clone(), |cause| format!("{cause}\n{said}"))), ..error }
        })?;
        validate.await
    }
    .await;
    let left = withdraw(solver, records.get(..done).unwrap_or_default()).await;
    match (result, left) {
        (Ok(value), left) => Ok(Solved { value, left }),
        (Err(error), None) => Err(error),
        (Err(error), Some(left)) => Err(error.also(&left)),
    }
}

/// Takes all away, also when one of them stays.
async fn withdraw(solver: &dyn Solver, records: &[TxtRecord]) -> Option<Error> {
    let mut left: Option<Error> = None;
    for record in records {
        if let Err(error) = solver.remove(record).await {
            left = Some(left.map_or_else(|| error.clone(), |first| first.also(&error)));
        }
    }
    left
}

/// `_acme-challenge.example.org`.
fn challenge_name(domain: &str) -> String {
    format!("{LABEL}.{}", domain.strip_prefix("*.").unwrap_or(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_and_its_base_share_a_name() {
        assert_eq!(challenge_name("*.example.org"), "_acme-challenge.example.org");
        assert_eq!(challenge_name("example.org"), "_acme-challenge.example.org");
    }
}
