//! SELECTOR: an instance id, a minion's or application's name when only one instance has it, or a glob. Where one
//! container is meant, its whole name too.

use crate::config::{Config, Instance};
use crate::error::{Error, Result};
use crate::fault::did_you_mean;
use crate::name::{ContainerName, Role};

/// The one instance that a selector means.
pub(super) fn one<'a>(config: &'a Config, selector: &str) -> Result<&'a Instance> {
    let found = many(config, selector)?;
    match found.as_slice() {
        [instance] => Ok(instance),
        several => {
            let mut error = Error::usage(format!("`{selector}` means {} instances", several.len()));
            for instance in several {
                error = error.next(instance.id.to_string());
            }
            Err(error)
        }
    }
}

/// One container: `role` of the instance that a selector means, or the container whose whole name the selector is.
pub(super) fn container(config: &Config, selector: &str, role: &Role) -> Result<ContainerName> {
    let of_config = |name: &ContainerName| config.instances.iter().any(|instance| instance.id == name.instance);
    if let Some(name) = selector.parse().ok().filter(|name: &ContainerName| name.role != Role::App && of_config(name)) {
        return Ok(name);
    }
    Ok(ContainerName { role: role.clone(), instance: one(config, selector)?.id.clone() })
}

/// All instances that a selector means, at least one.
pub(super) fn many<'a>(config: &'a Config, selector: &str) -> Result<Vec<&'a Instance>> {
    let all = || std::iter::once(&config.proxy_instance).chain(&config.instances);
    if let Some(exact) = all().find(|instance| instance.id.to_string() == selector) {
        return Ok(vec![exact]);
    }
    let meant = |instance: &&Instance| {
        instance.id.app.as_str() == selector
            || instance.minion == selector
            || (selector.contains(['*', '?']) && matches_glob(selector, &instance.id.to_string()))
    };
    let found: Vec<&Instance> = all().filter(meant).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let ids: Vec<String> = all().map(|instance| instance.id.to_string()).collect();
    let names = all().map(|instance| instance.id.app.as_str());
    let mut error = Error::usage(format!("no instance is called `{selector}`"));
    if let Some(hint) = did_you_mean(selector, names) {
        error = error.cause(hint);
    }
    Err(error.next(format!("there are: {}", ids.join(", "))))
}

/// As [`many`], the ids alone.
pub(super) fn ids(config: &Config, selector: &str) -> Result<Vec<String>> {
    Ok(many(config, selector)?.iter().map(|instance| instance.id.to_string()).collect())
}

/// `*` is any text, `?` any one character.
fn matches_glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches_glob(&pattern[1..], &text[at..])),
        Some(first) => text
            .chars()
            .next()
            .is_some_and(|c| (first == '?' || first == c) && matches_glob(&pattern[first.len_utf8()..], &text[c.len_utf8()..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_ids() {
        assert!(matches_glob("ghost-*", "ghost-a.fr"));
        assert!(matches_glob("*-a.?r", "ghost-a.fr"));
        assert!(!matches_glob("ghost", "ghost-a.fr"));
    }
}
