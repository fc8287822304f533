//! Sizes and durations as people write them: `50m`, `1g`, `60s`, `1h`.

use std::time::Duration;

use crate::fault::Faults;
use crate::yaml::{Node, kind_of};

/// Bytes of `512k`, `50m`, `2g`, `1t`; powers of 1024, as Compose counts. `0` needs no unit.
pub(super) fn size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The time of `500ms`, `60s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = &rest[..rest.find(|c: char| !c.is_ascii_digit())?];
        rest = &rest[number.len()..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        let number = number.parse::<u64>().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
    }
    (!text.is_empty()).then_some(total)
}

/// Reads a size, or records what is wrong with it.
pub(super) fn size_of(node: &Node, what: &str, faults: &mut Faults) -> Option<u64> {
    let value = node.as_str().and_then(size);
    wrong(value, node, what, "a size with its unit", "write it as 512k, 50m or 2g", faults)
}

/// Reads a duration, or records what is wrong with it.
pub(super) fn duration_of(node: &Node, what: &str, faults: &mut Faults) -> Option<Duration> {
    let value = node.as_str().and_then(duration);
    wrong(value, node, what, "a time with its unit", "write it as 30s, 5m or 1h", faults)
}

fn wrong<T>(value: Option<T>, node: &Node, what: &str, wanted: &str, help: &str, faults: &mut Faults) -> Option<T> {
    if value.is_none() {
        let found = node.as_str().map_or_else(|| kind_of(node).to_owned(), |text| format!("`{text}`"));
        faults.error_with_help(&node.span, format!("{what} must be {wanted}, but {found} stands here"), help);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_or_refused() {
        assert_eq!(size("50m"), Some(50 << 20));
        assert_eq!(size("2GB"), Some(2 << 30));
        assert_eq!(size("0"), Some(0));
        for text in ["", "50", "m", "5x", "-1m", "1.5g", "99999999999t"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "60", "s", "5d", "5 s", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
