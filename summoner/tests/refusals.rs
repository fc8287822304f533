//! What people and machines do wrong before anything is touched: each with the sentence that they read.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use support::Bed;

/// A bed whose config.yml is this text.
fn bed(text: &[u8]) -> Bed {
    let bed = Bed::new("refused");
    std::fs::write(bed.path().join("config.yml"), text).unwrap();
    bed
}

fn refused(text: &[u8], words: &[&str]) {
    let bed = bed(text);
    let said = bed.run(&["install"]);
    assert_eq!(said.code, 2, "{}", said.err);
    said.assert_says(words);
    assert!(!bed.root().exists(), "something was touched");
}

#[test]
fn a_config_that_is_no_text_is_named() {
    refused(b"", &["config.yml is empty", "next:  summoner init"]);
    refused(b"\x7fELF\x02\x01\x00\x00\xff\xfe", &["config.yml is not a text file"]);
    let bed = Bed::new("refused");
    bed.run(&["version"]);
    bed.run(&["plan"]).assert_says(&["there is no ", "config.yml", "next:  summoner init"]);
    std::fs::create_dir(bed.path().join("config.yml")).unwrap();
    bed.run(&["plan"]).assert_says(&["config.yml is a"]);
}

#[test]
fn all_faults_come_at_once_with_their_lines() {
    let text = b"version: 1\ndomain: localhost\nemail: me\napps:\n  ghsot:\n  ghost: {subdomain: a, prot: 80}\n  statik: {subdomain: a}\n  my-app: {minion: ghost}\n  ..: {minion: ghost}\n  ghost:\n";
    refused(
        text,
        &[
            "config.yml:2:9",
            "`localhost` is not a domain",
            "config.yml:5:3",
            "did you mean `ghost`?",
            "unknown key `prot`",
            "`my-app` is not a name for an application",
            "`..` is not a name for an application",
            "`ghost` is there twice",
            "nothing was touched",
        ],
    );
}

#[test]
fn hostile_files_are_refused_in_a_moment() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..10 {
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","));
    }
    refused(bomb.as_bytes(), &["the file grows too large when its aliases are expanded"]);
    let long = format!("version: 1\ndomain: {}fr\nemail: a@b.fr\napps:\n  ghost:\n", "a.".repeat(2500));
    let bed = bed(long.as_bytes());
    let said = bed.run(&["plan"]);
    said.assert_says(&["longer than 180 characters"]);
    refused(b"version: 1\ndomain: a.fr\nemail: a@a.fr\napps:\n\tghost:\n", &["a tab indents this line"]);
    refused(b"version: 1\ndomain: a.fr\nemail: a@a.fr\nstorage: {files: /etc}\napps: {ghost: }\n", &["/etc"]);
}

#[test]
fn domains_are_taken_as_people_write_them() {
    let bed = bed("version: 1\ndomain: B\u{fc}cher.EXAMPLE\nemail: a@b.fr\napps:\n  ghost:\n".as_bytes());
    let said = bed.ok(&["config", "show", "--json"]);
    assert!(said.out.contains("\"blog.xn--bcher-kva.example\""), "{}", said.out);
}

#[test]
fn a_minion_without_its_compose_file_is_named() {
    let bed = Bed::new("refused");
    let folder = bed.path().join("minions/half");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("minion.yml"), "version: 1\nsummary: x\n").unwrap();
    bed.config("  half:\n");
    let said = bed.run(&["install"]);
    assert_ne!(said.code, 0);
    said.assert_says(&["half", "docker-compose.yml"]);
    // The others can still be used.
    assert_eq!(bed.config("  statik:\n").run(&["config", "check"]).code, 0);
}

#[test]
fn without_an_engine_it_says_how_to_get_one() {
    let mut bed = Bed::new("refused");
    bed.config("  statik:\n");
    let socket = bed.path().join("docker.sock");
    bed.environment = vec![("DOCKER_HOST".into(), format!("unix://{}", socket.display()))];
    bed.run(&["plan"]).assert_says(&["there is no Docker Engine here", "scripts/engine", "apt-get install docker.io"]);
    // A socket that nobody listens on: installed, not running.
    drop(UnixListener::bind(&socket).unwrap());
    bed.run(&["plan"]).assert_says(&["Docker is installed but does not run", "systemctl start docker"]);
}

#[test]
fn a_socket_that_may_not_be_used_is_said() {
    let mut bed = Bed::new("refused");
    bed.config("  statik:\n");
    let socket = bed.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    bed.environment = vec![("DOCKER_HOST".into(), format!("unix://{}", socket.display()))];
    // Another user runs a copy of the program where that user may read it.
    let program = bed.path().join("summoner");
    std::fs::copy(env!("CARGO_BIN_EXE_summoner"), &program).unwrap();
    std::fs::set_permissions(bed.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["plan", "--config"])
        .arg(bed.path().join("config.yml"))
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("HOME", bed.path())
        .output()
        .unwrap();
    support::Said::of(output).assert_says(&["this user may not talk to Docker", "as root (sudo)"]);
}

#[test]
fn an_engine_that_is_too_old_is_named() {
    let mut bed = Bed::new("refused");
    bed.config("  statik:\n");
    let socket = bed.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer_as_an_old_engine(stream);
        }
    });
    bed.environment = vec![("DOCKER_HOST".into(), format!("unix://{}", socket.display()))];
    bed.run(&["plan"])
        .assert_says(&["this Docker Engine is too old: its API is 1.24, at least 1.41 is needed", "update Docker Engine to 20.10"]);
}

fn answer_as_an_old_engine(mut stream: std::os::unix::net::UnixStream) {
    let mut request = [0_u8; 4096];
    if stream.read(&mut request).is_ok() {
        let body = r#"{"Version":"1.12.6","ApiVersion":"1.24","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        // The client may have heard enough.
        let _ = stream.write_all(answer.as_bytes());
    }
}

#[test]
fn a_wrong_argument_has_its_exit_code() {
    let bed = Bed::new("refused");
    bed.config("  statik:\n");
    assert_eq!(bed.run(&["instal"]).code, 2);
    let said = bed.run(&["credentials", "ghots"]);
    assert_eq!(said.code, 2);
    said.assert_says(&["no instance is called `ghots`", "there are: "]);
    let said = bed.run(&["invoke", "ghots"]);
    said.assert_says(&["ghots", "did you mean `ghost`?", "summoner minions"]);
}

#[test]
fn migrate_keeps_comments_and_the_old_file() {
    let bed = bed(b"# our server\nsummoner:\n  domain: virtualdonkey.fr # the donkey\n  vsroot: ./data\n  dbsroot: ./data/database\n  applications: nginx ghost statik\n");
    bed.run(&["config", "check"]).assert_says(&["summoner config migrate"]);
    bed.ok(&["config", "migrate"]);
    let text = std::fs::read_to_string(bed.path().join("config.yml")).unwrap();
    assert!(text.contains("version: 1") && text.contains("# our server") && text.contains("# the donkey"), "{text}");
    assert!(bed.path().join("config.yml.bak").exists());
    let said = bed.ok(&["config", "check"]);
    assert!(!said.err.contains("migrate"), "{}", said.err);
}

#[test]
fn init_writes_what_install_accepts() {
    let bed = Bed::new("refused");
    bed.ok(&["init", "--domain", "example.org", "--email", "a@example.org", "--preset", "association"]);
    bed.ok(&["config", "check"]);
    let said = bed.run(&["init", "--domain", "other.org", "--email", "a@other.org", "--apps", "ghost"]);
    assert_eq!(said.code, 2, "a file that was there was replaced");
    let schema: serde_json::Value = serde_json::from_str(&bed.ok(&["config", "schema"]).out).unwrap();
    assert!(schema["properties"]["apps"].is_object());
}
