//! Quiet hours: the hours of a day in which no scheduled job starts.
//!
//! Pure; the time zone is an argument. A person's own command is never held back by them.

use std::fmt;

use chrono::{DateTime, Days, MappedLocalTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// From one time of the day to another; over midnight when the end is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from: NaiveTime,
    until: NaiveTime,
}

impl Quiet {
    /// `08:00-18:00`.
    ///
    /// # Errors
    /// The sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let time = |part: &str| NaiveTime::parse_from_str(part.trim(), "%H:%M").ok();
        let (from, until) = text
            .split_once('-')
            .and_then(|(from, until)| Some((time(from)?, time(until)?)))
            .ok_or_else(|| format!("`{}` is no span of hours: write 08:00-18:00, or never", super::values::short(text)))?;
        if from == until {
            return Err("the whole day cannot be quiet: no job would ever start".to_owned());
        }
        Ok(Self { from, until })
    }

    /// Whether it is quiet at this moment.
    #[must_use]
    pub fn holds(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        let time = at.with_timezone(&zone).time();
        if self.from < self.until { self.from <= time && time < self.until } else { self.from <= time || time < self.until }
    }

    /// The moment itself, or the end of the quiet hours that it lies in.
    #[must_use]
    pub fn after(&self, at: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        if !self.holds(at, zone) {
            return at;
        }
        let local = at.with_timezone(&zone).naive_local();
        let day =
            if local.time() < self.until { local.date() } else { local.date().checked_add_days(Days::new(1)).unwrap_or(local.date()) };
        let end = day.and_time(self.until);
        // The clock may spring over the end: then it is quiet until the clock has.
        let found = (0..=25 * 60).find_map(|minutes| match zone.from_local_datetime(&(end + TimeDelta::minutes(minutes))) {
            MappedLocalTime::Single(end) => Some(end.to_utc()),
            MappedLocalTime::Ambiguous(first, second) => Some(if first.to_utc() > at { first.to_utc() } else { second.to_utc() }),
            MappedLocalTime::None => None,
        });
        found.map_or(at, |end| end.max(at))
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.from.format("%H:%M"), self.until.format("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(quiet: &str, at: &str) -> String {
        let quiet = Quiet::parse(quiet).unwrap();
        quiet.after(at.parse().unwrap(), Tz::Europe__Paris).format("%dT%H:%M").to_string()
    }

    #[test]
    fn a_moment_in_quiet_hours_moves_to_their_end() {
        assert_eq!(after("08:00-18:00", "2026-11-21T12:00:00Z"), "21T17:00");
        assert_eq!(after("08:00-18:00", "2026-11-21T06:59:00Z"), "21T06:59");
        assert_eq!(after("08:00-18:00", "2026-11-21T17:00:00Z"), "21T17:00");
        assert_eq!(after("22:00-06:00", "2026-11-21T22:00:00Z"), "22T05:00");
        assert_eq!(after("22:00-06:00", "2026-11-21T03:00:00Z"), "21T05:00");
    }

    #[test]
    fn an_end_that_the_clock_springs_over_comes_after_the_gap() {
        assert_eq!(after("01:00-02:30", "2026-03-29T00:30:00Z"), "29T01:00");
        // In the second pass of the repeated hour the first end is over.
        assert_eq!(after("01:00-02:30", "2026-10-25T01:10:00Z"), "25T01:30");
    }

    #[test]
    fn wrong_hours_are_explained() {
        for text in ["", "8-18", "08:00", "25:00-26:00", "08:00-08:00"] {
            assert!(Quiet::parse(text).is_err(), "{text}");
        }
        assert_eq!(Quiet::parse("8:00 - 18:30").unwrap().to_string(), "08:00-18:30");
    }
}
