//! What `status` says of backups: the newest good one of each instance, and what is missing or damaged.

use chrono::SecondsFormat;

use super::{Report, SnapshotReport};
use crate::name::InstanceId;
use crate::plan::schedule::{Clock, Job, JobSpec, overdue};
use crate::plan::snapshot::{Kind, Snapshot};
use crate::plan::state::Memory;

impl Report {
    /// Adds what is known of backups. `snapshots` come oldest first.
    pub fn backups(&mut self, snapshots: &[Snapshot], specs: &[JobSpec], memory: &Memory, clock: &Clock) {
        for instance in &mut self.instances {
            let newest =
                snapshots.iter().rev().find(|snapshot| snapshot.manifest.id.instance.to_string() == instance.id && snapshot.is_good());
            instance.newest_snapshot = newest.map(|snapshot| SnapshotReport {
                id: snapshot.manifest.id.to_string(),
                time: snapshot.manifest.id.time.to_rfc3339_opts(SecondsFormat::Secs, true),
                verified: true,
            });
        }
        for spec in specs {
            self.overdue(spec, snapshots, memory, clock);
        }
        for snapshot in snapshots {
            let Some(fault) = snapshot.verified.as_ref().and_then(|verified| verified.fault.as_ref()) else { continue };
            let id = &snapshot.manifest.id;
            self.problem(
                "backup-damaged",
                Some(&id.instance),
                format!("the snapshot {} is damaged: {fault}", id.stamp()),
                format!("summoner backup {}", id.instance),
            );
        }
    }

    fn overdue(&mut self, spec: &JobSpec, snapshots: &[Snapshot], memory: &Memory, clock: &Clock) {
        let (Job::Dump | Job::Backup, Some(id)) = (spec.job, &spec.instance) else { return };
        let Some(installed_at) = memory.instance(id).and_then(|known| known.installed_at) else { return };
        // A backup holds the databases too.
        let counts = |snapshot: &&Snapshot| {
            snapshot.manifest.id.instance == *id && snapshot.is_good() && (spec.job == Job::Dump || snapshot.manifest.kind == Kind::Backup)
        };
        let newest = snapshots.iter().filter(counts).map(|snapshot| snapshot.manifest.id.time).max();
        if let Some(missing) = overdue(newest, spec, installed_at, clock) {
            self.problem("backup-overdue", Some(id), missing.message(), format!("summoner {} {id}", spec.job.as_str()));
        }
    }

    /// An operation that a killed process left: what it stopped is still to be started.
    pub fn unfinished(&mut self, id: &InstanceId) {
        self.problem(
            "unfinished",
            Some(id),
            "a command on it was killed half way".into(),
            format!("summoner start {id}   ends what was begun, as every command that changes something does"),
        );
    }
}
