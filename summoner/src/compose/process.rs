//! What runs in a container and how it is watched: `command`, `entrypoint`, `healthcheck`, `build`, `logging`.

use super::model::{Build, Healthcheck, Logging};
use super::values::{flag, milliseconds, pairs, refuse, texts_by_name};
use super::work::{Work, absolute};
use super::{rebase, refused, units};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// A command as words: a list stands as it is, a text is split without a shell.
pub(super) fn command(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<Vec<String>> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let Some(text) = node.as_str() else { return node.texts(&what, faults) };
    match units::words(text) {
        Ok(words) => Some(words),
        Err(error) => {
            let help = "write a list; a line for a shell is [\"sh\", \"-c\", \"…\"]";
            faults.error_with_help(&node.span, format!("{what} cannot be split into words: {error}"), help);
            None
        }
    }
}

/// A health check; `disable: true` is `["NONE"]`.
pub(super) fn healthcheck(node: &Node, path: String, faults: &mut Faults) -> Option<Healthcheck> {
    let mut fields = Fields::open(node, path, faults)?;
    let disabled = flag(&mut fields, "disable", faults).unwrap_or_default();
    let what = fields.name("test");
    let test = fields.take("test").and_then(|node| test(node, &what, faults)).unwrap_or_default();
    let retries = fields.integer::<i64>("retries", faults).map(i64::unsigned_abs);
    let check = Healthcheck {
        test: if disabled { vec!["NONE".into()] } else { test },
        interval_ms: milliseconds(&mut fields, "interval", faults),
        timeout_ms: milliseconds(&mut fields, "timeout", faults),
        retries,
        start_period_ms: milliseconds(&mut fields, "start_period", faults),
        start_interval_ms: milliseconds(&mut fields, "start_interval", faults),
    };
    fields.finish(faults);
    Some(if disabled { Healthcheck { test: check.test, ..Healthcheck::default() } } else { check })
}

fn test(node: &Node, what: &str, faults: &mut Faults) -> Option<Vec<String>> {
    if let Some(line) = node.as_str() {
        return Some(vec!["CMD-SHELL".into(), line.to_owned()]);
    }
    let words = node.texts(what, faults)?;
    match words.first().map(String::as_str) {
        None | Some("CMD" | "NONE") => {}
        Some("CMD-SHELL") if words.len() == 2 => {}
        Some("CMD-SHELL") => faults.error(&node.span, format!("{what}: CMD-SHELL takes exactly one line")),
        Some(_) => faults.error(&node.span, format!("{what} must begin with CMD, CMD-SHELL or NONE")),
    }
    Some(words)
}

/// How to build the image.
pub(super) fn build(work: &mut Work, node: &Node, path: String) -> Option<Build> {
    if let Some(context) = node.as_str() {
        return Some(Build { context: context_path(work, context), ..Build::default() });
    }
    let mut fields = Fields::open(node, path, &mut work.faults)?;
    let faults = &mut work.faults;
    refuse(node, &mut fields, refused::BUILD_KEYS, faults);
    let context = fields.text("context", faults).unwrap_or_else(|| ".".into());
    let dockerfile = fields.text("dockerfile", faults);
    let what = fields.name("args");
    let mut args = fields.take("args").map(|node| pairs(node, &what, faults)).unwrap_or_default();
    for (name, value) in &mut args {
        if value.is_none() {
            *value = work.variables.get(name).cloned();
        }
    }
    let target = fields.text("target", faults);
    fields.finish(faults);
    Some(Build { context: context_path(work, &context), dockerfile, args, target })
}

fn context_path(work: &Work, context: &str) -> String {
    if rebase::is_remote(context) { context.to_owned() } else { absolute(work.input.folder, context).display().to_string() }
}

/// Log driver and its options.
pub(super) fn logging(node: &Node, path: String, faults: &mut Faults) -> Option<Logging> {
    let mut fields = Fields::open(node, path, faults)?;
    let logging = Logging { driver: fields.text("driver", faults), options: texts_by_name(&mut fields, "options", faults) };
    fields.finish(faults);
    Some(logging)
}
