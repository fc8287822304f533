//! `backup:` at the top of config.yml and in an app: when, how, and how many are kept.

use std::time::Duration;

use super::outside::Address;
use super::quiet::Quiet;
use super::schedule::{NEVER, Times};
use super::today::checked;
use super::values::{self, short};
use super::written::At;
use super::{Backup, Compression, Keep};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// The word that takes away a bound set one level up.
const NONE: &str = "none";

/// What stands in the file; None keeps what is one level up.
#[derive(Debug, Default, Clone)]
pub(super) struct WrittenBackup {
    /// Some(None) is never.
    dump: Option<Option<Times>>,
    cold: Option<Option<Times>>,
    verify: Option<Option<Times>>,
    drill: Option<Option<Times>>,
    sync: Option<Option<Times>>,
    forget: Option<Option<Times>>,
    keep: Option<At<WrittenKeep>>,
    compression: Option<Compression>,
    downtime_budget: Option<Option<Duration>>,
    jitter: Option<Duration>,
    quiet: Option<Option<Quiet>>,
    ping: Option<Address>,
}

#[derive(Debug, Default, Clone, Copy)]
struct WrittenKeep {
    last: Option<u32>,
    hourly: Option<u32>,
    daily: Option<u32>,
    weekly: Option<u32>,
    monthly: Option<u32>,
    yearly: Option<u32>,
    within: Option<Option<Duration>>,
    at_most: Option<Option<u32>>,
}

impl Default for Backup {
    /// A dump and a backup every night (what did not change is not stored again), read back on Sundays and then restored in a
    /// throw-away place, when the machine has the least to do; brought to other places and thinned out every morning; and enough of each to notice a loss half a year later.
    fn default() -> Self {
        let times = |text| Times::parse(text).ok();
        Self {
            dump: times("0 2 * * *"),
            cold: times("0 3 * * *"),
            verify: times("0 5 * * 0"),
            drill: times("0 6 * * 0"),
            sync: times("0 6 * * *"),
            forget: times("30 5 * * *"),
            keep: Keep::default(),
            compression: Compression::Zstd,
            downtime_budget: None,
            jitter: Duration::ZERO,
            quiet: None,
            ping: None,
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { last: 3, hourly: 0, daily: 7, weekly: 4, monthly: 6, yearly: 0, within: None, at_most: None }
    }
}

impl WrittenBackup {
    pub(super) fn read(node: Option<&Node>, path: &str, faults: &mut Faults) -> Self {
        let Some(mut fields) = node.and_then(|node| Fields::open(node, path, faults)) else { return Self::default() };
        let written = Self {
            dump: times(&mut fields, "dump", faults),
            cold: times(&mut fields, "cold", faults),
            verify: times(&mut fields, "verify", faults),
            drill: times(&mut fields, "drill", faults),
            sync: times(&mut fields, "sync", faults),
            forget: times(&mut fields, "forget", faults),
            keep: keep(&mut fields, faults),
            compression: value(&mut fields, "compression", compression, faults),
            downtime_budget: value(&mut fields, "downtime_budget", |text| unless(NONE, text, budget), faults),
            jitter: value(&mut fields, "jitter", jitter, faults),
            quiet: value(&mut fields, "quiet", |text| unless(NEVER, text, Quiet::parse), faults),
            ping: ping(&mut fields, path, faults),
        };
        fields.finish(faults);
        written
    }

    /// Puts what is written here over what applies one level up.
    pub(super) fn over(&self, base: &Backup, faults: &mut Faults) -> Backup {
        Backup {
            dump: self.dump.clone().unwrap_or_else(|| base.dump.clone()),
            cold: self.cold.clone().unwrap_or_else(|| base.cold.clone()),
            verify: self.verify.clone().unwrap_or_else(|| base.verify.clone()),
            drill: self.drill.clone().unwrap_or_else(|| base.drill.clone()),
            sync: self.sync.clone().unwrap_or_else(|| base.sync.clone()),
            forget: self.forget.clone().unwrap_or_else(|| base.forget.clone()),
            keep: self.keep.as_ref().map_or(base.keep, |written| written.over(base.keep, faults)),
            compression: self.compression.unwrap_or(base.compression),
            downtime_budget: self.downtime_budget.unwrap_or(base.downtime_budget),
            jitter: self.jitter.unwrap_or(base.jitter),
            quiet: self.quiet.unwrap_or(base.quiet),
            ping: self.ping.clone(),
        }
    }
}

impl At<WrittenKeep> {
    fn over(&self, base: Keep, faults: &mut Faults) -> Keep {
        let WrittenKeep { last, hourly, daily, weekly, monthly, yearly, within, at_most } = self.value;
        let keep = Keep {
            last: last.unwrap_or(base.last),
            hourly: hourly.unwrap_or(base.hourly),
            daily: daily.unwrap_or(base.daily),
            weekly: weekly.unwrap_or(base.weekly),
            monthly: monthly.unwrap_or(base.monthly),
            yearly: yearly.unwrap_or(base.yearly),
            within: within.unwrap_or(base.within),
            at_most: at_most.unwrap_or(base.at_most),
        };
        let counts = [keep.last, keep.hourly, keep.daily, keep.weekly, keep.monthly, keep.yearly];
        if counts.iter().all(|count| *count == 0) && keep.within.is_none() {
            let help = "at least one of last, hourly, daily, weekly, monthly, yearly is 1 or more, or `within` is set";
            faults.error_with_help(&self.span, "this keeps no backup at all", help);
        }
        if keep.at_most == Some(0) {
            faults.error_with_help(&self.span, "at_most: 0 keeps no backup at all", "1 or more; the newest good one always stays");
        }
        keep
    }
}

/// `keep` of a place of its own, over what is kept elsewhere; None when it says nothing.
pub(super) fn keep_over(fields: &mut Fields<'_>, base: Keep, faults: &mut Faults) -> Option<Keep> {
    keep(fields, faults).map(|written| written.over(base, faults))
}

fn keep(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<At<WrittenKeep>> {
    let name = fields.name("keep");
    let node = fields.take("keep")?;
    let mut keep = Fields::open(node, name, faults)?;
    let written = WrittenKeep {
        last: keep.integer("last", faults),
        hourly: keep.integer("hourly", faults),
        daily: keep.integer("daily", faults),
        weekly: keep.integer("weekly", faults),
        monthly: keep.integer("monthly", faults),
        yearly: keep.integer("yearly", faults),
        within: value(&mut keep, "within", |text| unless(NONE, text, values::duration), faults),
        at_most: value(&mut keep, "at_most", |text| unless(NONE, text, count), faults),
    };
    keep.finish(faults);
    Some(At::new(written, &node.span))
}

fn value<T>(fields: &mut Fields<'_>, key: &'static str, check: impl Fn(&str) -> Result<T, String>, faults: &mut Faults) -> Option<T> {
    let what = fields.name(key);
    fields.take(key).and_then(|node| checked(node, &what, check, faults))
}

/// None for the word, else the value.
fn unless<T>(word: &str, text: &str, check: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text == word { Ok(None) } else { check(text).map(Some) }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{}` is no number: write 1 or more, or none", short(text)))
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "zstd" => Ok(Compression::Zstd),
        "gzip" => Ok(Compression::Gzip),
        other => Err(format!("`{}` is no compression: zstd or gzip", short(other))),
    }
}

fn budget(text: &str) -> Result<Duration, String> {
    let budget = values::duration(text)?;
    if budget.is_zero() { Err("no application stops and starts in no time: write 30s, or none".to_owned()) } else { Ok(budget) }
}

fn jitter(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(6 * 3600);
    let jitter = values::duration(text)?;
    if jitter > MOST { Err(format!("{} is more than 6h, and the night would be over", short(text))) } else { Ok(jitter) }
}

/// Of one app; that of all of them stands at the top, where it is green only while all are well.
fn ping(fields: &mut Fields<'_>, path: &str, faults: &mut Faults) -> Option<Address> {
    let what = fields.name("ping");
    let node = fields.take("ping")?;
    if path == "backup" {
        faults.error_with_help(&node.span, "backup.ping would be that of every app", "write `ping:` without anything in front of it");
        return None;
    }
    checked(node, &what, Address::parse, faults)
}

fn times(fields: &mut Fields<'_>, key: &'static str, faults: &mut Faults) -> Option<Option<Times>> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let text = node.text(&what, faults)?;
    if text.trim() == NEVER {
        return Some(None);
    }
    match Times::parse(&text) {
        Ok(times) => Some(Some(times)),
        Err(error) => {
            let help = "nightly, hourly, daily, weekly, monthly, every 6h, at start, never; or as in cron, minute hour day month weekday: \"0 2 * * *\" is every night at two";
            faults.error_with_help(&node.span, format!("{what} is not a schedule: {}", short_sentence(&error.to_string())), help);
            None
        }
    }
}

/// The parts that a schedule's sentence quotes are cut already; this bounds what remains.
fn short_sentence(text: &str) -> String {
    if text.len() <= 200 { text.to_owned() } else { short(text) }
}
