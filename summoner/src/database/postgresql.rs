//! PostgreSQL: one archive per database, all at the moments of snapshots that are held open together, and the roles.
//!
//! Over the local socket, where the official image trusts its superuser; no password travels. An archive counts when the
//! container's own `pg_restore` has decoded it to its end, while it was dumped, and what was stored reads back whole.

mod globals;
mod view;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use futures_util::future::{join3, try_join};

use super::ask::{Question, ask};
use super::run::{self, Ending, Order};
use super::sql_end::globals_complete;
use super::tee::Tee;
use super::{At, Driver, DumpOptions, Part, Source, Spool, View, explain};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::plan::snapshot::{Content, DatabaseFacts};
use crate::repository::{Sink, Sinks, Stored};

/// The database that is there on every server and belongs to nobody.
const MAINTENANCE: &str = "postgres";
/// Another, to make the first one anew.
const TEMPLATE: &str = "template1";
/// More tables at once than this would take turns on the disk.
const JOBS_MAX: usize = 4;
/// How an archive begins.
pub(super) const MAGIC: &[u8] = b"PGDMP";
/// Roles are text, and little.
pub(super) const GLOBALS_LIMIT: u64 = 64 << 20;
/// What the server says of its databases; the last is asked in each.
const DATABASES: &str = "select json_build_array(current_setting('server_version'), datname) from pg_database \
    where datallowconn and not datistemplate order by datname;\n";
const COUNTS: &str = "select json_build_array(count(*) filter (where relkind in ('r', 'p')), count(*) filter (where relkind in ('v', 'm'))) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname !~ '^pg_' and nspname <> 'information_schema' \
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');";

/// The driver.
pub(super) struct Postgresql;

impl Driver for Postgresql {
    async fn has_view<E: Engine>(&self, at: &At<'_, E>) -> Result<bool> {
        super::running(at.engine, &at.target.container).await.map(|_| true)
    }

    async fn dump<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions, sinks: &dyn Sinks, view: View) -> Result<Vec<Part>> {
        let (version, databases) = chosen(at).await?;
        let mut held = Vec::new();
        for database in &databases {
            held.push(view::open(at, database).await?);
        }
        if let Some(view) = view {
            super::fire(view);
        }
        let archives = async {
            let mut parts = Vec::new();
            for (database, held) in databases.iter().zip(held) {
                parts.push(archive(at, options, sinks, database, &version, held).await?);
            }
            Ok(parts)
        };
        let (roles, archives) = try_join(roles(at, options, sinks, &version), archives).await?;
        Ok(std::iter::once(roles).chain(archives).collect())
    }

    async fn load<E: Engine>(&self, at: &At<'_, E>, parts: Vec<Source>, options: DumpOptions, spool: Option<&Spool>) -> Result<()> {
        // Owners before what they own.
        let (roles, archives): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, content, _)| *content == Content::Globals);
        for (_, _, from) in roles {
            globals::load(at, from).await?;
        }
        for (facts, content, from) in archives {
            if content != Content::Dump || facts.name.is_empty() {
                return Err(Error::internal(format!("{content:?} of {} is no dump of a database", facts.container)));
            }
            restore(at, options, &facts, from, spool).await?;
        }
        Ok(())
    }

    async fn facts<E: Engine>(&self, at: &At<'_, E>) -> Result<Vec<DatabaseFacts>> {
        let (version, databases) = chosen(at).await?;
        let mut all = Vec::new();
        for name in &databases {
            let (tables, _) = counts(&query(at, name, COUNTS).await?)?;
            all.push(facts(at, name, &version, tables));
        }
        Ok(all)
    }

    async fn weigh<E: Engine>(&self, at: &At<'_, E>, _: DumpOptions) -> Result<Vec<DatabaseFacts>> {
        let (version, databases) = chosen(at).await?;
        let mut all = Vec::new();
        for name in &databases {
            let mut held = view::open(at, name).await?;
            let mut facts = facts(at, name, &version, held.counts.0);
            (facts.rows, facts.sample) = held.weigh(at).await.map(|(rows, sample)| (rows, Some(sample)))?;
            held.close().await?;
            all.push(facts);
        }
        Ok(all)
    }
}

fn facts<E>(at: &At<'_, E>, name: &str, version: &str, tables: u64) -> DatabaseFacts {
    DatabaseFacts {
        container: at.target.container.clone(),
        kind: at.target.kind,
        name: name.to_owned(),
        server_version: version.to_owned(),
        tables,
        rows: BTreeMap::new(),
        sample: None,
    }
}

/// The server's version and the databases to dump: those asked for, else all that somebody uses.
async fn chosen<E: Engine>(at: &At<'_, E>) -> Result<(String, Vec<String>)> {
    let answer = query(at, MAINTENANCE, &format!("{DATABASES}{COUNTS}")).await?;
    let mut lines: Vec<&str> = answer.lines().filter(|line| !line.is_empty()).collect();
    let maintenance = counts(lines.pop().unwrap_or_default())?;
    let mut version = String::new();
    let mut there = Vec::new();
    for line in lines {
        let (server, name): (String, String) = serde_json::from_str(line).map_err(|error| strange(line, &error))?;
        version = server;
        there.push(name);
    }
    let wanted = &at.target.databases;
    if let Some(missing) = wanted.iter().find(|name| !there.contains(name)) {
        return Err(Error::external(format!("{} has no database {missing}", at.target.container)).next("summoner status"));
    }
    if !wanted.is_empty() {
        return Ok((version, wanted.clone()));
    }
    // Every server has this one; mostly nobody uses it.
    if there.len() > 1 && maintenance == (0, 0) {
        there.retain(|name| name != MAINTENANCE);
    }
    Ok((version, there))
}

fn strange(answer: &str, error: &serde_json::Error) -> Error {
    Error::external(format!("the server answers what is not understood: {answer}")).cause(error)
}

fn counts(answer: &str) -> Result<(u64, u64)> {
    serde_json::from_str(answer.trim()).map_err(|error| strange(answer, &error))
}

/// A connection string: a database's name may hold anything.
fn connection(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Text within a statement.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn tool(at: &At<'_, impl Sized>, words: &[&str], database: Option<&str>) -> Vec<String> {
    let mut tool: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    tool.extend(["--no-password".to_owned(), format!("--username={}", at.target.admin.user)]);
    tool.extend(database.map(|database| format!("--dbname={}", connection(database))));
    tool
}

fn psql(at: &At<'_, impl Sized>, database: &str) -> Vec<String> {
    tool(at, &["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], Some(database))
}

async fn query<E: Engine>(at: &At<'_, E>, database: &str, statement: &str) -> Result<String> {
    let (container, kind) = (&at.target.container, at.target.kind);
    let question = Question { container, kind, tool: psql(at, database), form: "", secret: None, statement: statement.to_owned() };
    ask(at.engine, &question).await
}

fn order<'a>(at: &At<'a, impl Sized>, options: DumpOptions, tool: Vec<String>) -> Order<'a> {
    Order { container: &at.target.container, tool, form: "", secret: None, road: options.road, deadline: options.deadline }
}

fn ended(at: &At<'_, impl Sized>, order: &Order<'_>, ending: &Ending) -> Result<()> {
    match ending.code {
        0 => Ok(()),
        code => Err(explain::tool(at.target.kind, &at.target.container, order.name(), code, &ending.stderr)),
    }
}

async fn archive<E: Engine>(
    at: &At<'_, E>,
    options: DumpOptions,
    sinks: &dyn Sinks,
    database: &str,
    version: &str,
    mut held: view::Held,
) -> Result<Part> {
    let snapshot = format!("--snapshot={}", held.snapshot);
    let dumping = order(at, options, tool(at, &["pg_dump", "--format=custom", "--compress=0", &snapshot], Some(database)));
    let mut sink = Tee::new(Begun { into: sinks.create(&super::file_name(at.target.kind, database, "pgdump"))?, first: Vec::new() });
    let (decoded, contents) = (decode(at, options, sink.reader()), listed(at, options, sink.reader()));
    let kept = async {
        let (sink, ending) = run::pull(at.engine, &dumping, sink, &mut |_| {}).await?;
        ended(at, &dumping, &ending)?;
        let sink = blocking(move || sink.end()).await?;
        let counts = held.counts;
        let weighed = held.weigh(at).await;
        // A session in which something failed has ended by itself.
        if weighed.is_ok() {
            held.close().await?;
        }
        if sink.first != MAGIC {
            return Err(explain::short(&at.target.container, "it does not begin as an archive does"));
        }
        let stored = super::finish(sink.into).await?;
        reads(sinks.read(&stored)?, &stored).await?;
        Ok((stored, counts, weighed))
    };
    // A dump that failed is the reason; that its readers got no end is the consequence, and brings them to theirs.
    let (kept, decoded, found) = join3(kept, decoded, contents).await;
    let ((stored, counts, weighed), (), found) = (kept?, decoded?, found?);
    if found != counts {
        let cause = format!("{} tables and {} views are in it, the server has {} and {}", found.0, found.1, counts.0, counts.1);
        return Err(explain::short(&at.target.container, &cause));
    }
    let (mut facts, mut notes) = (facts(at, database, version, found.0), Vec::new());
    match weighed {
        Ok((rows, sample)) => (facts.rows, facts.sample) = (rows, Some(sample)),
        // The dump is whole all the same; a drill has less to compare with.
        Err(error) => notes.push(format!("the rows of {database} were not counted: {}", error.message)),
    }
    Ok(Part { stored, content: Content::Dump, facts, notes })
}

/// What was kept is what was decoded: it reads to its end, every checksum agrees, and nothing is missing.
async fn reads(mut from: Box<dyn Read + Send>, stored: &Stored) -> Result<()> {
    let read = blocking(move || io::copy(&mut from, &mut io::sink())).await?;
    let bytes = read.map_err(|error| Error::external(format!("{} cannot be read back", stored.name)).cause(error))?;
    if bytes != stored.bytes_raw {
        return Err(Error::external(format!("{} holds {bytes} bytes, {} were dumped", stored.name, stored.bytes_raw)));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("a thread ended").cause(error))
}

/// Has the whole archive read by the container's own tool: one missing byte is found.
async fn decode<E: Engine>(at: &At<'_, E>, options: DumpOptions, from: Box<dyn Read + Send>) -> Result<()> {
    let order = order(at, options, ["pg_restore", "--file=/dev/null"].map(str::to_owned).into());
    let ending = run::push(at.engine, &order, from).await?;
    match ending.code {
        0 => Ok(()),
        _ => Err(explain::short(&at.target.container, "pg_restore cannot read it back").cause(ending.stderr)),
    }
}

/// Tables and views in an archive's list of contents, which stands at its begin.
async fn listed<E: Engine>(at: &At<'_, E>, options: DumpOptions, from: Box<dyn Read + Send>) -> Result<(u64, u64)> {
    let order = order(at, options, ["pg_restore", "--list"].map(str::to_owned).into());
    let ending = run::push(at.engine, &order, from).await?;
    ended(at, &order, &ending)?;
    Ok(count_list(&String::from_utf8_lossy(&ending.printed)))
}

/// `217; 1259 16390 TABLE public posts ghost`: 1259 is the catalogue of relations, their data and comments stand elsewhere.
fn count_list(list: &str) -> (u64, u64) {
    let (mut tables, mut views) = (0, 0);
    for line in list.lines() {
        let mut words = line.split_once("; ").map_or("", |(_, rest)| rest).split(' ');
        if words.next() != Some("1259") {
            continue;
        }
        match (words.nth(1), words.next()) {
            (Some("TABLE"), Some(next)) if next != "ATTACH" => tables += 1,
            (Some("VIEW"), _) | (Some("MATERIALIZED"), Some("VIEW")) => views += 1,
            _ => {}
        }
    }
    (tables, views)
}

async fn roles<E: Engine>(at: &At<'_, E>, options: DumpOptions, sinks: &dyn Sinks, version: &str) -> Result<Part> {
    let order = order(at, options, tool(at, &["pg_dumpall", "--globals-only"], None));
    let sink = Copied { into: sinks.create("postgresql-globals.sql")?, copy: Vec::new() };
    let (sink, ending) = run::pull(at.engine, &order, sink, &mut |_| {}).await?;
    ended(at, &order, &ending)?;
    if !globals_complete(&String::from_utf8_lossy(&sink.copy)) {
        return Err(explain::short(&at.target.container, "the last line of its roles is missing"));
    }
    let stored: Stored = super::finish(sink.into).await?;
    Ok(Part { stored, content: Content::Globals, facts: facts(at, "", version, 0), notes: Vec::new() })
}

async fn restore<E: Engine>(
    at: &At<'_, E>,
    options: DumpOptions,
    facts: &DatabaseFacts,
    from: Box<dyn Read + Send>,
    spool: Option<&Spool>,
) -> Result<()> {
    let name = &facts.name;
    let through = if name == MAINTENANCE { TEMPLATE } else { MAINTENANCE };
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = {};", literal(name));
    query(at, through, &end).await?;
    // The archive knows the database's encoding, collation, owner and settings.
    let mut tool = tool(at, &["pg_restore", "--create", "--clean", "--if-exists", "--exit-on-error"], Some(through));
    let (from, waits): (Box<dyn Read + Send>, _) = match spool {
        // From a file it loads several tables at once; from a pipe it cannot.
        Some(spool) => {
            let name = super::file_name(at.target.kind, name, "pgdump");
            tool.extend([format!("--jobs={}", jobs()), format!("{}/{name}", spool.inside)]);
            (Box::new(io::empty()), Some(Spooled::write(spool.host.join(name), from).await?))
        }
        None => (from, None),
    };
    let order = order(at, options, tool);
    let ending = run::push(at.engine, &order, from).await?;
    ended(at, &order, &ending)?;
    drop(waits);
    let (tables, _) = counts(&query(at, name, COUNTS).await?)?;
    if tables != facts.tables {
        return Err(Error::external(format!("{name} holds {tables} tables after loading, {} were dumped", facts.tables))
            .next("choose another snapshot: summoner snapshots"));
    }
    query(at, name, "analyze;").await.map(drop)
}

/// How many tables are loaded at once.
fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, JOBS_MAX)
}

/// An archive that lies uncompressed where the server's tool can seek in it; removed when dropped.
struct Spooled(PathBuf);

impl Spooled {
    async fn write(path: PathBuf, mut from: Box<dyn Read + Send>) -> Result<Self> {
        // Its reader is whoever the tool runs as; the folder around it is for nobody else.
        let mut file = disk::create_new(&path, 0o644)?;
        let spooled = Self(path);
        let written = tokio::task::spawn_blocking(move || io::copy(&mut from, &mut file).map(|_| spooled));
        let written = written.await.map_err(|error| Error::internal("a thread ended").cause(error))?;
        written.map_err(|error| Error::external("the archive does not read to its end, or there is no room for it").cause(error))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // What stays goes with the folder that everything was staged in.
        let removed = disk::remove_file(&self.0);
        tracing::debug!(?removed, path = %self.0.display(), "spooled archive");
    }
}

/// Remembers how it began.
struct Begun {
    into: Box<dyn Sink>,
    first: Vec<u8>,
}

impl Write for Begun {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = MAGIC.len() - self.first.len();
        self.first.extend_from_slice(&piece[..piece.len().min(room)]);
        self.into.write_all(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Keeps a copy, which is small.
struct Copied {
    into: Box<dyn Sink>,
    copy: Vec<u8>,
}

impl Write for Copied {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if (self.copy.len() + piece.len()) as u64 > GLOBALS_LIMIT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "roles without end"));
        }
        self.copy.extend_from_slice(piece);
        self.into.write_all(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_contents_is_counted() {
        let list = ";\n; Archive created at 2026\n;     dbname: a\n217; 1259 16390 TABLE public a b\n3400; 0 16390 TABLE DATA public a b\n\
            218; 1259 1 VIEW public v b\n219; 1259 2 MATERIALIZED VIEW public m b\n3401; 0 2 MATERIALIZED VIEW DATA public m b\n\
            3402; 0 0 COMMENT public TABLE a b\n220; 1259 3 TABLE ATTACH public p1 b\n221; 1259 4 SEQUENCE public s b\n";
        assert_eq!(count_list(list), (1, 2));
        assert_eq!(connection("it's \\ = x"), "dbname='it\\'s \\\\ = x'");
    }
}
