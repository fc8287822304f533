//! What hooks and pings hear of backups that a person asks for: the same as of the schedule's.
//!
//! A failure at a terminal is seen by one person only, and a backup that mends what failed at night ends that problem.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::context::{Context, Loaded};
use crate::config::Instance;
use crate::daemon::clock;
use crate::error::Error;
use crate::name::InstanceId;
use crate::notify::{Desk, Ended};
use crate::plan::schedule::{Job, jobs};
use crate::plan::snapshot::{Kind, Snapshot};
/// News of one command.
#[derive(Default)]
pub(super) struct News {
    desk: Option<Arc<Desk>>,
    /// Calls that are under way: nothing waits for them while an application stands still.
    starts: JoinSet<Vec<String>>,
    ended: Vec<Ended>,
}

impl News {
    /// For whoever config.yml names.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let dumps = |instance: &Instance| {
            loaded.catalogue.get(&instance.minion).is_ok_and(|minion| !minion.databases.is_empty() || minion.dump.is_some())
        };
        let ids = jobs(&loaded.config, &dumps).into_iter().map(|spec| spec.id).collect();
        Self { desk: Desk::of(&loaded.config, ids).map(Arc::new), ..Self::default() }
    }

    /// One begins; those of foreign databases are nobody's.
    pub(super) fn begun(&mut self, instance: Option<&InstanceId>, kind: Kind) {
        let (Some(desk), Some(instance)) = (&self.desk, instance) else { return };
        let (desk, instance, job) = (Arc::clone(desk), instance.clone(), job(kind));
        self.starts.spawn(async move { desk.begun(job, &id(job, &instance), Some(&instance), clock::now()).await });
    }

    /// One ended; nothing to do is neither well nor wrong.
    pub(super) fn ended(&mut self, instance: Option<&InstanceId>, kind: Kind, result: &Result<Option<Snapshot>, Error>) {
        let Some(instance) = instance else { return };
        let result = match result {
            Ok(None) => return,
            Ok(Some(snapshot)) => Ok(format!("{} was taken and read back", snapshot.manifest.id)),
            Err(error) => {
                let cause = error.cause.as_deref().and_then(|cause| cause.lines().next());
                Err(cause.map_or_else(|| error.message.clone(), |cause| format!("{}: {cause}", error.message)))
            }
        };
        let job = job(kind);
        self.ended.push(Ended { id: id(job, instance), job, instance: Some(instance.clone()), result });
    }

    /// What was taken is good here and did not arrive elsewhere: that is a run that failed.
    pub(super) fn failed(&mut self, error: &Error) {
        for ended in self.ended.iter_mut().filter(|ended| ended.result.is_ok()) {
            ended.result = Err(error.message.clone());
        }
    }

    /// Tells them, and says what did not arrive.
    pub(super) async fn tell(self, context: &Context) {
        let Some(desk) = self.desk else { return };
        let mut notes: Vec<String> = self.starts.join_all().await.into_iter().flatten().collect();
        for ended in &self.ended {
            notes.extend(desk.ended(ended, clock::now()).await);
        }
        notes.dedup();
        notes.iter().for_each(|note| context.note(note));
    }
}

fn job(kind: Kind) -> Job {
    match kind {
        Kind::Dump => Job::Dump,
        Kind::Backup => Job::Backup,
    }
}

/// As the schedule calls it: what a person's own backup mends is mended.
fn id(job: Job, instance: &InstanceId) -> String {
    format!("{} {instance}", job.as_str())
}
