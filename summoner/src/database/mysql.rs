//! MySQL and MariaDB: one dump of all chosen databases in one transaction, hence one moment for all.
//!
//! The two differ in the names of their programs and one flag. The dump drops and makes each database by itself, with its
//! own character set, so loading leaves nothing of an earlier content.

mod catalogue;

use std::io::{self, Cursor, Read, Write};

use futures_util::future::try_join;

use super::ask::{Question, ask, which, which_version};
use super::run::{self, Order};
use super::sql_end::{Heard, SqlEnd};
use super::sql_rows::{Rows, SqlRows};
use super::tally::{self, Tallies};
use super::{At, DatabaseKind, Driver, DumpOptions, Part, Source, Spool, View, explain};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::plan::snapshot::{Content, DatabaseFacts};
use crate::repository::Sinks;
use catalogue::Catalogue;

/// The option file with the password.
const FORM: &str = "[client]\npassword=\"%s\"\n";
/// It must be the first argument.
const OPTIONS: &str = "--defaults-extra-file=/dev/fd/4";
/// The programs' names: MariaDB's, which newer images have alone, and MySQL's.
const DUMPERS: [&str; 2] = ["mariadb-dump", "mysqldump"];
const CLIENTS: [&str; 2] = ["mariadb", "mysql"];
/// The dump tool's words before and after the transaction has begun.
const BEGINS: &str = "-- Starting transaction";
/// Any of these is printed only when the transaction's statements succeeded.
const BEGUN: [&str; 2] = ["-- Setting savepoint", "-- Retrieving table structure"];
/// Faster, and right for a dump that was consistent when it was taken.
const LOADING: &str = "SET SESSION foreign_key_checks=0, unique_checks=0;\n";
const UNLOGGED: &str = "SET SESSION sql_log_bin=0;\n";

/// The driver.
pub(super) struct Mysql;

impl Driver for Mysql {
    async fn has_view<E: Engine>(&self, at: &At<'_, E>) -> Result<bool> {
        Ok(catalogue(at).await?.foreign.is_empty())
    }

    async fn dump<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions, sinks: &dyn Sinks, mut view: View) -> Result<Vec<Part>> {
        let container = &at.target.container;
        let (before, program) = try_join(catalogue(at), which_version(at.engine, container, at.target.kind, &DUMPERS)).await?;
        if before.databases.is_empty() {
            return Err(
                Error::external(format!("{container} holds no database that could be dumped")).next(format!("summoner logs {container}"))
            );
        }
        let has_view = before.foreign.is_empty();
        let mut begins = false;
        let mut watch = |line: &str| {
            begins |= line.starts_with(BEGINS);
            if has_view
                && begins
                && BEGUN.iter().any(|word| line.starts_with(word))
                && let Some(view) = view.take()
            {
                super::fire(view);
            }
        };
        let sink = sinks.create(&format!("{}.sql", at.target.kind.as_str()))?;
        let (into, end, rows) = read(at, options, dump_tool(at, program, &before.databases), sink, &mut watch).await?;
        let (after, stored) = try_join(catalogue(at), super::finish(into)).await?;
        counted(container, &before, &after, &end)?;
        if let Some(view) = view.take() {
            super::fire(view);
        }
        let mut facts = before.whole(at.target, end.tables);
        tally::tell(&rows, &mut facts);
        Ok(vec![Part { stored, content: Content::Dump, facts, notes: before.notes() }])
    }

    async fn load<E: Engine>(&self, at: &At<'_, E>, parts: Vec<Source>, options: DumpOptions, _: Option<&Spool>) -> Result<()> {
        for (facts, content, from) in parts {
            let container = &at.target.container;
            if content != Content::Dump || !matches!(facts.kind, DatabaseKind::Mysql | DatabaseKind::Mariadb) {
                return Err(Error::internal(format!("{content:?} of {} is no dump for {container}", facts.kind.as_str())));
            }
            let mut tool = client(at, which(at.engine, container, at.target.kind, &CLIENTS).await?);
            tool.extend(["--binary-mode", "--max-allowed-packet=1G"].map(str::to_owned));
            let order = Order {
                container,
                tool,
                form: FORM,
                secret: at.target.admin.password.as_ref(),
                road: options.road,
                deadline: options.deadline,
            };
            let mut first = LOADING.to_owned();
            if query(at, UNLOGGED).await.is_ok() {
                first.push_str(UNLOGGED);
            }
            let whole = Whole { from, end: SqlEnd::default() };
            let ending = run::push(at.engine, &order, Box::new(Cursor::new(first).chain(whole))).await?;
            if ending.code != 0 {
                return Err(explain::tool(at.target.kind, container, order.name(), ending.code, &ending.stderr));
            }
            let there = catalogue(at).await?;
            let tables = if facts.name.is_empty() { there.tables() } else { there.tables_of(&facts.name) };
            if tables != facts.tables {
                return Err(Error::external(format!("{container} holds {tables} tables after loading, {} were dumped", facts.tables))
                    .next("choose another snapshot: summoner snapshots"));
            }
        }
        Ok(())
    }

    async fn facts<E: Engine>(&self, at: &At<'_, E>) -> Result<Vec<DatabaseFacts>> {
        Ok(catalogue(at).await?.each(at.target))
    }

    async fn weigh<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions) -> Result<Vec<DatabaseFacts>> {
        let program = which_version(at.engine, &at.target.container, at.target.kind, &DUMPERS).await?;
        let there = catalogue(at).await?;
        let tool = dump_tool(at, program, &there.databases);
        let (_, end, rows) = read(at, options, tool, io::sink(), &mut |_| {}).await?;
        let mut facts = there.whole(at.target, end.tables);
        tally::tell(&rows, &mut facts);
        Ok(vec![facts])
    }
}

/// Has everything dumped into a sink, to its end; gives what was read on the way.
async fn read<E: Engine, W: Write + Send + 'static>(
    at: &At<'_, E>,
    options: DumpOptions,
    tool: Vec<String>,
    into: W,
    watch: &mut (dyn FnMut(&str) + Send),
) -> Result<(W, SqlEnd, Tallies)> {
    let container = &at.target.container;
    let order =
        Order { container, tool, form: FORM, secret: at.target.admin.password.as_ref(), road: options.road, deadline: options.deadline };
    let sink = Rows { into: Heard { into, end: SqlEnd::default() }, rows: SqlRows::new() };
    let (read, ending) = run::pull(at.engine, &order, sink, watch).await?;
    if ending.code != 0 {
        return Err(explain::tool(at.target.kind, container, order.name(), ending.code, &ending.stderr));
    }
    let Rows { into: Heard { into, end }, rows } = read;
    if !end.is_complete() {
        return Err(explain::short(container, "its last line is missing"));
    }
    Ok((into, end, rows.end()))
}

/// Refuses a dump whose counts differ from the server's.
fn counted(container: &str, before: &Catalogue, after: &Catalogue, end: &SqlEnd) -> Result<()> {
    let dumped = (end.tables, end.views);
    if [before, after].iter().any(|catalogue| (catalogue.tables(), catalogue.views()) == dumped) {
        return Ok(());
    }
    let cause = format!("{} tables and {} views are in it, the server has {} and {}", end.tables, end.views, after.tables(), after.views());
    if before.tables() != after.tables() || before.views() != after.views() {
        return Err(explain::invalidated(container, &cause));
    }
    Err(explain::short(container, &cause))
}

/// A dump that is read to be loaded: an end that is missing is a fault of the source.
struct Whole {
    from: Box<dyn Read + Send>,
    end: SqlEnd,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.end.hear(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && !self.end.is_complete() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the dump's last line is missing"));
        }
        Ok(count)
    }
}

/// The words of a dump, by a program that said its version.
fn dump_tool<E>(at: &At<'_, E>, (program, version): (String, String), databases: &[String]) -> Vec<String> {
    let mut tool = vec![program, OPTIONS.to_owned(), format!("--user={}", at.target.admin.user)];
    let flags = [
        "--verbose",
        "--single-transaction",
        "--quick",
        "--routines",
        "--events",
        "--triggers",
        "--hex-blob",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G",
        "--add-drop-database",
    ];
    tool.extend(flags.map(str::to_owned));
    if !version.contains("MariaDB") {
        // A dump is for any server: it must not carry the transactions that this one has seen.
        tool.push("--set-gtid-purged=OFF".into());
    }
    tool.extend(["--databases", "--"].map(str::to_owned));
    tool.extend(databases.iter().cloned());
    tool
}

fn client<E>(at: &At<'_, E>, program: String) -> Vec<String> {
    let user = format!("--user={}", at.target.admin.user);
    vec![program, OPTIONS.to_owned(), user, "--batch".into(), "--default-character-set=utf8mb4".into()]
}

async fn query<E: Engine>(at: &At<'_, E>, statement: &str) -> Result<String> {
    let mut tool = client(at, CLIENTS.join("|"));
    tool.push("--skip-column-names".into());
    let secret = at.target.admin.password.as_ref();
    let question =
        Question { container: &at.target.container, kind: at.target.kind, tool, form: FORM, secret, statement: statement.to_owned() };
    ask(at.engine, &question).await
}

async fn catalogue<E: Engine>(at: &At<'_, E>) -> Result<Catalogue> {
    let answer = query(at, catalogue::QUESTION).await?;
    Ok(Catalogue::read(&answer, &at.target.databases))
}
