//! Channels against a real server of the test's own, and programs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::command::Command;
use super::*;
use crate::config::loaded;
use crate::config::outside::Address;
use crate::plan::schedule::Job;

fn now() -> DateTime<Utc> {
    "2026-11-21T02:00:00Z".parse().unwrap()
}

fn notice() -> Notice {
    Notice::plain(News::Failure, "backup ghost-a.fr", Some("ghost-a.fr".into()), "no space left", now()).from_server("a.fr")
}

/// A server that answers each request as it is told, and writes down what it was asked.
struct Server {
    url: String,
    /// "METHOD path | content type | authorization | body".
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answers` one after the other, the last one for ever; an empty one is silence.
    async fn new(answers: &[&str]) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen): (Vec<String>, _) = (answers.iter().map(|answer| (*answer).to_owned()).collect(), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answers, seen) = (answers.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let request = request(&mut stream).await;
                    let at = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request);
                        seen.len() - 1
                    };
                    let answer = &answers[at.min(answers.len() - 1)];
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let text = "said";
                    let head = format!("HTTP/1.1 {answer}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
                    let _gone = stream.write_all(head.as_bytes()).await;
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn address(&self, path: &str) -> Address {
        Address::parse(&format!("{}{path}", self.url)).unwrap()
    }
}

async fn request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = stream.read(&mut part).await.unwrap();
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let found = head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
            found.map_or("", |(_, value)| value).to_owned()
        };
        let length: usize = header("content-length").parse().unwrap_or(0);
        if body.len() >= length {
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            return format!("{line} | {} | {} | {body}", header("content-type"), header("authorization"));
        }
    }
}

fn webhook(server: &Server, header_file: Option<std::path::PathBuf>) -> webhook::Webhook {
    webhook::Webhook::new("hooks.on_failure[0]".into(), server.address("/SECRET"), header_file)
}

#[tokio::test]
async fn a_webhook_gets_the_event_and_its_header() {
    let server = Server::new(&["204 No Content"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("header");
    crate::disk::write_atomic(&file, b"Authorization: Bearer SECRET\n", 0o644).unwrap();
    let open = webhook(&server, Some(file.clone())).tell(&notice()).await.unwrap_err();
    assert!(open.contains("may be read by others"), "{open}");
    crate::disk::write_atomic(&file, b"Authorization: Bearer SECRET\n", 0o600).unwrap();
    assert!(webhook(&server, Some(file.clone())).tell(&notice()).await.unwrap().starts_with("204"));
    let asked = server.asked();
    assert!(asked[0].starts_with("POST /SECRET | application/json | Bearer SECRET | {"), "{asked:?}");
    let event: serde_json::Value = serde_json::from_str(asked[0].rsplit(" | ").next().unwrap()).unwrap();
    assert_eq!((&event["version"], &event["event"], &event["instance"]), (&1.into(), &"failure".into(), &"ghost-a.fr".into()));
    assert_eq!(event["text"], "a.fr: backup ghost-a.fr: no space left");
    assert_eq!((&event["at"], &event["since"]), (&"2026-11-21T02:00:00Z".into(), &serde_json::Value::Null));
    crate::disk::write_atomic(&file, b"SECRET", 0o600).unwrap();
    let wrong = webhook(&server, Some(file)).tell(&notice()).await.unwrap_err();
    assert!(wrong.contains("holds no header") && !wrong.contains("SECRET"), "{wrong}");
}

#[tokio::test]
async fn a_webhook_that_is_down_is_tried_thrice_and_one_that_refuses_once() {
    let server = Server::new(&["500 Internal Server Error", "503 Service Unavailable", "200 OK"]).await;
    assert_eq!(webhook(&server, None).tell(&notice()).await.as_deref(), Ok("200 OK: said"));
    assert_eq!(server.asked().len(), 3);
    let server = Server::new(&["500 Internal Server Error"]).await;
    let error = webhook(&server, None).tell(&notice()).await.unwrap_err();
    assert_eq!((error.as_str(), server.asked().len()), ("500 Internal Server Error: said (tried 3 times)", 3));
    let server = Server::new(&["404 Not Found"]).await;
    assert_eq!(webhook(&server, None).tell(&notice()).await.unwrap_err(), "404 Not Found: said");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::new(&["200 OK"]).await;
    let answer = format!("307 Temporary Redirect\r\nLocation: {}/stolen", elsewhere.url);
    let server = Server::new(&[&answer]).await;
    let error = webhook(&server, None).tell(&notice()).await.unwrap_err();
    assert!(error.contains("307") && error.contains("not followed"), "{error}");
    assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
}

#[tokio::test]
async fn what_does_not_answer_ends_and_no_secret_is_said() {
    let server = Server::new(&[""]).await;
    let begun = Instant::now();
    let error = webhook(&server, None).tell(&notice()).await.unwrap_err();
    assert!(error.starts_with("no answer within 10 s") && !error.contains("SECRET"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    let gone = Address::parse("http://127.0.0.1:1/SECRET").unwrap();
    let error = webhook::Webhook::new("x".into(), gone, None).tell(&notice()).await.unwrap_err();
    assert!(error.contains("refused") && !error.contains("SECRET"), "{error}");
}

/// A shell only stands in for the user's program here.
fn program(script: &str) -> Command {
    Command::new("hooks.on_failure[0]".into(), ["/bin/sh", "-c", script, "hook", "$(reboot)"].map(str::to_owned).to_vec())
}

#[tokio::test]
async fn a_program_gets_the_event_and_no_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen");
    let script = format!("cat > {0}; env | sort | grep -v -e PWD -e SHLVL -e ^_ >> {0}; echo \"$1\" >> {0}; echo done", file.display());
    assert_eq!(program(&script).tell(&notice()).await.as_deref(), Ok("it ended with 0: done"));
    let seen = std::fs::read_to_string(&file).unwrap();
    let (event, rest) = seen.split_at(seen.rfind('}').unwrap() + 1);
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["subject"], "backup ghost-a.fr");
    assert_eq!(
        rest,
        "LANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSUMMONER_EVENT=failure\n$(reboot)\n"
    );
}

#[tokio::test]
async fn a_program_that_fails_says_why_and_one_that_hangs_is_killed_with_its_children() {
    assert_eq!(program("echo no such user >&2; exit 1").tell(&notice()).await.unwrap_err(), "it ended with 1: no such user");
    // One that reads nothing has decided without it.
    assert_eq!(program("exec <&-; exit 0").tell(&notice()).await.as_deref(), Ok("it ended with 0"));
    assert!(program("kill -9 $$").tell(&notice()).await.unwrap_err().starts_with("it was killed"));
    let absent = Command::new("x".into(), vec!["/nowhere/tell".into()]).tell(&notice()).await.unwrap_err();
    assert!(absent.starts_with("it does not start"), "{absent}");
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let begun = Instant::now();
    let script = format!("sleep 300 & echo $! > {}; echo waiting; wait", pid.display());
    let error = program(&script).within(Duration::from_millis(1500)).tell(&notice()).await.unwrap_err();
    assert_eq!(error, "it did not end within 1 s: waiting");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let child = std::fs::read_to_string(&pid).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    for _ in 0..50 {
        if state().is_empty() || state().contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the hook's child lives: {}", state());
}

/// An installation with these lines in config.yml, in a folder of its own.
fn desk(folder: &tempfile::TempDir, more: &str, apps: &str) -> Desk {
    let text = format!("version: 1\ndomain: a.fr\nemail: you@a.fr\n{more}apps:\n{apps}");
    let (mut config, _) = loaded(&text);
    config.layout = crate::layout::Layout { files: folder.path().into(), databases: folder.path().join("database") };
    Desk::of(&config, vec!["backup ghost-a.fr".into(), "verify ghost-a.fr".into(), "backup wekan-a.fr".into()]).unwrap()
}

fn ended(job: Job, app: &str, result: Result<&str, &str>) -> Ended {
    let instance: crate::name::InstanceId = format!("{app}-a.fr").parse().unwrap();
    let id = format!("{} {instance}", job.as_str());
    Ended { id, job, instance: Some(instance), result: result.map(str::to_owned).map_err(str::to_owned) }
}

#[tokio::test]
async fn switches_are_called_in_order_and_green_only_when_all_is_well() {
    let server = Server::new(&["200 OK"]).await;
    let folder = tempfile::tempdir().unwrap();
    let more = format!("ping: {}/all\n", server.url);
    let apps = format!("  ghost: {{backup: {{ping: '{0}/ghost'}}}}\n  wekan: {{backup: {{ping: '{0}/wekan'}}}}\n", server.url);
    let desk = desk(&folder, &more, &apps);
    let ghost = "ghost-a.fr".parse().unwrap();
    assert_eq!(desk.begun(Job::Backup, "backup ghost-a.fr", Some(&ghost), now()).await, Vec::<String>::new());
    assert!(desk.begun(Job::Verify, "verify ghost-a.fr", Some(&ghost), now()).await.is_empty());
    let mut told = Vec::new();
    let mut since = async |ended: Ended, at: i64| {
        let before = server.asked().len();
        assert_eq!(desk.ended(&ended, now() + chrono::TimeDelta::minutes(at)).await, Vec::<String>::new());
        let mut asked: Vec<String> = server.asked().split_off(before).iter().map(|line| short(line)).collect();
        asked.sort();
        told.push(format!("{}:\n  {}", ended.id, asked.join("\n  ")));
    };
    since(ended(Job::Backup, "ghost", Ok("1 kB")), 1).await;
    since(ended(Job::Verify, "ghost", Err("a pack is damaged")), 2).await;
    // A good backup does not make it green again, and that of another app neither, for all of them together.
    since(ended(Job::Backup, "ghost", Ok("1 kB")), 3).await;
    since(ended(Job::Backup, "wekan", Ok("2 kB")), 4).await;
    since(ended(Job::Verify, "ghost", Ok("")), 5).await;
    since(ended(Job::Backup, "wekan", Ok("2 kB")), 6).await;
    let mut first: Vec<String> = server.asked().iter().take(2).map(|line| short(line)).collect();
    first.sort();
    assert_eq!(first, ["POST /all/start: backup ghost-a.fr begins", "POST /ghost/start: backup ghost-a.fr begins"]);
    insta::assert_snapshot!(told.join("\n"), @"
    backup ghost-a.fr:
      POST /all: backup ghost-a.fr: 1 kB
      POST /ghost: backup ghost-a.fr: 1 kB
    verify ghost-a.fr:
      POST /all/fail: verify ghost-a.fr: a pack is damaged
      POST /ghost/fail: verify ghost-a.fr: a pack is damaged
    backup ghost-a.fr:
      POST /all/fail: backup ghost-a.fr went well, but verify ghost-a.fr has failed since 2026-11-21 02:02 UTC: a pack is damaged
      POST /ghost/fail: backup ghost-a.fr went well, but verify ghost-a.fr has failed since 2026-11-21 02:02 UTC: a pack is damaged
    backup wekan-a.fr:
      POST /all/fail: backup wekan-a.fr went well, but verify ghost-a.fr has failed since 2026-11-21 02:02 UTC: a pack is damaged
      POST /wekan: backup wekan-a.fr: 2 kB
    verify ghost-a.fr:
      
    backup wekan-a.fr:
      POST /all: backup wekan-a.fr: 2 kB
      POST /wekan: backup wekan-a.fr: 2 kB
    ");
}

/// "POST path: body".
fn short(line: &str) -> String {
    let parts: Vec<&str> = line.split(" | ").collect();
    format!("{}: {}", parts[0], parts[3])
}

#[tokio::test]
async fn one_way_that_fails_stops_no_other_and_is_remembered() {
    let server = Server::new(&["200 OK"]).await;
    let folder = tempfile::tempdir().unwrap();
    let more =
        format!("hooks: {{on_failure: [[/bin/false], {0}/SECRET], on_recovered: [[/bin/false]], on_success: [{0}/good]}}\n", server.url);
    let desk = desk(&folder, &more, "  ghost:\n");
    let notes = desk.ended(&ended(Job::Backup, "ghost", Err("no space left")), now()).await;
    assert_eq!(notes, ["hooks.on_failure[0] /bin/false does not work: it ended with 1"]);
    assert_eq!(server.asked().len(), 1);
    let later = |minutes| now() + chrono::TimeDelta::minutes(minutes);
    assert!(desk.ended(&ended(Job::Backup, "ghost", Err("no space left")), later(15)).await.is_empty(), "told once");
    // Its end goes to a way that does not work: it is tried again.
    let notes = desk.ended(&ended(Job::Backup, "ghost", Ok("1 kB")), later(30)).await;
    assert_eq!(notes, ["hooks.on_recovered[0] /bin/false does not work: it ended with 1"]);
    assert_eq!(desk.remind(later(46)).await.len(), 1);
    assert!(desk.remind(later(47)).await.is_empty());
    let (memory, damaged) =
        crate::state::told::load(&crate::layout::Layout { files: folder.path().into(), databases: folder.path().join("database") })
            .unwrap();
    assert_eq!(damaged, None);
    let silent: Vec<&str> = memory.silent.keys().map(String::as_str).collect();
    assert_eq!(silent, ["hooks.on_failure[0] /bin/false", "hooks.on_recovered[0] /bin/false"]);
    assert_eq!(memory.silent["hooks.on_failure[0] /bin/false"].since, now());
    assert!(server.asked().last().unwrap().contains("\"event\":\"success\""));
}

#[tokio::test]
async fn what_cannot_be_remembered_is_told_all_the_same() {
    let server = Server::new(&["200 OK"]).await;
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(&folder, &format!("hooks: {{on_failure: [{}/x]}}\n", server.url), "  ghost:\n");
    let layout = crate::layout::Layout { files: folder.path().into(), databases: folder.path().join("database") };
    std::fs::create_dir_all(layout.own()).unwrap();
    std::fs::write(layout.told(), "{\"version\": 2}").unwrap();
    let notes = desk.ended(&ended(Job::Backup, "ghost", Err("no space left")), now()).await;
    assert!(notes.iter().all(|note| note.contains("newer Summoner")) && !notes.is_empty(), "{notes:?}");
    assert_eq!(server.asked().len(), 1);
    assert!(!desk.look_is_due(now()).await);
    std::fs::write(layout.told(), "{").unwrap();
    let notes = desk.ended(&ended(Job::Backup, "ghost", Err("no space left")), now()).await;
    assert!(notes[0].contains("told.json is damaged"), "{notes:?}");
    assert!(layout.own().join("told.json.damaged").exists());
    assert!(desk.ended(&ended(Job::Backup, "ghost", Err("no space left")), now()).await.is_empty());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_test_goes_through_all_of_them_and_turns_no_switch_green() {
    let server = Server::new(&["200 OK"]).await;
    let folder = tempfile::tempdir().unwrap();
    let more = format!("ping: {0}/all\nhooks: {{on_failure: [[/bin/false]], on_success: [[/bin/true], {0}/good]}}\n", server.url);
    let (answers, notes) = desk(&folder, &more, "  ghost:\n").test(now()).await;
    let said: Vec<String> =
        answers.iter().map(|answer| format!("{}: {:?}", answer.channel, answer.result).replace(&server.url, "URL")).collect();
    assert_eq!(
        said,
        [
            "hooks.on_success[0] /bin/true: Ok(\"it ended with 0\")",
            "hooks.on_success[1] URL: Ok(\"200 OK: said\")",
            "hooks.on_failure[0] /bin/false: Err(\"it ended with 1\")",
            "ping URL: Ok(\"200 OK: said\")",
        ]
    );
    assert_eq!(notes.len(), 1);
    assert!(server.asked().iter().any(|line| line.starts_with("POST /all/log | ")), "{:?}", server.asked());
}
