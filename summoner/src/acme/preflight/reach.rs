//! Does port 80 of the addresses of a name reach us? A file with a random name, fetched as an authority would fetch it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Response, Url, redirect};
use tokio::time::timeout;

use super::{Finding, Options, Severity};
use crate::acme::dns::resolve::{self, Resolvers};
use crate::disk;
use crate::doctor::own_addresses::is_public;
use crate::error::{Error, Result};

/// One address, all redirects included.
const FETCH: Duration = Duration::from_secs(5);
/// Authorities follow more; a challenge that needs more is set up wrong.
const REDIRECTS: usize = 3;
/// The ports that authorities follow a redirect to.
const PORTS: [u16; 2] = [80, 443];
const MOST_BYTES: usize = 4096;
/// More than any name that leads to one machine.
const MOST_ADDRESSES: usize = 8;
/// Told apart from an authority's own, which are base64url of another length.
const PREFIX: &str = "summoner-preflight-";
/// No run takes so long.
const STALE: Duration = Duration::from_secs(3600);
const PATH: &str = "/.well-known/acme-challenge/";

/// A file in the challenge folder; it goes when this goes.
pub(super) struct Probe {
    path: PathBuf,
    token: String,
    body: String,
}

impl Probe {
    pub(super) fn place(folder: &Path) -> Result<Self> {
        let random = || hex::encode(rand::random::<[u8; 16]>());
        let (token, body) = (format!("{PREFIX}{}", random()), random());
        let path = folder.join(&token);
        disk::ensure_folder(folder, 0o755, None)?;
        sweep(folder)?;
        disk::write_atomic(&path, body.as_bytes(), 0o644)?;
        Ok(Self { path, token, body })
    }
}

/// Takes away what a run left behind that was killed. One that is younger may be another's.
fn sweep(folder: &Path) -> Result<()> {
    let ours = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    for path in disk::files_in(folder)?.into_iter().filter(ours) {
        let age = std::fs::metadata(&path).and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > STALE) {
            disk::remove_file(&path)?;
        }
    }
    Ok(())
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a preflight file stays behind");
        }
    }
}

/// What came back from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fetched {
    Ours,
    /// Somebody answered, and not with our file.
    Other(String),
    /// No connection came about, or no answer.
    Nobody(String),
    /// It was not tried.
    Untried,
}

pub(super) async fn look(
    shown: &str,
    host: &str,
    addresses: &[IpAddr],
    options: &Options<'_>,
    resolvers: &Resolvers,
    probe: Option<&Probe>,
) -> Vec<Finding> {
    let fetching = addresses.iter().take(MOST_ADDRESSES).map(|address| async move {
        let fetched = match probe {
            None => Fetched::Untried,
            Some(probe) => match timeout(FETCH, fetch(host, *address, options.http_port, resolvers, probe)).await {
                Ok(fetched) => fetched,
                Err(_) => Fetched::Nobody(format!("waited {} s", FETCH.as_secs())),
            },
        };
        (*address, fetched)
    });
    let found = futures_util::future::join_all(fetching).await;
    Judge { shown, host, own: options.own_addresses, port: options.http_port }.findings(&found)
}

struct Judge<'a> {
    shown: &'a str,
    host: &'a str,
    own: &'a [IpAddr],
    port: u16,
}

impl Judge<'_> {
    fn findings(&self, found: &[(IpAddr, Fetched)]) -> Vec<Finding> {
        let ours = found.iter().find(|(_, fetched)| *fetched == Fetched::Ours).map(|(address, _)| *address);
        let mut findings: Vec<Finding> = found.iter().filter_map(|(address, fetched)| self.judge(*address, fetched, ours)).collect();
        if ours.is_some() && !found.iter().any(|(address, _)| is_public(*address)) {
            let list = found.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ");
            let sentence = format!("{} leads to {list}: a public authority does not reach it there", self.host);
            findings.push(Finding::new(
                self.shown,
                Severity::Warn,
                sentence,
                "for a name of a local network, use DNS-01 or the own authority",
            ));
        }
        findings
    }

    fn judge(&self, address: IpAddr, fetched: &Fetched, ours: Option<IpAddr>) -> Option<Finding> {
        let (host, port) = (self.host, self.port);
        let finding = |severity, sentence: String, next: String| Some(Finding::new(self.shown, severity, sentence, next));
        let what = match fetched {
            Fetched::Ours => return None,
            Fetched::Untried => {
                return if self.own.contains(&address) {
                    None
                } else {
                    let next = format!("open http://{host} from another network and see whether this machine answers");
                    finding(Severity::Warn, format!("{host} leads to {address}; whether that is this machine was not tried"), next)
                };
            }
            Fetched::Other(what) => what.clone(),
            Fetched::Nobody(why) => format!("nobody answers ({why})"),
        };
        let answered = matches!(fetched, Fetched::Other(_));
        if let Some(good) = ours {
            let kind = if address.is_ipv6() { "AAAA" } else { "A" };
            let why = if address.is_ipv6() { "authorities ask IPv6 first" } else { "an authority may ask any of them" };
            let sentence = format!("{host} leads here by {good}, but its {kind} record leads to {address}, where {what}; {why}");
            // Without a connection an authority tries IPv4 as well; with a wrong answer it does not.
            let severity = if answered { Severity::Refuse } else { Severity::Warn };
            return finding(severity, sentence, format!("remove that {kind} record, or let it lead to this machine"));
        }
        if self.own.contains(&address) {
            let next = if answered {
                format!("see what else answers on port {port} of this machine: ss -ltnp 'sport = :{port}'")
            } else {
                format!("start the proxy, and let the firewall of this machine pass port {port}")
            };
            return finding(
                Severity::Refuse,
                format!("port {port} of {address}, this machine, does not serve the challenge of {host}: {what}"),
                next,
            );
        }
        // Behind a router the public address is the router's, and many do not lead back to us from inside.
        if !self.own.iter().any(|own| is_public(*own)) && is_public(address) {
            let sentence = format!("{host} leads to {address}; whether that leads on to this machine cannot be seen from here: {what}");
            return finding(
                Severity::Warn,
                sentence,
                format!("let the router hand port {port} on to this machine, and try from another network"),
            );
        }
        let here = self.own.iter().find(|own| is_public(**own)).map_or_else(|| "this machine".to_owned(), ToString::to_string);
        let next = format!("at the provider of your domain, let {host} lead to {here}");
        finding(Severity::Refuse, format!("{host} leads to {address}, which is not this machine: {what}"), next)
    }
}

/// Follows redirects as an authority does; certificates on the way do not matter (as for Let's Encrypt).
async fn fetch(host: &str, address: IpAddr, port: u16, resolvers: &Resolvers, probe: &Probe) -> Fetched {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let Ok(mut url) = Url::parse(&format!("http://{bracketed}:{port}{PATH}{}", probe.token)) else {
        return Fetched::Other("no such address can be asked".to_owned());
    };
    let mut address = address;
    for _ in 0..=REDIRECTS {
        let response = match get(&url, address).await {
            Ok(response) => response,
            Err(why) => return Fetched::Nobody(why),
        };
        let Some(target) = response.headers().get(LOCATION).filter(|_| response.status().is_redirection()) else {
            return read(response, probe).await;
        };
        let target =
            target.to_str().ok().and_then(|text| url.join(text).ok()).filter(|target| ["http", "https"].contains(&target.scheme()));
        let Some(target) = target else { return Fetched::Other("it redirects to no web address".to_owned()) };
        let asked = target.port_or_known_default().unwrap_or_default();
        if asked != port && !PORTS.contains(&asked) {
            return Fetched::Other(format!("it redirects to port {asked}, where no authority follows"));
        }
        if target.host() != url.host() {
            match at(&target, resolvers).await {
                Ok(found) => address = found,
                Err(error) => {
                    return Fetched::Other(format!("it redirects to {}, which cannot be reached: {}", target.authority(), error.message));
                }
            }
        }
        url = target;
    }
    Fetched::Other(format!("it redirects more than {REDIRECTS} times"))
}

async fn at(url: &Url, resolvers: &Resolvers) -> Result<IpAddr> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let found = resolvers.addresses(&resolve::name(host)?).await.map_err(|failure| Error::external(failure.to_string()))?;
    found.first().copied().ok_or_else(|| Error::external("it has no address"))
}

async fn get(url: &Url, address: IpAddr) -> Result<Response, String> {
    let host = url.host_str().unwrap_or_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(FETCH)
        .tls_danger_accept_invalid_certs(true)
        .resolve(host, SocketAddr::new(address, url.port_or_known_default().unwrap_or_default()))
        .build()
        .map_err(|error| error.to_string())?;
    client.get(url.clone()).send().await.map_err(|error| root(&error))
}

/// The innermost reason, without the number of the system's error: "Connection refused".
fn root(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

async fn read(mut response: Response, probe: &Probe) -> Fetched {
    let status = response.status();
    if !status.is_success() {
        return Fetched::Other(format!("it answers {status}"));
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Err(error) => return Fetched::Nobody(root(&error)),
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => return Fetched::Other("it answers with something else".to_owned()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
        }
    }
    if body.trim_ascii() == probe.body.as_bytes() { Fetched::Ours } else { Fetched::Other("it answers with something else".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(own: &[&str], found: &[(&str, Fetched)]) -> String {
        let own: Vec<IpAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
        let found: Vec<(IpAddr, Fetched)> = found.iter().map(|(address, fetched)| (address.parse().unwrap(), fetched.clone())).collect();
        let judge = Judge { shown: "a.test", host: "a.test", own: &own, port: 80 };
        judge
            .findings(&found)
            .iter()
            .map(|finding| format!("{:?}: {}\n  {}", finding.severity, finding.sentence, finding.next))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn each_way_to_miss_this_machine_has_its_sentence() {
        let other = || Fetched::Other("it answers 404 Not Found".to_owned());
        let nobody = || Fetched::Nobody("Connection refused".to_owned());
        let all = [
            said(&["198.51.100.1"], &[("198.51.100.1", nobody())]),
            said(&["198.51.100.1"], &[("198.51.100.1", other())]),
            said(&["198.51.100.1"], &[("198.51.100.9", nobody())]),
            said(&["192.168.1.4"], &[("198.51.100.9", nobody())]),
            said(&["192.168.1.4"], &[("192.168.1.9", nobody())]),
            said(&["198.51.100.1"], &[("198.51.100.1", Fetched::Ours), ("2001:db8::9", other())]),
            said(&["198.51.100.1"], &[("198.51.100.1", Fetched::Ours), ("2001:db8::9", nobody())]),
            said(&["198.51.100.1"], &[("198.51.100.9", Fetched::Untried)]),
            said(&["127.0.0.1"], &[("127.0.0.1", Fetched::Ours)]),
        ];
        insta::assert_snapshot!(all.join("\n--\n"), @r"
        Refuse: port 80 of 198.51.100.1, this machine, does not serve the challenge of a.test: nobody answers (Connection refused)
          start the proxy, and let the firewall of this machine pass port 80
        --
        Refuse: port 80 of 198.51.100.1, this machine, does not serve the challenge of a.test: it answers 404 Not Found
          see what else answers on port 80 of this machine: ss -ltnp 'sport = :80'
        --
        Refuse: a.test leads to 198.51.100.9, which is not this machine: nobody answers (Connection refused)
          at the provider of your domain, let a.test lead to 198.51.100.1
        --
        Warn: a.test leads to 198.51.100.9; whether that leads on to this machine cannot be seen from here: nobody answers (Connection refused)
          let the router hand port 80 on to this machine, and try from another network
        --
        Refuse: a.test leads to 192.168.1.9, which is not this machine: nobody answers (Connection refused)
          at the provider of your domain, let a.test lead to this machine
        --
        Refuse: a.test leads here by 198.51.100.1, but its AAAA record leads to 2001:db8::9, where it answers 404 Not Found; authorities ask IPv6 first
          remove that AAAA record, or let it lead to this machine
        --
        Warn: a.test leads here by 198.51.100.1, but its AAAA record leads to 2001:db8::9, where nobody answers (Connection refused); authorities ask IPv6 first
          remove that AAAA record, or let it lead to this machine
        --
        Warn: a.test leads to 198.51.100.9; whether that is this machine was not tried
          open http://a.test from another network and see whether this machine answers
        --
        Warn: a.test leads to 127.0.0.1: a public authority does not reach it there
          for a name of a local network, use DNS-01 or the own authority
        ");
    }

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let age = |name: &str, seconds: u64| {
            let file = std::fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        age("summoner-preflight-0", 7200);
        age("summoner-preflight-1", 60);
        age("an-authority's", 7200);
        let probe = Probe::place(folder.path()).unwrap();
        assert_eq!(std::fs::read(&probe.path).unwrap(), probe.body.as_bytes());
        drop(probe);
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["an-authority's", "summoner-preflight-1"]);
    }

    #[test]
    fn a_name_that_leads_here_is_well() {
        assert_eq!(said(&["198.51.100.1"], &[("198.51.100.1", Fetched::Ours), ("2001:db8::1", Fetched::Ours)]), "");
        assert_eq!(said(&[], &[("198.51.100.9", Fetched::Ours)]), "", "a router that leads back, or a balancer");
    }
}
