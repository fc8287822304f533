//! On the real engine: backups, dumps, restores, undo, confirmation and forgetting are killed before each of their
//! effects. Afterwards everything runs that ran, what was stopped is stopped, and the data is wholly old or wholly new.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Bed, Said};

/// Far above the number of effects of any of these commands.
const MANY: usize = 400;

/// Each kill of a restore or an undo is followed by two starts of a database, which takes seconds: of their effects
/// every one of this many is killed. All of them take ten minutes.
const STRIDE: usize = 5;

const MINION: &str = "version: 1\nsummary: A page, a helper and a database\nroutes: [{port: 80}]\nfolders: {html: {}}\n\
    databases: [{service: db, kind: mariadb, name: duo, user: duo, password: db_password, root: {user: root, password: root_password}}]\n\
    secrets: {db_password: {}, root_password: {}}\nsmoke: {path: /, expect: [200, 403]}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";

const COMPOSE: &str = r#"
services:
  app:
    image: nginx:1.30.6
    volumes: ["${FILES}/html:/usr/share/nginx/html"]
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
    stop_grace_period: 1s
  cache:
    image: nginx:1.30.6
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

/// A bed with the pair installed, a snapshot of the mark `one`, and the mark `two` live; the helper is stopped.
struct Duo {
    bed: Bed,
    first: String,
}

impl Duo {
    fn new(name: &str) -> Self {
        let bed = Bed::new(name);
        bed.minion("duo", MINION, COMPOSE).config("  duo:\n");
        bed.ok(&["install"]);
        let mut duo = Self { bed, first: String::new() };
        duo.sql("create table marks (mark text) engine=innodb; insert into marks values ('none')");
        duo.mark("one");
        duo.bed.ok(&["backup", "duo"]);
        duo.first = duo.snapshots().keys().next().unwrap().clone();
        duo.mark("two");
        duo.still();
        duo
    }

    fn sql(&self, statement: &str) -> String {
        let container = format!("mariadb-{}", self.bed.id("duo"));
        let script = "MYSQL_PWD=$(cat /run/secrets/db_password) exec mariadb -N -u duo duo -e \"$1\"";
        self.bed.docker(&["exec", &container, "sh", "-c", script, "sh", statement])
    }

    fn page(&self) -> std::path::PathBuf {
        self.bed.root().join(self.bed.id("duo")).join("html/mark")
    }

    fn mark(&self, mark: &str) {
        fs::write(self.page(), mark).unwrap();
        self.sql(&format!("update marks set mark = '{mark}'"));
    }

    /// Somebody stops the helper: that is his wish.
    fn still(&self) {
        self.bed.docker(&["stop", &format!("cache-{}", self.bed.id("duo"))]);
    }

    /// The mark that file and row agree on.
    fn state(&self, after: &str) -> String {
        let row = self.sql("select mark from marks").trim().to_owned();
        assert_eq!(fs::read_to_string(self.page()).unwrap(), row, "the file and the row, after {after}");
        row
    }

    fn runs(&self, role: &str) -> bool {
        self.bed.docker(&["inspect", "-f", "{{.State.Running}}", &format!("{role}{}", self.bed.id("duo"))]).trim() == "true"
    }

    /// Everything runs that ran, and the helper stands still.
    fn assert_stands(&self, after: &str) {
        assert!(self.runs("") && self.runs("mariadb-"), "something does not run after {after}");
        assert!(!self.runs("cache-"), "the helper was started after {after}");
        self.assert_tidy(after);
    }

    fn assert_tidy(&self, after: &str) {
        let names = self.bed.containers();
        assert!(names.iter().all(|name| !name.ends_with("_restore")), "after {after}: {names:?}");
        let journal = fs::read_dir(self.bed.root().join("summoner/journal")).map_or(0, Iterator::count);
        assert_eq!(journal, 0, "the journal is not empty after {after}");
    }

    /// What waits beside the live data, or is kept there.
    fn beside(&self) -> Vec<String> {
        let all = [self.bed.root(), self.bed.root().join("database")].into_iter().flat_map(|root| fs::read_dir(root).unwrap());
        let names = all.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".restore")).collect()
    }

    /// Kills a command at its k-th effect; true when it came to its end before.
    fn killed_at(&self, arguments: &[&str], effect: usize) -> bool {
        let output = self.bed.command(arguments).env("SUMMONER_CRASH_AT", effect.to_string()).output().unwrap();
        let said = Said::of(output);
        let finished = said.code == 0;
        assert!(finished || said.err.contains("crash point"), "{arguments:?}: neither killed nor done: {} {}", said.code, said.err);
        finished
    }

    /// The next command, whichever it is, ends what was begun. This one changes nothing else.
    fn next(&self) {
        self.bed.ok(&["forget", "--yes"]);
    }

    /// Ids of the snapshots, with whether each was found whole.
    fn snapshots(&self) -> BTreeMap<String, bool> {
        let all: serde_json::Value = serde_json::from_str(&self.bed.ok(&["snapshots", "--json"]).out).unwrap();
        let one = |each: &serde_json::Value| (each["id"].as_str().unwrap().to_owned(), each["verified_at"].is_string());
        all["snapshots"].as_array().unwrap().iter().map(one).collect()
    }

    /// The older snapshot is whole and comes back; after confirming nothing is left.
    fn first_comes_back(&self) {
        self.bed.ok(&["verify", "--read-data", &self.first]);
        if self.state("everything") != "one" {
            self.bed.ok(&["restore", "duo", "--snapshot", &self.first]);
        }
        assert_eq!(self.state("the last restore"), "one");
        self.bed.run(&["restore", "--confirm", "duo"]);
        assert_eq!(self.beside(), Vec::<String>::new());
        self.assert_tidy("the last restore");
        let drafts = fs::read_dir(self.bed.root().join("backups/snapshots").join(self.bed.id("duo"))).unwrap();
        let drafts: Vec<_> = drafts.map(|entry| entry.unwrap().file_name()).collect();
        assert!(drafts.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{drafts:?}");
    }
}

#[test]
fn a_backup_or_dump_killed_anywhere_leaves_everything_running() {
    let duo = Duo::new("killback");
    for command in [["dump", "duo"], ["backup", "duo"]] {
        for effect in 1..=MANY {
            let after = format!("a kill at effect {effect} of {command:?}");
            if duo.killed_at(&command, effect) {
                assert!(effect > 8, "{command:?} has more effects than {effect}");
                break;
            }
            assert!(effect < MANY, "{command:?} never came to its end");
            duo.next();
            duo.assert_stands(&after);
            assert_eq!(duo.state(&after), "two");
            assert_eq!(duo.snapshots().get(&duo.first), Some(&true), "{after}");
        }
    }
    duo.first_comes_back();
}

#[test]
fn a_restore_killed_anywhere_is_wholly_done_or_wholly_not() {
    let duo = Duo::new("killrest");
    let mut done = 0;
    for effect in (1..=MANY).step_by(STRIDE) {
        let after = format!("a kill at effect {effect} of the restore");
        let finished = duo.killed_at(&["restore", "duo", "--snapshot", &duo.first], effect);
        duo.next();
        duo.assert_tidy(&after);
        if duo.state(&after) == "one" {
            // It was settled: what it replaced is known, and comes back.
            duo.bed.ok(&["restore", "--undo", "duo"]);
            assert_eq!(duo.state("its undo"), "two");
            duo.bed.ok(&["restore", "--confirm", "duo"]);
            duo.still();
            done += 1;
        } else {
            duo.assert_stands(&after);
            assert_eq!(duo.state(&after), "two");
        }
        assert_eq!(duo.beside(), Vec::<String>::new(), "{after}");
        if finished {
            assert!(effect > 8 && done > 0, "a restore has more effects than {effect}");
            break;
        }
        assert!(effect + STRIDE <= MANY, "the restore never came to its end");
    }
    duo.first_comes_back();
}

#[test]
fn an_undo_or_confirmation_killed_anywhere_loses_neither_state() {
    let duo = Duo::new("killundo");
    duo.bed.ok(&["restore", "duo", "--snapshot", &duo.first]);
    assert_eq!(duo.state("the restore"), "one");
    for effect in (1..=MANY).step_by(STRIDE) {
        let after = format!("a kill at effect {effect} of the undo");
        let finished = duo.killed_at(&["restore", "--undo", "duo"], effect);
        duo.next();
        duo.assert_tidy(&after);
        if finished {
            assert!(effect > 8, "an undo has more effects than {effect}");
            assert_eq!(duo.state(&after), "two");
            break;
        }
        assert!(effect + STRIDE <= MANY, "the undo never came to its end");
        if duo.state(&after) == "two" {
            duo.bed.ok(&["restore", "--undo", "duo"]);
        }
        assert_eq!(duo.state(&after), "one");
    }
    for effect in 1..=MANY {
        if duo.killed_at(&["restore", "--confirm", "duo"], effect) {
            assert!(effect > 3, "a confirmation has more effects than {effect}");
            break;
        }
        assert!(effect < MANY, "the confirmation never came to its end");
        // From the second effect on it is known that there is no way back.
        if effect > 1 {
            duo.bed.run(&["restore", "--undo", "duo"]).assert_says(&["is being deleted"]);
        }
        assert_eq!(duo.state("a kill of the confirmation"), "two");
    }
    assert_eq!(duo.state("the confirmation"), "two");
    duo.first_comes_back();
}

#[test]
fn forgetting_killed_anywhere_leaves_what_stays_whole() {
    let duo = Duo::new("killforget");
    let text = fs::read_to_string(duo.bed.path().join("config.yml")).unwrap();
    fs::write(duo.bed.path().join("config.yml"), text.replace("apps:", "backup: {keep: {last: 1}}\napps:")).unwrap();
    for effect in 1..=MANY {
        for mark in ["three", "four"] {
            if duo.snapshots().len() < 3 {
                duo.mark(mark);
                duo.bed.ok(&["backup", "duo"]);
            }
        }
        let newest = duo.snapshots().keys().next_back().unwrap().clone();
        let finished = duo.killed_at(&["forget", "--yes"], effect);
        duo.bed.ok(&["verify", "--read-data"]);
        assert_eq!(duo.snapshots().get(&newest), Some(&true), "a kill at effect {effect}");
        if finished {
            assert!(effect > 3, "forgetting has more effects than {effect}");
            break;
        }
        assert!(effect < MANY, "forgetting never came to its end");
    }
    duo.assert_stands("forgetting");
    assert_eq!(duo.snapshots().len(), 1);
    duo.mark("five");
    duo.bed.ok(&["restore", "duo"]);
    assert_eq!(duo.state("a restore of what was kept"), "four");
}

/// A lock on a table that has no view keeps the dump, and with it the application, waiting for ever.
#[test]
fn a_backup_that_is_ended_politely_starts_the_application_at_once() {
    let duo = Duo::new("politeback");
    duo.sql("create table old (a int) engine=aria; insert into old values (1)");
    let container = format!("mariadb-{}", duo.bed.id("duo"));
    let hold = "MYSQL_PWD=$(cat /run/secrets/db_password) exec mariadb -u duo duo -e 'lock tables old write; select sleep(60)'";
    let mut holder = Command::new("docker").args(["exec", &container, "sh", "-c", hold]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let child = duo.bed.command(&["backup", "duo"]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while duo.runs("") {
        assert!(since.elapsed() < Duration::from_secs(30), "the application was never stopped");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(!duo.runs(""), "the application did not wait for the dump");
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let said = Said::of(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.err);
    assert!(asked.elapsed() < Duration::from_secs(8), "it took {:?}: {}", asked.elapsed(), said.err);
    duo.assert_stands("a polite end");
    assert_eq!(duo.state("a polite end"), "two");
    // Also when nobody types a command, the next one finds the table free.
    holder.kill().unwrap();
    holder.wait().unwrap();
    duo.bed.docker(&["restart", &container]);
    duo.bed.ok(&["start", "duo"]);
    duo.first_comes_back();
}

impl Duo {
    /// Runs a command for which the disk is full from its k-th write on; true when it came to its end without one.
    fn filled_at(&self, arguments: &[&str], write: usize) -> bool {
        let output = self.bed.command(arguments).env("SUMMONER_FULL_AT", write.to_string()).output().unwrap();
        let said = Said::of(output);
        let finished = said.code == 0;
        assert!(finished || [1, 3].contains(&said.code), "{arguments:?}, {write}: {} {}", said.code, said.err);
        assert!(finished || said.err.contains("No space left on device"), "{arguments:?}, {write}: {}", said.err);
        finished
    }
}

#[test]
fn a_disk_that_fills_at_any_write_loses_nothing() {
    let duo = Duo::new("fills");
    for command in [["dump", "duo"], ["backup", "duo"]] {
        for write in 1..=MANY {
            let after = format!("a full disk at write {write} of {command:?}");
            let finished = duo.filled_at(&command, write);
            // At once: nothing may wait for a next command.
            assert!(duo.runs("") && duo.runs("mariadb-"), "something does not run after {after}");
            if finished {
                assert!(write > 5, "{command:?} has more writes than {write}");
                break;
            }
            assert!(write < MANY, "{command:?} never came to its end");
            duo.next();
            duo.assert_stands(&after);
            assert_eq!(duo.snapshots().get(&duo.first), Some(&true), "{after}");
        }
    }
    for (words, before, behind) in [(["restore", "duo"].as_slice(), "two", "one"), (&["restore", "--undo", "duo"], "one", "two")] {
        for write in (1..=MANY).step_by(STRIDE) {
            let after = format!("a full disk at write {write} of {words:?}");
            let first = duo.first.clone();
            let mut words = words.to_vec();
            if !words.contains(&"--undo") {
                words.extend(["--snapshot", &first]);
            }
            let finished = duo.filled_at(&words, write);
            duo.next();
            duo.assert_tidy(&after);
            assert!(duo.runs("") && duo.runs("mariadb-"), "something does not run after {after}");
            if finished {
                assert_eq!(duo.state(&after), behind, "{after}: it was not done, and said that it was");
                break;
            }
            assert!(write + STRIDE <= MANY, "{words:?} never came to its end");
            // What failed may have come after the point of no return: then it is known, and there is a way back.
            if duo.state(&after) == behind {
                duo.bed.ok(&["restore", "--undo", "duo"]);
                if !words.contains(&"--undo") {
                    duo.bed.ok(&["restore", "--confirm", "duo"]);
                }
            }
            assert_eq!(duo.state(&after), before);
        }
    }
    duo.bed.ok(&["restore", "--confirm", "duo"]);
    duo.first_comes_back();
}

/// A folder on a small disk of its own.
struct Small(std::path::PathBuf);

impl Small {
    fn new(path: std::path::PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&path).status().unwrap();
        assert!(mounted.success(), "a small disk needs root");
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(gone.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn a_full_disk_fails_the_backup_alone() {
    let root = Bed::new("full");
    let _small = Small::new(root.root().join("backups"));
    let duo = Duo { first: String::new(), bed: root };
    duo.bed.minion("duo", MINION, COMPOSE).config("  duo:\n");
    duo.bed.ok(&["install"]);
    duo.sql("create table marks (mark text) engine=innodb; insert into marks values ('none')");
    duo.mark("one");
    duo.bed.ok(&["backup", "duo"]);
    let first = duo.snapshots();
    duo.mark("two");
    duo.still();
    let noise = Command::new("head").args(["-c", "60000000", "/dev/urandom"]).output().unwrap().stdout;
    fs::write(duo.page().with_file_name("noise"), noise).unwrap();
    let said = duo.bed.run(&["backup", "duo"]);
    assert_eq!(said.code, 1, "{}", said.err);
    said.assert_says(&["No space left on device", "free space on that disk"]);
    duo.assert_stands("a full disk");
    assert_eq!(duo.state("a full disk"), "two");
    assert_eq!(duo.snapshots(), first);
    duo.bed.ok(&["verify", "--read-data"]);
    fs::remove_file(duo.page().with_file_name("noise")).unwrap();
    duo.bed.ok(&["backup", "duo"]);
    assert_eq!(duo.snapshots().len(), 2);
}
