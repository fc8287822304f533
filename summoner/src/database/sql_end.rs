//! Reads SQL dumps as they pass: what they define, and whether they end as they should.
//!
//! Cheap on purpose: a row's line is skipped at the speed of memory, only comments are looked at.

use std::io::{BufRead, Write};

/// No comment of interest is longer.
const COMMENT: usize = 512;
/// The last line of `mysqldump` and `mariadb-dump`.
const COMPLETED: &[u8] = b"-- Dump completed";
const TABLE: &[u8] = b"-- Table structure for table ";
/// MariaDB's words, and MySQL's.
const VIEWS: [&[u8]; 2] = [b"-- Temporary table structure for view ", b"-- Temporary view structure for view "];
/// The end of PostgreSQL's globals, and what newer tools write after it.
const GLOBALS: &str = "-- PostgreSQL database cluster dump complete\n--\n\n";
const UNRESTRICT: &str = "\\unrestrict ";

/// Counts what a dump of MySQL or MariaDB defines.
#[derive(Debug, Default)]
pub(super) struct SqlEnd {
    /// Tables that it makes.
    pub tables: u64,
    /// Views that it makes.
    pub views: u64,
    /// The begin of the line that is not over yet.
    line: Vec<u8>,
    /// Whether that line is longer than what is kept.
    long: bool,
    /// Whether the line before was `--` alone, as above each heading; a comment in a routine's body seldom has that.
    bar: bool,
    complete: bool,
}

impl SqlEnd {
    /// Takes a piece of the dump.
    pub(super) fn hear(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let before = rest;
            let ended = matches!(rest.skip_until(b'\n'), Ok(count) if before[count - 1] == b'\n');
            let part = &before[..before.len() - rest.len() - usize::from(ended)];
            let room = COMMENT.saturating_sub(self.line.len());
            self.long |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.complete = !self.long && self.line.starts_with(COMPLETED);
        }
        if self.bar && self.line.starts_with(TABLE) {
            self.tables += 1;
        } else if self.bar && VIEWS.iter().any(|view| self.line.starts_with(view)) {
            self.views += 1;
        }
        self.bar = self.line == b"--";
        self.line.clear();
        self.long = false;
    }

    /// Whether it ended as it should, to the last byte.
    pub(super) fn is_complete(&self) -> bool {
        self.complete && self.line.is_empty()
    }
}

/// Passes everything on and reads it on the way.
pub(super) struct Heard<W> {
    /// Where it goes.
    pub into: W,
    /// What was read.
    pub end: SqlEnd,
}

impl<W: Write> Write for Heard<W> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.write_all(piece)?;
        Ok(piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.end.hear(piece);
        self.into.write_all(piece)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.into.flush()
    }
}

/// Whether globals of PostgreSQL end as they should, to the last byte.
pub(super) fn globals_complete(text: &str) -> bool {
    let Some((_, after)) = text.rsplit_once(GLOBALS) else { return false };
    after.is_empty() || after.strip_prefix(UNRESTRICT).is_some_and(|key| key.strip_suffix("\n\n").is_some_and(|key| !key.contains('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "-- MySQL dump 10.13\n--\n-- Table structure for table `a`\n--\nCREATE TABLE `a` (x int);\n\
        INSERT INTO `a` VALUES (1),\n(2);\n--\n-- Temporary view structure for view `v`\n--\nBEGIN\n\
        -- Table structure for table `in a routine`\n--\n-- Temporary table structure for view `w`\n--\n\n-- Dump completed on 2026-11-21  2:00:00\n";

    fn heard(pieces: &[&[u8]]) -> SqlEnd {
        let mut end = SqlEnd::default();
        for piece in pieces {
            end.hear(piece);
        }
        end
    }

    #[test]
    fn it_counts_and_finds_the_end_however_the_dump_is_cut() {
        for cut in 0..DUMP.len() {
            let end = heard(&[&DUMP.as_bytes()[..cut], &DUMP.as_bytes()[cut..]]);
            assert_eq!((end.tables, end.views, end.is_complete()), (1, 2, true), "{cut}");
        }
    }

    #[test]
    fn anything_missing_or_added_is_no_end() {
        for cut in 0..DUMP.len() {
            assert!(!heard(&[&DUMP.as_bytes()[..cut]]).is_complete(), "{cut}");
        }
        assert!(!heard(&[DUMP.as_bytes(), b"x"]).is_complete());
        assert!(!heard(&[DUMP.as_bytes(), b"INSERT INTO `a` VALUES (3);\n"]).is_complete());
        assert!(!heard(&[b"<html>\n"]).is_complete());
        assert!(heard(&[DUMP.as_bytes(), &vec![b'x'; 5 << 20], b"\n-- Dump completed on 1\n"]).is_complete());
    }

    #[test]
    fn globals_end_with_or_without_a_key() {
        for end in ["", "\\unrestrict abc\n\n"] {
            let text = format!("CREATE ROLE a;\n\n--\n{GLOBALS}{end}");
            assert!(globals_complete(&text));
            assert!((0..text.len() - end.len()).all(|cut| !globals_complete(&text[..cut])));
        }
        assert!(!globals_complete(&format!("{GLOBALS}\\unrestrict abc\n")));
        assert!(!globals_complete(&format!("{GLOBALS}DROP ROLE a;\n\n")));
    }
}
