//! On the real engine: a server is thrown away, and comes back from its repository on an empty machine, with its data,
//! secrets and certificates; also when the recovery is killed before each of its effects.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

/// Far above the number of effects of a recovery.
const MANY: usize = 400;
/// Each kill is followed by a whole recovery: of the effects every one of this many is killed.
const STRIDE: usize = 6;

const DUO_MINION: &str = "version: 1\nsummary: A page and a database\nroutes: [{port: 80}]\nfolders: {html: {}}\n\
    databases: [{service: db, kind: mariadb, name: duo, user: duo, password: db_password, root: {user: root, password: root_password}}]\n\
    secrets: {db_password: {}, root_password: {}}\nsmoke: {path: /, expect: [200, 403]}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";

const DUO_COMPOSE: &str = r#"
services:
  app:
    image: nginx:1.30.6
    volumes: ["${FILES}/html:/usr/share/nginx/html"]
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
    stop_grace_period: 1s
  db:
    image: mariadb:11.8.8
    environment:
      MARIADB_DATABASE: duo
      MARIADB_USER: duo
      MARIADB_PASSWORD_FILE: /run/secrets/db_password
      MARIADB_ROOT_PASSWORD_FILE: /run/secrets/root_password
      # Half of what a new server takes, for time zones that nobody asks for here.
      MARIADB_INITDB_SKIP_TZINFO: "1"
    secrets: [db_password, root_password]
    volumes: ["${DATABASE_FILES}:/var/lib/mysql"]
    healthcheck:
      test: ["CMD-SHELL", "MYSQL_PWD=\"$$(cat /run/secrets/db_password)\" mariadb -h 127.0.0.1 -u duo -D duo -e 'SELECT 1'"]
      interval: 1s
      timeout: 5s
      retries: 10
      start_period: 60s
    restart: unless-stopped
    stop_grace_period: 20s
secrets:
  db_password: {file: "${SECRETS}/db_password"}
  root_password: {file: "${SECRETS}/root_password"}
"#;

/// The smallest that has files: one container.
const ONE_MINION: &str = "version: 1\nsummary: A page\nroutes: [{port: 80}]\nfolders: {html: {}}\nsecrets: {token: {}}\n\
    smoke: {path: /, expect: [200, 403]}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";
const ONE_COMPOSE: &str = "services:\n  app:\n    image: nginx:1.30.6\n    environment: {TOKEN: \"${SECRET_TOKEN}\"}\n    \
    volumes: [\"${FILES}/html:/usr/share/nginx/html:ro\"]\n    restart: unless-stopped\n    stop_grace_period: 1s\n";

fn page(bed: &Bed, app: &str) -> PathBuf {
    bed.root().join(bed.id(app)).join("html/index.html")
}

fn sql(bed: &Bed, statement: &str) -> String {
    let container = format!("mariadb-{}", bed.id("duo"));
    let script = "MYSQL_PWD=$(cat /run/secrets/db_password) exec mariadb -N -u duo duo -e \"$1\"";
    bed.docker(&["exec", &container, "sh", "-c", script, "sh", statement])
}

/// The machine is gone: containers, networks, folders, config.yml; the repository lies in another place.
fn burn(bed: &Bed) {
    let names = bed.containers();
    if !names.is_empty() {
        let words: Vec<&str> = ["rm", "-f"].into_iter().chain(names.iter().map(String::as_str)).collect();
        bed.docker(&words);
    }
    let filter = format!("label=summoner.root={}", bed.root().display());
    let networks = bed.docker(&["network", "ls", "-q", "--filter", &filter]);
    for network in networks.split_whitespace() {
        bed.docker(&["network", "rm", network]);
    }
    for path in [bed.root(), bed.path().join("minions")] {
        if path.exists() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    for file in ["config.yml", ".summoner"] {
        if let Err(error) = fs::remove_file(bed.path().join(file)) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn attic(bed: &Bed) -> String {
    bed.path().join("attic").display().to_string()
}

fn recover(bed: &Bed) -> Said {
    bed.run(&["install", "--restore-from", &attic(bed)])
}

fn assert_code(said: &Said, code: i32) {
    assert_eq!(said.code, code, "{}{}", said.out, said.err);
}

#[test]
fn a_burnt_server_comes_back_with_everything() {
    let bed = Bed::new("burnt");
    bed.minion("duo", DUO_MINION, DUO_COMPOSE).minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  duo:\n  pair:\n");
    bed.ok(&["install"]);
    sql(&bed, "create table marks (mark text) engine=innodb; insert into marks values ('one')");
    fs::write(page(&bed, "duo"), "duo as it was").unwrap();
    fs::write(page(&bed, "pair"), "pair as it was").unwrap();
    let own = bed.root().join("summoner/proxy/vhost.d");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join(format!("pair.{}", bed.domain)), "add_header X-Mine yes;\n").unwrap();
    bed.ok(&["install"]);
    bed.ok(&["backup"]);
    let server = || fs::read_dir(bed.root().join("backups/server")).unwrap().count();
    assert_eq!(server(), 1);
    bed.ok(&["backup", "pair"]);
    assert_eq!(server(), 1, "an unchanged record is not written again");
    let secrets = bed.secrets();
    let authority = fs::read_to_string(bed.root().join("summoner/certs/ca.crt")).unwrap();
    copy(&bed.root().join("backups"), &bed.path().join("attic"));
    sql(&bed, "update marks set mark = 'after the backup'");

    // Not on a machine that has something.
    let said = recover(&bed);
    assert_code(&said, 1);
    said.assert_says(&["this machine is not empty", "config.yml"]);
    burn(&bed);
    fs::create_dir_all(bed.root().join("precious")).unwrap();
    let said = recover(&bed);
    assert_code(&said, 1);
    said.assert_says(&["this machine is not empty", "precious is there"]);
    fs::remove_dir_all(bed.root()).unwrap();
    let said = bed.run(&["install", "--restore-from", &bed.path().join("nowhere").display().to_string()]);
    assert_code(&said, 10);

    // What would be done is shown, and nothing is done.
    let said = bed.ok(&["install", "--restore-from", &attic(&bed), "--dry-run"]);
    assert!(said.out.contains(&bed.id("duo")) && said.out.contains(&bed.id("pair")), "{}", said.out);
    assert!(!bed.root().exists() && bed.containers().is_empty());

    let said = recover(&bed);
    assert_code(&said, 0);
    assert_eq!(sql(&bed, "select mark from marks").trim(), "one");
    for app in ["duo", "pair"] {
        let (code, body) = bed.get(app, "/");
        assert_eq!((code, body.trim()), (200, format!("{app} as it was").as_str()), "{}", said.err);
    }
    assert_eq!(bed.secrets(), secrets);
    assert_eq!(fs::read_to_string(bed.root().join("summoner/certs/ca.crt")).unwrap(), authority);
    assert!(own.join(format!("pair.{}", bed.domain)).exists());
    bed.assert_nothing_to_do("a recovery");
    tidy(&bed, "a recovery");
    bed.ok(&["backup"]);
    bed.ok(&["verify"]);
}

fn tidy(bed: &Bed, after: &str) {
    assert!(!bed.root().join("summoner/recovery.json").exists(), "the progress is still there after {after}");
    let names = bed.containers();
    assert!(names.iter().all(|name| !name.ends_with("_restore")), "after {after}: {names:?}");
    let kept: Vec<_> = [bed.root(), bed.root().join("database")]
        .into_iter()
        .flat_map(|root| fs::read_dir(root).into_iter().flatten())
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".restore"))
        .collect();
    assert!(kept.is_empty(), "after {after}: {kept:?}");
}

#[test]
fn damage_is_told_and_the_older_snapshot_is_taken() {
    let bed = Bed::new("torn");
    bed.minion("one", ONE_MINION, ONE_COMPOSE).minion("two", ONE_MINION, ONE_COMPOSE).config("  one:\n  two:\n");
    bed.ok(&["install"]);
    fs::write(page(&bed, "one"), "older").unwrap();
    bed.ok(&["backup", "one"]);
    fs::write(page(&bed, "one"), "newer").unwrap();
    bed.ok(&["backup", "one"]);
    copy(&bed.root().join("backups"), &bed.path().join("attic"));
    // The newest snapshot's tree lost a byte on its way; of the second instance there is no snapshot at all.
    let snapshots = bed.path().join("attic/snapshots").join(bed.id("one"));
    let mut folders: Vec<PathBuf> = fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let tree = folders.last().unwrap().join("tree.tar.zst");
    let mut bytes = fs::read(&tree).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&tree, bytes).unwrap();
    burn(&bed);
    let said = recover(&bed);
    assert_code(&said, 3);
    let newest = folders.last().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    said.assert_says(&[&format!("{newest} is damaged"), &format!("{} is new and empty", bed.id("two"))]);
    assert_eq!(bed.get("one", "/"), (200, "older".into()));
    tidy(&bed, "a recovery from an older snapshot");
    bed.assert_nothing_to_do("a recovery from an older snapshot");

    // A record that is damaged, and one that a newer Summoner wrote.
    burn(&bed);
    let record = fs::read_dir(bed.path().join("attic/server")).unwrap().next().unwrap().unwrap().path();
    let archive = record.join("record.tar.zst");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let said = recover(&bed);
    assert_code(&said, 1);
    said.assert_says(&["holds no whole record of an installation", "is damaged"]);
    fs::write(&archive, &whole).unwrap();
    let manifest = record.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    let said = recover(&bed);
    assert_code(&said, 1);
    said.assert_says(&["written by a newer Summoner"]);
    assert!(!bed.root().exists() && bed.containers().is_empty(), "nothing was touched");
}

/// Kill, then the same command: everything is back once, wherever it was killed.
#[test]
fn killed_anywhere_the_same_command_finishes() {
    let bed = Bed::new("cut");
    bed.minion("one", ONE_MINION, ONE_COMPOSE).config("  one:\n");
    bed.ok(&["install"]);
    fs::write(page(&bed, "one"), "as it was").unwrap();
    bed.ok(&["backup"]);
    copy(&bed.root().join("backups"), &bed.path().join("attic"));
    let secrets = bed.secrets();
    let place = attic(&bed);
    for effect in (1..MANY).step_by(STRIDE) {
        burn(&bed);
        let mut command = bed.command(&["install", "--restore-from", &place]);
        let said = Said::of(command.env("SUMMONER_CRASH_AT", effect.to_string()).output().unwrap());
        if said.code == 0 {
            assert!(effect > 20, "a recovery has more than {effect} effects");
            return;
        }
        assert!(said.err.contains("crash point"), "neither killed nor done at {effect}: {}{}", said.out, said.err);
        let again = recover(&bed);
        assert_eq!(again.code, 0, "after a kill at {effect}: {}{}", again.out, again.err);
        assert_eq!(bed.get("one", "/"), (200, "as it was".into()), "after a kill at {effect}");
        assert_eq!(bed.secrets(), secrets, "after a kill at {effect}");
        tidy(&bed, &format!("a kill at {effect}"));
        bed.assert_nothing_to_do(&format!("a kill at {effect}"));
        let kept = fs::read_dir(bed.root().join("backups/snapshots").join(bed.id("one"))).unwrap().count();
        assert_eq!(kept, 1, "the snapshot came once, after a kill at {effect}");
    }
    panic!("a recovery never ends by itself");
}

/// The whole recovery in a machine of its own: the live one is not touched, and nothing is left, also after a kill.
#[test]
fn a_rehearsal_touches_nothing_and_leaves_nothing() {
    let bed = Bed::new("rehearsed");
    bed.minion("one", ONE_MINION, ONE_COMPOSE).config("  one:\n");
    bed.ok(&["install"]);
    fs::write(page(&bed, "one"), "as it was").unwrap();
    let said = bed.run(&["rehearse"]);
    assert_code(&said, 10);
    bed.ok(&["backup"]);
    let filter = format!("label=summoner.rehearsal={}", bed.root().display());
    let left = || {
        let containers = bed.docker(&["ps", "-aq", "--filter", &filter]);
        containers + &bed.docker(&["volume", "ls", "-q", "--filter", &filter])
    };
    let ids = |bed: &Bed| {
        let root = format!("label=summoner.root={}", bed.root().display());
        bed.docker(&["ps", "-q", "--no-trunc", "--filter", &root])
    };
    let before = (ids(&bed), bed.secrets(), tree(&bed.root().join("backups")));

    let mut begun = bed.command(&["rehearse"]).spawn().unwrap();
    let since = std::time::Instant::now();
    while left().is_empty() {
        assert!(since.elapsed().as_secs() < 120, "nothing was made");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    begun.kill().unwrap();
    begun.wait().unwrap();
    assert!(!left().is_empty(), "a kill leaves the machine");

    let said = bed.ok(&["rehearse", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["instances"][0]["passed"], true, "{}{}", said.out, said.err);
    assert_eq!(report["instances"][0]["instance"], bed.id("one"));
    assert!(left().is_empty(), "{}", left());
    assert_eq!((ids(&bed), bed.secrets(), tree(&bed.root().join("backups"))), before, "the live installation was touched");
    assert_eq!(bed.get("one", "/"), (200, "as it was".into()));
    bed.assert_nothing_to_do("a rehearsal");

    // A page that is not there fails it, by name.
    let asked = ONE_MINION.replace("expect: [200, 403]", "expect: [200, 403], contains: as it was");
    bed.minion("one", &asked, ONE_COMPOSE);
    fs::write(page(&bed, "one"), "something else").unwrap();
    bed.ok(&["backup"]);
    let said = bed.run(&["rehearse"]);
    assert_code(&said, 1);
    assert!(left().is_empty(), "{}", left());
}

/// Names and sizes of all files below a folder.
fn tree(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                here if here.is_dir() => folders.push(entry.path()),
                here => found.push((entry.path(), here.len())),
            }
        }
    }
    found.sort();
    found
}
