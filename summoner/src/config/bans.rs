//! `bans:` in config.yml: when an address is locked out after failed sign-ins, and for how long.

use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::today::checked;
use super::values::{self, short};
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// When an address is locked out, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bans {
    /// Whether anybody is locked out at all.
    pub enabled: bool,
    /// How many failed sign-ins lock out.
    pub failures: u32,
    /// Within which time.
    pub within: Duration,
    /// How long the first, second, … lock-out lasts; the last one repeats. Never empty.
    pub steps: Vec<Duration>,
    /// After so long without another lock-out one step is forgiven.
    pub forgive: Duration,
    /// Never locked out.
    pub allow: Vec<IpNet>,
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 3600;
/// Each failure is remembered with its time.
const MOST_FAILURES: u32 = 100;
const MOST_STEPS: usize = 10;
const LONGEST_WINDOW: Duration = Duration::from_secs(DAY);
/// Addresses change hands: nobody is locked out for longer.
const LONGEST_STEP: Duration = Duration::from_secs(366 * DAY);
const MOST_ALLOWED: usize = 1000;

impl Default for Bans {
    /// Five minutes for who mistyped, a week for who goes on, two months for a robot.
    fn default() -> Self {
        Self {
            enabled: true,
            failures: 10,
            within: Duration::from_secs(10 * MINUTE),
            steps: [5 * MINUTE, 7 * DAY, 60 * DAY].map(Duration::from_secs).to_vec(),
            forgive: Duration::from_secs(180 * DAY),
            allow: Vec::new(),
        }
    }
}

pub(super) fn read(node: Option<&Node>, faults: &mut Faults) -> Bans {
    let default = Bans::default();
    let Some(mut fields) = node.and_then(|node| Fields::open(node, "bans", faults)) else { return default };
    let bans = Bans {
        enabled: fields.boolean("enabled", faults).unwrap_or(default.enabled),
        failures: value(&mut fields, "failures", failures, faults).unwrap_or(default.failures),
        within: value(&mut fields, "within", within, faults).unwrap_or(default.within),
        steps: steps(&mut fields, faults).unwrap_or(default.steps),
        forgive: value(&mut fields, "forgive", forgive, faults).unwrap_or(default.forgive),
        allow: allow(&mut fields, faults),
    };
    fields.finish(faults);
    bans
}

fn value<T>(fields: &mut Fields<'_>, key: &'static str, check: impl Fn(&str) -> Result<T, String>, faults: &mut Faults) -> Option<T> {
    let what = fields.name(key);
    fields.take(key).and_then(|node| checked(node, &what, check, faults))
}

fn failures(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (2..=MOST_FAILURES).contains(number));
    number.ok_or_else(|| format!("`{}` is no number of failed sign-ins: 2 to {MOST_FAILURES}", short(text)))
}

fn within(text: &str) -> Result<Duration, String> {
    let within = values::duration(text)?;
    if within < Duration::from_secs(10) || within > LONGEST_WINDOW {
        return Err(format!("{} is not between 10s and 1d", short(text)));
    }
    Ok(within)
}

fn forgive(text: &str) -> Result<Duration, String> {
    let forgive = values::duration(text)?;
    if forgive < Duration::from_secs(DAY) { Err(format!("{} is less than 1d", short(text))) } else { Ok(forgive) }
}

fn step(text: &str) -> Result<Duration, String> {
    let step = values::duration(text)?;
    if step < Duration::from_secs(10) || step > LONGEST_STEP {
        return Err(format!("{} is not between 10s and 366d", short(text)));
    }
    Ok(step)
}

fn steps(fields: &mut Fields<'_>, faults: &mut Faults) -> Option<Vec<Duration>> {
    let node = fields.take("steps")?;
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if items.is_empty() || items.len() > MOST_STEPS {
        faults.error_with_help(&node.span, format!("bans.steps holds 1 to {MOST_STEPS} times"), "such as [5m, 1w, 60d]");
        return None;
    }
    let steps: Vec<Duration> =
        items.iter().enumerate().filter_map(|(at, item)| checked(item, &format!("bans.steps[{at}]"), step, faults)).collect();
    if steps.len() < items.len() {
        return None;
    }
    if !steps.is_sorted() {
        faults.error(&node.span, "bans.steps must not get shorter");
        return None;
    }
    Some(steps)
}

fn allow(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<IpNet> {
    let Some(node) = fields.take("allow") else { return Vec::new() };
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if items.len() > MOST_ALLOWED {
        faults.error(&node.span, format!("bans.allow holds more than {MOST_ALLOWED} entries"));
        return Vec::new();
    }
    items.iter().enumerate().filter_map(|(at, item)| checked(item, &format!("bans.allow[{at}]"), network, faults)).collect()
}

/// An address or a range, as written by a person: bits beyond the length are dropped.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || std::net::IpAddr::from_str(text).map(IpNet::from).ok();
    let found = IpNet::from_str(text).ok().map(|net| net.trunc()).or_else(address);
    found.ok_or_else(|| format!("`{}` is no address and no range: write 198.51.100.7 or 2001:db8::/32", short(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;
    use crate::yaml::{Limits, parse};

    fn said(text: &str) -> Result<Bans, String> {
        let mut faults = Faults::new(&Source::new("config.yml", text));
        let node = parse(Limits::CONFIG, &mut faults).unwrap();
        let bans = read(Some(&node), &mut faults);
        faults.finish(Some(bans)).map(|(bans, _)| bans).map_err(|faults| faults.iter().map(|fault| fault.line() + "\n").collect())
    }

    #[test]
    fn what_is_promised_is_the_default() {
        let bans = said("enabled: true\n").unwrap();
        assert_eq!(bans, Bans::default());
        assert_eq!(bans.steps.iter().map(Duration::as_secs).collect::<Vec<_>>(), [300, 604_800, 5_184_000]);
        let bans =
            said("{failures: 3, within: 1m, steps: [1m, 2m], forgive: 30d, allow: [198.51.100.7, 10.1.2.3/8, '2001:db8::/32']}").unwrap();
        assert_eq!((bans.failures, bans.steps.len()), (3, 2));
        assert_eq!(bans.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["198.51.100.7/32", "10.0.0.0/8", "2001:db8::/32"]);
    }

    #[test]
    fn what_would_lock_everybody_out_is_refused() {
        insta::assert_snapshot!(
            said("failures: 1\nwithin: 2d\nsteps: [1w, 5m]\nforgive: 1h\nallow: [office, 1.2.3.4/33]\ncolour: red\n").unwrap_err(),
            @r"
            config.yml:1:11: bans.failures: `1` is no number of failed sign-ins: 2 to 100
            config.yml:2:9: bans.within: 2d is not between 10s and 1d
            config.yml:3:8: bans.steps must not get shorter
            config.yml:4:10: bans.forgive: 1h is less than 1d
            config.yml:5:9: bans.allow[0]: `office` is no address and no range: write 198.51.100.7 or 2001:db8::/32
            config.yml:5:17: bans.allow[1]: `1.2.3.4/33` is no address and no range: write 198.51.100.7 or 2001:db8::/32
            config.yml:6:1: unknown key `colour` in bans
            ");
        assert!(said("steps: []").is_err() && said("steps: [1s]").is_err() && said("failures: 1000").is_err());
    }
}
