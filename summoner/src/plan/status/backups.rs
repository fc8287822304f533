//! What `status` says of backups: the newest good one of each instance, and what is missing or damaged.

use std::collections::BTreeSet;

use chrono::SecondsFormat;

use super::{Report, SnapshotReport};
use crate::name::InstanceId;
use crate::plan::schedule::{Clock, Job, JobSpec, overdue};
use crate::plan::snapshot::{Kind, Snapshot, SnapshotId};
use crate::plan::state::Memory;
use crate::plan::sync::late;

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

    /// Adds whose newest good snapshot is missing at another place for too long. `there` are the snapshots that were whole
    /// there when somebody looked last.
    pub fn copies(&mut self, place: &str, there: &BTreeSet<SnapshotId>, snapshots: &[Snapshot], specs: &[JobSpec], clock: &Clock) {
        let mut ids: BTreeSet<InstanceId> = snapshots.iter().map(|snapshot| snapshot.manifest.id.instance.clone()).collect();
        ids.retain(|id| self.instances.iter().any(|instance| instance.id == id.to_string()));
        for id in &ids {
            let spec = specs.iter().find(|spec| spec.job == Job::Sync && spec.instance.as_ref() == Some(id));
            let Some(late) = late(id, snapshots, there, spec, clock) else { continue };
            let newest = late.newest_there.map_or_else(
                || "none of it is there".to_owned(),
                |at| format!("the newest there is of {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            );
            let message = format!("the snapshot {} is missing at {place}: {newest}", late.id.stamp());
            self.problem("copy-missing", Some(id), message, format!("summoner sync {place}"));
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
