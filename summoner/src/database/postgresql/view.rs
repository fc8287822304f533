//! A snapshot of a database, held open by a session of its own: dumps that begin later still show that moment.

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

impl Held {
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

fn cut<E>(at: &At<'_, E>, cause: &str) -> Error {
    let container = &at.target.container;
    Error::external(format!("cannot open a snapshot in {container}")).cause(cause).next(format!("summoner logs {container}"))
}
