//! Values that Compose writes in more than one form: lists that are mappings, booleans of YAML 1.1, numbers with units.
//!
//! Each reader takes a node and its name for messages, records what is wrong, and gives the one form of the model.

use std::collections::BTreeMap;

use super::units;
use crate::fault::Faults;
use crate::yaml::{Fields, Node, Value, kind_of};

/// A boolean; `yes`, `on` and `1` are taken with a warning, as Compose does.
pub(super) fn flag(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<bool> {
    let what = fields.name(key);
    flag_of(fields.take(key)?, &what, faults)
}

/// As [`flag`], of a value that was taken already.
pub(super) fn flag_of(node: &Node, what: &str, faults: &mut Faults) -> Option<bool> {
    let text = node.as_str().map(str::to_ascii_lowercase);
    let old = match text.as_deref() {
        Some("true") => return Some(true),
        Some("false") => return Some(false),
        Some("1" | "y" | "yes" | "on") => true,
        Some("0" | "n" | "no" | "off") => false,
        _ => return node.boolean(what, faults),
    };
    faults.warning(&node.span, format!("{what} is read as {old}"), format!("write `{old}`"));
    Some(old)
}

/// A size in bytes.
pub(super) fn bytes(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<u64> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    converted(node, &what, "a size such as 512m or 1.5g", units::bytes, faults)
}

/// A duration in milliseconds.
pub(super) fn milliseconds(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<u64> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let read = |text: &str| units::duration(text).and_then(|duration| u64::try_from(duration.as_millis()).ok());
    converted(node, &what, "a duration with its unit, such as 30s or 1m30s", read, faults)
}

/// CPUs in billionths.
pub(super) fn nano_cpus(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<u64> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    converted(node, &what, "a number of CPUs such as 0.5", units::nano_cpus, faults)
}

/// A file mode: text is octal, a plain number with a leading zero too, and any other number is decimal as YAML has it.
pub(super) fn file_mode(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<u32> {
    let what = fields.name(key);
    let node = fields.take(key)?;
    let decimal = matches!(&node.value, Value::Scalar(scalar) if scalar.plain && !scalar.text.starts_with('0'));
    if !decimal {
        return converted(node, &what, "a mode in octal such as 0440", units::octal_mode, faults);
    }
    let mode =
        converted(node, &what, "a mode in octal such as 0440", |text| text.parse::<u32>().ok().filter(|mode| *mode <= 0o7777), faults)?;
    let text = node.as_str().unwrap_or_default();
    faults.warning(
        &node.span,
        format!("{what} is read as {mode:04o}: a plain {text} is decimal"),
        format!("write 0{text} or \"{text}\" when octal is meant"),
    );
    Some(mode)
}

/// Applies a conversion of text, with the wording that `yaml` has for wrong types.
pub(super) fn converted<T>(node: &Node, what: &str, wanted: &str, convert: impl Fn(&str) -> Option<T>, faults: &mut Faults) -> Option<T> {
    let value = node.as_str().and_then(convert);
    if value.is_none() {
        let found = node.as_str().map_or_else(|| kind_of(node).to_owned(), |text| format!("`{text}`"));
        faults.error(&node.span, format!("{what} must be {wanted}, but {found} stands here"));
    }
    value
}

/// One of a few words.
pub(super) fn word(fields: &mut Fields, key: &'static str, allowed: &[&str], faults: &mut Faults) -> Option<String> {
    let what = fields.name(key);
    word_of(fields.take(key)?, &what, allowed, faults)
}

/// As [`word`], of a value that was taken already.
pub(super) fn word_of(node: &Node, what: &str, allowed: &[&str], faults: &mut Faults) -> Option<String> {
    let wanted = allowed.join(", ");
    converted(node, what, &wanted, |text| allowed.contains(&text).then(|| text.to_owned()), faults)
}

/// A list of texts without repetition; Compose drops the second of two equal ones.
pub(super) fn unique(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in fields.texts(key, faults) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// `{A: 1, B: null}` or `[A=1, B]`: values by name, None where there is none.
pub(super) fn pairs(node: &Node, what: &str, faults: &mut Faults) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    if let Some(items) = node.as_list() {
        for (at, item) in items.iter().enumerate() {
            let Some(text) = item.text(&format!("{what}[{at}]"), faults) else { continue };
            let (key, value) = text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value.to_owned())));
            if key.is_empty() {
                faults.error(&item.span, format!("{what}[{at}] has no name before the `=`"));
                continue;
            }
            if all.insert(key.to_owned(), value).is_some() {
                faults.warning(&item.span, format!("{what} sets `{key}` twice; this one counts"), "remove one of them");
            }
        }
        return all;
    }
    for (key, value) in node.entries(what, faults).unwrap_or_default() {
        let text = if value.is_null() { None } else { value.text(&format!("{what}.{}", key.text), faults) };
        if let Some(text) = &text {
            warn_of_number(value, &format!("{what}.{}", key.text), text, faults);
        }
        all.insert(key.text.clone(), text);
    }
    all
}

/// As [`pairs`], with nothing for what has no value: labels, options.
pub(super) fn texts_by_name(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> BTreeMap<String, String> {
    let what = fields.name(key);
    let Some(node) = fields.take(key) else { return BTreeMap::new() };
    pairs(node, &what, faults).into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}

/// YAML readers of other programs turn `022` into 18 and `1.10` into 1.1; what was written is kept here.
fn warn_of_number(node: &Node, what: &str, text: &str, faults: &mut Faults) {
    let Value::Scalar(scalar) = &node.value else { return };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number = scalar.plain
        && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (digits.parse::<f64>().is_ok() || digits.contains('_') || digits.starts_with("0x") || digits.starts_with("0o"));
    let strange = number && digits.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+')) && {
        let leading = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let trailing = digits.contains('.') && digits.ends_with(['0', '.']) || digits.starts_with('.');
        leading || trailing || digits.contains(['_', 'e', 'E', 'x', 'o'])
    };
    let old_word = scalar.plain && matches!(text, "True" | "TRUE" | "False" | "FALSE");
    if strange || old_word {
        faults.warning(&node.span, format!("{what} is kept as `{text}`; other programs write this number another way"), "put it in quotes");
    }
}

/// Reports keys that Compose knows and Summoner does not, with the reason.
pub(super) fn refuse(node: &Node, fields: &mut Fields, table: &[(&'static str, &'static str)], faults: &mut Faults) {
    for (key, _) in node.as_map().unwrap_or_default() {
        if let Some((known, why)) = table.iter().find(|(known, _)| *known == key.text) {
            fields.take(known);
            let name = fields.name(known);
            faults.error_with_help(&key.span, format!("{name} is not implemented"), *why);
        }
    }
}

/// Takes a key that has no effect on one engine, and says so.
pub(super) fn inert(fields: &mut Fields, key: &'static str, why: &str, faults: &mut Faults) {
    let what = fields.name(key);
    if let Some(node) = fields.take(key) {
        faults.warning(&node.span, format!("{what} has no effect"), why);
    }
}
