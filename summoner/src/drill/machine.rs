//! What the machine says of its memory and load.

use std::path::Path;

use crate::disk;
use crate::error::{Error, Result};
use crate::plan::drill::Machine;

/// Both files are shorter.
const MAX_BYTES: u64 = 1 << 16;

/// Looks.
///
/// # Errors
/// The kernel's files cannot be read: whether it is calm is not known then.
pub(super) fn look() -> Result<Machine> {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let strange = |path: &str| Error::external(format!("{path} is not understood")).next("please report it with that file's content");
    let load_percent = load(&text("/proc/loadavg")?).ok_or_else(|| strange("/proc/loadavg"))?;
    let free_bytes = free(&text("/proc/meminfo")?).ok_or_else(|| strange("/proc/meminfo"))?;
    Ok(Machine { load_percent, processors, free_bytes })
}

fn text(path: &str) -> Result<String> {
    disk::read_bounded(Path::new(path), MAX_BYTES).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// `0.42 0.40 0.33 1/234 5678`: the first is that of the last minute, always with two digits.
fn load(text: &str) -> Option<u64> {
    let (whole, part) = text.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 100 + part.get(..2)?.parse::<u64>().ok()?)
}

/// `MemAvailable:   23338000 kB`
fn free(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(load("12.07 0.40 0.33 1/234 5678\n"), Some(1207));
        assert_eq!(load("nothing"), None);
        assert_eq!(free("MemTotal: 4 kB\nMemAvailable:   23 kB\n"), Some(23 << 10));
        assert_eq!(free("MemTotal: 4 kB\n"), None);
        assert!(look().unwrap().free_bytes > 0);
    }
}
