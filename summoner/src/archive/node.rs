//! One entry of a tree: its name and everything about it except content.

/// Seconds and nanoseconds since 1970; the seconds may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// The rest, below a thousand million.
    pub nanos: u32,
}

/// Extended attributes, ACLs and capabilities among them: name and value, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link and where it points.
    Symlink(Vec<u8>),
    /// Another name of a file that stands before it in the same tree.
    Link(Vec<u8>),
    /// A named pipe.
    Fifo,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its path in the tree: parts with `/` between them, none at the ends; any bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content was last changed.
    pub mtime: Time,
    /// Its extended attributes.
    pub xattrs: Xattrs,
}

impl Node {
    /// A file as packs and small archives hold it: a name and a mode.
    #[must_use]
    pub fn plain(path: &[u8], mode: u32) -> Self {
        Self { path: path.to_vec(), kind: Kind::File, mode, uid: 0, gid: 0, mtime: Time::default(), xattrs: Xattrs::new() }
    }
}
