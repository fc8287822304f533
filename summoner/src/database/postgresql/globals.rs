//! Roles of a dumped server, made on another one where they are missing. Those that are there stay as they are: the new
//! server has its superuser and its application's user already, with passwords that Summoner knows.

use std::collections::BTreeSet;
use std::io::Read;

use super::super::At;
use super::super::sql_end::globals_complete;
use super::{GLOBALS_LIMIT, MAINTENANCE, query, strange};
use crate::docker::Engine;
use crate::error::{Error, Result};

/// Names as statements spell them.
const ROLES: &str = "select to_json(quote_ident(rolname)) from pg_roles;";

/// Makes the missing roles.
///
/// # Errors
/// The text is not whole, or the server refuses.
pub(super) async fn load<E: Engine>(at: &At<'_, E>, from: Box<dyn Read + Send>) -> Result<()> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        from.take(GLOBALS_LIMIT).read_to_string(&mut text).map(|_| text)
    });
    let unreadable = |cause: String| Error::external("the dumped roles do not read to their end").cause(cause);
    let text =
        read.await.map_err(|error| Error::internal("a thread ended").cause(error))?.map_err(|error| unreadable(error.to_string()))?;
    if !globals_complete(&text) {
        return Err(unreadable("the last line is missing".into()));
    }
    let answer = query(at, MAINTENANCE, ROLES).await?;
    let mut there = BTreeSet::new();
    for line in answer.lines().filter(|line| !line.is_empty()) {
        there.insert(serde_json::from_str::<String>(line).map_err(|error| strange(line, &error))?);
    }
    let statements = missing(&text, &there);
    if statements.is_empty() {
        return Ok(());
    }
    query(at, MAINTENANCE, &statements).await.map(drop)
}

/// The statements about roles that are not there.
fn missing(text: &str, there: &BTreeSet<String>) -> String {
    let mut kept = String::new();
    let is_new = |name: &str| !there.contains(name);
    for line in text.lines() {
        let wanted = if let Some(rest) = line.strip_prefix("CREATE ROLE ") {
            name(rest).is_some_and(|(name, _)| is_new(name))
        } else if let Some(rest) = line.strip_prefix("ALTER ROLE ") {
            // What holds in one database only comes before that database.
            name(rest).is_some_and(|(name, rest)| is_new(name) && !rest.starts_with(" IN DATABASE "))
        } else if let Some(rest) = line.strip_prefix("GRANT ") {
            let member = name(rest).and_then(|(_, rest)| name(rest.strip_prefix(" TO ")?));
            member.is_some_and(|(name, _)| is_new(name))
        } else {
            false
        };
        if wanted {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// An identifier as it is spelled, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.split_at(text.find([' ', ';']).unwrap_or(text.len())));
    };
    let mut at = 0;
    loop {
        at += quoted[at..].find('"')? + 1;
        if !quoted[at..].starts_with('"') {
            return Some(text.split_at(at + 1));
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_roles_are_made() {
        let text = "SET x = on;\nCREATE ROLE app;\nALTER ROLE app WITH LOGIN PASSWORD 'old';\nCREATE ROLE \"a \"\"b\";\n\
            ALTER ROLE \"a \"\"b\" WITH NOLOGIN;\nALTER ROLE \"a \"\"b\" IN DATABASE x SET y TO 'z';\nGRANT app TO \"a \"\"b\" WITH INHERIT TRUE;\n\
            GRANT \"a \"\"b\" TO app;\nCREATE TABLESPACE t;\n";
        let there = BTreeSet::from(["app".to_owned(), "postgres".to_owned()]);
        insta::assert_snapshot!(missing(text, &there), @r#"
        CREATE ROLE "a ""b";
        ALTER ROLE "a ""b" WITH NOLOGIN;
        GRANT app TO "a ""b" WITH INHERIT TRUE;
        "#);
        assert!(missing("", &there).is_empty());
    }
}
