use super::*;
use crate::config::{self, Surroundings};
use crate::fault::Source;
use crate::minion::catalogue::Catalogue;

fn config(daemon: bool) -> Config {
    let catalogue = Catalogue::open(None).unwrap();
    let surroundings = Surroundings { path: Path::new("/srv/my team/config.yml"), home: None, host_timezone: "UTC", minions: &catalogue };
    let text = format!("version: 1\ndomain: a.org\nemail: you@a.org\ndaemon: {daemon}\n");
    config::load(&Source::new("config.yml", text.as_str()), &surroundings).unwrap().0
}

/// A host in a folder, whose systemctl writes down what it is asked.
fn host(folder: &Path) -> Host {
    let systemctl = folder.join("systemctl");
    disk::write_atomic(&systemctl, format!("#!/bin/sh\necho \"$@\" >> '{}'\n", folder.join("asked").display()).as_bytes(), 0o755).unwrap();
    fs::create_dir(folder.join("cron.d")).unwrap();
    Host {
        systemd_runs: folder.join("system"),
        unit: folder.join("summoner.service"),
        cron: folder.join("cron.d/summoner"),
        cron_programs: vec![folder.join("cron.d")],
        systemctl,
        home: "/root".into(),
    }
}

const EXE: &str = "/usr/local/bin/summoner";

#[test]
fn where_systemd_runs_there_is_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    fs::create_dir(&host.systemd_runs).unwrap();
    let asked = || fs::read_to_string(folder.path().join("asked")).unwrap_or_default();
    assert!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap().unwrap().contains("summoner.service"));
    assert_eq!(asked(), "daemon-reload\nenable summoner.service\nrestart summoner.service\n");
    assert_eq!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap(), None);
    // Written, and then the machine went down: it is started by the next install.
    fs::write(&host.systemctl, fs::read_to_string(&host.systemctl).unwrap() + "test \"$1\" != is-active\n").unwrap();
    assert!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap().is_some());
    assert!(asked().ends_with("is-active --quiet summoner.service\ndaemon-reload\nenable summoner.service\nrestart summoner.service\n"));
    let text = fs::read_to_string(&host.unit).unwrap();
    insta::assert_snapshot!(text.lines().filter(|line| line.contains('/')).collect::<Vec<_>>().join("\n"), @r#"
    # Written by `summoner install` for /srv/my team/config.yml
    Environment="HOME=/root"
    ExecStart="/usr/local/bin/summoner" --config "/srv/my team/config.yml" daemon
    ReadWritePaths="-/srv/my team/data" "-/srv/my team/data/database"
    "#);
    assert!(!host.cron.exists());
    // `daemon: false` takes it away.
    assert!(ensure_on(&host, &config(false), Path::new(EXE)).unwrap().unwrap().starts_with("removed "));
    assert!(!host.unit.exists() && asked().ends_with("disable --now summoner.service\ndaemon-reload\n"));
    assert_eq!(remove_from(&host, Path::new("/srv/my team/config.yml")).unwrap(), None);
}

#[test]
fn elsewhere_there_is_a_line_for_cron() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    assert!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap().unwrap().contains("by cron"));
    assert_eq!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap(), None);
    insta::assert_snapshot!(fs::read_to_string(&host.cron).unwrap(), @"
    # Written by `summoner install` for /srv/my team/config.yml
    SHELL=/bin/sh
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    HOME=/root
    */5 * * * * root '/usr/local/bin/summoner' --config '/srv/my team/config.yml' --quiet run-due
    ");
    assert!(!folder.path().join("asked").exists());
    assert!(ensure_on(&host, &config(false), Path::new(EXE)).unwrap().is_some() && !host.cron.exists());
    fs::remove_dir(folder.path().join("cron.d")).unwrap();
    assert!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap().unwrap().contains("neither systemd nor cron"));
}

#[test]
fn a_file_of_somebody_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    for theirs in ["# mine\n", "# Written by `summoner install` for /srv/other/config.yml\n", ""] {
        fs::write(&host.cron, theirs).unwrap();
        assert!(ensure_on(&host, &config(true), Path::new(EXE)).unwrap().unwrap().contains("left as it is"));
        assert_eq!(remove_from(&host, Path::new("/srv/my team/config.yml")).unwrap(), None);
        assert_eq!(fs::read_to_string(&host.cron).unwrap(), theirs);
    }
}

#[test]
fn a_trial_below_a_temporary_folder_gets_no_service() {
    let mut config = config(true);
    config.layout.files = "/tmp/trial/data".into();
    assert_eq!(ensure(&config, Path::new(EXE)).unwrap(), None);
}

/// Where its tools are, systemd itself reads the unit; a key that it does not know is a line of complaint.
#[test]
fn systemd_understands_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summoner.service");
    disk::write_atomic(&path, unit(&host(folder.path()), &config(true), Path::new("/bin/true")).as_bytes(), 0o644).unwrap();
    let Ok(said) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() else { return };
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.lines().any(|line| line.contains("summoner.service")), "{said}");
}

#[test]
fn a_line_that_nobody_reads_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host { cron_programs: vec![folder.path().join("nowhere")], ..host(folder.path()) };
    let config = config(true);
    for _ in 0..2 {
        let note = ensure_on(&host, &config, Path::new("/usr/local/bin/summoner")).unwrap().unwrap();
        assert!(note.contains("no cron is installed"), "{note}");
    }
}
