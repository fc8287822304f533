//! The schedule as a person meets it: shown, run by hand, kept by a daemon; with the clock moved by the test.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bed, Said};

const BACKUP: &str = "    backup: {dump: nightly, cold: \"0 3 * * 0\", verify: never, forget: never, drill: never}\n";

/// A bed at a time, in Paris; no engine answers in it.
fn bed(now: &str) -> Bed {
    let mut bed = Bed::new("schedule");
    bed.domain = "a.fr".into();
    bed.config(&format!("  ghost:\n{BACKUP}"));
    let text = std::fs::read_to_string(bed.path().join("config.yml")).unwrap();
    std::fs::write(bed.path().join("config.yml"), format!("timezone: Europe/Paris\n{text}")).unwrap();
    at(&mut bed, now);
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
fn the_schedule_is_shown_before_anything_ran() {
    let bed = bed("2026-11-21T12:00:00Z");
    insta::assert_snapshot!(bed.ok(&["schedule"]).out, @"
    JOB     INSTANCE    WHEN       NEXT              LAST
    dump    ghost-a.fr  nightly    2026-11-22 02:00  never
    backup  ghost-a.fr  0 3 * * 0  2026-11-22 03:00  never
    ");
    insta::assert_snapshot!(bed.ok(&["schedule", "--json"]).out, @r#"
    {
      "version": 1,
      "jobs": [
        {
          "id": "dump ghost-a.fr",
          "job": "dump",
          "instance": "ghost-a.fr",
          "cron": "nightly",
          "next_at": "2026-11-22T01:00:00Z",
          "last": null
        },
        {
          "id": "backup ghost-a.fr",
          "job": "backup",
          "instance": "ghost-a.fr",
          "cron": "0 3 * * 0",
          "next_at": "2026-11-22T02:00:00Z",
          "last": null
        }
      ]
    }
    "#);
    assert!(!bed.root().exists(), "showing touches nothing");
}

#[test]
fn a_job_that_was_due_has_run_and_its_end_is_shown() {
    let mut bed = bed("2026-11-21T23:00:00Z");
    assert!(bed.ok(&["run-due"]).err.contains("nothing is due"));
    at(&mut bed, "2026-11-22T01:30:00Z");
    // No engine: whatever it says, it failed, and nobody can overlook it.
    let said = bed.run(&["run-due"]);
    assert_eq!(said.code, 1, "{}", said.err);
    said.assert_says(&["dump ghost-a.fr begins", "dump ghost-a.fr: failed: ", "next:  summoner schedule"]);
    let shown: serde_json::Value = serde_json::from_str(&bed.ok(&["schedule", "--json"]).out).unwrap();
    let dump = &shown["jobs"][0];
    assert_eq!((dump["id"].as_str(), dump["last"]["result"].as_str()), (Some("dump ghost-a.fr"), Some("failed")));
    assert!(dump["next_at"].as_str().unwrap().starts_with("2026-11-22T01:45"), "{dump}");
    assert!(!dump["last"]["message"].as_str().unwrap().is_empty());
    assert!(bed.ok(&["schedule"]).out.contains("failed, just now"));
}

/// A daemon that is ended with its test.
struct Daemon(Child);

impl Daemon {
    fn start(bed: &Bed) -> Self {
        Self(bed.command(&["daemon"]).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> Said {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success());
        let until = Instant::now() + Duration::from_secs(20);
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut err = String::new();
        for line in BufReader::new(self.0.stderr.take().unwrap()).lines() {
            err += &(line.unwrap() + "\n");
        }
        Said { code: self.0.wait().unwrap().code().unwrap_or(-1), out: String::new(), err }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < until, "it does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_daemon_stays_is_alone_and_ends_in_order() {
    let mut bed = bed("2026-11-21T23:00:00Z");
    bed.ok(&["run-due"]);
    // Its clock starts a moment before the night's dump, and systemd listens.
    at(&mut bed, "2026-11-22T00:59:58Z");
    let systemd = UnixDatagram::bind(bed.path().join("notify")).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let socket = bed.path().join("notify").display().to_string();
    bed.environment.extend([("NOTIFY_SOCKET".into(), socket), ("WATCHDOG_USEC".into(), "2000000".into())]);
    let daemon = Daemon::start(&bed);
    let runs = bed.root().join("summoner/runs.json");
    wait_for(|| std::fs::read_to_string(&runs).is_ok_and(|text| text.replace(' ', "").contains(":\"failed\"")));
    bed.environment.truncate(3);
    let second = bed.run(&["daemon"]);
    assert_eq!(second.code, 11);
    second.assert_says(&["`summoner daemon` (process ", "has held the lock of scheduled jobs since 2026-11-22T00:59:5"]);
    bed.ok(&["run-due"]).assert_says(&["another summoner runs the scheduled jobs"]);
    let said = daemon.end();
    assert_eq!(said.code, 0, "{}", said.err);
    said.assert_says(&["dump ghost-a.fr begins"]);
    let (mut heard, mut part) = (String::new(), [0; 4096]);
    while let Ok(count) = systemd.recv(&mut part) {
        heard += &(String::from_utf8_lossy(&part[..count]) + "\n");
    }
    for word in ["READY=1", "WATCHDOG=1", "STATUS=next job at 2026-11-22 02:00", "STATUS=running dump ghost-a.fr", "STOPPING=1"] {
        assert!(heard.contains(word), "{word} is not in:\n{heard}");
    }
}

#[test]
fn nothing_installed_is_nothing_to_take_away() {
    let bed = bed("2026-11-21T12:00:00Z");
    bed.ok(&["daemon", "--uninstall"]).assert_says(&["no service of this configuration is installed"]);
}
