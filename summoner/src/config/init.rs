//! The config.yml that `summoner init` writes: short, and every line says what it is for.

use serde::Deserialize;

use super::edit::scalar;
use crate::name::Domain;

/// What `summoner init` asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitAnswers {
    /// The first domain.
    pub domain: Domain,
    /// The person to write to.
    pub email: String,
    /// Names in the catalogue.
    pub apps: Vec<String>,
    /// Sets the schedules; its apps are suggestions that [`Preset::available`] filters.
    pub preset: Option<Preset>,
}

/// A good beginning for a kind of team. Data, not code: `presets.yml` beside this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// `hackathon`, `association` …
    pub name: String,
    /// For whom, in a few words.
    pub summary: String,
    apps: Vec<String>,
    backup: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: String,
    apps: Vec<String>,
    dump: String,
    cold: String,
    keep: Kept,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    last: u32,
    daily: u32,
    weekly: u32,
    monthly: u32,
}

/// All presets, in the order of the file.
#[must_use]
pub fn presets() -> Vec<Preset> {
    // Part of the program; a test reads it.
    let all: serde_yaml::Mapping = serde_yaml::from_str(include_str!("presets.yml")).expect("presets.yml is YAML");
    all.into_iter().filter_map(|(name, value)| preset(name.as_str()?, value)).collect()
}

fn preset(name: &str, value: serde_yaml::Value) -> Option<Preset> {
    let Written { summary, apps, dump, cold, keep } = serde_yaml::from_value(value).ok()?;
    let Kept { last, daily, weekly, monthly } = keep;
    let backup = format!(
        "\n# Backups: minute hour day month weekday. Databases are dumped while apps run; files are copied while they stand still.\n\
         backup:\n  dump: \"{dump}\"\n  cold: \"{cold}\"\n  keep: {{last: {last}, daily: {daily}, weekly: {weekly}, monthly: {monthly}}}\n"
    );
    Some(Preset { name: name.to_owned(), summary, apps, backup })
}

impl Preset {
    /// The suggested apps that the catalogue holds.
    #[must_use]
    pub fn available(&self, catalogue: &[String]) -> Vec<String> {
        self.apps.iter().filter(|app| catalogue.contains(app)).cloned().collect()
    }
}

/// The text of a new config.yml.
#[must_use]
pub fn init(answers: &InitAnswers) -> String {
    let InitAnswers { domain, email, apps, preset } = answers;
    let apps: String = apps.iter().map(|app| format!("  {}:\n", scalar(app))).collect();
    let backup = preset.as_ref().map_or("", |preset| preset.backup.as_str());
    format!(
        "\
# What this server is. Change it, look with `summoner plan`, make it so with `summoner install`.
# Every key that there is: wiki/config.md
version: 1

# Apps live on names below this domain, such as blog.{domain}; its DNS (*.{domain}) must lead here.
domain: {domain}

# Who gets mail about this server, and signs in first.
email: {}

# Where data lives: application files, databases and backups.
storage:
  files: ./data
{backup}
# What runs here. `summoner minions` lists what there is; `summoner invoke NAME` adds one.
apps:
{apps}",
        scalar(email)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Minions;
    use crate::config::load::tests::{Fake, loaded};

    fn answers(preset: Option<Preset>) -> InitAnswers {
        let apps = preset.as_ref().map_or_else(|| vec!["ghost".to_owned()], |preset| preset.available(&Fake.names()));
        InitAnswers { domain: "team.localhost".parse().unwrap(), email: "you@example.org".into(), apps, preset }
    }

    #[test]
    fn a_new_file_is_short_and_loads() {
        let text = init(&answers(None));
        insta::assert_snapshot!(text, @r"
        # What this server is. Change it, look with `summoner plan`, make it so with `summoner install`.
        # Every key that there is: wiki/config.md
        version: 1

        # Apps live on names below this domain, such as blog.team.localhost; its DNS (*.team.localhost) must lead here.
        domain: team.localhost

        # Who gets mail about this server, and signs in first.
        email: you@example.org

        # Where data lives: application files, databases and backups.
        storage:
          files: ./data

        # What runs here. `summoner minions` lists what there is; `summoner invoke NAME` adds one.
        apps:
          ghost:
        ");
        assert_eq!(loaded(&text).0.instances.len(), 1);
        assert!(loaded(&init(&InitAnswers { apps: Vec::new(), ..answers(None) })).0.instances.is_empty());
    }

    #[test]
    fn every_preset_loads_and_suggests_only_what_there_is() {
        let all = presets();
        assert_eq!(all.iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>(), ["hackathon", "association", "company"]);
        for preset in all {
            let (config, warnings) = loaded(&init(&answers(Some(preset.clone()))));
            assert!(config.instances.len() >= 3 && warnings.is_empty());
            let backup = &config.instances[0].backup;
            assert!(preset.backup.contains(backup.dump.as_ref().unwrap().as_str()));
        }
    }

    #[test]
    fn the_repositorys_own_config_loads() {
        let (config, warnings) = loaded(include_str!("../../../config.yml"));
        assert!(warnings.is_empty() && config.domain.as_str().ends_with(".localhost"));
        assert_eq!((config.proxy.http_port, config.proxy.https_port, config.instances.len()), (80, 443, 1));
    }
}
