//! Names: domains, applications, roles, instances, containers. The one place that formats and parses them.
//!
//! `<app>-<domain>` is an instance and its application container, `<role>-<app>-<domain>` every other container.
//! Applications and roles hold no hyphen, so a name parses one way although domains do. Knows no Docker and no files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a domain; the text says what is wrong with it.
    #[error("`{}` is not a domain: {reason}", shorten(.text))]
    Domain {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not an application's name.
    #[error("`{}` is not a name for an application: lower-case letters and digits, a letter first, at most {MAX_APP} (no hyphen)", shorten(.0))]
    App(String),
    /// A word that has a meaning of its own in container names.
    #[error("`{0}` is reserved: it is the role of a container (mysql, mariadb, postgresql, mongodb, redis, cron …)")]
    Reserved(String),
    /// Does not follow the scheme.
    #[error("`{}` does not follow <app>-<domain> or <role>-<app>-<domain>", shorten(.0))]
    Scheme(String),
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN { text.to_owned() } else { format!("{}…", text.chars().take(SHOWN).collect::<String>()) }
}

const MAX_APP: usize = 30;
const MAX_DOMAIN: usize = 180;

/// A domain or host name: lower case, punycode where it was international, at least two labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a host under this domain; `@` is the domain itself.
    ///
    /// # Errors
    /// When the label makes no host name.
    pub fn host(&self, subdomain: &str) -> Result<Self, NameError> {
        if subdomain == "@" { Ok(self.clone()) } else { format!("{subdomain}.{self}").parse() }
    }
}

impl FromStr for Domain {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = |reason| NameError::Domain { text: text.to_owned(), reason };
        // Far above any valid name: the conversion below need not see more.
        if text.len() > 1024 {
            return Err(fail("it is longer than 180 characters"));
        }
        let name = idna::domain_to_ascii(text).map_err(|_| fail("it holds a character that no domain can hold"))?;
        if name.len() > MAX_DOMAIN {
            return Err(fail("it is longer than 180 characters"));
        }
        let labels: Vec<&str> = name.split('.').collect();
        if labels.len() < 2 {
            return Err(fail("it needs at least two parts, such as example.org or team.localhost"));
        }
        for label in &labels {
            if label.is_empty() || label.len() > 63 {
                return Err(fail("each part between the dots has 1 to 63 characters"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(fail("no part may begin or end with a hyphen"));
            }
            if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                return Err(fail("only letters, digits, hyphens and dots make a domain"));
            }
        }
        if labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_digit())) {
            return Err(fail("it is an address, not a name"));
        }
        Ok(Self(name))
    }
}

/// An application's name within container names: `[a-z][a-z0-9]*`, not a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct App(String);

impl App {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for App {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !is_word(text) || text.len() > MAX_APP {
            return Err(NameError::App(text.to_owned()));
        }
        if ROLES.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A kind of database that Summoner dumps with the engine's own tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// PostgreSQL.
    Postgresql,
    /// MongoDB.
    Mongodb,
}

impl DatabaseKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Mysql, Self::Mariadb, Self::Postgresql, Self::Mongodb];

    /// The word used in names, labels and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Postgresql => "postgresql",
            Self::Mongodb => "mongodb",
        }
    }
}

/// Reserved words: the database kinds first, then the helpers. No application may bear one.
pub const ROLES: [&str; 24] = [
    "mysql",
    "mariadb",
    "postgresql",
    "mongodb",
    "redis",
    "valkey",
    "memcached",
    "rabbitmq",
    "cron",
    "worker",
    "scheduler",
    "queue",
    "events",
    "search",
    "indexer",
    "cache",
    "storage",
    "backend",
    "frontend",
    "gateway",
    "agent",
    "exporter",
    "init",
    "runner",
];

/// What one container of an instance is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The application itself.
    App,
    /// A database of a known kind.
    Database(DatabaseKind),
    /// A helper with one of the reserved words.
    Helper(&'static str),
}

impl Role {
    /// The word used in names, labels and files.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Database(kind) => kind.as_str(),
            Self::Helper(word) => word,
        }
    }
}

impl FromStr for Role {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "app" {
            return Ok(Self::App);
        }
        if let Some(kind) = DatabaseKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
            return Ok(Self::Database(kind));
        }
        let word = ROLES.into_iter().find(|word| *word == text);
        word.map(Self::Helper).ok_or_else(|| NameError::Scheme(text.to_owned()))
    }
}

/// A minion summoned on a domain: `<app>-<domain>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The application.
    pub app: App,
    /// The domain.
    pub domain: Domain,
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (app, domain) = text.split_once('-').ok_or_else(|| NameError::Scheme(text.to_owned()))?;
        Ok(Self { app: app.parse()?, domain: domain.parse()? })
    }
}

/// A container's name: an instance and what the container is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName {
    /// What the container is.
    pub role: Role,
    /// Whose it is.
    pub instance: InstanceId,
}

impl FromStr for ContainerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let scheme = || NameError::Scheme(text.to_owned());
        let (first, rest) = text.split_once('-').ok_or_else(scheme)?;
        match first.parse::<Role>() {
            Ok(Role::App) | Err(_) => Ok(Self { role: Role::App, instance: text.parse().map_err(|_| scheme())? }),
            Ok(role) => Ok(Self { role, instance: rest.parse().map_err(|_| scheme())? }),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.app, self.domain)
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Role::App => write!(out, "{}", self.instance),
            role => write!(out, "{}-{}", role.as_str(), self.instance),
        }
    }
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}
text_form!(Domain, App, InstanceId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_names_parse_one_way() {
        let name: ContainerName = "mysql-ghost-virtualdonkey.fr".parse().unwrap();
        assert_eq!(name.role, Role::Database(DatabaseKind::Mysql));
        assert_eq!(name.instance.to_string(), "ghost-virtualdonkey.fr");
        let name: ContainerName = "ghost-my-team.example.org".parse().unwrap();
        assert_eq!((name.role, name.instance.app.as_str()), (Role::App, "ghost"));
        assert_eq!(name.instance.domain.as_str(), "my-team.example.org");
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for text in ["my-mysql", "xmysql-ghost-a.fr2.", "mysql-ghost", "Ghost-a.fr", "ghost_a.fr", "mysql-mysql-a.fr", "-a.fr", ""] {
            assert!(text.parse::<ContainerName>().is_err(), "{text} parsed");
        }
        for app in ["my-app", "..", "", "9lives", "mysql", "app/../x"] {
            assert!(app.parse::<App>().is_err(), "{app} parsed");
        }
    }

    #[test]
    fn domains_are_normalised_or_refused() {
        assert_eq!("Blog.EXAMPLE.org".parse::<Domain>().unwrap().as_str(), "blog.example.org");
        assert_eq!("bücher.example".parse::<Domain>().unwrap().as_str(), "xn--bcher-kva.example");
        assert_eq!("xn--bcher-kva.example".parse::<Domain>().unwrap().as_str(), "xn--bcher-kva.example");
        let long = "a.".repeat(2500) + "fr";
        let message = long.parse::<Domain>().unwrap_err().to_string();
        assert!(message.len() < 200 && message.contains("longer than 180"), "{message}");
        for text in ["localhost", "a..fr", "-a.fr", "a b.fr", "http://a.fr", "a.fr/", "1.2.3.4", "a.fr;", "*.a.fr", "a\n.fr"] {
            assert!(text.parse::<Domain>().is_err(), "{text} parsed");
        }
    }

    proptest! {
        #[test]
        fn names_survive_the_round_trip(role in 0..ROLES.len() + 1, app in "[a-z][a-z0-9]{0,20}", domain in "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\\.[a-z]([a-z0-9]{0,10}[a-z0-9])?){1,3}") {
            prop_assume!(!ROLES.contains(&app.as_str()));
            let Ok(domain) = domain.parse::<Domain>() else { return Ok(()) };
            let role = ROLES.get(role).map_or(Role::App, |word| word.parse().unwrap());
            let name = ContainerName { role, instance: InstanceId { app: app.parse().unwrap(), domain } };
            prop_assert_eq!(name.to_string().parse::<ContainerName>().unwrap(), name);
        }

        #[test]
        fn no_text_parses_to_another_name(text in "[a-z0-9.-]{0,40}") {
            if let Ok(name) = text.parse::<ContainerName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
