//! How a server that is only being filled may be hurried: nothing it holds is needed if it falls.
//!
//! Everything is flushed at the end, before it takes the live one's place.

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
            "autovacuum=off",
        ],
        DatabaseKind::Mongodb => &[],
    }
}

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
pub(super) fn loading(kind: DatabaseKind, command: Option<Vec<String>>) -> Option<Vec<String>> {
    let options = options(kind);
    if options.is_empty() {
        return command;
    }
    let mut command = command.filter(|words| !words.is_empty()).unwrap_or_else(|| vec![program(kind).to_owned()]);
    command.extend(options.iter().map(|&word| word.to_owned()));
    Some(command)
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
}
