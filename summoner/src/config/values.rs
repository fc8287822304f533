//! Single values of config.yml: text in, value or the sentence that says what would be right out.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::fault::did_you_mean;
use crate::name::Domain;

/// Docker refuses less than this.
const LEAST_MEMORY: u64 = 6 << 20;
const MOST_CPUS: f64 = 1024.0;
const NANO: f64 = 1e9;

/// `512m`, `1.5g`, `1073741824`: bytes, units are powers of 1024 as in Docker.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is no amount of memory: write 512m, 1.5g or a number of bytes", short(text));
    let bytes = amount(text).ok_or_else(wrong)?;
    if bytes < LEAST_MEMORY { Err(format!("`{}` is too little: Docker wants 6m at least", short(text))) } else { Ok(bytes) }
}

/// `512m`, `1.5 GB`, `1073741824`: bytes, units are powers of 1024.
pub(super) fn amount(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let amount = number.parse::<f64>().ok()? * 2_f64.powi(shift);
    // Up to 2^53 bytes are exact in a float, far beyond any machine.
    (amount <= 9e15).then_some(amount as u64)
}

/// `0`, `512k`, `50m`, `2g`: bytes of a request.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is no size: write 512k, 50m, 2g, or 0 for no limit", short(text));
    if text == "0" {
        return Ok(0);
    }
    let lower = text.trim().to_ascii_lowercase();
    let (number, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let shift = match unit {
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().map(|number| u64::from(number) << shift).map_err(|_| wrong())
}

/// `1.5`: billionths of a CPU.
pub(super) fn cpus(text: &str) -> Result<u64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok().filter(|number| plain && *number >= 0.01 && *number <= MOST_CPUS);
    let number = number.ok_or_else(|| format!("`{}` is no number of CPUs: write 0.5, 1 or 2", short(text)))?;
    Ok((number * NANO).round() as u64)
}

/// A tag of an image, as the registries define it (distribution spec, `<reference>` as a tag).
pub(super) fn tag(text: &str) -> Result<String, String> {
    let head = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = text.len() <= 128 && text.starts_with(head) && text.chars().all(|c| head(c) || c == '.' || c == '-');
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no version: it is a tag of the application's image, such as 6.59.0 or 5-alpine", short(text)))
    }
}

/// One `@` between a name and a domain; whether mail arrives, nobody knows before it is sent.
pub(super) fn email(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("`{}` is no e-mail address: {why}", short(text));
    let (local, domain) = text.split_once('@').ok_or_else(|| wrong("it has no @"))?;
    let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c);
    if local.is_empty() || local.len() > 64 || local.contains(strange) {
        return Err(wrong("the part before the @ is not a name"));
    }
    let domain = Domain::from_str(domain).map_err(|error| wrong(&error.to_string()))?;
    Ok(format!("{local}@{domain}"))
}

/// `30s`, `10m`, `6h`, `30d`, `4w`: a length of time.
///
/// # Errors
/// The sentence that says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{}` is no length of time: write 30s, 10m, 6h, 30d or 4w", short(text));
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds: u32 = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    // A hundred years is longer than any backup is kept.
    let most = 100 * 366 * 24 * 3600_u64;
    let length = number.parse::<u32>().map_err(|_| wrong())?;
    let length = u64::from(length) * u64::from(seconds);
    if length > most { Err(wrong()) } else { Ok(Duration::from_secs(length)) }
}

/// As [`duration`] reads it, in the largest unit that is whole.
pub(super) fn shown_duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [("d", 24 * 3600), ("h", 3600), ("m", 60)];
    let unit = units.into_iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

/// How many jobs run at once.
pub(super) fn parallel(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=16).contains(number));
    number.ok_or_else(|| format!("`{}` is no number of jobs: 1 to 16", short(text)))
}

/// The name of a variable.
pub(super) fn variable(text: &str) -> bool {
    let head = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(head) && text.chars().all(|c| head(c) || c.is_ascii_digit())
}

/// An IANA time zone; the error is the help that goes with it.
pub(super) fn timezone(text: &str) -> Result<String, String> {
    if let Ok(zone) = text.parse::<Tz>() {
        return Ok(zone.name().to_owned());
    }
    let found = text.to_ascii_lowercase();
    let city = |name: &str| name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(text));
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let same = names().find(|name| name.eq_ignore_ascii_case(text)).or_else(|| names().find(|name| city(name)));
    let near = same.map(|name| format!("did you mean `{name}`?")).or_else(|| did_you_mean(&found, names()));
    Err(near.unwrap_or_else(|| "write the IANA name, such as Europe/Paris; `timedatectl list-timezones` shows them all".to_owned()))
}

/// A name that the engine takes for a network.
pub(super) fn network_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 60
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let taken = ["bridge", "default", "host", "none"].contains(&text);
    match (fits, taken) {
        (true, false) => Ok(text.to_owned()),
        (true, true) => Err(format!("`{text}` is a network of the engine's own")),
        (false, _) => Err(format!("`{}` is no name for a network: letters, digits, `_`, `.` and `-`", short(text))),
    }
}

/// A private IPv4 range of a size that holds enough networks of 32 addresses.
pub(super) fn network_range(text: &str) -> Result<String, String> {
    const PRIVATE: [(Ipv4Addr, u8); 3] =
        [(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(172, 16, 0, 0), 12), (Ipv4Addr::new(192, 168, 0, 0), 16)];
    let wrong = |why: &str| format!("`{}` is no private range: {why}", short(text));
    let (address, length) = text.split_once('/').ok_or_else(|| wrong("it has no /length, write 10.213.0.0/16"))?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong("write an IPv4 range such as 10.213.0.0/16"))?;
    let length: u8 = length.parse().ok().filter(|length| (12..=20).contains(length)).ok_or_else(|| wrong("its length is /12 to /20"))?;
    let first = |address: Ipv4Addr, length: u8| Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - length)));
    if !PRIVATE.iter().any(|(block, of)| length >= *of && first(address, *of) == *block) {
        return Err(wrong("it must lie within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
    }
    if first(address, length) != address {
        return Err(wrong(&format!("it begins at {}/{length}", first(address, length))));
    }
    Ok(text.to_owned())
}

/// A found text, cut so that no message grows with what someone pasted.
pub(super) fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    let flat: String = text.chars().take(SHOWN + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if flat.chars().count() <= SHOWN { flat } else { format!("{}…", flat.chars().take(SHOWN).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_dockers() {
        assert_eq!(memory("1g"), Ok(1 << 30));
        assert_eq!(memory("1.5G"), Ok(3 << 29));
        assert_eq!(memory("512 MiB"), Ok(512 << 20));
        assert_eq!(memory("1073741824"), Ok(1 << 30));
        for text in ["", "g", "1x", "-1g", "1.2.3g", "5m", "9999999t", "1e9"] {
            assert!(memory(text).is_err(), "{text}");
        }
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        for text in ["0", "-1", "1e3", "inf", "NaN", "", "2000"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read_and_shown() {
        for text in ["30s", "10m", "6h", "30d", "90s", "0s"] {
            assert_eq!(shown_duration(duration(text).unwrap()), text);
        }
        assert_eq!(duration("4w"), Ok(Duration::from_secs(28 * 24 * 3600)));
        for text in ["", "30", "s", "-1s", "1.5h", "1y", "99999d", "4294967296s", "1 h 5 m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_private_and_begin_where_they_begin() {
        assert!(network_range("10.213.0.0/16").is_ok());
        assert!(network_range("172.16.0.0/12").is_ok());
        assert!(network_range("192.168.128.0/17").is_ok());
        for text in
            ["10.0.0.0/8", "11.0.0.0/16", "172.15.0.0/16", "192.168.0.0/12", "10.213.0.1/16", "10.213.0.0", "fd00::/16", "10.1.0.0/33"]
        {
            assert!(network_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zones_are_suggested_by_city() {
        assert_eq!(timezone("Europe/Paris").as_deref(), Ok("Europe/Paris"));
        assert_eq!(timezone("europe/paris").unwrap_err(), "did you mean `Europe/Paris`?");
        assert_eq!(timezone("paris").unwrap_err(), "did you mean `Europe/Paris`?");
        assert_eq!(timezone("Europe/Pariss").unwrap_err(), "did you mean `Europe/Paris`?");
        assert!(timezone("").unwrap_err().contains("IANA"));
    }

    #[test]
    fn tags_and_addresses_are_checked() {
        assert!(tag("6.59.0").is_ok() && tag("5-alpine").is_ok());
        assert!(tag("ghost:5").is_err() && tag("").is_err() && tag(&"1".repeat(129)).is_err() && tag("-1").is_err());
        assert_eq!(email("You@Example.ORG").as_deref(), Ok("You@example.org"));
        for text in ["you", "@a.org", "you@", "a b@a.org", "you@@a.org", "you@localhost", "you@a.org\nBcc: x@y.z"] {
            assert!(email(text).is_err(), "{text}");
        }
    }
}
