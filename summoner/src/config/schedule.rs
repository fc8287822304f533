//! Cron expressions as people know them from crontab(5): five fields, Sunday is 0 or 7, days OR weekdays.
//!
//! The `cron` crate computes the times, but alone it wants seconds, counts Sunday as 1, joins days and weekdays with
//! AND, skips a night when the clock springs forward and runs twice when it falls back. A backup must run every night
//! exactly once, so the fields are rewritten here, evaluated in naive local time and only then put on the time line.
//! Pure: knows no clock; `now` is an argument.

mod field;
mod times;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, MappedLocalTime, NaiveDateTime, TimeZone};

use crate::fault::did_you_mean;

use field::Field;

pub use times::{NEVER, Times, TimesError};

/// When a job is due, in the local time of a zone that is given when asking.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    /// One, or two when both day and weekday are restricted: whichever comes first.
    crons: Vec<cron::Schedule>,
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither five fields nor a macro.
    #[error("a schedule has 5 fields (minute hour day month weekday), this one has {0}")]
    Fields(usize),
    /// A macro that does not exist.
    #[error("`{name}` is no schedule; {}", .hint.as_deref().unwrap_or("known are @hourly, @daily, @weekly, @monthly, @yearly"))]
    Macro {
        /// What was written.
        name: String,
        /// "did you mean …".
        hint: Option<String>,
    },
    /// One field is wrong.
    #[error("{field} `{text}`: {reason}")]
    Field {
        /// "minute", "hour" …
        field: &'static str,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such day exists in any year.
    #[error("it never comes: no month named there has such a day")]
    Never,
}

const MACROS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// No zone has ever shifted its clock by more than a day.
const WIDEST_SHIFT: Duration = Duration::hours(25);

/// Reads a cron expression.
///
/// # Errors
/// A sentence about the field that is wrong; also for days that never come, such as February 31.
pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
    let fields = expand_macro(text.trim())?;
    let parts: Vec<&str> = fields.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else { return Err(ScheduleError::Fields(parts.len())) };
    let minute = field::MINUTE.parse(minute)?;
    let hour = field::HOUR.parse(hour)?;
    let day = field::DAY.parse(day)?;
    let month = field::MONTH.parse(month)?;
    let weekday = field::WEEKDAY.parse(weekday)?;
    let any = Field::any();
    let days = if day.restricted && weekday.restricted { vec![(&day, &any), (&any, &weekday)] } else { vec![(&day, &weekday)] };
    let mut crons = Vec::new();
    for (day, weekday) in days {
        let line = format!("0 {} {} {} {} {}", minute.numbers(), hour.numbers(), day.numbers(), month.numbers(), weekday.weekdays());
        let cron = cron::Schedule::from_str(&line).map_err(|_| ScheduleError::Never)?;
        crons.push(cron);
    }
    // An impossible day beside a weekday that comes is not worth an error: the weekday is still due.
    crons.retain(|cron| next_naive(cron, NaiveDateTime::default()).is_some());
    if crons.is_empty() { Err(ScheduleError::Never) } else { Ok(Schedule { text: text.trim().to_owned(), crons }) }
}

impl Schedule {
    /// The first instant after `now` at which the job is due; None after the year 2100.
    ///
    /// A time that the clock springs over is due at the first instant after the gap; a repeated one is due once.
    #[must_use]
    pub fn next_after<Tz: TimeZone>(&self, now: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        // Whatever is due later also shows a later time on the wall: a repeated hour counts by its first pass.
        let mut at = now.naive_local();
        loop {
            at = self.crons.iter().filter_map(|cron| next_naive(cron, at)).min()?;
            let due = instant(&now.timezone(), at)?;
            if due > *now {
                return Some(due);
            }
        }
    }

    /// The last instant, `now` included, at which the job was due: what a machine that was off must catch up with.
    #[must_use]
    pub fn last_until<Tz: TimeZone>(&self, now: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        // When the clock has just fallen back, what lies ahead on the wall lies behind on the time line.
        let mut at = now.naive_local() + WIDEST_SHIFT;
        loop {
            at = self.crons.iter().filter_map(|cron| previous_naive(cron, at)).max()?;
            let due = instant(&now.timezone(), at)?;
            if due <= *now {
                return Some(due);
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn expand_macro(text: &str) -> Result<&str, ScheduleError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let known = MACROS.iter().find(|(name, _)| *name == text);
    known
        .map(|(_, fields)| *fields)
        .ok_or_else(|| ScheduleError::Macro { name: text.to_owned(), hint: did_you_mean(text, MACROS.iter().map(|(name, _)| *name)) })
}

/// Naive times are given to `cron` as if they were UTC, which has neither gaps nor repeated hours.
fn next_naive(cron: &cron::Schedule, after: NaiveDateTime) -> Option<NaiveDateTime> {
    cron.after(&after.and_utc()).next().map(|due| due.naive_utc())
}

fn previous_naive(cron: &cron::Schedule, before: NaiveDateTime) -> Option<NaiveDateTime> {
    cron.after(&before.and_utc()).next_back().map(|due| due.naive_utc())
}

/// The instant at which the wall clock shows a time first, or would have shown it.
fn instant<Tz: TimeZone>(zone: &Tz, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at),
        MappedLocalTime::None => end_of_gap(zone, wall),
    }
}

fn end_of_gap<Tz: TimeZone>(zone: &Tz, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
    // Gaps end on a whole minute in every zone of our time; a day (Samoa 2011) is the longest.
    let minutes = 1..=WIDEST_SHIFT.num_minutes();
    minutes.map(|n| wall + Duration::minutes(n)).find_map(|later| zone.from_local_datetime(&later).earliest())
}

#[cfg(test)]
mod tests;
