//! Who is locked out, on disk: one file for us, and the same list for nginx. Written by the guard and by `summoner bans`,
//! under a lock that is held for as long as it takes.
//!
//! A damaged file is set aside and begun anew: a list of bans must never keep the proxy from working.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::ban::{Ban, Proof, ProofVerdict};

/// The form of the file.
const VERSION: u32 = 1;
/// Fifty thousand bans need less.
const MAX_BYTES: u64 = 64 << 20;
/// nginx's workers read the lists as another user.
const LIST_MODE: u32 = 0o644;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bans whose level counts, ended or not.
    pub bans: Vec<Ban>,
    /// The last self-test, when there was one.
    pub test: Option<SelfTest>,
}

/// The self-test as it was when the guard last wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// What it said.
    pub verdict: ProofVerdict,
    /// What it was made of.
    pub proof: Proof,
    /// When.
    pub at: DateTime<Utc>,
}

/// Tells one state of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64, i64, i64, u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    bans: Vec<Entry>,
    self_test: Option<Test>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: String,
    until: DateTime<Utc>,
    level: u32,
    reason: String,
    instance: String,
    failures: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    verdict: String,
    real: u64,
    own: Vec<(IpAddr, u64)>,
    at: DateTime<Utc>,
}

/// Reads the file; a damaged one is an empty list and a note that says so.
///
/// # Errors
/// It cannot be read, or a newer Summoner wrote it.
pub fn read(layout: &Layout) -> Result<(Stored, Option<String>)> {
    let path = layout.bans();
    let Some(bytes) = disk::read_if_there(&path, MAX_BYTES)? else { return Ok((Stored::default(), None)) };
    // The version first: a newer form need not parse.
    let any: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
    let version = any.as_ref().ok().and_then(|any| any.get("version")?.as_u64()).unwrap_or(0);
    if version > u64::from(VERSION) {
        let message = format!("{} was written by a newer Summoner (form {version}, this program knows {VERSION})", path.display());
        return Err(Error::new(Kind::Config, message).next("use the newer program; this one would lose what it cannot read"));
    }
    match any.and_then(serde_json::from_value::<File>).map_err(|error| error.to_string()).and_then(stored) {
        Ok(stored) => Ok((stored, None)),
        Err(reason) => Ok((Stored::default(), Some(format!("{} is damaged ({reason}); nobody is locked out any more", path.display())))),
    }
}

fn stored(file: File) -> Result<Stored, String> {
    let ban = |entry: Entry| {
        let subject = entry.address.parse().map_err(|error: crate::plan::ban::subject::NoSubject| error.to_string())?;
        let Entry { until, level, reason, instance, failures, .. } = entry;
        Ok::<_, String>(Ban { subject, until, level, reason, instance, failures })
    };
    let test = |test: Test| {
        let verdict = ProofVerdict::of(&test.verdict).ok_or_else(|| format!("`{}` is no verdict", test.verdict))?;
        Ok::<_, String>(SelfTest { verdict, proof: Proof { real: test.real, own: test.own.into_iter().collect() }, at: test.at })
    };
    Ok(Stored { bans: file.bans.into_iter().map(ban).collect::<Result<_, _>>()?, test: file.self_test.map(test).transpose()? })
}

/// Writes the file and nginx's lists; true when nginx has something new to read. Only to be called with the lock of bans.
///
/// # Errors
/// The disk refuses; what was there before is untouched then.
pub fn write(layout: &Layout, stored: &Stored, now: DateTime<Utc>) -> Result<bool> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    disk::ensure_own_folder(&layout.nginx(), 0o755, None)?;
    let path = layout.bans();
    let entry = |ban: &Ban| Entry {
        address: ban.subject.to_string(),
        until: ban.until,
        level: ban.level,
        reason: ban.reason.clone(),
        instance: ban.instance.clone(),
        failures: ban.failures,
    };
    let test = stored.test.as_ref().map(|test| Test {
        verdict: test.verdict.word().to_owned(),
        real: test.proof.real,
        own: test.proof.own.iter().map(|(address, count)| (*address, *count)).collect(),
        at: test.at,
    });
    let file = File { version: VERSION, bans: stored.bans.iter().map(entry).collect(), self_test: test };
    let bytes = serde_json::to_vec_pretty(&file).map_err(|error| Error::internal("the list of bans does not serialise").cause(error))?;
    if path.exists() && read(layout)?.1.is_some() {
        fs::rename(&path, path.with_extension("json.damaged")).map_err(|error| Error::io("move away", &path, &error))?;
    }
    crate::apply::crash::point();
    disk::write_atomic(&path, &bytes, 0o600)?;
    crate::apply::crash::point();
    lists(layout, &stored.bans, now)
}

/// Writes nginx's lists where they differ; true when they did. An nginx without njs does not start without its own, so it is always there.
///
/// # Errors
/// The disk refuses.
pub fn lists(layout: &Layout, bans: &[Ban], now: DateTime<Utc>) -> Result<bool> {
    let active = || bans.iter().filter(|ban| ban.until > now);
    let script: String = active().map(|ban| format!("{} {} {}\n", ban.subject.key(), ban.until.timestamp(), ban.level)).collect();
    let map: String = active().map(|ban| format!("{} {};\n", ban.subject.net(), ban.level)).collect();
    let mut differed = false;
    for (path, text) in [(layout.nginx_bans(), script), (layout.nginx_bans_map(), map)] {
        if disk::read_if_there(&path, MAX_BYTES)?.as_deref() != Some(text.as_bytes()) {
            disk::write_atomic(&path, text.as_bytes(), LIST_MODE)?;
            differed = true;
        }
    }
    Ok(differed)
}

/// The state of the file; None when it is not there.
///
/// # Errors
/// It cannot be looked at.
pub fn stamp(layout: &Layout) -> Result<Option<Stamp>> {
    let path = layout.bans();
    match fs::metadata(&path) {
        Ok(found) => Ok(Some(Stamp(found.ino(), found.mtime(), found.mtime_nsec(), found.len()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", Path::new(&path), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::route::guard;

    fn layout(folder: &Path) -> Layout {
        Layout { files: folder.into(), databases: folder.join("database") }
    }

    fn ban(address: &str, until: i64, level: u32) -> Ban {
        let until = DateTime::from_timestamp(until, 0).unwrap();
        Ban { subject: address.parse().unwrap(), until, level, reason: "r".into(), instance: "ghost-a.fr".into(), failures: 10 }
    }

    #[test]
    fn what_is_written_is_read_and_nginx_reads_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(read(&layout).unwrap(), (Stored::default(), None));
        assert_eq!(stamp(&layout).unwrap(), None);
        let proof = Proof { real: 3, own: [("172.18.0.1".parse().unwrap(), 2)].into() };
        let test = SelfTest { verdict: ProofVerdict::Mixed, proof, at: now };
        let bans = vec![ban("198.51.100.7", 1_800_000_300, 1), ban("198.51.100.8", 1_700_000_000, 2), ban("2001:db8::1", 1_800_600_000, 2)];
        let stored = Stored { bans, test: Some(test) };
        write(&layout, &stored, now).unwrap();
        assert_eq!(read(&layout).unwrap(), (stored.clone(), None));
        let text = |path: std::path::PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(text(layout.nginx_bans()), "c6336407 1800000300 1\n20010db800000000 1800600000 2\n");
        assert_eq!(text(layout.nginx_bans_map()), "198.51.100.7/32 1;\n2001:db8::/64 2;\n");
        // A list that says the same keeps its file, so nginx reads nothing.
        let before = fs::metadata(layout.nginx_bans()).unwrap().ino();
        let first = stamp(&layout).unwrap();
        write(&layout, &stored, now).unwrap();
        assert_eq!(fs::metadata(layout.nginx_bans()).unwrap().ino(), before);
        assert_ne!(stamp(&layout).unwrap(), first);
        let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            [name(layout.nginx_bans()), name(layout.nginx_bans_map()), name(layout.nginx_sign_ins())],
            [guard::LIST, guard::MAP, guard::SOCKET],
            "what the configuration names is what is written"
        );
    }

    #[test]
    fn a_damaged_file_is_told_and_kept_and_a_newer_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        write(&layout, &Stored::default(), now).unwrap();
        for text in [
            "{\"version\":1,\"bans\":[{\"ad",
            "{\"version\":1,\"bans\":[],\"self_test\":{\"verdict\":\"x\",\"real\":0,\"own\":[],\"at\":\"2026-11-21T00:00:00Z\"}}",
        ] {
            fs::write(layout.bans(), text).unwrap();
            assert!(read(&layout).unwrap().1.unwrap().contains("bans.json is damaged"));
            write(&layout, &Stored::default(), now).unwrap();
            assert_eq!(fs::read_to_string(layout.own().join("bans.json.damaged")).unwrap(), text);
        }
        fs::write(layout.bans(), "{\"version\": 2, \"people\": []}").unwrap();
        assert!(read(&layout).unwrap_err().message.contains("newer Summoner (form 2"));
        assert!(write(&layout, &Stored::default(), now).is_err());
        assert!(fs::read_to_string(layout.bans()).unwrap().contains("people"));
    }
}
