//! The container that Summoner makes for itself from the stock nginx image: read-only mounts, no socket in it, and the
//! two ports. It goes on when Summoner ends, and comes back after a reboot.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::compose::{Mount, MountKind, Port, Service};
use crate::disk;
use crate::docker::{CreateSpec, Described, Engine, Running};
use crate::error::{Error, Result};
use crate::layout::{Layout, ProxyFolder};
use crate::plan::route::{CERTS, HTML, INSIDE};
use crate::plan::wanted::{LABEL_HASH, LABEL_OWNER};

/// nginx's own folder inside.
const NGINX: &str = "/etc/nginx";

/// The container as it should be.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    /// Its name.
    pub name: String,
    pub image: String,
    pub http_port: u16,
    pub https_port: u16,
    /// Inside: where nginx listens.
    pub listen: (u16, u16),
    pub layout: Layout,
}

impl Managed {
    /// Its main file inside.
    pub(super) fn main() -> String {
        format!("{INSIDE}/current/nginx.conf")
    }

    fn service(&self) -> Service {
        let layout = &self.layout;
        let folder = |folder| layout.proxy_folder(folder).display().to_string();
        let mounts = [
            (layout.nginx().display().to_string(), INSIDE.to_owned()),
            (layout.certs().display().to_string(), CERTS.to_owned()),
            (folder(ProxyFolder::Vhosts), format!("{NGINX}/vhost.d")),
            (folder(ProxyFolder::Passwords), format!("{NGINX}/htpasswd")),
            (folder(ProxyFolder::Conf), format!("{NGINX}/conf.d")),
            (folder(ProxyFolder::Html), HTML.to_owned()),
        ];
        let mount = |(source, target): (String, String)| Mount {
            kind: MountKind::Bind,
            source: Some(source),
            target,
            read_only: true,
            create_host_path: false,
            nocopy: false,
            tmpfs_size_bytes: None,
            tmpfs_mode: None,
            propagation: None,
            selinux: None,
        };
        let port = |target, published| Port { target, published: Some(published), host_ip: None, protocol: "tcp".into() };
        Service {
            image: self.image.clone(),
            command: Some(["nginx", "-c", &Self::main(), "-g", "daemon off;"].map(str::to_owned).to_vec()),
            ports: vec![port(self.listen.0, self.http_port), port(self.listen.1, self.https_port)],
            volumes: mounts.into_iter().map(mount).collect(),
            restart: Some("unless-stopped".into()),
            ..Service::default()
        }
    }

    /// Makes the folders and, when it is not there as it should be, the container; does not start it. Gives it as it is now.
    ///
    /// # Errors
    /// Somebody else has the name, or the engine refuses.
    pub(super) async fn make<E: Engine>(&self, engine: &E) -> Result<Described> {
        let (service, name) = (self.service(), self.name.as_str());
        let written = serde_json::to_vec(&service).map_err(|error| Error::internal("cannot write down a container").cause(error))?;
        let hash = hex::encode(&Sha256::digest(written)[..8]);
        let owner = self.layout.files.display().to_string();
        if let Some(found) = engine.describe(name).await? {
            if found.labels.get(LABEL_OWNER) != Some(&owner) {
                return Err(Error::external(format!("the name {name} is taken by a container that this proxy did not make"))
                    .next(format!("docker rename {name} old-{name}   (Summoner never touches what it did not make)")));
            }
            if found.labels.get(LABEL_HASH) == Some(&hash) {
                return Ok(found);
            }
            engine.stop(name, None).await?;
            engine.remove(name).await?;
        }
        self.folders()?;
        let image = match engine.image(&self.image).await? {
            Some(image) => image.id,
            None => {
                engine.pull(&self.image, &|_| {}).await?;
                let pulled = engine.image(&self.image).await?;
                pulled.ok_or_else(|| Error::external(format!("{} was pulled and is not there", self.image)))?.id
            }
        };
        let labels = BTreeMap::from([(LABEL_OWNER.to_owned(), owner), (LABEL_HASH.to_owned(), hash)]);
        engine.create(&CreateSpec { name, image: &image, service: &service, labels: &labels, files: &[] }).await?;
        let made = engine.describe(name).await?;
        made.ok_or_else(|| {
            Error::external(format!("{name} was made and is gone again")).next(format!("docker events --filter container={name}"))
        })
    }

    /// Whether it needs no start.
    pub(super) fn runs(found: &Described) -> bool {
        matches!(found.running, Running::Running | Running::Restarting)
    }

    fn folders(&self) -> Result<()> {
        disk::ensure_folder(&self.layout.own(), 0o700, None)?;
        disk::ensure_folder(&self.layout.nginx(), 0o755, None)?;
        disk::ensure_folder(&self.layout.certs(), 0o700, None)?;
        disk::ensure_folder(&self.layout.proxy(), 0o755, None)?;
        ProxyFolder::ALL.into_iter().try_for_each(|folder| disk::ensure_folder(&self.layout.proxy_folder(folder), 0o755, None).map(drop))
    }
}
