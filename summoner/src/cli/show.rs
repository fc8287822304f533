//! Results on standard output: text, tables, JSON.

use std::io::Write;

use serde::Serialize;

use crate::error::{Error, Result};

/// The version of every JSON object that commands print.
pub(super) const JSON_VERSION: u32 = 1;

/// Prints a text that ends its own lines.
pub(super) fn text(text: &str) -> Result<()> {
    raw(text.as_bytes())
}

/// Prints bytes as they are.
pub(super) fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `summoner status | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Error::external("cannot write the result").cause(error)),
    }
}

/// Prints one JSON object.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string_pretty(value).map_err(|error| Error::internal("the result does not serialise").cause(error))?;
    text(&(line + "\n"))
}

/// Columns as wide as their widest cell; the last one runs free. No rows print nothing.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut head.iter().copied());
    for row in rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}

/// "1.2 GB": powers of ten, as disks are sold and `df -H` counts.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// "0.4 s", "6 min".
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
pub(super) fn milliseconds(count: u64) -> String {
    match count {
        0..60_000 => format!("{:.1} s", count as f64 / 1000.0),
        _ => format!("{} min", count / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_without_trailing_blanks() {
        let rows = vec![vec!["ghost".into(), "Blog".into()], vec!["nextcloud".into(), String::new()]];
        assert_eq!(table(&["NAME", "SUMMARY"], &rows), "NAME       SUMMARY\nghost      Blog\nnextcloud\n");
    }

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1_500_000), bytes(4_500_000_000), bytes(123_000_000)],
            ["0 B", "999 B", "1.5 MB", "4.5 GB", "123 MB"]
        );
    }
}
