//! Changes to config.yml that leave every other byte as it was: comments, order, quotes and line ends.
//!
//! The parser's places say where to cut, so nothing is ever printed anew. What comes out is read again by another
//! YAML reader and must be the old document plus the change and nothing else; otherwise nothing is written and the
//! person gets the lines to paste. Text in, text out: the caller writes the file.

mod cut;
mod legacy;

use std::path::Path;

use serde_yaml::Value;

use super::legacy::is_legacy;
use super::values::short;
use crate::error::{Error, Kind};
use crate::fault::{Fault, Faults, Source, did_you_mean};
use crate::name::Domain;
use crate::yaml::{Key, Limits, Node, parse};

use cut::Cuts;

/// What an app is added with; None is the default and is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppSettings {
    /// Name in the catalogue, when it is not the app's.
    pub minion: Option<String>,
    /// Where it lives, when it is not the first domain.
    pub domain: Option<Domain>,
    /// The part before the domain.
    pub subdomain: Option<String>,
}

/// Why a config.yml was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML to begin with.
    #[error("the file cannot be read as it is")]
    Unreadable(Vec<Fault>),
    /// It is there already.
    #[error("`{0}` is in the file already")]
    AlreadyThere(String),
    /// It is not there.
    #[error("there is no `{name}` in the file{}", .near.as_ref().map_or_else(String::new, |near| format!("; {near}")))]
    NotThere {
        /// What was asked for.
        name: String,
        /// "did you mean …".
        near: Option<String>,
    },
    /// The form of 2017 has no place for settings.
    #[error("the file has the form of 2017, which has no place for settings of an app")]
    Legacy,
    /// No safe change was found.
    #[error("the file is written in a way that cannot be changed safely by a program")]
    ByHand {
        /// What to paste or to delete, and where.
        lines: String,
    },
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        let message = format!("cannot change config.yml: {error}");
        match error {
            EditError::Unreadable(faults) => Self::faults(message, faults),
            EditError::Legacy => Self::new(Kind::Config, message).next("summoner config migrate"),
            EditError::ByHand { lines } => Self::new(Kind::Config, message).next(lines.trim_end().replace('\n', "\n         ")),
            EditError::AlreadyThere(_) => Self::usage(message).next("choose another name with --as, or another domain with --domain"),
            EditError::NotThere { .. } => Self::usage(message).next("summoner status"),
        }
    }
}

/// Adds an app, or another domain to an app that is there: then its `domain` becomes a list, `domains`.
///
/// # Errors
/// When it is there already, or no safe change was found: then the error holds the lines to paste.
pub fn add_app(text: &str, name: &str, settings: &AppSettings) -> Result<String, EditError> {
    let root = read(text)?;
    if is_legacy(&root) {
        return if *settings == AppSettings::default() { legacy::add(text, &root, name) } else { Err(EditError::Legacy) };
    }
    let base = root.get("domain").and_then(Node::as_str).and_then(|text| text.parse::<Domain>().ok());
    let mut settings = settings.clone();
    settings.domain = settings.domain.filter(|domain| Some(domain) != base.as_ref());
    let lines = settings.lines();
    let by_hand = || EditError::ByHand { lines: format!("put this below `apps:` yourself:\n{}", block(name, &lines, "  ", "\n")) };
    let mut cuts = Cuts::new(text);
    let apps = root.as_map().and_then(|entries| entries.iter().find(|(key, _)| key.text == "apps"));
    if let Some((key, node)) = apps.and_then(|(_, apps)| apps.as_map()).and_then(|apps| apps.iter().find(|(key, _)| key.text == name)) {
        // The first domain may be asked for by name as well.
        let Some(domain) = settings.domain.or(base.clone()) else { return Err(EditError::AlreadyThere(name.to_owned())) };
        let (domains, aliases) = (domains_of(node, base.as_ref()), node.get("aliases").is_some_and(|node| !node.is_null()));
        if domains.contains(&domain) {
            return Err(EditError::AlreadyThere(format!("{name}-{domain}")));
        }
        // Settings of one instance cannot be had for the other, and aliases lead to one instance only.
        if aliases || settings.minion.is_some() || settings.subdomain.is_some() {
            return Err(EditError::AlreadyThere(name.to_owned()));
        }
        add_domain(&mut cuts, key, node, &domains, &domain).ok_or_else(by_hand)?;
        let wanted = domains.iter().chain([&domain]).cloned().collect();
        return finish(&cuts, |old| set_domains(old, name, wanted)).ok_or_else(by_hand);
    }
    match apps {
        Some((key, apps)) => cuts.add_entry(key, apps, name, &lines),
        None => cuts.append_block("apps", &block(name, &lines, "  ", cuts.eol())).then_some(()),
    }
    .ok_or_else(by_hand)?;
    finish(&cuts, |old| add_value(old, name, &settings)).ok_or_else(by_hand)
}

/// Takes an app away, with the lines that are its own. Comments above it stay: nobody knows whose they are.
///
/// # Errors
/// When it is not there, or no safe change was found.
pub fn remove_app(text: &str, name: &str) -> Result<String, EditError> {
    let root = read(text)?;
    if is_legacy(&root) {
        return legacy::remove(text, &root, name);
    }
    let apps = root.get("apps").ok_or_else(|| not_there(name, &[]))?;
    let entries = apps.as_map().unwrap_or_default();
    let (key, node) = entries.iter().find(|(key, _)| key.text == name).ok_or_else(|| not_there(name, entries))?;
    let by_hand = || EditError::ByHand { lines: format!("delete `{name}` below `apps:` yourself") };
    let mut cuts = Cuts::new(text);
    cuts.remove_entry(apps, key, node).ok_or_else(by_hand)?;
    finish(&cuts, |old| old.get_mut("apps").and_then(Value::as_mapping_mut)?.shift_remove(name).map(|_| ())).ok_or_else(by_hand)
}

/// Takes an app away from one domain; from its last one, the app goes.
///
/// # Errors
/// When it is not there, or no safe change was found.
pub fn remove_instance(text: &str, name: &str, domain: &Domain) -> Result<String, EditError> {
    let root = read(text)?;
    let base = root.get("domain").or_else(|| root.get("summoner")?.get("domain")).and_then(|node| node.as_str()?.parse::<Domain>().ok());
    let entry = root.get("apps").and_then(|apps| apps.get(name));
    let domains = entry.map_or_else(|| base.iter().cloned().collect(), |node| domains_of(node, base.as_ref()));
    if !domains.contains(domain) {
        return Err(not_there(&format!("{name}-{domain}"), &[]));
    }
    let Some((node, list)) = entry.filter(|_| domains.len() > 1).and_then(|node| Some((node, node.get("domains")?))) else {
        return remove_app(text, name);
    };
    let by_hand = || EditError::ByHand { lines: format!("delete {domain} from `domains:` of `{name}` yourself") };
    let at = domains.iter().position(|known| known == domain).unwrap_or_default();
    let mut cuts = Cuts::new(text);
    cuts.remove_item(list, at).filter(|()| node.get("domains").is_some()).ok_or_else(by_hand)?;
    let wanted = domains.into_iter().filter(|known| known != domain).collect();
    finish(&cuts, |old| set_domains(old, name, wanted)).ok_or_else(by_hand)
}

/// Says where data is, in place of what is said there now.
///
/// # Errors
/// No safe change was found.
pub fn set_storage(text: &str, files: &Path, databases: &Path) -> Result<String, EditError> {
    let root = read(text)?;
    let paths = [("files", files), ("databases", databases)].map(|(key, path)| (key, path.display().to_string()));
    let lines = paths.each_ref().map(|(key, path)| format!("  {key}: {}\n", scalar(path))).concat();
    let by_hand = || EditError::ByHand { lines: format!("put this into the file yourself:\nstorage:\n{lines}") };
    if is_legacy(&root) {
        return Err(by_hand());
    }
    let mut without = text.to_owned();
    if let Some((key, node)) = root.as_map().and_then(|entries| entries.iter().find(|(key, _)| key.text == "storage")) {
        let mut cuts = Cuts::new(text);
        cuts.remove_entry(&root, key, node).ok_or_else(by_hand)?;
        without = finish(&cuts, |old| old.as_mapping_mut()?.shift_remove("storage").map(|_| ())).ok_or_else(by_hand)?;
    }
    let mut cuts = Cuts::new(&without);
    let below = lines.replace('\n', cuts.eol());
    cuts.append_block("storage", &below).then_some(()).ok_or_else(by_hand)?;
    let storage: serde_yaml::Mapping = paths.into_iter().map(|(key, path)| (key.into(), path.into())).collect();
    finish(&cuts, |old| old.as_mapping_mut()?.insert("storage".into(), Value::Mapping(storage)).is_none().then_some(())).ok_or_else(by_hand)
}

impl AppSettings {
    /// `key: value` lines, in the order in which a person reads them.
    fn lines(&self) -> Vec<String> {
        let domain = self.domain.as_ref().map(ToString::to_string);
        let all = [("minion", &self.minion), ("domain", &domain), ("subdomain", &self.subdomain)];
        all.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", scalar(value.as_ref()?)))).collect()
    }
}

/// A text that every YAML reader takes for that text.
pub(super) fn scalar(text: &str) -> String {
    let word =
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+@_".contains(&b));
    let meaning = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if word && !meaning { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// An entry in block style.
fn block(name: &str, lines: &[String], indent: &str, eol: &str) -> String {
    let below = lines.iter().map(|line| format!("{indent}  {line}{eol}"));
    std::iter::once(format!("{indent}{name}:{eol}")).chain(below).collect()
}

fn domains_of(node: &Node, base: Option<&Domain>) -> Vec<Domain> {
    let one = |node: &Node| node.as_str().and_then(|text| text.parse::<Domain>().ok());
    match (node.get("domains").filter(|node| !node.is_null()), node.get("domain").and_then(one)) {
        (Some(many), _) => many.as_list().unwrap_or(std::slice::from_ref(many)).iter().filter_map(one).collect(),
        (None, Some(single)) => vec![single],
        (None, None) => base.into_iter().cloned().collect(),
    }
}

fn add_domain(cuts: &mut Cuts<'_>, key: &Key, node: &Node, domains: &[Domain], domain: &Domain) -> Option<()> {
    let entries = node.as_map().unwrap_or_default();
    let list = format!("[{}]", domains.iter().chain([domain]).map(Domain::as_str).collect::<Vec<_>>().join(", "));
    if let Some((_, many)) = entries.iter().find(|(key, node)| key.text == "domains" && !node.is_null()) {
        return if many.as_list().is_some() { cuts.add_item(many, domain.as_str()) } else { cuts.replace(&many.span, &list) };
    }
    if let Some((old, single)) = entries.iter().find(|(key, node)| key.text == "domain" && !node.is_null()) {
        return cuts.replace(&(old.span.start..single.span.end), &format!("domains: {list}"));
    }
    cuts.add_first(key, node, "domains", &list)
}

fn read(text: &str) -> Result<Node, EditError> {
    let mut faults = Faults::new(&Source::new("config.yml", text));
    let root = parse(Limits::CONFIG, &mut faults);
    faults.finish(root).map(|(root, _)| root).map_err(EditError::Unreadable)
}

fn not_there(name: &str, entries: &[(Key, Node)]) -> EditError {
    let near = did_you_mean(name, entries.iter().map(|(key, _)| key.text.as_str()));
    EditError::NotThere { name: short(name), near }
}

/// The new text, if and only if it says the old document with the change applied.
fn finish(cuts: &Cuts<'_>, change: impl FnOnce(&mut Value) -> Option<()>) -> Option<String> {
    let new = cuts.apply();
    let plain = |text: &str| serde_yaml::from_str::<Value>(text.trim_start_matches('\u{feff}')).ok();
    let mut wanted = plain(cuts.text())?;
    change(&mut wanted)?;
    (without_nothing(plain(&new)?) == without_nothing(wanted) && cuts.keeps_comments(&new)).then_some(new)
}

/// `apps:` with nothing in it says the same however it is written.
fn without_nothing(mut document: Value) -> Value {
    if let Some(apps) = document.get_mut("apps").filter(|apps| apps.as_mapping().is_some_and(serde_yaml::Mapping::is_empty)) {
        *apps = Value::Null;
    }
    document
}

fn add_value(document: &mut Value, name: &str, settings: &AppSettings) -> Option<()> {
    let apps = document.as_mapping_mut()?.entry("apps".into()).or_insert(Value::Null);
    if apps.is_null() {
        *apps = Value::Mapping(serde_yaml::Mapping::new());
    }
    let domain = settings.domain.as_ref().map(ToString::to_string);
    let all = [("minion", settings.minion.clone()), ("domain", domain), ("subdomain", settings.subdomain.clone())];
    let entry: serde_yaml::Mapping = all.into_iter().filter_map(|(key, value)| Some((key.into(), value?.into()))).collect();
    let entry = if entry.is_empty() { Value::Null } else { Value::Mapping(entry) };
    apps.as_mapping_mut()?.insert(name.into(), entry).is_none().then_some(())
}

/// Compares after normalisation: a list may have been one text, or written in capitals.
fn set_domains(document: &mut Value, name: &str, domains: Vec<Domain>) -> Option<()> {
    let entry = document.get_mut("apps")?.get_mut(name)?;
    if entry.is_null() {
        *entry = Value::Mapping(serde_yaml::Mapping::new());
    }
    let entry = entry.as_mapping_mut()?;
    entry.shift_remove("domain");
    let list = domains.into_iter().map(|domain| Value::from(domain.to_string())).collect();
    entry.insert("domains".into(), Value::Sequence(list));
    Some(())
}

#[cfg(test)]
mod tests;
