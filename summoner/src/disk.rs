//! Files that survive a crash: the one place that writes to disk, and the bounded reads beside it.
//!
//! A file is written under a temporary name in its own folder, flushed, renamed, and the folder is flushed: whoever
//! reads sees the old text or the new one, never half of either. Knows no path of its own; every error names one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::apply::crash;
use crate::error::{Error, Result};

/// Begins the name of every temporary file; one that a crash left behind is known by it.
pub const TEMPORARY: &str = ".new-";

/// Writes a whole file with exactly this mode, replacing what was there. A link at that place is replaced, not followed.
///
/// # Errors
/// When the folder is missing or cannot be written; the old file is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    write_atomic_as(path, bytes, mode, None)
}

/// As [`write_atomic`], for a uid and gid: the file never exists under its name with another owner.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_atomic_as(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let fail = |source: &io::Error| Error::io("write", path, source);
    let folder = folder_of(path)?;
    crash::room().map_err(|e| fail(&e))?;
    // 0600 until everything is in it; tempfile removes it again when anything below fails.
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder).map_err(|e| fail(&e))?;
    file.write_all(bytes).map_err(|e| fail(&e))?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(file.as_file(), Some(uid), Some(gid)).map_err(|e| fail(&e))?;
    }
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| fail(&e))?;
    file.as_file().sync_all().map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    sync_folder(folder)
}

/// Writes a file that can be made again, into a folder that nobody reads yet; it lasts once it is flushed.
///
/// # Errors
/// When something lies at that place, or the folder cannot be written.
pub fn write_unflushed(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let fail = |source: &io::Error| Error::io("write", path, source);
    let mut file = create_new(path, mode)?;
    file.write_all(bytes).map_err(|e| fail(&e))?;
    // The process's own mask may have narrowed it.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| fail(&e))
}

/// Replaces a file that can be made again: whole or as it was, until the power fails; it lasts once it is flushed.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace_unflushed(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let fail = |source: &io::Error| Error::io("write", path, source);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder_of(path)?).map_err(|e| fail(&e))?;
    file.write_all(bytes).map_err(|e| fail(&e))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| fail(&e))?;
    file.persist(path).map(drop).map_err(|e| fail(&e.error))
}

/// Waits until a file or folder is on disk.
///
/// # Errors
/// When it cannot be opened, or the disk refuses.
pub fn flush(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::io("flush", path, &error))
}

/// As [`write_atomic`], for bytes that come in pieces.
///
/// # Errors
/// As [`write_atomic`], or they cannot be read.
pub fn write_stream(path: &Path, bytes: &mut dyn Read, mode: u32) -> Result<()> {
    let fail = |source: &io::Error| Error::io("write", path, source);
    let folder = folder_of(path)?;
    crash::room().map_err(|e| fail(&e))?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder).map_err(|e| fail(&e))?;
    io::copy(bytes, &mut file).map_err(|e| fail(&e))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| fail(&e))?;
    file.as_file().sync_all().map_err(|e| fail(&e))?;
    file.persist(path).map_err(|e| fail(&e.error))?;
    sync_folder(folder)
}

/// Writes to a file of the kernel, such as `/proc/sys/vm/max_map_count`: those take no replacement, and need none.
///
/// # Errors
/// When the kernel refuses.
pub fn write_in_place(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::io("write", path, &error))
}

/// Points a symbolic link at `target`, in one step: there is never a moment without the link.
///
/// # Errors
/// When the folder cannot be written.
pub fn link_atomic(target: &Path, path: &Path) -> Result<()> {
    link_unflushed(target, path)?;
    sync_folder(folder_of(path)?)
}

/// As [`link_atomic`], for a link that can be made again; it lasts once its folder is flushed.
///
/// # Errors
/// As [`link_atomic`].
pub fn link_unflushed(target: &Path, path: &Path) -> Result<()> {
    let folder = folder_of(path)?;
    let link = |at: &Path| crash::room().and_then(|()| std::os::unix::fs::symlink(target, at));
    let made = tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, link).map_err(|e| Error::io("make a link in", folder, &e))?;
    made.into_temp_path().persist(path).map_err(|e| Error::io("replace the link", path, &e.error))
}

/// Makes a folder (and its parents, 0755) with this mode and owner; true when it was not there. One that is there is
/// left as it is: it may be an application's.
///
/// # Errors
/// When a file or a link lies at that place, or it cannot be made.
pub fn ensure_folder(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<bool> {
    if is_folder(path)? {
        return Ok(false);
    }
    let parent = folder_of(path)?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(|e| Error::io("make the folder", parent, &e))?;
    // Private until mode and owner are set.
    match crash::room().and_then(|()| fs::DirBuilder::new().mode(0o700).create(path)) {
        Ok(()) => {}
        // Somebody was faster: then it is theirs, and must still be a folder.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => return is_folder(path).map(|_| false),
        Err(source) => return Err(Error::io("make the folder", path, &source)),
    }
    correct(path, mode, owner)?;
    sync_folder(parent)?;
    Ok(true)
}

/// As [`ensure_folder`] for a folder that is Summoner's own: a mode or owner that differs is corrected.
///
/// # Errors
/// As [`ensure_folder`].
pub fn ensure_own_folder(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<bool> {
    let made = ensure_folder(path, mode, owner)?;
    if !made {
        correct(path, mode, owner)?;
    }
    Ok(made)
}

fn correct(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let fail = |source: &io::Error| Error::io("set mode and owner of", path, source);
    // Opened without following a link, so what was checked is what is changed.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let flags = i32::try_from(flags.bits()).map_err(|_| Error::internal("flags of open do not fit their type"))?;
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|e| fail(&e))?;
    let now = folder.metadata().map_err(|e| fail(&e))?;
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (now.uid(), now.gid())) {
        std::os::unix::fs::fchown(&folder, Some(uid), Some(gid)).map_err(|e| fail(&e))?;
    }
    if now.mode() & 0o7777 != mode {
        folder.set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| fail(&e))?;
    }
    Ok(())
}

/// Whether a folder is there.
///
/// # Errors
/// When a file or a link lies at that place.
pub fn is_folder(path: &Path) -> Result<bool> {
    let refuse = |what: &str| {
        Err(Error::external(format!("{} is {what}, and a folder is needed there", path.display()))
            .next("move it away, then run the same command again"))
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(found) if found.is_symlink() => refuse("a symbolic link"),
        Ok(_) => refuse("a file"),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::io("look at", path, &source)),
    }
}

/// Removes a file and flushes its folder; absent is fine.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)?),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::io("remove", path, &source)),
    }
}

/// Removes a folder with everything in it; absent is fine. A link is removed, never followed.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(source) => Err(source),
    };
    match removed {
        Ok(()) => sync_folder(folder_of(path)?),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::io("remove", path, &source)),
    }
}

/// Removes a folder that holds nothing; true when it is gone. Absent is fine, so is one that holds something.
///
/// # Errors
/// When it cannot be removed for another reason.
pub fn remove_if_empty(path: &Path) -> Result<bool> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(source) => Err(Error::io("remove", path, &source)),
    }
}

/// Gives a file or folder another name on the same file system; on disk when this returns.
///
/// # Errors
/// When it cannot be renamed, or something lies at the new name.
pub fn move_to(from: &Path, to: &Path) -> Result<()> {
    let fail = |source: &io::Error| Error::io("move", from, source);
    let here = rustix::fs::CWD;
    rustix::fs::renameat_with(here, from, here, to, rustix::fs::RenameFlags::NOREPLACE).map_err(|error| fail(&error.into()))?;
    sync_folder(folder_of(to)?)?;
    sync_folder(folder_of(from)?)
}

/// Paths of what is in a folder, sorted; an absent folder is empty.
///
/// # Errors
/// When it cannot be read.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source: &io::Error| Error::io("read the folder", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(fail(&source)),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(|e| fail(&e))?;
    paths.sort();
    Ok(paths)
}

/// Flushes everything that was written to the file system of a path.
///
/// # Errors
/// When the disk refuses.
pub fn sync_file_system(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(|e| Error::io("open", path, &e))?;
    rustix::fs::syncfs(&folder).map_err(|e| Error::io("flush the file system of", path, &e.into()))
}

/// Makes a file that was not there, for somebody who writes it in pieces and flushes it when it has to last.
///
/// # Errors
/// When something lies at that place, or the folder cannot be written.
pub fn create_new(path: &Path, mode: u32) -> Result<File> {
    let made = crash::room().and_then(|()| OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path));
    made.map_err(|error| Error::io("make", path, &error))
}

/// Takes the kernel's lock on a file, which is made when absent; None when another process holds it otherwise. It ends
/// with the process, and when the file is dropped.
///
/// # Errors
/// When the file cannot be opened.
pub fn lock(path: &Path, exclusive: bool) -> Result<Option<File>> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|error| Error::io("open the lock", path, &error))?;
    let taken = if exclusive { file.try_lock() } else { file.try_lock_shared() };
    match taken {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", path, &error)),
    }
}

/// Gives a flushed file or folder its name on the same file system, replacing a file there, and flushes the folder.
///
/// # Errors
/// When it cannot be renamed.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("rename to", to, &error))?;
    sync_folder(folder_of(to)?)
}

/// Flushes the names in a folder to disk.
///
/// # Errors
/// When the folder cannot be opened or flushed.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("flush the folder", folder, &e))
}

/// Reads a whole file of at most `max_bytes`.
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    read_if_there(path, max_bytes)?.ok_or_else(|| Error::io("read", path, &io::ErrorKind::NotFound.into()))
}

/// As [`read_bounded`]; None when there is no such file.
///
/// # Errors
/// As [`read_bounded`], except for an absent file.
pub fn read_if_there(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
    let fail = |source: &io::Error| Error::io("read", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(fail(&source)),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::external(format!("{} is longer than {max_bytes} bytes, which no such file should be", path.display())));
    }
    Ok(Some(bytes))
}

/// How many bytes Summoner may still write where `path` is, or will be.
///
/// # Errors
/// When no parent of it can be asked.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let found = rustix::fs::statvfs(there).map_err(|e| Error::io("ask for the free space of", there, &e.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn folder_of(path: &Path) -> Result<&Path> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.ok_or_else(|| Error::internal(format!("{} has no folder: paths are absolute by now", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_written_file_is_whole_has_its_mode_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomic(&path, b"first, and longer", 0o600).unwrap();
        write_atomic(&path, b"second", 0o644).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"second".as_slice(), 0o644));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, path) = (folder.path().join("outside"), folder.path().join("link"));
        write_atomic(&outside, b"theirs", 0o644).unwrap();
        link_atomic(Path::new("nowhere"), &path).unwrap();
        link_atomic(Path::new("outside"), &path).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("outside"));
        write_atomic(&path, b"ours", 0o600).unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn folders_are_made_once_and_only_own_ones_corrected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        assert!(ensure_folder(&path, 0o750, None).unwrap());
        assert_eq!(mode(&path), 0o750);
        assert!(!ensure_folder(&path, 0o700, None).unwrap());
        assert_eq!(mode(&path), 0o750, "an existing folder is left as it is");
        ensure_own_folder(&path, 0o700, None).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_atomic(&file, b"", 0o600).unwrap();
        link_atomic(folder.path(), &link).unwrap();
        assert!(ensure_folder(&file, 0o700, None).unwrap_err().message.contains("is a file"));
        assert!(ensure_own_folder(&link, 0o700, None).unwrap_err().message.contains("is a symbolic link"));
    }

    #[test]
    fn reads_are_bounded_and_errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read_if_there(&path, 9).unwrap(), None);
        assert!(read_bounded(&path, 9).unwrap_err().message.ends_with("/file"));
        write_atomic(&path, b"four", 0o600).unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap(), b"four");
        assert!(read_bounded(&path, 3).unwrap_err().message.contains("longer than 3 bytes"));
        assert!(write_atomic(&folder.path().join("none/file"), b"", 0o600).unwrap_err().message.contains("none/file"));
        assert!(free_bytes(&folder.path().join("not/yet")).unwrap() > 0);
    }
}
