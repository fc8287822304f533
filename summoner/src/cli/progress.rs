//! The story of a running command: one line an instance on a terminal, plain lines elsewhere, JSON when asked.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Progress;
use crate::event::{Event, Listener, Silent};

/// How often the wheel turns.
const TICK: Duration = Duration::from_millis(120);
/// What host-wide steps are called.
const HOST: &str = "host";

/// Chooses the form of the story.
pub(super) fn listener(progress: Progress, quiet: bool) -> Box<dyn Listener> {
    match progress {
        _ if quiet && progress == Progress::Text => Box::new(Silent),
        Progress::Json => Box::new(Json),
        Progress::Text if std::io::stderr().is_terminal() => Box::new(Terminal::default()),
        Progress::Text => Box::new(Lines::default()),
    }
}

/// One JSON object a line.
struct Json;

impl Listener for Json {
    fn hear(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            say(&line);
        }
    }
}

/// One line for what matters; a pipe wants no wheel.
#[derive(Default)]
struct Lines {
    last: Mutex<BTreeMap<String, String>>,
}

impl Listener for Lines {
    fn hear(&self, event: &Event) {
        match event {
            Event::Begin { instance, doing } => say(&format!("{}: {doing}", instance.as_deref().unwrap_or(HOST))),
            // A pull says hundreds of things; each state of an instance is said once.
            Event::Progress { instance, message } => {
                let key = instance.clone().unwrap_or_else(|| HOST.to_owned());
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                if !is_download(message) && last.get(&key) != Some(message) {
                    say(&format!("{key}: {message}"));
                    last.insert(key, message.clone());
                }
            }
            Event::Ready { instance, url, elapsed } => say(&ready(instance, url.as_deref(), *elapsed)),
            Event::Failed { instance, message } => say(&format!("{instance}: failed: {message}")),
            Event::Note { message } => say(&format!("note: {message}")),
        }
    }
}

fn is_download(message: &str) -> bool {
    [
        "Downloading",
        "Extracting",
        "Waiting",
        "Pulling fs layer",
        "Verifying Checksum",
        "Download complete",
        "Pull complete",
        "Already exists",
    ]
    .iter()
    .any(|word| message.ends_with(word))
}

fn ready(instance: &str, url: Option<&str>, elapsed: Duration) -> String {
    format!("{instance}: ready in {:.1} s{}", elapsed.as_secs_f64(), url.map(|url| format!("  {url}")).unwrap_or_default())
}

/// A turning wheel for each instance, a lasting line when it is done.
#[derive(Default)]
struct Terminal {
    all: MultiProgress,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Terminal {
    fn bar(&self, instance: Option<&String>) -> ProgressBar {
        let key = instance.cloned().unwrap_or_else(|| HOST.to_owned());
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {prefix:.bold} {wide_msg:.dim} {elapsed:>4}") {
                bar.set_style(style);
            }
            bar.set_prefix(key.clone());
            bar.enable_steady_tick(TICK);
            bar
        };
        bars.entry(key.clone()).or_insert_with(make).clone()
    }

    fn end(&self, instance: &str, line: &str) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = bars.remove(HOST) {
            host.finish_and_clear();
        }
        if let Some(bar) = bars.remove(instance) {
            bar.finish_and_clear();
        }
        // A closed terminal loses the line, not the work.
        let _ = self.all.println(line);
    }
}

impl Listener for Terminal {
    fn hear(&self, event: &Event) {
        match event {
            Event::Begin { instance, doing } => self.bar(instance.as_ref()).set_message(doing.clone()),
            Event::Progress { instance, message } => self.bar(instance.as_ref()).set_message(message.clone()),
            Event::Ready { instance, url, elapsed } => {
                let url = url.as_deref().map(|url| format!("  {url}")).unwrap_or_default();
                self.end(instance, &format!("\u{1b}[32m✓\u{1b}[0m {instance:<34} {:>6.1} s{url}", elapsed.as_secs_f64()));
            }
            Event::Failed { instance, message } => self.end(instance, &format!("\u{1b}[31m✗\u{1b}[0m {instance}  {message}")),
            Event::Note { message } => self.end("", &format!("  {message}")),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        for bar in self.bars.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.finish_and_clear();
        }
    }
}

fn say(line: &str) {
    // Nobody reads the story any more: the command goes on.
    let _ = writeln!(std::io::stderr(), "{line}");
}
