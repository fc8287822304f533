//! On the real engine: a backup is restored in a throw-away place and proven there; what is wrong with it is found and named;
//! whatever happens, what is live stays as it is and nothing of the drill is left.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;
mod text;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Bed, Said};

/// Far above the number of effects of a drill of the small one.
const MANY: usize = 100;

const SOLO_MINION: &str = "version: 1\nsummary: A page\nroutes: [{port: 80}]\nfolders: {html: {}, conf: {}}\nsecrets: {token: {}}\n\
    mail: {MAIL_HOST: ''}\nsmoke: {path: /page, contains: hello}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";

const SOLO_COMPOSE: &str = r#"
services:
  app:
    image: nginx:1.30.6
    environment: {TOKEN: "${SECRET_TOKEN}", MAIL_HOST: mail.example.org}
    volumes: ["${FILES}/html:/usr/share/nginx/html:ro", "${FILES}/conf:/etc/nginx/conf.d:ro"]
    healthcheck: {test: ["CMD", "curl", "-sS", "-o", "/dev/null", "http://127.0.0.1/"], interval: 1s, timeout: 3s, retries: 5, start_period: 5s}
    restart: unless-stopped
    stop_grace_period: 1s
"#;

/// A page, and a database of each kind that is small enough.
const TRIO_MINION: &str = "version: 1\nsummary: A page and databases\nroutes: [{port: 80}]\nfolders: {html: {}, conf: {}}\n\
    databases:\n  - {service: maria, kind: mariadb, name: duo, user: duo, password: maria_password, root: {user: root, password: root_password}}\n  \
    - {service: post, kind: postgresql, name: duo, user: duo, password: post_password}\n  \
    - {service: mongo, kind: mongodb, name: duo, user: duo, password: mongo_password}\n\
    secrets: {maria_password: {}, root_password: {}, post_password: {}, mongo_password: {owner: 999}}\n\
    smoke: {path: /page, contains: hello}\nneeds: {memory: 10m, disk: 10m}\n\
    versions: {tags: '1\\.\\d+\\.\\d+', step: minor, restore: newer}\n";

const TRIO_COMPOSE: &str = r#"
services:
  app:
    image: nginx:1.30.6
    volumes: ["${FILES}/html:/usr/share/nginx/html:ro", "${FILES}/conf:/etc/nginx/conf.d:ro"]
    depends_on: {maria: {condition: service_healthy}, post: {condition: service_healthy}, mongo: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "-sS", "-o", "/dev/null", "http://127.0.0.1/"], interval: 1s, timeout: 3s, retries: 5, start_period: 5s}
    restart: unless-stopped
    stop_grace_period: 1s
  maria:
    image: mariadb:11.8.8
    environment:
      MARIADB_DATABASE: duo
      MARIADB_USER: duo
      MARIADB_PASSWORD_FILE: /run/secrets/maria_password
      MARIADB_ROOT_PASSWORD_FILE: /run/secrets/root_password
      MARIADB_INITDB_SKIP_TZINFO: "1"
    secrets: [maria_password, root_password]
    volumes: ["${DATABASE_FILES_MARIA}:/var/lib/mysql"]
    healthcheck:
      test: ["CMD-SHELL", "MYSQL_PWD=\"$$(cat /run/secrets/maria_password)\" mariadb -h 127.0.0.1 -u duo -D duo -e 'SELECT 1'"]
      interval: 1s
      timeout: 5s
      retries: 10
      start_period: 60s
    restart: unless-stopped
  post:
    image: postgres:17.11
    environment: {POSTGRES_DB: duo, POSTGRES_USER: duo, POSTGRES_PASSWORD_FILE: /run/secrets/post_password}
    secrets: [post_password]
    volumes: ["${DATABASE_FILES_POST}:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "duo", "-d", "duo"], interval: 1s, timeout: 5s, retries: 10, start_period: 60s}
    restart: unless-stopped
  mongo:
    image: mongo:7.0.40
    environment: {MONGO_INITDB_ROOT_USERNAME: duo, MONGO_INITDB_ROOT_PASSWORD_FILE: /run/secrets/mongo_password}
    secrets: [mongo_password]
    volumes: ["${DATABASE_FILES_MONGO}:/data/db"]
    tmpfs: [/data/configdb]
    healthcheck:
      test: ["CMD", "mongosh", "--quiet", "--norc", "--host", "127.0.0.1", "--eval", "quit(db.adminCommand('ping').ok ? 0 : 1)"]
      interval: 2s
      timeout: 10s
      retries: 10
      start_period: 60s
    restart: unless-stopped
secrets:
  maria_password: {file: "${SECRETS}/maria_password"}
  root_password: {file: "${SECRETS}/root_password"}
  post_password: {file: "${SECRETS}/post_password"}
  mongo_password: {file: "${SECRETS}/mongo_password"}
"#;

const WORKS: &str = "server { listen 80; root /usr/share/nginx/html; location = / { return 200; } }";

/// A bed with one installed instance.
struct Drills {
    bed: Bed,
    app: &'static str,
}

impl Drills {
    fn new(name: &str, app: &'static str, minion: &str, compose: &str) -> Self {
        let bed = Bed::new(name);
        bed.minion(app, minion, compose).config(&format!("  {app}:\n"));
        let drills = Self { bed, app };
        for (file, content) in [("html/page", "hello"), ("conf/default.conf", WORKS)] {
            let path = drills.files().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        drills.bed.ok(&["install"]);
        drills
    }

    fn files(&self) -> PathBuf {
        self.bed.root().join(self.bed.id(self.app))
    }

    /// Takes a backup and gives its time.
    fn backup(&self) -> String {
        let said = self.bed.ok(&["backup", self.app, "--json"]);
        let taken: Value = serde_json::from_str(&said.out).unwrap();
        taken["snapshots"][0]["id"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()
    }

    fn snapshot(&self, time: &str) -> PathBuf {
        self.bed.root().join("backups/snapshots").join(self.bed.id(self.app)).join(time)
    }

    fn manifest(&self, time: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.snapshot(time).join("manifest.json")).unwrap()).unwrap()
    }

    fn alter(&self, time: &str, change: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest(time);
        change(&mut manifest);
        fs::write(self.snapshot(time).join("manifest.json"), manifest.to_string()).unwrap();
    }

    /// Drills a snapshot, which must fail, and gives what failed.
    fn fails(&self, time: &str) -> Vec<String> {
        let before = self.live();
        let said = self.bed.run(&["drill", self.app, "--snapshot", time, "--json"]);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        self.assert_untouched(&before, &said);
        let all: Value = serde_json::from_str(&said.out).unwrap();
        let drill = &all["drills"][0];
        assert_eq!(drill["passed"], false, "{drill}");
        let kept: Value = serde_json::from_str(&fs::read_to_string(self.snapshot(time).join("drilled.json")).unwrap()).unwrap();
        assert_eq!(&kept, drill, "the proof beside the manifest");
        let failed = drill["findings"].as_array().unwrap().iter().filter(|finding| finding["passed"] == false);
        failed.map(|finding| format!("{}: {}", finding["check"].as_str().unwrap(), finding["said"].as_str().unwrap())).collect()
    }

    /// Ids, start times and restarts of everything that is live.
    fn live(&self) -> Vec<String> {
        let own: Vec<String> = self.bed.containers().into_iter().filter(|name| !name.ends_with("_drill")).collect();
        let form = "{{.Id}} {{.State.StartedAt}} {{.State.Running}} {{.RestartCount}}";
        own.iter().map(|name| self.bed.docker(&["inspect", "-f", form, name])).collect()
    }

    fn drilled_containers(&self) -> Vec<String> {
        self.bed.containers().into_iter().filter(|name| name.ends_with("_drill")).collect()
    }

    fn networks(&self) -> String {
        let label = format!("label=summoner.drill={}", self.bed.root().display());
        self.bed.docker(&["network", "ls", "-q", "--filter", &label])
    }

    fn assert_untouched(&self, live: &[String], said: &Said) {
        assert_eq!(self.live(), live, "what is live was touched: {}", said.err);
        self.assert_tidy(&said.err);
    }

    fn assert_tidy(&self, after: &str) {
        assert_eq!(self.drilled_containers(), Vec::<String>::new(), "{after}");
        assert_eq!(self.networks(), "", "{after}");
        for folder in [self.bed.root().join(".drill"), self.bed.root().join("database/.drill")] {
            assert!(!folder.exists(), "{} after {after}", folder.display());
        }
    }

    fn sql(&self, statement: &str) {
        let script = "MYSQL_PWD=$(cat /run/secrets/maria_password) exec mariadb -N -u duo duo -e \"$1\"";
        self.bed.docker(&["exec", &format!("mariadb-{}", self.bed.id(self.app)), "sh", "-c", script, "sh", statement]);
        let name = format!("postgresql-{}", self.bed.id(self.app));
        self.bed.docker(&["exec", &name, "psql", "-q", "-U", "duo", "-d", "duo", "-c", statement]);
    }

    fn mongo(&self, statement: &str) {
        let script =
            "exec mongosh --quiet --norc duo -u duo -p \"$(cat /run/secrets/mongo_password)\" --authenticationDatabase admin --eval \"$1\"";
        self.bed.docker(&["exec", &format!("mongodb-{}", self.bed.id(self.app)), "sh", "-c", script, "sh", statement]);
    }

    /// Puts the dumps of one snapshot into another, whose manifest then speaks of them as of its own, except for what is in them.
    fn swap_dumps(&self, from: &str, to: &str) {
        let source = self.manifest(from);
        self.alter(to, |manifest| {
            for artefact in manifest["artefacts"].as_array_mut().unwrap().iter_mut().filter(|artefact| artefact["content"] == "dump") {
                let name = artefact["name"].as_str().unwrap().to_owned();
                let bytes = fs::read(self.snapshot(from).join(&name)).unwrap();
                // The two may be one file.
                fs::remove_file(self.snapshot(to).join(&name)).unwrap();
                fs::write(self.snapshot(to).join(&name), &bytes).unwrap();
                let other = source["artefacts"].as_array().unwrap().iter().find(|other| other["name"] == artefact["name"]).unwrap();
                artefact["bytes"] = other["bytes"].clone();
                artefact["bytes_raw"] = other["bytes_raw"].clone();
                artefact["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
            }
        });
    }

    fn status(&self) -> (i32, Value) {
        let said = self.bed.run(&["status", "--json"]);
        (said.code, serde_json::from_str(&said.out).unwrap())
    }
}

#[test]
fn databases_of_all_kinds_are_compared() {
    let drills = Drills::new("drilltrio", "trio", TRIO_MINION, TRIO_COMPOSE);
    drills.sql(
        "create table marks (id int primary key, mark varchar(99)); insert into marks values (1, 'it''s one'), (2, 'two'), (3, 'three')",
    );
    drills.mongo("db.marks.insertMany([{_id: 1, mark: 'one'}, {_id: 2, mark: 'two'}, {_id: 3, mark: 'three'}])");
    let three = drills.backup();
    let before = drills.live();
    let said = drills.bed.ok(&["drill", "trio"]);
    drills.assert_untouched(&before, &said);
    let page = fs::read_to_string(drills.snapshot(&three).join("drilled.txt")).unwrap();
    assert!(said.out.starts_with(&page), "{}", said.out);
    for line in
        ["duo: 1 tables with 3 rows, as dumped; so is their content", "duo: 1 collections with 3 documents, as dumped; so is their content"]
    {
        assert!(page.contains(line), "{line}:\n{page}");
    }
    assert_eq!(page.matches("duo: 1 tables with 3 rows").count(), 2, "{page}");

    drills.sql("delete from marks where id = 2");
    drills.mongo("db.marks.deleteOne({_id: 2})");
    let two = drills.backup();
    drills.sql("update marks set mark = 'drei' where id = 3");
    drills.mongo("db.marks.updateOne({_id: 3}, {$set: {mark: 'drei'}})");
    let other = drills.backup();

    drills.swap_dumps(&two, &three);
    assert_eq!(
        drills.fails(&three),
        [
            "database: duo.marks has 2 rows after the restore, 3 were dumped",
            "database: public.marks has 2 rows after the restore, 3 were dumped",
            "database: duo.marks has 2 documents after the restore, 3 were dumped",
        ]
    );
    drills.swap_dumps(&other, &two);
    // A file of the restored tree is altered while databases are loaded.
    let restored = drills.bed.root().join(".drill").join(drills.bed.id("trio")).join(drills.bed.id("trio")).join("html/page");
    let name = format!("postgresql-{}_drill", drills.bed.id("trio"));
    let alterer = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(60);
        while !Command::new("docker").args(["inspect", &name]).output().unwrap().status.success() {
            assert!(Instant::now() < until, "no database was loaded");
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::write(restored, "hullo").unwrap();
    });
    let failed = drills.fails(&two);
    alterer.join().unwrap();
    assert_eq!(
        failed,
        [
            "database: duo.marks holds something else after the restore than what was dumped",
            "database: public.marks holds something else after the restore than what was dumped",
            "database: duo.marks holds something else after the restore than what was dumped",
            "files: files/html/page holds something else than the snapshot, from byte 0 on",
            "probe: /page does not answer as it should: its page lacks `hello`",
        ]
    );
}

#[test]
fn what_does_not_work_is_named() {
    let drills = Drills::new("drillsolo", "solo", SOLO_MINION, SOLO_COMPOSE);
    let none = drills.bed.run(&["drill", "--all"]);
    assert_eq!(none.code, 10, "{}", none.err);
    let good = drills.backup();
    let before = drills.live();
    let said = drills.bed.ok(&["drill", "--all"]);
    drills.assert_untouched(&before, &said);
    let (code, status) = drills.status();
    assert_eq!((code, status["instances"][1]["drill"]["passed"].as_bool()), (0, Some(true)), "{status}");
    assert!(drills.bed.ok(&["status"]).out.contains("just now, in "));
    let all: Value = serde_json::from_str(&drills.bed.ok(&["snapshots", "--json"]).out).unwrap();
    assert!(all["snapshots"][0]["drilled_at"].is_string(), "{all}");

    let container = drills.bed.id("solo");
    let manifest = drills.manifest(&good);
    let with = |change: &dyn Fn(&mut Value)| {
        drills.alter(&good, |it| change(it));
        let failed = drills.fails(&good);
        drills.alter(&good, |it| *it = manifest.clone());
        assert_eq!(failed.len(), 1, "{failed:?}");
        failed[0].clone()
    };
    let other = drills.bed.docker(&["inspect", "-f", "{{.Id}}", "mariadb:11.8.8"]).trim().to_owned();
    let said = with(&|it| it["images"][&container]["id"] = other.clone().into());
    assert!(said.starts_with(&format!("start: {container}_drill ended")), "{said}");
    let said = with(&|it| it["images"][&container]["id"] = format!("sha256:{}", "0".repeat(64)).into());
    assert!(said.starts_with(&format!("images: the image that {container} ran then (nginx:1.30.6) is not to be had: ")), "{said}");
    let said = with(&|it| it["files"]["bytes"] = 1_000_000_000_000_000_u64.into());
    assert!(said.starts_with("room: there is no room to restore "), "{said}");
    let files = manifest["files"]["files"].as_u64().unwrap();
    let said = with(&|it| it["files"]["files"] = (files + 1).into());
    assert!(said.contains(&format!("the manifest says {}", files + 1)), "{said}");
    let (code, status) = drills.status();
    assert_eq!((code, status["problems"][0]["id"].as_str()), (3, Some("drill-failed")), "{status}");

    fs::write(drills.files().join("conf/default.conf"), "server { listen 80; return 500; }").unwrap();
    let broken = drills.backup();
    let failed = drills.fails(&broken);
    assert_eq!(failed, ["probe: /page does not answer as it should: it answered 500 Internal Server Error"]);
    fs::write(drills.files().join("conf/default.conf"), WORKS).unwrap();
    drills.bed.docker(&["restart", "-t", "1", &container]);

    // A pack that changed on its disk.
    let id = manifest["files"]["packs"][0].as_str().unwrap();
    let pack = drills.bed.root().join("backups/packs").join(&container).join(format!("{id}.tar.zst"));
    let whole = fs::read(&pack).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let failed = drills.fails(&good);
    assert!(failed[0].starts_with("files: the pack "), "{failed:?}");
    fs::write(&pack, whole).unwrap();
    drills.bed.ok(&["drill", "solo", "--snapshot", &good]);
    assert_eq!(drills.status().0, 0);
}

#[test]
fn a_drill_on_schedule_waits_for_a_calm_hour_and_not_for_ever() {
    let drills = Drills::new("drillcalm", "solo", SOLO_MINION, SOLO_COMPOSE);
    drills.backup();
    drills.bed.minion("solo", &SOLO_MINION.replace("memory: 10m", "memory: 99999g"), SOLO_COMPOSE);
    for _ in 0..3 {
        let said = drills.bed.run(&["drill", "--scheduled", "solo"]);
        assert_eq!(said.code, 1, "{}", said.err);
        said.assert_says(&["is put off: ", "of memory are free"]);
        assert_eq!(drills.status().0, 0);
    }
    drills.bed.run(&["drill", "--scheduled", "solo"]).assert_says(&["the machine was not calm 4 times in a row"]);
    assert_eq!(drills.status().0, 3);
    // A person who asks is told at once.
    drills.bed.run(&["drill", "solo"]).assert_says(&["MB of memory are free"]);
    drills.assert_tidy("drills that never began");
    // Another drill is at work.
    let lock = fs::File::create(drills.bed.root().join("summoner/drill.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(drills.bed.run(&["drill", "solo"]).code, 11);
}

#[test]
fn a_drill_killed_anywhere_leaves_what_is_live_alone() {
    let drills = Drills::new("drillkill", "solo", SOLO_MINION, SOLO_COMPOSE);
    let time = drills.backup();
    let before = drills.live();
    let (mut running, mut finished) = (0, 0);
    for effect in 1..=MANY {
        let output = drills.bed.command(&["drill", "solo"]).env("SUMMONER_CRASH_AT", effect.to_string()).output().unwrap();
        let said = Said::of(output);
        let after = format!("a kill at effect {effect}: {}", said.err);
        assert_eq!(drills.live(), before, "{after}");
        if said.code == 0 {
            finished = effect;
            drills.assert_tidy(&after);
            break;
        }
        assert!(said.err.contains("crash point"), "neither killed nor done: {after}");
        if let [name] = drills.drilled_containers().as_slice() {
            running += 1;
            let form = "{{json .NetworkSettings.Networks}} {{json .HostConfig.PortBindings}} {{json .Config.Env}}";
            let found = drills.bed.docker(&["inspect", "-f", form, name]);
            let networks: Value = serde_json::from_str(found.split(' ').next().unwrap()).unwrap();
            let network = format!("{}_drill", drills.bed.id("solo"));
            assert_eq!(networks.as_object().unwrap().keys().collect::<Vec<_>>(), [&network], "{found}");
            assert_eq!(drills.bed.docker(&["network", "inspect", "-f", "{{.Internal}}", &network]).trim(), "true");
            assert!(!found.contains("HostPort") && found.contains("\"MAIL_HOST=\""), "{found}");
        }
        match effect % 3 {
            // What was left is removed by the next command that changes something, by the next drill, or by `run-due`.
            0 => _ = drills.bed.ok(&["forget", "--yes"]),
            1 => continue,
            _ => _ = drills.bed.run(&["run-due"]),
        }
        drills.assert_tidy(&after);
        assert_eq!(drills.live(), before, "{after}");
    }
    assert!(finished > 12 && running > 0, "{finished} effects, {running} with a container");
    let kept: Value = serde_json::from_str(&fs::read_to_string(drills.snapshot(&time).join("drilled.json")).unwrap()).unwrap();
    assert_eq!(kept["passed"], true, "{kept}");
}

#[test]
fn ghost_is_proven() {
    let bed = Bed::new("drillghost");
    bed.config("  ghost:\n");
    let drills = Drills { bed, app: "ghost" };
    drills.bed.ok(&["install"]);
    text::ghost(&drills.bed, "a post that a drill brings back");
    let time = drills.backup();
    let before = drills.live();
    let said = drills.bed.ok(&["drill", "ghost"]);
    drills.assert_untouched(&before, &said);
    assert!(
        said.out.contains("as dumped; so is their content") && said.out.contains("/ghost/api/admin/site/ answers as it should"),
        "{}",
        said.out
    );
    let manifest = drills.manifest(&time);
    let dump = manifest["artefacts"].as_array().unwrap().iter().find(|artefact| artefact["content"] == "dump").unwrap();
    assert!(dump["database"]["rows"]["ghost.posts"].as_u64().unwrap() > 0, "{dump}");
}
