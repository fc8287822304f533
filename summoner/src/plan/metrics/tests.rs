use chrono::TimeDelta;

use super::*;
use crate::config::schedule::Times;
use crate::plan::schedule::Job;
use crate::plan::snapshot::{Verified, example};
use crate::plan::told::{About, Seen};

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn spec(job: Job, instance: &str) -> JobSpec {
    JobSpec {
        id: format!("{} {instance}", job.as_str()),
        job,
        instance: Some(instance.parse().unwrap()),
        times: Times::parse("0 3 * * *").unwrap(),
        cron: "0 3 * * *".into(),
        offset: TimeDelta::zero(),
        quiet: None,
    }
}

fn snapshot(id: &str, fault: Option<&str>) -> Snapshot {
    let mut manifest = example(id, None);
    manifest.ended_at = manifest.id.time + TimeDelta::seconds(41);
    manifest.duration_ms = 41_007;
    let verified = Verified { version: 1, at: manifest.ended_at, read_data: false, fault: fault.map(str::to_owned) };
    Snapshot { manifest, verified: Some(verified) }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a golden is as long as what it shows")]
fn numbers_are_prometheus_own_and_what_never_happened_raises_the_alarm() {
    let specs = [spec(Job::Backup, "ghost-a.fr"), spec(Job::Backup, "wekan-a.fr")];
    let mut runs = RunMemory::default();
    runs.meet(&specs, now() - TimeDelta::days(2));
    runs.begin(&specs[0], 0, "", now() - TimeDelta::hours(10));
    runs.end("backup ghost-a.fr", Outcome::Failed, "no", now() - TimeDelta::hours(10));
    runs.begin(&specs[0], 1, "", now() - TimeDelta::hours(9));
    runs.end("backup ghost-a.fr", Outcome::Ok, "", now() - TimeDelta::hours(9) + TimeDelta::milliseconds(42_500));
    let mut told = told::Memory::default();
    told.failed(&Seen { subject: "backup wekan-a.fr".into(), about: About::Job, instance: None, message: String::new() }, now());
    told.answered("on_failure[0]: /bin/\"tell\\\n", Some("no"), now());
    let snapshots = [snapshot("ghost-a.fr/20261121T020000Z", None), snapshot("ghost-a.fr/20261121T030000Z", Some("cut"))];
    let facts = Facts {
        clock: Clock { zone: chrono_tz::UTC, now: now(), started_at: None },
        summoner: "0.1.0",
        instances: vec![("ghost-a.fr".parse().unwrap(), Some(true)), ("wekan-a.fr".parse().unwrap(), None)],
        engine: true,
        snapshots: &snapshots,
        drilled: vec![("ghost-a.fr".parse().unwrap(), Kind::Backup, now() - TimeDelta::days(1))],
        unreadable: 1,
        specs: &specs,
        runs: &runs,
        certificates: vec![("blog.a.fr".into(), Some(now() + TimeDelta::days(60))), ("wekan.a.fr".into(), None)],
        told: &told,
    };
    let text = render(&facts);
    assert_eq!(text, render(&facts));
    insta::assert_snapshot!(text, @r##"
    # HELP summoner_build_info Version of this program.
    # TYPE summoner_build_info gauge
    summoner_build_info{version="0.1.0"} 1
    # HELP summoner_engine_up Whether the Docker Engine answers.
    # TYPE summoner_engine_up gauge
    summoner_engine_up 1
    # HELP summoner_instance_up Whether all containers of the instance run and none is unhealthy.
    # TYPE summoner_instance_up gauge
    summoner_instance_up{instance="ghost-a.fr"} 1
    # HELP summoner_backup_last_success_timestamp_seconds When the newest snapshot that was read back and found whole was finished; 0 when there is none.
    # TYPE summoner_backup_last_success_timestamp_seconds gauge
    summoner_backup_last_success_timestamp_seconds{instance="ghost-a.fr",kind="backup"} 1795226441
    summoner_backup_last_success_timestamp_seconds{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_backup_last_verified_timestamp_seconds When a snapshot was last read back and found whole; 0 when never.
    # TYPE summoner_backup_last_verified_timestamp_seconds gauge
    summoner_backup_last_verified_timestamp_seconds{instance="ghost-a.fr",kind="backup"} 1795226441
    summoner_backup_last_verified_timestamp_seconds{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_backup_last_drilled_timestamp_seconds When a snapshot was last restored for practice and proven; 0 when never.
    # TYPE summoner_backup_last_drilled_timestamp_seconds gauge
    summoner_backup_last_drilled_timestamp_seconds{instance="ghost-a.fr",kind="backup"} 1795176000
    summoner_backup_last_drilled_timestamp_seconds{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_backup_age_seconds Age of the data in the newest good snapshot; +Inf when there is none.
    # TYPE summoner_backup_age_seconds gauge
    summoner_backup_age_seconds{instance="ghost-a.fr",kind="backup"} 36000
    summoner_backup_age_seconds{instance="wekan-a.fr",kind="backup"} +Inf
    # HELP summoner_backup_size_bytes What the newest good snapshot holds, uncompressed.
    # TYPE summoner_backup_size_bytes gauge
    summoner_backup_size_bytes{instance="ghost-a.fr",kind="backup"} 200
    # HELP summoner_backup_added_bytes What the newest good snapshot added to the repository, compressed.
    # TYPE summoner_backup_added_bytes gauge
    summoner_backup_added_bytes{instance="ghost-a.fr",kind="backup"} 20
    # HELP summoner_backup_duration_seconds How long taking the newest good snapshot took.
    # TYPE summoner_backup_duration_seconds gauge
    summoner_backup_duration_seconds{instance="ghost-a.fr",kind="backup"} 41.007
    # HELP summoner_backup_downtime_seconds How long the application stood still for the newest good snapshot.
    # TYPE summoner_backup_downtime_seconds gauge
    summoner_backup_downtime_seconds{instance="ghost-a.fr",kind="backup"} 0.500
    # HELP summoner_backup_snapshots Snapshots in the repository.
    # TYPE summoner_backup_snapshots gauge
    summoner_backup_snapshots{instance="ghost-a.fr",kind="backup"} 2
    summoner_backup_snapshots{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_backup_damaged_snapshots Snapshots that were found damaged.
    # TYPE summoner_backup_damaged_snapshots gauge
    summoner_backup_damaged_snapshots{instance="ghost-a.fr",kind="backup"} 1
    summoner_backup_damaged_snapshots{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_repository_unreadable_snapshots Snapshots in the repository whose manifest cannot be read.
    # TYPE summoner_repository_unreadable_snapshots gauge
    summoner_repository_unreadable_snapshots 1
    # HELP summoner_job_runs_total Runs of the job that ended.
    # TYPE summoner_job_runs_total counter
    summoner_job_runs_total{instance="ghost-a.fr",kind="backup"} 2
    summoner_job_runs_total{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_job_failures_total Runs of the job that failed.
    # TYPE summoner_job_failures_total counter
    summoner_job_failures_total{instance="ghost-a.fr",kind="backup"} 1
    summoner_job_failures_total{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_job_last_success_timestamp_seconds When the last run began that did what it should; 0 when none did.
    # TYPE summoner_job_last_success_timestamp_seconds gauge
    summoner_job_last_success_timestamp_seconds{instance="ghost-a.fr",kind="backup"} 1795230000
    summoner_job_last_success_timestamp_seconds{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_job_last_run_ok Whether the last run that ended did what it should.
    # TYPE summoner_job_last_run_ok gauge
    summoner_job_last_run_ok{instance="ghost-a.fr",kind="backup"} 1
    # HELP summoner_job_last_run_duration_seconds How long the last run that ended took.
    # TYPE summoner_job_last_run_duration_seconds gauge
    summoner_job_last_run_duration_seconds{instance="ghost-a.fr",kind="backup"} 42.500
    # HELP summoner_job_running Whether the job runs.
    # TYPE summoner_job_running gauge
    summoner_job_running{instance="ghost-a.fr",kind="backup"} 0
    summoner_job_running{instance="wekan-a.fr",kind="backup"} 0
    # HELP summoner_job_next_run_timestamp_seconds When the job starts next.
    # TYPE summoner_job_next_run_timestamp_seconds gauge
    summoner_job_next_run_timestamp_seconds{instance="ghost-a.fr",kind="backup"} 1795316400
    summoner_job_next_run_timestamp_seconds{instance="wekan-a.fr",kind="backup"} 1795262400
    # HELP summoner_certificate_expiry_timestamp_seconds When the certificate that is served for the host ends; 0 when there is none.
    # TYPE summoner_certificate_expiry_timestamp_seconds gauge
    summoner_certificate_expiry_timestamp_seconds{host="blog.a.fr"} 1800446400
    summoner_certificate_expiry_timestamp_seconds{host="wekan.a.fr"} 0
    # HELP summoner_problems Problems that hooks were or will be told of.
    # TYPE summoner_problems gauge
    summoner_problems 1
    # HELP summoner_notification_failing_since_timestamp_seconds Since when a hook or ping does not work; absent when it does.
    # TYPE summoner_notification_failing_since_timestamp_seconds gauge
    summoner_notification_failing_since_timestamp_seconds{channel="on_failure[0]: /bin/\"tell\\\n"} 1795262400
    "##);
}

#[test]
fn each_family_has_its_help_and_type_before_its_samples() {
    let facts = Facts {
        clock: Clock { zone: chrono_tz::UTC, now: now(), started_at: None },
        summoner: "0.1.0",
        instances: Vec::new(),
        engine: false,
        snapshots: &[],
        drilled: Vec::new(),
        unreadable: 0,
        specs: &[],
        runs: &RunMemory::default(),
        certificates: Vec::new(),
        told: &told::Memory::default(),
    };
    let text = render(&facts);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let head = text.split(&format!("\n{line}")).next().unwrap();
        assert!(head.contains(&format!("# HELP {name} ")) && head.contains(&format!("# TYPE {name} gauge")), "{line}");
    }
    assert!(text.contains("\nsummoner_engine_up 0\n") && !text.contains("summoner_instance_up"), "{text}");
}
