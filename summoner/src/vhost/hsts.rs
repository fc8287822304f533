//! `HSTS`: the header of RFC 6797, by its parts.

use super::Hsts;
use super::words::{Read, shown};

/// Reads `max-age=31536000; includeSubDomains; preload`, or `off`, which gives None.
pub(super) fn parse(text: &str) -> Read<Option<Hsts>> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let wrong = || format!("{} is neither off nor like max-age=31536000; includeSubDomains; preload", shown(text));
    let (mut age, mut subdomains, mut preload) = (None, false, false);
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let lower = part.to_ascii_lowercase();
        // RFC 6797 §6.1: no part may be there twice.
        match lower.split_once('=') {
            Some((name, seconds)) if name.trim() == "max-age" && age.is_none() => {
                let seconds = seconds.trim().trim_matches('"');
                let digits = !seconds.is_empty() && seconds.len() <= 10 && seconds.bytes().all(|b| b.is_ascii_digit());
                age = Some(if digits { seconds.parse::<u64>().map_err(|_| wrong())? } else { return Err(wrong()) });
            }
            None if lower == "includesubdomains" && !subdomains => subdomains = true,
            None if lower == "preload" && !preload => preload = true,
            _ => return Err(wrong()),
        }
    }
    age.map(|max_age| Some(Hsts { max_age, subdomains, preload })).ok_or_else(wrong)
}
