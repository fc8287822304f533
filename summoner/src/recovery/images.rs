//! Locks an instance to the images that its snapshot ran with, before anything of it is made.
//!
//! The very image by its digest first, then the tag that it had, then the catalogue's: each step down is told.

use std::collections::BTreeMap;

use crate::apply::{World, crash};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::Situation;
use crate::plan::snapshot::ImageUse;
use crate::plan::state::{Image, ImageLock};
use crate::plan::wanted::InstanceWanted;
use crate::state;

/// Gets them, and writes down what each reference stands for here; gives what a person has to know.
///
/// # Errors
/// An image can be had by no name at all.
pub async fn lock<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted, used: &BTreeMap<String, ImageUse>) -> Result<Vec<String>> {
    let mut says = Vec::new();
    let mut locks = BTreeMap::new();
    for container in &instance.containers {
        let before = used.get(&container.name);
        let found = get(world, &instance.id, before, &container.image, &mut says).await?;
        let digest = before.filter(|before| before.id == found.id).and_then(|before| before.digest.clone());
        locks.insert(container.image.clone(), ImageLock { id: found.id, digest: digest.or_else(|| found.digests.first().cloned()) });
    }
    let mut memory = state::load(world.layout())?;
    let known = memory.instances.entry(instance.id.clone()).or_default();
    let now = known.installed_at.or(Some(world.now));
    if known.images == locks && known.installed_at == now {
        return Ok(says);
    }
    (known.images, known.installed_at) = (locks, now);
    crash::point();
    state::save(world.layout(), &memory)?;
    Ok(says)
}

/// As [`lock`] for an instance without a snapshot that was installed before, such as the proxy: what was remembered stands
/// where it can be had; what cannot is forgotten, and the next install takes the catalogue's.
///
/// # Errors
/// The engine does not answer, or the disk refuses.
pub async fn keep_or_forget<E: Engine>(world: &World<'_, E>, situation: &Situation, id: &InstanceId) -> Result<Vec<String>> {
    let mut memory = situation.observed.memory.clone();
    let Some(known) = memory.instances.get_mut(id) else { return Ok(Vec::new()) };
    let mut says = Vec::new();
    let mut kept = BTreeMap::new();
    for (reference, lock) in &known.images {
        let used = ImageUse { reference: reference.clone(), id: lock.id.clone(), digest: lock.digest.clone() };
        if here(world, &used).await?.is_some() || by_digest(world, id, &used).await?.is_some() {
            kept.insert(reference.clone(), lock.clone());
        } else {
            says.push(format!("{id}: the image that it ran ({reference}) cannot be had; the one that this name means today is taken"));
        }
    }
    if kept != known.images {
        known.images = kept;
        crash::point();
        state::save(world.layout(), &memory)?;
    }
    Ok(says)
}

async fn here<E: Engine>(world: &World<'_, E>, used: &ImageUse) -> Result<Option<Image>> {
    if let Some(image) = world.engine.image(&used.id).await? {
        return Ok(Some(image));
    }
    match &used.digest {
        Some(digest) => world.engine.image(digest).await,
        None => Ok(None),
    }
}

async fn by_digest<E: Engine>(world: &World<'_, E>, id: &InstanceId, used: &ImageUse) -> Result<Option<Image>> {
    match &used.digest {
        Some(digest) => pulled(world, id, digest).await,
        None => Ok(None),
    }
}

async fn get<E: Engine>(
    world: &World<'_, E>,
    id: &InstanceId,
    before: Option<&ImageUse>,
    wanted: &str,
    says: &mut Vec<String>,
) -> Result<Image> {
    if let Some(used) = before {
        if let Some(image) = here(world, used).await? {
            return Ok(image);
        }
        if let Some(image) = by_digest(world, id, used).await? {
            return Ok(image);
        }
        if let Some(image) = named(world, id, &used.reference).await? {
            says.push(format!("{id}: the image that the snapshot ran cannot be had; {} as it is today is taken", used.reference));
            return Ok(image);
        }
    }
    if let Some(image) = named(world, id, wanted).await? {
        if let Some(used) = before {
            says.push(format!("{id}: {} cannot be had any more; the catalogue's {wanted} is taken", used.reference));
        }
        return Ok(image);
    }
    Err(Error::external(format!("no image for {id} can be had: {wanted}"))
        .next(format!("docker pull {wanted}   says why"))
        .next("then the same command again: it goes on where it was"))
}

/// By a name that may mean another image today.
async fn named<E: Engine>(world: &World<'_, E>, id: &InstanceId, reference: &str) -> Result<Option<Image>> {
    match world.engine.image(reference).await? {
        Some(image) => Ok(Some(image)),
        None => pulled(world, id, reference).await,
    }
}

/// None when no registry gives it.
async fn pulled<E: Engine>(world: &World<'_, E>, id: &InstanceId, reference: &str) -> Result<Option<Image>> {
    let instance = Some(id.to_string());
    world.tell(&Event::Begin { instance: instance.clone(), doing: format!("pull {reference}") });
    let tell = |message: &str| {
        world.tell(&Event::Progress { instance: instance.clone(), message: format!("{reference}: {message}") });
    };
    crash::point();
    match world.engine.pull(reference, &tell).await {
        Ok(()) => world.engine.image(reference).await,
        Err(error) => {
            world.tell(&Event::Progress { instance: instance.clone(), message: format!("{reference}: {}", error.message) });
            Ok(None)
        }
    }
}
