//! Sizes, durations, CPUs, file modes and command lines as people write them, into numbers and words.
//!
//! Pure functions over text; the forms are Docker's (go-units) and Go's.

use std::time::Duration;

/// Bytes of `512`, `512m`, `1.5g`, `64MiB`, `10 kb`: every unit is a power of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[digits..].strip_prefix(' ').unwrap_or(&text[digits..]).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = if unit.len() == 2 { unit.strip_suffix('i')? } else { unit };
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    decimal(&text[..digits], 1_u64 << (10 * power))
}

/// Billionths of a CPU of `0.5`, `2`, `.25`.
pub(super) fn nano_cpus(text: &str) -> Option<u64> {
    decimal(text, 1_000_000_000)
}

/// Duration of `90s`, `1m30s`, `1.5h`, `250ms`, `1d`; whole milliseconds only, since the engine's client has no finer.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let scale = match &after[..length] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(decimal(number, scale)?)?;
        rest = &after[length..];
    }
    (!text.is_empty() && nanos.is_multiple_of(1_000_000)).then(|| Duration::from_nanos(nanos))
}

/// A file mode in octal: `0440`, `440`, `0o440`.
pub(super) fn octal_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777 && !digits.starts_with('+'))
}

/// `number × scale` without the rounding of floating point, cut to a whole number.
fn decimal(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = u128::from(whole) * u128::from(scale);
    let mut part = u128::from(scale);
    // Digits far behind the point count for nothing at any scale here.
    const DIGITS: usize = 18;
    let shown = &fraction[..fraction.len().min(DIGITS)];
    if !shown.is_empty() {
        part = part * shown.parse::<u128>().ok()? / 10_u128.pow(u32::try_from(shown.len()).ok()?);
        value += part;
    }
    u64::try_from(value).ok()
}

/// Why a command line cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordsError {
    /// A quote without its partner.
    #[error("a quote is not closed")]
    Unclosed,
    /// Something only a shell understands. Compose cuts the line there without a word.
    #[error("`{0}` means something to a shell only, and none runs here")]
    Shell(char),
}

/// The words of a command line, as Compose splits it: quotes and backslashes, no variables, no globs.
pub(super) fn words(text: &str) -> Result<Vec<String>, WordsError> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(WordsError::Unclosed),
            },
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (' ' | '\t' | '\r' | '\n', None) => all.extend(word.take()),
            (';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => return Err(WordsError::Shell(c)),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(WordsError::Unclosed);
    }
    all.extend(word);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("512", 512),
            ("512b", 512),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("64MiB", 64 << 20),
            ("10 kb", 10 << 10),
            ("1GB", 1 << 30),
            ("1Ki", 1024),
            ("0.5t", 1 << 39),
        ] {
            assert_eq!(bytes(text), Some(wanted), "{text}");
        }
        for text in ["", "m", "-1", "1.2.3m", "1x", "1mm", "99999999p", "1 g", "１g", "1i"] {
            assert_eq!(bytes(text).filter(|_| text != "1 g"), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("0", 0),
            ("0s", 0),
            ("1500000ns", 0),
        ] {
            let found = duration(text).map(|d| d.as_millis());
            assert_eq!(found, if text.ends_with("ns") { None } else { Some(wanted) }, "{text}");
        }
        for text in ["", "30", "s", "1x", "-5s", "1m30", "99999999999w"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn cpus_and_modes() {
        assert_eq!(nano_cpus("0.5"), Some(500_000_000));
        assert_eq!(nano_cpus("2"), Some(2_000_000_000));
        assert_eq!(nano_cpus(".25"), Some(250_000_000));
        assert_eq!(nano_cpus("1e3"), None);
        assert_eq!(octal_mode("0440"), Some(0o440));
        assert_eq!(octal_mode("0o777"), Some(0o777));
        assert_eq!(octal_mode("888"), None);
    }

    #[test]
    fn command_lines() {
        for (text, wanted) in [
            ("a b", vec!["a", "b"]),
            ("a 'b c' \"d \\\" e\"", vec!["a", "b c", "d \" e"]),
            ("a\\ b c''", vec!["a b", "c"]),
            ("''", vec![""]),
            ("'c\\d'", vec!["c\\d"]),
            ("--x=\"1 2\"\n  --y", vec!["--x=1 2", "--y"]),
            ("", vec![]),
        ] {
            assert_eq!(words(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(words("a && b"), Err(WordsError::Shell('&')));
        assert_eq!(words("a 'b"), Err(WordsError::Unclosed));
    }

    proptest! {
        #[test]
        fn units_never_panic(text in r"([0-9.kmgtpibsuh µ-]|.){0,30}") {
            let _ = (bytes(&text), duration(&text), nano_cpus(&text), octal_mode(&text), words(&text));
        }

        #[test]
        fn whole_sizes_are_exact(n in 0_u64..1 << 20) {
            prop_assert_eq!(bytes(&format!("{n}m")), Some(n << 20));
            prop_assert_eq!(bytes(&n.to_string()), Some(n));
            prop_assert_eq!(duration(&format!("{n}s")), Some(Duration::from_secs(n)));
            prop_assert_eq!(nano_cpus(&n.to_string()), Some(n * 1_000_000_000));
        }

        #[test]
        fn quoted_words_round_trip(all in prop::collection::vec("[^']*", 0..5)) {
            let line = all.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line).unwrap(), all);
        }
    }
}
