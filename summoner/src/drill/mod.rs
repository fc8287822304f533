//! Drills: a snapshot is restored into a throw-away place and checked there, so that a person knows that it restores.
//!
//! Touches nothing that is live: a network of its own without a way out, folders of its own beside the data, containers
//! with names and labels of its own, all of which are removed whatever happened. What could not be looked at has
//! failed. Whether it passed is decided by `plan::drill`; called by the command `drill`, on schedule by way of it, and by
//! whoever must know before an update.

mod machine;
pub mod memory;
mod place;
mod stage;
mod start;
pub mod sweep;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::apply::World;
use crate::docker::Engine;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::event::Event;
use crate::lock::Lock;
use crate::minion::Minion;
use crate::name::InstanceId;
use crate::plan::drill::{Check, Drilled, Finding, PUT_OFF, Timed, VERSION, page};
use crate::plan::restore::{Part, Which, choose};
use crate::plan::snapshot::{Kind, Snapshot};
use crate::repository::Repository;
use crate::restore::check;
use place::Place;

/// No drill takes longer; one that does has failed.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Everything is removed within this time, or the next command tries again.
const REMOVAL: Duration = Duration::from_secs(600);
/// Longer findings are cut: the log of a container says the rest while it is there.
const SAID: usize = 4000;

/// Why it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A person asked.
    Asked,
    /// The schedule asked: only while the machine is calm.
    Schedule,
    /// Before an update.
    Update,
}

/// One drill.
struct Drilling<'a, E> {
    world: &'a World<'a, E>,
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    minion: &'a Minion,
    occasion: Occasion,
    /// What each live container ran then, as an image of this host.
    images: BTreeMap<String, String>,
}

/// What is found while it goes on.
#[derive(Default)]
struct Report {
    steps: Vec<Timed>,
    findings: Vec<Finding>,
}

/// The sequence ended early; why is in the report.
struct Stopped;

/// Restores a snapshot into a throw-away place, checks it there, removes everything, and writes down what came of it. Waits
/// for another drill with `wait`.
///
/// # Errors
/// There is no snapshot to drill, another drill runs, the machine is not calm enough for one on schedule, or the result
/// cannot be written down. A drill that failed is no error: it is in the answer.
pub async fn run<E: Engine>(
    world: &World<'_, E>,
    repository: &Repository,
    id: &InstanceId,
    which: &Which,
    occasion: Occasion,
    wait: bool,
) -> Result<Drilled> {
    let settings = world.config.instances.iter().find(|instance| instance.id == *id);
    let settings = settings.ok_or_else(|| Error::usage(format!("{id} is no application of config.yml")))?;
    let minion = world.catalogue.get(&settings.minion)?;
    let _lock = Lock::take_drill(world.layout(), &format!("drill {id}"), wait, world.now).await?;
    sweep::all(world.engine, world.layout()).await?;
    let (snapshots, _) = repository.list(Some(id))?;
    let snapshot = choose(&snapshots, id, which, &Part::Everything)?;
    if snapshot.manifest.kind != Kind::Backup {
        return Err(Error::usage(format!("{} is a dump: a drill restores a whole backup", snapshot.manifest.id))
            .next(format!("summoner snapshots {id}")));
    }
    let _kept = repository.hold(id)?;
    let mut drilling = Drilling { world, repository, snapshot, minion, occasion, images: BTreeMap::new() };
    let mut report = Report::default();
    if let Some(why) = drilling.postponed()? {
        report.findings.push(Finding::bad(Check::Calm, why));
        return drilling.write(report, Duration::ZERO);
    }
    world.tell(&Event::Begin { instance: Some(id.to_string()), doing: format!("drill {}", snapshot.manifest.id) });
    let since = Instant::now();
    match tokio::time::timeout(LONGEST, drilling.all(&mut report)).await {
        Ok(Ok(()) | Err(Stopped)) => {}
        Err(_) => report.findings.push(Finding::bad(Check::Start, format!("it took longer than {} hours", LONGEST.as_secs() / 3600))),
    }
    let took = since.elapsed();
    drilling.say("removing everything");
    let removed = tokio::time::timeout(REMOVAL, sweep::all(world.engine, world.layout())).await;
    let removed = removed.unwrap_or_else(|_| Err(Error::external("the engine or the disk does not answer")));
    report.findings.push(match removed {
        Ok(()) => Finding::good(Check::Removal, "nothing of it is left"),
        Err(error) => Finding::bad(Check::Removal, format!("not everything could be removed: {}", said(&error))),
    });
    drilling.write(report, took)
}

impl<E: Engine> Drilling<'_, E> {
    fn say(&self, message: impl Into<String>) {
        let instance = Some(self.snapshot.manifest.id.instance.to_string());
        self.world.tell(&Event::Progress { instance, message: message.into() });
    }

    /// A drill on schedule waits for a calm hour; how often it has done so is remembered. Some: it has waited often enough.
    fn postponed(&self) -> Result<Option<String>> {
        if self.occasion != Occasion::Schedule {
            return Ok(None);
        }
        let (layout, id) = (self.world.layout(), &self.snapshot.manifest.id.instance);
        let why = match machine::look()?.is_calm(self.minion.needs.memory_bytes) {
            Ok(()) => return Ok(None),
            Err(why) => why,
        };
        let mut known = memory::load(layout, id)?;
        if known.put_off >= PUT_OFF {
            return Ok(Some(format!("the machine was not calm {} times in a row; now {why}", known.put_off + 1)));
        }
        known.version = VERSION;
        known.put_off += 1;
        memory::save(layout, id, &known)?;
        Err(Error::external(format!("the drill of {id} is put off: {why}"))
            .next("it is tried again; a larger machine, another hour (backup.drill in config.yml), or `drill: never`"))
    }

    async fn all(&mut self, report: &mut Report) -> Result<(), Stopped> {
        let begun = Instant::now();
        report.take(Check::Room, self.room())?;
        let images = self.find_images().await;
        report.take(Check::Images, images)?;
        let place = self.place().await;
        let mut place = report.value(Check::Place, place)?;
        report.lap("begin", begun);
        let since = Instant::now();
        self.say("bringing the files back");
        let restored = stage::files(self, &place).await.and_then(|()| place.folders());
        report.value(Check::Files, restored)?;
        report.lap("files", since);
        let since = Instant::now();
        for database in &self.minion.databases {
            let compared = stage::database(self, &mut place, database).await;
            let compared = report.value(Check::Database, compared)?;
            report.findings.extend(compared);
        }
        if !self.minion.databases.is_empty() {
            report.lap("databases", since);
        }
        let since = Instant::now();
        self.say("comparing files");
        let compared = stage::compare_files(self, &place).await;
        let compared = report.value(Check::Files, compared)?;
        report.findings.extend(compared);
        report.lap("comparing files", since);
        let since = Instant::now();
        let up = start::rest(self, &place).await;
        let up = report.value(Check::Start, up)?;
        report.findings.extend(up);
        report.lap("start", since);
        let since = Instant::now();
        let answered = start::ask(self, &place).await;
        report.take(Check::Probe, answered)?;
        report.lap("probe", since);
        Ok(())
    }

    /// Memory and disk for a second copy.
    fn room(&self) -> Result<Finding> {
        let manifest = &self.snapshot.manifest;
        let databases: u64 =
            manifest.artefacts.iter().filter(|artefact| artefact.database.is_some()).map(|artefact| artefact.bytes_raw).sum();
        let files = manifest.files.as_ref().map_or(0, |files| files.bytes);
        let layout = self.world.layout();
        // On one file system both take from the same room.
        let device = |path: &Path| path.metadata().map(|found| found.dev()).map_err(|error| Error::io("look at", path, &error));
        let one = device(&layout.files)? == device(&layout.databases)?;
        let (files, databases) = if one { (files + databases, 0) } else { (files, databases) };
        check::room(layout, &manifest.id, files, databases)?;
        machine::look()?.has_memory(self.minion.needs.memory_bytes).map_err(Error::external)?;
        Ok(Finding::good(Check::Room, "there is disk and memory for a second copy"))
    }

    /// The images that ran then: those that are here, and those that can be had by their digest.
    async fn find_images(&mut self) -> Result<Finding> {
        let engine = self.world.engine;
        let mut pulled = 0;
        for (container, image) in &self.snapshot.manifest.images {
            let mut found = engine.image(&image.id).await?;
            if let (None, Some(digest)) = (&found, &image.digest) {
                self.say(format!("pulling {digest}"));
                engine.pull(digest, &|_| {}).await.map_err(|error| missing(container, &image.reference).cause(said(&error)))?;
                found = engine.image(digest).await?;
                pulled += 1;
            }
            let found = found.ok_or_else(|| {
                missing(container, &image.reference).cause("it is not on this host any more, and no registry is known for it")
            })?;
            self.images.insert(container.clone(), found.id);
        }
        let more = if pulled > 0 { format!(", {pulled} of them fetched") } else { String::new() };
        Ok(Finding::good(Check::Images, format!("{} containers have the image that they ran then{more}", self.images.len())))
    }

    async fn place(&self) -> Result<Place> {
        let values = stage::secrets(self)?;
        let place = place::make(self.world, &self.snapshot.manifest.id.instance, &values).await?;
        stage::put_secrets(&place, &values)?;
        if let Some((name, live)) = place.live.iter().find(|(_, live)| !self.images.contains_key(*live)) {
            return Err(Error::external(format!("the snapshot says of no image for {live}"))
                .cause(format!("{name} is a service that the minion did not have when the snapshot was taken")));
        }
        Ok(place)
    }

    /// Writes down what came of it: beside the manifest, and for this host.
    fn write(&self, report: Report, took: Duration) -> Result<Drilled> {
        let id = &self.snapshot.manifest.id;
        let drilled = Drilled {
            version: VERSION,
            snapshot: id.clone(),
            at: self.world.now,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            passed: report.findings.iter().all(|finding| finding.passed),
            summoner: env!("CARGO_PKG_VERSION").into(),
            steps: report.steps,
            findings: report.findings,
        };
        // What this host remembers makes `status` red or green: it is written even where the repository refuses.
        let (layout, instance) = (self.world.layout(), &id.instance);
        let remembered = memory::load(layout, instance).and_then(|mut known| {
            known.learn(&drilled);
            memory::save(layout, instance, &known)
        });
        self.repository.put_drilled(&drilled, &page(&drilled, &self.snapshot.manifest))?;
        remembered.map(|()| drilled)
    }
}

impl Report {
    /// What a part gave; that it failed is found.
    fn value<T>(&mut self, check: Check, result: Result<T>) -> Result<T, Stopped> {
        result.map_err(|error| {
            self.findings.push(Finding::bad(check, said(&error)));
            Stopped
        })
    }

    /// What a part found.
    fn take(&mut self, check: Check, result: Result<Finding>) -> Result<(), Stopped> {
        let finding = self.value(check, result)?;
        self.findings.push(finding);
        Ok(())
    }

    fn lap(&mut self, what: &str, since: Instant) {
        self.steps.push(Timed { what: what.into(), ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX) });
    }
}

fn missing(container: &str, reference: &str) -> Error {
    Error::new(ErrorKind::External, format!("the image that {container} ran then ({reference}) is not to be had"))
}

/// An error in a finding: what, and why.
fn said(error: &Error) -> String {
    let text = error.cause.as_ref().map_or_else(|| error.message.clone(), |cause| format!("{}: {}", error.message, cause.trim_end()));
    if text.chars().count() > SAID { text.chars().take(SAID).collect::<String>() + " …" } else { text }
}
