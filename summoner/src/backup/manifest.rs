//! Puts a manifest together from what was taken.

use std::collections::BTreeMap;

use chrono::Utc;

use super::Taking;
use crate::archive::Captured;
use crate::database::Part;
use crate::docker::Engine;
use crate::error::Result;
use crate::plan::snapshot::{Artefact, Consistency, Content, Files, ImageUse, Kind, Manifest, SnapshotId, VERSION};
use crate::repository::{Packed, Stored};

/// What was taken, piece by piece.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) parts: Vec<Part>,
    pub(super) others: Vec<(Content, Stored)>,
    pub(super) files: Option<(Captured, Packed)>,
    pub(super) notes: Vec<String>,
    pub(super) downtime_ms: Option<u64>,
    pub(super) predicted_ms: Option<u64>,
}

/// The manifest of what was taken; its duration is filled in at the end.
pub(super) async fn manifest<E: Engine>(
    taking: &Taking<'_, E>,
    id: SnapshotId,
    (kind, consistency): (Kind, Consistency),
    taken: Taken,
) -> Result<Manifest> {
    let Taken { parts, others, files, mut notes, downtime_ms, predicted_ms } = taken;
    let mut artefacts: Vec<Artefact> = others.into_iter().map(|(content, stored)| artefact(content, stored)).collect();
    for part in parts {
        notes.extend(part.notes);
        artefacts.push(Artefact { database: Some(part.facts), ..artefact(part.content, part.stored) });
    }
    artefacts.sort_by(|a, b| a.name.cmp(&b.name));
    let dumped: u64 = artefacts.iter().filter(|artefact| artefact.content != Content::Tree).map(|artefact| artefact.bytes_raw).sum();
    let bytes = files.as_ref().map_or(0, |(captured, _)| captured.bytes);
    if let Some((captured, _)) = &files {
        notes.extend(captured.notes.clone());
    }
    Ok(Manifest {
        version: VERSION,
        id,
        kind,
        consistency,
        purpose: taking.purpose,
        summoner: env!("CARGO_PKG_VERSION").into(),
        engine: taking.world.engine.info().await?.version,
        minion: taking.instance.minion.clone(),
        minion_version: taking.instance.keeping.version.clone(),
        ended_at: Utc::now(),
        artefacts,
        files: files.map(|(captured, packed)| Files { files: captured.files, others: captured.others, bytes, packs: packed.packs }),
        images: images(taking),
        bytes_total: bytes + dumped,
        // The repository knows, once it is stored.
        bytes_added: 0,
        downtime_ms,
        downtime_predicted_ms: predicted_ms,
        duration_ms: 0,
        notes,
    })
}

fn artefact(content: Content, stored: Stored) -> Artefact {
    Artefact { name: stored.name, content, bytes: stored.bytes, bytes_raw: stored.bytes_raw, sha256: stored.sha256, database: None }
}

fn images<E: Engine>(taking: &Taking<'_, E>) -> BTreeMap<String, ImageUse> {
    let memory = &taking.situation.observed.memory;
    let of = |container: &crate::plan::wanted::ContainerWanted| {
        let known = taking.situation.chosen(taking.instance, container)?;
        let digest = memory.lock(&taking.instance.id, &container.image).and_then(|lock| lock.digest.clone());
        Some((container.name.clone(), ImageUse { reference: container.image.clone(), id: known.image_id.clone(), digest }))
    };
    taking.instance.containers.iter().filter_map(of).collect()
}
