//! Puts what a snapshot holds beside the live data, on the same file systems, ready to take its place.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Restoring, server, stamp};
use crate::backup::{blocking, subject};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::journal::Move;
use crate::layout::Layout;
use crate::name::{ContainerName, Role};
use crate::observe::{Overlay, observe_with};
use crate::plan::restore::Part;
use crate::plan::snapshot::Content;
use crate::repository::secrets::read as read_secrets;
use crate::state::secrets;

/// What waits to take the place of the live data.
pub(super) struct Staged {
    pub(super) moves: Vec<Move>,
    /// The secrets of the snapshot, when they differ from those that are there.
    pub(super) secrets: Option<BTreeMap<String, String>>,
    /// An application's own dump is among the files: it must be loaded once it runs.
    pub(super) own_dump: bool,
}

/// Stages everything that the restore is about.
pub(super) async fn all<E: Engine>(restoring: &Restoring<'_, E>) -> Result<Staged> {
    let (layout, id) = (restoring.world.layout(), &restoring.instance.id);
    for root in [&layout.files, &layout.databases] {
        disk::ensure_folder(root, 0o755, None)?;
    }
    disk::ensure_own_folder(&layout.beside_files(id), 0o700, None)?;
    let mut staged = Staged { moves: Vec::new(), secrets: changed_secrets(restoring)?, own_dump: false };
    if let Some(values) = &staged.secrets {
        staged.moves.push(stage_secrets(restoring, values)?);
    }
    if restoring.part.files() {
        restoring.say("putting the files beside the live ones");
        staged.moves.extend(files(restoring).await?);
    }
    if restoring.part.databases() {
        staged.moves.extend(databases(restoring, staged.secrets.as_ref()).await?);
        let own = own_dump(restoring).await?;
        staged.own_dump = !own.is_empty();
        staged.moves.extend(own);
    }
    if staged.moves.is_empty() {
        return Err(Error::usage(format!("{} holds nothing of what you want", restoring.snapshot.manifest.id))
            .next(format!("summoner snapshots {id}   shows what each one holds")));
    }
    Ok(staged)
}

/// What waits beside named volumes, whose place only the engine knows.
pub(super) async fn discard_volumes<E: Engine>(restoring: &Restoring<'_, E>) -> Result<()> {
    if restoring.instance.volumes.is_empty() {
        return Ok(());
    }
    let engine = restoring.world.engine.info().await?.root;
    for name in restoring.instance.volumes.keys() {
        let beside = Layout::beside_volume(&subject::volume_path(&engine, name));
        disk::remove_tree(&Layout::waiting(&beside))?;
        disk::remove_if_empty(&beside)?;
    }
    Ok(())
}

/// Where what is replaced is kept.
fn old<E: Engine>(restoring: &Restoring<'_, E>, beside: &Path) -> PathBuf {
    beside.join(stamp(restoring.world))
}

/// One move of a whole thing. The folders around it are made when they are needed: what stages, and what moves, does so.
fn exchange<E: Engine>(restoring: &Restoring<'_, E>, beside: &Path, live: PathBuf, name: &Path) -> Result<Move> {
    let (new, old) = (Layout::waiting(beside).join(name), old(restoring, beside).join(name));
    disk::ensure_own_folder(beside, 0o700, None)?;
    disk::ensure_folder(&Layout::waiting(beside), 0o700, None)?;
    let had_live = live.symlink_metadata().is_ok();
    Ok(Move { live, new, old, had_live })
}

/// The snapshot's secrets where they are not those that are there; only a whole restore changes secrets.
fn changed_secrets<E: Engine>(restoring: &Restoring<'_, E>) -> Result<Option<BTreeMap<String, String>>> {
    let manifest = &restoring.snapshot.manifest;
    let Some(artefact) = manifest.artefacts.iter().find(|artefact| artefact.content == Content::Secrets) else { return Ok(None) };
    if *restoring.part != Part::Everything {
        return Ok(None);
    }
    let (layout, id) = (restoring.world.layout(), &restoring.instance.id);
    let stored = read_secrets(restoring.repository.artefact(&manifest.id, &artefact.name)?)?;
    let mut values = BTreeMap::new();
    let mut changed = false;
    for spec in &restoring.instance.secrets {
        let now = secrets::read(layout, id, &spec.name)?;
        let then = stored.iter().find(|file| file.name == spec.name).map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        changed |= then.is_some() && then != now;
        if let Some(value) = then.or(now) {
            values.insert(spec.name.clone(), value);
        }
    }
    Ok(changed.then_some(values))
}

fn stage_secrets<E: Engine>(restoring: &Restoring<'_, E>, values: &BTreeMap<String, String>) -> Result<Move> {
    let (layout, id) = (restoring.world.layout(), &restoring.instance.id);
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    disk::ensure_own_folder(&layout.all_secrets(), 0o700, None)?;
    let each = exchange(restoring, &layout.beside_files(id), layout.secrets(id), Path::new("secrets"))?;
    disk::ensure_own_folder(&each.new, 0o700, None)?;
    for spec in &restoring.instance.secrets {
        if let Some(value) = values.get(&spec.name) {
            disk::write_atomic_as(&each.new.join(&spec.name), value.as_bytes(), 0o600, spec.owner.map(|uid| (uid, uid)))?;
        }
    }
    Ok(each)
}

async fn files<E: Engine>(restoring: &Restoring<'_, E>) -> Result<Vec<Move>> {
    let manifest = &restoring.snapshot.manifest;
    if manifest.files.is_none() {
        return Ok(Vec::new());
    }
    let (layout, id) = (restoring.world.layout(), &restoring.instance.id);
    let beside = layout.beside_files(id);
    let mut into = vec![(subject::FILES.to_owned(), Layout::waiting(&beside).join(subject::FILES))];
    let mut moves = Vec::new();
    let mut only = Vec::new();
    match restoring.part {
        Part::Paths(paths) => {
            let files = layout.instance_files(id);
            for path in outermost(paths) {
                no_link(&files, path)?;
                only.push(Path::new(subject::FILES).join(path));
                let path = first_absent(&files, Path::new(path));
                let name = Path::new(subject::FILES).join(&path);
                if moves.iter().all(|each: &Move| each.live != files.join(&path)) {
                    moves.push(exchange(restoring, &beside, files.join(path), &name)?);
                }
            }
        }
        _ => {
            moves.push(exchange(restoring, &beside, layout.instance_files(id), Path::new(subject::FILES))?);
            let engine = restoring.world.engine.info().await?.root;
            for name in restoring.instance.volumes.keys() {
                let live = subject::volume_path(&engine, name);
                let each = exchange(restoring, &Layout::beside_volume(&live), live, Path::new("data"))?;
                into.push((format!("volumes/{name}"), each.new.clone()));
                moves.push(each);
            }
        }
    }
    let (repository, snapshot) = (restoring.repository.clone(), manifest.id.clone());
    let wanted: Vec<Vec<u8>> = only.iter().map(|path: &PathBuf| path.as_os_str().as_bytes().to_vec()).collect();
    blocking(move |_| repository.extract(&snapshot, &into, &wanted)).await?;
    for each in &moves {
        if each.new.symlink_metadata().is_err() && !only.is_empty() {
            return Err(Error::usage(format!("{} holds no {}", restoring.snapshot.manifest.id, each.live.display()))
                .next(format!("summoner restore {id} --only files   brings all of them")));
        }
    }
    // A volume that the snapshot does not know stays as it is.
    moves.retain(|each| each.new.symlink_metadata().is_ok());
    Ok(moves)
}

/// A path whose folder is gone comes back with that folder: what the snapshot says of it belongs to it.
fn first_absent(root: &Path, path: &Path) -> PathBuf {
    let mut at = PathBuf::new();
    for part in path.components() {
        at.push(part);
        if root.join(&at).symlink_metadata().is_err() {
            break;
        }
    }
    at
}

/// Paths without those that lie below another: each is moved once.
fn outermost(paths: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = paths.iter().collect();
    sorted.sort_by_key(|path| path.split('/').collect::<Vec<_>>());
    let mut kept: Vec<&String> = Vec::new();
    for path in sorted {
        if kept.last().is_none_or(|last| !Path::new(path).starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}

/// An application may have made a link of a folder: what lies behind it is not its own, and is not replaced.
fn no_link(root: &Path, path: &str) -> Result<()> {
    let mut folder = root.to_owned();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        if !disk::is_folder(&folder)? {
            break;
        }
    }
    Ok(())
}

async fn databases<E: Engine>(restoring: &Restoring<'_, E>, values: Option<&BTreeMap<String, String>>) -> Result<Vec<Move>> {
    let world = restoring.world;
    let overlay = values.map(|values| Overlay { instance: &restoring.instance.id, secrets: values });
    let situation = observe_with(world.engine, world.config, world.catalogue, world.now, overlay).await?;
    let wanted = situation.wanted.instances.iter().find(|wanted| wanted.id == restoring.instance.id);
    let wanted = wanted.ok_or_else(|| Error::internal(format!("{} is in no plan", restoring.instance.id)))?;
    let beside = world.layout().beside_databases(&restoring.instance.id);
    let mut moves = Vec::new();
    for database in &wanted.keeping.databases {
        let dumped = |content| matches!(content, Content::Dump | Content::Globals);
        let of_it = restoring
            .snapshot
            .manifest
            .artefacts
            .iter()
            .filter(|artefact| dumped(artefact.content) && artefact.database.as_ref().is_some_and(|facts| facts.kind == database.kind));
        let artefacts: Vec<_> = of_it.collect();
        if artefacts.is_empty() {
            continue;
        }
        let name = ContainerName { role: Role::Database(database.kind), instance: wanted.id.clone() };
        disk::ensure_own_folder(&beside, 0o700, None)?;
        let each = exchange(restoring, &beside, world.layout().database_files(&name), Path::new(&name.to_string()))?;
        restoring.say(format!("loading {} into a server of its own", artefacts[0].name));
        server::load(&server::Loading {
            restoring,
            situation: &situation,
            wanted,
            database,
            folder: &each.new,
            values,
            artefacts: &artefacts,
        })
        .await?;
        moves.push(each);
    }
    Ok(moves)
}

/// The files of an application's own dump, each to its place.
async fn own_dump<E: Engine>(restoring: &Restoring<'_, E>) -> Result<Vec<Move>> {
    let manifest = &restoring.snapshot.manifest;
    let (Some(own), Some(artefact)) =
        (&restoring.instance.keeping.dump, manifest.artefacts.iter().find(|artefact| artefact.content == Content::Files))
    else {
        return Ok(Vec::new());
    };
    let (layout, id) = (restoring.world.layout(), &restoring.instance.id);
    let beside = layout.beside_files(id);
    let mut moves = Vec::new();
    for path in &own.files {
        moves.push(exchange(restoring, &beside, layout.instance_files(id).join(path), &Path::new("own").join(path))?);
    }
    let reader = restoring.repository.artefact(&manifest.id, &artefact.name)?;
    let into = Layout::waiting(&beside).join("own");
    let names = own.files.clone();
    blocking(move |_| unpack(reader, &names, &into)).await?;
    moves.retain(|each| each.new.symlink_metadata().is_ok());
    Ok(moves)
}

/// Takes out the files that the minion names, and refuses whatever else is in it.
fn unpack(from: Box<dyn Read + Send>, names: &[String], into: &Path) -> Result<()> {
    let refuse = |why: &dyn std::fmt::Display| Error::external("the application's own dump is refused").cause(why);
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries().map_err(|error| refuse(&error))? {
        let mut entry = entry.map_err(|error| refuse(&error))?;
        let name = entry.path().map_err(|error| refuse(&error))?.to_string_lossy().into_owned();
        if !names.contains(&name) || !entry.header().entry_type().is_file() {
            return Err(refuse(&format!("it holds {name}, which is none of {}", names.join(", "))));
        }
        let number = |value: std::io::Result<u64>| value.ok().and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
        let owner = (number(entry.header().uid()), number(entry.header().gid()));
        let mode = entry.header().mode().map_err(|error| refuse(&error))? & 0o777;
        let path = into.join(&name);
        if let Some(parent) = path.parent() {
            disk::ensure_folder(parent, 0o700, None)?;
        }
        disk::write_stream(&path, &mut entry, mode)?;
        std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).map_err(|error| Error::io("give to its owner", &path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_another_path_comes_with_it() {
        let paths = ["content/images", "b", "content", "content-b/a", "b"].map(str::to_owned);
        assert_eq!(outermost(&paths), ["b", "content", "content-b/a"]);
    }

    #[test]
    fn nothing_behind_a_link_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("real/deep")).unwrap();
        disk::link_atomic(Path::new("/etc"), &folder.path().join("link")).unwrap();
        no_link(folder.path(), "real/deep/file").unwrap();
        no_link(folder.path(), "absent/file").unwrap();
        // The link itself may be replaced.
        no_link(folder.path(), "link").unwrap();
        assert!(no_link(folder.path(), "link/a/b").unwrap_err().message.contains("is a symbolic link"));
    }
}
