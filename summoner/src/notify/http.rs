//! One request to an address of the owner's: bounded, tried again only where that can help, redirects not followed, TLS
//! verified. No error holds more of the address than its scheme and host.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, redirect};
use tokio::time::{sleep, timeout};

/// For one request and its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// Before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Of an answer only this much is read, for people.
const MOST_BYTES: usize = 4096;
/// And shown.
const SHOWN: usize = 200;

/// What is sent.
pub(super) struct Post<'a> {
    /// Where; a secret.
    pub(super) url: &'a str,
    pub(super) content_type: &'static str,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    pub(super) body: String,
}

/// Why one try failed.
enum Failed {
    /// It may go well next time.
    Temporary(String),
    Permanent(String),
}

/// Sends it, and gives what was answered, in a few words.
///
/// # Errors
/// Why it was not taken.
pub(super) async fn send(post: &Post<'_>) -> Result<String, String> {
    let client = client().ok_or("a client of HTTPS cannot be made")?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let why = match timeout(TIMEOUT, attempt(client, post)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Failed::Permanent(why))) => return Err(why),
            Ok(Err(Failed::Temporary(why))) => why,
            Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        };
        match pauses.next() {
            Some(pause) => sleep(pause).await,
            None => return Err(format!("{why} (tried {} times)", PAUSES.len() + 1)),
        }
    }
}

/// One for the process: reading the roots of trust costs more than the request.
fn client() -> Option<&'static Client> {
    static CLIENT: OnceLock<Option<Client>> = OnceLock::new();
    let make = || {
        let builder = Client::builder().user_agent(concat!("summoner/", env!("CARGO_PKG_VERSION")));
        // Where it leads elsewhere, a person looks; and nothing that waits is kept open.
        builder.connect_timeout(CONNECT).redirect(redirect::Policy::none()).pool_max_idle_per_host(0).build().ok()
    };
    CLIENT.get_or_init(make).as_ref()
}

async fn attempt(client: &Client, post: &Post<'_>) -> Result<String, Failed> {
    let mut request = client.post(post.url).header(CONTENT_TYPE, post.content_type).body(post.body.clone());
    if let Some((name, value)) = &post.header {
        request = request.header(name, value);
    }
    let mut response = request.send().await.map_err(|error| Failed::Temporary(chain(error)))?;
    let status = response.status();
    let mut bytes = Vec::new();
    // What it says is for people: a part of it is as good.
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MOST_BYTES - bytes.len())]);
        if bytes.len() == MOST_BYTES {
            break;
        }
    }
    let said = answer(status, &String::from_utf8_lossy(&bytes));
    match status {
        status if status.is_success() => Ok(said),
        status if status.is_redirection() => Err(Failed::Permanent(format!("{status}: it leads elsewhere, which is not followed"))),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(Failed::Temporary(said)),
        status if status.is_server_error() => Err(Failed::Temporary(said)),
        _ => Err(Failed::Permanent(said)),
    }
}

fn answer(status: StatusCode, text: &str) -> String {
    let flat: String = text.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if flat.is_empty() { status.to_string() } else { format!("{status}: {flat}") }
}

/// The client's errors hide their reason in their source, and hold the address: it is taken out.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
