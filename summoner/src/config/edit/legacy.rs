//! The form of 2017: `applications` gains or loses a word.

use super::cut::Cuts;
use super::{EditError, finish, not_there};
use crate::config::legacy::{ROOT, words};
use crate::config::written::At;
use crate::fault::{Faults, Source, did_you_mean};
use crate::yaml::{Key, Node};

const KEY: &str = "applications";

pub(super) fn add(text: &str, root: &Node, name: &str) -> Result<String, EditError> {
    let by_hand = || EditError::ByHand { lines: format!("add {name} to `applications:` yourself") };
    let (key, node) = applications(root).ok_or_else(by_hand)?;
    let old = found(text, node);
    if old.iter().any(|word| word.value == name) {
        return Err(EditError::AlreadyThere(name.to_owned()));
    }
    let mut cuts = Cuts::new(text);
    match (node.as_list(), old.last()) {
        (Some(_), _) => cuts.add_item(node, name),
        (None, Some(last)) => cuts.replace(&(last.span.end..last.span.end), &format!(" {name}")),
        (None, None) => cuts.replace(&(key.span.end + 1..key.span.end + 1), &format!(" {name}")),
    }
    .ok_or_else(by_hand)?;
    let mut wanted: Vec<String> = old.into_iter().map(|word| word.value).collect();
    wanted.push(name.to_owned());
    checked(&cuts, &wanted).ok_or_else(by_hand)
}

pub(super) fn remove(text: &str, root: &Node, name: &str) -> Result<String, EditError> {
    let by_hand = || EditError::ByHand { lines: format!("delete {name} from `applications:` yourself") };
    let (_, node) = applications(root).ok_or_else(|| not_there(name, &[]))?;
    let old = found(text, node);
    let Some(at) = old.iter().position(|word| word.value == name) else {
        let near = did_you_mean(name, old.iter().map(|word| word.value.as_str()));
        return Err(EditError::NotThere { name: name.to_owned(), near });
    };
    let mut cuts = Cuts::new(text);
    let item = node.as_list().and_then(|items| items.iter().position(|item| item.as_str() == Some(name)));
    match (item, at.checked_sub(1), old.get(at + 1)) {
        (Some(item), _, _) => cuts.remove_item(node, item),
        (None, Some(before), _) => cuts.replace(&(old[before].span.end..old[at].span.end), ""),
        (None, None, Some(next)) => cuts.replace(&(old[at].span.start..next.span.start), ""),
        (None, None, None) => cuts.replace(&old[at].span, ""),
    }
    .ok_or_else(by_hand)?;
    let wanted: Vec<String> = old.into_iter().map(|word| word.value).filter(|word| word != name).collect();
    checked(&cuts, &wanted).ok_or_else(by_hand)
}

fn applications(root: &Node) -> Option<&(Key, Node)> {
    root.get(ROOT)?.as_map()?.iter().find(|(key, _)| key.text == KEY)
}

fn found(text: &str, node: &Node) -> Vec<At<String>> {
    let mut faults = Faults::new(&Source::new("config.yml", text));
    if node.is_null() { Vec::new() } else { words(node, &mut faults) }
}

/// The new text, when it says these words in this order and everything else as before.
fn checked(cuts: &Cuts<'_>, wanted: &[String]) -> Option<String> {
    let new = cuts.apply();
    let mut faults = Faults::new(&Source::new("config.yml", new.as_str()));
    let root = crate::yaml::parse(crate::yaml::Limits::CONFIG, &mut faults)?;
    let now: Vec<String> = found(&new, &applications(&root)?.1).into_iter().map(|word| word.value).collect();
    if now != wanted {
        return None;
    }
    let value: serde_yaml::Value = serde_yaml::from_str(&new).ok()?;
    let written = value.get(ROOT)?.get(KEY)?.clone();
    finish(cuts, |old| old.get_mut(ROOT)?.as_mapping_mut()?.insert(KEY.into(), written).map(|_| ()))
}
