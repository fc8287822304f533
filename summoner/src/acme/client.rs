//! The way to an authority: HTTPS with limits, and what its headers said that instant-acme does not tell.
//!
//! Knows no order and no account. One client serves one attempt, so that what was heard belongs to it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};

use super::MAX_PEM_BYTES;
use crate::disk;
use crate::error::{Error, Result};

/// For one request; authorities answer within a second, a finalisation within ten.
const REQUEST: Duration = Duration::from_secs(45);
/// To connect: an authority that is down must not hold up the next one.
const CONNECT: Duration = Duration::from_secs(10);
/// Far above any chain or directory.
const MAX_ANSWER: usize = 1 << 20;
/// A longer one is a mistake, or would keep a certificate from being renewed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the last answer said beside its body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Its status; None when there was no answer.
    pub(super) status: Option<u16>,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
}

/// A client and an ear.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    heard: Arc<Mutex<Heard>>,
}

impl Client {
    /// Trusts what the host trusts, or this root alone.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(super) fn new(root: Option<&Path>) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("summoner/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = root {
            let pem = disk::read_bounded(path, MAX_PEM_BYTES)?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| Error::external(format!("{} holds no root certificate", path.display())).cause(error))?;
            builder = builder.tls_certs_only(roots).no_proxy();
        }
        let http = builder.build().map_err(|error| Error::external("cannot prepare to ask authorities").cause(chain(&error)))?;
        Ok(Self { http, heard: Arc::default() })
    }

    /// What the last answer said.
    pub(super) fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the authority calls itself in CAA records: `caaIdentities` of its directory (RFC 8555, 7.1.1). Empty when it
    /// does not say, or does not answer: then the order will tell.
    pub(super) async fn identities(&self, directory: &str) -> Vec<String> {
        #[derive(Default, serde::Deserialize)]
        struct Directory {
            #[serde(default)]
            meta: Meta,
        }
        #[derive(Default, serde::Deserialize)]
        struct Meta {
            #[serde(default, rename = "caaIdentities")]
            identities: Vec<String>,
        }
        let Ok(mut answer) = self.http.get(directory).send().await else { return Vec::new() };
        let mut text = Vec::new();
        while let Ok(Some(part)) = answer.chunk().await {
            if text.len() + part.len() > MAX_ANSWER {
                return Vec::new();
            }
            text.extend_from_slice(&part);
        }
        serde_json::from_slice::<Directory>(&text).unwrap_or_default().meta.identities
    }

    fn hear(heard: &Mutex<Heard>, said: Heard) {
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let Self { http, heard } = self.clone();
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            Self::hear(&heard, Heard::default());
            let other = |error: reqwest::Error| instant_acme::Error::Other(chain(&error).into());
            let mut request = http.request(parts.method.clone(), parts.uri.to_string()).headers(parts.headers);
            if parts.method == http::Method::POST {
                request = request.body(reqwest::Body::wrap(body));
            }
            let mut answer = request.send().await.map_err(other)?;
            let retry_after = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, Utc::now()));
            Self::hear(&heard, Heard { status: Some(answer.status().as_u16()), retry_after });
            let mut text = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(other)? {
                if text.len() + part.len() > MAX_ANSWER {
                    return Err(instant_acme::Error::Other("its answer is longer than any answer should be".into()));
                }
                text.extend_from_slice(&part);
            }
            let mut response = http::Response::new(());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            Ok(BytesResponse { parts: response.into_parts().0, body: Box::new(Bytes::from(text)) })
        })
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn wait(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// An error with everything below it: the reason is the last one.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(946_684_799 - 60, 0).unwrap();
        assert_eq!(wait(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(wait("Thu, 31 Dec 1998 23:59:59 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait("99999999999", now), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("soon", now), None);
    }
}
