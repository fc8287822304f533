//! Preflight with real answers of name servers and a real port: everything that an authority would stumble over.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use summoner::acme::preflight::{Challenge, Options, check};

use crate::bed::{Challenges, Named, nobody};

const ZONE: &str = "\
app A 127.0.0.1
other A 127.0.0.2
closed A 127.0.0.3
silent A 127.0.0.4
six A 127.0.0.1
six AAAA ::1
far A 198.51.100.7
moved A 127.0.0.1
round A 127.0.0.1
port A 127.0.0.1
to A 127.0.0.1
alias CNAME app
text TXT here
free A 127.0.0.1
free CAA 0 issue \"ca.test; validationmethods=http-01,dns-01\"
free CAA 0 iodef \"mailto:you@pre.test\"
taken A 127.0.0.1
taken CAA 0 issue \"other.test\"
taken CAA 0 iodef \"mailto:you@pre.test\"
below.taken A 127.0.0.1
wild CAA 0 issue \"ca.test\"
wild CAA 0 issuewild \";\"
";

/// What a web server of a test does with a path.
type Page = Arc<dyn Fn(&str, &str) -> (String, Vec<u8>) + Send + Sync>;

/// Serves until the test's process ends. `page` gets the host and the path, and gives the head's first lines and the body.
fn serve(address: SocketAddr, page: Page) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let page = Arc::clone(&page);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let host = lines
                    .take_while(|line| !line.is_empty())
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
                let (head, body) = page(&host.unwrap_or_default(), first.split(' ').nth(1).unwrap_or_default());
                write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).ok();
                stream.write_all(&body).ok();
            });
        }
    });
    address
}

/// The challenge folder as a proxy serves it, on all hosts; some hosts of the zone redirect.
fn proxy(folder: &Path) -> Page {
    let folder = folder.to_owned();
    Arc::new(move |host, path| {
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let to = |target: String| (format!("302 Found\r\nLocation: {target}"), Vec::new());
        match name {
            "moved.pre.test" => return to(format!("http://to.pre.test:{port}{path}")),
            "round.pre.test" => return to(path.to_owned()),
            "port.pre.test" => return to(format!("http://to.pre.test:9999{path}")),
            _ => {}
        }
        let file: Option<PathBuf> = path.strip_prefix("/.well-known/acme-challenge/").map(|token| folder.join(token));
        match file.and_then(|file| std::fs::read(file).ok()) {
            Some(body) => ("200 OK".to_owned(), body),
            None => ("404 Not Found".to_owned(), Vec::new()),
        }
    })
}

struct Bed {
    named: Named,
    folder: tempfile::TempDir,
    port: u16,
    own: Vec<IpAddr>,
}

impl Bed {
    fn new() -> Self {
        // The second test of a process finds it there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().unwrap();
        let address = serve("127.0.0.1:0".parse().unwrap(), proxy(folder.path()));
        let own = vec!["127.0.0.1".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        Self { named: Named::new(&[("pre.test", ZONE, ""), ("test", "pre NS ns1.pre", "")]), folder, port: address.port(), own }
    }

    async fn said(&self, names: &[&str], challenge: Challenge) -> String {
        self.asked(names, challenge, self.named.address).await
    }

    async fn asked(&self, names: &[&str], challenge: Challenge, resolver: SocketAddr) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let options = Options {
            resolvers: &[resolver],
            identities: &["ca.test".to_owned()],
            account: None,
            http_port: self.port,
            own_addresses: &self.own,
            challenge_folder: Some(self.folder.path()),
        };
        let findings = check(&names, challenge, &options).await;
        let left: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let mut said = String::new();
        for finding in findings {
            writeln!(said, "{} {:?}: {}\n  {}", finding.name, finding.severity, finding.sentence, finding.next).unwrap();
        }
        said.replace(&self.port.to_string(), "PORT").replace(&resolver.to_string(), "SERVER")
    }
}

#[tokio::test]
async fn a_name_that_does_not_lead_here_is_refused() {
    let bed = Bed::new();
    serve(format!("127.0.0.2:{}", bed.port).parse().unwrap(), Arc::new(|_, _| ("200 OK".to_owned(), b"welcome".to_vec())));
    serve(format!("[::1]:{}", bed.port).parse().unwrap(), Arc::new(|_, _| ("404 Not Found".to_owned(), Vec::new())));
    let names =
        ["absent.pre.test", "text.pre.test", "other.pre.test", "closed.pre.test", "six.pre.test", "round.pre.test", "port.pre.test"];
    insta::assert_snapshot!(bed.said(&names, Challenge::Http01).await, @r"
    absent.pre.test Refuse: absent.pre.test has no address in the DNS
      at the provider of your domain, let absent.pre.test (or a wildcard above it) lead to this machine: an A record, or AAAA
    text.pre.test Refuse: text.pre.test has no address in the DNS
      at the provider of your domain, let text.pre.test (or a wildcard above it) lead to this machine: an A record, or AAAA
    other.pre.test Refuse: other.pre.test leads to 127.0.0.2, which is not this machine: it answers with something else
      at the provider of your domain, let other.pre.test lead to this machine
    closed.pre.test Refuse: port PORT of 127.0.0.3, this machine, does not serve the challenge of closed.pre.test: nobody answers (Connection refused)
      start the proxy, and let the firewall of this machine pass port PORT
    six.pre.test Refuse: six.pre.test leads here by 127.0.0.1, but its AAAA record leads to ::1, where it answers 404 Not Found; authorities ask IPv6 first
      remove that AAAA record, or let it lead to this machine
    six.pre.test Warn: six.pre.test leads to 127.0.0.1, ::1: a public authority does not reach it there
      for a name of a local network, use DNS-01 or the own authority
    round.pre.test Refuse: port PORT of 127.0.0.1, this machine, does not serve the challenge of round.pre.test: it redirects more than 3 times
      see what else answers on port PORT of this machine: ss -ltnp 'sport = :PORT'
    port.pre.test Refuse: port PORT of 127.0.0.1, this machine, does not serve the challenge of port.pre.test: it redirects to port 9999, where no authority follows
      see what else answers on port PORT of this machine: ss -ltnp 'sport = :PORT'
    ");
    // It takes the connection and says nothing.
    let silent = TcpListener::bind(format!("127.0.0.4:{}", bed.port)).unwrap();
    let said = bed.said(&["silent.pre.test"], Challenge::Http01).await;
    assert!(
        said.starts_with("silent.pre.test Refuse: silent.pre.test leads to 127.0.0.4, which is not this machine: nobody answers ("),
        "{said}"
    );
    drop(silent);
    let far = bed.said(&["far.pre.test"], Challenge::Http01).await;
    assert!(
        far.starts_with("far.pre.test Warn: far.pre.test leads to 198.51.100.7; whether that leads on to this machine cannot be seen"),
        "{far}"
    );
    let wild = bed.said(&["*.app.pre.test"], Challenge::Http01).await;
    assert!(wild.starts_with("*.app.pre.test Refuse: *.app.pre.test is a wildcard"), "{wild}");
}

#[tokio::test]
async fn a_name_that_leads_here_is_well() {
    let bed = Bed::new();
    for name in ["app.pre.test", "alias.pre.test", "moved.pre.test", "free.pre.test"] {
        let said = bed.said(&[name], Challenge::Http01).await;
        // All that this network has are addresses of its own.
        let local = format!("{name} Warn: {name} leads to 127.0.0.1: a public authority does not reach it there\n");
        assert!(said.starts_with(&local) && said.lines().count() == 2, "{said}");
    }
    assert_eq!(bed.said(&["app.pre.test", "absent.pre.test", "*.app.pre.test"], Challenge::Dns01).await, "");
}

#[tokio::test]
async fn caa_records_are_found_at_the_nearest_parent() {
    let bed = Bed::new();
    let names = ["below.taken.pre.test", "*.taken.pre.test", "wild.pre.test", "*.wild.pre.test", "free.pre.test"];
    insta::assert_snapshot!(bed.said(&names, Challenge::Dns01).await, @r#"
    below.taken.pre.test Refuse: the CAA records of taken.pre.test forbid it: only other.test may issue (0 iodef "mailto:you@pre.test", 0 issue "other.test")
      add at the provider of your domain: taken.pre.test CAA 0 issue "ca.test"
    *.taken.pre.test Refuse: the CAA records of taken.pre.test forbid it: only other.test may issue (0 iodef "mailto:you@pre.test", 0 issue "other.test")
      add at the provider of your domain: taken.pre.test CAA 0 issue "ca.test"
    *.wild.pre.test Refuse: the CAA records of wild.pre.test forbid it: nobody may issue (0 issue "ca.test", 0 issuewild ";")
      add at the provider of your domain: wild.pre.test CAA 0 issuewild "ca.test"
    "#);
    let http = bed.said(&["below.taken.pre.test"], Challenge::Http01).await;
    assert!(http.contains("Refuse: the CAA records of taken.pre.test forbid it"), "{http}");
}

#[tokio::test]
async fn a_server_that_cannot_tell_is_told_from_one_that_is_silent() {
    let bed = Bed::new();
    let server = Challenges::new();
    server.tell("set-servfail", "{\"host\":\"broken.pre.test.\"}");
    insta::assert_snapshot!(bed.asked(&["broken.pre.test"], Challenge::Dns01, server.address).await, @r"
    broken.pre.test Refuse: the CAA records of broken.pre.test cannot be found out: SERVER answers SERVFAIL: its name servers do not answer, or its DNSSEC signatures are wrong
      see the zone at its provider (delegation, DNSSEC): an authority gets the same answer
    ");
    let http = bed.asked(&["broken.pre.test"], Challenge::Http01, server.address).await;
    assert!(
        http.starts_with("broken.pre.test Refuse: the addresses of broken.pre.test cannot be found out: SERVER answers SERVFAIL"),
        "{http}"
    );
    server.tell("add-caa", "{\"host\":\"taken.test.\",\"policies\":[{\"tag\":\"issue\",\"value\":\"other.test\"}]}");
    let caa = bed.asked(&["a.taken.test"], Challenge::Dns01, server.address).await;
    assert!(caa.starts_with("a.taken.test Refuse: the CAA records of taken.test forbid it: only other.test may issue"), "{caa}");
    // It refuses everything: nothing is known of the name.
    let refusing = bed.asked(&["app.elsewhere.example"], Challenge::Dns01, bed.named.address).await;
    assert!(refusing.starts_with("app.elsewhere.example Warn: ") && refusing.contains("SERVER answers REFUSED"), "{refusing}");
    let silent = bed.asked(&["app.pre.test"], Challenge::Dns01, nobody()).await;
    assert!(silent.starts_with("app.pre.test Warn: ") && silent.contains("Connection refused"), "{silent}");
}
