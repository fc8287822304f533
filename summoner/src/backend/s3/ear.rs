//! What a store said when it refused, kept for the error that a person reads: the library in between tells no more than
//! that something failed, with a URL that people do not know.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::repositories::S3;
use crate::error::Error;

/// An answer that is no success, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Of HTTP; 0 when there was no answer.
    pub(super) status: u16,
    /// The store's own word, such as `NoSuchBucket`.
    pub(super) code: String,
    /// Its sentence, or why there was no answer.
    pub(super) message: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message } = self;
        match status {
            0 => write!(out, "{message}"),
            _ if message.is_empty() => write!(out, "the store answered {status} {code}"),
            _ => write!(out, "the store answered {status} {code}: {message}"),
        }
    }
}

impl Refusal {
    /// Reads the body of an answer (Amazon S3 API Reference, "REST error responses").
    pub(super) fn of(status: u16, body: &str) -> Self {
        let within = |tag: &str| {
            let (_, rest) = body.split_once(&format!("<{tag}>"))?;
            let (text, _) = rest.split_once(&format!("</{tag}>"))?;
            Some(text.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
        };
        let code = within("Code").unwrap_or_default();
        let message = within("Message").unwrap_or_default();
        Self { status, code, message }
    }

    /// Whether another try may succeed (`503 SlowDown`, an error inside the store, no answer).
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.status, 0 | 408 | 429 | 500 | 502 | 503 | 504) && !self.is_full()
    }

    fn is_full(&self) -> bool {
        let words = ["StorageFull", "QuotaExceeded", "InsufficientCapacity", "InsufficientStorage"];
        self.status == 507 || words.iter().any(|word| self.code.contains(word))
    }

    /// What to do about it.
    fn next(&self, settings: &S3) -> String {
        match (self.status, self.code.as_str()) {
            _ if self.is_full() => "free space there, or raise the quota; then run the same command again".to_owned(),
            (_, "NoSuchBucket") => format!("make the bucket {}, or correct `at:` of that repository in config.yml", settings.bucket),
            (_, "RequestTimeTooSkewed") => "set the clock of this host: timedatectl set-ntp true".to_owned(),
            (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") | (300..=399, _) => {
                format!("set `region:` of that repository in config.yml to the one of the bucket {}", settings.bucket)
            }
            (401 | 403, _) => format!(
                "check access_key and secret_key_file of that repository: its key must list the bucket {}, and get, put and delete in it",
                settings.bucket
            ),
            (429 | 503, _) => "the store wants to be left alone: run the same command again later".to_owned(),
            (0, _) => format!("see whether {} can be reached from here, then run the same command again", settings.endpoint),
            _ => "run the same command again; what arrived is not sent twice".to_owned(),
        }
    }
}

/// Listens to the requests of one operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Ear(Arc<Mutex<Option<Refusal>>>);

impl Ear {
    /// Notes a failure that was final; the first one counts.
    pub(super) fn note(&self, refusal: Refusal) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
    }

    fn heard(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether nothing was refused: an object that is not there is no refusal.
    pub(super) fn is_silent(&self) -> bool {
        self.heard().is_none()
    }

    /// Whether the store no longer knows the upload.
    pub(super) fn knows_no_upload(&self) -> bool {
        self.heard().is_some_and(|refusal| refusal.code == "NoSuchUpload")
    }

    /// Adds the cause, and what to do.
    pub(super) fn explain(&self, error: Error, otherwise: &object_store::Error, settings: &S3) -> Error {
        match self.heard() {
            Some(refusal) => error.cause(&refusal).next(refusal.next(settings)),
            None => error.cause(otherwise).next("run the same command again; what arrived is not sent twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repositories::Place;

    #[test]
    fn each_refusal_says_what_to_do() {
        let Ok(Place::S3(settings)) = "s3+https://s3.example.org/bucket".parse() else { panic!() };
        let body = |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>A sentence.</Message></Error>");
        let said: Vec<String> = [
            (403, body("AccessDenied")),
            (404, body("NoSuchBucket")),
            (403, body("RequestTimeTooSkewed")),
            (301, body("PermanentRedirect")),
            (507, body("XMinioStorageFull")),
            (503, body("SlowDown")),
            (500, String::new()),
            (400, body("AuthorizationHeaderMalformed")),
        ]
        .into_iter()
        .map(|(status, body)| {
            let refusal = Refusal::of(status, &body);
            format!("{refusal} · {} · {}", refusal.next(&settings), refusal.may_pass())
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        the store answered 403 AccessDenied: A sentence. · check access_key and secret_key_file of that repository: its key must list the bucket bucket, and get, put and delete in it · false
        the store answered 404 NoSuchBucket: A sentence. · make the bucket bucket, or correct `at:` of that repository in config.yml · false
        the store answered 403 RequestTimeTooSkewed: A sentence. · set the clock of this host: timedatectl set-ntp true · false
        the store answered 301 PermanentRedirect: A sentence. · set `region:` of that repository in config.yml to the one of the bucket bucket · false
        the store answered 507 XMinioStorageFull: A sentence. · free space there, or raise the quota; then run the same command again · false
        the store answered 503 SlowDown: A sentence. · the store wants to be left alone: run the same command again later · true
        the store answered 500  · run the same command again; what arrived is not sent twice · true
        the store answered 400 AuthorizationHeaderMalformed: A sentence. · set `region:` of that repository in config.yml to the one of the bucket bucket · false
        ");
    }
}
