use super::*;

fn check(state: State, title: &str, message: &str, fix: Option<&str>) -> Check {
    Check {
        id: title.to_owned(),
        state,
        title: title.to_owned(),
        message: message.to_owned(),
        explanation: "Browsers come to this port, and only one program can have it.",
        fix: fix.map(str::to_owned),
        fixed: false,
        fixable: false,
    }
}

fn checks() -> Vec<Check> {
    vec![
        check(State::Ok, "engine", "Docker 28.5.2, API 1.51", None),
        check(State::Warning, "cgroup", "version 1, which systemd has dropped and Docker will drop", Some("boot with version 2")),
        check(
            State::Failed,
            "port 80",
            "taken by nginx (process 812)",
            Some("systemctl disable --now nginx.service, or choose another proxy.http_port in config.yml"),
        ),
        check(State::Unknown, "memory", "2 GB; without a config.yml nobody knows what is needed", None),
    ]
}

#[test]
fn the_report_is_aligned_and_fits_80_columns() {
    let text = text(&checks(), false, false);
    insta::assert_snapshot!(text, @r"
    ok       engine   Docker 28.5.2, API 1.51
    warning  cgroup   version 1, which systemd has dropped and Docker will drop
                      next: boot with version 2
    failed   port 80  taken by nginx (process 812)
                      Browsers come to this port, and only one program can have it.
                      next: systemctl disable --now nginx.service, or choose another
                            proxy.http_port in config.yml
    unknown  memory   2 GB; without a config.yml nobody knows what is needed

    this machine needs a person: 1 failed, 1 not verified, 1 warning
    ");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line.trim_end() == line));
}

#[test]
fn on_a_terminal_signs_stand_for_words_and_quiet_leaves_out_what_is_well() {
    let shown = text(&checks(), true, true);
    assert!(shown.starts_with("!  cgroup   version 1"), "{shown}");
    assert!(shown.contains("\n✗  port 80  taken by nginx (process 812)\n"), "{shown}");
    assert!(!shown.contains("Docker 28.5.2") && !shown.contains("this machine"), "{shown}");
}

#[test]
fn the_last_line_is_the_verdict() {
    assert_eq!(summary(&checks()), "this machine needs a person: 1 failed, 1 not verified, 1 warning");
    assert_eq!(summary(&checks()[..1]), "this machine is ready");
    let mended = Check { fixed: true, ..check(State::Ok, "secrets", "closed /srv/data/summoner (was 0755)", None) };
    assert_eq!(summary(&[mended]), "this machine is ready: 1 mended");
}
