//! Reads what nginx says about a configuration. Pure.

use std::collections::BTreeMap;

use super::drawing::{Closed, Drawn};

/// The hosts that nginx's words name: by file and line, or by a file that the host uses, which nginx opens without saying
/// for which line.
pub(super) fn named(output: &str, drawn: &Drawn) -> Vec<Closed> {
    let mut found: BTreeMap<&String, String> = BTreeMap::new();
    for line in output.lines().filter(|line| is_complaint(line)) {
        for (host, part) in &drawn.hosts {
            let at = line.rfind(&format!("/{}:", part.file)).map(|at| &line[at + part.file.len() + 2..]);
            let number = at.and_then(|at| at.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok());
            let own = number.is_some_and(|number| part.lines.is_none_or(|(first, last)| (first..=last).contains(&number)));
            let uses = |path: &String| line.contains(&format!("\"{path}\"")) || line.contains(&format!(" {path}:"));
            if own || part.uses.iter().any(uses) {
                found.entry(host).or_insert_with(|| stripped(line));
            }
        }
    }
    found.into_iter().map(|(host, reason)| Closed { host: host.clone(), reason }).collect()
}

/// The first complaint, or all there is.
pub(super) fn reason(output: &str) -> String {
    output.lines().find(|line| is_complaint(line)).map_or_else(|| output.trim().to_owned(), stripped)
}

/// The last complaints of a log, at most three.
pub(super) fn complaints(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| is_complaint(line)).collect();
    lines[lines.len().saturating_sub(3)..].join("\n")
}

fn is_complaint(line: &str) -> bool {
    ["[emerg]", "[alert]", "[crit]"].iter().any(|level| line.contains(level))
}

/// Without the level, the time and the process before the words.
fn stripped(line: &str) -> String {
    let words = line.split_once("] ").map_or(line, |(_, words)| words);
    let pid = |head: &str| head.bytes().all(|b| b.is_ascii_digit() || b == b'#');
    match words.split_once(": ") {
        Some((head, rest)) if pid(head) => rest.to_owned(),
        _ => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Drawing;
    use super::*;
    use crate::plan::route::{self, ProxySettings};

    #[test]
    fn nginx_names_the_host() {
        let settings = ProxySettings::own(80, 443, "edge");
        let sites = ["a.fr", "ba.fr"].map(|host| route::site(&route::sample(host), &settings));
        let drawing = Drawing { sites: &sites, settings: &settings };
        let drawn = drawing.draw(&drawing.hosts());
        let output = "nginx: [emerg] unknown directive \"bad\" in /etc/nginx/summoner/gen-0123456789abcdef/hosts/ba.fr.conf:7\n\
             nginx: configuration file /etc/nginx/summoner/gen-0123456789abcdef/nginx.conf test failed\n";
        let found = named(output, &drawn);
        assert_eq!(found.iter().map(|closed| closed.host.as_str()).collect::<Vec<_>>(), ["ba.fr"]);
        assert!(found[0].reason.starts_with("unknown directive"), "{}", found[0].reason);
        let output = "2026/11/21 14:10:37 [emerg] 1#1: cannot load certificate \"/etc/nginx/certs/a.fr.crt\": BIO_new_file() failed";
        assert_eq!(named(output, &drawn)[0].reason, "cannot load certificate \"/etc/nginx/certs/a.fr.crt\": BIO_new_file() failed");
        let output = "nginx: [emerg] open() \"/etc/nginx/mime.types\" failed in /etc/nginx/summoner/gen-0/nginx.conf:9";
        assert!(named(output, &drawn).is_empty());
    }
}
