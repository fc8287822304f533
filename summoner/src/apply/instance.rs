//! One instance: its containers in start order, each as the plan says, healthy, with its first administrator.

use chrono::{DateTime, Utc};

use std::time::{Duration, Instant};

use super::{World, administrator, command, crash, health, image};
use crate::compose::MountKind;
use crate::disk;
use crate::docker::{CreateSpec, Engine};
use crate::error::Result;
use crate::event::Event;
use crate::observe::Situation;
use crate::plan::deploy::SUCCESSOR;
use crate::plan::wanted::{ContainerWanted, InstanceWanted};
use crate::plan::{Action, Plan};

/// How long a command after a restore is tried again.
const AFTER_RESTORE: Duration = Duration::from_secs(600);
/// Between two tries.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Brings it up; gives the time at which its first administrator was made, if that was done now.
pub(super) async fn up<E: Engine>(
    world: &World<'_, E>,
    situation: &Situation,
    plan: &Plan,
    instance: &InstanceWanted,
) -> Result<Option<DateTime<Utc>>> {
    let bringing = Bringing { world, situation, plan, instance };
    bringing.volumes().await?;
    bringing.leftovers().await?;
    for container in &instance.containers {
        bringing.container(container).await?;
    }
    if !instance.proxy {
        settled(world, instance).await?;
    }
    bringing.settings().await
}

/// Waits until all its containers are healthy; [`up`] leaves this to its caller for the proxy.
pub(super) async fn settled<E: Engine>(world: &World<'_, E>, instance: &InstanceWanted) -> Result<()> {
    for container in &instance.containers {
        let message = format!("waiting for {} to be healthy", container.name);
        world.tell(&Event::Progress { instance: Some(instance.id.to_string()), message });
        health::settled(world.engine, container).await?;
    }
    Ok(())
}

struct Bringing<'a, E> {
    world: &'a World<'a, E>,
    situation: &'a Situation,
    plan: &'a Plan,
    instance: &'a InstanceWanted,
}

impl<E: Engine> Bringing<'_, E> {
    fn engine(&self) -> &E {
        self.world.engine
    }

    fn progress(&self, message: String) {
        self.world.tell(&Event::Progress { instance: Some(self.instance.id.to_string()), message });
    }

    /// The first administrator, then settings, both before a route leads here.
    async fn settings(&self) -> Result<Option<DateTime<Utc>>> {
        let mut made_at = None;
        let mut due = false;
        for step in self.plan.steps.iter().filter(|step| step.instance.as_ref() == Some(&self.instance.id)) {
            match step.action {
                Action::CreateAdministrator => made_at = Some(self.world.now),
                Action::Configure => due = true,
                _ => {}
            }
        }
        if let (Some(_), Some(administrator)) = (made_at, &self.instance.administrator) {
            self.progress("creating the first administrator".into());
            crash::point();
            administrator::create(self.engine(), self.instance, administrator).await?;
        }
        if due {
            self.progress("configuring".into());
            crash::point();
            administrator::configure(self.engine(), self.instance).await?;
        }
        Ok(made_at)
    }

    async fn volumes(&self) -> Result<()> {
        for (name, labels) in &self.instance.volumes {
            if self.plan.steps_for(&self.instance.id, name).any(|step| step.action == Action::CreateVolume) {
                crash::point();
                self.engine().create_volume(name, labels).await?;
            }
        }
        Ok(())
    }

    /// What an interrupted install left would stand in the way of its successor.
    async fn leftovers(&self) -> Result<()> {
        for step in self
            .plan
            .steps
            .iter()
            .filter(|step| step.action == Action::RemoveContainer && step.instance.as_ref() == Some(&self.instance.id))
        {
            self.progress(format!("removing {}", step.object));
            crash::point();
            self.engine().remove(&step.object).await?;
        }
        Ok(())
    }

    async fn container(&self, container: &ContainerWanted) -> Result<()> {
        let steps = self.plan.steps_for(&self.instance.id, &container.name);
        for step in steps.filter(|step| step.action.is_of_container()) {
            self.dependencies(container).await?;
            self.progress(step.action.words().to_owned() + " " + &container.name);
            match step.action {
                Action::CreateContainer => {
                    self.create(container, &container.name).await?;
                    self.start(container).await?;
                }
                Action::RecreateContainer => self.replace(container).await?,
                Action::RenameContainer => self.rename(container).await?,
                Action::ConnectNetwork => self.connect(container).await?,
                Action::StartContainer => self.start(container).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn dependencies(&self, container: &ContainerWanted) -> Result<()> {
        for (service, dependency) in &container.body.depends_on {
            let Some(other) = self.instance.containers.iter().find(|other| other.service == *service) else { continue };
            self.progress(format!("{} waits for {}", container.name, other.name));
            health::met(self.engine(), other, dependency.condition).await?;
        }
        Ok(())
    }

    async fn create(&self, container: &ContainerWanted, name: &str) -> Result<()> {
        for mount in container.body.volumes.iter().filter(|mount| mount.kind == MountKind::Bind && mount.create_host_path) {
            if let Some(source) = mount.source.as_deref().map(std::path::Path::new).filter(|source| !source.exists()) {
                disk::ensure_folder(source, 0o755, None)?;
            }
        }
        let spec = CreateSpec {
            name,
            image: image::source(self.situation, &self.instance.id, &container.image),
            service: &container.body,
            labels: &container.labels,
            files: &container.files,
        };
        crash::point();
        self.engine().create(&spec).await.map(drop)
    }

    async fn start(&self, container: &ContainerWanted) -> Result<()> {
        crash::point();
        self.engine().start(&container.name).await?;
        if self.world.restored { self.after_restore(container).await } else { Ok(()) }
    }

    /// Before its health is awaited: what was saved may say that it stands still, and then it is never healthy.
    async fn after_restore(&self, container: &ContainerWanted) -> Result<()> {
        for exec in self.instance.keeping.after_restore.iter().filter(|exec| exec.service == container.service) {
            self.progress(format!("after the restore: {}", exec.command.join(" ")));
            let since = Instant::now();
            // Its entry point may still be at work.
            while let Err(error) = command::run(self.engine(), self.instance, exec).await {
                if since.elapsed() > AFTER_RESTORE {
                    return Err(error);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// The successor is made first: what cannot be made (full disk, bad option) leaves the old one running.
    async fn replace(&self, container: &ContainerWanted) -> Result<()> {
        let successor = container.name.clone() + SUCCESSOR;
        self.create(container, &successor).await?;
        let old = self.existing(container);
        crash::point();
        self.engine().stop(old, None).await?;
        crash::point();
        self.engine().remove(old).await?;
        crash::point();
        self.engine().rename(&successor, &container.name).await?;
        self.start(container).await
    }

    async fn rename(&self, container: &ContainerWanted) -> Result<()> {
        crash::point();
        self.engine().rename(self.existing(container), &container.name).await
    }

    async fn connect(&self, container: &ContainerWanted) -> Result<()> {
        for (network, attachment) in &container.body.networks {
            crash::point();
            self.engine().connect(network, &container.name, &attachment.aliases).await?;
        }
        Ok(())
    }

    /// The container that stands for this service now, by the engine's id.
    fn existing<'b>(&'b self, container: &'b ContainerWanted) -> &'b str {
        self.situation.chosen(self.instance, container).map_or(container.name.as_str(), |known| known.id.as_str())
    }
}
