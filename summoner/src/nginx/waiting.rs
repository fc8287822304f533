//! Pages beside the generations that say why an application does not answer right now, and when it is back.
//!
//! nginx looks for the file at each failure, so one that comes or goes needs no reload. Whoever stops an application for a
//! moment (`crate::backup`) puts it there before and takes it away after.

use std::fs;
use std::io;
use std::time::Duration;

use crate::disk;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::route;
use crate::vhost::HostName;

/// Puts the page of a host: "Ghost is being backed up and is back in about 20 seconds".
///
/// # Errors
/// The disk refuses.
pub fn put(layout: &Layout, host: &HostName, app: &str, why: &str, back_in: Duration) -> Result<()> {
    let folder = layout.nginx_waiting();
    disk::ensure_folder(&layout.own(), 0o700, None)?;
    // nginx's workers read it: open, as the folder of generations is.
    disk::ensure_own_folder(&layout.nginx(), 0o755, None)?;
    disk::ensure_own_folder(&folder, 0o755, None)?;
    disk::write_atomic(&folder.join(route::page_name(host)), route::paused(app, host, why, back_in).as_bytes(), 0o644)
}

/// Takes it away; one that is not there is no fault.
///
/// # Errors
/// The disk refuses.
pub fn remove(layout: &Layout, host: &HostName) -> Result<()> {
    let path = layout.nginx_waiting().join(route::page_name(host));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { files: folder.path().to_owned(), databases: folder.path().join("database") };
        let host = HostName::Exact("blog.a.fr".to_owned());
        remove(&layout, &host).unwrap();
        put(&layout, &host, "ghost", "is being backed up", Duration::from_secs(20)).unwrap();
        let path = folder.path().join("summoner/nginx/waiting/blog.a.fr.html");
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains("<h1>Ghost is being backed up</h1>") && page.contains("back in about 20 seconds"), "{page}");
        remove(&layout, &host).unwrap();
        assert!(!path.exists());
    }
}
