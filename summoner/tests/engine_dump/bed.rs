//! Servers to dump, and a place that keeps artefacts as a repository would: compressed, hashed, read back only when whole.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use sha2::{Digest, Sha256};
use summoner::database::{Access, DatabaseKind, DumpOptions, Part, Road, Secret, Target};
use summoner::docker::engine::Docker;
use summoner::error::{Error, Result};
use summoner::repository::{Sink, Sinks, Stored};
use tokio::sync::Notify;

/// A password with everything in it that breaks shells and option files.
pub const PASSWORD: &str = "a'b\"c\\d #%s$e é";
pub const ROADS: [Road; 2] = [Road::Fifo, Road::Stream];
/// A bound, not a measure: the machine may have other work.
const READY: Duration = Duration::from_secs(240);
/// Dumps of a kind whose reader stands still for so long, and how many of them at once.
const STALLED: u64 = 25;
const STALL: Duration = Duration::from_secs(4);
const AT_ONCE: usize = 7;
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A container that is removed when it is dropped.
pub struct Server {
    pub name: String,
    pub target: Target,
    /// Its data, where the tests' files are; removed after the container.
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts it without waiting; `hasty` are words that keep the server from waiting for the disk.
    pub fn begin(kind: DatabaseKind, image: &str, environment: &[(&str, &str)], user: &str, hasty: &[&str]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-dump-test{}-{number}.localhost", kind.as_str(), std::process::id());
        let mut words: Vec<String> =
            ["run", "-d", "--label", "summoner.test=dump", "--network", "none", "--name", &name].map(str::to_owned).into();
        for (key, value) in environment {
            words.extend(["-e".to_owned(), format!("{key}={value}")]);
        }
        let data = tempfile::Builder::new().prefix("summoner-test.").tempdir().unwrap();
        let inside = match kind {
            DatabaseKind::Mysql | DatabaseKind::Mariadb => "/var/lib/mysql",
            DatabaseKind::Postgresql => "/var/lib/postgresql/data",
            DatabaseKind::Mongodb => "/data/db",
        };
        words.extend(["-v".to_owned(), format!("{}:{inside}", data.path().display()), image.to_owned()]);
        words.extend(hasty.iter().map(|word| (*word).to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        docker(&words);
        let admin = Access { user: user.to_owned(), password: Some(Secret::new(PASSWORD.to_owned())) };
        let target = Target { container: name.clone(), kind, admin, databases: Vec::new() };
        Self { name, target, _data: data }
    }

    /// Waits until a command in it succeeds.
    pub fn wait(self, words: &[&str]) -> Self {
        let began = Instant::now();
        while !self.said(words).0 {
            assert!(began.elapsed() < READY, "{} is not ready: {}", self.name, docker(&["logs", &self.name]));
            std::thread::sleep(Duration::from_millis(200));
        }
        self
    }

    /// Runs a command in it; whether it succeeded, and what it said.
    pub fn said(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new("docker").args(["exec", &self.name]).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// Puts a script in a tool's place, in which `"$real" "$@"` is the tool itself; an empty one gives the tool its place back.
    pub fn disguise(&self, tool: &str, script: &str) {
        let real = format!("{tool}.real");
        if script.is_empty() {
            docker(&["exec", &self.name, "mv", &real, tool]);
            return;
        }
        docker(&["exec", &self.name, "sh", "-c", "[ -e \"$2\" ] || mv \"$1\" \"$2\"", "sh", tool, &real]);
        let text = format!("#!/bin/sh\nreal={real}\ncase $1 in -V | --version) exec \"$real\" \"$@\" ;; esac\n{script}\n");
        self.fed(&["sh", "-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh", tool], &text);
    }

    /// Gives a command in it something to read; it must succeed.
    pub fn fed(&self, words: &[&str], stdin: &str) -> String {
        let mut child = Command::new("docker")
            .args(["exec", "-i", &self.name])
            .args(words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let removed = Command::new("docker").args(["rm", "-fv", &self.name]).output();
        assert!(removed.is_ok());
    }
}

/// Docker's own client; it must succeed.
pub fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub async fn engine() -> Docker {
    Docker::connect().await.unwrap()
}

pub fn options(road: Road) -> DumpOptions {
    DumpOptions { deadline: Duration::from_secs(60), road: Some(road) }
}

/// A tool that complains without end loses nothing; one that fails after all its data was there gave no dump.
pub async fn flooded_and_failed(engine: &Docker, from: &Server, tool: &str) {
    for road in ROADS {
        from.disguise(tool, "yes 'nothing is wrong' | head -c 50000000 >&2 &\n\"$real\" \"$@\"\ncode=$?\nwait\nexit $code");
        let shelf = Shelf::default();
        let parts = summoner::database::dump(engine, &from.target, &options(road), &shelf, None).await.unwrap();
        assert!(parts.iter().all(|part| !shelf.plain(part).is_empty()), "{road:?}");
        from.disguise(tool, "\"$real\" \"$@\"\nexit 1");
        let error = summoner::database::dump(engine, &from.target, &options(road), &Shelf::default(), None).await.unwrap_err();
        assert!(error.message.ends_with("ended with 1"), "{road:?}: {error}");
    }
    from.disguise(tool, "");
}

/// Readers that stand still, each at another place up to the very end, by both roads: nothing is short.
pub async fn never_short(engine: &Docker, from: &Server) {
    let length = |shelf: &Shelf, parts: &[Part]| parts.iter().map(|part| shelf.plain(part).len()).collect::<Vec<_>>();
    let shelf = Shelf::default();
    let parts = summoner::database::dump(engine, &from.target, &options(Road::Fifo), &shelf, None).await.unwrap();
    let lengths = &length(&shelf, &parts);
    let longest = lengths.iter().copied().max().unwrap_or_default() as u64;
    let one = |number: u64| async move {
        let shelf = Shelf::with(Some((longest * number / STALLED, STALL)), None);
        let road = ROADS[usize::from(number.is_multiple_of(2))];
        let parts = summoner::database::dump(engine, &from.target, &options(road), &shelf, None).await.unwrap();
        assert_eq!(length(&shelf, &parts), *lengths, "{road:?}, {number}");
        assert!(shelf.stalls.notified().now_or_never().is_some(), "{road:?}, {number}: it never stood still");
    };
    stream::iter(1..=STALLED).for_each_concurrent(AT_ONCE, one).await;
}

/// What a sink does besides keeping.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Stands still once, after so many bytes, for so long.
    pub stall: Option<(u64, Duration)>,
    /// Is full after so many bytes.
    pub full: Option<u64>,
}

/// Keeps artefacts in memory.
#[derive(Clone, Default)]
pub struct Shelf {
    pub kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub manner: Manner,
    /// Fired when a sink begins to stand still.
    pub stalls: Arc<Notify>,
}

impl Shelf {
    /// One whose sinks behave so.
    pub fn with(stall: Option<(u64, Duration)>, full: Option<u64>) -> Self {
        Self { manner: Manner { stall, full }, ..Self::default() }
    }

    /// What was kept of a part, uncompressed.
    pub fn plain(&self, part: &Part) -> Vec<u8> {
        let mut all = Vec::new();
        self.read(&part.stored).unwrap().read_to_end(&mut all).unwrap();
        all
    }
}

impl Sinks for Shelf {
    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        let to = zstd::Encoder::new(Vec::new(), 1).unwrap();
        Ok(Box::new(Kept {
            name: format!("{name}.zst"),
            to,
            raw: 0,
            manner: self.manner,
            shelf: self.kept.clone(),
            stalls: self.stalls.clone(),
        }))
    }

    fn read(&self, stored: &Stored) -> Result<Box<dyn Read + Send>> {
        let bytes = self.kept.lock().unwrap().get(&stored.name).cloned();
        let bytes = bytes.ok_or_else(|| Error::external(format!("there is no {}", stored.name)))?;
        if hex::encode(Sha256::digest(&bytes)) != stored.sha256 {
            return Err(Error::external(format!("{} is damaged", stored.name)));
        }
        Ok(Box::new(zstd::Decoder::new(io::Cursor::new(bytes)).unwrap()))
    }
}

struct Kept {
    name: String,
    to: zstd::Encoder<'static, Vec<u8>>,
    raw: u64,
    manner: Manner,
    shelf: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    stalls: Arc<Notify>,
}

impl Write for Kept {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let count = self.to.write(piece)?;
        self.raw += count as u64;
        if self.manner.full.is_some_and(|full| self.raw > full) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if let Some((_, time)) = self.manner.stall.take_if(|(after, _)| self.raw >= *after) {
            self.stalls.notify_one();
            std::thread::sleep(time);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Kept {
    fn finish(self: Box<Self>) -> Result<Stored> {
        let bytes = self.to.finish().unwrap();
        let stored =
            Stored { name: self.name.clone(), bytes: bytes.len() as u64, bytes_raw: self.raw, sha256: hex::encode(Sha256::digest(&bytes)) };
        assert!(self.shelf.lock().unwrap().insert(self.name, bytes).is_none(), "two artefacts of one name");
        Ok(stored)
    }
}
