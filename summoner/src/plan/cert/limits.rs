//! The limits that authorities publish, kept here so that they never have to say so.
//!
//! Let's Encrypt: <https://letsencrypt.org/docs/rate-limits/> (2026). Renewals that follow its own suggestion count for
//! none but failed authorisations. The registered domain is taken to be the last two labels: without the list of public
//! suffixes that is too careful for `co.uk`, and never too bold.

use chrono::{DateTime, TimeDelta, Utc};

use super::memory::{Log, set};
use super::minute;

/// What counts, how many in which time.
struct Limit {
    most: usize,
    within: TimeDelta,
}

const FAILURES: Limit = Limit { most: 5, within: TimeDelta::hours(1) };
const ORDERS: Limit = Limit { most: 300, within: TimeDelta::hours(3) };
const DUPLICATES: Limit = Limit { most: 5, within: TimeDelta::days(7) };
const DOMAIN: Limit = Limit { most: 50, within: TimeDelta::days(7) };

/// When an authority may be asked for these names without breaking a limit, and which one holds until then; None is now.
#[must_use]
pub fn free_at(directory: &str, log: &Log, names: &[String], renewal: bool, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
    if !directory.contains("//acme-v02.api.letsencrypt.org/") {
        return None;
    }
    let mut found: Vec<(DateTime<Utc>, String)> = Vec::new();
    for name in names {
        let times = log.failed.get(name).into_iter().flatten().copied();
        found.extend(full(&FAILURES, times, now).map(|at| (at, format!("{name} failed {} times within an hour", FAILURES.most))));
    }
    if !renewal {
        found.extend(full(&ORDERS, log.orders.iter().copied(), now).map(|at| (at, format!("{} orders within 3 hours", ORDERS.most))));
        let same = set(names);
        let times = log.signed.iter().filter(|(_, names)| *names == same).map(|(at, _)| *at);
        found.extend(
            full(&DUPLICATES, times, now).map(|at| (at, format!("{} certificates for the same names within a week", DUPLICATES.most))),
        );
        let mut domains: Vec<&str> = names.iter().map(|name| registered(name)).collect();
        domains.sort_unstable();
        domains.dedup();
        for domain in domains {
            let times = log.signed.iter().filter(|(_, names)| names.split(',').any(|name| registered(name) == domain)).map(|(at, _)| *at);
            found.extend(full(&DOMAIN, times, now).map(|at| (at, format!("{} certificates of {domain} within a week", DOMAIN.most))));
        }
    }
    let (at, why) = found.into_iter().max_by_key(|(at, _)| *at)?;
    let why = format!("the authority's limit is reached, {why}: free again at {}", minute(at));
    Some((at, why))
}

/// When the next one fits; None when it fits now.
fn full(limit: &Limit, times: impl Iterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut within: Vec<DateTime<Utc>> = times.filter(|at| *at > now - limit.within).collect();
    within.sort_unstable();
    let oldest = within.len().checked_sub(limit.most)?;
    Some(*within.get(oldest)? + limit.within)
}

fn registered(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.');
    dots.next();
    dots.next().map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

    #[test]
    fn each_limit_holds_until_the_oldest_is_gone() {
        let at = |minutes: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let names = vec!["www.a.fr".to_owned()];
        let mut log = Log::default();
        log.failed.insert(names[0].clone(), (0..5).map(at).collect());
        let (free, why) = free_at(DIRECTORY, &log, &names, true, at(10)).unwrap();
        assert_eq!(free, at(60));
        assert_eq!(why, "the authority's limit is reached, www.a.fr failed 5 times within an hour: free again at 1970-01-01 01:00 UTC");
        assert_eq!(free_at(DIRECTORY, &log, &names, true, at(61)), None);
        assert_eq!(free_at("https://acme.zerossl.com/v2/DV90", &log, &names, false, at(10)), None);
        log.signed = (0..5).map(|minute| (at(minute), "www.a.fr".to_owned())).collect();
        assert_eq!(free_at(DIRECTORY, &log, &names, false, at(100)).unwrap().0, at(7 * 24 * 60));
        assert_eq!(free_at(DIRECTORY, &log, &names, true, at(100)), None);
        log.signed = (0..50).map(|minute| (at(minute), format!("h{minute}.a.fr"))).collect();
        assert!(free_at(DIRECTORY, &log, &names, false, at(100)).unwrap().1.contains("50 certificates of a.fr"));
        log.signed.clear();
        log.orders = (0..300).map(at).collect();
        assert!(free_at(DIRECTORY, &log, &names, false, at(170)).unwrap().1.contains("300 orders") || log.orders.len() < 300);
    }

    #[test]
    fn the_registered_domain_is_the_end_of_a_name() {
        assert_eq!([registered("x.blog.a.fr"), registered("a.fr"), registered("*.a.fr")], ["a.fr"; 3]);
    }
}
