//! The guard as a companion of the daemon: what it needs, out of config.yml and the catalogue.
//!
//! Counting and locking out are `crate::ban`'s. Without the daemon nginx goes on with the list that is there.

use std::sync::Arc;

use super::clock;
use super::companions::Companion;
use super::runner::{Cancel, Setup};
use crate::ban::{Guard, InContainer, Setup as Needs, sources};
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::event::Listener;
use crate::name::{ContainerName, Role};

/// Locks out who fails to sign in, as `bans:` says.
#[must_use]
pub fn companion() -> Companion {
    Companion {
        name: "the guard",
        wanted: |setup| setup.config.bans.enabled,
        work: Box::new(|setup, cancel, listener| Box::pin(async move { guard(&setup, cancel, &*listener).await })),
    }
}

async fn guard(setup: &Arc<Setup>, cancel: Cancel, listener: &dyn Listener) -> Result<()> {
    let config = &setup.config;
    let docker = Docker::connect().await?;
    let proxy = ContainerName { role: Role::App, instance: config.proxy_instance.id.clone() }.to_string();
    let needs = Needs {
        layout: config.layout.clone(),
        policy: config.bans.clone(),
        trusted: config.proxy.trusted.clone(),
        sources: sources::sources(config, &setup.catalogue)?,
        docker: Some(docker.clone()),
        reload: Some(Arc::new(InContainer { docker: docker.clone(), layout: config.layout.clone(), container: proxy })),
    };
    Guard::run(needs, &docker, listener, clock::now, cancel.cancelled()).await
}
