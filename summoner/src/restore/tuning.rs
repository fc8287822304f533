//! How a server that is only being filled may be hurried: nothing it holds is needed if it falls.
//!
//! Everything is flushed at the end, before it takes the live one's place.

use std::collections::BTreeMap;

use crate::name::DatabaseKind;

/// Options that make a load faster and say nothing about the data.
fn options(kind: DatabaseKind) -> &'static [&'static str] {
    match kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => &[
            "--loose-innodb-buffer-pool-size=1G",
            // The redo log's name in MariaDB, then in MySQL; an unknown one is passed over.
            "--loose-innodb-log-file-size=512M",
            "--loose-innodb-redo-log-capacity=1G",
            "--loose-innodb-flush-log-at-trx-commit=0",
            "--loose-innodb-doublewrite=0",
            "--skip-log-bin",
        ],
        DatabaseKind::Postgresql => &[
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "maintenance_work_mem=256MB",
            "-c",
            "max_wal_size=4GB",
            "-c",
            "checkpoint_timeout=1h",
            "-c",
            "autovacuum=off",
        ],
        DatabaseKind::Mongodb => &[],
    }
}

/// A table that is made and filled in one run is then written once, not a second time to the log (PostgreSQL, "Populating a
/// Database": `wal_level` minimal needs the other two). Not for a server that is told something of its log.
const ONCE: [&str; 6] = ["-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "archive_mode=off"];
/// What such words hold.
const OF_THE_LOG: [&str; 4] = ["wal", "archive", "replica", "config_file"];
/// What PostgreSQL's image gives to initdb.
const INITDB: &str = "POSTGRES_INITDB_ARGS";
const UNFLUSHED: &str = "--no-sync";

/// The image's own command where the minion names none.
fn program(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Mysql => "mysqld",
        DatabaseKind::Mariadb => "mariadbd",
        DatabaseKind::Postgresql => "postgres",
        DatabaseKind::Mongodb => "mongod",
    }
}

/// The command of a server that is being filled; options that come last count.
pub(crate) fn loading(kind: DatabaseKind, command: Option<Vec<String>>) -> Option<Vec<String>> {
    let options = options(kind);
    if options.is_empty() {
        return command;
    }
    let mut command = command.filter(|words| !words.is_empty()).unwrap_or_else(|| vec![program(kind).to_owned()]);
    let free = command.iter().all(|word| OF_THE_LOG.iter().all(|part| !word.contains(part)));
    command.extend(options.iter().map(|&word| word.to_owned()));
    if kind == DatabaseKind::Postgresql && free {
        command.extend(ONCE.map(str::to_owned));
    }
    Some(command)
}

/// Has the server made without a flush for each of its files.
pub(crate) fn making(kind: DatabaseKind, environment: &mut BTreeMap<String, Option<String>>) {
    if kind == DatabaseKind::Postgresql {
        let words = environment.entry(INITDB.to_owned()).or_default();
        *words = Some(format!("{} {UNFLUSHED}", words.as_deref().unwrap_or_default()).trim_start().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_minion_asks_for_stays() {
        let command =
            loading(DatabaseKind::Mariadb, Some(vec!["mariadbd".into(), "--transaction-isolation=READ-COMMITTED".into()])).unwrap();
        assert_eq!(&command[..2], ["mariadbd", "--transaction-isolation=READ-COMMITTED"]);
        assert!(command.contains(&"--loose-innodb-doublewrite=0".to_owned()));
        assert_eq!(loading(DatabaseKind::Postgresql, None).unwrap()[0], "postgres");
        assert_eq!(loading(DatabaseKind::Mongodb, None), None);
    }

    #[test]
    fn the_log_is_spared_where_nobody_asks_for_more_of_it() {
        let minimal = |words: &[&str]| {
            let command = loading(DatabaseKind::Postgresql, Some(words.iter().map(|&word| word.to_owned()).collect())).unwrap();
            command.contains(&"wal_level=minimal".to_owned())
        };
        assert!(minimal(&[]) && minimal(&["postgres", "-c", "shared_buffers=1GB"]));
        assert!(!minimal(&["postgres", "-c", "summarize_wal=on"]) && !minimal(&["postgres", "--archive-mode=on"]));
    }

    #[test]
    fn what_the_minion_gives_to_initdb_stays() {
        let mut environment = BTreeMap::new();
        making(DatabaseKind::Postgresql, &mut environment);
        assert_eq!(environment[INITDB].as_deref(), Some("--no-sync"));
        environment.insert(INITDB.to_owned(), Some("--data-checksums".to_owned()));
        making(DatabaseKind::Postgresql, &mut environment);
        assert_eq!(environment[INITDB].as_deref(), Some("--data-checksums --no-sync"));
        making(DatabaseKind::Mariadb, &mut environment);
        assert_eq!(environment.len(), 1);
    }
}
