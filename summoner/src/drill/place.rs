//! The throw-away place of a drill: the instance as config.yml and the catalogue say, with every path, name, network and
//! variable turned away from what is live.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::apply::{World, crash};
use crate::compose::{Attachment, MountKind};
use crate::disk;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::{DatabaseKind, InstanceId, Role};
use crate::plan::state::NetworkSpec;
use crate::plan::subnet::Cidr;
use crate::plan::wanted::{ContainerWanted, Given, InstanceWanted, LABEL_DRILL, LABEL_INSTANCE, LABEL_OWNER, wanted};
use crate::restore::tuning;
use crate::state;

/// Ends every name that a drill gives; no domain holds an underscore, so such a name parses as nothing.
const ENDING: &str = "_drill";
/// Instead of starting for ever: what ends as often will not come up, and a reboot starts nothing of a drill.
const RESTART: &str = "on-failure:3";
/// What is live comes first where processors are scarce; a container has 1024 otherwise.
const CPU_SHARES: u64 = 512;

/// The place.
pub(super) struct Place {
    /// Its layout: paths below it are as those below the real one.
    pub layout: Layout,
    /// The instance in it; its containers bear their own names.
    pub instance: InstanceWanted,
    /// Its network.
    pub network: String,
    /// The names of live containers, by those of the drill.
    pub live: BTreeMap<String, String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Makes its folders and its network.
pub(super) async fn make<E: Engine>(world: &World<'_, E>, id: &InstanceId, secrets: &BTreeMap<String, String>) -> Result<Place> {
    let layout = world.layout().drill(id);
    for folder in world.layout().drills() {
        crash::point();
        disk::ensure_own_folder(&folder, 0o700, None)?;
    }
    for folder in [&layout.files, &layout.databases] {
        disk::ensure_folder(folder, 0o700, None)?;
    }
    let owner = world.layout().files.display().to_string();
    let labels = BTreeMap::from([
        (LABEL_OWNER.to_owned(), owner.clone()),
        (LABEL_INSTANCE.to_owned(), format!("{id}{ENDING}")),
        (LABEL_DRILL.to_owned(), owner),
    ]);
    let subnet = subnet(world).await?.to_string();
    let instance = resolve(world, id, &layout, &subnet, secrets)?;
    let network = NetworkSpec { name: format!("{id}{ENDING}"), subnet, internal: true, labels: labels.clone() };
    crash::point();
    world.engine.create_network(&network).await?;
    let mut place = Place { layout, instance, network: network.name, live: BTreeMap::new(), notes: Vec::new() };
    place.turn_away(&labels);
    Ok(place)
}

/// A piece of our range that nobody uses or remembers.
async fn subnet<E: Engine>(world: &World<'_, E>) -> Result<Cidr> {
    let memory = state::load(world.layout())?;
    let range = memory.network_range.as_deref().and_then(|range| range.parse::<Cidr>().ok());
    let range = range.ok_or_else(|| Error::external("nothing is installed here yet").next("summoner install"))?;
    let networks = world.engine.networks().await?;
    let used = networks.iter().flat_map(|network| &network.subnets).filter_map(|subnet| subnet.parse().ok());
    let remembered = memory.instances.values().filter_map(|instance| instance.subnet.as_deref()?.parse().ok());
    let taken: Vec<Cidr> = used.chain(remembered).chain([range.edge()]).collect();
    range.free_piece(&taken).ok_or_else(|| {
        Error::external(format!("the range {range} has no room for the network of a drill")).next("a larger networks.range in config.yml")
    })
}

/// The instance, as if the drill's folders were the storage roots.
fn resolve<E>(
    world: &World<'_, E>,
    id: &InstanceId,
    layout: &Layout,
    subnet: &str,
    secrets: &BTreeMap<String, String>,
) -> Result<InstanceWanted> {
    let mut config = world.config.clone();
    config.layout = layout.clone();
    config.instances.retain(|instance| instance.id == *id);
    let subnets = BTreeMap::from([(id.clone(), subnet.to_owned())]);
    let secret = |of: &InstanceId, name: &str| secrets.get(name).filter(|_| of == id).cloned();
    let minions = |name: &str| world.catalogue.get(name).cloned();
    // Requests come from this network, as the proxy's come from its own.
    let wanted = wanted(&config, &Given { secret: &secret, edge_subnet: subnet, subnets: &subnets, minions: &minions })?;
    let found = wanted.instances.into_iter().find(|instance| instance.id == *id);
    found.ok_or_else(|| Error::usage(format!("{id} is not in config.yml")))
}

impl Place {
    fn turn_away(&mut self, labels: &BTreeMap<String, String>) {
        let mail = self.instance.keeping.mail.clone();
        let app = self.instance.containers.iter().find(|container| container.role == Role::App).map(|app| app.image.clone());
        let mut containers = std::mem::take(&mut self.instance.containers);
        for container in &mut containers {
            let live = container.name.clone();
            container.name = format!("{live}{ENDING}");
            self.live.insert(container.name.clone(), live.clone());
            container.labels = labels.clone();
            if app.as_ref() == Some(&container.image) {
                container.body.environment.extend(mail.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
            }
            self.networks(container, live);
            self.mounts(container);
            let body = &mut container.body;
            if body.restart.as_deref().is_some_and(|restart| restart != "no") {
                body.restart = Some(RESTART.into());
            }
            body.resources.cpu_shares = Some(CPU_SHARES);
            body.container_name = None;
            if let Role::Database(kind) = container.role {
                body.command = quiet(kind, tuning::loading(kind, body.command.take()));
                tuning::making(kind, &mut body.environment);
            }
        }
        self.instance.containers = containers;
    }

    /// One network without a way out, on which the usual names work.
    fn networks(&self, container: &mut ContainerWanted, live: String) {
        let body = &mut container.body;
        let names = body.networks.values().flat_map(|attachment| attachment.aliases.clone());
        let aliases: BTreeSet<String> = names.chain([container.service.clone(), live]).collect();
        let attachment = Attachment { aliases: aliases.into_iter().collect(), ..Attachment::default() };
        body.networks = BTreeMap::from([(self.network.clone(), attachment)]);
        body.network_mode = None;
        body.ports.clear();
        body.dns.clear();
        body.pid = None;
        body.ipc = None;
        // The host itself is outside too.
        body.extra_hosts.retain(|host| !host.ends_with("host-gateway"));
    }

    /// Named volumes become folders; what lies elsewhere on the host may be read only, and no program there be spoken to.
    fn mounts(&mut self, container: &mut ContainerWanted) {
        let roots = [self.layout.files.clone(), self.layout.databases.clone()];
        let inside = |path: &Path| roots.iter().any(|root| path.starts_with(root));
        let mut notes = Vec::new();
        container.body.volumes.retain_mut(|mount| {
            let Some(source) = mount.source.clone() else { return true };
            match mount.kind {
                MountKind::Volume => {
                    mount.kind = MountKind::Bind;
                    mount.source = Some(self.layout.volume_stand_in(&source).display().to_string());
                    mount.create_host_path = true;
                }
                MountKind::Bind if !inside(Path::new(&source)) => {
                    if Path::new(&source).metadata().is_ok_and(|found| found.file_type().is_socket()) {
                        notes.push(format!("{} has no {source}: a drill speaks to nobody outside", container.name));
                        return false;
                    }
                    mount.read_only = true;
                }
                _ => {}
            }
            true
        });
        self.notes.append(&mut notes);
    }

    /// Folders that containers are given and a snapshot does not hold.
    pub(super) fn folders(&self) -> Result<()> {
        for folder in &self.instance.folders {
            disk::ensure_folder(&folder.path, 0o755, folder.owner)?;
        }
        for mount in self.instance.containers.iter().flat_map(|container| &container.body.volumes) {
            let source = mount.source.as_deref().map(Path::new).filter(|_| mount.kind == MountKind::Bind && mount.create_host_path);
            if let Some(source) = source.filter(|source| source.starts_with(&self.layout.files) && source.symlink_metadata().is_err()) {
                disk::ensure_folder(source, 0o755, None)?;
            }
        }
        Ok(())
    }

    /// Where the roots of a snapshot's tree belong.
    pub(super) fn roots(&self) -> Vec<(String, PathBuf)> {
        let files = (crate::backup::subject::FILES.to_owned(), self.layout.instance_files(&self.instance.id));
        let volumes = self.instance.volumes.keys().map(|name| (format!("volumes/{name}"), self.layout.volume_stand_in(name)));
        std::iter::once(files).chain(volumes).collect()
    }
}

/// A server that changes nothing by itself while it is compared: no events, no documents that run out. It lives beside the live
/// one, so it takes less memory than one that only loads.
fn quiet(kind: DatabaseKind, command: Option<Vec<String>>) -> Option<Vec<String>> {
    let words: &[&str] = match kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => &["--loose-event-scheduler=OFF", "--loose-innodb-buffer-pool-size=512M"],
        DatabaseKind::Mongodb => &["--setParameter", "ttlMonitorEnabled=false"],
        DatabaseKind::Postgresql => return command,
    };
    let mut command = command.filter(|words| !words.is_empty()).unwrap_or_else(|| vec!["mongod".to_owned()]);
    command.extend(words.iter().map(|&word| word.to_owned()));
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_quiet_while_it_is_compared() {
        assert_eq!(quiet(DatabaseKind::Mongodb, None).unwrap(), ["mongod", "--setParameter", "ttlMonitorEnabled=false"]);
        assert_eq!(quiet(DatabaseKind::Mariadb, Some(vec!["mariadbd".into()])).unwrap()[..2], ["mariadbd", "--loose-event-scheduler=OFF"]);
        assert_eq!(quiet(DatabaseKind::Postgresql, None), None);
    }
}
