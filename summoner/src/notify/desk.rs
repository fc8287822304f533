//! Where news are handed in: asks `plan::told` what to tell, sends it, and remembers what came of it.
//!
//! The memory is locked while it is changed, never while something is sent. What cannot be remembered is told all the
//! same: rather twice than never. Gives back notes for people; no failure here is the job's.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use super::channels;
use super::ping::{Form, Ping};
use crate::config::outside::Hooks;
use crate::config::{Config, Instance};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::name::InstanceId;
use crate::plan::schedule::Job;
use crate::plan::told::{About, LOOK, Memory, News, Notice, Seen};
use crate::state::told;

/// How long another process may hold the memory.
const LOCK: Duration = Duration::from_secs(10);
/// News that are sent at once.
const AT_ONCE: usize = 4;
/// Between two looks at everything.
pub const LOOK_PERIOD: TimeDelta = TimeDelta::minutes(15);

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The job's id: `backup ghost-a.fr`.
    pub id: String,
    /// What it does.
    pub job: Job,
    /// For whom.
    pub instance: Option<InstanceId>,
    /// What it said, or why it failed. Well is only what was proven: the run says so.
    pub result: Result<String, String>,
}

/// What a way of telling people answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub channel: String,
    /// What it said, or why it failed.
    pub result: Result<String, String>,
}

/// News and calls that are to be sent.
#[derive(Default)]
struct Mail {
    notices: Vec<Notice>,
    /// Which ping, how, and the sentence.
    calls: Vec<(usize, Form, String)>,
}

/// Where news are handed in.
pub struct Desk {
    config: Config,
    pings: Vec<Ping>,
    jobs: Vec<String>,
}

impl Desk {
    /// Whether config.yml names anybody to tell.
    #[must_use]
    pub fn is_wanted(config: &Config) -> bool {
        let outside = &config.outside;
        outside.ping.is_some() || outside.hooks != Hooks::default() || all(config).any(|instance| instance.backup.ping.is_some())
    }

    /// None when config.yml names nobody to tell. `jobs` are the ids of those that are scheduled.
    #[must_use]
    pub fn of(config: &Config, jobs: Vec<String>) -> Option<Self> {
        Self::is_wanted(config).then(|| Self { config: config.clone(), pings: pings(config), jobs })
    }

    fn layout(&self) -> &Layout {
        &self.config.layout
    }

    /// A run begins.
    pub async fn begun(&self, job: Job, id: &str, instance: Option<&InstanceId>, now: DateTime<Utc>) -> Vec<String> {
        if !stores(job) {
            return Vec::new();
        }
        let calls = self.concerned(instance).map(|at| (at, Form::Start, format!("{id} begins"))).collect();
        self.deliver(Mail { calls, ..Mail::default() }, now).await
    }

    /// A run ended.
    pub async fn ended(&self, ended: &Ended, now: DateTime<Utc>) -> Vec<String> {
        let (mail, mut notes) = self.change(now, |memory| self.news(memory, ended, now)).await;
        notes.extend(self.deliver(mail, now).await);
        notes
    }

    fn news(&self, memory: &mut Memory, ended: &Ended, now: DateTime<Utc>) -> Mail {
        let Ended { id, job, instance, result } = ended;
        let whose = instance.as_ref().map(ToString::to_string);
        let mut mail = Mail::default();
        match result {
            Ok(message) => {
                mail.notices.extend(memory.well(id, now));
                mail.notices.push(Notice::plain(News::Success, id, whose, message, now));
            }
            Err(message) => {
                let seen = Seen { subject: id.clone(), about: About::Job, instance: whose, message: message.clone() };
                mail.notices.extend(memory.failed(&seen, now));
            }
        }
        for at in self.concerned(instance.as_ref()) {
            let call = match result {
                Err(message) => (Form::Fail, format!("{id}: {message}")),
                Ok(_) if !stores(*job) => continue,
                Ok(message) => match memory.blocks(self.pings[at].of.as_deref()) {
                    None => (Form::Success, format!("{id}: {message}")),
                    Some(why) => (Form::Fail, format!("{id} went well, but {why}")),
                },
            };
            mail.calls.push((at, call.0, call.1));
        }
        mail
    }

    /// Whether it is time to look at everything again.
    pub async fn look_is_due(&self, now: DateTime<Utc>) -> bool {
        let layout = self.layout().clone();
        let read = tokio::task::spawn_blocking(move || told::load(&layout)).await;
        let looked = match read {
            Ok(Ok((memory, _))) => memory.looked_at,
            // What cannot be remembered is not looked at each minute either: the next telling says why.
            Ok(Err(_)) | Err(_) => return false,
        };
        looked.is_none_or(|looked| now - looked >= LOOK_PERIOD || looked > now)
    }

    /// Somebody looked at everything, or could not.
    pub async fn looked(&self, looked: Result<Vec<Seen>>, now: DateTime<Utc>) -> Vec<String> {
        let seen = looked.unwrap_or_else(|error| {
            let message = error.message;
            vec![Seen { subject: LOOK.to_owned(), about: About::Status, instance: None, message }]
        });
        let (notices, mut notes) = self.change(now, |memory| memory.looked(&seen, now)).await;
        notes.extend(self.deliver(Mail { notices, ..Mail::default() }, now).await);
        notes
    }

    /// Tells what lasts for a day, and what nobody took.
    pub async fn remind(&self, now: DateTime<Utc>) -> Vec<String> {
        let ids: Vec<InstanceId> = all(&self.config).map(|instance| instance.id.clone()).collect();
        let jobs: Vec<&str> = self.jobs.iter().map(String::as_str).collect();
        let (notices, mut notes) = self.change(now, |memory| memory.remind(&ids, &jobs, now)).await;
        notes.extend(self.deliver(Mail { notices, ..Mail::default() }, now).await);
        notes
    }

    /// Tries all of them out: hooks get an event of their own kind, pings a line in their log.
    pub async fn test(&self, now: DateTime<Utc>) -> (Vec<Answer>, Vec<String>) {
        let notice = Notice::plain(News::Test, "summoner notify test", None, "this is a test; nothing is wrong", now);
        let notice = notice.from_server(self.config.domain.as_str());
        let (mut answers, called) = tokio::join!(self.tell(&notice), self.call(0..self.pings.len(), Form::Log, &notice.text));
        answers.extend(called);
        let notes = self.remember(Vec::new(), answers.clone(), now).await;
        (answers, notes)
    }

    fn concerned(&self, instance: Option<&InstanceId>) -> impl Iterator<Item = usize> {
        self.pings.iter().enumerate().filter(move |(_, ping)| ping.concerns(instance)).map(|(at, _)| at)
    }

    /// Sends everything; what nobody took is written down for another try.
    async fn deliver(&self, mail: Mail, now: DateTime<Utc>) -> Vec<String> {
        if mail.notices.is_empty() && mail.calls.is_empty() {
            return Vec::new();
        }
        let server = self.config.domain.as_str();
        let notices: Vec<Notice> = mail.notices.into_iter().map(|notice| notice.from_server(server)).collect();
        let tell = |notice: Notice| async move {
            let answers = self.tell(&notice).await;
            (notice, answers)
        };
        let told = stream::iter(notices).map(tell).buffered(AT_ONCE).collect::<Vec<_>>();
        let called = join_all(mail.calls.iter().map(|(at, form, sentence)| self.call(*at..*at + 1, *form, sentence)));
        let (told, called) = tokio::join!(told, called);
        let mut answers: Vec<Answer> = called.into_iter().flatten().collect();
        let mut taken = Vec::new();
        for (notice, of) in told {
            // Nobody wants such news: then they have arrived.
            let arrived = of.is_empty() || of.iter().any(|answer| answer.result.is_ok());
            answers.extend(of);
            taken.push((notice, arrived));
        }
        self.remember(taken, answers, now).await
    }

    async fn tell(&self, notice: &Notice) -> Vec<Answer> {
        let channels = channels(&self.config, notice.event);
        let mut telling = Vec::new();
        for channel in &channels {
            let (name, told) = (channel.name().to_owned(), channel.tell(notice));
            telling.push(async move { Answer { channel: name, result: told.await } });
        }
        join_all(telling).await
    }

    async fn call(&self, which: std::ops::Range<usize>, form: Form, sentence: &str) -> Vec<Answer> {
        let mut calling = Vec::new();
        for ping in &self.pings[which] {
            let (name, called) = (ping.name.clone(), ping.call(form, sentence));
            calling.push(async move { Answer { channel: name, result: called.await } });
        }
        join_all(calling).await
    }

    /// Writes down what arrived and what answered; gives a note for each that did not.
    async fn remember(&self, taken: Vec<(Notice, bool)>, answers: Vec<Answer>, now: DateTime<Utc>) -> Vec<String> {
        let failed = |answer: &Answer| Some(format!("{} does not work: {}", answer.channel, answer.result.as_ref().err()?));
        let mut notes: Vec<String> = answers.iter().filter_map(failed).collect();
        let known: Vec<String> = self.names();
        let ((), more) = self
            .change(now, |memory| {
                for (notice, arrived) in &taken {
                    if *arrived { memory.arrived(notice) } else { memory.in_vain(notice) }
                }
                for answer in &answers {
                    memory.answered(&answer.channel, answer.result.as_ref().err().map(String::as_str), now);
                }
                memory.silent.retain(|name, _| known.contains(name));
            })
            .await;
        notes.extend(more);
        notes
    }

    /// Every way of telling that config.yml names.
    fn names(&self) -> Vec<String> {
        let hooks = channels(&self.config, News::Test);
        hooks.iter().map(|channel| channel.name().to_owned()).chain(self.pings.iter().map(|ping| ping.name.clone())).collect()
    }

    /// Changes the memory under its lock. What cannot be read or written is a note, and the work is done without it.
    async fn change<T>(&self, now: DateTime<Utc>, work: impl FnOnce(&mut Memory) -> T) -> (T, Vec<String>) {
        let mut notes = Vec::new();
        let lock = match tokio::time::timeout(LOCK, Lock::take_told(self.layout(), now)).await {
            Ok(Ok(lock)) => Some(lock),
            Ok(Err(error)) => {
                notes.push(without(&error));
                None
            }
            Err(_) => {
                notes.push(format!("another process has held {} for too long", self.layout().told_lock().display()));
                None
            }
        };
        let layout = self.layout().clone();
        let loaded = blocking(move || told::load(&layout)).await;
        let (before, readable) = match loaded {
            Ok((memory, damaged)) => {
                notes.extend(damaged);
                (memory, true)
            }
            Err(error) => {
                notes.push(without(&error));
                (Memory::default(), false)
            }
        };
        let mut memory = before.clone();
        let done = work(&mut memory);
        if lock.is_some() && readable && memory != before {
            let layout = self.layout().clone();
            if let Err(error) = blocking(move || told::save(&layout, &memory)).await {
                notes.push(without(&error));
            }
        }
        (done, notes)
    }
}

fn without(error: &Error) -> String {
    let cause = error.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("what people were told of is not remembered: {}{cause}", error.message)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("the memory of news was cut off").cause(error))?
}

/// Whether a job makes what a dead-man's switch waits for.
fn stores(job: Job) -> bool {
    matches!(job, Job::Dump | Job::Backup)
}

fn all(config: &Config) -> impl Iterator<Item = &Instance> {
    std::iter::once(&config.proxy_instance).chain(&config.instances)
}

/// The switch of all, and those of apps; instances of one address share it, and it is green while all of them are well.
fn pings(config: &Config) -> Vec<Ping> {
    let whole = config.outside.ping.iter().map(|address| Ping { name: format!("ping {address}"), of: None, address: address.clone() });
    let mut pings: Vec<Ping> = whole.collect();
    for instance in all(config) {
        let Some(address) = &instance.backup.ping else { continue };
        match pings.iter_mut().find(|ping| ping.of.is_some() && ping.address == *address) {
            Some(Ping { of: Some(of), .. }) => of.push(instance.id.clone()),
            _ => {
                let name = format!("ping of {} {address}", instance.id);
                pings.push(Ping { name, of: Some(vec![instance.id.clone()]), address: address.clone() });
            }
        }
    }
    pings
}
