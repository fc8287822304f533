//! Instances that an install leaves as they are, because something is in their way; the others are installed.
//!
//! Decides nothing new: obstacles come from the plan, images from the engine. What is in the proxy's way is in
//! everybody's, and ends the command before anything is touched. Called by apply alone.

use std::collections::BTreeMap;

use super::World;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::name::InstanceId;
use crate::observe::Situation;
use crate::plan::{Action, Obstacle, Plan};

/// Instances that are not touched, each with its reason.
#[derive(Debug, Default)]
pub(super) struct Aside(BTreeMap<InstanceId, Error>);

impl Aside {
    /// Takes the instances with obstacles out of a plan.
    ///
    /// # Errors
    /// The proxy has an obstacle.
    pub(super) fn obstacles(situation: &Situation, plan: &mut Plan) -> Result<Self> {
        let is_proxy = |found: &&Obstacle| situation.wanted.instances.iter().any(|known| known.proxy && known.id == found.instance);
        if let Some(first) = plan.obstacles.iter().find(is_proxy) {
            let others = plan.obstacles.iter().filter(|other| other.instance != first.instance);
            let told = |more: &Obstacle| format!("{}: {} ({})", more.instance, more.message, more.hint);
            return Err(others.fold(refusal(first), |error, more| error.next(told(more))));
        }
        let mut aside = Self::default();
        aside.add(plan.obstacles.iter().map(|found| (found.instance.clone(), refusal(found))).collect(), plan);
        Ok(aside)
    }

    /// An image cannot be had: every instance whose containers would be made from it is taken out of the plan.
    ///
    /// # Errors
    /// The same error, when the proxy is among them.
    pub(super) fn image(&mut self, situation: &Situation, plan: &mut Plan, image: &str, error: Error) -> Result<()> {
        let makes = |name: &str, id: &InstanceId| {
            plan.steps_for(id, name).any(|step| matches!(step.action, Action::CreateContainer | Action::RecreateContainer))
        };
        let needs = situation.wanted.instances.iter().filter(|instance| {
            instance.containers.iter().any(|container| container.image == image && makes(&container.name, &instance.id))
        });
        let needs: Vec<_> = needs.collect();
        if needs.iter().any(|instance| instance.proxy) {
            return Err(error);
        }
        let more = needs.into_iter().map(|instance| (instance.id.clone(), error.clone())).collect();
        self.add(more, plan);
        Ok(())
    }

    fn add(&mut self, more: BTreeMap<InstanceId, Error>, plan: &mut Plan) {
        plan.steps.retain(|step| step.instance.as_ref().is_none_or(|id| !more.contains_key(id)));
        self.0.extend(more);
    }

    /// Whether an instance is left as it is.
    pub(super) fn holds(&self, id: &InstanceId) -> bool {
        self.0.contains_key(id)
    }

    /// Tells them, and gives them for the outcome.
    pub(super) fn tell<E: Engine>(self, world: &World<'_, E>) -> Vec<(InstanceId, Error)> {
        for (id, error) in &self.0 {
            world.tell(&Event::Failed { instance: id.to_string(), message: error.message.clone() });
        }
        self.0.into_iter().collect()
    }
}

fn refusal(found: &Obstacle) -> Error {
    Error::external(format!("cannot install {}: {}", found.instance, found.message)).next(found.hint.clone())
}
