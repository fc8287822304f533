//! Seen from outside, as a person meets it: hooks, a dead-man's switch and the page of metrics, on a server whose engine
//! is away; with the clock moved by the test.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::Bed;

/// A server of the test's own that takes everything.
struct Server {
    url: String,
    /// "path: body".
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                seen.lock().unwrap().push(request(&mut stream));
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { url, asked }
    }

    /// What it was asked since it was asked for last.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) || count == 0 {
                return format!("{}: {body}", head.split(' ').nth(1).unwrap());
            }
        }
    }
}

/// A bed in Paris with these lines at the top of config.yml; no engine answers in it.
fn bed(more: &str) -> Bed {
    let mut bed = Bed::new("outside");
    bed.domain = "a.fr".into();
    bed.config("  ghost:\n    backup: {dump: nightly, cold: never, verify: never, forget: never}\n");
    let text = std::fs::read_to_string(bed.path().join("config.yml")).unwrap();
    std::fs::write(bed.path().join("config.yml"), format!("timezone: Europe/Paris\n{more}{text}")).unwrap();
    at(&mut bed, "2026-11-21T23:00:00Z");
    bed
}

fn at(bed: &mut Bed, now: &str) {
    bed.environment = vec![
        ("SUMMONER_NOW".into(), now.into()),
        ("SUMMONER_NO_SERVICE".into(), "1".into()),
        ("DOCKER_HOST".into(), "unix:///nowhere/docker.sock".into()),
    ];
}

#[test]
fn a_night_that_fails_is_told_once_then_daily_and_the_switch_hears_each_time() {
    let server = Server::new();
    let url = &server.url;
    let mut bed = bed(&format!("ping: {url}/check\nhooks: {{on_failure: [[/bin/false], {url}/hook]}}\n"));
    bed.ok(&["run-due"]);
    assert_eq!(server.asked(), Vec::<String>::new(), "nothing is due, and what was seen once need not last");
    at(&mut bed, "2026-11-22T01:01:00Z");
    let said = bed.run(&["run-due"]);
    assert_eq!(said.code, 1, "{}", said.err);
    said.assert_says(&["hooks.on_failure[0] /bin/false does not work: it ended with 1"]);
    let asked = server.asked();
    assert_eq!(asked[0], "/check/start: dump ghost-a.fr begins");
    let of = |path: &str| asked.iter().filter(|line| line.starts_with(path)).cloned().collect::<Vec<_>>();
    assert_eq!((of("/check/fail: dump ghost-a.fr: ").len(), of("/check: ").len()), (1, 0), "{asked:?}");
    let hooks: Vec<serde_json::Value> =
        of("/hook: ").iter().map(|line| serde_json::from_str(line.strip_prefix("/hook: ").unwrap()).unwrap()).collect();
    let subjects: Vec<&str> = hooks.iter().map(|hook| hook["subject"].as_str().unwrap()).collect();
    // The look at everything, which has failed for two hours too, is news as well.
    assert_eq!((subjects.len(), subjects.contains(&"dump ghost-a.fr"), subjects.contains(&"status")), (2, true, true), "{hooks:?}");
    assert!(hooks.iter().all(|hook| hook["event"] == "failure" && hook["server"] == "a.fr" && hook["reminder"] == false));
    // The retry fails too: the switch hears of it, people do not.
    at(&mut bed, "2026-11-22T01:17:00Z");
    assert_eq!(bed.run(&["run-due"]).code, 1);
    let asked: Vec<String> = server.asked().iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(asked, ["/check/start", "/check/fail"]);
    // A day later it is told again, whatever runs then.
    at(&mut bed, "2026-11-23T00:59:00Z");
    let _failed = bed.run(&["run-due"]);
    assert!(server.asked().iter().all(|line| !line.starts_with("/hook")));
    at(&mut bed, "2026-11-23T01:02:00Z");
    let _failed = bed.run(&["run-due"]);
    let asked = server.asked();
    assert!(asked.iter().any(|line| line.starts_with("/hook") && line.contains("\"reminder\":true")), "{asked:?}");
    let told = std::fs::read_to_string(bed.root().join("summoner/told.json")).unwrap();
    assert!(told.contains("hooks.on_failure[0] /bin/false") && !told.contains("/check"), "{told}");
}

#[test]
fn ways_of_telling_are_tried_out_and_turn_nothing_green() {
    let server = Server::new();
    let url = &server.url;
    let tested = bed(&format!("ping: {url}/SECRET\nhooks: {{on_success: [{url}/hook], on_failure: [[/bin/false]]}}\n"));
    let said = tested.run(&["notify", "test"]);
    assert_eq!(said.code, 3, "{}", said.err);
    let shown: Vec<String> =
        said.out.replace(url, "URL").lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    CHANNEL RESULT ANSWER
    hooks.on_success[0] URL ok 200 OK
    hooks.on_failure[0] /bin/false FAILED it ended with 1
    ping URL ok 200 OK
    ");
    let mut asked: Vec<String> = server.asked().iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    asked.sort();
    assert_eq!(asked, ["/SECRET/log", "/hook"]);
    assert!(!(said.out + &said.err).contains("SECRET"));
    let json: serde_json::Value = serde_json::from_str(&tested.run(&["notify", "test", "--json"]).out).unwrap();
    assert_eq!((&json["version"], json["channels"].as_array().unwrap().len()), (&1.into(), 3));
    let nobody = bed("").run(&["notify", "test"]);
    assert_eq!(nobody.code, 2);
    nobody.assert_says(&["config.yml names nobody to tell", "wiki/monitoring.md"]);
}

#[test]
fn numbers_are_printed_where_no_daemon_serves_them() {
    let bed = bed("");
    let text = bed.ok(&["metrics"]).out;
    for line in [
        "summoner_engine_up 0\n",
        "summoner_backup_last_success_timestamp_seconds{instance=\"ghost-a.fr\",kind=\"dump\"} 0\n",
        "summoner_backup_age_seconds{instance=\"ghost-a.fr\",kind=\"dump\"} +Inf\n",
        "summoner_job_failures_total{instance=\"ghost-a.fr\",kind=\"dump\"} 0\n",
        "summoner_job_next_run_timestamp_seconds{instance=\"ghost-a.fr\",kind=\"dump\"} 1795309200\n",
        "summoner_certificate_expiry_timestamp_seconds{host=\"blog.a.fr\"} 0\n",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert!(!bed.root().exists(), "looking touches nothing");
    let file = bed.path().join("summoner.prom");
    bed.ok(&["metrics", "--to", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
}

/// A daemon that is ended with its test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

#[test]
fn the_daemon_serves_them_to_this_machine_alone() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let bed = bed(&format!("metrics: {{port: {port}}}\n"));
    let daemon = Daemon(bed.command(&["daemon"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    let text = loop {
        if let Some(text) = get(port) {
            break text;
        }
        assert!(Instant::now() < until, "it does not come");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\nsummoner_engine_up 0\n"), "{text}");
    // The kernel's list: one socket listens at this port, on 127.0.0.1, and none on IPv6.
    let listening = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let wanted = format!(":{port:04X}");
        let rows = text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| row[1].ends_with(&wanted) && row[3] == "0A").map(|row| row[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listening("/proc/net/tcp"), [format!("0100007F:{port:04X}")]);
    assert_eq!(listening("/proc/net/tcp6"), Vec::<String>::new());
    drop(daemon);
}
