//! nginx-proxy's arrangement: a stock `nginx.conf` includes `conf.d/*.conf`, and all of ours is `default.conf` there.
//!
//! Generations wait in a hidden folder beside it, which the stock file does not include; a candidate is tested with the
//! stock file's own text, in which the include of `conf.d` is replaced by the owner's files and the candidate.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use regex::{NoExpand, Regex};

use crate::disk;
use crate::error::{Error, Result};
use crate::layout;
use crate::plan::route::Generation;

/// The file that is ours among the owner's.
pub const FILE: &str = "default.conf";
/// The folder of a part that is tested.
const PART: &str = "part";
/// How many generations stay.
const KEPT: usize = 3;
/// Far above 3,000 hosts.
const MAX_BYTES: u64 = 64 << 20;

static INCLUDE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)include\s+(?:\S*/)?conf\.d/\*(?:\.conf)?\s*;").ok());

/// The folder `conf.d`, here and as nginx sees it.
#[derive(Debug, Clone)]
pub struct Classic {
    folder: PathBuf,
    inside: String,
    /// The text of nginx's own main file.
    stock: String,
}

impl Classic {
    /// `conf.d` here, its path as nginx sees it, and the text of the main file that nginx was started with.
    ///
    /// # Errors
    /// The main file does not include `conf.d`.
    pub fn new(folder: &Path, inside: &str, stock: &str) -> Result<Self> {
        if !INCLUDE.as_ref().is_some_and(|include| include.is_match(stock)) {
            return Err(Error::external("nginx's own nginx.conf does not include conf.d/*.conf, so nothing of ours would be read")
                .next(format!("add to its http block: include {inside}/*.conf;")));
        }
        Ok(Self { folder: folder.to_owned(), inside: inside.to_owned(), stock: stock.to_owned() })
    }

    fn generations(&self) -> PathBuf {
        layout::classic_generations(&self.folder)
    }

    fn generation(&self, id: &str) -> PathBuf {
        self.generations().join(id)
    }

    /// The generation that was put in place last and is still there.
    pub(super) fn current(&self) -> Result<Option<String>> {
        let Some(placed) = disk::read_if_there(&self.folder.join(FILE), MAX_BYTES)? else { return Ok(None) };
        for folder in disk::files_in(&self.generations())?.into_iter().filter(|folder| !folder.ends_with(PART)) {
            if disk::read_if_there(&folder.join(FILE), MAX_BYTES)?.as_ref() == Some(&placed) {
                return Ok(folder.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
        Ok(None)
    }

    pub(super) fn holds(&self, generation: &Generation) -> Result<bool> {
        let text = generation.files.get(FILE).map(String::as_bytes);
        Ok(disk::read_if_there(&self.folder.join(FILE), MAX_BYTES)?.as_deref() == text)
    }

    pub(super) fn write(&self, generation: &Generation) -> Result<()> {
        self.lay(generation, &generation.id)
    }

    pub(super) fn write_part(&self, part: &Generation) -> Result<String> {
        self.lay(part, PART)?;
        Ok(self.candidate(PART))
    }

    fn lay(&self, generation: &Generation, name: &str) -> Result<()> {
        let folder = self.generation(name);
        disk::remove_tree(&folder)?;
        for (name, text) in &generation.files {
            let path = folder.join(name);
            disk::ensure_folder(path.parent().unwrap_or(&folder), 0o755, None)?;
            disk::write_unflushed(&path, text.as_bytes(), 0o644)?;
        }
        let mut includes = String::new();
        for path in disk::files_in(&self.folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // What nginx's own pattern would not find is not asked for.
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            if name.ends_with(".conf") && !name.starts_with('.') && name != FILE && plain {
                includes.push_str(&format!("include {}/{name};\n", self.inside));
            }
        }
        includes.push_str(&format!("include {}/{FILE};", self.inside_of(name)));
        let text = match INCLUDE.as_ref() {
            Some(include) => include.replace(&self.stock, NoExpand(&includes)).into_owned(),
            None => self.stock.clone(),
        };
        disk::write_unflushed(&folder.join("nginx.conf"), text.as_bytes(), 0o644)
    }

    fn inside_of(&self, id: &str) -> String {
        format!("{}/{}/{id}", self.inside, layout::CLASSIC_GENERATIONS)
    }

    pub(super) fn candidate(&self, id: &str) -> String {
        format!("{}/nginx.conf", self.inside_of(id))
    }

    pub(super) fn point(&self, id: &str) -> Result<()> {
        let source = self.generation(id).join(FILE);
        let text = disk::read_if_there(&source, MAX_BYTES)?.ok_or_else(|| Error::external(format!("{} is gone", source.display())))?;
        disk::replace_unflushed(&self.folder.join(FILE), &text, 0o644)
    }

    pub(super) fn flush(&self) -> Result<()> {
        disk::flush(&self.folder.join(FILE))?;
        disk::flush(&self.folder)
    }

    pub(super) fn remove(&self, id: &str) -> Result<()> {
        disk::remove_tree(&self.generation(id))
    }

    pub(super) fn prune(&self, id: &str, previous: Option<&str>) -> Result<()> {
        let age = |path: &PathBuf| path.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut others = disk::files_in(&self.generations())?;
        others.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name != Some(id) && name != previous && name != Some(PART)
        });
        others.sort_by_key(|path| std::cmp::Reverse(age(path)));
        let kept = KEPT - 1 - usize::from(previous.is_some_and(|previous| previous != id));
        others.iter().skip(kept).try_for_each(|path| disk::remove_tree(path))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn another_folder_that_ends_alike_is_not_conf_d() {
        let include = INCLUDE.as_ref().unwrap();
        assert!(!include.is_match("include /etc/nginx/toplevel.conf.d/*.conf;"));
        assert!(["/etc/nginx/conf.d/*.conf", "conf.d/*.conf", "conf.d/*"].iter().all(|path| include.is_match(&format!("include {path};"))));
    }

    #[test]
    fn a_candidate_is_tested_with_the_owners_files_and_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let stock = "http {\n    include /etc/nginx/conf.d/*.conf;\n}\n";
        disk::write_atomic(&folder.path().join("own.conf"), b"# mine\n", 0o644).unwrap();
        disk::write_atomic(&folder.path().join(FILE), b"# nginx's example\n", 0o644).unwrap();
        let classic = Classic::new(folder.path(), "/etc/nginx/conf.d", stock).unwrap();
        assert_eq!(classic.current().unwrap(), None, "somebody else's file");
        for id in ["1", "2", "3", "4"] {
            let generation = Generation { id: id.into(), files: BTreeMap::from([(FILE.to_owned(), format!("# {id}\n"))]) };
            let before = classic.current().unwrap();
            classic.write(&generation).unwrap();
            assert_eq!(classic.candidate(id), format!("/etc/nginx/conf.d/.summoner/{id}/nginx.conf"));
            let text = std::fs::read_to_string(folder.path().join(".summoner").join(id).join("nginx.conf")).unwrap();
            let wanted = format!("include /etc/nginx/conf.d/own.conf;\ninclude /etc/nginx/conf.d/.summoner/{id}/default.conf;\n}}");
            assert!(text.contains(&wanted), "{text}");
            classic.point(id).unwrap();
            classic.prune(id, before.as_deref()).unwrap();
            assert_eq!((classic.current().unwrap().as_deref(), classic.holds(&generation).unwrap()), (Some(id), true));
        }
        assert_eq!(disk::files_in(&folder.path().join(".summoner")).unwrap().len(), KEPT);
        assert!(Classic::new(folder.path(), "/etc/nginx/conf.d", "http {}").is_err());
    }
}
