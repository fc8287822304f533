//! Fills other places with the snapshots of this host's repository, and brings them back from there.
//!
//! Knows the order of things: blobs, each read back, then `parts.json`, then the manifest; and that a cut is resumed. What
//! goes there and what may go away there is decided by `plan::sync`, how a place stores blobs is its driver's matter.
//! Called by the command line, after each backup and by the job `sync`.

mod carry;
pub mod check;
mod copy;
mod forget;
mod look;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::config::repositories::RepositorySettings;
use crate::config::{Backup, Config, Keep};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::layout::Layout;
use crate::name::InstanceId;
use crate::plan::retention::Verdict;
use crate::plan::snapshot::{Snapshot, SnapshotId};
use crate::plan::sync::{Memory, Missing, Parts, Rules, SyncPlan, sync};
use crate::repository::receive::Received;
use crate::repository::{Repository, place};
use crate::state::copies;

pub use look::{Seen, look};

/// How often it is looked whether another command has ended that fills the same place.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// So many copies may fail before the place is given up for this time: what failed may be the matter of one snapshot.
const MOST_FAILURES: usize = 3;

/// One place to fill, and what from.
pub struct Filling {
    /// The place.
    pub settings: RepositorySettings,
    /// Whom it is encrypted for.
    pub recipients: Vec<String>,
    /// This host's storage.
    pub layout: Layout,
    /// What the instances of config.yml keep.
    pub keeps: BTreeMap<InstanceId, Keep>,
    /// Zone of days.
    pub zone: Tz,
    /// Now.
    pub now: DateTime<Utc>,
    /// Only these instances; None is all. The records of the installation always go along.
    pub only: Option<BTreeSet<InstanceId>>,
    /// Look and decide, change nothing.
    pub dry_run: bool,
    /// Wait while another command fills the same place.
    pub wait: bool,
    /// Hears the story.
    pub listener: Arc<dyn Listener>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The place's name.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// Snapshots that arrived, and were read back.
    pub copied: Vec<SnapshotId>,
    /// Bytes that were sent, packs of copies that did not end included.
    pub bytes_sent: u64,
    /// What is still missing there, and why.
    pub missing: Vec<Missing>,
    /// What was forgotten there, or would be.
    pub forgotten: Vec<Verdict>,
    /// Records of the installation that arrived.
    pub records: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What failed first.
    pub error: Option<Error>,
}

/// A place that is open, with all that is known of it.
struct Site<'a> {
    filling: &'a Filling,
    here: &'a Repository,
    there: &'a Repository,
    sealed: bool,
    seen: Seen,
    memory: Memory,
    sent: AtomicU64,
    cancel: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Filling {
    /// Everything of an installation, for one of its places.
    #[must_use]
    pub fn of(config: &Config, settings: &RepositorySettings, now: DateTime<Utc>, listener: Arc<dyn Listener>) -> Self {
        Self {
            settings: settings.clone(),
            recipients: config.recipients.clone(),
            layout: config.layout.clone(),
            keeps: config.instances.iter().map(|instance| (instance.id.clone(), instance.backup.keep)).collect(),
            zone: config.zone(),
            now,
            only: None,
            dry_run: false,
            wait: false,
            listener,
        }
    }

    fn say(&self, id: &SnapshotId, message: impl Into<String>) {
        self.listener.hear(&Event::Progress { instance: Some(id.instance.to_string()), message: message.into() });
    }

    fn keep(&self, instance: &InstanceId) -> Keep {
        // An instance that is gone keeps what the general rules say.
        let own = || self.keeps.get(instance).copied().unwrap_or_else(|| Backup::default().keep);
        self.settings.keep.unwrap_or_else(own)
    }

    fn next(&self) -> String {
        format!("summoner sync {}", self.settings.name)
    }
}

/// Fills a place. Blocks; `cancel` is asked between blobs. What arrived is told even when something failed.
#[must_use]
pub fn fill(filling: &Filling, cancel: &(dyn Fn() -> Result<()> + Sync)) -> Report {
    let settings = &filling.settings;
    let mut report = Report { name: settings.name.clone(), ..Report::default() };
    if let Err(error) = fill_it(filling, cancel, &mut report) {
        report.error.get_or_insert(error);
    }
    report
}

fn fill_it(filling: &Filling, cancel: &(dyn Fn() -> Result<()> + Sync), report: &mut Report) -> Result<()> {
    let settings = &filling.settings;
    let here = Repository::open(&filling.layout.backups())?;
    let _lock = if filling.dry_run { None } else { Some(lock(filling, cancel)?) };
    let memory = copies::load(&filling.layout, &settings.name)?;
    let Some(there) = open(filling, &here, &memory)? else {
        // What would go to a place that holds nothing.
        report.missing = decide(filling, &here, &Seen::default())?.1.copies;
        return Ok(());
    };
    fill_at(filling, &here, &there, place::encrypts(settings, &filling.recipients), memory, cancel, report)
}

/// Opens the place. None is one where nothing is yet and nothing is to be made.
fn open(filling: &Filling, here: &Repository, memory: &Memory) -> Result<Option<Repository>> {
    let (settings, recipients, spool) = (&filling.settings, &filling.recipients, filling.layout.backups());
    let lost = |error: Error| match &memory.repository {
        // A disk that is not mounted looks like an empty folder: it is not filled anew.
        Some(known) if error.kind == Kind::NoRepository => {
            Error::external(format!("the repository {} is gone from its place", settings.name))
                .cause(format!("its id was {known}: is the disk mounted, the address right?"))
                .next(format!("if it is meant to begin anew: rm {}", filling.layout.copies(&settings.name).display()))
        }
        _ => error,
    };
    let opened = match place::open(settings, recipients, None, &spool) {
        Err(error) if error.kind == Kind::NoRepository && memory.repository.is_none() => {
            if filling.dry_run {
                return Ok(None);
            }
            place::create_or_open(settings, recipients, None, &spool, filling.now)
        }
        opened => opened.map_err(lost),
    };
    let there = opened.map_err(|error| Error { next: [error.next.clone(), vec![filling.next()]].concat(), ..error })?;
    if there.id() == here.id() {
        return Err(Error::usage(format!("{} is this host's own repository, {}", settings.name, here.location()))
            .next("choose another place for its copies"));
    }
    if let Some(known) = memory.repository.as_ref().filter(|known| *known != there.id()) {
        return Err(Error::external(format!("another repository lies at {} than before", there.location()))
            .cause(format!("its id is {} and was {known}: is the right disk mounted?", there.id()))
            .next(format!("if it is the right one: rm {}", filling.layout.copies(&settings.name).display())));
    }
    Ok(Some(there))
}

/// One command at a time fills a place from this host.
fn lock(filling: &Filling, cancel: &(dyn Fn() -> Result<()> + Sync)) -> Result<std::fs::File> {
    let name = &filling.settings.name;
    copies::folder(&filling.layout, name)?;
    loop {
        if let Some(held) = disk::lock(&filling.layout.copies_lock(name), true)? {
            return Ok(held);
        }
        if !filling.wait {
            return Err(Error::new(Kind::Locked, format!("another command fills {name} right now"))
                .next("wait for it to end, or add --wait to do so"));
        }
        cancel()?;
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn decide(filling: &Filling, here: &Repository, seen: &Seen) -> Result<(Vec<Snapshot>, SyncPlan)> {
    let wanted = |id: &InstanceId| filling.only.as_ref().is_none_or(|only| only.contains(id));
    let mut snapshots = here.list(None)?.0;
    snapshots.retain(|snapshot| wanted(&snapshot.manifest.id.instance));
    let known: BTreeSet<&InstanceId> =
        filling.keeps.keys().chain(snapshots.iter().map(|snapshot| &snapshot.manifest.id.instance)).collect();
    // After a recovery this host's repository has another id, and the same instances.
    let ours = |parts: &Parts| parts.origin == here.id() || known.contains(&parts.id.instance);
    let rules = Rules {
        keep: &|instance| filling.keep(instance),
        ours: &ours,
        append_only: filling.settings.append_only,
        zone: filling.zone,
        now: filling.now,
    };
    let plan = sync(&snapshots, &seen.there, &rules);
    Ok((snapshots, plan))
}

/// Fills a place that is open.
fn fill_at(
    filling: &Filling,
    here: &Repository,
    there: &Repository,
    sealed: bool,
    memory: Memory,
    cancel: &(dyn Fn() -> Result<()> + Sync),
    report: &mut Report,
) -> Result<()> {
    report.location = there.location();
    let seen = look(there.backend().as_ref(), filling.only.as_ref(), &memory)?;
    report.notes.extend(seen.strange.iter().cloned());
    let (snapshots, plan) = decide(filling, here, &seen)?;
    if filling.dry_run {
        report.missing = plan.copies;
        report.forgotten = plan.forgets;
        return Ok(());
    }
    let mut site = Site { filling, here, there, sealed, seen, memory, sent: AtomicU64::new(0), cancel };
    site.memory.repository = Some(there.id().to_owned());
    site.memory.saw(&site.seen.there, &|id| filling.only.as_ref().is_none_or(|only| only.contains(id)));
    site.save()?;
    let done = site.work(&snapshots, plan, report);
    report.bytes_sent = site.sent.load(Ordering::SeqCst);
    done
}

impl Site<'_> {
    fn save(&self) -> Result<()> {
        copies::save(&self.filling.layout, &self.filling.settings.name, &self.memory)
    }

    fn work(&mut self, snapshots: &[Snapshot], plan: SyncPlan, report: &mut Report) -> Result<()> {
        let mut failures = 0;
        let mut index = None;
        for missing in plan.copies {
            let snapshot = snapshots.iter().find(|snapshot| snapshot.manifest.id == missing.id);
            let Some(snapshot) = snapshot.filter(|_| failures < MOST_FAILURES && (self.cancel)().is_ok()) else {
                report.missing.push(missing);
                continue;
            };
            match self.copy(snapshot, &mut index) {
                Ok(()) => report.copied.push(missing.id),
                Err(error) => {
                    failures += 1;
                    let why = error.cause.clone().unwrap_or_else(|| error.message.clone());
                    report.missing.push(Missing { id: missing.id.clone(), reason: why });
                    report.error.get_or_insert(self.failed(&missing.id, error));
                    // What failed may have arrived all the same.
                    if let Err(down) = self.seen.list_again(self.there.backend().as_ref(), &missing.id.instance) {
                        report.notes.push(format!("it does not answer any more: {}", down.message));
                        failures = MOST_FAILURES;
                    }
                }
            }
        }
        (self.cancel)()?;
        self.records(report)?;
        self.forgets(plan.forgets, report)?;
        self.save()
    }

    fn failed(&self, id: &SnapshotId, error: Error) -> Error {
        let message = format!("{id} did not arrive at {}", self.filling.settings.name);
        let cause = error.cause.unwrap_or(error.message);
        let mut next = error.next;
        next.push(self.filling.next());
        Error { message, cause: Some(cause), next, ..Error::new(error.kind, "") }
    }

    /// Forgets what that place's own rule gives up, of instances that are all there.
    fn forgets(&mut self, forgets: Vec<Verdict>, report: &mut Report) -> Result<()> {
        let behind: BTreeSet<InstanceId> = report.missing.iter().map(|missing| missing.id.instance.clone()).collect();
        let backend = self.there.backend().clone();
        for verdict in forgets {
            let instance = &verdict.id.instance;
            if behind.contains(instance) {
                continue;
            }
            if self.seen.unclear.contains(&instance.to_string()) {
                let note = format!("nothing of {instance} is forgotten there: something of it says not what it is made of");
                if !report.notes.contains(&note) {
                    report.notes.push(note);
                }
                continue;
            }
            (self.cancel)()?;
            let forgotten = forget::copy(backend.as_ref(), &verdict.id, &mut self.seen, &mut self.memory);
            self.save()?;
            forgotten.map_err(|error| error.next(self.filling.next()))?;
            report.forgotten.push(verdict);
        }
        if !self.filling.settings.append_only {
            let wanted = |id: &InstanceId| self.filling.only.as_ref().is_none_or(|only| only.contains(id));
            let of = |name: &str| {
                let instance = name.split('/').nth(1).and_then(|name| name.parse().ok());
                instance.is_some_and(|id: InstanceId| wanted(&id) && !behind.contains(&id) && !self.seen.unclear.contains(&id.to_string()))
            };
            forget::leftovers(backend.as_ref(), &self.seen, &mut self.memory, &of).map_err(|error| error.next(self.filling.next()))?;
        }
        Ok(())
    }
}

/// Fills places, one after the other; each says by itself what came of it.
///
/// # Errors
/// The work was interrupted.
pub async fn all(fillings: Vec<Filling>) -> Result<Vec<Report>> {
    crate::backup::blocking(move |cancel| {
        let mut reports = Vec::new();
        for filling in &fillings {
            cancel()?;
            reports.push(fill(filling, cancel));
        }
        Ok(reports)
    })
    .await
}

/// Brings a snapshot back into this host's repository, and reads it back there.
///
/// # Errors
/// As [`Repository::receive`].
pub async fn fetch(from: &Repository, to: &Repository, id: &SnapshotId, now: DateTime<Utc>) -> Result<Received> {
    let (from, to, id) = (from.clone(), to.clone(), id.clone());
    crate::backup::blocking(move |cancel| to.receive(&from, &id, now, &|| cancel())).await
}

#[cfg(test)]
mod tests;
