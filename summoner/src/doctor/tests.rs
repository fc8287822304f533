use std::path::PathBuf;

use super::*;
use crate::config::{Surroundings, load};
use crate::fault::Source;

const TEAM: &str = "version: 1
domain: team.localhost
email: you@team.localhost
storage: {files: ./data}
proxy: {http_port: 61080, https_port: 61443}
apps: {ghost: , gitlab: }
";

fn with_config(text: &str, run: impl FnOnce(&Config, &Catalogue)) {
    let folder = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let path: PathBuf = folder.path().join("config.yml");
    std::fs::write(&path, text).unwrap();
    let catalogue = Catalogue::open(None).unwrap();
    let surroundings = Surroundings { path: &path, home: None, host_timezone: "Europe/Paris", minions: &catalogue };
    let (config, _) = load(&Source::new("config.yml", text), &surroundings).unwrap();
    run(&config, &catalogue);
}

fn examined(config: Result<(&Config, &Catalogue), &Error>, engine: Result<&Seen, &Error>) -> Vec<Check> {
    let patient = Patient { config, engine, host_timezone: Some("Etc/UTC"), now: Utc::now(), fix: false };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(examine(&patient))
}

fn of<'a>(checks: &'a [Check], id: &str) -> &'a Check {
    checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id} among {checks:#?}"))
}

#[test]
fn every_id_is_there_once_and_every_check_explains_itself() {
    let seen = engine::tests::seen();
    with_config(TEAM, |config, catalogue| {
        let checks = examined(Ok((config, catalogue)), Ok(&seen));
        let ids: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "config",
                "engine",
                "engine-socket",
                "cgroup",
                "engine-storage",
                "engine-clock",
                "architecture",
                "cpu",
                "memory",
                "disk",
                "sysctl",
                "port:http",
                "port:https",
                "dns",
                "clock",
                "clock-sync",
                "timezone",
                "storage:files",
                "storage:databases",
                "secrets",
            ]
        );
        let wiki = include_str!("../../../wiki/doctor.md");
        for check in &checks {
            assert!(wiki.contains(&format!("| `{}` ", check.id)), "wiki/doctor.md does not explain {}", check.id);
            assert!(!check.explanation.is_empty() && !check.message.is_empty() && !check.title.is_empty(), "{check:?}");
            assert!(check.state != State::Failed || check.fix.is_some(), "nothing to do about {check:?}");
        }
        assert_eq!(of(&checks, "port:http").message, "free");
        assert_eq!(of(&checks, "dns").message, "2 names under .localhost need none");
        assert_eq!(of(&checks, "storage:files").state, State::Warning);
        assert!(!config.layout.files.exists(), "looking changes nothing");
    });
}

#[test]
fn without_engine_and_config_it_says_what_was_not_checked_and_nothing_of_it_is_ok() {
    let (none, broken) =
        (Error::new(crate::error::Kind::Config, "there is no /srv/config.yml").next("summoner init"), Error::external("no Docker"));
    let checks = examined(Err(&none), Err(&broken));
    assert_eq!((of(&checks, "config").state, of(&checks, "config").fix.as_deref()), (State::Failed, Some("summoner init")));
    assert_eq!(of(&checks, "engine").state, State::Failed);
    for id in ["cgroup", "architecture", "cpu", "memory", "sysctl", "dns", "storage:files"] {
        let check = of(&checks, id);
        assert_eq!(check.state, State::Unknown, "{check:?}");
        assert!(check.message.contains("not checked: "), "{check:?}");
    }
}

#[test]
fn faults_of_the_file_are_named_with_their_lines() {
    let catalogue = Catalogue::open(None).unwrap();
    let surroundings = Surroundings { path: Path::new("/srv/config.yml"), home: None, host_timezone: "UTC", minions: &catalogue };
    let text = TEAM.replace("email:", "mail:");
    let faults = load(&Source::new("config.yml", text), &surroundings).unwrap_err();
    let checks = examined(Err(&Error::faults("config.yml has faults", faults)), Err(&Error::external("no Docker")));
    assert!(of(&checks, "config").message.ends_with("config.yml:3:1: unknown key `mail`"), "{:?}", of(&checks, "config"));
}

#[test]
fn the_form_of_a_check_is_the_contract() {
    let check = Check::new("port:http", "port 80", "Why.").failed("taken by nginx (process 812)").fix("stop it").fixable();
    let json = serde_json::to_value(&check).unwrap();
    let expected = serde_json::json!({"id": "port:http", "state": "failed", "title": "port 80", "message": "taken by nginx (process 812)",
        "explanation": "Why.", "fix": "stop it", "fixed": false});
    assert_eq!(json, expected);
    assert!(State::Unknown.needs_a_person() && !State::Warning.needs_a_person());
    let told = check.not_mended(&Error::external("cannot write").cause("read-only"));
    assert_eq!(told.message, "taken by nginx (process 812); mending it failed: cannot write: read-only");
}
