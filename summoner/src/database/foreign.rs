//! Accounts of databases that Summoner did not install, from their containers' own environment. Never printed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Access, DatabaseKind, Secret, Target, running};
use crate::docker::{Engine, ExecSpec};
use crate::error::{Error, Result};

/// How long reading a file in a container may take.
const READ: Duration = Duration::from_secs(30);
/// No password is longer.
const LONGEST: usize = 4096;

/// The variables of the official images: the account's name where it varies, and its password.
fn accounts(kind: DatabaseKind) -> &'static [(Name, &'static [&'static str])] {
    match kind {
        DatabaseKind::Mysql => &[(Name::Is("root"), &["MYSQL_ROOT_PASSWORD"]), (Name::In("MYSQL_USER"), &["MYSQL_PASSWORD"])],
        DatabaseKind::Mariadb => &[
            (Name::Is("root"), &["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"]),
            (Name::In("MARIADB_USER"), &["MARIADB_PASSWORD"]),
            (Name::In("MYSQL_USER"), &["MYSQL_PASSWORD"]),
        ],
        DatabaseKind::Postgresql => &[(Name::In("POSTGRES_USER"), &[])],
        DatabaseKind::Mongodb => &[(Name::In("MONGO_INITDB_ROOT_USERNAME"), &["MONGO_INITDB_ROOT_PASSWORD"])],
    }
}

/// How an account is called.
#[derive(Debug, Clone, Copy)]
enum Name {
    Is(&'static str),
    In(&'static str),
}

/// The server in a container that Summoner did not install, with an account from its environment; `*_FILE` is read inside.
///
/// # Errors
/// It does not run, or names no account.
pub async fn foreign_target<E: Engine>(engine: &E, container: &str, kind: DatabaseKind) -> Result<Target> {
    let environment = running(engine, container).await?.environment;
    let target = |admin| Target { container: container.to_owned(), kind, admin, databases: Vec::new() };
    for (name, passwords) in accounts(kind) {
        let user = match name {
            Name::Is(user) => Some((*user).to_owned()),
            Name::In(variable) => value(engine, container, &environment, variable).await?,
        };
        let Some(user) = user else { continue };
        if passwords.is_empty() {
            return Ok(target(Access { user, password: None }));
        }
        for variable in *passwords {
            if let Some(password) = value(engine, container, &environment, variable).await? {
                return Ok(target(Access { user, password: Some(Secret::new(password)) }));
            }
        }
    }
    let allowed = |variable: &str| environment.get(variable).is_some_and(|value| !value.is_empty());
    let user = match kind {
        DatabaseKind::Postgresql => "postgres",
        // Without a first account the server asks for none.
        DatabaseKind::Mongodb => "",
        _ if ["MYSQL_ALLOW_EMPTY_PASSWORD", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD"].iter().any(|name| allowed(name)) => "root",
        _ => {
            return Err(Error::external(format!("no password of {container} is known: its environment names none"))
                .next("give the container MYSQL_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD_FILE, as the official image has it"));
        }
    };
    Ok(target(Access { user: user.to_owned(), password: None }))
}

async fn value<E: Engine>(engine: &E, container: &str, environment: &BTreeMap<String, String>, name: &str) -> Result<Option<String>> {
    if let Some(value) = environment.get(name).filter(|value| !value.is_empty()) {
        return Ok(Some(value.clone()));
    }
    let Some(file) = environment.get(&format!("{name}_FILE")).filter(|file| !file.is_empty()) else { return Ok(None) };
    let command = ["cat", "--", file].map(str::to_owned).into();
    let output = engine.exec(container, &ExecSpec { command, timeout: Some(READ), ..ExecSpec::default() }).await?;
    let text = String::from_utf8(output.stdout).ok().filter(|text| output.exit_code == 0 && text.len() <= LONGEST);
    let text = text.ok_or_else(|| {
        Error::external(format!("cannot read {file} in {container}, which {name}_FILE names"))
            .cause(String::from_utf8_lossy(&output.stderr).trim())
    })?;
    // As the images' entry points read it: without the newlines at its end.
    Ok(Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty()))
}
