use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::schedule::Times;
use crate::config::{Compression, Minions, edit};

/// A catalogue of a few, so that no test depends on the real one.
pub(in crate::config) struct Fake;

impl Minions for Fake {
    fn names(&self) -> Vec<String> {
        ["ghost", "mattermost", "nextcloud", "nginx", "runnerless", "wekan"].map(str::to_owned).to_vec()
    }
    fn subdomain(&self, minion: &str) -> Option<String> {
        let subdomain = match minion {
            "ghost" => "blog",
            "nextcloud" => "cloud",
            "mattermost" | "wekan" | "nginx" | "runnerless" => minion,
            _ => return None,
        };
        Some(subdomain.to_owned())
    }
    fn is_proxy(&self, minion: &str) -> bool {
        minion == "nginx"
    }
    fn routed(&self, minion: &str) -> bool {
        !matches!(minion, "nginx" | "runnerless")
    }
}

pub(in crate::config) fn surroundings() -> Surroundings<'static> {
    Surroundings { path: Path::new("/srv/team/config.yml"), home: Some(Path::new("/root")), host_timezone: "Europe/Paris", minions: &Fake }
}

pub(crate) fn loaded(text: &str) -> (Config, Vec<Fault>) {
    load(&Source::new("config.yml", text), &surroundings()).unwrap_or_else(|faults| panic!("{}\n{text}", shown(&faults)))
}

fn shown(faults: &[Fault]) -> String {
    faults
        .iter()
        .map(|fault| format!("{}{}", fault.line(), fault.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"))))
        .collect::<Vec<_>>()
        .join("\n")
}

/// All faults of a file, one a line.
fn faults(text: &str) -> String {
    match load(&Source::new("config.yml", text), &surroundings()) {
        Ok(_) => "no fault".into(),
        Err(faults) => shown(&faults),
    }
}

/// All faults of a file that begins well.
fn rest(text: &str) -> String {
    faults(&format!("version: 1\ndomain: a.org\nemail: you@a.org\n{text}"))
}

const NEWCOMER: &str = "version: 1\ndomain: example.org\nemail: you@example.org\napps:\n  ghost:\n  nextcloud:\n";

#[test]
fn a_newcomer_needs_six_lines() {
    let (config, warnings) = loaded(NEWCOMER);
    assert!(warnings.is_empty());
    let hosts: Vec<String> = config.instances.iter().map(|one| format!("{} {}", one.id, one.host.as_ref().unwrap().as_str())).collect();
    assert_eq!(hosts, ["ghost-example.org blog.example.org", "nextcloud-example.org cloud.example.org"]);
    assert_eq!(config.proxy_instance.id.to_string(), "nginx-example.org");
    assert_eq!(config.layout.files, Path::new("/srv/team/data"));
    assert_eq!(config.layout.databases, Path::new("/srv/team/data/database"));
    assert_eq!((config.timezone.as_str(), config.proxy.https_port), ("Europe/Paris", 443));
    assert_eq!(config.instances[0].backup.dump.as_ref().map(Times::as_str), Some("0 2 * * *"));
}

#[test]
fn an_expert_sets_everything() {
    let (config, _) = loaded(crate::config::EXAMPLE);
    assert!(config.instances.len() > 3);
    let blog = config.instances.iter().find(|one| one.minion == "ghost").unwrap();
    assert_eq!(blog.environment["mail__transport"], "SMTP");
    assert_eq!(blog.resources.memory_bytes, Some(1 << 30));
}

#[test]
fn the_file_of_2017_is_accepted_with_one_warning() {
    let text = "summoner:\n  domain: virtualdonkey.fr\n  vsroot: ~/Summoner/data\n  dbsroot: ~/Summoner/data/database\n  applications: nginx ghost nextcloud wekan\n";
    let (config, warnings) = loaded(text);
    insta::assert_snapshot!(crate::fault::warning_text(&warnings[0]), @r"
    warning: this file has the form of 2017
     --> config.yml:1:1
      |
    1 | summoner:
      | ^^^^^^^^
      |
      = help: `summoner config migrate` rewrites it in today's form and keeps the comments
    ");
    assert_eq!(warnings.len(), 1);
    assert_eq!(config.email, "admin@virtualdonkey.fr");
    assert_eq!(config.layout.databases, Path::new("/root/Summoner/data/database"));
    assert_eq!(config.proxy_instance.id.to_string(), "nginx-virtualdonkey.fr");
    assert_eq!(config.instances.len(), 3);
    let listed = text.replace("nginx ghost nextcloud wekan", "\n    - nginx\n    - ghost nextcloud\n    - wekan");
    assert_eq!(loaded(&listed).0, config);
    insta::assert_snapshot!(faults("summoner:\n  domain: a.fr\n  applications: \"nginx ghost ghost\n    gohst\"\n  vsrot: x\n"), @r"
    config.yml:3:30: `ghost` is there twice
    config.yml:4:5: there is no minion `gohst` (did you mean `ghost`? `summoner minions` lists them all)
    config.yml:5:3: unknown key `vsrot` in summoner (did you mean `vsroot`?)
    ");
}

#[test]
fn one_app_on_several_domains_is_several_instances() {
    let (config, _) = loaded(
        "version: 1\ndomain: a.org\nemail: you@a.org\napps:\n  ghost: {domains: [a.org, BÜCHER.example]}\n  news: {minion: ghost, subdomain: \"@\", aliases: www.a.org}\n",
    );
    let shown: Vec<String> =
        config.instances.iter().map(|one| format!("{} {} {}", one.id, one.minion, one.host.as_ref().unwrap().as_str())).collect();
    assert_eq!(
        shown,
        ["ghost-a.org ghost blog.a.org", "ghost-xn--bcher-kva.example ghost blog.xn--bcher-kva.example", "news-a.org ghost a.org"]
    );
    assert_eq!(config.instances[2].aliases[0].as_str(), "www.a.org");
}

#[test]
fn the_proxy_may_be_listed_but_is_never_doubled() {
    let (config, _) = loaded(&format!("{NEWCOMER}  nginx: {{version: \"1.29\", resources: {{memory: 256m}}}}\n"));
    assert_eq!(config.proxy_instance.version.as_deref(), Some("1.29"));
    assert_eq!(config.instances.len(), 2);
    insta::assert_snapshot!(rest("apps:\n  web: {minion: nginx}\n  nginx: {domain: b.org, subdomain: www}\n"), @r"
    config.yml:5:3: `web` would be a second nginx, and a host has exactly one proxy (name the entry `nginx`, or leave it out: the proxy is always there)
    config.yml:6:19: apps.nginx serves all domains and needs none of its own
    config.yml:6:37: apps.nginx.subdomain has no effect: `nginx` answers on no host name
    ");
    insta::assert_snapshot!(rest("proxy: {minion: ghost}\napps: {nginx: {minion: wekan}}\n"), @"config.yml:4:17: `ghost` is not a proxy (allowed: nginx)");
    insta::assert_snapshot!(rest("proxy: {http_port: 443}\n"), @"config.yml:4:8: proxy.http_port and proxy.https_port are both 443");
    insta::assert_snapshot!(rest("apps: {nginx: {minion: wekan}}\n"), @"config.yml:4:8: `nginx` is the proxy's name (give this app another name)");
}

#[test]
fn all_faults_come_at_once_with_their_places() {
    let text = "version: 1\ndoman: a.org\nemail: you\nemail: me@a.org\ntimezone: paris\ncertificates: {issuer: letsencrypt}\nproxy: {http_port: 0, https_port: 80, address: here}\nnetworks: {range: 10.0.0.0/8}\napps:\n  gohst:\n  ghost: {environment: {1A: x, B: [1], C: }, resources: {memory: lots, cpus: many}, version: a/b}\n  wekan: 5\n";
    insta::assert_snapshot!(faults(text), @r"
    config.yml:1:1: `domain` is missing
    config.yml:2:1: unknown key `doman` (did you mean `domain`?)
    config.yml:3:8: email: `you` is no e-mail address: it has no @
    config.yml:4:1: `email` is there twice
    config.yml:5:11: `paris` is no time zone (did you mean `Europe/Paris`?)
    config.yml:6:24: certificates.issuer: `letsencrypt` is not known (allowed: acme, internal)
    config.yml:7:20: proxy.http_port is a port, 1 to 65535, not `0`
    config.yml:7:48: proxy.address: `here` is no IP address of this host
    config.yml:8:19: networks.range: `10.0.0.0/8` is no private range: its length is /12 to /20
    config.yml:10:3: there is no minion `gohst` (did you mean `ghost`? `summoner minions` lists them all)
    config.yml:11:25: `1A` in apps.ghost.environment is no name for a variable: letters, digits and _, no digit first
    config.yml:11:35: apps.ghost.environment.B must be text, but a list stands here
    config.yml:11:41: apps.ghost.environment.C must be text, but nothing stands here
    config.yml:11:66: apps.ghost.resources.memory: `lots` is no amount of memory: write 512m, 1.5g or a number of bytes
    config.yml:11:78: apps.ghost.resources.cpus: `many` is no number of CPUs: write 0.5, 1 or 2
    config.yml:11:94: apps.ghost.version: `a/b` is no version: it is a tag of the application's image, such as 6.59.0 or 5-alpine
    config.yml:12:10: apps.wekan must be a mapping, but a number stands here
    ");
}

#[test]
fn a_fault_shows_its_line() {
    let all =
        load(&Source::new("config.yml", "version: 1\ndomain: a.org\nemail: you@a.org\napps:\n  gohst:\n"), &surroundings()).unwrap_err();
    insta::assert_snapshot!(all[0], @r"
    error: there is no minion `gohst`
     --> config.yml:5:3
      |
    5 |   gohst:
      |   ^^^^^
      |
      = help: did you mean `ghost`? `summoner minions` lists them all
    ");
}

#[test]
fn names_of_apps_are_strict() {
    insta::assert_snapshot!(rest("apps:\n  my-app:\n  ..:\n  redis:\n  Ghost:\n  blog2: {minion: ghots}\n"), @r"
    config.yml:5:3: `my-app` is not a name for an application: lower-case letters and digits, a letter first, at most 30 (no hyphen) (choose a short name and say with `minion:` which application it is, such as `blog: {minion: ghost}`)
    config.yml:6:3: `..` is not a name for an application: lower-case letters and digits, a letter first, at most 30 (no hyphen) (choose a short name and say with `minion:` which application it is, such as `blog: {minion: ghost}`)
    config.yml:7:3: `redis` is reserved: it is the role of a container (mysql, mariadb, postgresql, mongodb, redis, cron …) (choose a short name and say with `minion:` which application it is, such as `blog: {minion: ghost}`)
    config.yml:8:3: `Ghost` is not a name for an application: lower-case letters and digits, a letter first, at most 30 (no hyphen) (choose a short name and say with `minion:` which application it is, such as `blog: {minion: ghost}`)
    config.yml:9:19: there is no minion `ghots` (did you mean `ghost`? `summoner minions` lists them all)
    ");
    insta::assert_snapshot!(rest("apps:\n  - ghost\n"), @"config.yml:5:3: apps must be a mapping, but a list stands here (each app is a key of its own, such as `ghost:` (without a dash before it))");
}

#[test]
fn domains_are_checked_and_messages_stay_short() {
    insta::assert_snapshot!(faults("version: 1\ndomain: localhost\nemail: you@a.org\n"), @"config.yml:2:9: domain: `localhost` is not a domain: it needs at least two parts, such as example.org or team.localhost");
    let long = faults(&format!("version: 1\ndomain: {}\nemail: you@a.org\n", "a".repeat(5000)));
    assert!(long.len() < 250 && long.contains("longer than 180"), "{long}");
    let (config, _) = loaded("version: 1\ndomain: BÜCHER.Example\nemail: you@Bücher.example\n");
    assert_eq!((config.domain.as_str(), config.email.as_str()), ("xn--bcher-kva.example", "you@xn--bcher-kva.example"));
}

#[test]
fn a_host_leads_to_one_app() {
    insta::assert_snapshot!(rest("apps:\n  ghost:\n  news:\n    minion: ghost\n  wekan: {aliases: [cloud.a.org, www.a.org, www.a.org]}\n  nextcloud: {aliases: [cloud.a.org]}\n"), @r"
    config.yml:6:3: apps.news would answer on blog.a.org, and so does apps.ghost (line 5) (give one of them another `subdomain:`, `domain:` or alias)
    config.yml:8:45: apps.wekan.aliases holds www.a.org twice
    config.yml:9:3: apps.nextcloud would answer on cloud.a.org, and so does apps.wekan (line 8) (give one of them another `subdomain:`, `domain:` or alias)
    config.yml:9:25: apps.nextcloud would answer on cloud.a.org, and so does apps.wekan (line 8) (give one of them another `subdomain:`, `domain:` or alias)
    ");
    insta::assert_snapshot!(rest("apps:\n  ghost: {domains: [a.org, b.org, A.org], aliases: [c.org]}\n  wekan: {domain: b.org, domains: [c.org], subdomain: x_y}\n  nextcloud: {subdomain: drive.a.org}\n  runnerless: {subdomain: x}\n"), @r#"
    config.yml:5:35: apps.ghost.domains holds a.org twice
    config.yml:5:53: apps.ghost.aliases would lead to several instances (give each domain its own entry, with `minion:` and `aliases:`)
    config.yml:6:19: apps.wekan.domain and apps.wekan.domains are both there (put all of them into `domains:`)
    config.yml:6:55: apps.wekan.subdomain: `x_y.a.org` is not a domain: only letters, digits, hyphens and dots make a domain (a subdomain is a word such as blog; "@" is the domain itself)
    config.yml:7:26: apps.nextcloud.subdomain holds the domain as well (write `subdomain: "drive"`)
    config.yml:8:27: apps.runnerless.subdomain has no effect: `runnerless` answers on no host name
    "#);
}

#[test]
fn storage_roots_that_would_harm_are_refused() {
    for root in [
        "/",
        "/etc",
        "/etc/x",
        "/usr",
        "/usr/local/x",
        "/var",
        "/var/lib",
        "/home",
        "/home/me",
        "/root",
        "~",
        "/proc",
        "/boot",
        "/tmp",
        "/srv/../etc",
        "/dev/shm",
        "/var/lib/docker/volumes",
        "~you/x",
        "''",
        "/srv/a:b",
        "../../..",
    ] {
        let said = rest(&format!("storage: {{files: \"{}\"}}\n", root.trim_matches('\'')));
        assert!(said.contains("config.yml:4:18: storage.files cannot be"), "{root}: {said}");
    }
    for (files, databases) in [
        ("/srv/data", "/srv/data"),
        ("/srv/data", "/srv/data/summoner/x"),
        ("/srv/data", "/srv/data/backups"),
        ("/srv/data", "/srv/data/ghost-a.org/db"),
        ("/srv/db/mysql-ghost-a.org", "/srv/db"),
    ] {
        let said = rest(&format!("storage: {{files: {files}, databases: {databases}}}\n"));
        assert!(said.contains("storage.databases is the same") || said.contains("lies in"), "{files} {databases}: {said}");
    }
    insta::assert_snapshot!(rest("storage: {files: /etc/team}\n"), @"config.yml:4:18: storage.files cannot be `/etc/team`: /etc belongs to the system (a folder of its own, such as ./data or /srv/summoner, is right)");
    insta::assert_snapshot!(rest("storage: {files: /srv/data, databases: /srv/data/ghost-a.org/db}\n"), @"config.yml:4:40: storage.databases lies in an application's own folder, /srv/data/ghost-a.org (/srv/data/database is a good place)");
    let (config, warnings) = loaded("version: 1\ndomain: a.org\nemail: you@a.org\nstorage: {files: /tmp/x, databases: ~/db}\n");
    assert_eq!(config.layout.databases, Path::new("/root/db"));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn schedules_are_checked() {
    insta::assert_snapshot!(rest("backup: {dump: 0 3 31 2 *, cold: nigthly, verify: every 1m, forget: at noon, keep: {last: 0, daily: -1, weekly: 0, often: 5, within: long}}\napps: {ghost: {backup: {dump: never, keep: {last: 0, daily: 0, weekly: 0, monthly: 0}}}, wekan: {backup: {keep: {at_most: 0}, parallel: 2}}}\n"), @r#"
    config.yml:4:16: backup.dump is not a schedule: it never comes: no month named there has such a day (nightly, hourly, daily, weekly, monthly, every 6h, at start, never; or as in cron, minute hour day month weekday: "0 2 * * *" is every night at two)
    config.yml:4:34: backup.cold is not a schedule: `nigthly` is no word for times (nightly, hourly, daily, weekly, monthly, every 6h, at start, never; or as in cron, minute hour day month weekday: "0 2 * * *" is every night at two)
    config.yml:4:51: backup.verify is not a schedule: every 1m is out of bounds: 5m to 366d (nightly, hourly, daily, weekly, monthly, every 6h, at start, never; or as in cron, minute hour day month weekday: "0 2 * * *" is every night at two)
    config.yml:4:69: backup.forget is not a schedule: `at noon` is no word for times (nightly, hourly, daily, weekly, monthly, every 6h, at start, never; or as in cron, minute hour day month weekday: "0 2 * * *" is every night at two)
    config.yml:4:101: backup.keep.daily must be a whole number in its range, but a number stands here
    config.yml:4:116: unknown key `often` in backup.keep (allowed: at_most, daily, hourly, last, monthly, weekly, within, yearly)
    config.yml:4:134: backup.keep.within: `long` is no length of time: write 30s, 10m, 6h, 30d or 4w
    config.yml:5:44: this keeps no backup at all (at least one of last, hourly, daily, weekly, monthly, yearly is 1 or more, or `within` is set)
    config.yml:5:113: at_most: 0 keeps no backup at all (1 or more; the newest good one always stays)
    config.yml:5:127: unknown key `parallel` in apps.wekan.backup (allowed: cold, compression, downtime_budget, drill, dump, forget, jitter, keep, ping, quiet, sync, verify)
    "#);
    let (config, _) = loaded(
        "version: 1\ndomain: a.org\nemail: you@a.org\nbackup: {cold: '@weekly', verify: every 7d, keep: {last: 9, within: 30d, at_most: 50}}\napps: {ghost: {backup: {dump: never, keep: {daily: 30, at_most: none}}}}\n",
    );
    let backup = &config.instances[0].backup;
    assert_eq!((backup.dump.as_ref(), backup.cold.as_ref().map(Times::as_str)), (None, Some("@weekly")));
    assert_eq!((backup.keep.last, backup.keep.daily, backup.keep.weekly, backup.keep.at_most), (9, 30, 4, None));
    assert_eq!(backup.keep.within, Some(Duration::from_secs(30 * 86400)));
}

#[test]
fn how_backups_run_is_checked() {
    insta::assert_snapshot!(rest("parallel: 99\ndaemon: maybe\nbackup: {compression: lzma, downtime_budget: 0s, jitter: 1d, quiet: 8-18}\n"), @"
    config.yml:4:11: parallel: `99` is no number of jobs: 1 to 16
    config.yml:5:9: daemon must be true or false, but text stands here
    config.yml:6:23: backup.compression: `lzma` is no compression: zstd or gzip
    config.yml:6:46: backup.downtime_budget: no application stops and starts in no time: write 30s, or none
    config.yml:6:58: backup.jitter: 1d is more than 6h, and the night would be over
    config.yml:6:69: backup.quiet: `8-18` is no span of hours: write 08:00-18:00, or never
    ");
    let (config, _) = loaded(
        "version: 1\ndomain: a.org\nemail: you@a.org\nparallel: 2\ndaemon: false\nbackup: {quiet: 08:00-18:00, downtime_budget: 30s, jitter: 10m}\napps: {ghost: {backup: {quiet: never, compression: gzip, downtime_budget: none}}}\n",
    );
    assert_eq!((config.parallel, config.daemon), (2, false));
    let (all, ghost) = (&config.proxy_instance.backup, &config.instances[0].backup);
    assert_eq!((all.quiet.map(|quiet| quiet.to_string()).as_deref(), ghost.quiet), (Some("08:00-18:00"), None));
    assert_eq!((all.downtime_budget, ghost.downtime_budget), (Some(Duration::from_secs(30)), None));
    assert_eq!((ghost.jitter, ghost.compression), (Duration::from_secs(600), Compression::Gzip));
}

#[test]
fn the_form_itself_is_checked() {
    insta::assert_snapshot!(faults("version: 2\ndomain: 1\n"), @"config.yml:1:10: version 2 was written by a newer Summoner; this one reads version 1 (update Summoner)");
    insta::assert_snapshot!(faults("domain: a.org\nemail: you@a.org\n"), @"config.yml:1:1: `version` is missing (begin the file with `version: 1`)");
    insta::assert_snapshot!(faults("version: one\ndomain: a.org\nemail: you@a.org\n"), @"config.yml:1:10: version must be 1 (begin the file with `version: 1`)");
    insta::assert_snapshot!(faults("# only a comment\n"), @"config.yml:1:1: the file holds no settings (`summoner init` writes one to begin with)");
    insta::assert_snapshot!(faults("- a\n"), @"config.yml:1:1: the file must hold keys such as `domain:`, but a list stands here (`summoner init` writes one to begin with)");
    insta::assert_snapshot!(faults("version: 1\ndomain: a.org\napps:\n\tghost:\n"), @"config.yml:4:2: a tab indents this line: YAML wants spaces");
    insta::assert_snapshot!(rest("backup:\n  dump: */30 * * * *\n"), @r#"config.yml:5:9: not valid YAML: while parsing node, found unknown anchor (put quotes around a value that begins with a star: "*/30 * * * *")"#);
    insta::assert_snapshot!(rest("backup:\n  dump: * 2 * * *\n"), @r#"config.yml:5:9: not valid YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character (put quotes around a value that begins with a star: "*/30 * * * *")"#);
    insta::assert_snapshot!(rest("summoner: {domain: a.org}\nx-mine: anything\n"), @"config.yml:4:1: unknown key `summoner` (allowed: apps, backup, bans, certificates, daemon, domain, email, encryption, hooks, metrics, networks, parallel, ping, proxy, repositories, routes, storage, timezone, version)");
    let bomb = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))
    });
    assert!(faults(&bomb).contains("too large"));
}

#[test]
fn a_file_from_windows_loads() {
    let text = format!("\u{feff}{}", NEWCOMER.replace('\n', "\r\n"));
    assert_eq!(loaded(&text).0, loaded(NEWCOMER).0);
}

/// The longest name that the parts allow is still one that Docker and DNS take.
#[test]
fn no_container_name_is_too_long() {
    let longest = |texts: &[&str]| texts.iter().map(|text| text.len()).max().unwrap();
    let app = "a".repeat(30);
    assert!(format!("{app}a").parse::<crate::name::App>().is_err());
    let domain = format!("{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(52));
    assert!(domain.parse::<crate::name::Domain>().is_ok() && format!("{domain}c").parse::<crate::name::Domain>().is_err());
    assert!(longest(&crate::name::ROLES) + app.len() + domain.len() + 2 <= 253);
}

proptest! {
    /// Whatever a person's editor, merge tool or cat did to the file: faults, never a panic, and messages that fit a screen.
    #[test]
    fn no_text_is_too_strange(which in 0..4_usize, wounds in proptest::collection::vec((0..2000_usize, 0..8_usize, "[ \t\n#:{}\\[\\],&*'\"éa\u{feff}-]{0,4}"), 1..6)) {
        let texts = [crate::config::EXAMPLE, NEWCOMER, "summoner:\n  domain: a.fr # é\n  vsroot: ~/x\n  applications: nginx ghost\n", "apps: {ghost: {domains: [a.org, b.org]}, wekan: } # é\ndomain: a.org\n"];
        let mut text = texts[which].to_owned();
        for (at, cut, with) in wounds {
            let start = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &with);
        }
        if let Err(faults) = load(&Source::new("config.yml", text.as_str()), &surroundings()) {
            for fault in faults {
                prop_assert!(fault.message.len() < 500, "{}", fault.message);
                prop_assert!(!fault.to_string().is_empty());
            }
        }
        let settings = edit::AppSettings { domain: Some("z.org".parse().unwrap()), ..edit::AppSettings::default() };
        let domain = "b.org".parse().unwrap();
        for new in [edit::add_app(&text, "ghost", &settings), edit::add_app(&text, "zulu", &settings), edit::remove_app(&text, "ghost"), edit::remove_instance(&text, "ghost", &domain)].into_iter().flatten() {
            prop_assert!(new.contains('\n') || !text.contains('\n'));
        }
        let _ = crate::config::migrate(&text);
    }
}
