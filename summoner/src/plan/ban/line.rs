//! What nginx tells of a sign-in, as one datagram: the rule that it carries out, and back from text to an event.
//!
//! Spoof-proof: no field holds what a client wrote. nginx itself says address, statuses and whether a name was sent; the
//! rule is a text of ours. Whatever is not exactly of this form is dropped.

use std::net::IpAddr;

use serde::Deserialize;

use super::{Event, Outcome};
use crate::minion::SignIn;

/// The tag of our lines in syslog's form.
pub const TAG: &str = "summoner";
/// nginx's directive for such lines.
pub const FORMAT: &str = "log_format summoner_sign_in escape=json '{\"v\":1,\"address\":\"$remote_addr\",\"rule\":\"$summoner_rule\",\
                          \"status\":\"$status\",\"upstream\":\"$upstream_status\",\"basic\":\"$summoner_basic\",\"host\":\"$server_name\"}'";
/// The longest line: an instance's name, two lists of statuses and an address need far less.
pub const MAX_LINE: usize = 4096;
const VERSION: u32 = 1;
/// Stands for an empty list.
const NONE: &str = "-";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    v: u32,
    address: String,
    rule: String,
    status: String,
    upstream: String,
    basic: String,
    host: String,
}

/// What nginx shall say of requests that follow this rule: instance, failed and succeeded statuses.
#[must_use]
pub fn rule(instance: &str, sign_in: &SignIn) -> String {
    format!("{instance} {} {}", list(&sign_in.failed), list(&sign_in.succeeded))
}

fn list(statuses: &[u16]) -> String {
    if statuses.is_empty() { NONE.to_owned() } else { statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",") }
}

/// The client and, when the line tells, the event; None for whatever is not one of our lines.
#[must_use]
pub fn read(datagram: &[u8]) -> Option<(IpAddr, Option<Event>)> {
    if datagram.len() > MAX_LINE {
        return None;
    }
    let text = std::str::from_utf8(datagram).ok()?;
    // `<190>Nov 21 20:18:47 summoner: {…}`: what stands before is nginx's own.
    let (_, json) = text.split_once(TAG)?;
    let line: Line = serde_json::from_str(json.strip_prefix(": ")?.trim_end_matches('\n')).ok()?;
    if line.v != VERSION {
        return None;
    }
    let address = line.address.parse::<IpAddr>().ok()?.to_canonical();
    let event = event(&line).map(|(instance, outcome)| Event { address, instance, outcome });
    Some((address, event))
}

fn event(line: &Line) -> Option<(String, Outcome)> {
    let status: u16 = line.status.parse().ok()?;
    let (instance, rest) = line.rule.split_once(' ').unwrap_or((&line.rule, ""));
    if instance.is_empty() {
        // The proxy's own password: a name was sent, and nginx refused it without asking anybody.
        let refused = status == 401 && line.upstream.is_empty() && line.basic == "1" && !line.host.is_empty();
        return refused.then(|| (line.host.clone(), Outcome::Failed));
    }
    // What the proxy says by itself (banned, too many requests, being started) is no answer to a sign-in.
    if line.upstream.is_empty() || line.upstream == "-" {
        return None;
    }
    let (failed, succeeded) = rest.split_once(' ')?;
    let holds = |list: &str| list.split(',').any(|word| word.parse() == Ok(status));
    let outcome = if holds(failed) {
        Outcome::Failed
    } else if holds(succeeded) {
        Outcome::Succeeded
    } else {
        return None;
    };
    Some((instance.to_owned(), outcome))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(rule: &str, status: &str, upstream: &str, basic: &str) -> String {
        format!(
            "<190>Nov 21 20:18:47 summoner: {{\"v\":1,\"address\":\"198.51.100.7\",\"rule\":\"{rule}\",\"status\":\"{status}\",\"upstream\":\"{upstream}\",\"basic\":\"{basic}\",\"host\":\"blog.a.fr\"}}"
        )
    }

    fn said(text: &str) -> Option<(String, Outcome)> {
        read(text.as_bytes())?.1.map(|event| (event.instance, event.outcome))
    }

    #[test]
    fn only_an_application_s_answer_counts() {
        let sign_in = SignIn { paths: vec!["/x".into()], method: "POST".into(), failed: vec![401, 404], succeeded: vec![201], log: None };
        let rule = rule("ghost-a.fr", &sign_in);
        assert_eq!(rule, "ghost-a.fr 401,404 201");
        let failed = Some(("ghost-a.fr".to_owned(), Outcome::Failed));
        assert_eq!(said(&line(&rule, "401", "401", "")), failed);
        assert_eq!(said(&line(&rule, "404", "502, 404", "")), failed);
        assert_eq!(said(&line(&rule, "201", "201", "")), Some(("ghost-a.fr".into(), Outcome::Succeeded)));
        // The proxy's own answers, and other statuses.
        for (status, upstream) in [("403", ""), ("429", ""), ("401", ""), ("401", "-"), ("503", "502"), ("40", "40"), ("", "")] {
            assert_eq!(said(&line(&rule, status, upstream, "")), None, "{status}");
        }
        assert_eq!(said(&line("ghost-a.fr - -", "401", "401", "")), None);
    }

    #[test]
    fn the_proxy_s_own_password_counts_when_one_was_sent() {
        assert_eq!(said(&line("", "401", "", "1")), Some(("blog.a.fr".into(), Outcome::Failed)));
        for (status, upstream, basic) in [("401", "", ""), ("401", "401", "1"), ("200", "", "1")] {
            assert_eq!(said(&line("", status, upstream, basic)), None);
        }
    }

    #[test]
    fn garbage_is_no_line() {
        let good = line("a-b.c 401 -", "401", "401", "");
        assert!(read(good.as_bytes()).is_some());
        for text in [
            String::new(),
            "summoner: ".into(),
            "summoner: {}".into(),
            good.replace("summoner: ", ""),
            good.replace("\"v\":1", "\"v\":2"),
            good.replace("\"v\":1", "\"v\":1,\"more\":1"),
            good.replace("198.51.100.7", "unix:"),
            good.replace("198.51.100.7", "198.51.100.7 198.51.100.8"),
            format!("{good}{good}"),
            good.clone() + &" ".repeat(MAX_LINE),
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text:.80}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..200_usize) {
            let _ = read(&bytes);
            let good = line("a-b.c 401 -", "401", "401", "");
            let mut mixed = good.as_bytes()[..cut.min(good.len())].to_vec();
            mixed.extend(bytes);
            let _ = read(&mixed);
        }
    }
}
