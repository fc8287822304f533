//! What an authority refused, sorted: whose matter it is, how long to wait, and the sentence a person needs.
//!
//! Names of error types: RFC 8555, 6.7. Nothing here waits or writes; `plan::cert` decides when to ask again.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use instant_acme::{Error as Acme, Problem};

use super::client::{Heard, chain};
use crate::error::Error;
use crate::plan::cert::Blame;

/// The longest text of an authority that is kept.
const MAX_TEXT: usize = 600;
const TYPES: &str = "urn:ietf:params:acme:error:";

/// Why no certificate came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose matter it is.
    pub blame: Blame,
    /// What happened, as a clause: "the authority could not fetch …".
    pub said: String,
    /// What a person can do, as a command or a sentence.
    pub next: Option<String>,
    /// How long the authority wants to be left alone.
    pub wait: Option<Duration>,
    /// The name of the error, without its prefix.
    pub kind: String,
}

impl Failure {
    pub(super) fn new(blame: Blame, said: impl Into<String>) -> Self {
        Self { blame, said: said.into(), next: None, wait: None, kind: String::new() }
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let cause = error.cause.map_or_else(String::new, |cause| format!(": {cause}"));
        Self { next: error.next.into_iter().next(), ..Self::new(Blame::Here, format!("{}{cause}", error.message)) }
    }
}

/// Whether it is the one refusal that only says "again".
pub(super) fn is_bad_nonce(error: &Acme) -> bool {
    matches!(error, Acme::Api(problem) if kind(problem) == "badNonce")
}

fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix(TYPES).unwrap_or(kind)
}

/// Sorts an error of the client.
pub(super) fn sort(error: &Acme, heard: Heard, now: DateTime<Utc>) -> Failure {
    let mut failure = match error {
        Acme::Api(problem) => problem_of(problem, now),
        Acme::Json(_) | Acme::Str(_) => {
            let said = match heard.status {
                Some(status) if status >= 400 => format!("it answered {status} and no reason"),
                _ => format!("its answer is not that of an authority: {error}"),
            };
            Failure::new(Blame::Authority, said)
        }
        Acme::Timeout(_) => Failure::new(Blame::Authority, "it did not finish the order in time"),
        Acme::Unsupported(what) => Failure::new(Blame::Settings, format!("it does not know {what}")),
        Acme::Crypto | Acme::KeyRejected => Failure::new(Blame::Here, "the key of the account cannot be used"),
        Acme::Other(inner) => Failure::new(Blame::Authority, format!("it cannot be reached: {}", chain(inner.as_ref()))),
        other => Failure::new(Blame::Authority, format!("it cannot be reached: {other}")),
    };
    failure.wait = failure.wait.or(heard.retry_after.filter(|_| heard.status.is_none_or(|status| status >= 400)));
    failure
}

/// The problem document of a refusal.
pub(super) fn problem_of(problem: &Problem, now: DateTime<Utc>) -> Failure {
    let mut detail = problem.detail.clone().unwrap_or_default();
    for part in &problem.subproblems {
        detail = format!("{detail}; {part}");
    }
    let detail: String = detail.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    let kind = kind(problem);
    let (blame, plain, next) = words(kind, problem.status);
    let said = if detail.is_empty() { plain.to_owned() } else { format!("{plain} ({detail})") };
    let wait = (blame == Blame::Limit).then(|| until(&detail)).flatten().and_then(|until| (until - now).to_std().ok());
    Failure { blame, said, next: next.map(str::to_owned), wait, kind: kind.to_owned() }
}

/// Whose matter, in plain words, and what to do.
fn words(kind: &str, status: Option<u16>) -> (Blame, &'static str, Option<&'static str>) {
    let port_80 = Some("see that port 80 of this name leads here, also over IPv6, then: summoner certs renew --force");
    match kind {
        "rateLimited" => (Blame::Limit, "it has signed or refused too much lately and wants to be left alone", None),
        "dns" => (
            Blame::Name,
            "it found no address for the name, or no record of the challenge",
            Some("put the name into DNS, wait until everyone sees it, then: summoner certs renew --force"),
        ),
        "connection" => (Blame::Name, "it could not connect to port 80 of the name", port_80),
        "unauthorized" | "incorrectResponse" => (Blame::Name, "it fetched the challenge and found something else", port_80),
        "tls" => (Blame::Name, "it was led to HTTPS for the challenge and could not follow", port_80),
        "caa" => (
            Blame::Name,
            "a CAA record of the domain forbids it to sign",
            Some("add its name to the CAA record of the domain, or choose another under certificates.authorities"),
        ),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            (Blame::Name, "it does not sign for such a name", Some("use a public domain, or certificates: {issuer: internal}"))
        }
        "externalAccountRequired" => (
            Blame::Settings,
            "it wants the key of an account that you have there",
            Some("put eab: {kid, hmac_file} into its entry under certificates.authorities"),
        ),
        "invalidContact" | "unsupportedContact" => {
            (Blame::Settings, "it does not accept the e-mail address", Some("write another one under certificates.email"))
        }
        "invalidProfile" => (Blame::Settings, "it has no such profile", Some("take certificates.profile out, or choose one that it has")),
        "badCSR" | "badPublicKey" => (Blame::Settings, "it does not accept such a key", Some("write certificates: {key: ec-256}")),
        "userActionRequired" => (Blame::Settings, "it wants you to agree to something", None),
        "accountDoesNotExist" => (Blame::Account, "it does not know the account any more", None),
        _ if status.is_some_and(|status| status == 429) => (Blame::Limit, "it wants to be left alone for a while", None),
        _ if status.is_some_and(|status| status >= 500) || kind == "serverInternal" => {
            (Blame::Authority, "it has trouble of its own", None)
        }
        _ => (Blame::Authority, "it refused", None),
    }
}

/// "retry after 2026-11-22 10:00:00 UTC", as Let's Encrypt writes it.
fn until(detail: &str) -> Option<DateTime<Utc>> {
    let (_, rest) = detail.split_once("retry after ")?;
    let text: String = rest.chars().take(20).map(|c| if c == 'T' { ' ' } else { c }).collect();
    NaiveDateTime::parse_from_str(text.get(..19)?, "%Y-%m-%d %H:%M:%S").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str, status: u16) -> Problem {
        let text = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "{detail}", "status": {status}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_refusal_is_sorted_and_said_plainly() {
        let now = DateTime::from_timestamp(1_795_298_400, 0).unwrap();
        let told = |kind: &str, detail: &str, status, heard| {
            let failure = sort(&Acme::Api(problem(kind, detail, status)), heard, now);
            format!("{:?} {:?} {}", failure.blame, failure.wait.map(|wait| wait.as_secs()), failure.said)
        };
        let quiet = Heard { status: Some(400), retry_after: None };
        let all = [
            told("rateLimited", "too many certificates, retry after 2026-11-22 10:00:00 UTC: see", 429, quiet),
            told("rateLimited", "", 429, Heard { status: Some(429), retry_after: Some(Duration::from_secs(7)) }),
            told("caa", "CAA record for a.fr prevents issuance", 403, quiet),
            told("connection", "1.2.3.4: Fetching http://a.fr: refused", 400, quiet),
            told("externalAccountRequired", "", 403, quiet),
            told("serverInternal", "", 500, quiet),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        Limit Some(43200) it has signed or refused too much lately and wants to be left alone (too many certificates, retry after 2026-11-22 10:00:00 UTC: see)
        Limit Some(7) it has signed or refused too much lately and wants to be left alone
        Name None a CAA record of the domain forbids it to sign (CAA record for a.fr prevents issuance)
        Name None it could not connect to port 80 of the name (1.2.3.4: Fetching http://a.fr: refused)
        Settings None it wants the key of an account that you have there
        Authority None it has trouble of its own
        ");
    }

    #[test]
    fn an_authority_that_is_no_authority_is_its_own_matter() {
        let heard = Heard { status: Some(502), retry_after: None };
        let error = Acme::Json(serde_json::from_str::<Problem>("<html>").unwrap_err());
        let failure = sort(&error, heard, DateTime::UNIX_EPOCH);
        assert_eq!((failure.blame, failure.said.as_str()), (Blame::Authority, "it answered 502 and no reason"));
        assert!(is_bad_nonce(&Acme::Api(problem("badNonce", "", 400))));
    }
}
