//! The slots of `keep:`: the newest ones, one an hour, day, week, month and year, and all that are young.
//!
//! Pure. Offered good snapshots from the newest to the oldest, says which slots each fills.

use std::time::Duration;

use chrono::{DateTime, Datelike, Offset, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::config::Keep;

/// Slots that are still free.
pub(super) struct Slots {
    zone: Tz,
    last: (u32, u32),
    periods: [Period; 5],
    /// Everything from then on stays; with its words.
    within: Option<(DateTime<Utc>, String)>,
}

struct Period {
    word: &'static str,
    free: u32,
    /// What filled the last slot.
    filled: Option<String>,
    name: fn(&DateTime<Tz>) -> String,
}

impl Slots {
    pub(super) fn new(keep: &Keep, zone: Tz, now: DateTime<Utc>) -> Self {
        let period = |word, free, name| Period { word, free, filled: None, name };
        Self {
            zone,
            last: (keep.last, keep.last),
            periods: [
                period("hourly", keep.hourly, hour),
                period("daily", keep.daily, |at| at.format("%Y-%m-%d").to_string()),
                period("weekly", keep.weekly, |at| at.format("%G-W%V").to_string()),
                period("monthly", keep.monthly, |at| at.format("%Y-%m").to_string()),
                period("yearly", keep.yearly, |at| at.year().to_string()),
            ],
            within: keep.within.and_then(|within| Some((since(now, within)?, words(within)))),
        }
    }

    /// The slots that the next older one fills; none is a reason to remove it.
    pub(super) fn take(&mut self, at: DateTime<Utc>) -> Vec<String> {
        let mut reasons = Vec::new();
        let (free, all) = self.last;
        if free > 0 {
            self.last.0 -= 1;
            reasons.push(format!("last {all}"));
        }
        let local = at.with_timezone(&self.zone);
        for period in &mut self.periods {
            let name = (period.name)(&local);
            if period.free > 0 && period.filled.as_ref() != Some(&name) {
                period.free -= 1;
                reasons.push(format!("{} {name}", period.word));
                period.filled = Some(name);
            }
        }
        if let Some((_, words)) = self.within.as_ref().filter(|(since, _)| *since <= at) {
            reasons.push(format!("within {words}"));
        }
        reasons
    }
}

/// A repeated hour is two: the second has another offset.
fn hour(at: &DateTime<Tz>) -> String {
    let minutes = at.offset().fix().local_minus_utc() / 60;
    format!("{}:00{}{:02}:{:02}", at.format("%Y-%m-%d %H"), if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
}

fn since(now: DateTime<Utc>, within: Duration) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(TimeDelta::from_std(within).ok()?)
}

fn words(within: Duration) -> String {
    let hours = within.as_secs() / 3600;
    if hours > 0 && hours.is_multiple_of(24) { format!("{} days", hours / 24) } else { format!("{hours} hours") }
}
