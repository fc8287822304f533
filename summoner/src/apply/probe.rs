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
    judge(client.get(url).send().await.map_err(|error| chain(&error))?, smoke).await
}

/// Where an application answers without a proxy, and what visitors call it.
pub struct Straight {
    /// Address and port.
    pub address: String,
    /// Its host name.
    pub host: String,
    /// The port that visitors come to.
    pub https_port: u16,
}

/// Asks a container by its address, with the headers that the proxy would send, until the answer is right or the time is up.
///
/// # Errors
/// The last wrong answer.
pub async fn straight(at: &Straight, smoke: &Smoke, limit: Duration) -> Result<()> {
    let client = reqwest::Client::builder().timeout(REQUEST).no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|error| Error::external(format!("cannot prepare to ask {}", at.address)).cause(chain(&error)))?;
    let since = Instant::now();
    loop {
        match follow(&client, at, smoke).await {
            Ok(()) => return Ok(()),
            Err(reason) if since.elapsed() > limit => {
                return Err(Error::external(format!("{} does not answer as it should", smoke.path)).cause(reason));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One request, and redirects within the application.
async fn follow(client: &reqwest::Client, at: &Straight, smoke: &Smoke) -> Result<(), String> {
    let host = if at.https_port == 443 { at.host.clone() } else { format!("{}:{}", at.host, at.https_port) };
    let port = at.https_port.to_string();
    let headers = [
        ("host", host.as_str()),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", &host),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-ssl", "on"),
        ("x-forwarded-port", &port),
    ];
    let mut path = smoke.path.clone();
    for _ in 0..=REDIRECTS {
        let mut request = client.get(format!("http://{}{path}", at.address));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| chain(&error))?;
        let to = answer.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
        match to.filter(|_| answer.status().is_redirection() && !smoke.expect.contains(&answer.status().as_u16())) {
            None => return judge(answer, smoke).await,
            Some(to) => path = below(&to, &host, &at.host).ok_or_else(|| format!("it leads away, to {to}"))?,
        }
    }
    Err("it redirects without end".to_owned())
}

/// The path that a redirect leads to, where that is the same application.
fn below(to: &str, host: &str, name: &str) -> Option<String> {
    if to.starts_with('/') && !to.starts_with("//") {
        return Some(to.to_owned());
    }
    let rest = to.strip_prefix("https://").or_else(|| to.strip_prefix("http://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (to, path) = rest.split_at(end);
    (to == host || to == name).then(|| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

async fn judge(mut answer: reqwest::Response, smoke: &Smoke) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_with_the_application() {
        let below = |to: &str| below(to, "blog.a.fr:8443", "blog.a.fr");
        assert_eq!(below("/setup?x=1").as_deref(), Some("/setup?x=1"));
        assert_eq!(below("https://blog.a.fr:8443/login").as_deref(), Some("/login"));
        assert_eq!(below("http://blog.a.fr?x").as_deref(), Some("/?x"));
        assert_eq!([below("https://elsewhere.fr/"), below("//elsewhere.fr/"), below("mailto:x")], [None, None, None]);
    }
}
