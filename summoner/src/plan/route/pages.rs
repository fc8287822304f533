//! The pages that the proxy shows by itself. No script, nothing fetched from elsewhere, dark and light.

use std::time::Duration;

use super::site::{Site, Source};
use super::writer::{Param, Text, Unsafe};
use crate::vhost::HostName;

/// How often the waiting page looks again.
pub(super) const RETRY_S: u64 = 5;

/// "Ghost is starting".
pub(super) fn starting_title(site: &Site) -> String {
    format!("{} is starting", who(site))
}

/// An application by its name, anything else by its address.
fn who(site: &Site) -> String {
    match (&site.source, &site.name) {
        (Source::Instance(id), _) => capitalised(id.app.as_str()),
        (_, HostName::Regex(_)) => "The application".to_owned(),
        (_, name) => name.to_string(),
    }
}

/// Shown while an application does not answer.
pub(super) fn starting(site: &Site) -> String {
    let words = format!("{} is not ready yet, or busy for a moment. This page looks again by itself in {RETRY_S} seconds.", who(site));
    waiting(&starting_title(site), &words, RETRY_S, &site.name)
}

/// Shown while Summoner keeps an application still; `why` says what for ("is being backed up").
#[must_use]
pub fn paused(app: &str, host: &HostName, why: &str, back_in: Duration) -> String {
    let name = capitalised(app);
    let seconds = back_in.as_secs().max(1);
    let words = match seconds {
        1 => format!("{name} {why} and is back in a second. This page looks again by itself."),
        _ => format!("{name} {why} and is back in about {seconds} seconds. This page looks again by itself."),
    };
    waiting(&format!("{name} {why}"), &words, RETRY_S, host)
}

fn waiting(title: &str, words: &str, again_s: u64, host: &HostName) -> String {
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{again_s}\">\n");
    let below = match host {
        HostName::Regex(_) => String::new(),
        host => format!("\n<p class=\"quiet\">{}</p>", escaped(&host.to_string())),
    };
    page(&escaped(title), &refresh, &format!("<p>{}</p>{below}", escaped(words)))
}

/// The same without a file beside nginx, as the answer of a location: small, since nginx reads it in one parameter.
pub(super) fn inline(text: &mut Text, status: u64, title: &str, retry_s: u64) -> Result<(), Unsafe> {
    let ascii: String = title.chars().map(|c| if (' '..='~').contains(&c) && c != '$' { c } else { '?' }).take(200).collect();
    let title = Param::data("the reason", &escaped(&ascii))?;
    let seconds = Param::number(retry_s);
    let page = Param::ours("<!doctype html><meta charset=utf-8><meta name=viewport content=width=device-width><meta http-equiv=refresh content=")
        .then(&seconds)
        .then(&Param::ours("><title>"))
        .then(&title)
        .then(&Param::ours("</title><style>:root{color-scheme:light dark}body{font:1.05rem/1.6 system-ui;margin:20vh auto;max-width:30rem;padding:1rem}</style><h1>"))
        .then(&title)
        .then(&Param::ours("</h1><p>This page looks again by itself in "))
        .then(&seconds)
        .then(&Param::ours(" seconds."));
    text.ours("default_type text/html");
    text.line("add_header", &[Param::ours("Retry-After"), seconds, Param::ours("always")]);
    text.ours("add_header Cache-Control no-store always");
    text.line("return", &[Param::number(status), page]);
    Ok(())
}

/// Shown for a host name that leads nowhere.
pub(super) fn unknown() -> String {
    page(
        "Nothing lives here",
        "",
        "<p>This server answers, but it knows no application under this name.</p>\n<p class=\"quiet\">Check the address, or ask whoever runs this server.</p>",
    )
}

/// All three are free of foreign markup.
fn page(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         {head}<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f6f5f1; color: #2c2b28; font: 1.05rem/1.6 system-ui, sans-serif; }
main { max-width: 30rem; padding: 2.5rem; border-top: 3px solid #8a7fb8; }
h1 { margin: 0 0 .75rem; font-size: 1.6rem; font-weight: 600; }
p { margin: 0 0 .75rem; }
.quiet { color: #77746c; font-size: .9rem; }
@media (prefers-color-scheme: dark) { body { background: #1d1c20; color: #e6e4de; } .quiet { color: #9a978f; } }
";

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
