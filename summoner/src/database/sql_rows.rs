//! Reads the rows in a dump of MySQL or MariaDB as it passes: how many each table has, and the sum of their content.
//!
//! Knows what `mysqldump` and `mariadb-dump` write with our options and no more of SQL: a row is what stands between the
//! parentheses of an `INSERT`, texts in it are quoted with escapes. Routines are passed over.

use std::io::Write;

use crc::{Digest, Table};

use super::tally::{CRC, Tallies, Tally};

/// How a statement with rows begins.
const INSERT: &[u8] = b"INSERT INTO `";
/// Names the database of what follows.
const DATABASE: &[u8] = b"-- Current Database: `";
/// Around routines, triggers and events.
const ROUTINE: &[u8] = b"DELIMITER ;;";
const ROUTINE_ENDS: &[u8] = b"DELIMITER ;";
/// No line of interest is longer, nor a name.
const KEPT: usize = 1024;

/// Where the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the begin of a line.
    Line,
    /// In a line that says something.
    Said,
    /// In a line that says nothing.
    Skipped,
    /// In the table's name.
    Name,
    /// After a backtick in it: its end, or one of its own.
    NameEnds,
    /// Before `VALUES`; in a column's name or not.
    Columns(bool),
    /// Between rows.
    Between,
    /// In a row.
    Row,
    /// In a text of it.
    Text,
    /// After a backslash there.
    Escaped,
}

/// The rows of a dump.
pub(super) struct SqlRows {
    at: At,
    line: Vec<u8>,
    database: String,
    table: String,
    current: Tally,
    row: Digest<'static, u64, Table<16>>,
    routine: bool,
    tallies: Tallies,
}

impl SqlRows {
    pub(super) fn new() -> Self {
        Self {
            at: At::Line,
            line: Vec::new(),
            database: String::new(),
            table: String::new(),
            current: Tally::default(),
            row: CRC.digest(),
            routine: false,
            tallies: Tallies::new(),
        }
    }

    /// Takes a piece of the dump.
    pub(super) fn hear(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = match self.at {
                At::Line | At::Said => self.gather(rest),
                At::Skipped => self.until_line(rest),
                At::Row | At::Text => self.row(rest),
                _ => self.byte(rest[0]),
            };
            rest = &rest[used..];
        }
    }

    /// What every table holds.
    pub(super) fn end(mut self) -> Tallies {
        self.store();
        self.tallies
    }

    /// A line's begin, until it is known what it is; one that says something is kept whole.
    fn gather(&mut self, rest: &[u8]) -> usize {
        let wanted = if self.at == At::Said { KEPT } else { INSERT.len() }.saturating_sub(self.line.len());
        let end = rest.iter().position(|byte| *byte == b'\n');
        let count = end.unwrap_or(rest.len()).min(wanted.max(1));
        if end == Some(0) || end.is_some_and(|end| end <= count) {
            self.line.extend_from_slice(&rest[..count]);
            self.said();
            return count + 1;
        }
        self.line.extend_from_slice(&rest[..count]);
        if self.at == At::Said {
            if self.line.len() >= KEPT {
                self.at = At::Skipped;
            }
        } else if self.line.len() >= INSERT.len() {
            self.at = if self.line == INSERT && !self.routine {
                self.store();
                self.line.clear();
                At::Name
            } else if DATABASE.starts_with(&self.line) {
                At::Said
            } else {
                At::Skipped
            };
        }
        count
    }

    /// A whole line.
    fn said(&mut self) {
        if self.line == ROUTINE {
            self.routine = true;
        } else if self.line == ROUTINE_ENDS {
            self.routine = false;
        } else if let Some(name) = self.line.strip_prefix(DATABASE) {
            let name = String::from_utf8_lossy(name.strip_suffix(b"`").unwrap_or(name)).replace("``", "`");
            self.store();
            self.database = name;
        }
        self.line.clear();
        self.at = At::Line;
    }

    fn until_line(&mut self, rest: &[u8]) -> usize {
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.line.clear();
                self.at = At::Line;
                end + 1
            }
            None => rest.len(),
        }
    }

    /// One byte outside of rows, and the one after a backslash.
    fn byte(&mut self, byte: u8) -> usize {
        self.at = match (self.at, byte) {
            (At::Name, b'`') => At::NameEnds,
            (At::Name, byte) => {
                if self.line.len() < KEPT {
                    self.line.push(byte);
                }
                At::Name
            }
            (At::NameEnds, b'`') => {
                self.line.push(b'`');
                At::Name
            }
            (At::NameEnds, _) => {
                self.begin();
                At::Columns(false)
            }
            (At::Columns(quoted), b'`') => At::Columns(!quoted),
            (At::Columns(false), b'V') => At::Between,
            (At::Columns(false), b'\n') => At::Line,
            (At::Between, b'(') => {
                self.row = CRC.digest();
                At::Row
            }
            (At::Between, b';') => At::Skipped,
            (At::Escaped, byte) => {
                self.row.update(&[byte]);
                At::Text
            }
            (at, _) => at,
        };
        1
    }

    /// Part of a row, to the next byte that changes what follows.
    fn row(&mut self, rest: &[u8]) -> usize {
        let text = self.at == At::Text;
        let turns = |byte: &u8| *byte == b'\'' || *byte == if text { b'\\' } else { b')' };
        let Some(end) = rest.iter().position(turns) else {
            self.row.update(rest);
            return rest.len();
        };
        self.row.update(&rest[..=end]);
        self.at = match (rest[end], text) {
            (b'\'', true) => At::Row,
            (b'\'', false) => At::Text,
            (b'\\', _) => At::Escaped,
            _ => {
                let row = std::mem::replace(&mut self.row, CRC.digest());
                self.current.add(row.finalize());
                At::Between
            }
        };
        end + 1
    }

    /// The rows that follow are those of the table whose name was read.
    fn begin(&mut self) {
        self.table = format!("{}.{}", self.database, String::from_utf8_lossy(&self.line));
        self.line.clear();
        self.current = self.tallies.get(&self.table).copied().unwrap_or_default();
    }

    fn store(&mut self) {
        if !self.table.is_empty() {
            self.tallies.insert(std::mem::take(&mut self.table), self.current);
        }
    }
}

/// Passes everything on and reads the rows on the way.
pub(super) struct Rows<W> {
    /// Where it goes.
    pub into: W,
    /// What was read.
    pub rows: SqlRows,
}

impl<W: Write> Write for Rows<W> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.write_all(piece)?;
        Ok(piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.rows.hear(piece);
        self.into.write_all(piece)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "-- MySQL dump\n--\n-- Current Database: `a`\n--\n\nUSE `a`;\n--\n-- Dumping data for table `t`\n--\n\
        INSERT INTO `t` VALUES (1,'it''s) (\\')','x'),(2,NULL,0x2829),(3,'a\\\\','');\n\
        INSERT INTO `t` VALUES (4,'','');\n\
        INSERT INTO `odd``one` (`V`, `b)`) VALUES\n(1,2),\n(1,2);\n\
        DELIMITER ;;\nCREATE TRIGGER x\nINSERT INTO `t` VALUES (9, '(');;\nDELIMITER ;\n\
        -- Current Database: `b`\nINSERT INTO `t` VALUES (4,'','');\n-- Dump completed on 1\n";

    fn read(pieces: &[&[u8]]) -> Tallies {
        let mut rows = SqlRows::new();
        pieces.iter().for_each(|piece| rows.hear(piece));
        rows.end()
    }

    fn counts(tallies: &Tallies) -> Vec<(&str, u64)> {
        tallies.iter().map(|(name, tally)| (name.as_str(), tally.rows)).collect()
    }

    #[test]
    fn rows_are_counted_however_the_dump_is_cut() {
        let whole = read(&[DUMP.as_bytes()]);
        assert_eq!(counts(&whole), [("a.odd`one", 2), ("a.t", 4), ("b.t", 1)]);
        for cut in 0..DUMP.len() {
            assert_eq!(read(&[&DUMP.as_bytes()[..cut], &DUMP.as_bytes()[cut..]]), whole, "{cut}");
        }
        let bytes: Vec<&[u8]> = DUMP.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn the_form_and_the_order_of_rows_do_not_matter_and_their_content_does() {
        let one = read(&[b"-- Current Database: `a`\nINSERT INTO `t` VALUES (1,'x'),(2,'y');\n"]);
        assert_eq!(read(&[b"-- Current Database: `a`\nINSERT INTO `t` VALUES\n(2,'y'),\n(1,'x');\n"]), one);
        for other in ["(1,'x'),(2,'z')", "(1,'x')", "(1,'x'),(2,'y'),(2,'y')", "(1,'y'),(2,'x')"] {
            assert_ne!(read(&[format!("-- Current Database: `a`\nINSERT INTO `t` VALUES {other};\n").as_bytes()]), one, "{other}");
        }
    }
}
