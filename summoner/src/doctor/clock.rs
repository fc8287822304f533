//! The clock: is it a sane time, did it go back, does anything keep it right?

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use tokio::process::Command;

use super::{Check, Patient};

/// This program is not older.
const FIRST_YEAR: i32 = 2026;
/// A clock beyond this is broken, not old.
const LAST_YEAR: i32 = 2099;
/// Clocks differ by seconds; more than this is a fault.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// `timedatectl` asks a service, which may hang.
const ANSWER: Duration = Duration::from_secs(5);
const SET: &str = "timedatectl set-ntp true   (or set the time by hand: date -s)";

/// Something that happened, and when.
#[derive(Debug, Clone)]
struct Event {
    what: String,
    at: DateTime<Utc>,
}

pub(super) fn check(patient: &Patient<'_>) -> Check {
    judge(patient.now, &events(patient))
}

/// What this machine and the engine remember of the past: none of it can be in the future.
fn events(patient: &Patient<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(config) = patient.config() {
        events.extend([&config.path, &config.layout.state()].into_iter().filter_map(|path| written(path)));
    }
    if let Ok(seen) = &patient.engine {
        let newest = seen.containers.iter().max_by_key(|container| container.created_at);
        events.extend(newest.and_then(|container| {
            Some(Event {
                what: format!("the container {} was made", container.name),
                at: DateTime::from_timestamp(container.created_at, 0)?,
            })
        }));
    }
    events
}

fn written(path: &Path) -> Option<Event> {
    // Absent, or not for this user: then it tells nothing, and the others do.
    let at = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    Some(Event { what: format!("{} was written", path.display()), at: at.into() })
}

fn judge(now: DateTime<Utc>, events: &[Event]) -> Check {
    let check = Check::new("clock", "clock", "Certificates, sign-ins and the ages of backups are wrong when the clock is.");
    let shown = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    if !(FIRST_YEAR..=LAST_YEAR).contains(&now.year()) {
        return check.failed(format!("it is {} by the clock of this machine", shown(now))).fix(SET);
    }
    match events.iter().filter(|event| event.at > now + TOLERANCE).max_by_key(|event| event.at) {
        Some(event) => {
            check.failed(format!("it is {}, yet {} on {}: the clock is or was wrong", shown(now), event.what, shown(event.at))).fix(SET)
        }
        None => check.ok(shown(now)),
    }
}

/// Whether something keeps the clock right, as systemd says.
pub(super) async fn sync() -> Check {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTP", "--property=NTPSynchronized"]).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER, command.output()).await;
    judge_sync(match &output {
        Err(_) => Err("timedatectl does not answer".into()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no timedatectl here".into()),
        Ok(Err(error)) => Err(format!("timedatectl: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout)),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("not been booted with systemd") {
                return judge_sync(Err("systemd does not run here".into()));
            }
            Err(said.lines().next().unwrap_or("timedatectl failed").trim_end_matches('.').to_owned())
        }
    })
}

fn judge_sync(said: Result<std::borrow::Cow<'_, str>, String>) -> Check {
    let check = Check::new("clock-sync", "time sync", "A clock that nothing keeps right is minutes off within a year.");
    let text = match said {
        Ok(text) => text,
        Err(reason) => {
            return check
                .warning(format!("not verified: {reason}"))
                .fix("see that the host, or the machine that it runs on, keeps its clock right");
        }
    };
    let is =
        |key: &str| text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value == "yes");
    match (is("NTP"), is("NTPSynchronized")) {
        (_, Some(true)) => check.ok("in step with the world"),
        (Some(true), Some(false)) => check.warning("switched on, but not in step yet").fix("timedatectl timesync-status"),
        (_, Some(false)) => check.warning("nothing keeps this clock right").fix("timedatectl set-ntp true"),
        (_, None) => check.warning("not verified: timedatectl does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_that_fell_back_to_its_first_day_fails() {
        let check = judge(at("1970-01-01T00:07:00Z"), &[]);
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "it is 1970-01-01 00:07 UTC by the clock of this machine"));
        assert_eq!(judge(at("2106-02-07T06:28:00Z"), &[]).state, State::Failed);
        assert_eq!(judge(at("2026-11-21T15:00:00Z"), &[]).message, "2026-11-21 15:00 UTC");
    }

    #[test]
    fn what_happened_lies_in_the_past() {
        let event = |text| Event { what: "the container web was made".into(), at: at(text) };
        let check = judge(at("2026-11-21T15:00:00Z"), &[event("2026-11-22T09:30:00Z"), event("2026-11-20T00:00:00Z")]);
        assert_eq!(check.state, State::Failed);
        assert_eq!(
            check.message,
            "it is 2026-11-21 15:00 UTC, yet the container web was made on 2026-11-22 09:30 UTC: the clock is or was wrong"
        );
        assert_eq!(judge(at("2026-11-21T15:00:00Z"), &[event("2026-11-21T15:03:00Z")]).state, State::Ok, "clocks differ a little");
    }

    #[test]
    fn what_keeps_the_clock_is_read_and_its_absence_is_no_ok() {
        let said = |text: &'static str| judge_sync(Ok(text.into()));
        assert_eq!(said("NTP=yes\nNTPSynchronized=yes\n").state, State::Ok);
        assert_eq!(said("NTP=yes\nNTPSynchronized=no\n").message, "switched on, but not in step yet");
        let off = said("NTP=no\nNTPSynchronized=no\n");
        assert_eq!((off.state, off.fix.as_deref()), (State::Warning, Some("timedatectl set-ntp true")));
        assert_eq!(said("").state, State::Warning);
        let none = judge_sync(Err("there is no timedatectl here".into()));
        assert_eq!((none.state, none.message.as_str()), (State::Warning, "not verified: there is no timedatectl here"));
    }
}
