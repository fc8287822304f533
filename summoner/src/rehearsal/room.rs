//! Whether this host has room for everything twice.

use std::path::Path;

use crate::disk;
use crate::error::{Error, Result};

/// What a rehearsal needs beside the applications themselves: a second engine.
const ENGINE_BYTES: u64 = 200 << 20;
/// Data lies there as snapshots and as files; a database has logs and indices too.
const DATA_TIMES: u64 = 3;
/// Images lie there unpacked, and once more while they are loaded.
const IMAGES_TIMES: u64 = 2;

/// Refuses when memory or disk would run out: the live applications need both.
///
/// # Errors
/// There is too little of one, or the kernel does not say.
pub fn check(engine_root: &Path, memory: u64, data: u64, images: u64) -> Result<()> {
    let needed = data.saturating_mul(DATA_TIMES).saturating_add(images.saturating_mul(IMAGES_TIMES));
    let free = disk::free_bytes(engine_root)?;
    let mib = |bytes: u64| bytes >> 20;
    if free < needed {
        return Err(Error::external(format!(
            "there is no room for a rehearsal: {} has {} MiB free, about {} MiB are needed",
            engine_root.display(),
            mib(free),
            mib(needed)
        ))
        .next("free space there, or rehearse on another machine: summoner install --restore-from PLACE"));
    }
    let (available, needed) = (available(&disk::read_bounded(Path::new("/proc/meminfo"), 1 << 16)?)?, memory + ENGINE_BYTES);
    if available < needed {
        return Err(Error::external(format!(
            "there is too little memory for a rehearsal beside what runs: {} MiB are available, about {} MiB are needed",
            mib(available),
            mib(needed)
        ))
        .next("stop something, or rehearse on another machine: summoner install --restore-from PLACE"));
    }
    Ok(())
}

fn available(meminfo: &[u8]) -> Result<u64> {
    let text = String::from_utf8_lossy(meminfo);
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| Error::external("the kernel does not say how much memory is available"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_is_told() {
        assert_eq!(available(b"MemTotal: 8 kB\nMemAvailable:    2048 kB\n").unwrap(), 2 << 20);
        let root = Path::new("/");
        check(root, 0, 0, 0).unwrap();
        assert!(check(root, 0, u64::MAX, 0).unwrap_err().message.contains("no room for a rehearsal"));
        assert!(check(root, 1 << 50, 0, 0).unwrap_err().message.contains("too little memory"));
    }
}
