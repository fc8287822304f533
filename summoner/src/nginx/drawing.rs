//! Sites as [`super::live`] draws them: the configuration for any of them, and which part of it is whose.
//!
//! Decides nothing: `plan::route` writes every byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::route::{self, Generation, Part, ProxySettings, Site};

/// A host that is not served, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name.
    pub host: String,
    /// Why.
    pub reason: String,
}

/// What is to be drawn.
pub struct Drawing<'a> {
    /// All sites.
    pub sites: &'a [Site],
    /// The proxy's settings.
    pub settings: &'a ProxySettings,
}

/// One configuration, and which part of it is whose.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    /// The files.
    pub generation: Generation,
    /// The part of each host.
    pub hosts: BTreeMap<String, Part>,
    /// Hosts that cannot be written.
    pub rejected: Vec<Closed>,
}

impl Drawing<'_> {
    /// All hosts.
    pub(super) fn hosts(&self) -> BTreeSet<String> {
        self.sites.iter().map(|site| site.name.to_string()).collect()
    }

    /// The configuration for these of them.
    pub(super) fn draw(&self, hosts: &BTreeSet<String>) -> Drawn {
        let sites: Vec<Site> = self.sites.iter().filter(|site| hosts.contains(&site.name.to_string())).cloned().collect();
        let route::Rendered { generation, rejected, parts } = route::render(&sites, self.settings);
        let closed = |rejected: route::Rejected| Closed { host: rejected.host.to_string(), reason: rejected.reason };
        Drawn { generation, hosts: parts, rejected: rejected.into_iter().map(closed).collect() }
    }
}

impl Drawn {
    /// What is written of each host.
    pub(super) fn texts(&self) -> BTreeMap<&str, &str> {
        let mut begins: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for (host, part) in &self.hosts {
            let Some(text) = self.generation.files.get(&part.file) else { continue };
            let range = part.lines.map_or(0..text.len(), |(first, last)| {
                let begins = begins
                    .entry(&part.file)
                    .or_insert_with(|| std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect());
                let at = |line: usize| begins.get(line).copied().unwrap_or(text.len());
                at(first.saturating_sub(1))..at(last)
            });
            texts.insert(host.as_str(), &text[range]);
        }
        texts
    }

    /// The hosts that are written otherwise than before; None when what all share is, or when one has gone: then all count.
    pub(super) fn changed(&self, before: &Self) -> Option<BTreeSet<&str>> {
        let (texts, old) = (self.texts(), before.texts());
        let gone = old.keys().any(|host| !texts.contains_key(host));
        if gone || self.shared() != before.shared() {
            return None;
        }
        Some(texts.into_iter().filter(|(host, text)| old.get(host) != Some(text)).map(|(host, _)| host).collect())
    }

    /// What nginx reads of all hosts together, whichever generation it is.
    fn shared(&self) -> BTreeMap<String, String> {
        let files = self.only(&BTreeSet::new()).files.into_iter().filter(|(name, _)| name.ends_with(".conf"));
        // Empty lines keep the place of the hosts.
        let words = |text: String| text.replace(&self.generation.id, "").lines().filter(|line| !line.is_empty()).collect();
        files.map(|(name, text)| (name, words(text))).collect()
    }

    /// What nginx reads of these hosts alone; every line stays where it was.
    pub(super) fn only(&self, hosts: &BTreeSet<&str>) -> Generation {
        let mut files = self.generation.files.clone();
        // Pages are read when somebody asks for them.
        files.retain(|name, _| !name.ends_with(".html"));
        let mut blank: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (_, part) in self.hosts.iter().filter(|(host, _)| !hosts.contains(host.as_str())) {
            match part.lines {
                Some((first, last)) => blank.entry(&part.file).or_default().extend(first..=last),
                None => drop(files.remove(&part.file)),
            }
        }
        for (file, numbers) in blank {
            if let Some(text) = files.get_mut(file) {
                let kept = |(number, line): (usize, &str)| if numbers.contains(&number) { "\n".to_owned() } else { format!("{line}\n") };
                *text = (1..).zip(text.lines()).map(kept).collect();
            }
        }
        Generation { id: self.generation.id.clone(), files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(settings: &ProxySettings, hosts: &[&str]) -> Drawn {
        let sites: Vec<Site> = hosts.iter().map(|host| route::site(&route::sample(host), settings)).collect();
        let drawing = Drawing { sites: &sites, settings };
        drawing.draw(&drawing.hosts())
    }

    #[test]
    fn what_changed_is_told_and_written_alone_with_its_lines_in_place() {
        let own = ProxySettings::own(80, 443, "edge");
        // A container by its name is reached by a resolver.
        let classic = ProxySettings { resolvers: own.resolvers.clone(), ..ProxySettings::classic() };
        for settings in [own, classic] {
            let (before, after) = (drawn(&settings, &["a.fr", "c.fr"]), drawn(&settings, &["a.fr", "b.fr", "c.fr"]));
            let changed = after.changed(&before).unwrap();
            assert_eq!(changed, BTreeSet::from(["b.fr"]));
            assert_eq!(before.changed(&after), None, "something else may have needed the one that is gone");
            let other = ProxySettings { acme_unknown_host: !settings.acme_unknown_host, ..settings.clone() };
            assert_eq!(drawn(&other, &["a.fr", "c.fr"]).changed(&before), None, "all share it");
            let only = after.only(&changed);
            let text: String = only.files.iter().filter(|(name, _)| name.ends_with(".conf")).map(|(_, text)| text.as_str()).collect();
            assert!(text.contains("server_name b.fr") && !text.contains("a.fr") && text.contains(&after.generation.id), "{text}");
            let part = &after.hosts["b.fr"];
            let line = |generation: &Generation| generation.files[&part.file].lines().position(|line| line.contains("server_name b.fr"));
            assert_eq!(line(&only), line(&after.generation));
            assert!(after.texts()["b.fr"].contains("server_name b.fr") && !after.texts()["b.fr"].contains("a.fr"));
        }
    }
}
