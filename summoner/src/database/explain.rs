//! What a database tool's complaint means for a person: the sentence, the cause, and the next command.

use std::sync::LazyLock;

use regex::Regex;

use super::DatabaseKind;
use crate::error::Error;

/// What to do about a missing tool.
const IMAGE: &str = "use the official image of this database, or one that brings its tools; nothing else can dump it";
/// In the message of every dump that a change of tables broke: repeating helps.
const INVALIDATED: &str = "tables changed while it was dumped";

#[expect(clippy::unwrap_used, reason = "a constant expression")]
static VIEW: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"View '([^']+)' references invalid").unwrap());

/// Whether a dump failed only because tables changed under it, so that repeating it once makes sense.
#[must_use]
pub fn is_invalidated(error: &Error) -> bool {
    error.message.contains(INVALIDATED)
}

/// A dump that a change of tables broke.
pub(super) fn invalidated(container: &str, cause: &str) -> Error {
    Error::external(format!("the dump of {container} is not usable: {INVALIDATED}"))
        .cause(cause)
        .next("run the same command again when no update or migration is going on")
}

/// A tool that ended with a fault.
pub(super) fn tool(kind: DatabaseKind, container: &str, tool: &str, code: i64, stderr: &str) -> Error {
    let has = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let short = shortened(stderr);
    let failed = |what: String| Error::external(what).cause(&short);
    if let Some(found) = VIEW.captures(stderr) {
        let view = &found[1];
        let (database, name) = view.split_once('.').unwrap_or(("", view));
        return failed(format!("cannot dump {container}: the view {name} of the database {database} is broken"))
            .next(format!("summoner exec {container} -- {}   then: SHOW CREATE VIEW {name};  repair it or DROP VIEW it", client(kind)))
            .next("then run the same command again");
    }
    if has(&["Access denied", "password authentication failed", "Authentication failed", "no password supplied", "SCRAM authentication"]) {
        return failed(format!("{container} refuses the password that Summoner knows"))
            .next("give the account its old password again, or put the new one where Summoner reads it: summoner credentials");
    }
    if has(&["FATAL:  role"]) && has(&["does not exist"]) {
        return failed(format!("{container} does not know the account that Summoner uses"))
            .next(format!("summoner logs {container}   then compare POSTGRES_USER with the roles that are there"));
    }
    if has(&["starting up", "in recovery mode", "not yet accepting connections", "shutting down"]) {
        return failed(format!("{container} is not ready: the server is in recovery, or starting"))
            .next(format!("summoner logs {container}   shows how far it is; then run the same command again"));
    }
    if has(&["(1412)", "Table definition has changed", "(1146)", "could not open relation with OID"]) {
        return invalidated(container, &short);
    }
    if has(&["Can't connect", "could not connect", "connection to server on socket", "error connecting to", "connection refused"]) {
        return failed(format!("the server in {container} does not answer")).next(format!("summoner logs {container}"));
    }
    if has(&["No space left", "Disk full", "disk full", "could not extend file"]) {
        return failed(format!("the disk of {container} is full")).next("free space on that disk, then run the same command again");
    }
    let missing = has(&["not found in the same directory"]);
    match code {
        _ if missing => failed(format!("{container} has not all tools of PostgreSQL")).next(IMAGE),
        126 | 127 => failed(format!("{container} has no {tool}")).next(IMAGE),
        137 | 141 | 143 => failed(format!("{tool} in {container} was killed"))
            .next(format!("look for a lack of memory: summoner logs {container}, dmesg; then run the same command again")),
        _ => failed(format!("{tool} in {container} ended with {code}")).next(format!("summoner logs {container}")),
    }
}

/// A dump whose end is not as it should be.
pub(super) fn short(container: &str, what: &str) -> Error {
    Error::external(format!("the dump of {container} is not whole: {what}"))
        .next("run the same command again; if it stays so: summoner doctor")
}

fn client(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Mysql => "mysql",
        DatabaseKind::Mariadb => "mariadb",
        DatabaseKind::Postgresql => "psql",
        DatabaseKind::Mongodb => "mongosh",
    }
}

/// The last lines: tools say first what they do and last why they stop.
fn shortened(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_complaints_have_their_sentences() {
        let say = |code, stderr| tool(DatabaseKind::Mysql, "mysql-ghost-a.fr", "mysqldump", code, stderr).message;
        let lines = [
            say(2, "mysqldump: Couldn't execute 'SHOW FIELDS FROM `v`': View 'app.v' references invalid table(s) or column(s) (1356)"),
            say(2, "mysqldump: Got error: 1045: Access denied for user 'root'@'localhost' (using password: YES) when trying to connect"),
            say(1, "FATAL:  the database system is starting up"),
            say(3, "mysqldump: Error 1412: Table definition has changed, please retry transaction when dumping table `a` at row: 0"),
            say(127, "summoner: 20: mysqldump: not found"),
            say(137, "Killed"),
            say(3, "mysqldump: Error 2013: Lost connection to server during query when dumping table `a` at row: 7"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        cannot dump mysql-ghost-a.fr: the view v of the database app is broken
        mysql-ghost-a.fr refuses the password that Summoner knows
        mysql-ghost-a.fr is not ready: the server is in recovery, or starting
        the dump of mysql-ghost-a.fr is not usable: tables changed while it was dumped
        mysql-ghost-a.fr has no mysqldump
        mysqldump in mysql-ghost-a.fr was killed
        mysqldump in mysql-ghost-a.fr ended with 3
        ");
        assert!(is_invalidated(&invalidated("a", "b")) && !is_invalidated(&short("a", "b")));
    }
}
