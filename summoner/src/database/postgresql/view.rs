//! A snapshot of a database, held open by a session of its own: dumps that begin later still show that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::super::{At, explain, script};
use crate::docker::{Engine, ExecPiece, ExecSession, ExecSpec};
use crate::error::{Error, Result};

/// How long opening or closing one may take.
const OPEN: Duration = Duration::from_secs(60);
/// No answer is longer.
const ANSWER: usize = 64 << 10;

/// A snapshot that lives as long as this session.
pub(super) struct Held {
    session: ExecSession,
    /// Its name for `pg_dump --snapshot`.
    pub snapshot: String,
    /// Tables and views that it shows.
    pub counts: (u64, u64),
}

/// Opens a snapshot.
///
/// # Errors
/// The server refuses.
pub(super) async fn open<E: Engine>(at: &At<'_, E>, database: &str) -> Result<Held> {
    let token = script::token();
    let counts = super::COUNTS.trim_end_matches(';').strip_prefix("select ").unwrap_or_default();
    let statement = format!(
        "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0; \
         select json_build_array('{token}', pg_export_snapshot(), (select {counts}));\n"
    );
    let environment = [(script::MARK.to_owned(), token.clone())].into();
    let spec = ExecSpec { command: super::psql(at, database), environment, ..ExecSpec::default() };
    let mut session = at.engine.open_exec(&at.target.container, &spec).await?;
    let opened = async {
        session
            .input
            .write_all(statement.as_bytes())
            .await
            .and(session.input.flush().await)
            .map_err(|error| cut(at, &error.to_string()))?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            let text = String::from_utf8_lossy(&out);
            if let Some(line) = text.split_inclusive('\n').find(|line| line.contains(&token) && line.ends_with('\n')) {
                let (_, snapshot, counts): (String, String, (u64, u64)) =
                    serde_json::from_str(line).map_err(|error| super::strange(line, &error))?;
                return Ok((snapshot, counts));
            }
            match session.output.next().await.transpose()? {
                Some(ExecPiece::Out(bytes)) if out.len() < ANSWER => out.extend_from_slice(&bytes),
                Some(ExecPiece::Err(bytes)) if err.len() < ANSWER => err.extend_from_slice(&bytes),
                Some(_) => {}
                None => {
                    let code = at.engine.exec_state(&session.id).await?.exit_code.unwrap_or(-1);
                    // The engine's own words about a missing program come as output.
                    let words = String::from_utf8_lossy(&err).into_owned() + &String::from_utf8_lossy(&out);
                    return Err(explain::tool(at.target.kind, &at.target.container, "psql", code, &words));
                }
            }
        }
    };
    let opened = tokio::time::timeout(OPEN, opened).await.map_err(|_| cut(at, "it did not answer in time"))?;
    let (snapshot, counts) = opened?;
    Ok(Held { session, snapshot, counts })
}

/// Counts each table and sums up its first rows, which lie in the order in which they are dumped and loaded; the texts of
/// values must not depend on anybody's settings.
const WEIGH: &str = "set local statement_timeout = '5min'; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; \
    set local intervalstyle = 'postgres'; set local bytea_output = 'hex'; set local extra_float_digits = 1; \
    set local synchronize_seqscans = off; set local max_parallel_workers_per_gather = 0;\n\
    select format('select json_build_array(%L, (select count(*) from only %I.%I), coalesce((select md5(string_agg(md5(x::text), '''' \
    order by number)) from (select t as x, row_number() over () as number from only %I.%I t limit 1000) q), ''''))', \
    nspname || '.' || relname, nspname, relname, nspname, relname) \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where relkind = 'r' and nspname !~ '^pg_' \
    and nspname <> 'information_schema' \
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') \
    order by nspname, relname \\gexec\n";
/// How long that may take, and how long its answer may be: a line a table.
const WEIGHED: Duration = Duration::from_secs(900);
const LINES: usize = 64 << 20;

/// Rows, and a checksum of the first of them, by table.
pub(super) type Weights = (BTreeMap<String, u64>, BTreeMap<String, String>);

impl Held {
    /// Rows and content of every table at its moment.
    ///
    /// # Errors
    /// Something cannot be counted, or it takes too long; the session is over then.
    pub(super) async fn weigh<E>(&mut self, at: &At<'_, E>) -> Result<Weights> {
        let token = script::token();
        let statement = format!("{WEIGH}select json_build_array('{token}', 0, '');\n");
        let weighed = async {
            let asked = self.session.input.write_all(statement.as_bytes()).await.and(self.session.input.flush().await);
            asked.map_err(|error| cut(at, &error.to_string()))?;
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let end = format!("[\"{token}\"");
            while !ends(&out, &end) {
                match self.session.output.next().await.transpose()? {
                    Some(ExecPiece::Out(bytes)) if out.len() < LINES => out.extend_from_slice(&bytes),
                    Some(ExecPiece::Out(_)) => return Err(cut(at, "it has more tables than can be counted")),
                    Some(ExecPiece::Err(bytes)) if err.len() < ANSWER => err.extend_from_slice(&bytes),
                    Some(ExecPiece::Err(_)) => {}
                    None => return Err(cut(at, String::from_utf8_lossy(&err).trim())),
                }
            }
            read(&String::from_utf8_lossy(&out), &token)
        };
        tokio::time::timeout(WEIGHED, weighed).await.map_err(|_| cut(at, "counting its rows took too long"))?
    }

    /// Lets it go: its dump has ended.
    ///
    /// # Errors
    /// The session cannot be ended.
    pub(super) async fn close(mut self) -> Result<()> {
        let closed = async {
            self.session.input.shutdown().await.map_err(|error| Error::external("cannot end a session of psql").cause(error))?;
            while self.session.output.next().await.transpose()?.is_some() {}
            Ok(())
        };
        tokio::time::timeout(OPEN, closed).await.map_err(|_| Error::external("a session of psql did not end"))?
    }
}

/// Whether the last whole line is the end.
fn ends(out: &[u8], end: &str) -> bool {
    let Some(lines) = out.strip_suffix(b"\n") else { return false };
    let last = lines.iter().rposition(|byte| *byte == b'\n').map_or(lines, |at| &lines[at + 1..]);
    last.starts_with(end.as_bytes())
}

fn read(answer: &str, token: &str) -> Result<Weights> {
    let mut weights = Weights::default();
    for line in answer.lines().filter(|line| !line.is_empty()) {
        let (name, rows, sum): (String, u64, String) = serde_json::from_str(line).map_err(|error| super::strange(line, &error))?;
        if name == token {
            continue;
        }
        if !sum.is_empty() {
            weights.1.insert(name.clone(), sum);
        }
        weights.0.insert(name, rows);
    }
    Ok(weights)
}

fn cut<E>(at: &At<'_, E>, cause: &str) -> Error {
    let container = &at.target.container;
    Error::external(format!("cannot open a snapshot in {container}")).cause(cause).next(format!("summoner logs {container}"))
}
