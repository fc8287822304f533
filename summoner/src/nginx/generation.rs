//! Generations on disk: one folder each, a link to the one that runs, and the broom.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::Domain;
use crate::plan::route::{Generation, HOSTS};

const PREFIX: &str = "gen-";
/// The main file of a generation.
const MAIN: &str = "nginx.conf";
/// The folder of a part that is tested; a temporary name, so the broom takes one that a crash left.
const PART: &str = ".new-part";
/// How many generations stay, the current one among them.
const KEPT: usize = 3;
/// Far above the file of any host.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The folder's name, on the host and inside the container.
pub(super) fn folder_name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

fn folder(layout: &Layout, id: &str) -> PathBuf {
    layout.nginx_generation(&folder_name(id))
}

/// The folder of all generations: nginx's workers read the pages in it, so it is open; the one around it is not.
fn prepare_folder(layout: &Layout) -> Result<()> {
    disk::ensure_folder(&layout.own(), 0o700, None)?;
    disk::ensure_own_folder(&layout.nginx(), 0o755, None)?;
    Ok(())
}

/// The id of the generation that the link names.
pub(super) fn current(layout: &Layout) -> Result<Option<String>> {
    let path = layout.nginx_current();
    match fs::read_link(&path) {
        Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX)).map(str::to_owned)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read the link", &path, &source)),
    }
}

/// Whether nginx could read its main file in a generation.
pub(super) fn starts(layout: &Layout, id: &str) -> bool {
    folder(layout, id).join(MAIN).is_file()
}

/// Points the link; [`flush`] makes it last.
pub(super) fn point(layout: &Layout, id: &str) -> Result<()> {
    disk::link_unflushed(Path::new(&folder_name(id)), &layout.nginx_current())
}

fn fill(target: &Path, generation: &Generation) -> Result<()> {
    disk::ensure_own_folder(target, 0o755, None)?;
    for (path, text) in &generation.files {
        let path = target.join(path);
        for parent in path.ancestors().skip(1).take_while(|parent| *parent != target).collect::<Vec<_>>().into_iter().rev() {
            disk::ensure_own_folder(parent, 0o755, None)?;
        }
        disk::write_atomic(&path, text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Writes the folder beside its place and renames it, so a generation is whole or not there. One that is there is
/// compared, and repaired when somebody changed it. True when something had to be written. Does not wait for the disk:
/// [`flush`] does that once nginx runs it. Files that a generation before had too are linked, not written.
pub(super) fn write(layout: &Layout, generation: &Generation, before: Option<&Generation>) -> Result<bool> {
    prepare_folder(layout)?;
    let target = folder(layout, &generation.id);
    let written = if disk::is_folder(&target)? {
        repair(&target, generation)?
    } else {
        let draft = layout.nginx_generation(&format!("{}{}", disk::TEMPORARY, generation.id));
        remove_folder(&draft)?;
        let source = before.map(|before| (folder(layout, &before.id), before));
        lay(&draft, generation, source.as_ref().map(|(folder, before)| (folder.as_path(), *before)))?;
        fs::rename(&draft, &target).map_err(|e| Error::io("rename to", &target, &e))?;
        true
    };
    // The broom goes by age; one that is wanted again is young again.
    let touched = File::open(&target).and_then(|folder| folder.set_modified(SystemTime::now()));
    touched.map_err(|e| Error::io("touch", &target, &e))?;
    Ok(written)
}

/// A part of a generation for `nginx -t` alone; gives its folder's name.
pub(super) fn write_part(layout: &Layout, part: &Generation, of: &Generation) -> Result<&'static str> {
    remove_part(layout)?;
    lay(&layout.nginx_generation(PART), part, Some((&folder(layout, &of.id), of)))?;
    Ok(PART)
}

fn remove_part(layout: &Layout) -> Result<()> {
    remove_folder(&layout.nginx_generation(PART))
}

/// Files without a wait for the disk, linked to `before` where they are the same.
fn lay(target: &Path, generation: &Generation, before: Option<(&Path, &Generation)>) -> Result<()> {
    let make = |folder: &Path| {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|e| Error::io("make the folder", folder, &e))
    };
    make(target)?;
    make(&target.join(HOSTS))?;
    let mut folders = BTreeSet::from([target.to_owned(), target.join(HOSTS)]);
    for (name, text) in &generation.files {
        let path = target.join(name);
        if let Some(parent) = path.parent().filter(|parent| !folders.contains(*parent)) {
            make(parent)?;
            folders.insert(parent.to_owned());
        }
        let same = before.filter(|(_, before)| before.files.get(name) == Some(text));
        // A file that somebody removed by hand is written again.
        let linked = same.is_some_and(|(folder, _)| fs::hard_link(folder.join(name), &path).is_ok());
        if !linked {
            disk::write_unflushed(&path, text.as_bytes(), 0o644)?;
        }
    }
    Ok(())
}

/// Waits for the disk: nginx alone must come up from it.
pub(super) fn flush(layout: &Layout, id: &str) -> Result<()> {
    // Its links would pass for those of a generation before.
    remove_part(layout)?;
    let target = folder(layout, id);
    let mut folders = vec![target];
    while let Some(folder) = folders.pop() {
        for path in list(&folder)? {
            let found = fs::symlink_metadata(&path).map_err(|e| Error::io("look at", &path, &e))?;
            if found.is_dir() {
                folders.push(path);
            } else if found.nlink() == 1 {
                // One that a generation before has too was flushed with it.
                disk::flush(&path)?;
            }
        }
        disk::flush(&folder)?;
    }
    disk::sync_folder(&layout.nginx())
}

/// Whether a generation is on disk, byte by byte.
pub(super) fn holds(layout: &Layout, generation: &Generation) -> Result<bool> {
    let target = folder(layout, &generation.id);
    if !disk::is_folder(&target)? {
        return Ok(false);
    }
    for (name, text) in &generation.files {
        if disk::read_if_there(&target.join(name), MAX_FILE_BYTES)?.as_deref() != Some(text.as_bytes()) {
            return Ok(false);
        }
    }
    Ok(list(&target.join(HOSTS))?.len() == generation.files.keys().filter(|name| name.starts_with(HOSTS)).count())
}

fn repair(target: &Path, generation: &Generation) -> Result<bool> {
    let same = |(path, text): (&String, &String)| {
        disk::read_if_there(&target.join(path), MAX_FILE_BYTES).ok().flatten().is_some_and(|bytes| bytes == text.as_bytes())
    };
    let mut written = !generation.files.iter().all(same);
    if written {
        fill(target, generation)?;
    }
    // A foreign file among the hosts would be included.
    let hosts = target.join(HOSTS);
    for entry in list(&hosts)? {
        let name = entry.strip_prefix(target).unwrap_or(&entry).to_string_lossy().into_owned();
        if !generation.files.contains_key(&name) {
            fs::remove_file(&entry).map_err(|e| Error::io("remove", &entry, &e))?;
            written = true;
        }
    }
    Ok(written)
}

/// Removes one generation.
pub(super) fn remove(layout: &Layout, id: &str) -> Result<()> {
    remove_folder(&folder(layout, id))
}

/// Removes drafts that a crash left, and generations beyond the last three; never the current or the previous one.
pub(super) fn prune(layout: &Layout, current: &str, previous: Option<&str>) -> Result<()> {
    let mut found = Vec::new();
    for path in list(&layout.nginx())? {
        let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
        if name.starts_with(disk::TEMPORARY.as_bytes()) {
            remove_any(&path)?;
        } else if is_generation(&name) {
            let age = fs::symlink_metadata(&path).and_then(|found| found.modified()).map_err(|e| Error::io("look at", &path, &e))?;
            found.push((age, path));
        }
    }
    let mut kept: BTreeSet<PathBuf> = [Some(current), previous].into_iter().flatten().map(|id| folder(layout, id)).collect();
    found.sort_by(|a, b| b.cmp(a));
    for (_, path) in found {
        if kept.len() < KEPT {
            kept.insert(path);
        } else if !kept.contains(&path) {
            remove_folder(&path)?;
        }
    }
    Ok(())
}

fn is_generation(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX.as_bytes()).is_some_and(|id| id.len() == 16 && id.iter().all(u8::is_ascii_hexdigit))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source: &io::Error| Error::io("list", folder, source);
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(|e| fail(&e))).collect(),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(fail(&source)),
    }
}

fn remove_any(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|e| Error::io("look at", path, &e))?;
    if found.is_dir() { remove_folder(path) } else { fs::remove_file(path).map_err(|e| Error::io("remove", path, &e)) }
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, &source)),
        _ => Ok(()),
    }
}

/// The hosts that the linked generation serves: one file each.
pub(super) fn hosts(layout: &Layout) -> Result<BTreeSet<Domain>> {
    let folder = layout.nginx_current().join(HOSTS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::io("read", &folder, &error)),
    };
    let mut hosts = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(|error| Error::io("read", &folder, &error))?.file_name();
        hosts.extend(name.to_str().and_then(|name| name.strip_suffix(".conf")).and_then(|host| host.parse().ok()));
    }
    Ok(hosts)
}
