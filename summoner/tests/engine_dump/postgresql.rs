//! PostgreSQL.

use std::io::{Cursor, Read};
use std::time::Duration;

use summoner::database::{self, DatabaseKind, DumpOptions, Part, Road, Source, Target};
use summoner::docker::engine::Docker;
use summoner::plan::snapshot::Content;
use summoner::repository::Sinks;

use crate::bed::{PASSWORD, ROADS, Server, Shelf, docker, engine, flooded_and_failed, never_short, options};

const FILL: &str = r#"
create role "own er" login password 'x';
create role reader;
grant reader to "own er";
create database "odd 'näme\ = ""q" owner "own er" encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0;
create database app owner "own er";
\c app
set role "own er";
create schema s;
create table s.texts (id serial primary key, t text, b bytea, d timestamptz, j jsonb);
create table s.children (id int primary key, parent int references s.texts(id));
create table s.log (what text);
create table s.parts (id int) partition by range (id);
create table s.part1 partition of s.parts for values from (0) to (10);
insert into s.texts (t, b, d, j) values (E'été 🎉 \n\\. \r\n', '\x0001ff0a0d5c27', '2026-11-21 02:00:00+00', '{"a": [1, null]}');
insert into s.texts (t, b) select string_agg(md5(random()::text), ''), sha256(n::text::bytea) from generate_series(1, 3000) n, generate_series(1, 100) group by n;
insert into s.children values (1, 1);
insert into s.parts values (7);
create view s.seen as select id, t from s.texts;
create materialized view s.kept as select count(*) from s.texts;
create function s.noticed() returns trigger language plpgsql as $$ begin insert into s.log values ('child'); return new; end $$;
create trigger noticed after insert on s.children for each row execute function s.noticed();
create sequence s.numbers start 40;
select nextval('s.numbers');
grant select on s.texts to reader;
"#;
const SUM: &str = r#"
select count(*), md5(string_agg(md5(x::text), '' order by id)) from s.texts x;
select * from s.children; select * from s.log; select * from s.parts; select * from s.kept; select count(*) from s.seen;
select last_value, is_called from s.numbers; select tgname from pg_trigger where not tgisinternal;
select datname, pg_encoding_to_char(encoding), datcollate, rolname from pg_database d join pg_roles r on r.oid = datdba order by 1;
select has_table_privilege('reader', 's.texts', 'select'), pg_has_role('own er', 'reader', 'member');
select relname, rolname from pg_class c join pg_namespace n on n.oid = relnamespace join pg_roles r on r.oid = relowner where nspname = 's' and relkind <> 't' order by 1;
"#;

/// What Debian's wrapper starts.
const TOOLS: &str = "/usr/lib/postgresql/17/bin";

fn begin() -> Server {
    Server::begin(
        DatabaseKind::Postgresql,
        "postgres:17.11",
        &[("POSTGRES_PASSWORD", PASSWORD), ("POSTGRES_USER", "boss")],
        "boss",
        &["-c", "fsync=off"],
    )
}

fn ready(server: Server) -> Server {
    let server = server.wait(&["sh", "-c", "[ \"$(cat /proc/1/comm)\" = postgres ]"]);
    server.wait(&["psql", "-U", "boss", "-d", "postgres", "-c", "select 1"])
}

fn sql(server: &Server, database: &str, text: &str) -> String {
    server.fed(&["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "boss", "-d", database], text)
}

fn sources(shelf: &Shelf, parts: &[Part]) -> Vec<Source> {
    parts.iter().map(|part| (part.facts.clone(), part.content, shelf.read(&part.stored).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql() {
    let (from, into) = (begin(), begin());
    let (from, into) = (ready(from), ready(into));
    sql(&from, "postgres", FILL);
    let sum = sql(&from, "app", SUM);
    let engine = engine().await;
    assert!(database::has_view(&engine, &from.target).await.unwrap());
    for road in ROADS {
        let shelf = Shelf::default();
        let (send, receive) = tokio::sync::oneshot::channel();
        let options = options(road);
        let dump = database::dump(&engine, &from.target, &options, &shelf, Some(send));
        let late = async {
            receive.await.unwrap();
            sql(&from, "app", "insert into s.log values ('late')");
        };
        let (parts, ()) = tokio::join!(dump, late);
        let parts = parts.unwrap();
        let known: Vec<(&str, u64)> = parts.iter().map(|part| (part.facts.name.as_str(), part.facts.tables)).collect();
        // The user's own database is made by the image.
        assert_eq!(known, [("", 0), ("app", 5), ("boss", 0), ("odd 'näme\\ = \"q", 0)]);
        let names: Vec<&str> = parts.iter().map(|part| part.stored.name.as_str()).collect();
        insta::allow_duplicates!(insta::assert_debug_snapshot!(names, @r#"
        [
            "postgresql-globals.sql.zst",
            "postgresql-app.pgdump.zst",
            "postgresql-boss.pgdump.zst",
            "postgresql-odd__n_me_____q.4c0b9947.pgdump.zst",
        ]
        "#));
        sql(&from, "app", "delete from s.log where what = 'late'");
        if road == Road::Fifo {
            // Over nothing first, then over what is newer.
            database::load_with(&engine, &into.target, sources(&shelf, &parts), options, None).await.unwrap();
            assert_eq!(sql(&into, "app", SUM), sum);
        }
        sql(&into, "app", "create table s.newer (x int)");
        database::load_with(&engine, &into.target, sources(&shelf, &parts), options, None).await.unwrap();
        assert_eq!(sql(&into, "app", SUM), sum, "{road:?}");
        truncated(&engine, &into, &shelf, &parts, road).await;
    }
    slow_and_killed(&engine, &from).await;
    never_short(&engine, &from).await;
    flooded_and_failed(&engine, &from, &format!("{TOOLS}/pg_dump")).await;
    not_decoded(&engine, &from).await;
    refused(&engine, &from).await;
}

/// Nothing that was cut is loaded; roles are read through without a server, archives by the server's own tool.
async fn truncated(engine: &Docker, into: &Server, shelf: &Shelf, parts: &[Part], road: Road) {
    for part in &parts[..2] {
        let plain = shelf.plain(part);
        let all = road == Road::Fifo && part.content == Content::Dump;
        let steps: Vec<usize> = if all { (1..16).collect() } else { vec![7, 15] };
        let mut corpus: Vec<Vec<u8>> = steps.iter().map(|step| plain[..plain.len() * step / 16].to_vec()).collect();
        corpus.extend([plain[..plain.len() - 1].to_vec(), Vec::new(), b"<html><body>Not found</body></html>\n".to_vec()]);
        for cut in corpus {
            let length = cut.len();
            if part.content == Content::Globals {
                assert!(database::check(part.facts.kind, part.content, &mut cut.as_slice()).is_err(), "{length}");
            }
            let source = (part.facts.clone(), part.content, Box::new(Cursor::new(cut)) as Box<dyn Read + Send>);
            let result = database::load_with(engine, &into.target, vec![source], options(road), None).await;
            assert!(result.is_err(), "{length} of {} bytes of {} were loaded", plain.len(), part.stored.name);
        }
    }
}

/// An archive that its own tool does not take is no dump, whether the tool reads it first or not, and whatever it says.
async fn not_decoded(engine: &Docker, from: &Server) {
    let tool = format!("{TOOLS}/pg_restore");
    for (road, script) in ROADS.into_iter().flat_map(|road| ["exit 1", "cat >/dev/null; exit 1", "kill -9 $$"].map(|script| (road, script)))
    {
        from.disguise(&tool, script);
        let error = database::dump(engine, &from.target, &options(road), &Shelf::default(), None).await.unwrap_err();
        assert!(error.to_string().contains("pg_restore cannot read it back"), "{road:?} {script}: {error}");
    }
    from.disguise(&tool, "");
}

async fn slow_and_killed(engine: &Docker, from: &Server) {
    let target = Target { databases: vec!["app".to_owned()], ..from.target.clone() };
    let kill = "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in pg_dump) kill -9 ${p#/proc/};; esac; done";
    for road in ROADS {
        let options = options(road);
        let size = 9_000_000;
        let shelf = Shelf::with(Some((size, Duration::from_secs(4))), None);
        let parts = database::dump(engine, &target, &options, &shelf, None).await.unwrap();
        assert!(parts[1].stored.bytes_raw > size);
        let full = Shelf::with(None, Some(size / 2));
        let error = database::dump(engine, &target, &options, &full, None).await.unwrap_err();
        assert!(error.to_string().contains("free space on the disk of the repository"), "{error}");
        let slow = Shelf::with(Some((100_000, Duration::from_secs(3))), None);
        let dump = database::dump(engine, &target, &options, &slow, None);
        let (result, _) = tokio::join!(dump, async {
            slow.stalls.notified().await;
            from.said(&["sh", "-c", kill])
        });
        let error = result.unwrap_err();
        assert!(error.message.contains("killed"), "{error}");
        let short = DumpOptions { deadline: Duration::from_secs(2), road: Some(road) };
        let slow = Shelf::with(Some((100_000, Duration::from_secs(3))), None);
        let error = database::dump(engine, &target, &short, &slow, None).await.unwrap_err();
        assert!(error.message.contains("did not end within"), "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let left =
            sql(from, "postgres", "select count(*) from pg_stat_activity where state like 'idle in%' or application_name = 'pg_dump'");
        assert_eq!(left, "0\n");
    }
}

async fn refused(engine: &Docker, from: &Server) {
    let options = options(Road::Fifo);
    let shelf = Shelf::default();
    let mut wrong = from.target.clone();
    wrong.databases = vec!["none".to_owned()];
    let error = database::dump(engine, &wrong, &options, &shelf, None).await.unwrap_err();
    assert!(error.message.contains("has no database none"), "{error}");
    wrong.admin.user = "nobody".to_owned();
    let error = database::dump(engine, &wrong, &options, &shelf, None).await.unwrap_err();
    assert!(error.message.contains("does not know the account"), "{error}");
    docker(&[
        "exec",
        &from.name,
        "sh",
        "-c",
        "mv $(readlink -f $(command -v pg_dump)) /tmp/tool; mv $(command -v pg_dump) /tmp/link; true",
    ]);
    let error = database::dump(engine, &from.target, &options, &Shelf::default(), None).await.unwrap_err();
    assert!(error.message.contains("has not all tools"), "{error}");
    docker(&["stop", "-t", "20", &from.name]);
    let error = database::dump(engine, &from.target, &options, &shelf, None).await.unwrap_err();
    assert!(error.message.contains("does not run"), "{error}");
}
