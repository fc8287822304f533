//! The providers' APIs, each request compared with what their documentation asks for. A small server plays them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use summoner::acme::dns::{Solver, TxtRecord, open};
use summoner::config::dns::{Api, Cloudflare, Credential, DnsSettings, Provider, Secret};

/// Plays a provider: gives these answers in turn, then 500.
struct Played {
    url: String,
    asked: Arc<Mutex<String>>,
}

/// Status, a header line or nothing, body; an empty status breaks the connection.
type Line = (&'static str, &'static str, &'static str);

impl Played {
    fn new(answers: &'static [Line]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut answers = answers.iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                reader.read_line(&mut first).unwrap();
                let (mut length, mut authorization) = (0, String::new());
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((key, value)) = line.trim().split_once(": ") else { break };
                    match key.to_ascii_lowercase().as_str() {
                        "content-length" => length = value.parse().unwrap(),
                        "authorization" => authorization = value.to_owned(),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let line = format!("{} [{authorization}] {}", first.trim().trim_end_matches(" HTTP/1.1"), String::from_utf8(body).unwrap());
                writeln!(heard.lock().unwrap(), "{}", line.trim()).unwrap();
                let (status, header, body) = answers.next().copied().unwrap_or(("500 Over", "", "{}"));
                if !status.is_empty() {
                    let end = if header.is_empty() { "" } else { "\r\n" };
                    write!(stream, "HTTP/1.1 {status}\r\n{header}{end}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                        .unwrap();
                }
            }
        });
        Self { url, asked }
    }

    fn api(&self) -> Api {
        Api { token: Credential::Inline(Secret::new("t0ken".to_owned())), url: Some(self.url.clone()) }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().clone()
    }
}

fn solver(provider: Provider) -> Box<dyn Solver> {
    // The second test of a process finds it there.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    open(&DnsSettings { provider, propagation: Duration::from_secs(1), resolvers: Vec::new() }).unwrap()
}

fn cloudflare(played: &Played, zone_id: Option<&str>) -> Box<dyn Solver> {
    solver(Provider::Cloudflare(Cloudflare { api: played.api(), zone_id: zone_id.map(str::to_owned) }))
}

fn record() -> TxtRecord {
    TxtRecord { name: "_acme-challenge.blog.example.org".to_owned(), value: "v-1".to_owned() }
}

const NO_ZONE: Line = ("200 OK", "", r#"{"success":true,"result":[]}"#);
const ZONE: Line = ("200 OK", "", r#"{"success":true,"result":[{"id":"abc123","name":"example.org"}]}"#);
const DONE: Line = ("200 OK", "", r#"{"success":true,"result":{"id":"r1"}}"#);

#[tokio::test]
async fn a_token_that_is_not_accepted_is_told_at_once() {
    let played = Played::new(&[("403 Forbidden", "", r#"{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}]}"#)]);
    let error = cloudflare(&played, None).present(&record()).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"
    error: Cloudflare did not do what was asked
      cause: it answers 403 Forbidden: {"success":false,"errors":[{"code":9109,"message":"Invalid access token"}]}
      next:  make a token at Cloudflare that may edit the zone's records, and put it into `token_file:`
    "#);
    let played = Played::new(&[("401 Unauthorized", "", r#"{"detail":"Invalid token."}"#)]);
    let error = solver(Provider::Desec(played.api())).remove(&record()).await.unwrap_err();
    assert!(error.cause.unwrap().contains("Invalid token."));
    assert_eq!(played.asked(), "GET /api/domains/?owns_qname=_acme-challenge.blog.example.org [Token t0ken]\n");
}

#[tokio::test]
async fn only_what_is_temporary_is_tried_again() {
    let played =
        Played::new(&[("429 Too Many Requests", "Retry-After: 1", "slow down"), ("", "", ""), ("502 Bad Gateway", "", "<html>"), DONE]);
    let begun = Instant::now();
    cloudflare(&played, Some("abc123")).present(&record()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After was not honoured: {:?}", begun.elapsed());
    assert_eq!(played.asked().lines().count(), 4);

    let played = Played::new(&[("429 Too Many Requests", "Retry-After: 3600", "")]);
    let begun = Instant::now();
    let error = cloudflare(&played, Some("abc123")).present(&record()).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(error.next, ["Cloudflare wants to be left alone for 3600 s: try again after that"]);

    let played = Played::new(&[]);
    let error = cloudflare(&played, Some("abc123")).present(&record()).await.unwrap_err();
    assert!(error.cause.unwrap().ends_with("(tried 4 times)"));
    assert_eq!(played.asked().lines().count(), 4);

    let played = Played::new(&[("200 OK", "", "<html>")]);
    let error = cloudflare(&played, Some("abc123")).present(&record()).await.unwrap_err();
    assert!(error.cause.unwrap().contains("is not JSON"));
    let played = Played::new(&[("400 Bad Request", "", r#"{"success":false,"errors":[{"code":9005,"message":"no"}]}"#)]);
    let error = cloudflare(&played, Some("abc123")).present(&record()).await.unwrap_err();
    assert!(error.message.ends_with("_acme-challenge.blog.example.org"), "{error}");
    assert_eq!(played.asked().lines().count(), 1);
}

#[tokio::test]
async fn cloudflare_is_asked_as_it_documents() {
    let played = Played::new(&[NO_ZONE, ZONE, DONE]);
    cloudflare(&played, None).present(&record()).await.unwrap();
    insta::assert_snapshot!(played.asked(), @r#"
    GET /api/zones?name=blog.example.org [Bearer t0ken]
    GET /api/zones?name=example.org [Bearer t0ken]
    POST /api/zones/abc123/dns_records [Bearer t0ken] {"content":"\"v-1\"","name":"_acme-challenge.blog.example.org","ttl":60,"type":"TXT"}
    "#);
    // There already: that is what was asked for.
    let played = Played::new(&[("400 Bad Request", "", r#"{"success":false,"errors":[{"code":81058,"message":"exists"}]}"#)]);
    cloudflare(&played, Some("abc123")).present(&record()).await.unwrap();

    let found =
        r#"{"success":true,"result":[{"id":"r1","content":"\"other\""},{"id":"r2","content":"\"v-1\""},{"id":"r3","content":"v-1"}]}"#;
    let played = Played::new(Box::leak(Box::new([("200 OK", "", found), DONE, ("404 Not Found", "", r#"{"success":false}"#)])));
    cloudflare(&played, Some("abc123")).remove(&record()).await.unwrap();
    insta::assert_snapshot!(played.asked(), @r"
    GET /api/zones/abc123/dns_records?type=TXT&name=_acme-challenge.blog.example.org&per_page=100 [Bearer t0ken]
    DELETE /api/zones/abc123/dns_records/r2 [Bearer t0ken]
    DELETE /api/zones/abc123/dns_records/r3 [Bearer t0ken]
    ");

    let played = Played::new(&[NO_ZONE, NO_ZONE]);
    let error = cloudflare(&played, None).present(&record()).await.unwrap_err();
    assert!(error.message.contains("shows this token no zone that holds _acme-challenge.blog.example.org"), "{error}");
    let strange = r#"{"success":true,"result":[{"id":"../../user"}]}"#;
    let played = Played::new(Box::leak(Box::new([("200 OK", "", strange), NO_ZONE])));
    assert!(cloudflare(&played, None).present(&record()).await.is_err(), "an identifier is no path");
}

const HOME: Line = ("200 OK", "", r#"[{"name":"example.org","minimum_ttl":3600}]"#);

#[tokio::test]
async fn desec_is_asked_as_it_documents() {
    let played = Played::new(&[HOME, ("404 Not Found", "", r#"{"detail":"Not found."}"#), ("200 OK", "", "[]")]);
    solver(Provider::Desec(played.api())).present(&record()).await.unwrap();
    insta::assert_snapshot!(played.asked(), @r#"
    GET /api/domains/?owns_qname=_acme-challenge.blog.example.org [Token t0ken]
    GET /api/domains/example.org/rrsets/_acme-challenge.blog/TXT/ [Token t0ken]
    PATCH /api/domains/example.org/rrsets/ [Token t0ken] [{"records":["\"v-1\""],"subname":"_acme-challenge.blog","ttl":3600,"type":"TXT"}]
    "#);
    // Another value of the set stays; what is not there is not written.
    let set: Line = ("200 OK", "", r#"{"records":["\"other\"","\"v-1\""]}"#);
    let played = Played::new(Box::leak(Box::new([HOME, set, ("200 OK", "", "[]"), HOME, set])));
    let desec = solver(Provider::Desec(played.api()));
    desec.remove(&record()).await.unwrap();
    desec.present(&record()).await.unwrap();
    let asked = played.asked();
    assert_eq!(asked.lines().count(), 5, "{asked}");
    assert!(asked.contains(r#"{"records":["\"other\""],"#), "{asked}");
    // The last one goes: the set goes.
    let played = Played::new(&[HOME, ("200 OK", "", r#"{"records":["\"v-1\""]}"#), ("200 OK", "", "[]")]);
    solver(Provider::Desec(played.api())).remove(&record()).await.unwrap();
    assert!(played.asked().contains(r#"{"records":[],"#), "{}", played.asked());
    let played = Played::new(&[("200 OK", "", "[]")]);
    let error = solver(Provider::Desec(played.api())).present(&record()).await.unwrap_err();
    assert!(error.message.contains("no domain that holds"), "{error}");
}

/// The clock runs ahead whenever all wait, so that minutes are nothing.
#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Api { token: Credential::Inline(Secret::new("t0ken".to_owned())), url: Some(url) };
    let begun = tokio::time::Instant::now();
    let error = solver(Provider::Desec(api)).present(&record()).await.unwrap_err();
    let cause = error.cause.unwrap();
    assert!(cause.contains("timed out") && cause.ends_with("(tried 4 times)"), "{cause}");
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}

const HETZNER_ZONE: Line = ("200 OK", "", r#"{"zone":{"id":42,"name":"example.org"}}"#);
const ABSENT: Line = ("404 Not Found", "", r#"{"error":{"code":"not_found","message":"not found"}}"#);

#[tokio::test]
async fn hetzner_is_asked_as_it_documents() {
    let played = Played::new(&[ABSENT, HETZNER_ZONE, ABSENT, ("201 Created", "", r#"{"action":{"id":1,"status":"running"}}"#)]);
    solver(Provider::Hetzner(played.api())).present(&record()).await.unwrap();
    insta::assert_snapshot!(played.asked(), @r#"
    GET /api/zones/blog.example.org [Bearer t0ken]
    GET /api/zones/example.org [Bearer t0ken]
    GET /api/zones/example.org/rrsets/_acme-challenge.blog/TXT [Bearer t0ken]
    POST /api/zones/example.org/rrsets/_acme-challenge.blog/TXT/actions/add_records [Bearer t0ken] {"records":[{"value":"\"v-1\""}],"ttl":60}
    "#);
    let set: Line = ("200 OK", "", r#"{"rrset":{"records":[{"value":"\"other\""},{"value":"\"v-1\""}]}}"#);
    let done: Line = ("201 Created", "", r#"{"action":{"id":2}}"#);
    let played =
        Played::new(Box::leak(Box::new([ABSENT, HETZNER_ZONE, set, done, ABSENT, HETZNER_ZONE, set, ABSENT, HETZNER_ZONE, ABSENT])));
    let hetzner = solver(Provider::Hetzner(played.api()));
    hetzner.remove(&record()).await.unwrap();
    // There already, and gone already: nothing is written.
    hetzner.present(&record()).await.unwrap();
    hetzner.remove(&record()).await.unwrap();
    let asked = played.asked();
    let written: Vec<&str> = asked.lines().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(written.len(), 1, "{asked}");
    assert!(written[0].ends_with(r#"/TXT/actions/remove_records [Bearer t0ken] {"records":[{"value":"\"v-1\""}]}"#), "{asked}");
    let played = Played::new(&[ABSENT, ABSENT]);
    let error = solver(Provider::Hetzner(played.api())).present(&record()).await.unwrap_err();
    assert!(error.message.contains("no zone that holds"), "{error}");
}
