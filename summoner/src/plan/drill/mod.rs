//! Whether a drill passed and what is said of it: what was restored against what was dumped, the proof that is kept beside the
//! manifest, its page in plain words, and whether the machine is calm enough to begin. Pure.
//!
//! `drill` asks and acts; `status`, `snapshots` and the repository show and keep.

mod compare;
mod page;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::snapshot::SnapshotId;

pub use compare::{compare, kept};
pub use page::page;

/// The newest form of a proof that this Summoner reads and writes.
pub const VERSION: u32 = 1;
/// A scheduled drill is put off this often, by the schedule's retries; the next one has failed.
pub const PUT_OFF: u32 = 3;
/// Of the memory that an application needs, so much must be free: it shares it with nobody while it is drilled.
const MEMORY_PERCENT: u64 = 110;
/// A machine whose processors are busier than this has other things to do.
const LOAD_PERCENT: u64 = 75;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Memory and load of the machine.
    Calm,
    /// Free space beside the data.
    Room,
    /// The images that ran when the snapshot was taken.
    Images,
    /// The throw-away place itself.
    Place,
    /// Files, as they were restored.
    Files,
    /// A database, as it was restored.
    Database,
    /// Containers, and their health.
    Start,
    /// The application's answer.
    Probe,
    /// Everything was removed again.
    Removal,
}

impl Check {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Room => "room",
            Self::Images => "images",
            Self::Place => "place",
            Self::Files => "files",
            Self::Database => "database",
            Self::Start => "start",
            Self::Probe => "probe",
            Self::Removal => "removal",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// Whether it is as it should be.
    pub passed: bool,
    /// In words.
    pub said: String,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn good(check: Check, said: impl Into<String>) -> Self {
        Self { check, passed: true, said: said.into() }
    }

    /// Not as it should be.
    #[must_use]
    pub fn bad(check: Check, said: impl Into<String>) -> Self {
        Self { check, passed: false, said: said.into() }
    }
}

/// How long a part of it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// What.
    pub what: String,
    /// How long.
    pub ms: u64,
}

/// The proof: `drilled.json` beside the manifest, replaced whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// Form of the file.
    pub version: u32,
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// When it began.
    pub at: DateTime<Utc>,
    /// From its begin until the application answered and everything was compared.
    pub took_ms: u64,
    /// Whether everything was as it should be; what could not be looked at was not.
    pub passed: bool,
    /// Version of the Summoner that did it.
    pub summoner: String,
    /// Its parts, in order.
    #[serde(default)]
    pub steps: Vec<Timed>,
    /// What was found, in order.
    pub findings: Vec<Finding>,
}

impl Drilled {
    /// The first thing that was not as it should be.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.findings.iter().find(|finding| !finding.passed).map(|finding| finding.said.as_str())
    }

    /// What is remembered of it once its snapshot is forgotten.
    #[must_use]
    pub fn short(&self) -> Short {
        let why = self.why().map(|why| why.lines().next().unwrap_or_default().to_owned());
        Short { snapshot: self.snapshot.clone(), at: self.at, took_ms: self.took_ms, passed: self.passed, why }
    }
}

/// A drill in a few facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// Of which snapshot.
    pub snapshot: SnapshotId,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took_ms: u64,
    /// Whether everything was as it should be.
    pub passed: bool,
    /// What was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What is remembered of an instance's drills: its snapshots, and the proofs beside them, are forgotten in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Form of the file.
    pub version: u32,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Short>,
    /// The last one in which everything was as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Short>,
    /// How often one was put off since, because the machine was not calm.
    #[serde(default)]
    pub put_off: u32,
}

impl Remembered {
    /// Takes in what a drill gave.
    pub fn learn(&mut self, drilled: &Drilled) {
        self.version = VERSION;
        self.put_off = 0;
        let short = drilled.short();
        if short.passed {
            self.passed = Some(short.clone());
        }
        self.last = Some(short);
    }

    /// Takes in a proof that lies in a repository: it may be newer than what this host remembers, and the other way round.
    pub fn meet(&mut self, drilled: &Drilled) {
        let newer = |known: &Option<Short>| known.as_ref().is_none_or(|known| known.at < drilled.at);
        if drilled.passed && newer(&self.passed) {
            self.passed = Some(drilled.short());
        }
        if newer(&self.last) {
            self.last = Some(drilled.short());
        }
    }
}

/// What a machine says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// What runs or waits to run, a hundred for each: the average of the last minute.
    pub load_percent: u64,
    /// Processors.
    pub processors: u64,
    /// Memory that may be had without swapping anything out.
    pub free_bytes: u64,
}

impl Machine {
    /// Whether there is memory for a second copy of an application.
    ///
    /// # Errors
    /// There is not; the sentence says how much there is.
    pub fn has_memory(&self, needs_bytes: u64) -> Result<(), String> {
        let needed = needs_bytes.saturating_mul(MEMORY_PERCENT) / 100;
        if self.free_bytes >= needed {
            return Ok(());
        }
        Err(format!("{} MB of memory are free, and a second copy of the application needs {} MB", self.free_bytes >> 20, needed >> 20))
    }

    /// Whether a drill on schedule may begin.
    ///
    /// # Errors
    /// It may not; the sentence says why.
    pub fn is_calm(&self, needs_bytes: u64) -> Result<(), String> {
        self.has_memory(needs_bytes)?;
        if self.load_percent <= self.processors.saturating_mul(LOAD_PERCENT) {
            return Ok(());
        }
        let load = format!("{}.{:02}", self.load_percent / 100, self.load_percent % 100);
        Err(format!("the machine is busy: its load is {load} on {} processors", self.processors))
    }
}

/// "3 days ago, in 41 s".
#[must_use]
pub fn since(at: DateTime<Utc>, took_ms: u64, now: DateTime<Utc>) -> String {
    format!("{}, in {}", ago(now - at), lasted(took_ms))
}

fn ago(age: TimeDelta) -> String {
    let of = |count: i64, one: &str, many: &str| if count == 1 { format!("1 {one} ago") } else { format!("{count} {many} ago") };
    match age.num_minutes() {
        ..2 => "just now".to_owned(),
        minutes @ 2..120 => of(minutes, "minute", "minutes"),
        minutes @ 120..2880 => of(minutes / 60, "hour", "hours"),
        minutes => of(minutes / 1440, "day", "days"),
    }
}

/// "41 s", "12 min".
#[must_use]
pub fn lasted(ms: u64) -> String {
    match ms.div_ceil(1000) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_calm_when_it_has_memory_and_little_to_do() {
        let machine = |load_percent, free_bytes| Machine { load_percent, processors: 2, free_bytes };
        assert_eq!(machine(150, 1100 << 20).is_calm(1000 << 20), Ok(()));
        assert_eq!(machine(151, 1100 << 20).is_calm(1000 << 20).unwrap_err(), "the machine is busy: its load is 1.51 on 2 processors");
        assert_eq!(
            machine(0, 1099 << 20).is_calm(1000 << 20).unwrap_err(),
            "1099 MB of memory are free, and a second copy of the application needs 1100 MB"
        );
        assert_eq!(machine(9000, 1 << 30).has_memory(1 << 20), Ok(()));
    }

    #[test]
    fn the_last_and_the_last_good_one_are_remembered() {
        let drilled = |at: &str, passed| Drilled {
            version: VERSION,
            snapshot: "ghost-a.fr/20261121T020000Z".parse().unwrap(),
            at: at.parse().unwrap(),
            took_ms: 41_000,
            passed,
            summoner: "0.1.0".into(),
            steps: vec![],
            findings: vec![Finding { check: Check::Probe, passed, said: "it answered 500\nand more".into() }],
        };
        let mut known = Remembered { put_off: 2, ..Remembered::default() };
        known.learn(&drilled("2026-11-22T06:00:00Z", true));
        known.learn(&drilled("2026-11-29T06:00:00Z", false));
        assert_eq!(known.put_off, 0);
        assert_eq!(known.last.as_ref().unwrap().why.as_deref(), Some("it answered 500"));
        assert_eq!(known.passed.as_ref().unwrap().at.to_rfc3339(), "2026-11-22T06:00:00+00:00");
        let before = known.clone();
        known.meet(&drilled("2026-11-15T06:00:00Z", true));
        assert_eq!(known, before);
        known.meet(&drilled("2026-12-06T06:00:00Z", true));
        assert!(known.last.unwrap().passed && known.passed.unwrap().at.to_rfc3339().starts_with("2026-12-06"));
    }

    #[test]
    fn ages_are_read_as_a_sentence() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let said = |ago: TimeDelta, ms| since(now - ago, ms, now);
        assert_eq!(said(TimeDelta::days(3), 40_200), "3 days ago, in 41 s");
        assert_eq!(said(TimeDelta::hours(47), 119_999), "47 hours ago, in 2 min");
        assert_eq!(said(TimeDelta::minutes(-5), 0), "just now, in 0 s");
    }
}
