//! All minions there are: those inside the binary, shadowed by the person's own folders.
//!
//! A broken folder is an error when it is asked for, never before: it takes down no other minion.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::{Minion, Origin, schema};
use crate::error::{Error, Kind, Result};
use crate::fault::{Source, did_you_mean};
use crate::name::App;

/// `minions/` of the sources, packed by build.rs.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/minions.tar.gz"));

/// The file that says what Compose cannot.
pub const MINION_FILE: &str = "minion.yml";
/// The file that says what the containers are.
pub const COMPOSE_FILE: &str = "docker-compose.yml";
/// How much of one file is read.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// All minions by name.
#[derive(Debug)]
pub struct Catalogue {
    minions: BTreeMap<String, Result<Minion>>,
}

impl Catalogue {
    /// Opens the catalogue of the binary and, when given and there, the person's own folder, which wins.
    ///
    /// # Errors
    /// When the person's folder cannot be listed. Faults of single minions wait for [`Self::get`].
    pub fn open(own: Option<&Path>) -> Result<Self> {
        let mut minions = embedded()?;
        if let Some(folder) = own {
            minions.extend(folders(folder)?);
        }
        Ok(Self { minions })
    }

    /// The minion of a name.
    ///
    /// # Errors
    /// When there is none, or its files hold faults.
    pub fn get(&self, name: &str) -> Result<&Minion> {
        match self.minions.get(name) {
            Some(Ok(minion)) => Ok(minion),
            Some(Err(error)) => Err(again(error)),
            None => Err(self.unknown(name)),
        }
    }

    /// The names, sorted, also those of broken minions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.minions.keys().map(String::as_str)
    }

    /// All minions in the order of their names, each with what is wrong with it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Result<&Minion>)> {
        self.minions.iter().map(|(name, found)| (name.as_str(), found.as_ref().map_err(again)))
    }

    fn unknown(&self, name: &str) -> Error {
        let error = Error::new(Kind::Config, format!("no minion is named `{name}`"));
        match did_you_mean(name, self.names()) {
            Some(hint) => error.cause(hint).next("summoner minions"),
            None => error.next("summoner minions"),
        }
    }
}

/// The same error once more: whoever asks gets one to keep.
fn again(error: &Error) -> Error {
    Error {
        kind: error.kind,
        message: error.message.clone(),
        cause: error.cause.clone(),
        next: error.next.clone(),
        faults: error.faults.clone(),
    }
}

fn embedded() -> Result<BTreeMap<String, Result<Minion>>> {
    let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    unpack(PACKED, &mut files).map_err(|error| Error::internal("cannot read the catalogue inside the program").cause(error))?;
    Ok(files
        .into_iter()
        .map(|(name, files)| {
            let shown = format!("minions/{name}");
            let minion = assemble(&name, &Origin::Catalogue, &shown, |file| Ok(files.get(file).cloned()));
            (name, minion)
        })
        .collect())
}

fn unpack(packed: &[u8], files: &mut BTreeMap<String, BTreeMap<String, String>>) -> io::Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let (name, file) = path.split_once('/').ok_or_else(|| io::Error::other(format!("{path} lies in no minion's folder")))?;
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.entry(name.to_owned()).or_default().insert(file.to_owned(), text);
    }
    Ok(())
}

fn folders(root: &Path) -> Result<BTreeMap<String, Result<Minion>>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::io("list", root, &error)),
    };
    let mut minions = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io("list", root, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A README or an editor's file beside the folders is nobody's mistake.
        if name.starts_with('.') || !path.is_dir() {
            continue;
        }
        let minion = folder(&name, &path);
        minions.insert(name, minion);
    }
    Ok(minions)
}

/// Reads the minion of one folder.
///
/// # Errors
/// When the folder's name is none for a minion, a file is absent, too large or no text, or minion.yml holds faults.
pub fn folder(name: &str, path: &Path) -> Result<Minion> {
    let shown = path.display().to_string();
    assemble(name, &Origin::Folder(path.to_owned()), &shown, |file| read_file(&path.join(file)))
}

fn assemble(name: &str, origin: &Origin, shown: &str, file: impl Fn(&str) -> Result<Option<String>>) -> Result<Minion> {
    let broken = || Error::new(Kind::Config, format!("the minion in {shown} cannot be used"));
    if let Err(error) = name.parse::<App>() {
        return Err(broken().cause(error).next(format!("rename the folder {shown}")));
    }
    let source = |name: &str| match file(name)? {
        Some(text) => Ok(Source::new(format!("{shown}/{name}"), text)),
        None => Err(broken()
            .cause(format!("it holds no {name}"))
            .next(format!("write {shown}/{name}: the wiki's page \"Write your own minion\" shows how"))),
    };
    let (minion, compose) = (source(MINION_FILE)?, source(COMPOSE_FILE)?);
    schema::read(name, origin.clone(), &minion, &compose).map_err(|faults| Error::faults(broken().message, faults))
}

fn read_file(path: &Path) -> Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::new(Kind::Config, format!("{} is larger than {} KiB", path.display(), MAX_FILE_BYTES >> 10)));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Error::new(Kind::Config, format!("{} is not text in UTF-8", path.display())))
}
