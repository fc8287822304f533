//! MongoDB.

use std::io::{Cursor, Read};
use std::time::Duration;

use summoner::database::{self, DatabaseKind, Part, Road, Secret};
use summoner::docker::engine::Docker;
use summoner::plan::snapshot::Content;
use summoner::repository::Sinks;

use crate::bed::{PASSWORD, ROADS, Server, Shelf, docker, engine, flooded_and_failed, options};

const FILL: &str = r#"
const app = admin.getSiblingDB("app");
app.posts.insertMany([{title: "été 🎉", body: BinData(0, "AAH/Cg0="), at: new Date(0), big: NumberLong("9007199254740993")}, {title: "two"}]);
const many = [];
for (let n = 0; n < 2000; n++) many.push({n, text: String(Math.random()).repeat(200)});
app.texts.insertMany(many);
app.posts.createIndex({title: 1}, {unique: true});
app.createCollection("empty", {validator: {x: {$exists: true}}});
app.createView("seen", "posts", []);
app.createCollection("ts", {timeseries: {timeField: "t"}});
app.ts.insertOne({t: new Date(0), v: 1});
admin.getSiblingDB("other-ö").things.insertOne({_id: 1});
"#;
const SUM: &str = r#"
const sums = ["app", "other-ö"].map((name) => admin.getSiblingDB(name).runCommand({dbHash: 1}).collections);
print(JSON.stringify([sums, admin.getSiblingDB("app").posts.getIndexes(), admin.getSiblingDB("app").seen.countDocuments()]));
"#;

fn begin() -> Server {
    let account = [("MONGO_INITDB_ROOT_USERNAME", "boss"), ("MONGO_INITDB_ROOT_PASSWORD", PASSWORD)];
    Server::begin(DatabaseKind::Mongodb, "mongo:7.0.40", &account, "boss", &[])
}

fn ready(server: Server) -> Server {
    let connect = format!(
        "const admin = connect('mongodb://boss:' + encodeURIComponent({}) + '@127.0.0.1:27017/admin');\n",
        serde_json::to_string(PASSWORD).unwrap()
    );
    server.fed(&["sh", "-c", "cat > /dev/shm/connect.js"], &connect);
    server.wait(&["mongosh", "--quiet", "--norc", "--nodb", "--file", "/dev/shm/connect.js"])
}

fn js(server: &Server, text: &str) -> String {
    let script = "cat /dev/shm/connect.js - > /dev/shm/run.js; mongosh --quiet --norc --nodb --file /dev/shm/run.js";
    server.fed(&["sh", "-c", script], text)
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb() {
    let (from, into) = (begin(), begin());
    let (from, into) = (ready(from), ready(into));
    js(&from, FILL);
    let sum = js(&from, SUM);
    let engine = engine().await;
    assert!(!database::has_view(&engine, &from.target).await.unwrap());
    for road in ROADS {
        let shelf = Shelf::default();
        let (send, mut receive) = tokio::sync::oneshot::channel();
        let parts = database::dump(&engine, &from.target, &options(road), &shelf, Some(send)).await.unwrap();
        receive.try_recv().unwrap();
        let facts = &parts[0].facts;
        assert_eq!((parts.len(), facts.tables, facts.server_version.as_str()), (1, 5, "6.0.5"));
        let rows: Vec<(&str, u64)> = facts.rows.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(rows, [("app.empty", 0), ("app.posts", 2), ("app.texts", 2000), ("app.ts", 1), ("other-ö.things", 1)]);
        js(&into, "admin.getSiblingDB('app').newer.insertOne({});");
        let source = (facts.clone(), Content::Dump, shelf.read(&parts[0].stored).unwrap());
        database::load_with(&engine, &into.target, vec![source], options(road), None).await.unwrap();
        assert_eq!(js(&into, SUM), sum, "{road:?}");
        damaged(&engine, &into, &shelf, &parts[0], road).await;
    }
    flooded_and_failed(&engine, &from, "/usr/local/bin/mongodump").await;
    refused(&engine, &from).await;
    slow_and_killed(&engine, &from).await;
}

async fn damaged(engine: &Docker, into: &Server, shelf: &Shelf, part: &Part, road: Road) {
    let plain = shelf.plain(part);
    assert_eq!(database::check(DatabaseKind::Mongodb, Content::Dump, &mut plain.as_slice()).unwrap(), Some(5));
    let mut corpus: Vec<Vec<u8>> = (1..16).map(|step| plain[..plain.len() * step / 16].to_vec()).collect();
    corpus.extend([plain[..plain.len() - 1].to_vec(), Vec::new(), b"<html><body>Not found</body></html>\n".to_vec()]);
    for step in 8..16 {
        let mut flipped = plain.clone();
        flipped[plain.len() * step / 16] ^= 1;
        corpus.push(flipped);
    }
    for (number, wrong) in corpus.into_iter().enumerate() {
        assert!(database::check(DatabaseKind::Mongodb, Content::Dump, &mut wrong.as_slice()).is_err(), "{number}");
        if number % 6 == 5 {
            let source = (part.facts.clone(), Content::Dump, Box::new(Cursor::new(wrong)) as Box<dyn Read + Send>);
            let result = database::load_with(engine, &into.target, vec![source], options(road), None).await;
            assert!(result.is_err(), "{number} was loaded");
        }
    }
}

async fn slow_and_killed(engine: &Docker, from: &Server) {
    let kill = "for p in /proc/[0-9]*; do case $(cat $p/comm 2>/dev/null) in mongodump) kill -9 ${p#/proc/};; esac; done";
    for road in ROADS {
        let slow = Shelf::with(Some((7_000_000, Duration::from_secs(4))), None);
        database::dump(engine, &from.target, &options(road), &slow, None).await.unwrap();
        let slow = Shelf::with(Some((100_000, Duration::from_secs(3))), None);
        let options = options(road);
        let dump = database::dump(engine, &from.target, &options, &slow, None);
        let (result, _) = tokio::join!(dump, async {
            slow.stalls.notified().await;
            from.said(&["sh", "-c", kill])
        });
        let error = result.unwrap_err();
        assert!(error.message.contains("killed"), "{error}");
        assert_eq!(database::end_orphans(engine, &from.name).await.unwrap(), 0);
    }
}

async fn refused(engine: &Docker, from: &Server) {
    let options = options(Road::Fifo);
    let mut wrong = from.target.clone();
    wrong.databases = vec!["none".to_owned()];
    let error = database::dump(engine, &wrong, &options, &Shelf::default(), None).await.unwrap_err();
    assert!(error.message.contains("has no database none"), "{error}");
    wrong.databases = vec!["app".to_owned()];
    let parts = database::dump(engine, &wrong, &options, &Shelf::default(), None).await.unwrap();
    assert_eq!((parts[0].facts.name.as_str(), parts[0].facts.tables), ("app", 4));
    wrong.admin.password = Some(Secret::new("wrong".to_owned()));
    let error = database::dump(engine, &wrong, &options, &Shelf::default(), None).await.unwrap_err();
    assert!(error.message.contains("refuses the password"), "{error}");
    docker(&["exec", &from.name, "mv", "/usr/local/bin/mongodump", "/tmp/tool"]);
    let error = database::dump(engine, &from.target, &options, &Shelf::default(), None).await.unwrap_err();
    assert!(error.message.contains("has no mongodump"), "{error}");
    docker(&["exec", &from.name, "mv", "/tmp/tool", "/usr/local/bin/mongodump"]);
}
