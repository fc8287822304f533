//! What was restored against what was dumped: tables, rows and content of a database; files in numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Finding};
use crate::plan::snapshot::{DatabaseFacts, Files};

/// So many differences of one kind are named, the rest is counted.
const NAMED: usize = 10;

/// Compares a database with what was recorded when it was dumped.
#[must_use]
pub fn compare(dumped: &DatabaseFacts, restored: &DatabaseFacts) -> Vec<Finding> {
    let name = if dumped.name.is_empty() { dumped.container.as_str() } else { dumped.name.as_str() };
    let (what, rows) = match dumped.kind {
        crate::name::DatabaseKind::Mongodb => ("collections", "documents"),
        _ => ("tables", "rows"),
    };
    let mut findings = Vec::new();
    if dumped.tables != restored.tables {
        let said = format!("{name} has {} {what} after the restore, {} were dumped", restored.tables, dumped.tables);
        findings.push(Finding::bad(Check::Database, said));
    }
    if dumped.rows.is_empty() && dumped.sample.is_none() {
        if findings.is_empty() {
            let said = format!("{name}: {} {what}, as dumped; its {rows} were not counted then, so they are not compared", dumped.tables);
            findings.push(Finding::good(Check::Database, said));
        }
        return findings;
    }
    let count = |facts: &DatabaseFacts, table: &str| facts.rows.get(table).copied().unwrap_or(0);
    let differ = names(&dumped.rows, &restored.rows).into_iter().filter(|table| count(dumped, table) != count(restored, table));
    let said =
        |table: &str| format!("{table} has {} {rows} after the restore, {} were dumped", count(restored, table), count(dumped, table));
    let counted: BTreeSet<&str> = differ.collect();
    findings.extend(named(counted.iter().map(|table| said(table)).collect(), what));
    if let (Some(then), Some(now)) = (&dumped.sample, &restored.sample) {
        let differ = names(then, now).into_iter().filter(|table| !counted.contains(table) && then.get(*table) != now.get(*table));
        let said = |table: &str| format!("{table} holds something else after the restore than what was dumped");
        findings.extend(named(differ.map(said).collect(), what));
    }
    if findings.is_empty() {
        let all: u64 = dumped.rows.values().sum();
        let content = if dumped.sample.is_some() { "; so is their content" } else { "; their content was not summed up then" };
        findings.push(Finding::good(Check::Database, format!("{name}: {} {what} with {all} {rows}, as dumped{content}", dumped.tables)));
    }
    findings
}

fn names<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a str> {
    one.keys().chain(other.keys()).map(String::as_str).collect()
}

fn named(mut said: Vec<String>, what: &str) -> Vec<Finding> {
    let more = said.len().saturating_sub(NAMED);
    said.truncate(NAMED);
    if more > 0 {
        said.push(format!("and so have {more} more {what}"));
    }
    said.into_iter().map(|said| Finding::bad(Check::Database, said)).collect()
}

/// Compares restored files with what the manifest says: how many, and how large all together.
#[must_use]
pub fn kept(manifest: &Files, files: u64, others: u64, bytes: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if (files, others) != (manifest.files, manifest.others) {
        findings.push(Finding::bad(
            Check::Files,
            format!(
                "{files} files and {others} folders and links were restored, the manifest says {} and {}",
                manifest.files, manifest.others
            ),
        ));
    }
    if bytes != manifest.bytes {
        findings.push(Finding::bad(Check::Files, format!("the files hold {bytes} bytes, the manifest says {}", manifest.bytes)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::DatabaseKind;

    fn facts(rows: &[(&str, u64)], sample: Option<&[(&str, &str)]>) -> DatabaseFacts {
        DatabaseFacts {
            container: "mysql-ghost-a.fr".into(),
            kind: DatabaseKind::Mysql,
            name: "ghost".into(),
            server_version: "8.4.11".into(),
            tables: 2,
            rows: rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            sample: sample.map(|all| all.iter().map(|(name, sum)| ((*name).to_owned(), (*sum).to_owned())).collect()),
        }
    }

    fn said(dumped: &DatabaseFacts, restored: &DatabaseFacts) -> String {
        let line = |finding: &Finding| format!("{} {}", if finding.passed { "+" } else { "-" }, finding.said);
        compare(dumped, restored).iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_difference_is_named() {
        let dumped = facts(&[("ghost.posts", 3), ("ghost.users", 1)], Some(&[("ghost.posts", "aa"), ("ghost.users", "bb")]));
        insta::assert_snapshot!(said(&dumped, &dumped), @"+ ghost: 2 tables with 4 rows, as dumped; so is their content");
        let short = facts(&[("ghost.posts", 2), ("ghost.users", 1)], Some(&[("ghost.posts", "ac"), ("ghost.users", "bc")]));
        insta::assert_snapshot!(said(&dumped, &short), @"
        - ghost.posts has 2 rows after the restore, 3 were dumped
        - ghost.users holds something else after the restore than what was dumped
        ");
        let gone = DatabaseFacts { tables: 1, ..facts(&[("ghost.posts", 3)], Some(&[("ghost.posts", "aa")])) };
        insta::assert_snapshot!(said(&dumped, &gone), @"
        - ghost has 1 tables after the restore, 2 were dumped
        - ghost.users has 0 rows after the restore, 1 were dumped
        ");
    }

    #[test]
    fn what_was_not_recorded_is_said() {
        let restored = facts(&[("ghost.posts", 3)], Some(&[("ghost.posts", "aa")]));
        insta::assert_snapshot!(said(&facts(&[], None), &restored), @"+ ghost: 2 tables, as dumped; its rows were not counted then, so they are not compared");
        insta::assert_snapshot!(said(&facts(&[("ghost.posts", 3)], None), &restored), @"+ ghost: 2 tables with 3 rows, as dumped; their content was not summed up then");
        // Recorded as empty is recorded.
        insta::assert_snapshot!(said(&facts(&[], Some(&[])), &restored), @"- ghost.posts has 3 rows after the restore, 0 were dumped");
    }

    #[test]
    fn numbers_of_files_are_compared() {
        let manifest = Files { files: 3, others: 2, bytes: 100, packs: vec![] };
        assert!(kept(&manifest, 3, 2, 100).is_empty());
        assert_eq!(kept(&manifest, 2, 2, 99).len(), 2);
    }
}
