//! When a job is due, as a person writes it: a cron expression, a word, `every 6h` or `at start`.
//!
//! Pure, as the rest of the schedule: zone and `now` are arguments. `config.yml` is read into it; plans ask it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Schedule, ScheduleError, parse};
use crate::config::values;

/// The word for "no such job".
pub const NEVER: &str = "never";
/// Once whenever the daemon, or the machine, starts.
const AT_START: &str = "at start";
/// Words for what people ask for most.
const WORDS: [(&str, &str); 5] =
    [("nightly", "0 2 * * *"), ("hourly", "0 * * * *"), ("daily", "0 0 * * *"), ("weekly", "0 0 * * 0"), ("monthly", "0 0 1 * *")];
/// Between two runs of `every …`.
const SHORTEST: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// When a job is due.
#[derive(Debug, Clone)]
pub struct Times {
    text: String,
    when: When,
}

#[derive(Debug, Clone)]
enum When {
    Cron(Schedule),
    /// At whole multiples of it since 1970, so that two machines and two starts agree; exact also where clocks change.
    Every(TimeDelta),
    Start,
}

/// Why a text names no times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// After `every`.
    #[error("{0}")]
    Every(String),
    /// Neither a word nor a cron expression.
    #[error("`{0}` is no word for times")]
    Word(String),
    /// A cron expression that is wrong.
    #[error(transparent)]
    Cron(#[from] ScheduleError),
}

impl Times {
    /// Reads one of the forms; `never` is none of them.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Self, TimesError> {
        let text = text.trim();
        let when = if text == AT_START {
            When::Start
        } else if let Some(period) = text.strip_prefix("every ") {
            When::Every(every(period.trim())?)
        } else if let Some((_, cron)) = WORDS.iter().find(|(word, _)| *word == text) {
            When::Cron(parse(cron)?)
        } else if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(TimesError::Word(values::short(text)));
        } else {
            When::Cron(parse(text)?)
        };
        Ok(Self { text: text.to_owned(), when })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `at start`, which has no times of its own.
    #[must_use]
    pub fn at_start(&self) -> bool {
        matches!(self.when, When::Start)
    }

    /// The first time after `now`; None for `at start`, and after the year 2100.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match &self.when {
            When::Cron(schedule) => schedule.next_after(&now.with_timezone(&zone)).map(|due| due.to_utc()),
            When::Every(period) => multiple(now, *period)?.checked_add_signed(*period),
            When::Start => None,
        }
    }

    /// The last time until `now`, itself included; None for `at start`.
    #[must_use]
    pub fn last_until(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match &self.when {
            When::Cron(schedule) => schedule.last_until(&now.with_timezone(&zone)).map(|due| due.to_utc()),
            When::Every(period) => multiple(now, *period),
            When::Start => None,
        }
    }
}

/// The last multiple of the period until `now`.
fn multiple(now: DateTime<Utc>, period: TimeDelta) -> Option<DateTime<Utc>> {
    let seconds = period.num_seconds().max(1);
    DateTime::from_timestamp(now.timestamp().div_euclid(seconds) * seconds, 0)
}

fn every(text: &str) -> Result<TimeDelta, TimesError> {
    let period = values::duration(text).map_err(TimesError::Every)?;
    if !(SHORTEST..=LONGEST).contains(&period) {
        return Err(TimesError::Every(format!("every {} is out of bounds: 5m to 366d", values::short(text))));
    }
    TimeDelta::from_std(period).map_err(|error| TimesError::Every(error.to_string()))
}

impl PartialEq for Times {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Times {}

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn both(text: &str, now: &str) -> String {
        let (times, now) = (Times::parse(text).unwrap(), at(now));
        let show = |time: Option<DateTime<Utc>>| time.map_or("-".into(), |time| time.format("%dT%H:%M").to_string());
        format!("{} {}", show(times.last_until(now, Tz::Europe__Paris)), show(times.next_after(now, Tz::Europe__Paris)))
    }

    #[test]
    fn words_are_times() {
        // A Saturday; Paris is an hour ahead of UTC.
        let now = "2026-11-21T12:10:00Z";
        assert_eq!(both("nightly", now), "21T01:00 22T01:00");
        assert_eq!(both("0 2 * * *", now), "21T01:00 22T01:00");
        assert_eq!(both("hourly", now), "21T12:00 21T13:00");
        assert_eq!(both("daily", now), "20T23:00 21T23:00");
        assert_eq!(both("weekly", now), "14T23:00 21T23:00");
        assert_eq!(both("monthly", now), "31T23:00 30T23:00");
        assert_eq!(both("every 6h", now), "21T12:00 21T18:00");
        assert_eq!(both("every 30m", now), "21T12:00 21T12:30");
        assert_eq!(both("every 30m", "2026-11-21T12:30:00Z"), "21T12:30 21T13:00");
        assert_eq!(both("at start", now), "- -");
    }

    #[test]
    fn every_is_exact_where_clocks_change() {
        assert_eq!(both("every 6h", "2026-10-25T00:30:00Z"), "25T00:00 25T06:00");
        assert_eq!(both("every 1h", "2026-03-29T01:00:00Z"), "29T01:00 29T02:00");
    }

    #[test]
    fn what_is_no_time_is_explained() {
        let said: Vec<String> = ["nightli", "every", "every day", "every 1m", "every 2y", "every 400d", "0 2 * *", "at noon", "never"]
            .into_iter()
            .map(|text| format!("{text:10} {}", Times::parse(text).unwrap_err()))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        nightli    `nightli` is no word for times
        every      `every` is no word for times
        every day  `day` is no length of time: write 30s, 10m, 6h, 30d or 4w
        every 1m   every 1m is out of bounds: 5m to 366d
        every 2y   `2y` is no length of time: write 30s, 10m, 6h, 30d or 4w
        every 400d every 400d is out of bounds: 5m to 366d
        0 2 * *    a schedule has 5 fields (minute hour day month weekday), this one has 4
        at noon    `at noon` is no word for times
        never      `never` is no word for times
        ");
    }
}
