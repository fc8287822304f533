//! The host's own `ssh`, which carries the packets: it knows keys, agents, jump hosts and ciphers, and is kept up to date by
//! whoever keeps the host.
//!
//! Asks nobody anything, trusts no host that is not known, and waits for nothing longer than a bound.

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::config::repositories::Sftp;

const CONNECT_SECONDS: u32 = 15;
/// A line that is dead for four of these is given up by ssh.
const ALIVE_SECONDS: u32 = 15;
/// A server that is alive and does not answer, such as one whose disk hangs.
const SILENCE: Duration = Duration::from_secs(120);
/// How long ssh may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(3);
const LONGEST_WORDS: u64 = 8 << 10;

/// A connection.
pub(super) struct Ssh {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    words: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Ssh {
    /// Starts it. Whether it gets through is known when something is read.
    pub(super) fn start(settings: &Sftp) -> io::Result<Self> {
        let mut child =
            Command::new("ssh").args(arguments(settings)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(io::Error::other("ssh was started without its pipes"));
        };
        // Neither a write nor a read may wait for ever: both are bounded by `poll`.
        fcntl_setfl(&input, OFlags::NONBLOCK)?;
        fcntl_setfl(&output, OFlags::NONBLOCK)?;
        let words = Arc::new(Mutex::new(String::new()));
        let heard = words.clone();
        let listener = std::thread::Builder::new().name("summoner-ssh".to_owned()).spawn(move || listen(errors, &heard))?;
        Ok(Self { child, input, output: BufReader::with_capacity(64 << 10, output), words, listener: Some(listener) })
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.input.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.input, PollFlags::OUT)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.output.read(buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended")),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(self.output.get_ref(), PollFlags::IN)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What it said on its error output, once it has ended or had its time to.
    pub(super) fn last_words(&mut self) -> String {
        let since = Instant::now();
        while since.elapsed() < LAST_WORDS && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end();
        self.words.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }

    /// Ends it, and waits for its end.
    fn end(&mut self) {
        // It may have ended by itself: then there is nothing to kill, and that is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.end();
    }
}

fn wait(on: &impl AsFd, what: PollFlags) -> io::Result<()> {
    let since = Instant::now();
    loop {
        let left = SILENCE.saturating_sub(since.elapsed());
        let timeout = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(on, what)], Some(&timeout)) {
            Ok(0) => {
                let message = format!("the server did not answer for {} s", SILENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// Keeps the beginning of what ssh says, and reads the rest so that it does not wait for us.
fn listen(mut errors: impl Read, words: &Mutex<String>) {
    let mut bytes = Vec::new();
    // A pipe that breaks has said all it had to.
    let _ = (&mut errors).take(LONGEST_WORDS).read_to_end(&mut bytes);
    *words.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&bytes).into_owned();
    let _ = io::copy(&mut errors, &mut io::sink());
}

fn arguments(settings: &Sftp) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut option = |text: String| arguments.extend(["-o".into(), text.into()]);
    option("BatchMode=yes".to_owned());
    option("StrictHostKeyChecking=yes".to_owned());
    option(format!("ConnectTimeout={CONNECT_SECONDS}"));
    option(format!("ServerAliveInterval={ALIVE_SECONDS}"));
    option("ServerAliveCountMax=4".to_owned());
    option("LogLevel=ERROR".to_owned());
    // Whatever the user's own ssh_config asks for besides: a connection of ours carries packets and nothing else.
    for off in ["ForwardAgent", "ForwardX11", "PermitLocalCommand", "RequestTTY", "ControlMaster", "Compression"] {
        option(format!("{off}=no"));
    }
    option("ClearAllForwardings=yes".to_owned());
    option("ControlPath=none".to_owned());
    if let Some(file) = &settings.key_file {
        option("IdentitiesOnly=yes".to_owned());
        option(format!("IdentityFile={}", quoted(file)));
    }
    if let Some(file) = &settings.known_hosts {
        option(format!("UserKnownHostsFile={}", quoted(file)));
        option("GlobalKnownHostsFile=/dev/null".to_owned());
    }
    let port = settings.port.to_string();
    arguments.extend(["-p", &port, "-l", &settings.user, "-s", "--", &settings.host, "sftp"].map(OsString::from));
    arguments
}

/// A path as `ssh_config` takes it: one word, and no `%` that means something.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repositories::Place;

    #[test]
    fn ssh_is_told_everything_that_matters() {
        let Ok(Place::Sftp(settings)) = "sftp://backup@other.example.org:2222/srv/x".parse() else { panic!() };
        let settings = Sftp { key_file: Some("/etc/a key%".into()), known_hosts: Some("/etc/hosts of it".into()), ..settings };
        let words: Vec<String> =
            arguments(&settings).into_iter().map(|word| word.into_string().unwrap()).filter(|word| word != "-o").collect();
        insta::assert_snapshot!(words.join("\n"), @r#"
        BatchMode=yes
        StrictHostKeyChecking=yes
        ConnectTimeout=15
        ServerAliveInterval=15
        ServerAliveCountMax=4
        LogLevel=ERROR
        ForwardAgent=no
        ForwardX11=no
        PermitLocalCommand=no
        RequestTTY=no
        ControlMaster=no
        Compression=no
        ClearAllForwardings=yes
        ControlPath=none
        IdentitiesOnly=yes
        IdentityFile="/etc/a key%%"
        UserKnownHostsFile="/etc/hosts of it"
        GlobalKnownHostsFile=/dev/null
        -p
        2222
        -l
        backup
        -s
        --
        other.example.org
        sftp
        "#);
    }
}
