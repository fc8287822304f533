//! Images first: everything is on this host, and locked to what it means here, before anything running is touched.

use super::aside::Aside;
use super::{World, crash};
use crate::docker::Engine;
use crate::error::Result;
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::Situation;
use crate::plan::state::{Image, ImageLock};
use crate::plan::{Action, Plan, Step};
use crate::state;

/// Pulls what is absent and locks each reference that an instance uses for the first time. Instances whose images cannot
/// be had are put aside.
pub(super) async fn all<E: Engine>(world: &World<'_, E>, situation: &mut Situation, plan: &mut Plan, aside: &mut Aside) -> Result<()> {
    let pulls: Vec<Step> = plan.steps.iter().filter(|step| step.action == Action::PullImage).cloned().collect();
    for step in &pulls {
        let lock = step.instance.as_ref().and_then(|id| situation.observed.memory.lock(id, &step.object));
        // A locked image that is gone comes back by its digest: the tag may mean another one by now.
        let reference = lock.and_then(|lock| lock.digest.clone()).unwrap_or_else(|| step.object.clone());
        world.begin(step.instance.as_ref(), format!("pull {reference}"));
        let tell = |message: &str| {
            world.tell(&Event::Progress {
                instance: step.instance.as_ref().map(ToString::to_string),
                message: format!("{reference}: {message}"),
            });
        };
        crash::point();
        if let Err(error) = world.engine.pull(&reference, &tell).await {
            aside.image(situation, plan, &step.object, error)?;
            continue;
        }
        if let Some(image) = world.engine.image(&reference).await? {
            situation.observed.images.insert(step.object.clone(), image);
        }
    }
    lock(world, situation, aside).await
}

async fn lock<E: Engine>(world: &World<'_, E>, situation: &mut Situation, aside: &Aside) -> Result<()> {
    let mut memory = situation.observed.memory.clone();
    for instance in situation.wanted.instances.iter().filter(|instance| !aside.holds(&instance.id)) {
        for container in &instance.containers {
            let Some(image) = situation.observed.images.get(&container.image) else { continue };
            let of_instance = memory.instances.entry(instance.id.clone()).or_default();
            let lock = of_instance.images.get(&container.image).filter(|_| of_instance.installed_at.is_some());
            let gone = match lock {
                Some(lock) => lock.id != image.id && world.engine.image(&lock.id).await?.is_none(),
                None => true,
            };
            if gone {
                of_instance.images.insert(container.image.clone(), of(image));
            }
        }
    }
    if memory != situation.observed.memory {
        crash::point();
        state::save(world.layout(), &memory)?;
        situation.observed.memory = memory;
    }
    Ok(())
}

fn of(image: &Image) -> ImageLock {
    ImageLock { id: image.id.clone(), digest: image.digests.first().cloned() }
}

/// What a container of an instance is made from: the reference while it still stands for the locked image, so that
/// people see its name, else the locked image itself.
pub fn source<'a>(situation: &'a Situation, instance: &InstanceId, reference: &'a str) -> &'a str {
    let lock = situation.observed.memory.instance(instance).and_then(|memory| memory.images.get(reference));
    match lock {
        Some(lock)
            if !situation
                .observed
                .images
                .get(reference)
                .is_some_and(|image| image.id == lock.id && image.tags.iter().any(|tag| tag == reference)) =>
        {
            &lock.id
        }
        _ => reference,
    }
}
