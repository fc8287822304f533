//! MySQL and MariaDB.

use std::io::{Cursor, Read};
use std::time::Duration;

use summoner::database::{self, DatabaseKind, DumpOptions, Road, Secret, Target, is_invalidated};
use summoner::docker::engine::Docker;
use summoner::error::Error;
use summoner::plan::snapshot::{Content, DatabaseFacts};
use summoner::repository::Sinks;

use crate::bed::{PASSWORD, ROADS, Server, Shelf, docker, engine, flooded_and_failed, never_short, options};

const FILL: &str = r"
CREATE DATABASE `odd-näme ``q` CHARACTER SET latin1;
CREATE DATABASE app CHARACTER SET utf8mb4;
USE app;
CREATE TABLE texts (id INT PRIMARY KEY AUTO_INCREMENT, t TEXT, b BLOB, d DATETIME) CHARACTER SET utf8mb4;
CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES texts(id));
CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(20));
INSERT INTO texts (t, b, d) VALUES ('été 🎉 \n -- Dump completed\n\r\n', x'0001ff0a0d5c27', '2026-11-21 02:00:00');
INSERT INTO texts (t, b) SELECT REPEAT(HEX(RANDOM_BYTES(16)), 100), RANDOM_BYTES(200) FROM texts;
INSERT INTO texts (t, b) SELECT REPEAT(HEX(RANDOM_BYTES(16)), 100), RANDOM_BYTES(200) FROM texts a, texts b, texts c, texts d, texts e, texts f, texts g, texts h, texts i, texts j;
INSERT INTO texts (t, b) SELECT a.t, a.b FROM texts a, (SELECT 1 UNION SELECT 2) b;
INSERT INTO children VALUES (1, 1);
CREATE VIEW seen AS SELECT id, t FROM texts;
CREATE VIEW again AS SELECT * FROM seen;
DELIMITER //
CREATE TRIGGER noticed AFTER INSERT ON children FOR EACH ROW INSERT INTO log (what) VALUES ('child')//
CREATE PROCEDURE shout() BEGIN SELECT 'ÉTÉ'; END//
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN 2 * x//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM log//
DELIMITER ;
USE `odd-näme ``q`;
CREATE TABLE `-t ``able` (x INT);
INSERT INTO `-t ``able` VALUES (7);
";
const SUM: &str = "
SELECT COUNT(*), SUM(CRC32(CONCAT(id, t, HEX(b), COALESCE(d, '')))) FROM app.texts; SELECT * FROM app.children; SELECT * FROM app.log;
SELECT COUNT(*) FROM app.again; SELECT app.twice(4); CALL app.shout(); SELECT * FROM `odd-näme ``q`.`-t ``able`;
SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app'; SELECT event_name, status FROM information_schema.events;
SELECT schema_name, default_character_set_name FROM information_schema.schemata WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY 1;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'app' ORDER BY 1;";

const HASTY: [&str; 2] = ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"];

fn begin(kind: DatabaseKind) -> Server {
    match kind {
        DatabaseKind::Mysql => Server::begin(kind, "mysql:8.4.11", &[("MYSQL_ROOT_PASSWORD", PASSWORD)], "root", &HASTY),
        _ => Server::begin(kind, "mariadb:11.8.8", &[("MARIADB_ROOT_PASSWORD", PASSWORD)], "root", &HASTY),
    }
}

fn client(kind: DatabaseKind) -> [&'static str; 1] {
    if kind == DatabaseKind::Mysql { ["mysql"] } else { ["mariadb"] }
}

fn ready(server: Server) -> Server {
    let program = client(server.target.kind)[0];
    let server = server.wait(&[
        "sh",
        "-c",
        "[ \"$(cat /proc/1/comm)\" = mysqld ] || [ \"$(cat /proc/1/comm)\" = mariadbd ] || exit 1; test -S /var/run/mysqld/mysqld.sock",
    ]);
    // The test's own road in: an option file in the container's memory.
    let text = format!(
        "[client]\nuser=root\npassword=\"{}\"\ndefault-character-set=utf8mb4\n",
        PASSWORD.replace('\\', "\\\\").replace('"', "\\\"")
    );
    server.fed(&["sh", "-c", "cat > /dev/shm/test.cnf"], &text);
    server.wait(&[program, "--defaults-extra-file=/dev/shm/test.cnf", "-e", "select 1"])
}

fn sql(server: &Server, text: &str) -> String {
    server.fed(&[client(server.target.kind)[0], "--defaults-extra-file=/dev/shm/test.cnf", "-N"], text)
}

fn dumper(kind: DatabaseKind) -> &'static str {
    if kind == DatabaseKind::Mysql { "/usr/bin/mysqldump" } else { "/usr/bin/mariadb-dump" }
}

async fn suite(kind: DatabaseKind) {
    let (from, into) = (begin(kind), begin(kind));
    let (from, into) = (ready(from), ready(into));
    sql(&from, FILL);
    let sum = sql(&from, SUM);
    let engine = engine().await;
    assert!(database::has_view(&engine, &from.target).await.unwrap());
    for road in ROADS {
        let shelf = Shelf::default();
        let (send, receive) = tokio::sync::oneshot::channel();
        let options = options(road);
        let dump = database::dump(&engine, &from.target, &options, &shelf, Some(send));
        let late = async {
            receive.await.unwrap();
            // The view is open: this is after the moment.
            sql(&from, "INSERT INTO app.log (what) VALUES ('late')");
        };
        let (parts, ()) = tokio::join!(dump, late);
        let parts = parts.unwrap();
        assert_eq!((parts.len(), parts[0].facts.tables, parts[0].facts.name.as_str()), (1, 4, ""));
        assert_eq!(parts[0].stored.name, format!("{}.sql.zst", kind.as_str()));
        let plain = shelf.plain(&parts[0]);
        assert!(plain.len() > 1 << 20, "{}", plain.len());
        sql(&from, "DELETE FROM app.log WHERE what = 'late'");
        sql(&into, "CREATE DATABASE IF NOT EXISTS app; CREATE TABLE IF NOT EXISTS app.newer (x INT)");
        let source = (parts[0].facts.clone(), Content::Dump, shelf.read(&parts[0].stored).unwrap());
        database::load_with(&engine, &into.target, vec![source], options, None).await.unwrap();
        assert_eq!(sql(&into, SUM), sum, "{road:?}");
        truncated(&engine, &into, &parts[0].facts, &plain, road).await;
    }
    slow_and_full(&engine, &from).await;
    if kind == DatabaseKind::Mariadb {
        never_short(&engine, &from).await;
    }
    flooded_and_failed(&engine, &from, dumper(kind)).await;
    refused(&engine, &from).await;
    killed(&engine, &from).await;
}

/// Nothing that was cut, and nothing that is no dump, passes for one.
async fn truncated(engine: &Docker, into: &Server, facts: &DatabaseFacts, plain: &[u8], road: Road) {
    let mut corpus: Vec<Vec<u8>> = (1..16).map(|step| plain[..plain.len() * step / 16].to_vec()).collect();
    corpus.extend([plain[..plain.len() - 1].to_vec(), Vec::new(), b"<html><body>Not found</body></html>\n".to_vec()]);
    for (number, cut) in corpus.into_iter().enumerate() {
        let length = cut.len();
        assert!(database::check(facts.kind, Content::Dump, &mut cut.as_slice()).is_err(), "{length}");
        if road == Road::Stream && number % 4 != 0 {
            continue;
        }
        let source = (facts.clone(), Content::Dump, Box::new(Cursor::new(cut)) as Box<dyn Read + Send>);
        let result = database::load_with(engine, &into.target, vec![source], options(road), None).await;
        assert!(result.is_err(), "{length} of {} bytes were loaded", plain.len());
    }
}

/// A disk that stands still loses nothing; a disk that is full is said.
async fn slow_and_full(engine: &Docker, from: &Server) {
    for road in ROADS {
        let whole = Shelf::default();
        let size = database::dump(engine, &from.target, &options(road), &whole, None).await.unwrap()[0].stored.bytes_raw;
        let shelf = Shelf::with(Some((size - 200_000, Duration::from_secs(4))), None);
        let parts = database::dump(engine, &from.target, &options(road), &shelf, None).await.unwrap();
        assert_eq!(parts[0].stored.bytes_raw, size, "{road:?}");
        let full = Shelf::with(None, Some(size / 2));
        let error = database::dump(engine, &from.target, &options(road), &full, None).await.unwrap_err();
        assert!(error.to_string().contains("free space on the disk of the repository"), "{error}");
        assert_eq!(database::end_orphans(engine, &from.name).await.unwrap(), 0);
    }
}

/// A dump, while something is done to it when its disk stands still.
async fn disturbed<T>(engine: &Docker, from: &Server, road: Road, act: impl Future<Output = T>) -> (Error, T) {
    let shelf = Shelf::with(Some((200_000, Duration::from_secs(3))), None);
    let options = options(road);
    let dump = database::dump(engine, &from.target, &options, &shelf, None);
    let act = async {
        shelf.stalls.notified().await;
        act.await
    };
    let (result, done) = tokio::join!(dump, act);
    (result.unwrap_err(), done)
}

/// Whatever dies in the middle, it is no dump.
async fn killed(engine: &Docker, from: &Server) {
    let kill = "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in mariadb-dump|mysqldump) kill -9 ${p#/proc/};; esac; done";
    for road in ROADS {
        let (error, _) = disturbed(engine, from, road, async { from.said(&["sh", "-c", kill]) }).await;
        assert!(error.message.contains("killed"), "{error}");
        let (_, ended) = disturbed(engine, from, road, async { database::end_orphans(engine, &from.name).await.unwrap() }).await;
        assert!(ended >= 1, "{ended}");
        let shelf = Shelf::with(Some((200_000, Duration::from_secs(3))), None);
        let short = DumpOptions { deadline: Duration::from_secs(2), road: Some(road) };
        let error = database::dump(engine, &from.target, &short, &shelf, None).await.unwrap_err();
        assert!(error.message.contains("did not end within"), "{error}");
        assert_eq!(database::end_orphans(engine, &from.name).await.unwrap(), 0);
    }
    let (error, ()) = disturbed(engine, from, Road::Fifo, async { drop(docker(&["kill", &from.name])) }).await;
    assert!(error.to_string().contains("does not run"), "{error}");
}

/// Each obstacle has its sentence.
async fn refused(engine: &Docker, from: &Server) {
    let options = options(Road::Fifo);
    let shelf = Shelf::default();
    let dump = async |target: &Target| database::dump(engine, target, &options, &shelf, None).await.unwrap_err();
    let mut wrong = from.target.clone();
    wrong.admin.password = Some(Secret::new("wrong".to_owned()));
    assert!(dump(&wrong).await.message.contains("refuses the password"));
    sql(from, "CREATE TABLE app.z (x INT); CREATE VIEW app.broken AS SELECT * FROM app.z; DROP TABLE app.z");
    let error = dump(&from.target).await;
    assert!(error.message.contains("the view broken of the database app is broken"), "{error}");
    assert!(!is_invalidated(&error));
    sql(from, "DROP VIEW app.broken; CREATE TABLE app.old (x INT) ENGINE=MyISAM");
    assert!(!database::has_view(engine, &from.target).await.unwrap());
    let parts = database::dump(engine, &from.target, &options, &shelf, None).await.unwrap();
    assert!(parts[0].notes[0].contains("MyISAM"), "{:?}", parts[0].notes);
    sql(from, "DROP TABLE app.old");
    let tool = dumper(from.target.kind);
    docker(&["exec", &from.name, "mv", tool, "/tmp/tool"]);
    let error = dump(&from.target).await;
    assert!(error.message.contains("has no mariadb-dump or mysqldump"), "{error}");
    docker(&["exec", &from.name, "mv", "/tmp/tool", tool]);
    let mut gone = from.target.clone();
    gone.container = "mysql-gone.localhost".to_owned();
    assert!(dump(&gone).await.message.contains("there is no container"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    suite(DatabaseKind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb() {
    suite(DatabaseKind::Mariadb).await;
}
