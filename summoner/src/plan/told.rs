//! What people are told of and when: a failure once, then daily, and that it is over once.
//!
//! Pure: what was told before comes as a [`Memory`], and each question changes it and gives the [`Notice`]s to send.
//! `crate::notify` sends them, keeps the memory in `told.json`, and says here what did not arrive.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize, Serializer};

use crate::name::InstanceId;

/// The newest form of a memory that this Summoner reads and writes; of a [`Notice`] too.
pub const VERSION: u32 = 1;
/// Between two tellings of one problem.
pub const DAY: TimeDelta = TimeDelta::hours(24);
/// A telling that nobody took is tried again after these, then with the next daily one.
const AGAIN: [TimeDelta; 3] = [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(4)];
/// What is only seen must last so long: an application that is being backed up stands still for a moment.
pub const LASTING: TimeDelta = TimeDelta::minutes(10);
/// Clocks are set by less than this without having been wrong.
const LEEWAY: TimeDelta = TimeDelta::hours(1);
/// Problems that are remembered; those beyond it are not told.
const MOST_PROBLEMS: usize = 2000;
/// Longer messages are cut: the whole story is in the log.
const MOST_CHARACTERS: usize = 1000;

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A run of a job failed.
    Job,
    /// Backups that are missing or damaged.
    Backups,
    /// Certificates that could not be had.
    Certificates,
    /// Anything else that `status` names.
    Status,
}

impl About {
    /// Whether backups are not proven to be well while it lasts.
    fn of_backups(self) -> bool {
        matches!(self, Self::Job | Self::Backups)
    }
}

/// What kind of news it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// A job did what it should.
    Success,
    /// Something is wrong.
    Failure,
    /// It is over.
    Recovered,
    /// Somebody tries out whether news arrive.
    Test,
}

impl News {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Recovered => "recovered",
            Self::Test => "test",
        }
    }
}

/// One piece of news, as hooks get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Form of the object.
    pub version: u32,
    /// What kind of news.
    pub event: News,
    /// The first domain of the server.
    pub server: String,
    /// What it is about: `backup ghost-a.fr`, `status`.
    pub subject: String,
    /// Whose; none is the server's.
    pub instance: Option<String>,
    /// What happened.
    pub message: String,
    /// When.
    #[serde(serialize_with = "seconds")]
    pub at: DateTime<Utc>,
    /// Since when it is so; none for what is no problem.
    #[serde(serialize_with = "seconds_or_none")]
    pub since: Option<DateTime<Utc>>,
    /// How often it happened since.
    pub times: u32,
    /// Whether it was told before.
    pub reminder: bool,
    /// All of it in one sentence, under the key that chats read.
    pub text: String,
}

/// Something that was wrong when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is about: `status ghost-a.fr`.
    pub subject: String,
    /// Which kind.
    pub about: About,
    /// Whose.
    pub instance: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// What is remembered of one problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind.
    pub about: About,
    /// Whose.
    pub instance: Option<String>,
    /// What was wrong last.
    pub message: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it was found so last.
    pub last_at: DateTime<Utc>,
    /// How often.
    pub times: u32,
    /// Whether it lasts.
    pub open: bool,
    /// When it was told last.
    #[serde(default)]
    pub told_at: Option<DateTime<Utc>>,
    /// It was told, and its end was not.
    #[serde(default)]
    pub owes_end: bool,
    /// How often telling it was tried in vain.
    #[serde(default)]
    pub vain: u32,
}

/// A way to tell people that does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why, the last time.
    pub message: String,
}

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Form of the file.
    pub version: u32,
    /// By subject.
    #[serde(default)]
    pub problems: BTreeMap<String, Problem>,
    /// Ways to tell people that do not work, by name.
    #[serde(default)]
    pub silent: BTreeMap<String, Silent>,
    /// When the server was looked at last.
    #[serde(default)]
    pub looked_at: Option<DateTime<Utc>>,
}

impl Problem {
    /// Whether it is time to tell it: the first time, a day after the last, or soon after one that nobody took.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let pause = self.pause().unwrap_or(DAY);
        // Told in the future: by a clock that was wrong.
        self.told_at.is_none_or(|told| now - told >= pause || told > now + LEEWAY)
    }

    /// Before the next try; none when the last one arrived, or enough were in vain.
    fn pause(&self) -> Option<TimeDelta> {
        AGAIN.get(usize::try_from(self.vain.checked_sub(1)?).ok()?).copied()
    }

    fn lasts(&self, now: DateTime<Utc>) -> bool {
        matches!(self.about, About::Job | About::Certificates) || now - self.since >= LASTING
    }

    /// The news of it, when it is time; then it is told.
    fn tell(&mut self, subject: &str, now: DateTime<Utc>) -> Option<Notice> {
        if self.open && self.lasts(now) && self.is_due(now) {
            let notice = self.notice(News::Failure, subject, now);
            self.told_at = Some(now);
            self.owes_end = true;
            return Some(notice);
        }
        // An end that nobody took; the news of it is not worth a second day.
        let again = !self.open && self.owes_end && self.pause().is_some() && self.is_due(now);
        again.then(|| self.end(subject, now))
    }

    fn end(&mut self, subject: &str, now: DateTime<Utc>) -> Notice {
        let notice = self.notice(News::Recovered, subject, now);
        self.owes_end = false;
        notice
    }

    fn notice(&self, event: News, subject: &str, now: DateTime<Utc>) -> Notice {
        let reminder = event == News::Failure && self.owes_end;
        let since = self.since.format("%Y-%m-%d %H:%M UTC");
        let text = match (event, reminder) {
            (News::Recovered, _) => format!("{subject}: recovered; it failed since {since}: {}", self.message),
            (_, true) => format!("{subject}: still wrong since {since}: {}", self.message),
            _ => format!("{subject}: {}", self.message),
        };
        Notice {
            version: VERSION,
            event,
            server: String::new(),
            subject: subject.to_owned(),
            instance: self.instance.clone(),
            message: self.message.clone(),
            at: now,
            since: Some(self.since),
            times: self.times,
            reminder,
            text,
        }
    }
}

impl Notice {
    /// News that is no problem.
    #[must_use]
    pub fn plain(event: News, subject: &str, instance: Option<String>, message: &str, now: DateTime<Utc>) -> Self {
        let message = short(message);
        let text = if message.is_empty() { format!("{subject}: {}", event.as_str()) } else { format!("{subject}: {message}") };
        Self {
            version: VERSION,
            event,
            server: String::new(),
            subject: subject.to_owned(),
            instance,
            message,
            at: now,
            since: None,
            times: 0,
            reminder: false,
            text,
        }
    }

    /// Says which server it comes from.
    #[must_use]
    pub fn from_server(mut self, server: &str) -> Self {
        server.clone_into(&mut self.server);
        self.text = format!("{server}: {}", self.text);
        self
    }
}

impl Memory {
    /// Something failed, or is wrong. Gives the news when it is time to tell it.
    pub fn failed(&mut self, seen: &Seen, now: DateTime<Utc>) -> Option<Notice> {
        self.version = VERSION;
        if !self.problems.contains_key(&seen.subject) && self.problems.len() >= MOST_PROBLEMS {
            return None;
        }
        let new = || Problem {
            about: seen.about,
            instance: seen.instance.clone(),
            message: String::new(),
            since: now,
            last_at: now,
            times: 0,
            open: false,
            told_at: None,
            owes_end: false,
            vain: 0,
        };
        let problem = self.problems.entry(seen.subject.clone()).or_insert_with(new);
        if !problem.open && problem.owes_end {
            // An end that nobody heard of was no end to anybody.
            problem.vain = 0;
        } else if !problem.open || problem.since > now {
            problem.since = now;
            problem.times = 0;
        }
        problem.open = true;
        problem.about = seen.about;
        problem.last_at = now;
        problem.times = problem.times.saturating_add(1);
        problem.message = short(&seen.message);
        problem.tell(&seen.subject, now)
    }

    /// It is well. Gives the news when a failure was told.
    pub fn well(&mut self, subject: &str, now: DateTime<Utc>) -> Option<Notice> {
        let problem = self.problems.get_mut(subject).filter(|problem| problem.open)?;
        problem.open = false;
        let owed = problem.owes_end;
        owed.then(|| problem.end(subject, now))
    }

    /// Somebody looked at everything: what was seen is wrong, and what was wrong and was not seen is over.
    pub fn looked(&mut self, seen: &[Seen], now: DateTime<Utc>) -> Vec<Notice> {
        self.version = VERSION;
        self.looked_at = Some(now);
        let mut notices: Vec<Notice> = seen.iter().filter_map(|seen| self.failed(seen, now)).collect();
        let over = |(subject, problem): (&String, &Problem)| {
            let here = problem.about == About::Job || seen.iter().any(|seen| seen.subject == *subject);
            (problem.open && !here).then(|| subject.clone())
        };
        let over: Vec<String> = self.problems.iter().filter_map(over).collect();
        notices.extend(over.iter().filter_map(|subject| self.well(subject, now)));
        notices
    }

    /// What lasts and was told a day ago, and what nobody took; and forgets what has no meaning any more. `instances` are
    /// those that there are, `jobs` the ids of those that are scheduled.
    pub fn remind(&mut self, instances: &[InstanceId], jobs: &[&str], now: DateTime<Utc>) -> Vec<Notice> {
        let known = |id: &String| instances.iter().any(|known| known.to_string() == *id);
        self.problems.retain(|subject, problem| {
            let there = problem.instance.as_ref().is_none_or(known);
            // A job that nobody runs any more ends no problem.
            let runs = problem.about != About::Job || jobs.contains(&subject.as_str()) || now - problem.last_at < DAY;
            let owes = problem.owes_end && problem.pause().is_some();
            let fresh = problem.told_at.is_some_and(|told| now - told < DAY);
            there && runs && (problem.open || owes || fresh)
        });
        self.problems.iter_mut().filter_map(|(subject, problem)| problem.tell(subject, now)).collect()
    }

    /// Nobody took these news: they are tried again, a few times.
    pub fn in_vain(&mut self, notice: &Notice) {
        let Some(problem) = self.problems.get_mut(&notice.subject) else { return };
        problem.owes_end = match notice.event {
            News::Recovered => true,
            // Whoever heard of it before is still owed its end.
            News::Failure => notice.reminder,
            News::Success | News::Test => return,
        };
        problem.vain = problem.vain.saturating_add(1);
        problem.told_at = Some(notice.at);
    }

    /// Somebody took them.
    pub fn arrived(&mut self, notice: &Notice) {
        let of_problem = matches!(notice.event, News::Failure | News::Recovered);
        if let Some(problem) = self.problems.get_mut(&notice.subject).filter(|_| of_problem) {
            problem.vain = 0;
        }
    }

    /// Whether a way to tell people works, and why it does not.
    pub fn answered(&mut self, channel: &str, failure: Option<&str>, now: DateTime<Utc>) {
        self.version = VERSION;
        match failure {
            None => drop(self.silent.remove(channel)),
            Some(why) => {
                let silent = self.silent.entry(channel.to_owned()).or_insert_with(|| Silent { since: now, message: String::new() });
                silent.message = short(why);
            }
        }
    }

    /// Why backups are not all well, in the words of the first problem; of these instances alone, or of all.
    #[must_use]
    pub fn blocks(&self, of: Option<&[InstanceId]>) -> Option<String> {
        let concerns = |problem: &Problem| {
            of.is_none_or(|of| problem.instance.as_ref().is_some_and(|id| of.iter().any(|known| known.to_string() == *id)))
        };
        let mut open = self.problems.iter().filter(|(_, problem)| problem.open && problem.about.of_backups() && concerns(problem));
        let (subject, problem) = open.next()?;
        let since = problem.since.format("%Y-%m-%d %H:%M UTC");
        Some(format!("{subject} has failed since {since}: {}", problem.message))
    }
}

/// The subject of a look that could not be had.
pub const LOOK: &str = "status";

/// As every other time that programs read.
fn seconds<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn seconds_or_none<S: Serializer>(at: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        None => to.serialize_none(),
        Some(at) => seconds(at, to),
    }
}

/// One line that is not endless.
fn short(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
