//! The recovery card as a page to print: one A4, nothing outside of it is needed to show it.

use std::fmt::Write;

use super::text::{drilled, minute, verified};
use super::{Card, CardKey, CardPlace, KEY_FILE, Proof, Step};

/// More would not fit on one sheet; the text file has all.
const MOST_INSTANCES: usize = 8;
const STYLE: &str = include_str!("page.css");

/// The card as HTML.
#[must_use]
pub fn page(card: &Card) -> String {
    let mut out = String::new();
    let domain = escaped(&card.domain);
    put(
        &mut out,
        &format!("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Recovery card of {domain}</title>\n"),
    );
    put(
        &mut out,
        &format!("<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<p class=\"kind\">Recovery card</p>\n<h1>{domain}</h1>\n"),
    );
    put(
        &mut out,
        &format!(
            "<p>Made {} by summoner {}. Contact: {}. config.yml was {}.</p>\n",
            minute(card.made_at),
            escaped(&card.summoner),
            escaped(&card.email),
            escaped(&card.config)
        ),
    );
    put(
        &mut out,
        "<p>Keep this sheet where the server is not. It holds no secret; what it names must lie elsewhere as well. A new one is due when the keys, the places or the domain change.</p>\n</header>\n",
    );
    keys(&mut out, card);
    places(&mut out, card);
    section(&mut out, "On an empty machine");
    steps(&mut out, &card.steps);
    section(&mut out, "The same without Summoner");
    steps(&mut out, &card.without);
    proofs(&mut out, card);
    put(&mut out, "</body>\n</html>\n");
    out
}

fn keys(out: &mut String, card: &Card) {
    section(out, "Which key is needed");
    if card.keys.is_empty() {
        put(out, "<p>None: nothing is encrypted.</p>\n");
        return;
    }
    put(out, "<table class=\"keys\">\n<tr><th>Key</th><th>Its private key lies</th><th>Who has it</th></tr>\n");
    for CardKey { fingerprint, recipient } in &card.keys {
        let (fingerprint, recipient) = (escaped(fingerprint), escaped(recipient));
        put(out, &format!("<tr><td><b>{fingerprint}</b><br><small>{recipient}</small></td><td></td><td></td></tr>\n"));
    }
    put(
        out,
        &format!(
            "</table>\n<p>Any one of them opens everything that was made for it. <code>{KEY_FILE}</code> below is the file of its private key.</p>\n"
        ),
    );
}

fn places(out: &mut String, card: &Card) {
    section(out, "Where the backups are");
    put(out, "<table class=\"places\">\n<tr><th>Name</th><th>Place</th><th>To get in</th></tr>\n");
    for CardPlace { name, place, encrypted, needs } in &card.places {
        let (name, place, needs) = (escaped(name), escaped(place), escaped(&needs.join("; ")));
        let encrypted = if *encrypted { "encrypted; " } else { "" };
        put(out, &format!("<tr><td>{name}</td><td><code>{place}</code></td><td>{encrypted}{needs}</td></tr>\n"));
    }
    put(out, "</table>\n");
    if card.places.len() < 2 {
        put(out, "<p class=\"bad\">No other place: when this server is gone, everything is.</p>\n");
    }
    put(out, "<p class=\"blank\">Copies of what it takes to get in, and the program, lie</p>\n");
}

fn proofs(out: &mut String, card: &Card) {
    section(out, "What was proven when this was printed");
    if card.instances.is_empty() {
        put(out, "<p>Nothing runs here yet.</p>\n");
        return;
    }
    put(out, "<table class=\"proofs\">\n<tr><th>Instance</th><th>Address</th><th>Newest whole snapshot</th><th>Drill</th></tr>\n");
    for proof in card.instances.iter().take(MOST_INSTANCES) {
        let Proof { id, url, drill, .. } = proof;
        let (id, url) = (escaped(&id.to_string()), escaped(url.as_deref().unwrap_or_default()));
        put(out, &format!("<tr><td>{id}</td><td>{url}</td><td>{}</td><td>{}</td></tr>\n", verified(proof), drilled(drill.as_ref())));
    }
    put(out, "</table>\n");
    if card.instances.len() > MOST_INSTANCES {
        put(out, &format!("<p>And {} more: the text file names them.</p>\n", card.instances.len() - MOST_INSTANCES));
    }
}

fn section(out: &mut String, title: &str) {
    put(out, &format!("<h2>{title}</h2>\n"));
}

fn steps(out: &mut String, steps: &[Step]) {
    put(out, "<ol>\n");
    for Step { what, commands } in steps {
        put(out, &format!("<li>{}\n<pre>{}</pre></li>\n", escaped(what), escaped(&commands.join("\n"))));
    }
    put(out, "</ol>\n");
}

fn put(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    _ = out.write_str(text);
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
