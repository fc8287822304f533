//! One conversation with an SFTP server: requests that are numbered, and their answers in whatever order they come.
//!
//! Knows the protocol and no blobs. Whoever gets a [`Fault::Lost`] throws the session away.

use std::collections::{HashMap, HashSet};
use std::io;

use super::packet::{self, Attributes, Fields, Packet};
use super::ssh::Ssh;
use crate::config::repositories::Sftp;

/// The version that OpenSSH speaks.
const PROTOCOL: u32 = 3;
/// No honest server sends more (OpenSSH's own bound is 256 KiB).
const LONGEST_PACKET: usize = 1 << 20;

pub(super) const NO_SUCH_FILE: u32 = 2;
pub(super) const PERMISSION_DENIED: u32 = 3;
const OK: u32 = 0;
const EOF: u32 = 1;
const UNSUPPORTED: u32 = 8;

pub(super) const POSIX_RENAME: &str = "posix-rename@openssh.com";
pub(super) const HARD_LINK: &str = "hardlink@openssh.com";
pub(super) const FSYNC: &str = "fsync@openssh.com";
pub(super) const STATVFS: &str = "statvfs@openssh.com";

/// Why something did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no, and why.
    Refused(u32, String),
    /// The connection is gone, or what came is no SFTP.
    Lost(io::Error),
    /// What was to be sent cannot be read.
    Source(io::Error),
}

impl Fault {
    pub(super) fn is(&self, code: u32) -> bool {
        matches!(self, Self::Refused(found, _) if *found == code)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// What a folder holds: names, which need not be text, and what they name.
type Names = Vec<(Vec<u8>, Attributes)>;

/// What a server answers.
enum Answer {
    Status(u32, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Names),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

/// An open file or folder of the server.
pub(super) struct Handle(Vec<u8>);

/// A conversation.
pub(super) struct Session {
    pub(super) ssh: Ssh,
    last: u32,
    extensions: HashSet<String>,
    /// Answers that came before they were asked for.
    early: HashMap<u32, Answer>,
    /// How many answers are still to come.
    pub(super) open_requests: usize,
}

impl Session {
    /// Starts ssh and says hello.
    pub(super) fn start(settings: &Sftp) -> Result<Self, (Fault, String)> {
        let ssh = Ssh::start(settings).map_err(|error| (Fault::Lost(error), String::new()))?;
        let mut session = Self { ssh, last: 0, extensions: HashSet::new(), early: HashMap::new(), open_requests: 0 };
        match session.hello() {
            Ok(()) => Ok(session),
            Err(error) => Err((Fault::Lost(error), session.ssh.last_words())),
        }
    }

    fn hello(&mut self) -> io::Result<()> {
        self.ssh.write(&Packet::new(packet::INIT, PROTOCOL).finish())?;
        let (kind, bytes) = self.packet()?;
        let mut fields = Fields(&bytes);
        if kind != packet::VERSION || fields.number()? != PROTOCOL {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak SFTP, version 3"));
        }
        while !fields.0.is_empty() {
            let name = String::from_utf8_lossy(fields.text()?).into_owned();
            fields.text()?;
            self.extensions.insert(name);
        }
        Ok(())
    }

    /// Whether the server can do what the protocol itself has not, and lets this account do it.
    pub(super) fn can(&self, extension: &str) -> bool {
        self.extensions.contains(extension)
    }

    fn packet(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.ssh.read(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > LONGEST_PACKET {
            let message = "the server does not speak SFTP: does its login print something?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut bytes = vec![0; length];
        self.ssh.read(&mut bytes)?;
        let kind = bytes.remove(0);
        Ok((kind, bytes))
    }

    /// Sends a request; its number is what the answer is asked for by.
    fn ask(&mut self, kind: u8, fill: impl FnOnce(Packet) -> Packet) -> Result<u32, Fault> {
        self.last = self.last.wrapping_add(1);
        self.ssh.write(&fill(Packet::new(kind, self.last)).finish())?;
        self.open_requests += 1;
        Ok(self.last)
    }

    fn answer(&mut self, id: u32) -> Result<Answer, Fault> {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                self.open_requests -= 1;
                return Ok(answer);
            }
            let (kind, bytes) = self.packet()?;
            let mut fields = Fields(&bytes);
            let to = fields.number()?;
            let answer = match kind {
                packet::STATUS => {
                    let code = fields.number()?;
                    // Old servers send no sentence.
                    Answer::Status(code, fields.text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default())
                }
                packet::HANDLE => Answer::Handle(fields.text()?.to_vec()),
                packet::DATA => Answer::Data(fields.text()?.to_vec()),
                packet::NAME => Answer::Names(names(&mut fields)?),
                packet::ATTRIBUTES => Answer::Attributes(fields.attributes()?),
                packet::EXTENDED_REPLY => Answer::Extended(fields.0.to_vec()),
                _ => return Err(strange()),
            };
            self.early.insert(to, answer);
        }
    }

    fn done(&mut self, id: u32) -> Result<(), Fault> {
        match self.answer(id)? {
            Answer::Status(OK, _) => Ok(()),
            other => Err(refused(other)),
        }
    }

    fn path(&mut self, kind: u8, path: &str) -> Result<u32, Fault> {
        self.ask(kind, |packet| packet.text(path.as_bytes()))
    }

    /// Whether the conversation goes on.
    pub(super) fn ping(&mut self) -> Result<(), Fault> {
        let id = self.path(packet::REALPATH, ".")?;
        self.answer(id).map(|_| ())
    }

    /// What lies there; None when nothing does. A link is not followed.
    pub(super) fn look(&mut self, path: &str) -> Result<Option<Attributes>, Fault> {
        let id = self.path(packet::LSTAT, path)?;
        match self.answer(id)? {
            Answer::Attributes(found) => Ok(Some(found)),
            Answer::Status(NO_SUCH_FILE, _) => Ok(None),
            other => Err(refused(other)),
        }
    }

    /// Opens a file to read it, and tells its size.
    pub(super) fn open(&mut self, path: &str) -> Result<(Handle, u64), Fault> {
        let id = self.ask(packet::OPEN, |packet| packet.text(path.as_bytes()).number(packet::TO_READ).number(0))?;
        let handle = self.handle(id)?;
        let id = self.ask(packet::FSTAT, |packet| packet.text(&handle.0))?;
        match self.answer(id)? {
            Answer::Attributes(found) => Ok((handle, found.size)),
            other => Err(refused(other)),
        }
    }

    /// Makes a file that is not there yet.
    pub(super) fn create(&mut self, path: &str, mode: u32) -> Result<Handle, Fault> {
        let id = self.ask(packet::OPEN, |packet| packet.text(path.as_bytes()).number(packet::TO_WRITE_NEW).mode(mode))?;
        self.handle(id)
    }

    fn handle(&mut self, id: u32) -> Result<Handle, Fault> {
        match self.answer(id)? {
            Answer::Handle(handle) => Ok(Handle(handle)),
            other => Err(refused(other)),
        }
    }

    pub(super) fn close(&mut self, handle: &Handle) -> Result<(), Fault> {
        let id = self.ask(packet::CLOSE, |packet| packet.text(&handle.0))?;
        self.done(id)
    }

    /// Sends bytes; [`Session::written`] tells whether they arrived.
    pub(super) fn write(&mut self, handle: &Handle, offset: u64, bytes: &[u8]) -> Result<u32, Fault> {
        self.ask(packet::WRITE, |packet| packet.text(&handle.0).long(offset).text(bytes))
    }

    pub(super) fn written(&mut self, id: u32) -> Result<(), Fault> {
        self.done(id)
    }

    /// Asks for bytes; [`Session::data`] gives them.
    pub(super) fn read(&mut self, handle: &Handle, offset: u64, count: u32) -> Result<u32, Fault> {
        self.ask(packet::READ, |packet| packet.text(&handle.0).long(offset).number(count))
    }

    /// None at the end of the file.
    pub(super) fn data(&mut self, id: u32) -> Result<Option<Vec<u8>>, Fault> {
        match self.answer(id)? {
            Answer::Data(bytes) => Ok(Some(bytes)),
            Answer::Status(EOF, _) => Ok(None),
            other => Err(refused(other)),
        }
    }

    /// Flushes a file to the server's disk, where it can be asked to.
    pub(super) fn flush(&mut self, handle: &Handle) -> Result<(), Fault> {
        if !self.can(FSYNC) {
            return Ok(());
        }
        let id = self.ask(packet::EXTENDED, |packet| packet.text(FSYNC.as_bytes()).text(&handle.0))?;
        match self.done(id) {
            Err(fault) if fault.is(UNSUPPORTED) => Ok(()),
            ended => ended,
        }
    }

    /// Gives a file its name; one that has it already is an error.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Fault> {
        let id = self.ask(packet::RENAME, |packet| packet.text(from.as_bytes()).text(to.as_bytes()))?;
        self.done(id)
    }

    /// The same with one of the extensions that take two paths.
    pub(super) fn extended(&mut self, extension: &str, from: &str, to: &str) -> Result<(), Fault> {
        let id = self.ask(packet::EXTENDED, |packet| packet.text(extension.as_bytes()).text(from.as_bytes()).text(to.as_bytes()))?;
        self.done(id)
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), Fault> {
        let id = self.path(packet::REMOVE, path)?;
        self.done(id)
    }

    pub(super) fn remove_folder(&mut self, path: &str) -> Result<(), Fault> {
        let id = self.path(packet::RMDIR, path)?;
        self.done(id)
    }

    pub(super) fn make_folder(&mut self, path: &str, mode: u32) -> Result<(), Fault> {
        let id = self.ask(packet::MKDIR, |packet| packet.text(path.as_bytes()).mode(mode))?;
        self.done(id)
    }

    /// What a folder holds; None when there is none.
    pub(super) fn list(&mut self, path: &str) -> Result<Option<Names>, Fault> {
        let id = self.path(packet::OPENDIR, path)?;
        let handle = match self.handle(id) {
            Err(fault) if fault.is(NO_SUCH_FILE) => return Ok(None),
            opened => opened?,
        };
        let mut all = Vec::new();
        loop {
            let id = self.ask(packet::READDIR, |packet| packet.text(&handle.0))?;
            match self.answer(id)? {
                Answer::Names(names) => all.extend(names),
                Answer::Status(EOF, _) => break,
                other => return Err(refused(other)),
            }
        }
        self.close(&handle)?;
        Ok(Some(all))
    }

    /// Free bytes of the disk that a path lies on, where the server tells (OpenSSH's PROTOCOL, section 4.4).
    pub(super) fn free_bytes(&mut self, path: &str) -> Option<u64> {
        if !self.can(STATVFS) {
            return None;
        }
        let id = self.ask(packet::EXTENDED, |packet| packet.text(STATVFS.as_bytes()).text(path.as_bytes())).ok()?;
        let Answer::Extended(bytes) = self.answer(id).ok()? else { return None };
        let mut fields = Fields(&bytes);
        let numbers: io::Result<Vec<u64>> = (0..5).map(|_| fields.long()).collect();
        // The size of a block, and how many are free for accounts like this one.
        numbers.ok().map(|numbers| numbers[1].saturating_mul(numbers[4]))
    }
}

fn names(fields: &mut Fields<'_>) -> io::Result<Names> {
    let count = fields.number()?;
    (0..count)
        .map(|_| {
            let name = fields.text()?.to_vec();
            // The line that `ls -l` would print.
            fields.text()?;
            Ok((name, fields.attributes()?))
        })
        .collect()
}

fn refused(answer: Answer) -> Fault {
    match answer {
        Answer::Status(code, message) if code != OK => Fault::Refused(code, message),
        _ => strange(),
    }
}

fn strange() -> Fault {
    Fault::Lost(io::Error::new(io::ErrorKind::InvalidData, "the server sent an answer that does not fit the question"))
}
