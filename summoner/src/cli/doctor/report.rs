//! The report of `summoner doctor` for people: aligned, quiet, 80 columns.

use std::collections::BTreeSet;

use crate::doctor::{Check, State};

/// No line of the report is longer.
const WIDTH: usize = 80;

/// One line a check; what is not well says why it matters and what to do. Quiet leaves out what is well.
pub(super) fn text(checks: &[Check], signs: bool, quiet: bool) -> String {
    let shown: Vec<&Check> = checks.iter().filter(|check| !quiet || check.state != State::Ok || check.fixed).collect();
    let marks = if signs { 1 } else { "warning".len() };
    let titles = shown.iter().map(|check| check.title.chars().count()).max().unwrap_or(0);
    let indent = marks + titles + 4;
    let mut out = String::new();
    let mut explained = BTreeSet::new();
    for check in shown {
        let head = format!("{:<marks$}  {:<titles$}  ", mark(check, signs), check.title);
        out += &wrap(&head, &check.message, indent);
        // Five names that lead nowhere have one reason why that matters.
        if check.state == State::Failed && explained.insert(check.explanation) {
            out += &wrap(&" ".repeat(indent), check.explanation, indent);
        }
        if let Some(fix) = check.fix.as_ref().filter(|_| check.state != State::Ok) {
            out += &wrap(&format!("{}next: ", " ".repeat(indent)), fix, indent + 6);
        }
    }
    if !quiet {
        out += &format!("\n{}\n", summary(checks));
    }
    out
}

fn mark(check: &Check, signs: bool) -> &'static str {
    match (check.state, signs) {
        (State::Ok, _) if check.fixed && !signs => "fixed",
        (State::Ok, true) => "✓",
        (State::Ok, false) => "ok",
        (State::Warning, true) => "!",
        (State::Warning, false) => "warning",
        (State::Failed, true) => "✗",
        (State::Failed, false) => "failed",
        (State::Unknown, true) => "?",
        (State::Unknown, false) => "unknown",
    }
}

fn summary(checks: &[Check]) -> String {
    let number = |counts: fn(&Check) -> bool| checks.iter().filter(|check| counts(check)).count();
    let (failed, unknown) = (number(|check| check.state == State::Failed), number(|check| check.state == State::Unknown));
    let warnings = number(|check| check.state == State::Warning);
    let parts = [
        (number(|check| check.fixed), "mended"),
        (failed, "failed"),
        (unknown, "not verified"),
        (warnings, if warnings == 1 { "warning" } else { "warnings" }),
    ];
    let said: Vec<String> = parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    let verdict = if failed + unknown > 0 { "this machine needs a person" } else { "this machine is ready" };
    if said.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", said.join(", ")) }
}

/// Breaks a text between words; later lines begin below the first one's text. A long word keeps its line to itself.
fn wrap(head: &str, text: &str, indent: usize) -> String {
    let mut out = head.to_owned();
    let mut column = head.chars().count();
    let mut first = true;
    // Blanks in a row set a command off from the words about it.
    for word in text.split(' ') {
        let length = word.chars().count();
        if !first && column + 1 + length > WIDTH && !word.is_empty() {
            out.truncate(out.trim_end().len());
            out += &format!("\n{}", " ".repeat(indent));
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += length;
        first = false;
    }
    out + "\n"
}

#[cfg(test)]
mod tests;
