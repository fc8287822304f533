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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(life: i64, suggested: Option<(i64, i64)>, after_days: Option<u32>) -> String {
        let at = |days: i64| DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + days);
        let observed = Observed {
            host: "a.fr".parse().unwrap(),
            names: vec!["a.fr".to_owned()],
            issuer: "R1".to_owned(),
            issuer_key: "01".to_owned(),
            not_before: at(0),
            not_after: at(life),
            fingerprint: "ab".to_owned(),
        };
        let window =
            |(start, end): (i64, i64)| Suggested { fingerprint: "ab".to_owned(), start: at(start), end: at(end), explanation: None };
        let (moment, reason) = renewal(&observed, suggested.map(window).as_ref(), after_days);
        format!("{life}: {} h: {reason}", (moment - at(0)).num_hours())
    }

    #[test]
    fn the_authority_goes_before_a_wish_and_neither_is_too_late() {
        let lines = [
            told(90, None, None),
            told(6, None, None),
            told(90, None, Some(30)),
            told(90, None, Some(89)),
            told(90, Some((50, 50)), Some(30)),
            told(90, Some((89, 90)), None),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        90: 1398 h: a third of its life is left then
        6: 69 h: half of its short life is over then
        90: 720 h: 30 days after it was issued, as asked for
        90: 1890 h: an eighth of its life is left then; 89 days, as asked for, would be too late
        90: 1200 h: the authority suggests 2024-11-23 00:00 UTC to 2024-11-23 00:00 UTC
        90: 1890 h: an eighth of its life is left then; the authority suggests a later time
        ");
    }
}
