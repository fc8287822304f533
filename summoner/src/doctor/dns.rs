//! Do the names in config.yml lead to this machine?

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::own_addresses::{OwnAddresses, is_public};
use super::{Check, NO_CONFIG, Patient, count};
use crate::config::Config;
use crate::minion::catalogue::Catalogue;
use crate::name::Domain;

/// An answer that takes longer does not come.
const ANSWER: Duration = Duration::from_secs(5);
/// How many names are asked for at a time.
const TOGETHER: usize = 8;
const WHY: &str = "People reach an application by its name, so the name has to lead to this machine.";

/// What the DNS said.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    Absent,
    /// Nobody answered: nothing is known.
    Silent(String),
}

pub(super) async fn checks(patient: &Patient<'_>, own: &OwnAddresses) -> Vec<Check> {
    let Ok((config, catalogue)) = patient.config else {
        return vec![Check::new("dns", "DNS", WHY).unknown(NO_CONFIG)];
    };
    let names = names(config, catalogue);
    let (local, others): (Vec<Domain>, Vec<Domain>) = names.into_iter().partition(is_local);
    let mut checks = Vec::new();
    if !local.is_empty() || others.is_empty() {
        let message = format!("{} under .localhost {} none", count(local.len(), "name"), if local.len() == 1 { "needs" } else { "need" });
        checks.push(Check::new("dns", "DNS", WHY).ok(message));
    }
    let asking = stream::iter(others).map(|name| async move { judge(&name, &ask(&name).await, own) });
    checks.extend(asking.buffered(TOGETHER).collect::<Vec<Check>>().await);
    checks
}

/// Every name that the proxy answers to. Names of a broken minion's side routes are left out; `config` tells of it.
fn names(config: &Config, catalogue: &Catalogue) -> Vec<Domain> {
    let mut names: Vec<Domain> = Vec::new();
    for instance in &config.instances {
        let Some(host) = &instance.host else { continue };
        names.push(host.clone());
        names.extend(instance.aliases.iter().cloned());
        let routes = catalogue.get(&instance.minion).map(|minion| minion.routes.as_slice()).unwrap_or_default();
        // `registry` beside `git.example.org` is `registry-git.example.org`, as in plan/wanted.
        names.extend(routes.iter().filter_map(|route| format!("{}-{host}", route.subdomain.as_ref()?).parse::<Domain>().ok()));
    }
    names.extend(config.routes.iter().flat_map(|route| std::iter::once(&route.host).chain(&route.aliases)).cloned());
    names.sort();
    names.dedup();
    names
}

/// Names that always lead to one's own machine (RFC 6761, section 6.3).
fn is_local(name: &Domain) -> bool {
    name.as_str().ends_with(".localhost")
}

async fn ask(name: &Domain) -> Answer {
    match tokio::time::timeout(ANSWER, tokio::net::lookup_host((name.as_str(), 443))).await {
        Err(_) => Answer::Silent(format!("no answer within {} seconds", ANSWER.as_secs())),
        Ok(Err(error)) => refused(&error.to_string()),
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() { Answer::Absent } else { Answer::Addresses(addresses) }
        }
    }
}

/// What the system's resolver says of a name that there is not, in the words of glibc and of musl; everything else is
/// no answer.
fn refused(message: &str) -> Answer {
    let absent = ["Name or service not known", "No address associated", "Name does not resolve", "Name has no usable address"];
    if absent.iter().any(|text| message.contains(text)) {
        return Answer::Absent;
    }
    Answer::Silent(message.rsplit(": ").next().unwrap_or(message).to_owned())
}

fn judge(name: &Domain, answer: &Answer, own: &OwnAddresses) -> Check {
    let check = Check::new(format!("dns:{name}"), "DNS", WHY);
    let here = own.public().map_or_else(|| "the public address of this machine".to_owned(), |address| address.to_string());
    let record = format!("at the provider of your domain, let {name} (or a wildcard above it) lead to {here}");
    let addresses = match answer {
        Answer::Absent => return check.failed(format!("{name} has no address")).fix(record),
        Answer::Silent(reason) => {
            return check
                .unknown(format!("{name} could not be asked for: {reason}"))
                .fix("see whether this machine has a DNS server: /etc/resolv.conf");
        }
        Answer::Addresses(addresses) => addresses,
    };
    let shown = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let elsewhere: Vec<IpAddr> = addresses.iter().copied().filter(|address| own.has(*address) == Some(false)).collect();
    if own.has(addresses[0]).is_none() {
        return check.unknown(format!("{name} leads to {shown}; the addresses of this machine could not be read"));
    }
    if addresses.iter().all(IpAddr::is_loopback) {
        return check
            .warning(format!("{name} leads to {shown}: here it is this machine, others may be led elsewhere"))
            .fix("see /etc/hosts, and ask from another machine");
    }
    if elsewhere.is_empty() {
        return check.ok(format!("{name} leads here ({shown})"));
    }
    // Behind a router that hands ports on, the public address is the router's: it can neither be confirmed nor denied.
    if own.public().is_none() && elsewhere.iter().all(|address| is_public(*address)) {
        return check
            .warning(format!(
                "{name} leads to {shown}; whether that is this machine cannot be seen from here: it has private addresses only"
            ))
            .fix(format!("open http://{name} from another network, and let the router hand its ports on to this machine"));
    }
    let wrong = elsewhere.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    check.failed(format!("{name} leads to {wrong}, which is not this machine")).fix(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn of(found: &[&str], own: &[&str]) -> Check {
        let found = Answer::Addresses(found.iter().map(|text| text.parse().unwrap()).collect());
        judge(&"blog.example.org".parse().unwrap(), &found, &OwnAddresses::of(own))
    }

    #[test]
    fn a_name_that_leads_here_is_well() {
        let check = of(&["203.0.113.7"], &["127.0.0.1", "203.0.113.7"]);
        assert_eq!((check.state, check.message.as_str()), (State::Ok, "blog.example.org leads here (203.0.113.7)"));
        assert_eq!(check.id, "dns:blog.example.org");
        assert_eq!(of(&["192.168.1.4"], &["192.168.1.4"]).state, State::Ok, "a local network");
    }

    #[test]
    fn a_name_that_leads_elsewhere_fails_also_with_one_of_two_addresses() {
        let check = of(&["198.51.100.9"], &["203.0.113.7"]);
        assert_eq!(
            (check.state, check.message.as_str()),
            (State::Failed, "blog.example.org leads to 198.51.100.9, which is not this machine")
        );
        assert_eq!(
            check.fix.as_deref(),
            Some("at the provider of your domain, let blog.example.org (or a wildcard above it) lead to 203.0.113.7")
        );
        let check = of(&["203.0.113.7", "2001:db8::9"], &["203.0.113.7"]);
        assert_eq!(check.message, "blog.example.org leads to 2001:db8::9, which is not this machine");
    }

    #[test]
    fn what_cannot_be_seen_from_here_is_a_warning() {
        let check = of(&["203.0.113.7"], &["127.0.0.1", "192.168.1.4"]);
        assert_eq!(check.state, State::Warning);
        assert!(check.message.ends_with("cannot be seen from here: it has private addresses only"), "{}", check.message);
        assert_eq!(of(&["192.168.1.9"], &["192.168.1.4"]).state, State::Failed, "another machine of the same network");
        assert_eq!(of(&["127.0.1.1"], &["127.0.0.1", "203.0.113.7"]).state, State::Warning);
        assert_eq!(of(&["203.0.113.7"], &[]).state, State::Unknown);
    }

    #[test]
    fn a_name_that_is_absent_is_told_from_a_dns_that_is_silent() {
        let judge = |message| judge(&"blog.example.org".parse().unwrap(), &refused(message), &OwnAddresses::default());
        let check = judge("failed to lookup address information: Name or service not known");
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "blog.example.org has no address"));
        let check = judge("failed to lookup address information: Temporary failure in name resolution");
        assert_eq!(check.state, State::Unknown);
        assert_eq!(check.message, "blog.example.org could not be asked for: Temporary failure in name resolution");
    }

    #[test]
    fn names_under_localhost_need_no_dns() {
        assert!(is_local(&"blog.team.localhost".parse().unwrap()));
        assert!(!is_local(&"blog.mylocalhost.org".parse().unwrap()));
    }
}
