//! Requests as S3 wants them sent: bounded in time, asked again when that may help, with a store's `Retry-After` honoured.
//!
//! Knows HTTP; what the requests mean is the library's matter. Every request may be repeated: an object and a part are
//! replaced by the same bytes, and completing an upload twice is looked into afterwards.

use std::pin::Pin;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::ear::{Ear, Refusal};
use crate::error::{Error, Result};

const CONNECT: Duration = Duration::from_secs(15);
/// An answer that takes longer, or a pause of this length in one, is a broken line. A part must have arrived in it: 42 KB
/// a second.
const SILENCE: Duration = Duration::from_secs(300);
/// How often a request is sent at most, the first pause, and the time in which the last one begins: signatures end after
/// 15 minutes.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(240);
/// A store that wants a longer rest is not waited for.
const LONGEST_REST: Duration = Duration::from_secs(120);
/// More of a refusal is not read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// The client that all operations of a driver share: it keeps connections.
pub(super) fn client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("summoner/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    client.map_err(|error| Error::external("cannot prepare to speak HTTP").cause(error))
}

/// Sends the requests of one operation.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    ear: Ear,
}

impl Http {
    pub(super) fn new(client: reqwest::Client, ear: Ear) -> Self {
        Self { client, ear }
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (begun, mut pause) = (Instant::now(), PAUSE);
        for left in (0..TRIES).rev() {
            let (refusal, rest) = match self.once(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(refused) => refused,
            };
            let rest = rest.unwrap_or(pause);
            if left == 0 || !refusal.may_pass() || rest > LONGEST_REST || begun.elapsed() + rest > PATIENCE {
                self.ear.note(refusal.clone());
                // A kind that the library does not retry: that was done here.
                return Err(HttpError::new(HttpErrorKind::Unknown, refusal));
            }
            tokio::time::sleep(rest).await;
            pause *= 2;
        }
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal::of(0, "")))
    }

    /// Asks once. A refusal comes with the time that the store wants to be left alone.
    async fn once(&self, request: HttpRequest) -> Result<HttpResponse, (Refusal, Option<Duration>)> {
        let (head, body) = request.into_parts();
        let cut = |error: &dyn std::error::Error| (Refusal { status: 0, code: String::new(), message: chain(error) }, None);
        let url = reqwest::Url::parse(&head.uri.to_string()).map_err(|error| cut(&error))?;
        let mut asked = reqwest::Request::new(head.method, url);
        *asked.headers_mut() = head.headers;
        if body.content_length() > 0 {
            *asked.body_mut() = Some(reqwest::Body::wrap(body));
        }
        let answer = self.client.execute(asked).await.map_err(|error| cut(&error.without_url()))?;
        if answer.status().is_success() {
            let (head, body) = http::Response::from(answer).into_parts();
            let body = body.map_err(|error: reqwest::Error| {
                let message = chain(&error.without_url());
                HttpError::new(HttpErrorKind::Unknown, Refusal { status: 0, code: String::new(), message })
            });
            return Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)));
        }
        let rest = rest_wanted(answer.headers());
        let status = answer.status();
        let text = beginning(answer).await;
        let refusal = Refusal::of(status.as_u16(), &text);
        if status == reqwest::StatusCode::NOT_FOUND && matches!(refusal.code.as_str(), "" | "NoSuchKey") {
            let mut response = HttpResponse::new(HttpResponseBody::from(text));
            *response.status_mut() = status;
            return Ok(response);
        }
        Err((refusal, rest))
    }
}

/// Seconds, as stores send it (RFC 9110, section 10.2.3); a date is left to the usual pause.
fn rest_wanted(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What a refusal says, as far as it arrives.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(more)) = answer.chunk().await {
        bytes.extend_from_slice(&more);
        if bytes.len() > LONGEST_REFUSAL {
            bytes.truncate(LONGEST_REFUSAL);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error and what it stems from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl HttpService for Http {
    fn call<'me, 'call>(&'me self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'me: 'call,
        Self: 'call,
    {
        Box::pin(self.ask(request))
    }
}

impl HttpConnector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
