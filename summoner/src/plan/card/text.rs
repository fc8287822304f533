//! The recovery card as a text file.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::{Card, CardKey, CardPlace, KEY_FILE, Proof, Step};
use crate::plan::drill::Short;

/// A line to fill in by hand.
const BLANK: &str = "________________________________________________";

/// The card as plain text.
#[must_use]
pub fn text(card: &Card) -> String {
    let mut out = String::new();
    let Card { domain, email, summoner, config, .. } = card;
    line(&mut out, &format!("RECOVERY CARD OF {domain}"));
    line(&mut out, &format!("made {} by summoner {summoner}; {email}; config.yml was {config}", minute(card.made_at)));
    line(&mut out, "");
    line(&mut out, "Keep it where the server is not, on paper too. It holds no secret: what it names must lie elsewhere as well.");
    line(&mut out, "A new one is due when the keys, the places or the domain change; `summoner doctor` says so.");
    heading(&mut out, "1  Which key is needed");
    if card.keys.is_empty() {
        line(&mut out, "   None: nothing is encrypted.");
    }
    for CardKey { fingerprint, recipient } in &card.keys {
        line(&mut out, &format!("   {fingerprint}   {recipient}"));
        line(&mut out, &format!("     its private key lies  {BLANK}"));
        line(&mut out, &format!("     who has it            {BLANK}"));
    }
    if !card.keys.is_empty() {
        line(
            &mut out,
            &format!("   Any one of them opens everything that was made for it. {KEY_FILE} below is the file of its private key."),
        );
    }
    heading(&mut out, "2  Where the backups are");
    for CardPlace { name, place, encrypted, needs } in &card.places {
        line(&mut out, &format!("   {name}: {place}{}", if *encrypted { " (encrypted)" } else { "" }));
        for need in needs {
            line(&mut out, &format!("     {need}"));
        }
    }
    if card.places.len() < 2 {
        line(&mut out, "   NO OTHER PLACE: when this server is gone, everything is. Add `repositories:` to config.yml.");
    }
    line(&mut out, &format!("   copies of what it takes to get in lie  {BLANK}"));
    heading(&mut out, "3  On an empty machine");
    steps(&mut out, &card.steps);
    heading(&mut out, "4  The same without Summoner");
    steps(&mut out, &card.without);
    heading(&mut out, "5  What was proven when this was printed");
    for proof in &card.instances {
        let Proof { id, url, .. } = proof;
        line(&mut out, &format!("   {id}{}", url.as_ref().map_or_else(String::new, |url| format!("   {url}"))));
        line(&mut out, &format!("     newest whole snapshot {}; {}", verified(proof), drilled(proof.drill.as_ref())));
    }
    if card.instances.is_empty() {
        line(&mut out, "   Nothing runs here yet.");
    }
    out
}

/// Day and minute, as a person reads them.
pub(super) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// When its newest whole snapshot was taken.
pub(super) fn verified(proof: &Proof) -> String {
    proof.verified.map_or_else(|| "NONE".to_owned(), minute)
}

/// How its last drill ended.
pub(super) fn drilled(drill: Option<&Short>) -> String {
    match drill {
        None => "never drilled".to_owned(),
        Some(Short { at, passed: true, took_ms, .. }) => format!("drilled {} in {} s", minute(*at), took_ms.div_ceil(1000)),
        Some(Short { at, passed: false, .. }) => format!("its drill FAILED {}", minute(*at)),
    }
}

fn line(out: &mut String, line: &str) {
    // Writing to a text cannot fail.
    _ = writeln!(out, "{line}");
}

fn heading(out: &mut String, heading: &str) {
    line(out, "");
    line(out, heading);
}

fn steps(out: &mut String, steps: &[Step]) {
    for (number, Step { what, commands }) in steps.iter().enumerate() {
        line(out, &format!("   {}. {what}", number + 1));
        for command in commands {
            line(out, &format!("        {command}"));
        }
    }
}
