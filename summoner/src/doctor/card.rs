//! Whether somebody could recover this server: the recovery card names the keys and places of the present configuration.
//! Told only once backups lie elsewhere or something is encrypted.

use super::{Check, Patient, brief};
use crate::config::Config;
use crate::plan::card::Basis;
use crate::state::card;

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let Some(config) = patient.config().filter(|config| !config.repositories.is_empty() || !config.recipients.is_empty()) else {
        return Vec::new();
    };
    vec![check(config)]
}

fn check(config: &Config) -> Check {
    let check =
        Check::new("recovery-card", "recovery card", "When this server is gone, it alone says which key opens which backups, and how.");
    let fix = "summoner recovery-card   and print it";
    match card::load(&config.layout) {
        Err(error) => check.unknown(format!("not checked: {}", brief(&error))),
        Ok(None) => check.warning("none was made").fix(fix),
        Ok(Some(made)) => {
            let day = made.at.format("%Y-%m-%d");
            let missing = Basis::of(config).missing_on(&made.basis);
            if missing.is_empty() {
                return check.ok(format!("of {day}"));
            }
            check.warning(format!("that of {day} is old: {}", missing.join("; "))).fix(fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::config::loaded;
    use crate::doctor::State;
    use crate::layout::Layout;

    #[test]
    fn no_card_and_an_old_one_are_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let (mut config, _) = loaded("version: 1\ndomain: a.org\nemail: you@a.org\n");
        config.layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        config.recipients = vec!["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned()];
        let said = |config: &Config| {
            let check = check(config);
            (check.state, check.message)
        };
        assert_eq!(said(&config), (State::Warning, "none was made".to_owned()));
        card::save(&config.layout, Basis::of(&config), DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(said(&config), (State::Ok, "of 1970-01-01".to_owned()));
        config.recipients = vec!["age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg".to_owned()];
        let (state, message) = said(&config);
        assert!(state == State::Warning && message.contains("is new; the key cf7e-5682-3131-5068 is used no more"), "{message}");
    }
}
