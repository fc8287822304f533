//! A drill as a page in plain words: `drilled.txt` beside the manifest, and what the command prints.

use std::fmt::Write;

use chrono::SecondsFormat;

use super::{Drilled, lasted};
use crate::plan::snapshot::Manifest;

/// The page.
#[must_use]
pub fn page(drilled: &Drilled, manifest: &Manifest) -> String {
    let id = &drilled.snapshot;
    let verdict = if drilled.passed { "restored and checked" } else { "FAILED" };
    let at = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = format!("{}: {verdict} on {}, in {}\n\n", id.instance, at(drilled.at), lasted(drilled.took_ms));
    let mut line = |name: &str, value: String| {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<10}{value}");
    };
    line("snapshot", format!("{id}, taken on {}", at(manifest.id.time)));
    line("of", format!("{} {}", manifest.minion, manifest.minion_version.as_deref().unwrap_or("")).trim_end().to_owned());
    line("where", "a network of its own without a way out, in folders that are removed again; what is live was not touched".into());
    let steps: Vec<String> = drilled.steps.iter().map(|step| format!("{} {}", step.what, lasted(step.ms))).collect();
    if !steps.is_empty() {
        line("took", steps.join(", "));
    }
    text.push('\n');
    for finding in &drilled.findings {
        let mark = if finding.passed { "ok    " } else { "FAILED" };
        let said = finding.said.trim_end().replace('\n', &format!("\n{:18}", ""));
        let _ = writeln!(text, "{mark}  {:<8}  {said}", finding.check.as_str());
    }
    text.push('\n');
    text.push_str(if drilled.passed {
        "This snapshot restores: a person could work with what came back.\n"
    } else {
        "This snapshot is not proven: read what FAILED above. A backup that does not restore is none.\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Check, Finding, Timed, VERSION};
    use super::*;

    #[test]
    fn a_page_says_what_was_found() {
        let manifest = crate::plan::snapshot::example("ghost-a.fr/20261121T020000Z", Some("6.59.0"));
        let mut drilled = Drilled {
            version: VERSION,
            snapshot: manifest.id.clone(),
            at: "2026-11-22T06:00:00Z".parse().unwrap(),
            took_ms: 40_100,
            passed: true,
            summoner: "0.1.0".into(),
            steps: vec![Timed { what: "files".into(), ms: 900 }, Timed { what: "databases".into(), ms: 21_500 }],
            findings: vec![Finding::good(Check::Files, "12 files with 400 bytes"), Finding::good(Check::Probe, "/ answers 200")],
        };
        insta::assert_snapshot!(page(&drilled, &manifest), @"
        ghost-a.fr: restored and checked on 2026-11-22T06:00:00Z, in 41 s

        snapshot  ghost-a.fr/20261121T020000Z, taken on 2026-11-21T02:00:00Z
        of        ghost 6.59.0
        where     a network of its own without a way out, in folders that are removed again; what is live was not touched
        took      files 1 s, databases 22 s

        ok      files     12 files with 400 bytes
        ok      probe     / answers 200

        This snapshot restores: a person could work with what came back.
        ");
        drilled.passed = false;
        drilled.findings[1] = Finding::bad(Check::Probe, "it answered 500\nthe log says more");
        let text = page(&drilled, &manifest);
        assert!(
            text.starts_with("ghost-a.fr: FAILED on ") && text.contains("FAILED  probe     it answered 500\n                  the log"),
            "{text}"
        );
    }
}
