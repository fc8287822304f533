//! The time zone: backups run by the one of config.yml, logs of the system speak the host's.

use super::{Check, Patient};

pub(super) fn check(patient: &Patient<'_>) -> Check {
    judge(patient.host_timezone, patient.config().map(|config| config.timezone.as_str()))
}

fn judge(host: Option<&str>, config: Option<&str>) -> Check {
    let check = Check::new("timezone", "time zone", "Backups at night should run in your night.");
    let set = "timedatectl set-timezone Europe/Paris   (yours: timedatectl list-timezones)";
    match (host, config) {
        (None, Some(zone)) => check.warning(format!("this machine names no time zone; config.yml counts in {zone}")).fix(set),
        (None, None) => check.warning("this machine names no time zone: it counts in UTC").fix(set),
        (Some(host), Some(zone)) if zone != host => check.ok(format!("{zone} by config.yml; this machine counts in {host}")),
        (Some(host), _) => check.ok(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_machine_without_a_zone_is_a_warning_and_two_zones_are_both_named() {
        let check = judge(None, Some("UTC"));
        assert_eq!((check.state, check.message.as_str()), (State::Warning, "this machine names no time zone; config.yml counts in UTC"));
        assert_eq!(judge(None, None).state, State::Warning);
        let check = judge(Some("Etc/UTC"), Some("Europe/Paris"));
        assert_eq!((check.state, check.message.as_str()), (State::Ok, "Europe/Paris by config.yml; this machine counts in Etc/UTC"));
        assert_eq!(judge(Some("Europe/Paris"), Some("Europe/Paris")).message, "Europe/Paris");
    }
}
