//! Brings what a snapshot holds into the throw-away place, and compares it there with what the manifest says.

use std::collections::BTreeMap;

use super::Drilling;
use super::place::Place;
use crate::apply::health;
use crate::backup::{blocking, subject};
use crate::database::{self, Target};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::minion::Database;
use crate::name::Role;
use crate::plan::drill::{Check, Finding, compare, kept};
use crate::plan::snapshot::{Artefact, Content};
use crate::plan::wanted::ContainerWanted;
use crate::repository::secrets::read as read_secrets;
use crate::restore::server::{self, LOAD_DEADLINE};
use crate::state::secrets;

/// The secrets of a snapshot; one that it does not hold is the present one.
pub(super) fn secrets<E: Engine>(drilling: &Drilling<'_, E>) -> Result<BTreeMap<String, String>> {
    let manifest = &drilling.snapshot.manifest;
    let mut values = BTreeMap::new();
    for spec in &drilling.minion.secrets {
        if let Some(value) = secrets::read(drilling.world.layout(), &manifest.id.instance, &spec.name)? {
            values.insert(spec.name.clone(), value);
        }
    }
    if let Some(artefact) = manifest.artefacts.iter().find(|artefact| artefact.content == Content::Secrets) {
        for file in read_secrets(drilling.repository.artefact(&manifest.id, &artefact.name)?)? {
            values.insert(file.name, String::from_utf8_lossy(&file.bytes).into_owned());
        }
    }
    Ok(values)
}

/// Puts the secrets where the drill's containers look for them.
pub(super) fn put_secrets(place: &Place, values: &BTreeMap<String, String>) -> Result<()> {
    let layout = &place.layout;
    let folder = layout.secrets(&place.instance.id);
    for folder in [&layout.own(), &layout.all_secrets(), &folder] {
        disk::ensure_own_folder(folder, 0o700, None)?;
    }
    for spec in &place.instance.secrets {
        if let Some(value) = values.get(&spec.name) {
            disk::write_atomic_as(&folder.join(&spec.name), value.as_bytes(), 0o600, spec.owner.map(|uid| (uid, uid)))?;
        }
    }
    Ok(())
}

/// Brings the files back.
pub(super) async fn files<E: Engine>(drilling: &Drilling<'_, E>, place: &Place) -> Result<()> {
    let manifest = &drilling.snapshot.manifest;
    if manifest.files.as_ref().is_some_and(|files| files.files + files.others > 0) {
        let (repository, id, into) = (drilling.repository.clone(), manifest.id.clone(), place.roots());
        for (_, path) in into.iter().filter(|(name, _)| name.starts_with("volumes/")) {
            disk::ensure_folder(path, 0o755, None)?;
        }
        blocking(move |_| repository.extract(&id, &into, &[]).map(drop)).await?;
    }
    Ok(())
}

/// Reads them again and compares.
pub(super) async fn compare_files<E: Engine>(drilling: &Drilling<'_, E>, place: &Place) -> Result<Vec<Finding>> {
    let manifest = &drilling.snapshot.manifest;
    let Some(files) = manifest.files.as_ref().filter(|files| files.files + files.others > 0) else {
        return Ok(vec![Finding::good(Check::Files, "the snapshot holds no files")]);
    };
    let (repository, id, into) = (drilling.repository.clone(), manifest.id.clone(), place.roots());
    // Each drill reads other parts of large files.
    let seed = u64::try_from(drilling.world.now.timestamp()).unwrap_or(0);
    let found = blocking(move |_| repository.compare(&id, &into, seed)).await?;
    let mut findings = kept(files, found.files, found.others, found.bytes);
    findings.extend(found.faults.iter().map(|fault| Finding::bad(Check::Files, fault)));
    if found.count > found.faults.len() as u64 {
        findings.push(Finding::bad(Check::Files, format!("and {} more differ", found.count - found.faults.len() as u64)));
    }
    if findings.is_empty() {
        let read = if found.read_bytes == found.bytes { "all of it".to_owned() } else { format!("{} bytes of it", found.read_bytes) };
        let said = format!(
            "{} files and {} folders and links with {} bytes; {read} read again and compared with its hashes",
            found.files, found.others, found.bytes
        );
        findings.push(Finding::good(Check::Files, said));
    }
    Ok(findings)
}

/// Starts a database's own container, fills it, and compares what is in it.
pub(super) async fn database<E: Engine>(drilling: &Drilling<'_, E>, place: &mut Place, database: &Database) -> Result<Vec<Finding>> {
    let manifest = &drilling.snapshot.manifest;
    let of_it = |artefact: &&Artefact| {
        matches!(artefact.content, Content::Dump | Content::Globals)
            && artefact.database.as_ref().is_some_and(|facts| facts.kind == database.kind)
    };
    let artefacts: Vec<&Artefact> = manifest.artefacts.iter().filter(of_it).collect();
    if artefacts.is_empty() {
        return Ok(vec![Finding::bad(Check::Database, format!("the snapshot holds no dump of {}", database.name))]);
    }
    let found = place.instance.containers.iter_mut().find(|container| container.role == Role::Database(database.kind));
    let container = found.ok_or_else(|| Error::internal(format!("no container of {} is in the plan", database.service)))?;
    let folder = place
        .layout
        .database_files(&crate::name::ContainerName { role: Role::Database(database.kind), instance: place.instance.id.clone() });
    disk::ensure_folder(&folder, 0o755, None)?;
    let spool = server::spool(database.kind, &artefacts, &folder, container)?;
    let container: ContainerWanted = container.clone();
    super::start::create(drilling, place, &container).await?;
    health::settled(drilling.world.engine, &container).await?;
    let target = Target { container: container.name.clone(), ..subject::target(&place.layout, &place.instance.id, database)? };
    let mut parts = Vec::new();
    for artefact in &artefacts {
        let facts = artefact.database.clone().ok_or_else(|| Error::internal("a dump without its facts"))?;
        parts.push((facts, artefact.content, drilling.repository.artefact(&manifest.id, &artefact.name)?));
    }
    drilling.say(format!("loading {}", artefacts.last().map_or("", |artefact| artefact.name.as_str())));
    database::load(drilling.world.engine, &target, parts, LOAD_DEADLINE, spool.as_ref()).await?;
    if let Some(spool) = spool {
        disk::remove_tree(&spool.host)?;
        // It stays mounted, and empty.
        disk::ensure_folder(&spool.host, 0o755, None)?;
    }
    drilling.say("counting what is in it");
    let restored = database::weigh(drilling.world.engine, &target, LOAD_DEADLINE).await?;
    let mut findings = Vec::new();
    for dumped in artefacts.iter().filter(|artefact| artefact.content == Content::Dump).filter_map(|artefact| artefact.database.as_ref()) {
        match restored.iter().find(|restored| restored.name == dumped.name) {
            Some(restored) => findings.extend(compare(dumped, restored)),
            None => findings.push(Finding::bad(Check::Database, format!("{} is not there after the restore", dumped.name))),
        }
    }
    Ok(findings)
}
