//! A backup: files, databases and secrets at one point.
//!
//! Everything slow happens while the application runs: a first pass packs what is new; then it stands still while
//! each database's view is opened and what changed since is set aside; then it goes on, and the dumps end, what was set
//! aside is packed, everything is stored.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select, try_join_all};
use tokio::sync::oneshot;

use super::manifest::{Taken, manifest};
use super::pause::{Pause, writers};
use super::{DUMP_DEADLINE, Subject, Taking, blocking, secrets};
use crate::apply::lifecycle;
use crate::archive::{Capture, Captured, Seen};
use crate::database::{self, DumpOptions, Part};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::plan::snapshot::{Consistency, Content, Kind, Manifest, SnapshotId};
use crate::plan::state::Running;
use crate::repository::{Draft, PackWriter, Packed, Sinks, Stored, TREE};

/// After the copy failed, for a dump that was the reason.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Takes everything; `goes_on` hears that the application was started again.
pub(super) async fn fill<E: Engine>(
    taking: &Taking<'_, E>,
    subject: &Subject,
    draft: &Draft,
    id: SnapshotId,
    goes_on: oneshot::Sender<()>,
) -> Result<Manifest> {
    let mut taken = Taken { predicted_ms: predicted(taking)?, ..Taken::default() };
    let budget = taking.settings.downtime_budget;
    let mut views = true;
    for target in &subject.targets {
        views &= database::has_view(taking.world.engine, target).await?;
    }
    if !views {
        taken.notes.push("a database has no view to be read from: the application stood still for its whole dump".into());
    }
    if let Some(predicted) = taken.predicted_ms {
        taking.say(format!("it stood still for {predicted} ms the last time"));
    }
    taking.say("copying files while it runs");
    let (capture, packs) = live(taking, subject, draft).await?;
    let expected = taken.predicted_ms.map(Duration::from_millis);
    let (parts, still, killed) = stand_still(taking, subject, draft, capture, budget, expected, goes_on).await?;
    taken.parts = parts;
    taken.downtime_ms = Some(u64::try_from(still.downtime.as_millis()).unwrap_or(u64::MAX));
    taken.notes.extend(killed.iter().map(|name| format!("{name} did not stop in time and was killed")));
    if still.moving_files > 0 {
        taken.notes.push(format!("{} files changed although the application stood still", still.moving_files));
    }
    let stood_still = killed.is_empty() && still.moving_files == 0;
    taking.say("storing");
    let (captured, stored, packed) = store(still.capture, packs, draft).await?;
    remember(taking, &captured)?;
    taken.others.push((Content::Tree, stored));
    taken.files = Some((captured, packed));
    if let Some(stored) = secrets::store(taking, draft)? {
        taken.others.push((Content::Secrets, stored));
    }
    let consistency = if stood_still { Consistency::Application } else { Consistency::Crash };
    manifest(taking, id, (Kind::Backup, consistency), taken).await
}

/// Only saves reading: what it says is believed of objects alone that are in a pack.
fn remember<E: Engine>(taking: &Taking<'_, E>, captured: &Captured) -> Result<()> {
    let path = taking.world.layout().seen(&taking.instance.id);
    if let Some(folder) = path.parent() {
        disk::ensure_own_folder(folder, 0o700, None)?;
    }
    captured.seen.save(&path)
}

/// It must not only run again but work.
pub(super) async fn settled<E: Engine>(taking: &Taking<'_, E>) -> Result<()> {
    let running =
        |name: &str| taking.situation.observed.containers.iter().any(|known| known.name == name && known.running == Running::Running);
    let names: Vec<String> = writers(taking.instance).map(|container| container.name.clone()).filter(|name| running(name)).collect();
    lifecycle::settle(taking.world, taking.instance, &names).await.map_err(|error| Error {
        kind: ErrorKind::Partial,
        message: format!("the backup of {} is good, but {}", taking.instance.id, error.message),
        ..error
    })
}

/// What it took the last time.
pub(super) fn predicted<E: Engine>(taking: &Taking<'_, E>) -> Result<Option<u64>> {
    let (snapshots, _) = taking.repository.list(Some(&taking.instance.id))?;
    Ok(snapshots.iter().rev().find_map(|snapshot| snapshot.manifest.downtime_ms))
}

fn over_budget<E: Engine>(taking: &Taking<'_, E>, budget: Duration) -> Error {
    Error::external(format!("{} would stand still for longer than its downtime_budget of {} ms", taking.instance.id, budget.as_millis()))
        .next("a larger downtime_budget in config.yml, or a dump: summoner dump")
}

async fn live<E: Engine>(taking: &Taking<'_, E>, subject: &Subject, draft: &Draft) -> Result<(Capture, PackWriter)> {
    let mut packs = draft.packer()?;
    let roots = subject.roots.clone();
    let seen = taking.world.layout().seen(&taking.instance.id);
    blocking::run(move |cancel| {
        let mut capture = Capture::begin(roots, Seen::load(&seen));
        capture.live(&mut packs, cancel)?;
        Ok((capture, packs))
    })
    .await
}

struct Still {
    capture: Capture,
    downtime: Duration,
    /// Files that changed all the same while they were copied.
    moving_files: u64,
}

/// The application stands still from the first line of this to the end of `copied`; the dumps go on after it.
async fn stand_still<E: Engine>(
    taking: &Taking<'_, E>,
    subject: &Subject,
    draft: &Draft,
    mut capture: Capture,
    budget: Option<Duration>,
    expected: Option<Duration>,
    goes_on: oneshot::Sender<()>,
) -> Result<(Vec<Part>, Still, Vec<String>)> {
    let pause = Pause::begin(taking, expected).await?;
    let killed = pause.killed.clone();
    let deadline = budget.map(|budget| Instant::now() + budget.saturating_sub(pause.elapsed()));
    let options = DumpOptions { deadline: DUMP_DEADLINE, road: None };
    let mut opened = Vec::new();
    let dumps = subject.targets.iter().map(|target| {
        let (sender, receiver) = oneshot::channel();
        opened.push((target.container.clone(), receiver));
        database::dump(taking.world.engine, target, &options, draft, Some(sender))
    });
    let dumps = try_join_all(dumps.collect::<Vec<_>>());
    let staging = draft.folder().join("staged");
    let too_long = budget.map(|budget| over_budget(taking, budget));
    let copied = async {
        let within = async {
            let capture = blocking::run(move |cancel| {
                let within = || match deadline {
                    Some(deadline) if Instant::now() > deadline => Err(Error::external("the time for standing still is over")),
                    _ => cancel(),
                };
                let moving = capture.still(&staging, &within)?.moving_files;
                Ok((capture, moving))
            });
            let capture = capture.await?;
            for (container, view) in opened {
                view.await.map_err(|_| Error::external(format!("the dump of {container} ended before its view was open")))?;
            }
            Ok(capture)
        };
        let copied = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), within)
                .await
                .unwrap_or_else(|_| Err(too_long.unwrap_or_else(|| Error::external("the time for standing still is over")))),
            None => within.await,
        };
        match (copied, pause.end().await) {
            (Ok((capture, moving_files)), Ok(downtime)) => {
                let heard = goes_on.send(());
                tracing::debug!(?heard, "it goes on");
                Ok(Still { capture, downtime, moving_files })
            }
            (Err(error), Err(second)) => Err(error.also(&second)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    };
    tokio::pin!(dumps, copied);
    let (parts, still) = match select(dumps, copied).await {
        // A dump that failed is the reason; that its view never opened is the consequence.
        Either::Left((parts, copied)) => {
            let still = copied.await;
            (parts?, still?)
        }
        Either::Right((Ok(still), dumps)) => (dumps.await?, still),
        // Nobody needs the dumps any more; one that was the reason is about to say so.
        Either::Right((Err(error), dumps)) => {
            let last = tokio::time::timeout(LAST_WORDS, dumps).await;
            return Err(last.ok().and_then(Result::err).unwrap_or(error));
        }
    };
    Ok((parts.into_iter().flatten().collect(), still, killed))
}

/// Packs what was set aside and writes the tree.
async fn store(capture: Capture, mut packs: PackWriter, draft: &Draft) -> Result<(Captured, Stored, Packed)> {
    let mut tree = draft.create(TREE)?;
    blocking::run(move |cancel| {
        let captured = capture.finish(&mut packs, &mut tree, cancel)?;
        Ok((captured, tree.finish()?, packs.finish()?))
    })
    .await
}
