//! What a dump or a backup would do, in order, and what it costs the people at work. Pure.

use super::{Action, Plan, Step};
use crate::name::InstanceId;

/// What was found out about an instance.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Containers that run and write, in the order in which they start.
    pub writers: Vec<String>,
    /// The application stands still when asked, and is not stopped.
    pub quiesced: bool,
    /// Database containers, and whether each has a view that it can be dumped from while people work again.
    pub databases: Vec<(String, bool)>,
    /// How long it stood still the last time.
    pub last_downtime_ms: Option<u64>,
}

/// The steps of a dump.
#[must_use]
pub fn dump(instance: &InstanceId, facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    for (container, _) in &facts.databases {
        step(&mut plan, instance, Action::DumpDatabase, container, "while everything runs");
    }
    step(&mut plan, instance, Action::TakeSnapshot, &instance.to_string(), "stored, then read back");
    plan
}

/// The steps of a backup.
#[must_use]
pub fn backup(instance: &InstanceId, facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    let id = instance.to_string();
    step(&mut plan, instance, Action::CopyFiles, "files", "what changed since the last backup, while everything runs");
    let expected = facts.last_downtime_ms.map_or_else(String::new, |last| format!("; {last} ms the last time"));
    if facts.quiesced {
        step(&mut plan, instance, Action::StandStill, &id, &format!("it is asked to, and not stopped{expected}"));
    }
    for writer in facts.writers.iter().rev().filter(|_| !facts.quiesced) {
        step(&mut plan, instance, Action::StandStill, writer, &format!("it is stopped{expected}"));
    }
    for (container, _) in facts.databases.iter().filter(|(_, view)| !view) {
        step(&mut plan, instance, Action::DumpDatabase, container, "it has no view: the application stands still for the whole dump");
    }
    for (container, _) in facts.databases.iter().filter(|(_, view)| *view) {
        step(&mut plan, instance, Action::DumpDatabase, container, "its view is opened; the dump goes on while people work again");
    }
    step(&mut plan, instance, Action::GoOn, &id, "as soon as the last changes are set aside");
    step(&mut plan, instance, Action::TakeSnapshot, &id, "stored, then read back");
    plan
}

fn step(plan: &mut Plan, instance: &InstanceId, action: Action, object: &str, reason: &str) {
    let (instance, object, reason) = (Some(instance.clone()), object.to_owned(), reason.to_owned());
    plan.steps.push(Step { action, instance, object, reason, destructive: false });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_backup_says_who_stands_still_and_for_what() {
        let id: InstanceId = "wekan-a.fr".parse().unwrap();
        let facts = Facts {
            writers: vec!["wekan-a.fr".into(), "cron-wekan-a.fr".into()],
            databases: vec![("mysql-wekan-a.fr".into(), true), ("mongodb-wekan-a.fr".into(), false)],
            last_downtime_ms: Some(1200),
            ..Facts::default()
        };
        insta::assert_debug_snapshot!(lines(&backup(&id, &facts)), @r#"
        [
            "copy files files: what changed since the last backup, while everything runs",
            "stand still cron-wekan-a.fr: it is stopped; 1200 ms the last time",
            "stand still wekan-a.fr: it is stopped; 1200 ms the last time",
            "dump database mongodb-wekan-a.fr: it has no view: the application stands still for the whole dump",
            "dump database mysql-wekan-a.fr: its view is opened; the dump goes on while people work again",
            "go on wekan-a.fr: as soon as the last changes are set aside",
            "take snapshot wekan-a.fr: stored, then read back",
        ]
        "#);
        let quiet = Facts { quiesced: true, ..facts };
        assert!(lines(&backup(&id, &quiet))[1].contains("it is asked to, and not stopped"));
        assert_eq!(lines(&dump(&id, &quiet)).len(), 3);
    }
}
