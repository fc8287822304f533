//! A database server of its own, on staged folders, that a dump is loaded into before it takes the live one's place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::{Restoring, tuning};
use crate::apply::{World, crash, health, image};
use crate::backup::subject;
use crate::compose::{Mount, MountKind, Service};
use crate::database::{self, Access, Secret, Spool};
use crate::disk;
use crate::docker::{CreateSpec, Engine};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::minion::Database;
use crate::name::{ContainerName, DatabaseKind, InstanceId, Role};
use crate::observe::Situation;
use crate::plan::snapshot::Artefact;
use crate::plan::wanted::{ContainerWanted, InstanceWanted, LABEL_INSTANCE, LABEL_OWNER};

/// Ends the name of such a server; no domain holds an underscore, so the name parses as nothing.
const STAGED: &str = "_restore";
/// How long loading may take.
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_secs(12 * 3600);
/// How long a server may take to write everything out.
const STOP_GRACE: Duration = Duration::from_secs(600);
/// How much more than an archive must be free, for it to wait beside what is made from it.
const SPOOL_ROOM: u64 = 4;
/// Where archives wait, in the container.
const SPOOL_INSIDE: &str = "/summoner-spool";
/// The end of a process that was killed.
const KILLED: i64 = 137;

/// One server to fill.
pub(super) struct Loading<'a, E> {
    pub(super) restoring: &'a Restoring<'a, E>,
    pub(super) situation: &'a Situation,
    pub(super) wanted: &'a InstanceWanted,
    pub(super) database: &'a Database,
    /// Its files.
    pub(super) folder: &'a Path,
    /// Secrets that are staged too.
    pub(super) values: Option<&'a BTreeMap<String, String>>,
    pub(super) artefacts: &'a [&'a Artefact],
}

/// Starts it, fills it, checks it, stops it; its folder is whole on disk then.
pub(super) async fn load<E: Engine>(loading: &Loading<'_, E>) -> Result<()> {
    let mut container = loading.container()?;
    let engine = loading.restoring.world.engine;
    disk::ensure_folder(loading.folder, 0o755, None)?;
    let spool = spool(loading.database.kind, loading.artefacts, loading.folder, &mut container)?;
    engine.remove(&container.name).await?;
    loading.image(&container).await?;
    loading.create(&container).await?;
    let filled = loading.fill(&container, spool.as_ref()).await;
    let removed = engine.remove(&container.name).await;
    if let Some(spool) = spool {
        disk::remove_tree(&spool.host)?;
    }
    filled?;
    removed
}

/// A folder beside that of a server in which an archive can wait uncompressed, where there is room for that and somebody who
/// gains by it.
///
/// # Errors
/// The disk refuses.
pub(crate) fn spool(kind: DatabaseKind, artefacts: &[&Artefact], folder: &Path, container: &mut ContainerWanted) -> Result<Option<Spool>> {
    let largest = artefacts.iter().map(|artefact| artefact.bytes_raw).max().unwrap_or(0);
    if kind != DatabaseKind::Postgresql || disk::free_bytes(folder)? < largest.saturating_mul(SPOOL_ROOM) {
        return Ok(None);
    }
    let host = folder.with_file_name(&container.name);
    // What a crash left of another restore.
    disk::remove_tree(&host)?;
    disk::ensure_folder(&host, 0o755, None)?;
    container.body.volumes.push(Mount {
        kind: MountKind::Bind,
        source: Some(host.display().to_string()),
        target: SPOOL_INSIDE.into(),
        read_only: true,
        create_host_path: false,
        nocopy: false,
        tmpfs_size_bytes: None,
        tmpfs_mode: None,
        propagation: None,
        selinux: None,
    });
    Ok(Some(Spool { host, inside: SPOOL_INSIDE.into() }))
}

/// Removes such servers of an instance that a killed restore left running.
pub(super) async fn remove_leftovers<E: Engine>(world: &World<'_, E>, id: &InstanceId) -> Result<()> {
    let owner = world.layout().files.display().to_string();
    for known in world.engine.containers().await? {
        let live = known.name.strip_suffix(STAGED).and_then(|live| live.parse::<ContainerName>().ok());
        if live.is_some_and(|live| live.instance == *id) && known.labels.get(LABEL_OWNER) == Some(&owner) {
            crash::point();
            world.engine.remove(&known.id).await?;
        }
    }
    Ok(())
}

impl<E: Engine> Loading<'_, E> {
    fn live(&self) -> String {
        ContainerName { role: Role::Database(self.database.kind), instance: self.wanted.id.clone() }.to_string()
    }

    /// The live server's specification, on the staged folder, out of everybody's reach.
    fn container(&self) -> Result<ContainerWanted> {
        let live = self.live();
        let found = self.wanted.containers.iter().find(|container| container.name == live);
        let mut container = found.cloned().ok_or_else(|| Error::internal(format!("{live} is in no plan")))?;
        container.name = live.clone() + STAGED;
        let layout = self.restoring.world.layout();
        let name: ContainerName = live.parse().map_err(|error| Error::internal(format!("{live} is no name")).cause(error))?;
        let (from, to) = (layout.database_files(&name), self.folder);
        let body: &mut Service = &mut container.body;
        for mount in &mut body.volumes {
            if let Some(rest) = mount.source.as_deref().and_then(|source| Path::new(source).strip_prefix(&from).ok()) {
                mount.source = Some(to.join(rest).display().to_string().trim_end_matches('/').to_owned());
            }
        }
        // It may look for itself by the names that it has on its own network.
        let aliases = body.networks.values().flat_map(|attachment| attachment.aliases.clone());
        let names: BTreeSet<String> = aliases.chain([container.service.clone(), live.clone()]).collect();
        body.extra_hosts.extend(names.into_iter().map(|name| format!("{name}:127.0.0.1")));
        body.networks.clear();
        body.network_mode = Some("none".into());
        body.ports.clear();
        body.depends_on.clear();
        body.command = tuning::loading(self.database.kind, body.command.take());
        tuning::making(self.database.kind, &mut body.environment);
        self.staged_secrets(&mut container);
        let owner = container.labels.get(LABEL_OWNER).cloned().unwrap_or_default();
        // No instance's label: nobody takes it for the live one, and the next install takes away what a crash left.
        container.labels = BTreeMap::from([(LABEL_OWNER.to_owned(), owner), (LABEL_INSTANCE.to_owned(), container.name.clone())]);
        Ok(container)
    }

    /// Secret files are mounted from where they wait, not from where the live ones are.
    fn staged_secrets(&self, container: &mut ContainerWanted) {
        if self.values.is_none() {
            return;
        }
        let layout = self.restoring.world.layout();
        let id = &self.wanted.id;
        let staged = Layout::waiting(&layout.beside_files(id)).join("secrets");
        for (source, _) in &mut container.files {
            if let Ok(rest) = Path::new(source.as_str()).strip_prefix(layout.secrets(id)) {
                *source = staged.join(rest).display().to_string();
            }
        }
    }

    async fn image(&self, container: &ContainerWanted) -> Result<()> {
        let engine = self.restoring.world.engine;
        let source = image::source(self.situation, &self.wanted.id, &container.image);
        if engine.image(source).await?.is_none() {
            self.restoring.say(format!("pulling {}", container.image));
            engine.pull(&container.image, &|_| {}).await?;
        }
        Ok(())
    }

    async fn create(&self, container: &ContainerWanted) -> Result<()> {
        let engine = self.restoring.world.engine;
        let spec = CreateSpec {
            name: &container.name,
            image: image::source(self.situation, &self.wanted.id, &container.image),
            service: &container.body,
            labels: &container.labels,
            files: &container.files,
        };
        crash::point();
        engine.create(&spec).await?;
        crash::point();
        engine.start(&container.name).await
    }

    async fn fill(&self, container: &ContainerWanted, spool: Option<&Spool>) -> Result<()> {
        let engine = self.restoring.world.engine;
        health::settled(engine, container).await?;
        let mut parts = Vec::new();
        for artefact in self.artefacts {
            let facts = artefact.database.clone().ok_or_else(|| Error::internal("a dump without its facts"))?;
            // The artefact's own database may bear another name than the one that is wanted here.
            let id = &self.restoring.snapshot.manifest.id;
            parts.push((facts, artefact.content, self.restoring.repository.artefact(id, &artefact.name)?));
        }
        let target = self.target(&container.name)?;
        let expected: u64 = parts.iter().map(|(facts, _, _)| facts.tables).sum();
        database::load(engine, &target, parts, LOAD_DEADLINE, spool).await?;
        let found: u64 = database::facts(engine, &target).await?.iter().map(|facts| facts.tables).sum();
        if found < expected {
            return Err(Error::external(format!("{} has {found} tables after the load, the snapshot says {expected}", container.name)));
        }
        engine.stop(&container.name, Some(STOP_GRACE)).await?;
        let detail = engine.inspect(&container.name).await?;
        if detail.is_none_or(|detail| detail.exit_code == Some(KILLED)) {
            return Err(Error::external(format!("{} did not end by itself after the load", container.name)));
        }
        // It was loaded without flushing each step.
        disk::sync_file_system(self.folder)
    }

    fn target(&self, name: &str) -> Result<database::Target> {
        let layout = self.restoring.world.layout();
        let mut target = match self.values {
            None => subject::target(layout, &self.wanted.id, self.database)?,
            Some(values) => {
                let (user, secret) = match &self.database.root {
                    Some((user, secret)) => (user.clone(), secret),
                    None => (self.database.user.clone(), &self.database.password),
                };
                let password = values.get(secret).cloned().map(Secret::new);
                database::Target {
                    container: String::new(),
                    kind: self.database.kind,
                    admin: Access { user, password },
                    databases: vec![self.database.name.clone()],
                }
            }
        };
        target.container = name.to_owned();
        Ok(target)
    }
}
