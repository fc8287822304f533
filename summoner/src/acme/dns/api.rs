//! One way to speak with the providers' APIs: JSON over HTTP with a token, bounded, tried again only where that can help.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, redirect};
use serde_json::Value;
use tokio::time::sleep;

use super::credential;
use crate::config::dns::Api;
use crate::error::{Error, Result};

const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// A provider that wants a longer pause is not waited for: the next run comes back.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const MOST_BYTES: usize = 1 << 20;
const SHOWN: usize = 400;

/// A provider's API and our token for it.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    /// Who it is, for messages.
    pub(super) provider: &'static str,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// Null where the answer was empty.
    pub(super) json: Value,
}

/// Why a request failed.
enum Failed {
    /// It may go well next time; after this pause, where the provider said so.
    Temporary(String, Option<Duration>),
    Permanent(Error),
}

impl Client {
    /// `scheme` is the word before the token.
    pub(super) fn open(provider: &'static str, url: &str, scheme: &str, settings: &Api) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::external(format!("cannot prepare to speak with {provider}")).cause(error);
        let token = credential::token(&settings.token)?;
        let mut value = HeaderValue::from_str(&format!("{scheme} {}", token.as_str())).map_err(|error| failed(&error))?;
        value.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]))
            .user_agent(concat!("summoner/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT)
            // The token goes to the address that it was meant for.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { http, url: settings.url.as_deref().unwrap_or(url).to_owned(), provider })
    }

    /// Sends a request; a refusal by its status is the caller's to judge, except for the token.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (why, asked) = match self.attempt(&method, path, body).await {
                Ok(reply) => return Ok(reply),
                Err(Failed::Permanent(error)) => return Err(error),
                Err(Failed::Temporary(why, asked)) => (why, asked),
            };
            if let Some(asked) = asked.filter(|asked| *asked > LONGEST_PAUSE) {
                return Err(self.failed().cause(why).next(format!(
                    "{} wants to be left alone for {} s: try again after that",
                    self.provider,
                    asked.as_secs()
                )));
            }
            if attempt == TRIES {
                return Err(self.failed().cause(format!("{why} (tried {TRIES} times)")));
            }
            sleep(asked.unwrap_or(pause)).await;
            pause *= 2;
        }
    }

    async fn attempt(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Reply, Failed> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| Failed::Temporary(chain(&error), None))?;
        let (status, wait) = (response.status(), retry_after(response.headers(), Utc::now()));
        let text = read(response).await?;
        match status {
            StatusCode::TOO_MANY_REQUESTS => Err(Failed::Temporary(format!("it answers {status}"), wait)),
            status if status.is_server_error() => Err(Failed::Temporary(format!("it answers {status}: {}", shown(&text)), wait)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failed::Permanent(
                self.failed()
                    .cause(format!("it answers {status}: {}", shown(&text)))
                    .next(format!("make a token at {} that may edit the zone's records, and put it into `token_file:`", self.provider)),
            )),
            status => {
                let json = if text.trim().is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
                let json =
                    json.map_err(|error| Failed::Permanent(self.failed().cause(format!("its answer ({status}) is not JSON: {error}"))))?;
                Ok(Reply { status, json })
            }
        }
    }

    /// The beginning of every error.
    pub(super) fn failed(&self) -> Error {
        Error::external(format!("{} did not do what was asked", self.provider))
    }

    /// For a reply that is neither of those expected.
    pub(super) fn refused(&self, reply: &Reply) -> Error {
        self.failed().cause(format!("it answers {}: {}", reply.status, shown(&reply.json.to_string())))
    }
}

async fn read(mut response: Response) -> Result<String, Failed> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failed::Temporary(chain(&error), None))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(Failed::Temporary(format!("its answer is longer than {MOST_BYTES} bytes"), None));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or_default())
}

/// The client's errors hide their reason in their source; the address in them holds no secret.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn shown(text: &str) -> String {
    let flat: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if flat.len() < text.len() { format!("{flat}…") } else { flat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let of = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]), now);
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Sat, 21 Nov 2026 12:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Sat, 21 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO), "it is over");
        assert_eq!(of("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
