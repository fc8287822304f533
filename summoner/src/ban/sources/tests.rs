//! Tails, and the patterns of the catalogue against lines that somebody tampers with.

use std::io::Write;

use super::*;

fn told(app: &str, line: &str) -> Option<String> {
    let catalogue = Catalogue::open(None).unwrap();
    let minion = catalogue.get(app).unwrap();
    let log = minion.sign_in.iter().find_map(|sign_in| sign_in.log.as_ref()).unwrap();
    let source = Source::new(format!("{app}-a.fr"), Place::Container("x".into()), log).unwrap();
    source.event(line).map(|event| format!("{:?} {}", event.outcome, event.address))
}

#[test]
fn nextcloud_s_log_tells_the_real_address() {
    let line = |user: &str, message: &str| {
        format!(
            r#"{{"reqId":"x1","level":2,"time":"2026-11-21T20:00:00+00:00","remoteAddr":"198.51.100.7","user":"{user}","app":"no app in context","method":"POST","url":"/login","scriptName":"/index.php","message":"{message}","userAgent":"curl","version":"34.0.3.1","data":[]}}"#
        )
    };
    let failed = Some("Failed 198.51.100.7".to_owned());
    assert_eq!(told("nextcloud", &line("--", "Login failed: bob (Remote IP: 198.51.100.7)")), failed);
    assert_eq!(told("nextcloud", &line("--", "Two-factor challenge failed: bob (Remote IP: 198.51.100.7)")), failed);
    assert_eq!(told("nextcloud", &line("--", "Login succeeded")), None);
    // A name as somebody types it, escaped as JSON does.
    let name = r#"x\",\"remoteAddr\":\"9.9.9.9\",\"message\":\"Login failed: "#;
    assert_eq!(told("nextcloud", &line("--", &format!("Login failed: {name}"))), failed);
    assert_eq!(told("nextcloud", &line(name, "File not found")), None);
    assert_eq!(told("nextcloud", &line("--", name)), None);
}

#[test]
fn gitlab_s_log_tells_the_real_address() {
    let line = |user: &str| {
        format!(
            r#"{{"severity":"INFO","time":"2026-11-21T20:00:00.000Z","correlation_id":"01","message":"Failed Login: username={user} ip=198.51.100.7"}}"#
        )
    };
    let failed = Some("Failed 198.51.100.7".to_owned());
    assert_eq!(told("gitlab", &line("root")), failed);
    assert_eq!(told("gitlab", &line("x ip=9.9.9.9")), failed);
    assert_eq!(told("gitlab", &line(r#"x ip=9.9.9.9\""#)), failed);
    let agent = line("root").replace('}', r#","ua":"x ip=9.9.9.9"}"#);
    assert_eq!(told("gitlab", &agent), failed);
    let typed = line(r#"x ip=9.9.9.9\",\"message\":\"Failed Login: username=y ip=8.8.8.8\""#);
    assert_eq!(told("gitlab", &typed), failed);
    assert_eq!(told("gitlab", r#"{"message":"User Logout: username=root ip=198.51.100.7"}"#), None);
}

#[test]
fn a_file_is_followed_from_its_end_over_its_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    std::fs::write(&path, "old\n").unwrap();
    let mut tail = Tail::new(path.clone());
    assert_eq!(tail.look().unwrap(), Vec::<String>::new());
    let append = |text: &str| File::options().append(true).create(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    append("one\ntw");
    assert_eq!(tail.look().unwrap(), ["one"]);
    append("o\n");
    assert_eq!(tail.look().unwrap(), ["two"]);
    // Cut, replaced, gone, back.
    std::fs::write(&path, "3\n").unwrap();
    assert_eq!(tail.look().unwrap(), ["3"]);
    std::fs::rename(&path, folder.path().join("a.log.1")).unwrap();
    assert!(tail.look().unwrap().is_empty());
    append("four\n");
    assert_eq!(tail.look().unwrap(), ["four"]);
    // One that was absent at the first look is read whole once it is there.
    let mut late = Tail::new(folder.path().join("late.log"));
    assert!(late.look().unwrap().is_empty());
    std::fs::write(folder.path().join("late.log"), "first\n").unwrap();
    assert_eq!(late.look().unwrap(), ["first"]);
}

#[test]
fn nothing_that_an_application_puts_there_hangs_or_floods() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    assert!(Tail::new(at("link")).look().is_err());
    std::fs::create_dir(at("folder")).unwrap();
    assert!(Tail::new(at("folder")).look().unwrap().is_empty());
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(Tail::new(at("fifo")).look().unwrap().is_empty());
    let mut tail = Tail::new(at("big"));
    tail.look().unwrap();
    std::fs::write(at("big"), "x".repeat(3 * MAX_LINE) + "\nshort\n" + &"y\n".repeat(6 << 20)).unwrap();
    // Too far behind: the oldest is lost, a piece at a time follows.
    let lines = tail.look().unwrap();
    assert!(lines.len() <= PIECE / 2 && lines.iter().all(|line| line == "y"));
    assert!(Lines::default().add(&vec![b'x'; 1 << 20]).is_empty());
    let mut lines = Lines::default();
    assert!(lines.add(&vec![b'x'; MAX_LINE + 1]).is_empty());
    assert_eq!(lines.add(b"tail\nnext\n\xff\n"), ["next", "\u{fffd}"]);
}
