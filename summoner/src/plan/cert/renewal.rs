//! When a certificate is renewed: at a moment in the window that its authority suggests, else by the part of its life
//! that is left. Never by chance: the same certificate always has the same moment.

use chrono::{DateTime, TimeDelta, Utc};

use super::memory::Suggested;
use super::{Observed, minute, part, spread};

/// Certificates of less than this are renewed at half of their life (Let's Encrypt's guide for six days).
const SHORT: TimeDelta = TimeDelta::days(10);
/// Nothing, neither a window nor a wish, leaves less of its life than this part.
const LAST_PART: f64 = 0.125;
/// Without a window, renewals spread over this part of the life.
const SPREAD: f64 = 0.02;

/// The moment, and why it is that one.
#[must_use]
pub fn renewal(observed: &Observed, suggested: Option<&Suggested>, after_days: Option<u32>) -> (DateTime<Utc>, String) {
    let life = observed.not_after - observed.not_before;
    let last = observed.not_after - part(life, LAST_PART);
    let salt = format!("{}:{}", observed.host, observed.fingerprint);
    if let Some(suggested) = suggested.filter(|suggested| suggested.fingerprint == observed.fingerprint) {
        let window = (suggested.end - suggested.start).max(TimeDelta::zero());
        let at = suggested.start + part(window, spread(&salt));
        if at <= last {
            let why = suggested.explanation.as_ref().map_or_else(String::new, |url| format!(" ({url})"));
            return (at, format!("the authority suggests {} to {}{why}", minute(suggested.start), minute(suggested.end)));
        }
        return (last, "an eighth of its life is left then; the authority suggests a later time".to_owned());
    }
    if let Some(days) = after_days {
        let at = observed.not_before + TimeDelta::days(i64::from(days));
        return if at <= last {
            (at, format!("{days} days after it was issued, as asked for"))
        } else {
            (last, format!("an eighth of its life is left then; {days} days, as asked for, would be too late"))
        };
    }
    let early = part(life, SPREAD * spread(&salt));
    if life < SHORT {
        (observed.not_after - life / 2 - early, "half of its short life is over then".to_owned())
    } else {
        (observed.not_after - life / super::LEFT_PART - early, "a third of its life is left then".to_owned())
    }
}
