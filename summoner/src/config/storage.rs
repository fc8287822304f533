//! The two storage roots: where they lie, and that nothing precious lies there already.
//!
//! Paths are compared as text; nothing is looked up, so a link can still lead elsewhere.

use std::path::{Component, Path, PathBuf};

use super::Surroundings;
use super::values::short;
use super::written::{At, Written};
use crate::fault::Faults;
use crate::layout::Layout;
use crate::name::ContainerName;

const FILES: &str = "./data";
const DATABASES: &str = "database";

/// Folders that a system keeps its own things in; nothing below them is ours either.
const SYSTEM: [&str; 12] = ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib/docker"];
/// Folders that hold other folders: one inside is fine, the folder itself is everyone's.
const SHARED: [&str; 12] =
    ["/", "/home", "/media", "/opt", "/root", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"];
/// Folders that a reboot empties.
const FLEETING: [&str; 3] = ["/tmp", "/var/tmp", "/var/run"];

/// Both roots, absolute and safe; None when a fault was recorded.
pub(super) fn layout(written: &Written, surroundings: &Surroundings<'_>, faults: &mut Faults) -> Option<Layout> {
    let files = root("storage.files", written.files.as_ref(), Path::new(FILES), surroundings, faults);
    // A missing root for databases follows the one for files, so its faults are those of the files.
    let databases = match (&written.databases, &files) {
        (None, files) => files.as_ref().map(|files| files.join(DATABASES)),
        (some, _) => root("storage.databases", some.as_ref(), Path::new(DATABASES), surroundings, faults),
    };
    let layout = Layout { files: files?, databases: databases? };
    let span = written.databases.as_ref().or(written.files.as_ref()).map_or(0..0, |at| at.span.clone());
    match conflict(&layout) {
        None => Some(layout),
        Some((message, help)) => {
            faults.error_with_help(&span, message, help);
            None
        }
    }
}

fn root(what: &str, written: Option<&At<String>>, default: &Path, surroundings: &Surroundings<'_>, faults: &mut Faults) -> Option<PathBuf> {
    let (text, span) = written.map_or((default.to_string_lossy().into_owned(), 0..0), |at| (at.value.clone(), at.span.clone()));
    let found = absolute(&text, surroundings).and_then(|path| safe(path, surroundings));
    match found {
        Ok(path) => {
            if let Some(parent) = FLEETING.iter().find(|parent| path.starts_with(parent)) {
                faults.warning(
                    &span,
                    format!("{what} lies in {parent}, which a reboot may empty"),
                    "choose a folder such as /srv/summoner",
                );
            }
            Some(path)
        }
        Err(reason) => {
            let help = "a folder of its own, such as ./data or /srv/summoner, is right";
            faults.error_with_help(&span, format!("{what} cannot be `{}`: {reason}", short(&text)), help);
            None
        }
    }
}

/// Resolves `~`, what is relative to the file's folder, and `.` and `..`.
pub(super) fn absolute(text: &str, surroundings: &Surroundings<'_>) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    // Engines separate host and container path by a colon, and Compose substitutes a dollar.
    if let Some(strange) = text.chars().find(|c| c.is_control() || matches!(c, ':' | '$' | '"' | '\\')) {
        return Err(format!("a storage path holds no {}", strange.escape_default()));
    }
    let path = match text.strip_prefix('~') {
        None => surroundings.path.parent().unwrap_or(Path::new("/")).join(text),
        Some("") => home(surroundings)?.to_path_buf(),
        Some(rest) => home(surroundings)?.join(rest.strip_prefix('/').ok_or("only `~/` is known, not another user's home")?),
    };
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    Ok(clean)
}

fn home<'a>(surroundings: &Surroundings<'a>) -> Result<&'a Path, String> {
    surroundings.home.ok_or_else(|| "there is no home folder for `~`".into())
}

fn safe(path: PathBuf, surroundings: &Surroundings<'_>) -> Result<PathBuf, String> {
    if let Some(reason) = unsafe_place(&path, surroundings) {
        return Err(reason);
    }
    if path.as_os_str().len() > 512 {
        return Err("it is longer than 512 bytes".into());
    }
    Ok(path)
}

/// Why a folder of ours cannot be this one.
pub(super) fn unsafe_place(path: &Path, surroundings: &Surroundings<'_>) -> Option<String> {
    if let Some(system) = SYSTEM.iter().find(|system| path.starts_with(system)) {
        return Some(format!("{system} belongs to the system"));
    }
    let a_home = path.parent() == Some(Path::new("/home")) || surroundings.home == Some(path);
    let shared = a_home || SHARED.iter().any(|shared| path == Path::new(shared));
    shared.then(|| format!("{} holds other things; take a folder inside it", path.display()))
}

/// Why the two roots cannot be together, and what would be right.
fn conflict(layout: &Layout) -> Option<(String, String)> {
    let Layout { files, databases } = layout;
    let beside = || format!("{} is a good place", files.join(DATABASES).display());
    if files == databases {
        return Some((format!("storage.databases is the same folder as storage.files: {}", files.display()), beside()));
    }
    for own in [layout.own(), layout.backups()] {
        if databases.starts_with(&own) {
            return Some((format!("storage.databases lies in {}, which is Summoner's own", own.display()), beside()));
        }
    }
    if let Some(folder) = inside_an_application(databases, files) {
        return Some((format!("storage.databases lies in an application's own folder, {}", files.join(&folder).display()), beside()));
    }
    let folder = inside_an_application(files, databases)?;
    let message = format!("storage.files lies in an application's own folder, {}", databases.join(&folder).display());
    Some((message, "take a folder outside storage.databases".into()))
}

/// The folder below `root` that `path` lies in, when its name is that of an instance or a container.
pub(super) fn inside_an_application(path: &Path, root: &Path) -> Option<String> {
    let first = path.strip_prefix(root).ok()?.components().next()?;
    let name = first.as_os_str().to_str()?;
    name.parse::<ContainerName>().ok().map(|name| name.to_string())
}
