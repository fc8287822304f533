//! On the real engine, with the clock moved: the daemon takes the night's backup by itself, starts what a killed command
//! left stopped, and `status` is red when a backup is missing.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

/// The night's hour is half a day away, whenever the test runs: certificates know the real time.
fn night() -> DateTime<Utc> {
    Utc::now().duration_trunc(TimeDelta::hours(1)).unwrap() + TimeDelta::hours(12)
}

fn bed(name: &str) -> Bed {
    let mut bed = Bed::new(name);
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config(&format!(
        "  pair:\n    backup: {{cold: \"0 {} * * *\", dump: never, verify: never, forget: never, drill: never}}\n",
        night().hour()
    ));
    let text = std::fs::read_to_string(bed.path().join("config.yml")).unwrap();
    std::fs::write(bed.path().join("config.yml"), format!("timezone: UTC\n{text}")).unwrap();
    at(&mut bed, Utc::now());
    bed.ok(&["install"]);
    bed
}

fn at(bed: &mut Bed, now: DateTime<Utc>) {
    bed.environment = vec![("SUMMONER_NOW".into(), now.to_rfc3339()), ("SUMMONER_NO_SERVICE".into(), "1".into())];
}

struct Daemon(Child);

impl Daemon {
    fn start(bed: &Bed) -> Self {
        Self(bed.command(&["daemon"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> Said {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        let (_, dropped) = (self.0.wait().unwrap(), Command::new("true").spawn().unwrap());
        let child = std::mem::replace(&mut self.0, dropped);
        Said::of(child.wait_with_output().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < until, "it does not come: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn snapshots(bed: &Bed) -> Vec<serde_json::Value> {
    // Before the first one there is no repository.
    let said = bed.run(&["snapshots", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_default();
    all["snapshots"].as_array().cloned().unwrap_or_default()
}

#[test]
fn the_night_s_backup_is_taken_and_a_missing_one_is_red() {
    let mut bed = bed("night");
    let night = night();
    // Not due yet.
    assert_eq!(bed.ok(&["status"]).code, 0);
    at(&mut bed, night - TimeDelta::seconds(3));
    let daemon = Daemon::start(&bed);
    wait_for("the backup", || snapshots(&bed).iter().any(|snapshot| snapshot["verified_at"].is_string()));
    wait_for("its end", || bed.run(&["schedule"]).out.contains("ok, "));
    let said = daemon.end();
    assert_eq!(said.code, 0, "{}", said.err);
    said.assert_says(&["backup pair-", " begins", ": ok: "]);
    let taken = snapshots(&bed);
    assert_eq!((taken.len(), taken[0]["purpose"].as_str(), taken[0]["kind"].as_str()), (1, Some("schedule"), Some("backup")));
    at(&mut bed, night + TimeDelta::hours(18));
    assert_eq!(bed.ok(&["status"]).code, 0);
    // Nobody ran the schedule for two nights.
    at(&mut bed, night + TimeDelta::hours(58));
    let status = bed.run(&["status"]);
    assert_eq!(status.code, 3, "{}", status.out);
    let newest = format!("and is missing: the newest good one is of {}", night.format("%Y-%m-%dT%H:00:0"));
    assert!(status.out.contains(&newest), "{newest}: {}", status.out);
    assert!(status.out.contains("next: summoner backup pair-"), "{}", status.out);
}

#[test]
fn the_daemon_starts_what_a_killed_backup_left_stopped() {
    let bed = bed("mend");
    let runs = |bed: &Bed| bed.docker(&["inspect", "-f", "{{.State.Running}}", &bed.id("pair")]).trim() == "true";
    let mut stopped = false;
    for effect in 1..60 {
        let output = bed.command(&["backup", "pair"]).env("SUMMONER_CRASH_AT", effect.to_string()).output().unwrap();
        assert!(!output.status.success(), "the backup stopped nothing");
        stopped = !runs(&bed);
        if stopped {
            break;
        }
    }
    assert!(stopped, "the backup stopped nothing");
    let status = bed.run(&["status"]);
    assert_eq!(status.code, 3);
    assert!(status.out.contains("killed half way"), "{}", status.out);
    let daemon = Daemon::start(&bed);
    wait_for("the application", || runs(&bed));
    wait_for("a green status", || bed.run(&["status"]).code == 0);
    daemon.end().assert_says(&["was interrupted; making it stand as before"]);
}

/// A restore that nobody confirms is remembered by `status`, and what it replaced goes after a month.
#[test]
fn what_a_restore_replaced_is_deleted_after_a_month() {
    let mut bed = bed("month");
    let begun = Utc::now();
    at(&mut bed, begun);
    bed.ok(&["backup", "pair"]);
    let until = (begun + TimeDelta::days(30)).format("is kept until %Y-%m-%d").to_string();
    bed.ok(&["restore", "pair"]);
    let kept = bed.root().join(format!(".restore-{}", bed.id("pair")));
    assert!(kept.is_dir());
    let status = bed.ok(&["status"]);
    assert!(status.out.contains("is not confirmed; what it replaced ") && status.out.contains(&until), "{}", status.out);
    at(&mut bed, begun + TimeDelta::days(30) - TimeDelta::minutes(1));
    bed.ok(&["forget"]).assert_says(&[&until, "--confirm"]);
    at(&mut bed, begun + TimeDelta::days(30) + TimeDelta::minutes(1));
    bed.ok(&["forget", "--dry-run"]).assert_says(&["would be deleted"]);
    assert!(kept.is_dir());
    bed.ok(&["forget", "pair"]).assert_says(&["is deleted: nobody took it back within 30 days"]);
    assert!(!kept.exists());
    let undo = bed.run(&["restore", "--undo", "pair"]);
    assert_eq!(undo.code, 2, "{}", undo.err);
}
