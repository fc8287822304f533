//! `~/.summoner`: where things are, for every command and for shell scripts that `source` it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The name of the variable that names config.yml, in the file and in the environment.
pub const CONFIG_VARIABLE: &str = "SUMMONER_CONFIG_FILE";

/// What `~/.summoner` holds; all paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HomeFile {
    /// `SUMMONER_HOME`: the folder of config.yml.
    pub home: Option<PathBuf>,
    /// `MINIONS_DIR`: the person's own minions.
    pub minions: Option<PathBuf>,
    /// `VOLUME_STORAGE_ROOT`: application files.
    pub files: Option<PathBuf>,
    /// `DATABASE_STORAGE_ROOT`: database files.
    pub databases: Option<PathBuf>,
    /// `SUMMONER_CONFIG_FILE`: config.yml.
    pub config: Option<PathBuf>,
}

/// Why a `~/.summoner` is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// Not `NAME=value`.
    #[error("line {line} of ~/.summoner is not NAME=/a/path")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A path that depends on where a command is run.
    #[error("{name} in ~/.summoner is not an absolute path")]
    Relative {
        /// The variable.
        name: String,
    },
}

impl HomeFile {
    fn field(&mut self, name: &str) -> Option<&mut Option<PathBuf>> {
        Some(match name {
            "SUMMONER_HOME" => &mut self.home,
            "MINIONS_DIR" => &mut self.minions,
            "VOLUME_STORAGE_ROOT" => &mut self.files,
            "DATABASE_STORAGE_ROOT" => &mut self.databases,
            CONFIG_VARIABLE => &mut self.config,
            _ => return None,
        })
    }
}

/// Reads a `~/.summoner`. Variables that we do not know are the person's own and are passed over.
///
/// # Errors
/// A line that is not `NAME=value`, a path that is not absolute.
pub fn parse(text: &str) -> Result<HomeFile, HomeError> {
    let mut file = HomeFile::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let wrong = || HomeError::Line { line: at + 1 };
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let value = unquote(value).ok_or_else(wrong)?;
        let Some(field) = file.field(name.trim_end()) else { continue };
        if value.is_empty() {
            continue;
        }
        let path = PathBuf::from(value);
        if !path.is_absolute() {
            return Err(HomeError::Relative { name: name.trim_end().to_owned() });
        }
        *field = Some(path);
    }
    Ok(file)
}

/// Writes a `~/.summoner` that [`parse`] and a shell read alike.
#[must_use]
pub fn render(file: &HomeFile) -> String {
    let lines = [
        ("SUMMONER_HOME", &file.home),
        ("MINIONS_DIR", &file.minions),
        ("VOLUME_STORAGE_ROOT", &file.files),
        ("DATABASE_STORAGE_ROOT", &file.databases),
        (CONFIG_VARIABLE, &file.config),
    ];
    let lines = lines.into_iter().filter_map(|(name, path)| Some(format!("{name}={}\n", quote(&path.as_ref()?.to_string_lossy()))));
    std::iter::once("# Written by summoner install (version 1); it is written anew when config.yml moves.\n".to_owned())
        .chain(lines)
        .collect()
}

/// Which config.yml a command means: `--config`, then the environment, then `~/.summoner`, then the working folder.
#[must_use]
pub fn locate(flag: Option<&Path>, environment: Option<&OsStr>, home_file: Option<&HomeFile>, cwd: &Path) -> PathBuf {
    let environment = environment.filter(|value| !value.is_empty()).map(Path::new);
    let known = home_file.and_then(|file| file.config.as_deref());
    let path = flag.or(environment).or(known).unwrap_or(Path::new("config.yml"));
    // Not `canonicalize`: the path in messages stays the one that the person knows.
    cwd.join(path.strip_prefix(".").unwrap_or(path))
}

fn unquote(value: &str) -> Option<String> {
    let value = value.trim();
    match value.chars().next() {
        Some('\'') => {
            // `'\''` is how a shell writes a quote between quotes.
            let inner = value.strip_prefix('\'')?.strip_suffix('\'')?;
            let plain = inner.replace("'\\''", "\0");
            (!plain.contains('\'')).then(|| plain.replace('\0', "'"))
        }
        Some('"') => {
            let inner = value.strip_prefix('"')?.strip_suffix('"')?;
            (!inner.contains(['"', '\\', '$', '`'])).then(|| inner.to_owned())
        }
        _ => Some(value.split(" #").next().unwrap_or_default().trim_end().to_owned()),
    }
}

fn quote(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = HomeFile {
            home: Some("/srv/my team".into()),
            config: Some("/srv/my team/config.yml".into()),
            files: Some("/srv/data".into()),
            ..HomeFile::default()
        };
        insta::assert_snapshot!(render(&file), @r"
        # Written by summoner install (version 1); it is written anew when config.yml moves.
        SUMMONER_HOME='/srv/my team'
        VOLUME_STORAGE_ROOT=/srv/data
        SUMMONER_CONFIG_FILE='/srv/my team/config.yml'
        ");
        assert_eq!(parse(&render(&file)), Ok(file));
    }

    #[test]
    fn other_lines_are_passed_over_and_wrong_ones_named() {
        let file = parse("# mine\nexport SUMMONER_HOME=\"/root/Summoner\"\nEDITOR=vi\n\nMINIONS_DIR=/m # own\n").unwrap();
        assert_eq!((file.home.unwrap(), file.minions.unwrap()), ("/root/Summoner".into(), "/m".into()));
        assert_eq!(parse("SUMMONER_HOME\n"), Err(HomeError::Line { line: 1 }));
        assert_eq!(parse("\nSUMMONER_HOME=\"$HOME/x\"\n"), Err(HomeError::Line { line: 2 }));
        assert_eq!(parse("SUMMONER_HOME=data\n"), Err(HomeError::Relative { name: "SUMMONER_HOME".into() }));
    }

    #[test]
    fn the_nearest_word_wins() {
        let file = HomeFile { config: Some("/h/config.yml".into()), ..HomeFile::default() };
        let cwd = Path::new("/w");
        assert_eq!(locate(Some(Path::new("f.yml")), Some(OsStr::new("/e.yml")), Some(&file), cwd), Path::new("/w/f.yml"));
        assert_eq!(locate(None, Some(OsStr::new("/e.yml")), Some(&file), cwd), Path::new("/e.yml"));
        assert_eq!(locate(None, Some(OsStr::new("")), Some(&file), cwd), Path::new("/h/config.yml"));
        assert_eq!(locate(None, None, Some(&HomeFile::default()), cwd), Path::new("/w/config.yml"));
        assert_eq!(locate(Some(Path::new("./x/c.yml")), None, None, cwd), Path::new("/w/x/c.yml"));
    }

    proptest! {
        #[test]
        fn any_path_survives(path in "/[^\0\r\n]{0,20}") {
            let file = HomeFile { home: Some(path.into()), ..HomeFile::default() };
            prop_assert_eq!(parse(&render(&file)), Ok(file));
        }
    }
}
