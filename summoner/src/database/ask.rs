//! Short questions to a database server through its own client, the statement on standard input.

use std::time::Duration;

use super::{DatabaseKind, Secret, explain, script};
use crate::docker::{Engine, ExecSpec};
use crate::error::Result;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(120);

/// A question.
pub(super) struct Question<'a> {
    /// Whom.
    pub container: &'a str,
    /// What kind of server.
    pub kind: DatabaseKind,
    /// The client, or several with bars between of which one is there, and its arguments; the password is the file `/dev/fd/4`.
    pub tool: Vec<String>,
    /// The form of that file.
    pub form: &'static str,
    /// The password.
    pub secret: Option<&'a Secret>,
    /// What is asked.
    pub statement: String,
}

/// The answer's text.
///
/// # Errors
/// The client ends with a fault.
pub(super) async fn ask<E: Engine>(engine: &E, question: &Question<'_>) -> Result<String> {
    let Question { container, kind, tool, form, secret, statement } = question;
    let stdin = format!("{}\n{statement}\n", script::quoted(*secret)).into_bytes();
    let spec = ExecSpec { command: script::asking(form, tool), stdin: Some(stdin), timeout: Some(ANSWER), ..ExecSpec::default() };
    super::running(engine, container).await?;
    let output = engine.exec(container, &spec).await?;
    if output.exit_code != 0 {
        let name = tool.first().map_or_else(String::new, |name| name.replace('|', " or "));
        return Err(explain::tool(*kind, container, &name, output.exit_code, &String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first of these programs that the container has.
///
/// # Errors
/// It has none.
pub(super) async fn which<E: Engine>(engine: &E, container: &str, kind: DatabaseKind, programs: &[&str]) -> Result<String> {
    first(engine, container, kind, programs, "").await.map(|found| found.trim().to_owned())
}

/// As [`which`], with what the program says of its version.
///
/// # Errors
/// As [`which`].
pub(super) async fn which_version<E: Engine>(
    engine: &E,
    container: &str,
    kind: DatabaseKind,
    programs: &[&str],
) -> Result<(String, String)> {
    let found = first(engine, container, kind, programs, "--version").await?;
    let (program, version) = found.split_once('\n').unwrap_or((&found, ""));
    Ok((program.trim().to_owned(), version.to_owned()))
}

async fn first<E: Engine>(engine: &E, container: &str, kind: DatabaseKind, programs: &[&str], then: &str) -> Result<String> {
    let look = "then=$1; shift; for program; do if command -v \"$program\" >/dev/null; then \
        echo \"$program\"; [ -z \"$then\" ] || \"$program\" \"$then\"; exit 0; fi; done; exit 127";
    let mut command: Vec<String> = ["sh", "-c", look, "summoner", then].map(str::to_owned).into();
    command.extend(programs.iter().map(|program| (*program).to_owned()));
    super::running(engine, container).await?;
    let output = engine.exec(container, &ExecSpec { command, timeout: Some(ANSWER), ..ExecSpec::default() }).await?;
    match output.exit_code {
        0 => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        code => Err(explain::tool(kind, container, &programs.join(" or "), code, &String::from_utf8_lossy(&output.stderr))),
    }
}
