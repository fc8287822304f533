//! The one error that reaches a person: what failed, why, what to do next; and the table of exit codes.
//!
//! Modules keep small enums of their own; here they become an [`Error`]. Nothing is printed here.

use std::fmt;
use std::io;
use std::path::Path;

use crate::fault::Fault;

/// Whose matter an error is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command or its arguments cannot be followed.
    Usage,
    /// A file that the user wrote is wrong.
    Config,
    /// Something outside failed: engine, disk, network.
    External,
    /// Some of it is done; a person is needed for the rest.
    Partial,
    /// `plan --check` found changes.
    Pending,
    /// No repository there.
    NoRepository,
    /// Another command holds the lock.
    Locked,
    /// The key does not open it.
    WrongKey,
    /// The user stopped it.
    Interrupted,
    /// A fault of ours.
    Internal,
}

impl Kind {
    /// The exit code of the command line's contract.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::External | Self::Internal => 1,
            Self::Usage | Self::Config => 2,
            Self::Partial => 3,
            Self::Pending => 4,
            Self::NoRepository => 10,
            Self::Locked => 11,
            Self::WrongKey => 12,
            Self::Interrupted => 130,
        }
    }
}

/// What failed, its cause, and the next command.
#[derive(Debug, Clone)]
pub struct Error {
    /// Whose matter it is.
    pub kind: Kind,
    /// Fits "failed to {}" or stands alone: lower case, no full stop, names the thing.
    pub message: String,
    /// Why, in the words of the part that failed; several lines are fine.
    pub cause: Option<String>,
    /// The next command to type, or what to do.
    pub next: Vec<String>,
    /// Faults in files, shown with their lines.
    pub faults: Vec<Fault>,
}

/// A result that a person can read.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, next: Vec::new(), faults: Vec::new() }
    }

    /// A wrong argument.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something outside failed.
    #[must_use]
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(Kind::External, message)
    }

    /// A fault of ours: the sentence says which promise broke.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message).next("this is a fault of Summoner; please report it with the command that you typed")
    }

    /// Faults found in a file.
    #[must_use]
    pub fn faults(message: impl Into<String>, faults: Vec<Fault>) -> Self {
        Self { faults, ..Self::new(Kind::Config, message) }
    }

    /// A failed call on a path: the path is always named.
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: &io::Error) -> Self {
        let error = Self::external(format!("cannot {doing} {}", path.display())).cause(source);
        match source.kind() {
            io::ErrorKind::PermissionDenied => error.next("run the command as root (sudo)"),
            io::ErrorKind::StorageFull => error.next("free space on that disk, then run the same command again: nothing was lost"),
            _ => error,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what failed beside it, as a further line of its cause.
    #[must_use]
    pub fn also(self, other: &Self) -> Self {
        let cause = self.cause.as_ref().map_or_else(String::new, |cause| format!("{}\n", cause.trim_end()));
        self.cause(format!("{cause}and {}", other.message))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(out, "{fault}\n")?;
        }
        write!(out, "error: {}", self.message)?;
        if let Some(cause) = &self.cause {
            write!(out, "\n  cause: {}", cause.trim_end().replace('\n', "\n         "))?;
        }
        for next in &self.next {
            write!(out, "\n  next:  {next}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_three_parts() {
        let error = Error::external("cannot dump postgresql-mattermost-virtualdonkey.fr: pg_dump ended with 1")
            .cause("FATAL: role \"mattermost\" does not exist")
            .next("summoner credentials mattermost --check");
        insta::assert_snapshot!(error, @r#"
        error: cannot dump postgresql-mattermost-virtualdonkey.fr: pg_dump ended with 1
          cause: FATAL: role "mattermost" does not exist
          next:  summoner credentials mattermost --check
        "#);
    }
}
