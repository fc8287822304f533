//! `backup:` at the top of config.yml and in an app: when, and how many are kept.

use super::schedule;
use super::values::short;
use super::written::At;
use super::{Backup, Keep};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// The word for "no such backup".
const NEVER: &str = "never";

/// What stands in the file; None keeps what is one level up.
#[derive(Debug, Default, Clone)]
pub(super) struct WrittenBackup {
    /// Some(None) is never.
    dump: Option<Option<String>>,
    cold: Option<Option<String>>,
    keep: Option<At<WrittenKeep>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct WrittenKeep {
    last: Option<u32>,
    daily: Option<u32>,
    weekly: Option<u32>,
    monthly: Option<u32>,
}

impl Default for Backup {
    /// A dump every night, the files every Sunday night, and enough of each to notice a loss half a year later.
    fn default() -> Self {
        let keep = Keep { last: 3, daily: 7, weekly: 4, monthly: 6 };
        Self { dump: Some("0 2 * * *".into()), cold: Some("0 3 * * 0".into()), keep }
    }
}

impl WrittenBackup {
    pub(super) fn read(node: Option<&Node>, path: &str, faults: &mut Faults) -> Self {
        let Some(mut fields) = node.and_then(|node| Fields::open(node, path, faults)) else { return Self::default() };
        let dump = times(&mut fields, "dump", faults);
        let cold = times(&mut fields, "cold", faults);
        let name = fields.name("keep");
        let keep = fields.take("keep").and_then(|node| {
            let mut keep = Fields::open(node, name, faults)?;
            let value = WrittenKeep {
                last: keep.integer("last", faults),
                daily: keep.integer("daily", faults),
                weekly: keep.integer("weekly", faults),
                monthly: keep.integer("monthly", faults),
            };
            keep.finish(faults);
            Some(At::new(value, &node.span))
        });
        fields.finish(faults);
        Self { dump, cold, keep }
    }

    /// Puts what is written here over what applies one level up.
    pub(super) fn over(&self, base: &Backup, faults: &mut Faults) -> Backup {
        let keep = self.keep.as_ref().map_or(base.keep, |written| {
            let WrittenKeep { last, daily, weekly, monthly } = written.value;
            let keep = Keep {
                last: last.unwrap_or(base.keep.last),
                daily: daily.unwrap_or(base.keep.daily),
                weekly: weekly.unwrap_or(base.keep.weekly),
                monthly: monthly.unwrap_or(base.keep.monthly),
            };
            if keep.last == 0 && keep.daily == 0 && keep.weekly == 0 && keep.monthly == 0 {
                faults.error_with_help(
                    &written.span,
                    "this keeps no backup at all",
                    "at least one of last, daily, weekly, monthly is 1 or more",
                );
            }
            keep
        });
        Backup {
            dump: self.dump.clone().unwrap_or_else(|| base.dump.clone()),
            cold: self.cold.clone().unwrap_or_else(|| base.cold.clone()),
            keep,
        }
    }
}

fn times(fields: &mut Fields<'_>, key: &'static str, faults: &mut Faults) -> Option<Option<String>> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let text = node.text(&what, faults)?;
    if text == NEVER {
        return Some(None);
    }
    match schedule::parse(&text) {
        Ok(schedule) => Some(Some(schedule.to_string())),
        Err(error) => {
            let help = "minute hour day month weekday: \"0 2 * * *\" is every night at two, \"0 3 * * 0\" Sundays at three; also @daily, @weekly, never";
            faults.error_with_help(&node.span, format!("{what} is not a schedule: {}", short_sentence(&error.to_string())), help);
            None
        }
    }
}

/// The parts that a schedule's sentence quotes are cut already; this bounds what remains.
fn short_sentence(text: &str) -> String {
    if text.len() <= 200 { text.to_owned() } else { short(text) }
}
