//! What a server of MySQL or MariaDB holds, in its own words.

use std::collections::BTreeMap;

use super::super::Target;
use crate::plan::snapshot::DatabaseFacts;

/// Asks for the version, the databases of users, and their tables in numbers.
pub(super) const QUESTION: &str = "\
    SELECT 'version', version();\n\
    SELECT 'database', schema_name FROM information_schema.schemata \
    WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys');\n\
    SELECT 'tables', table_schema, table_type, coalesce(engine, ''), count(*) FROM information_schema.tables \
    WHERE table_schema NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') GROUP BY 2, 3, 4;\n";
/// The engine whose tables a transaction shows at one moment.
const TRANSACTIONAL: &str = "InnoDB";

/// What a server holds, of the databases that were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Catalogue {
    pub version: String,
    pub databases: Vec<String>,
    /// Tables with rows of their own, by database.
    tables: BTreeMap<String, u64>,
    /// Views, by database.
    views: BTreeMap<String, u64>,
    /// Tables of other engines than the transactional one: database, engine, how many.
    pub foreign: Vec<(String, String, u64)>,
}

impl Catalogue {
    /// Reads the answer; all databases are meant when none is asked for.
    pub(super) fn read(answer: &str, wanted: &[String]) -> Self {
        let mut found = Self::default();
        let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
        for line in answer.lines() {
            let fields: Vec<String> = line.split('\t').map(plain).collect();
            match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["version", version] => found.version = (*version).to_owned(),
                ["database", name] if wanted.is_empty() => found.databases.push((*name).to_owned()),
                ["tables", database, kind, engine, count] if is_wanted(database) => {
                    let count = count.parse().unwrap_or(0);
                    let kinds = match *kind {
                        "VIEW" => &mut found.views,
                        "SEQUENCE" => continue,
                        _ => &mut found.tables,
                    };
                    *kinds.entry((*database).to_owned()).or_default() += count;
                    if *kind != "VIEW" && *engine != TRANSACTIONAL {
                        found.foreign.push(((*database).to_owned(), (*engine).to_owned(), count));
                    }
                }
                _ => {}
            }
        }
        if !wanted.is_empty() {
            found.databases = wanted.to_vec();
        }
        found
    }

    pub(super) fn tables(&self) -> u64 {
        self.tables.values().sum()
    }

    pub(super) fn tables_of(&self, database: &str) -> u64 {
        self.tables.get(database).copied().unwrap_or(0)
    }

    pub(super) fn views(&self) -> u64 {
        self.views.values().sum()
    }

    /// What a person should know of a dump.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |(database, engine, count): &(String, String, u64)| {
            let (what, are) = if *count == 1 { ("table", "is") } else { ("tables", "are") };
            format!("{count} {what} of {database} {are} {engine}: consistent only when nothing writes during the dump")
        };
        self.foreign.iter().map(note).collect()
    }

    /// The facts of one dump of everything.
    pub(super) fn whole(&self, target: &Target, tables: u64) -> DatabaseFacts {
        let name = if let [name] = self.databases.as_slice() { name.clone() } else { String::new() };
        DatabaseFacts { tables, ..self.facts(target, name) }
    }

    /// The facts of each database.
    pub(super) fn each(&self, target: &Target) -> Vec<DatabaseFacts> {
        self.databases.iter().map(|name| self.facts(target, name.clone())).collect()
    }

    fn facts(&self, target: &Target, name: String) -> DatabaseFacts {
        let tables = self.tables_of(&name);
        let (container, server_version) = (target.container.clone(), self.version.clone());
        DatabaseFacts { container, kind: target.kind, name, server_version, tables, rows: BTreeMap::new(), sample: None }
    }
}

/// A field as `--batch` writes it, without its escapes.
fn plain(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, false) => text.push(character),
            _ => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "version\t8.4.11\ndatabase\tapp\ndatabase\todd\\tname\\\\\n\
        tables\tapp\tBASE TABLE\tInnoDB\t4\ntables\tapp\tBASE TABLE\tMyISAM\t1\ntables\tapp\tVIEW\t\t2\ntables\todd\\tname\\\\\tBASE TABLE\tInnoDB\t1\n";

    #[test]
    fn the_answer_is_read_with_its_escapes() {
        let all = Catalogue::read(ANSWER, &[]);
        assert_eq!(all.databases, ["app", "odd\tname\\"]);
        assert_eq!((all.tables(), all.views(), all.version.as_str()), (6, 2, "8.4.11"));
        assert_eq!(all.notes(), ["1 table of app is MyISAM: consistent only when nothing writes during the dump"]);
        let one = Catalogue::read(ANSWER, &["odd\tname\\".to_owned()]);
        assert_eq!((one.tables(), one.views(), one.foreign.len()), (1, 0, 0));
    }
}
