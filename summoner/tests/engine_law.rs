//! On the real engine: every minion of the catalogue is installed, works, and planning again gives an empty plan, also
//! after everything that people and machines do to containers.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bed, Said};

const ALL: &str = "  statik:\n  ghost:\n  wordpress:\n  etherpad:\n  mattermost:\n  wekan:\n  nextcloud:\n  gitlab:\n";

/// One bed for all: eight applications and their databases take a minute and a half to come up on two cores.
#[test]
fn every_minion_obeys_the_law() {
    let bed = Bed::new("law");
    bed.config(ALL);
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("the first install");
    names_and_ports_are_as_promised(&bed);
    administrators_can_sign_in(&bed);
    compose_shows_our_stacks(&bed);
    let secrets = bed.secrets();
    let containers = bed.containers();
    what_people_do_is_mended(&bed);
    assert_eq!(bed.secrets(), secrets, "a secret changed");
    assert_eq!(bed.containers(), containers, "containers were duplicated or lost");
    a_retagged_image_changes_nothing(&bed);
    stop_start_and_restart(&bed);
    bed.assert_nothing_to_do("stop, start and restart");
}

fn names_and_ports_are_as_promised(bed: &Bed) {
    let containers = bed.containers();
    for name in
        ["ghost-", "mysql-ghost-", "mariadb-wordpress-", "postgresql-etherpad-", "mongodb-wekan-", "redis-nextcloud-", "cron-nextcloud-"]
    {
        assert!(containers.contains(&format!("{name}{}", bed.domain)), "{name} is not among {containers:?}");
    }
    for name in containers.iter().filter(|name| !name.starts_with("nginx-")) {
        let published = bed.docker(&["port", name]);
        assert_eq!(published, "", "{name} publishes a port");
    }
    // A database is on its instance's own network alone.
    let networks =
        bed.docker(&["inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", &bed.id("mysql-ghost")]);
    assert_eq!(networks.trim(), bed.id("ghost"));
}

/// The accounts that `credentials` shows open the applications' own doors.
fn administrators_can_sign_in(bed: &Bed) {
    for app in ["ghost", "wordpress", "etherpad", "mattermost", "wekan", "nextcloud", "gitlab"] {
        let said = bed.ok(&["credentials", app, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert!(shown["password"].as_str().unwrap().len() >= 32, "{app}: {shown}");
        let stored = bed.secrets().into_iter().any(|(path, value)| path.ends_with("admin_password") && shown["password"] == value.as_str());
        assert!(stored, "the password of {app} is not the stored one");
    }
    let (status, page) = bed.get("blog", "/ghost/api/admin/authentication/setup/");
    assert!(status == 200 && page.contains("\"status\":true"), "ghost has no administrator: {status} {page}");
    let (status, page) = bed.get("site", "/wp-login.php");
    assert!(status == 200 && page.contains("user_login"), "wordpress has no administrator: {status}");
}

fn compose_shows_our_stacks(bed: &Bed) {
    let Some(compose) = std::env::var_os("SUMMONER_COMPOSE_BIN") else {
        assert!(std::env::var_os("SUMMONER_REQUIRE_COMPOSE").is_none(), "docker compose is required and not there");
        return;
    };
    let project = bed.id("nextcloud").replace('.', "_");
    let ask = |words: &[&str]| String::from_utf8(Command::new(&compose).args(words).output().unwrap().stdout).unwrap();
    assert!(ask(&["ls"]).lines().any(|line| line.starts_with(&project) && line.contains("running(4)")), "{}", ask(&["ls"]));
    let shown = ask(&["-p", &project, "ps", "--format", "{{.Service}} {{.Name}}"]);
    assert!(shown.contains(&format!("db {}", bed.id("mariadb-nextcloud"))), "{shown}");
}

/// Each disturbance hits another minion; one install mends them all.
fn what_people_do_is_mended(bed: &Bed) {
    bed.docker(&["kill", &bed.id("ghost")]);
    bed.docker(&["rm", "-f", &bed.id("mariadb-wordpress")]);
    bed.docker(&["stop", "-t", "1", &bed.id("etherpad")]);
    bed.docker(&["rename", &bed.id("mattermost"), &bed.id("oldchat")]);
    bed.docker(&["network", "disconnect", &bed.domain.replace('.', "-"), &bed.id("wekan")]);
    for name in [bed.id("nextcloud"), bed.id("cron-nextcloud"), bed.id("redis-nextcloud"), bed.id("mariadb-nextcloud")] {
        bed.docker(&["network", "disconnect", "-f", &bed.id("nextcloud"), &name]);
    }
    bed.docker(&["network", "rm", &bed.id("nextcloud")]);
    bed.docker(&["pause", &bed.id("gitlab")]);
    bed.docker(&["rm", "-f", &bed.id("nginx")]);
    let steps = bed.steps();
    for step in [
        format!("start-container {}", bed.id("ghost")),
        format!("create-container {}", bed.id("mariadb-wordpress")),
        format!("start-container {}", bed.id("etherpad")),
        format!("rename-container {}", bed.id("mattermost")),
        format!("connect-network {}", bed.id("wekan")),
        format!("create-network {}", bed.id("nextcloud")),
        format!("recreate-container {}", bed.id("redis-nextcloud")),
        format!("recreate-container {}", bed.id("gitlab")),
        format!("create-container {}", bed.id("nginx")),
    ] {
        assert!(steps.contains(&step), "`{step}` is not in {steps:#?}");
    }
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("everything that people do");
    for (host, path) in [
        ("blog", "/"),
        ("site", "/wp-login.php"),
        ("pad", "/"),
        ("chat", "/"),
        ("board", "/sign-in"),
        ("cloud", "/status.php"),
        ("git", "/users/sign_in"),
    ] {
        let (status, page) = bed.get(host, path);
        assert_eq!(status, 200, "{host}: {page}");
    }
}

fn a_retagged_image_changes_nothing(bed: &Bed) {
    // One that no other test installs: they run beside this one.
    let image = "gitlab/gitlab-ce:19.3.0-ce.0";
    let before = bed.docker(&["image", "inspect", "-f", "{{.Id}}", image]);
    bed.docker(&["tag", "nginx:1.30.6", image]);
    let steps = bed.steps();
    bed.docker(&["tag", before.trim(), image]);
    assert_eq!(steps, Vec::<String>::new(), "a tag that moved moved a container");
}

fn stop_start_and_restart(bed: &Bed) {
    bed.ok(&["stop", "statik"]);
    assert_eq!(bed.run(&["status", "statik"]).code, 3, "a stopped instance needs a person");
    let (status, page) = bed.get("www", "/");
    assert!(status == 503 && page.contains("not ready yet"), "a stopped application answers {status}: {page}");
    bed.ok(&["start", "statik"]);
    bed.ok(&["restart", "statik"]);
    assert_eq!(bed.run(&["status", "statik"]).code, 0);
}

/// Somebody else's container on the proxy's network; gone with the test.
struct Stranger<'a>(&'a Bed, String);

impl<'a> Stranger<'a> {
    fn start(bed: &'a Bed, app: &str) -> Self {
        let (name, host) = (format!("stranger-{app}-{}", bed.domain), format!("VIRTUAL_HOST={app}.{}", bed.domain));
        let edge = bed.domain.replace('.', "-");
        bed.docker(&["run", "-d", "--name", &name, "--label", "summoner.test=sites", "--network", &edge, "-e", &host, "nginx:1.30.6"]);
        Self(bed, name)
    }
}

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        self.0.docker_said(&["rm", "-f", &self.1]);
    }
}

struct Daemon(Child);

impl Daemon {
    fn start(bed: &Bed) -> Self {
        Self(bed.command(&["daemon"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> Said {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
        let child = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap());
        Said::of(child.wait_with_output().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long it took.
fn within(seconds: u64, what: &str, is: impl Fn() -> bool) -> Duration {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    since.elapsed()
}

/// `routes:` of config.yml and containers that ask are served by the same law, and the daemon keeps them so.
#[test]
fn routes_and_strangers_obey_it_too() {
    let mut bed = Bed::new("sites");
    bed.environment = vec![("SUMMONER_NO_SERVICE".into(), "1".into())];
    bed.config("  statik:\n");
    let path = bed.path().join("config.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}routes:\n- {{host: old.{}, answer: 410}}\n", bed.domain)).unwrap();
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("an install with routes");
    assert_eq!(bed.get("old", "/").0, 410);
    let one = Stranger::start(&bed, "one");
    assert!(!bed.plan()["steps"].as_array().unwrap().is_empty(), "a stranger's host is a change");
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("an install with a stranger");
    assert_eq!(bed.get("one", "/").0, 200);
    let routes = bed.ok(&["routes"]).out;
    assert!(routes.contains(&format!("old.{}", bed.domain)) && routes.contains(&one.1), "{routes}");
    let daemon = Daemon::start(&bed);
    // A moment for its first look, which changes nothing.
    std::thread::sleep(Duration::from_secs(3));
    let two = Stranger::start(&bed, "two");
    let opened = within(15, "a container that came later is served", || bed.get("two", "/").0 == 200);
    drop(two);
    // By the file: a request of that very moment would wait for a container that is not there.
    let file = bed.root().join(format!("summoner/nginx/current/hosts/two.{}.conf", bed.domain));
    let closed = within(15, "one that went away is not", || !file.exists());
    assert_ne!(bed.get("two", "/").0, 200);
    println!("opened in {opened:?}, closed in {closed:?}");
    bed.docker(&["stop", &bed.id("nginx")]);
    within(30, "a proxy that somebody stopped runs again", || bed.get("one", "/").0 == 200);
    bed.docker(&["rm", "-f", &bed.id("nginx")]);
    within(30, "a proxy that somebody removed runs again", || bed.get("one", "/").0 == 200);
    bed.ok(&["--wait", "stop", "nginx"]);
    std::thread::sleep(Duration::from_secs(4));
    assert_ne!(bed.get("one", "/").0, 200, "what a person stopped by a command stays so");
    bed.ok(&["--wait", "start", "nginx"]);
    let said = daemon.end();
    assert_eq!(said.code, 0, "{}", said.err);
    said.assert_says(&["does not run: it is started again", "is gone: it is started again"]);
    bed.assert_nothing_to_do("the daemon");
}
