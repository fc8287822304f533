//! Asks an instance through the proxy, by its own host name and over TLS, as a browser would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::administrator::chain;
use crate::acme;
use crate::config::Config;
use crate::disk;
use crate::error::{Error, Result};
use crate::minion::Smoke;
use crate::name::Domain;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(300);
/// How much of a page is read.
const MAX_PAGE: usize = 4 << 20;
/// Redirects within the application.
const REDIRECTS: usize = 5;

/// Asks until the answer is right, or the time is up.
///
/// # Errors
/// The last wrong answer.
pub async fn smoke(config: &Config, host: &Domain, smoke: &Smoke, limit: Duration) -> Result<()> {
    let client = client(config, host)?;
    let url = match config.proxy.https_port {
        443 => format!("https://{host}{}", smoke.path),
        port => format!("https://{host}:{port}{}", smoke.path),
    };
    let since = Instant::now();
    loop {
        match ask(&client, &url, smoke).await {
            Ok(()) => return Ok(()),
            Err(reason) if since.elapsed() > limit => {
                return Err(Error::external(format!("{url} does not answer as it should")).cause(reason));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn ask(client: &reqwest::Client, url: &str, smoke: &Smoke) -> Result<(), String> {
    let mut answer = client.get(url).send().await.map_err(|error| chain(&error))?;
    let status = answer.status();
    let expected = if smoke.expect.is_empty() { status.is_success() } else { smoke.expect.contains(&status.as_u16()) };
    if !expected {
        return Err(format!("it answered {status}"));
    }
    let Some(text) = &smoke.contains else { return Ok(()) };
    let mut page = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error))? {
        page.extend_from_slice(&chunk[..chunk.len().min(MAX_PAGE - page.len())]);
    }
    if String::from_utf8_lossy(&page).contains(text.as_str()) { Ok(()) } else { Err(format!("its page lacks `{text}`")) }
}

/// Trusts our own authority alone where that signed, and finds every host on the proxy of this machine. Where somebody
/// else signed, any certificate will do: this asks whether the application answers, on this machine, and which roots
/// visitors trust cannot be seen from here.
fn client(config: &Config, host: &Domain) -> Result<reqwest::Client> {
    let failed = |error: &dyn std::fmt::Display| Error::external(format!("cannot prepare to ask {host}")).cause(error);
    let pem = disk::read_bounded(&config.layout.authority(), 1 << 20)?;
    let root = reqwest::Certificate::from_pem(&pem).map_err(|error| failed(&error))?;
    let address = config.proxy.address.filter(|address| !address.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let own = acme::observe(&config.layout, host)?.is_none_or(|observed| acme::is_own(&observed));
    reqwest::Client::builder()
        .timeout(REQUEST)
        .no_proxy()
        .tls_certs_only([root])
        .tls_danger_accept_invalid_certs(!own)
        .resolve(host.as_str(), SocketAddr::new(address, config.proxy.https_port))
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
        .build()
        .map_err(|error| failed(&error))
}
