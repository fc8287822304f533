//! Puts the record of this installation together and stores it in the host's own repository. Changes nothing else.
//!
//! Called after each run of backups: the same content is not stored twice.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::DateTime;

use super::parts::{self, CONFIG, OUTSIDE};
use crate::apply::{World, crash};
use crate::archive::node::{Kind, Node};
use crate::archive::tar;
use crate::backup::blocking;
use crate::config::Config;
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::layout;
use crate::plan::recovery::{Installed, Record, Target, VERSION};
use crate::repository::Repository;
use crate::repository::codec::{Compression, Output};
use crate::state;

/// A record is larger only when somebody keeps films among the proxy's pages.
const BYTES_MAX: u64 = 4 << 30;

/// Stores the present record; None when the newest one says the same.
///
/// # Errors
/// Something of it cannot be read, or it cannot be stored and read back.
pub async fn write<E: Engine>(world: &World<'_, E>) -> Result<Option<Record>> {
    let engine = world.engine.info().await?.version;
    let (config, now) = (world.config.clone(), world.now);
    blocking(move |_| {
        let repository = Repository::create_or_open(&config.layout.backups(), now)?;
        let draft = config.layout.record_draft();
        disk::ensure_own_folder(&config.layout.own(), 0o700, None)?;
        // What a crash left.
        disk::remove_file(&draft)?;
        crash::point();
        let mut output = Output::create_small(&draft, Compression::Zstd)?;
        archive(&config, &mut output)?;
        let written = output.finish()?;
        let record = Record {
            version: VERSION,
            at: DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now),
            domain: config.domain.clone(),
            summoner: env!("CARGO_PKG_VERSION").into(),
            engine,
            config: config.path.clone(),
            files: config.layout.files.clone(),
            databases: config.layout.databases.clone(),
            bytes: written.bytes,
            bytes_raw: written.raw,
            sha256: written.sha256,
            instances: installed(&config)?,
        };
        let stored = repository.add_record(record, &draft);
        disk::remove_file(&draft)?;
        stored
    })
    .await
}

fn installed(config: &Config) -> Result<Vec<Installed>> {
    let memory = state::load(&config.layout)?;
    let one = |instance: &crate::config::Instance| Installed {
        id: instance.id.clone(),
        minion: instance.minion.clone(),
        images: memory.instance(&instance.id).map(|known| known.images.clone()).unwrap_or_default(),
    };
    Ok(std::iter::once(&config.proxy_instance).chain(&config.instances).map(one).collect())
}

fn archive(config: &Config, to: &mut dyn Write) -> Result<()> {
    let target = Target { layout: config.layout.clone(), config: config.path.clone() };
    let mut writing = Writing { tar: tar::Writer::new(to), bytes: 0 };
    for path in parts::outside(config) {
        let mut name = OUTSIDE.as_bytes().to_vec();
        name.extend(path.as_os_str().as_bytes());
        // config.yml may have been linked to its place; what it names may be too.
        if let Ok(real) = fs::canonicalize(&path) {
            writing.add(&name, &real)?;
        }
    }
    for part in parts::parts(&target) {
        let real =
            if part.name == CONFIG { fs::canonicalize(&part.path).map_err(|e| Error::io("find", &part.path, &e))? } else { part.path };
        writing.add(part.name.as_bytes(), &real)?;
    }
    writing.tar.finish().map(drop).map_err(|error| fail(&error))
}

fn fail(error: &io::Error) -> Error {
    Error::external("cannot write the record of the installation").cause(error)
}

struct Writing<W: Write> {
    tar: tar::Writer<W>,
    bytes: u64,
}

impl<W: Write> Writing<W> {
    /// Adds what lies there, folders with all that is in them. What is absent, and what goes away meanwhile, is none.
    fn add(&mut self, name: &[u8], path: &Path) -> Result<()> {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(Error::io("look at", path, &error)),
        };
        let node = |kind| Node { kind, uid: found.uid(), gid: found.gid(), ..Node::plain(name, found.mode() & 0o7777) };
        if found.is_dir() {
            self.tar.append(&node(Kind::Folder), &[]).map_err(|error| fail(&error))?;
            return self.folder(name, path);
        }
        if found.is_symlink() {
            let to = fs::read_link(path).map_err(|error| Error::io("read the link", path, &error))?;
            return self.tar.append(&node(Kind::Symlink(to.as_os_str().as_bytes().to_vec())), &[]).map_err(|error| fail(&error));
        }
        if !found.is_file() {
            return Ok(());
        }
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(Error::io("open", path, &error)),
        };
        // Its length as it is now, of this very file: it may have been replaced since.
        let size = file.metadata().map_err(|error| Error::io("look at", path, &error))?.len();
        self.bytes += size;
        if self.bytes > BYTES_MAX {
            return Err(Error::external(format!("{} is too much for the record of the installation", path.display()))
                .next("keep large files in an application, not among the proxy's own"));
        }
        self.tar.append_from(&node(Kind::File), size, &mut file).map_err(|error| Error::io("read", path, &error))
    }

    fn folder(&mut self, name: &[u8], path: &Path) -> Result<()> {
        for below in disk::files_in(path)? {
            let Some(file) = below.file_name() else { continue };
            let ours = file == layout::CLASSIC_GENERATIONS || file.as_bytes().starts_with(disk::TEMPORARY.as_bytes());
            if !ours {
                self.add(&[name, b"/", file.as_bytes()].concat(), &below)?;
            }
        }
        Ok(())
    }
}
