//! Logs of applications whose answers do not tell whether a sign-in failed: files below an instance's folder, or what a
//! container writes. Only minions that ask are read, from now on, a bounded piece at a time.
//!
//! An application may write what it likes into its own log; the worst that it can do is to lock somebody out.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use regex::Regex;
use tokio::sync::mpsc::Sender;

use crate::config::Config;
use crate::docker::engine::Docker;
use crate::error::{Error, Result};
use crate::minion::catalogue::Catalogue;
use crate::minion::{ADDRESS, LogPlace, Minion, SignInLog};
use crate::name::ContainerName;
use crate::plan::ban::{Event, Outcome};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How much of a file is read at one look.
const PIECE: usize = 256 << 10;
/// Whoever writes faster than that can be read loses the oldest.
const BEHIND: u64 = 8 << 20;
/// A longer line is no line of a log.
const MAX_LINE: usize = 16 << 10;
/// After a container's log ended or could not be read.
const AGAIN: Duration = Duration::from_secs(5);

/// One log.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whose.
    pub instance: String,
    /// Where it is.
    pub place: Place,
    failed: Regex,
    succeeded: Option<Regex>,
}

/// Where a log is on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file; it may come and go.
    File(PathBuf),
    /// A container's outputs.
    Container(String),
}

impl Source {
    /// A log and its patterns.
    ///
    /// # Errors
    /// A pattern is no regular expression; reading the minion has refused that.
    pub fn new(instance: String, place: Place, log: &SignInLog) -> Result<Self> {
        let pattern = |text: &str| {
            Regex::new(text).map_err(|error| Error::internal(format!("a pattern of {instance} is no regular expression")).cause(error))
        };
        let (failed, succeeded) = (pattern(&log.failed)?, log.succeeded.as_deref().map(pattern).transpose()?);
        Ok(Self { instance, place, failed, succeeded })
    }

    /// What a line tells.
    #[must_use]
    pub fn event(&self, line: &str) -> Option<Event> {
        let address = |pattern: &Regex| pattern.captures(line)?.name(ADDRESS)?.as_str().parse::<IpAddr>().ok();
        let (address, outcome) = match address(&self.failed) {
            Some(address) => (address, Outcome::Failed),
            None => (address(self.succeeded.as_ref()?)?, Outcome::Succeeded),
        };
        Some(Event { address, instance: self.instance.clone(), outcome })
    }
}

/// The logs of everything that config.yml asks for. A minion that is broken has none: that is told where it is used.
///
/// # Errors
/// A name or pattern that was checked before does not hold.
pub fn sources(config: &Config, catalogue: &Catalogue) -> Result<Vec<Source>> {
    let mut all = Vec::new();
    for instance in &config.instances {
        let Ok(minion) = catalogue.get(&instance.minion) else { continue };
        for log in minion.sign_in.iter().filter_map(|sign_in| sign_in.log.as_ref()) {
            all.push(Source::new(instance.id.to_string(), place(config, instance, minion, log)?, log)?);
        }
    }
    Ok(all)
}

fn place(config: &Config, instance: &crate::config::Instance, minion: &Minion, log: &SignInLog) -> Result<Place> {
    Ok(match &log.place {
        LogPlace::File(path) => Place::File(config.layout.instance_files(&instance.id).join(path)),
        LogPlace::Service(service) => {
            let role = minion.role(service).map_err(|error| Error::internal(format!("{service} has no role")).cause(error))?;
            Place::Container(ContainerName { role, instance: instance.id.clone() }.to_string())
        }
    })
}

/// Follows one log and sends what it tells, until nobody listens.
pub(super) async fn follow(source: Source, docker: Option<Docker>, to: Sender<Event>) {
    match (source.place.clone(), docker) {
        (Place::File(path), _) => follow_file(&source, path, &to).await,
        (Place::Container(name), Some(docker)) => follow_container(&source, &docker, &name, &to).await,
        (Place::Container(_), None) => {}
    }
}

async fn follow_file(source: &Source, path: PathBuf, to: &Sender<Event>) {
    let mut tail = Tail::new(path);
    loop {
        let step = tokio::task::spawn_blocking(move || {
            let lines = tail.look();
            (tail, lines)
        });
        let Ok((back, lines)) = step.await else { return };
        tail = back;
        for event in lines.unwrap_or_default().iter().filter_map(|line| source.event(line)) {
            if to.send(event).await.is_err() {
                return;
            }
        }
        if to.is_closed() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn follow_container(source: &Source, docker: &Docker, name: &str, to: &Sender<Event>) {
    while !to.is_closed() {
        let mut stream = std::pin::pin!(docker.follow(name, 0, true));
        let mut lines = Lines::default();
        // A container that is absent or ends is looked for again: it may be installed any time.
        while let Some(Ok(piece)) = stream.next().await {
            for event in lines.add(&piece).iter().filter_map(|line| source.event(line)) {
                if to.send(event).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Text that comes in pieces, as whole lines; the over-long are dropped.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// The line that is being read is too long already.
    drop: bool,
}

impl Lines {
    fn add(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.drop |= self.rest.len() + part.len() > MAX_LINE;
            if !self.drop {
                self.rest.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if !self.drop {
                    lines.push(String::from_utf8_lossy(&self.rest).trim_end().to_owned());
                }
                self.rest.clear();
                self.drop = false;
            }
        }
        lines
    }
}

/// The end of a file that grows, and is replaced now and then.
struct Tail {
    path: PathBuf,
    /// The file that is being read, and how far; None before the first look.
    at: Option<(u64, u64)>,
    lines: Lines,
    first: bool,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self { path, at: None, lines: Lines::default(), first: true }
    }

    /// The lines that came since the last look. A file that is there at the first look is read from its end.
    fn look(&mut self) -> std::io::Result<Vec<String>> {
        let first = std::mem::take(&mut self.first);
        let mut file = match open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Ok(Vec::new());
        }
        let begin = match self.at {
            Some((inode, at)) if inode == found.ino() && at <= found.len() => at,
            _ if first => found.len(),
            _ => {
                self.lines = Lines::default();
                0
            }
        };
        let at = if found.len() - begin > BEHIND { found.len() - BEHIND } else { begin };
        file.seek(SeekFrom::Start(at))?;
        let mut piece = Vec::new();
        file.take(PIECE as u64).read_to_end(&mut piece)?;
        self.at = Some((found.ino(), at + piece.len() as u64));
        Ok(self.lines.add(&piece))
    }
}

/// Opens without following a link and without waiting for a FIFO's writer: the application may put anything there.
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests;
