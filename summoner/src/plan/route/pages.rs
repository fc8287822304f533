//! The two pages that the proxy shows by itself. No script, nothing fetched from elsewhere, dark and light.

use crate::name::{App, Domain};

/// How often the waiting page looks again.
pub(super) const RETRY_S: u64 = 5;

/// Shown while an application does not answer.
pub(super) fn starting(app: &App, host: &Domain) -> String {
    let name = capitalised(app.as_str());
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{RETRY_S}\">\n");
    page(
        &format!("{name} is starting"),
        &refresh,
        &format!(
            "<p>{name} is not ready yet, or busy for a moment. This page looks again by itself in {RETRY_S} seconds.</p>\n<p class=\"quiet\">{host}</p>"
        ),
    )
}

/// Shown for a host name that leads nowhere.
pub(super) fn unknown() -> String {
    page(
        "Nothing lives here",
        "",
        "<p>This server answers, but it knows no application under this name.</p>\n<p class=\"quiet\">Check the address, or ask whoever runs this server.</p>",
    )
}

/// All three are free of markup by their types: an application's name is `[a-z0-9]`, a domain `[a-z0-9.-]`.
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
