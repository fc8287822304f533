//! On the real engine: what goes wrong while installing, with the sentence that people read, and nothing lost.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

fn pair(name: &str) -> Bed {
    let bed = Bed::new(name);
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  pair:\n");
    bed
}

fn broken(name: &str, from: &str, to: &str) -> (Bed, Said) {
    let bed = Bed::new(name);
    assert!(PAIR_COMPOSE.contains(from), "{from}");
    bed.minion("pair", PAIR_MINION, &PAIR_COMPOSE.replace(from, to)).config("  pair:\n  statik:\n");
    let said = bed.run(&["install"]);
    (bed, said)
}

#[test]
fn a_container_that_exits_at_once_shows_its_last_words_and_stops_no_other() {
    let (bed, said) =
        broken("exits", "MARK: \"one\"}", "MARK: \"one\"}\n    command: [\"sh\", \"-c\", \"echo cannot find my hat; exit 7\"]");
    assert_eq!(said.code, 3, "statik is installed, pair is not: {}", said.err);
    said.assert_says(&["ended", "with exit code 7", "cannot find my hat", &format!("summoner logs {}", bed.id("pair"))]);
    assert_eq!(bed.get("www", "/").0, 403, "statik works");
    assert_eq!(bed.get("pair", "/").0, 0, "the route of an instance that never worked is closed");
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE);
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("mending the minion");
    assert_eq!(bed.get("pair", "/").0, 403);
}

#[test]
fn a_health_check_that_never_passes_is_quoted() {
    let check =
        "test: [\"CMD\", \"sh\", \"-c\", \"echo the hat is gone; exit 1\"], interval: 1s, timeout: 3s, retries: 2, start_period: 1s";
    let old = "test: [\"CMD\", \"curl\", \"-sS\", \"-o\", \"/dev/null\", \"http://127.0.0.1/\"], interval: 1s, timeout: 3s, retries: 5, start_period: 5s";
    let (bed, said) = broken("sick", old, check);
    assert_eq!(said.code, 3, "{}", said.err);
    said.assert_says(&["did not become healthy within", "its health check says: the hat is gone", &bed.id("pair")]);
    assert_eq!(bed.run(&["status"]).code, 3);
}

#[test]
fn an_image_that_is_not_to_be_had_is_named_and_keeps_its_instance_alone_back() {
    let bed = pair("image");
    bed.ok(&["install"]);
    bed.config("  pair:\n  statik:\n");
    let before = bed.docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &bed.id("pair")]);
    // Nobody listens there: a registry out of reach.
    bed.minion("pair", PAIR_MINION, &PAIR_COMPOSE.replacen("nginx:1.30.6", "127.0.0.1:9/nothing/here:1.2.3", 1));
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 3, "statik is installed, pair is not: {}", said.err);
    said.assert_says(&["cannot pull the image 127.0.0.1:9/nothing/here:1.2.3", "scripts/images 127.0.0.1:9/nothing/here:1.2.3"]);
    assert_eq!(bed.docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", &bed.id("pair")]), before, "a running container was touched");
    assert_eq!((bed.get("www", "/").0, bed.get("pair", "/").0), (403, 403), "both are served");
}

#[test]
fn a_registry_that_asks_for_a_login_is_said() {
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = registry.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in registry.incoming().flatten() {
            let mut request = [0_u8; 4096];
            if stream.read(&mut request).is_ok() {
                let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
                let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"closed\"\r\nContent-Type: application/json";
                // The engine may have heard enough.
                let _ = stream.write_all(format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).as_bytes());
            }
        }
    });
    let bed = Bed::new("login");
    let image = format!("127.0.0.1:{port}/team/secret:1.2.3");
    bed.minion("pair", PAIR_MINION, &PAIR_COMPOSE.replacen("nginx:1.30.6", &image, 1)).config("  pair:\n");
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 1, "nothing else was to be installed");
    said.assert_says(&[&format!("cannot pull the image {image}"), &format!("docker login 127.0.0.1:{port}")]);
}

#[test]
fn a_port_that_somebody_holds_is_told_with_its_holder() {
    let bed = pair("port");
    let _holder = TcpListener::bind(("127.0.0.1", bed.https_port)).unwrap();
    let said = bed.run(&["install"]);
    assert_ne!(said.code, 0);
    said.assert_says(&[&format!("port {}", bed.https_port), &format!("process {}", std::process::id())]);
    assert_eq!(bed.containers(), Vec::<String>::new(), "something was made although the port is taken");
}

#[test]
fn a_host_that_nginx_refuses_is_named_by_every_command_until_it_is_mended() {
    let bed = pair("refused");
    bed.ok(&["install"]);
    // More bytes than nginx can count.
    bed.minion("pair", &PAIR_MINION.replace("{port: 80}", "{port: 80, body: 9000000t}"), PAIR_COMPOSE).config("  pair:\n  statik:\n");
    for _ in 0..2 {
        let said = bed.run(&["install"]);
        assert_eq!(said.code, 3, "{}", said.err);
        let host = format!("the proxy refuses the route of pair.{}", bed.domain);
        said.assert_says(&[&host, "client_max_body_size", "summoner install   once what it names is mended"]);
        assert_eq!((bed.get("www", "/").0, bed.get("pair", "/").0), (403, 0));
        let status = bed.run(&["status"]);
        assert!(status.code == 3 && status.out.contains("the proxy refuses pair."), "{}", status.out);
        let routes = bed.ok(&["routes"]).out;
        assert!(routes.contains("closed  the proxy refuses it: \"client_max_body_size\""), "{routes}");
        assert_eq!(bed.run(&["plan", "--check"]).code, 4);
        assert!(bed.plan()["steps"][0]["reason"].as_str().unwrap().starts_with("the proxy refused pair."), "{}", bed.plan());
    }
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE);
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("mending the minion");
    assert_eq!((bed.get("www", "/").0, bed.get("pair", "/").0), (403, 403));
}

#[test]
fn a_name_that_somebody_holds_is_never_touched() {
    let bed = pair("taken");
    bed.config("  pair:\n  statik:\n");
    let name = bed.id("pair");
    bed.docker(&["run", "-d", "--name", &name, "--label", "summoner.test=1", "nginx:1.30.6"]);
    let shown = bed.run(&["status", "--json"]);
    let said = bed.run(&["install"]);
    let still = bed.docker(&["inspect", "-f", "{{.State.Status}}", &name]);
    bed.docker(&["rm", "-f", &name]);
    assert!(shown.out.contains(&format!("\"name\": \"{name}\"")) && shown.out.contains("\"foreign\""), "{}", shown.out);
    assert_eq!(said.code, 3, "statik is installed, pair is not: {}", said.err);
    said.assert_says(&[&format!("the name {name} is taken"), "docker rename"]);
    assert_eq!(still.trim(), "running");
    assert_eq!(bed.get("www", "/").0, 403);
    assert!(!bed.containers().iter().any(|made| made.contains("pair")), "something of pair was made: {:?}", bed.containers());
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("the name is free");
}

#[test]
fn two_installs_at_once_do_not_meet() {
    let bed = pair("twice");
    let first = bed.command(&["install"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let lock = bed.root().join("summoner/lock");
    for _ in 0..200 {
        if std::fs::metadata(&lock).is_ok_and(|found| found.len() > 0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let second = bed.run(&["install"]);
    let third = bed.run(&["install", "--wait"]);
    let first = Said::of(first.wait_with_output().unwrap());
    assert_eq!((first.code, second.code, third.code), (0, 11, 0), "{}\n{}\n{}", first.err, second.err, third.err);
    second.assert_says(&["`summoner install` (process", "has held the lock of this host since", "--wait"]);
    third.assert_says(&["nothing to do"]);
}

#[test]
fn the_state_of_a_newer_program_is_refused_and_kept() {
    let bed = pair("newer");
    bed.ok(&["install"]);
    let state = bed.root().join("summoner/state.json");
    std::fs::write(&state, "{\"version\": 99}").unwrap();
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 2);
    said.assert_says(&["state.json was written by a newer Summoner (form 99"]);
    assert_eq!(std::fs::read_to_string(&state).unwrap(), "{\"version\": 99}");
}

#[test]
fn a_lost_state_is_found_again_without_losing_secrets() {
    let bed = pair("lost");
    bed.ok(&["install"]);
    let (secrets, containers) = (bed.secrets(), bed.containers());
    std::fs::remove_file(bed.root().join("summoner/state.json")).unwrap();
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("losing the state");
    assert_eq!((bed.secrets(), bed.containers()), (secrets, containers));
}

#[test]
fn a_secrets_folder_that_others_can_enter_is_closed_and_said() {
    use std::os::unix::fs::PermissionsExt;
    let bed = pair("open");
    bed.ok(&["install"]);
    let folder = bed.root().join("summoner/secrets");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let said = bed.ok(&["install"]);
    said.assert_says(&["secrets could be entered by others; now only root can"]);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A small disk of its own under the storage root.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "no small disk");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn a_full_disk_is_said_and_the_next_install_finishes() {
    let bed = pair("full");
    let disk = SmallDisk::mount(bed.root(), "256k");
    let filler = bed.root().join("filler");
    let written = std::fs::write(&filler, vec![0_u8; 1 << 20]);
    assert!(written.is_err(), "the disk is not small");
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 1, "{}", said.err);
    said.assert_says(&["No space left on device", "free space on that disk, then run the same command again: nothing was lost"]);
    std::fs::remove_file(&filler).unwrap();
    bed.ok(&["install"]);
    bed.assert_nothing_to_do("a full disk");
    bed.docker(&["rm", "-f", &bed.id("pair"), &bed.id("cache-pair"), &bed.id("nginx")]);
    drop(disk);
}

#[test]
fn invoke_and_remove_do_what_they_say() {
    let bed = pair("invoke");
    let config = || std::fs::read_to_string(bed.path().join("config.yml")).unwrap();
    std::fs::write(bed.path().join("config.yml"), config().replace("apps:", "# what we need\napps:")).unwrap();
    bed.ok(&["install"]);
    let before = config();
    // A failed invocation leaves the file as it was.
    bed.minion("bad", PAIR_MINION, &PAIR_COMPOSE.replacen("nginx:1.30.6", "127.0.0.1:9/no:1.0.0", 1));
    let said = bed.run(&["invoke", "bad"]);
    assert_eq!((said.code, config()), (1, before.clone()));
    bed.ok(&["invoke", "statik"]);
    assert!(config().contains("# what we need") && config().starts_with(before.trim_end()) && config().contains("statik"), "{}", config());
    assert_eq!(bed.get("www", "/").0, 403);
    std::fs::write(bed.root().join(bed.id("statik")).join("html/index.html"), "we were here").unwrap();
    let said = bed.ok(&["remove", "statik"]);
    assert!(said.out.contains(&bed.root().join(bed.id("statik")).display().to_string()), "{}", said.out);
    assert!(!bed.containers().contains(&bed.id("statik")));
    assert_eq!(bed.get("www", "/").0, 0, "its route is closed");
    assert_eq!(config(), before);
    bed.assert_nothing_to_do("remove");
    bed.ok(&["invoke", "statik"]);
    assert_eq!(bed.get("www", "/"), (200, "we were here".into()), "its data came back");
    let said = bed.run(&["remove", "statik", "--delete-data"]);
    assert_eq!(said.code, 2, "data was deleted without its name");
    assert!(bed.root().join(bed.id("statik")).exists());
    bed.ok(&["remove", "statik", "--delete-data", &bed.id("statik")]);
    assert!(!bed.root().join(bed.id("statik")).exists());
    bed.assert_nothing_to_do("remove --delete-data");
}

/// A command as a person types it; no word of it has blanks that are not quoted.
fn line(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn exec_and_logs_reach_the_container() {
    let bed = pair("daily");
    bed.ok(&["install"]);
    let said = bed.run(&["exec", "pair", "--", "sh", "-c", "echo hat; exit 5"]);
    assert_eq!((said.code, said.out.as_str()), (5, "hat\n"));
    let mut child = bed
        .command(&["exec", "pair", "--", "wc", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&[b'x'; 100_000]).unwrap();
    assert_eq!(Said::of(child.wait_with_output().unwrap()).out.trim(), "100000");
    bed.get("pair", "/somewhere");
    bed.ok(&["exec", "pair", "--", "sh", "-c", "printf '\\033[31mred hat\\033[0m\\n' > /proc/1/fd/1"]);
    let logs = bed.ok(&["logs", "pair"]).out;
    assert!(logs.contains("/somewhere") && logs.contains("red hat\n") && !logs.contains('\u{1b}'), "{logs:?}");
    // On a terminal they are colours.
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line(&bed.command(&["logs", "pair"])), "/dev/null"]).env("HOME", bed.path()).stdin(std::process::Stdio::null());
    let shown = Said::of(script.output().unwrap()).out;
    assert!(shown.contains("\u{1b}[31mred hat"), "{shown:?}");
    let routes: serde_json::Value = serde_json::from_str(&bed.ok(&["routes", "--json"]).out).unwrap();
    assert_eq!((routes["routes"][0]["state"].as_str(), routes["live"].as_bool()), (Some("open"), Some(true)), "{routes}");
    let certs: serde_json::Value = serde_json::from_str(&bed.ok(&["certs", "--json"]).out).unwrap();
    assert_eq!(certs["certificates"][0]["host"].as_str(), Some(format!("pair.{}", bed.domain).as_str()));
}

#[test]
fn exec_lends_the_terminal_and_gives_it_back() {
    let bed = pair("terminal");
    bed.ok(&["install"]);
    let words = |arguments: &[&str]| line(&bed.command(&[&["exec", "pair", "--"], arguments].concat()));
    let (talk, wait) = (words(&["sh", "-c", "'sleep 1; tty; stty size; sleep 4; stty size; cat; exit 5'"]), words(&["sleep", "60"]));
    let (session, pid) = (bed.path().join("session"), bed.path().join("pid"));
    let text = format!(
        "stty rows 33 cols 101\nbefore=$(stty -g)\n(sleep 3; stty rows 40 cols 120 </dev/tty) &\n{talk}\necho ended with $?\n\
         [ \"$(stty -g)\" = \"$before\" ] && echo mode is back\n\
         (sleep 2; stty -g </dev/tty >{0}.raw; kill -TERM $(cat {0})) &\nsh -c 'echo $$ >{0}; exec {wait}'\necho terminated with $?\n\
         [ \"$(cat {0}.raw)\" != \"$before\" ] && [ \"$(stty -g)\" = \"$before\" ] && echo mode is back again\n",
        pid.display()
    );
    std::fs::write(&session, text).unwrap();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("sh {}", session.display()), "/dev/null"]).env("HOME", bed.path());
    script.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = script.spawn().unwrap();
    // Ctrl-D at the end of what is typed reaches `cat` in the container, not the shell here.
    child.stdin.as_mut().unwrap().write_all(b"a hat\n").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(7));
    child.stdin.as_mut().unwrap().write_all(&[4]).unwrap();
    let said = Said::of(child.wait_with_output().unwrap());
    let shown: Vec<&str> = said.out.lines().map(str::trim_end).collect();
    for line in ["/dev/pts/0", "33 101", "40 120", "a hat", "ended with 5", "mode is back", "terminated with 130", "mode is back again"] {
        assert!(shown.contains(&line), "`{line}` is not in {shown:?}\n{}", said.err);
    }
}
