//! The road past the engine: a FIFO in the container's own memory, opened from the host through its first process.
//!
//! Only where the engine runs on this host and we are root; elsewhere the name that the container just made is not to be
//! found, and the stream is taken. The container may be hostile: nothing outside its root is reached (openat2), and only
//! a FIFO is opened at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::script::FIFO_FOLDER;

/// How much is read or written at once, and what the pipe is asked to hold.
const CHUNK: usize = 1 << 20;
/// How often a waiting thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(250);
/// How long to wait before trying to open the write end again.
const AGAIN: Duration = Duration::from_millis(2);

/// A FIFO that was found and is one; not yet open for data.
pub(super) struct Fifo(OwnedFd);

/// How filling a FIFO ended.
pub(super) enum Filled {
    /// Everything was written.
    All,
    /// The tool stopped reading.
    Refused,
}

impl Fifo {
    /// Finds it below the root of a container's first process.
    ///
    /// # Errors
    /// It cannot be reached from here, or it is no FIFO.
    pub(super) fn find(pid: i64, name: &str) -> io::Result<Self> {
        let root = rustix::fs::open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let found = rustix::fs::openat2(&root, format!("{FIFO_FOLDER}/{name}"), flags, Mode::empty(), resolve)?;
        let stat = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no FIFO"));
        }
        Ok(Self(found))
    }

    fn open(&self, mode: OFlags) -> rustix::io::Result<File> {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let end = rustix::fs::open(path, mode | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        // More at once costs fewer changes of process; the limit may be lower, and that is fine.
        let size = rustix::pipe::fcntl_setpipe_size(&end, CHUNK);
        tracing::debug!(?size, "FIFO opened");
        Ok(File::from(end))
    }

    /// Opens the read end, before any writer comes.
    ///
    /// # Errors
    /// Not permitted.
    pub(super) fn reader(&self) -> io::Result<File> {
        Ok(self.open(OFlags::RDONLY)?)
    }

    /// Writes everything that a reader gives, then closes. Blocks.
    ///
    /// # Errors
    /// The source fails, or the FIFO does, or `end` was set.
    pub(super) fn fill(&self, mut from: impl Read, end: &AtomicBool) -> io::Result<Filled> {
        let mut into = loop {
            match self.open(OFlags::WRONLY) {
                Ok(file) => break file,
                // Nobody reads yet.
                Err(rustix::io::Errno::NXIO) if !end.load(Ordering::Relaxed) => std::thread::sleep(AGAIN),
                Err(rustix::io::Errno::NXIO) => return Ok(Filled::Refused),
                Err(error) => return Err(error.into()),
            }
        };
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = retry(|| from.read(&mut buffer))?;
            if count == 0 {
                return Ok(Filled::All);
            }
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                match into.write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready(&into, PollFlags::OUT, end)?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Filled::Refused),
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Reads a FIFO to the end of its last writer. Blocks.
///
/// # Errors
/// The sink or the FIFO fails, or `end` was set.
pub(super) fn drain(mut from: File, into: &mut impl Write, end: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    // Without a writer a read gives an end at once; a poll does not, until the first writer has come and gone.
    ready(&from, PollFlags::IN, end)?;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => into.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready(&from, PollFlags::IN, end)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until something can be done, or nobody wants it any more.
fn ready(file: &File, what: PollFlags, end: &AtomicBool) -> io::Result<()> {
    let look = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
    loop {
        if end.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "was ended"));
        }
        let mut polled = [PollFd::from_borrowed_fd(file.as_fd(), what)];
        match poll(&mut polled, Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn name() -> String {
        format!("summoner-test-{}", super::super::script::token())
    }

    #[test]
    fn only_a_fifo_within_the_root_is_opened() {
        let own = i64::from(std::process::id());
        let name = name();
        let path = format!("/{FIFO_FOLDER}/{name}");
        assert!(Fifo::find(own, &name).is_err());
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(Fifo::find(own, &name).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert!(Fifo::find(own, &name).err().unwrap().to_string().contains("is no FIFO"));
        std::fs::remove_file(&path).unwrap();
        assert!(Fifo::find(own, "../null").is_err());
    }

    #[test]
    fn bytes_pass_both_ways_and_a_missing_partner_can_be_given_up() {
        let own = i64::from(std::process::id());
        let name = name();
        let path = format!("/{FIFO_FOLDER}/{name}");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let fifo = Fifo::find(own, &name).unwrap();
        let end = AtomicBool::new(false);
        let reader = fifo.reader().unwrap();
        let data: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut got = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(matches!(fifo.fill(&data[..], &end), Ok(Filled::All))));
            drain(reader, &mut got, &end).unwrap();
        });
        assert!(got == data);
        let gone = AtomicBool::new(true);
        assert!(drain(fifo.reader().unwrap(), &mut Vec::new(), &gone).is_err());
        assert!(matches!(fifo.fill(&data[..], &gone), Ok(Filled::Refused)));
        std::fs::remove_file(&path).unwrap();
    }
}
