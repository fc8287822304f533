//! What `status` says of drills: when each instance was last restored and checked, what failed there, and what is overdue.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{DrillReport, Report};
use crate::name::InstanceId;
use crate::plan::drill::{Remembered, since};
use crate::plan::schedule::{Clock, Job, JobSpec, overdue};

impl Report {
    /// Adds what is known of drills. `waiting_since` says since when a job is waited for; one that nobody has seen yet is not
    /// overdue.
    pub fn drills(
        &mut self,
        drills: &BTreeMap<InstanceId, Remembered>,
        specs: &[JobSpec],
        waiting_since: &dyn Fn(&str) -> Option<DateTime<Utc>>,
        clock: &Clock,
    ) {
        for instance in &mut self.instances {
            let known = drills.iter().find(|(id, _)| id.to_string() == instance.id).and_then(|(_, known)| known.last.as_ref());
            instance.drill = known.map(|last| DrillReport {
                snapshot: last.snapshot.to_string(),
                drilled_at: last.at.to_rfc3339_opts(SecondsFormat::Secs, true),
                took_ms: last.took_ms,
                passed: last.passed,
                said: if last.passed {
                    format!("restored and checked {}", since(last.at, last.took_ms, clock.now))
                } else {
                    format!("FAILED {}", since(last.at, last.took_ms, clock.now))
                },
            });
        }
        for (id, known) in drills {
            if let Some(last) = known.last.as_ref().filter(|last| !last.passed) {
                let why = last.why.as_deref().unwrap_or("it could not be looked at");
                let message = format!("its backup of {} did not restore as it should: {why}", last.snapshot.stamp());
                self.problem("drill-failed", Some(id), message, format!("summoner drill {id}   once that is mended"));
            }
        }
        for spec in specs.iter().filter(|spec| spec.job == Job::Drill) {
            let (Some(id), Some(waiting)) = (&spec.instance, waiting_since(&spec.id)) else { continue };
            let passed = drills.get(id).and_then(|known| known.passed.as_ref()).map(|passed| passed.at);
            // One that failed last is told already.
            let failed = drills.get(id).and_then(|known| known.last.as_ref()).is_some_and(|last| !last.passed);
            if let Some(missing) = overdue(passed, spec, waiting, clock).filter(|_| !failed) {
                let newest = missing.newest_good.map_or_else(
                    || "it was never restored and checked".to_owned(),
                    |at| format!("it was last restored and checked on {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
                );
                let message =
                    format!("the drill that was due at {} is missing: {newest}", missing.expected_at.format("%Y-%m-%d %H:%M UTC"));
                self.problem("drill-overdue", Some(id), message, format!("summoner drill {id}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::super::Problem;
    use super::*;
    use crate::config::schedule::Times;
    use crate::plan::drill::Short;

    fn problems(known: Option<Remembered>, waiting: Option<&str>, now: &str) -> Vec<(&'static str, String)> {
        let id: InstanceId = "ghost-a.fr".parse().unwrap();
        let spec = JobSpec {
            id: "drill ghost-a.fr".into(),
            job: Job::Drill,
            instance: Some(id.clone()),
            times: Times::parse("0 6 * * 0").unwrap(),
            cron: String::new(),
            offset: chrono::TimeDelta::zero(),
            quiet: None,
        };
        let drills = known.into_iter().map(|known| (id.clone(), known)).collect();
        let clock = Clock { zone: Tz::UTC, now: now.parse().unwrap(), started_at: None };
        let mut report = Report { version: 1, instances: vec![], foreign: vec![], problems: vec![] };
        report.drills(&drills, &[spec], &|_| waiting.map(|at| at.parse().unwrap()), &clock);
        report.problems.into_iter().map(|Problem { id, message, .. }| (id, message)).collect()
    }

    fn short(at: &str, passed: bool) -> Short {
        let why = (!passed).then(|| "it answered 500".to_owned());
        Short { snapshot: "ghost-a.fr/20261121T020000Z".parse().unwrap(), at: at.parse().unwrap(), took_ms: 41_000, passed, why }
    }

    #[test]
    fn a_failed_and_a_missing_drill_are_problems() {
        let good = short("2026-11-22T06:00:00Z", true);
        let known = |last: Short| Some(Remembered { passed: Some(good.clone()), last: Some(last), ..Remembered::default() });
        let since = Some("2026-11-01T00:00:00Z");
        assert_eq!(problems(known(good.clone()), since, "2026-12-02T17:00:00Z"), []);
        let late = problems(known(good.clone()), since, "2026-12-02T19:00:00Z");
        assert_eq!(late[0].0, "drill-overdue");
        assert!(late[0].1.ends_with("it was last restored and checked on 2026-11-22T06:00:00Z"), "{late:?}");
        let failed = problems(known(short("2026-11-29T06:00:00Z", false)), since, "2026-12-30T19:00:00Z");
        assert_eq!(failed, [("drill-failed", "its backup of 20261121T020000Z did not restore as it should: it answered 500".to_owned())]);
        assert_eq!(problems(None, None, "2026-12-30T19:00:00Z"), []);
        assert!(problems(None, since, "2026-12-30T19:00:00Z")[0].1.ends_with("it was never restored and checked"));
    }
}
