//! One instance of config.yml, its minion and what is given, resolved to what the engine should hold.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    ContainerWanted, FolderWanted, Given, InstanceWanted, Keeping, LABEL_DATABASE, LABEL_HASH, LABEL_INSTANCE, LABEL_MINION, LABEL_OWNER,
    LABEL_ROLE, LABEL_SERVICE, NetworkWanted, RouteWanted, project_name,
};
use crate::compose::{self, Attachment, Logging, Project, Service};
use crate::config::{Config, Instance};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::minion::template::{Inputs, Variables};
use crate::minion::{Exec, Minion, OwnDump, TemplateError};
use crate::name::{ContainerName, DatabaseKind, Domain, Role};

/// Shown in place of a secret that does not exist yet.
const NOT_YET: &str = "not-generated-yet";

/// Resolves one instance.
pub(super) struct Resolver<'a> {
    pub(super) config: &'a Config,
    pub(super) given: &'a Given<'a>,
    pub(super) instance: &'a Instance,
    pub(super) owner: &'a str,
}

impl Resolver<'_> {
    pub(super) fn resolve(&self) -> Result<InstanceWanted> {
        let id = &self.instance.id;
        let minion = (self.given.minions)(&self.instance.minion)?;
        let mut absent_secrets = Vec::new();
        let mut values = BTreeMap::new();
        for secret in &minion.secrets {
            let value = (self.given.secret)(id, &secret.name).unwrap_or_else(|| {
                absent_secrets.push(secret.name.clone());
                NOT_YET.to_owned()
            });
            values.insert(secret.name.clone(), value);
        }
        let variables = self.variables(&minion, &values)?;
        let project = self.project(&minion, &variables)?;
        let network = (!minion.proxy).then(|| self.network());
        let containers = self.containers(&minion, &project, network.as_ref())?;
        Ok(InstanceWanted {
            id: id.clone(),
            minion: minion.name.clone(),
            proxy: minion.proxy,
            url: self.url(),
            network,
            volumes: self.volumes(&project),
            routes: self.routes(&minion)?,
            folders: self.folders(&minion),
            administrator: minion
                .administrator
                .as_ref()
                .map(|found| variables.administrator(found))
                .transpose()
                .map_err(|error| self.broken(&minion, &error))?,
            access: self.instance.access.clone(),
            sign_in: minion.sign_in.clone(),
            smoke: minion.smoke.as_ref().map(|found| variables.smoke(found)).transpose().map_err(|error| self.broken(&minion, &error))?,
            configure: minion
                .configure
                .iter()
                .map(|action| variables.action(action))
                .collect::<Result<_, _>>()
                .map_err(|error| self.broken(&minion, &error))?,
            keeping: self.keeping(&minion, &variables, &containers).map_err(|error| self.broken(&minion, &error))?,
            secrets: minion.secrets,
            absent_secrets,
            containers,
        })
    }

    fn keeping(&self, minion: &Minion, variables: &Variables, containers: &[ContainerWanted]) -> Result<Keeping, TemplateError> {
        let root = self.config.layout.instance_files(&self.instance.id);
        let all = |execs: &[Exec]| execs.iter().map(|exec| variables.exec(exec)).collect::<Result<Vec<_>, _>>();
        let own_dump = |dump: &OwnDump| Ok(OwnDump { create: all(&dump.create)?, files: dump.files.clone(), restore: all(&dump.restore)? });
        let app = containers.iter().find(|container| container.role == Role::App);
        Ok(Keeping {
            databases: minion.databases.clone(),
            regenerable: minion.folders.iter().filter(|folder| folder.regenerable).map(|folder| root.join(&folder.path)).collect(),
            quiesce: all(&minion.quiesce)?,
            unquiesce: all(&minion.unquiesce)?,
            after_restore: all(&minion.after_restore)?,
            dump: minion.dump.as_ref().map(own_dump).transpose()?,
            mail: minion.mail.clone(),
            policy: minion.versions.restore,
            version: app.and_then(|app| app.image.rsplit_once(':')).map(|(_, tag)| tag.to_owned()),
        })
    }

    fn broken(&self, minion: &Minion, why: &dyn std::fmt::Display) -> Error {
        Error::new(crate::error::Kind::Config, format!("the minion {} cannot be used for {}", minion.name, self.instance.id))
            .cause(why)
            .next(format!("summoner minions lint {}", minion.name))
    }

    fn url(&self) -> Option<String> {
        let host = self.instance.host.as_ref()?;
        Some(match self.config.proxy.https_port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        })
    }

    fn variables(&self, minion: &Minion, secrets: &BTreeMap<String, String>) -> Result<Variables> {
        let config = self.config;
        let inputs = Inputs {
            id: &self.instance.id,
            minion,
            layout: &config.layout,
            host: self.instance.host.as_ref().map(Domain::as_str),
            https_port: config.proxy.https_port,
            http_port: config.proxy.http_port,
            proxy_address: config.proxy.address,
            proxy_subnet: self.given.edge_subnet,
            email: &config.email,
            timezone: &config.timezone,
        };
        Variables::new(&inputs, secrets).map_err(|error| self.broken(minion, &error))
    }

    fn project(&self, minion: &Minion, variables: &Variables) -> Result<Project> {
        let name = project_name(&self.instance.id);
        let input = compose::Input {
            source: std::sync::Arc::clone(&minion.compose),
            folder: &self.config.layout.instance_files(&self.instance.id),
            project: Some(&name),
            variables: variables.all(),
            profiles: &[],
            home: None,
        };
        compose::load(&input)
            .map(|loaded| loaded.project)
            .map_err(|faults| Error::faults(format!("the Compose file of the minion {} has {} faults", minion.name, faults.len()), faults))
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_OWNER.to_owned(), self.owner.to_owned()),
            (LABEL_INSTANCE.to_owned(), self.instance.id.to_string()),
            (LABEL_MINION.to_owned(), self.instance.minion.clone()),
            ("com.docker.compose.project".to_owned(), project_name(&self.instance.id)),
        ])
    }

    fn network(&self) -> NetworkWanted {
        let mut labels = self.labels();
        labels.insert("com.docker.compose.network".to_owned(), "default".to_owned());
        NetworkWanted {
            name: self.instance.id.to_string(),
            subnet: self.given.subnets.get(&self.instance.id).cloned().unwrap_or_default(),
            labels,
        }
    }

    fn volumes(&self, project: &Project) -> BTreeMap<String, BTreeMap<String, String>> {
        let labelled = |name: &String| {
            let mut labels = self.labels();
            labels.insert("com.docker.compose.volume".to_owned(), name.clone());
            labels
        };
        project.volumes.iter().filter(|(_, volume)| !volume.external).map(|(name, volume)| (volume.name.clone(), labelled(name))).collect()
    }

    fn folders(&self, minion: &Minion) -> Vec<FolderWanted> {
        let layout: &Layout = &self.config.layout;
        let root = layout.instance_files(&self.instance.id);
        let own = minion.folders.iter().map(|folder| FolderWanted { path: root.join(&folder.path), owner: folder.owner });
        let databases = minion.databases.iter().map(|database| FolderWanted {
            path: layout.database_files(&ContainerName { role: Role::Database(database.kind), instance: self.instance.id.clone() }),
            owner: None,
        });
        own.chain(databases).collect()
    }

    fn routes(&self, minion: &Minion) -> Result<Vec<RouteWanted>> {
        let Some(host) = &self.instance.host else { return Ok(Vec::new()) };
        let mut routes = Vec::new();
        for (at, route) in minion.routes.iter().enumerate() {
            let role = minion.role(&route.service).map_err(|error| self.broken(minion, &error))?;
            let host = match &route.subdomain {
                // `registry` beside `git.example.org` is `registry-git.example.org`: one level, so one wildcard fits.
                Some(label) => format!("{label}-{host}").parse().map_err(|error| self.broken(minion, &error))?,
                None => host.clone(),
            };
            routes.push(RouteWanted {
                host,
                aliases: if at == 0 { self.instance.aliases.clone() } else { Vec::new() },
                container: ContainerName { role, instance: self.instance.id.clone() }.to_string(),
                settings: route.clone(),
            });
        }
        Ok(routes)
    }

    fn containers(&self, minion: &Minion, project: &Project, network: Option<&NetworkWanted>) -> Result<Vec<ContainerWanted>> {
        let app_image = project.services.get("app").map(|service| service.image.clone());
        let mut containers = Vec::new();
        for service in compose::start_order(project) {
            let Some(body) = project.services.get(&service) else { continue };
            let role = minion.role(&service).map_err(|error| self.broken(minion, &error))?;
            let mut body = body.clone();
            // A helper of the same image (cron, worker) is the same application: it takes the same settings.
            if app_image.as_deref() == Some(body.image.as_str()) {
                self.override_application(&mut body, role == Role::App);
            }
            self.attach(minion, &service, &mut body, network);
            body.logging.get_or_insert_with(bounded_log);
            containers.push(self.container(role, service, body, project));
        }
        Ok(containers)
    }

    fn override_application(&self, body: &mut Service, main: bool) {
        for (key, value) in &self.instance.environment {
            body.environment.insert(key.clone(), Some(value.clone()));
        }
        if let Some(version) = &self.instance.version {
            let name = body.image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(body.image.as_str(), |(name, _)| name);
            body.image = format!("{name}:{version}");
        }
        if main {
            let limits = &self.instance.resources;
            body.resources.memory_bytes = limits.memory_bytes.or(body.resources.memory_bytes);
            body.resources.nano_cpus = limits.nano_cpus.or(body.resources.nano_cpus);
        }
    }

    /// Everything is on the instance's own network; only what is routed also meets the proxy.
    fn attach(&self, minion: &Minion, service: &str, body: &mut Service, network: Option<&NetworkWanted>) {
        if body.network_mode.is_some() {
            return;
        }
        let mut aliases: Vec<String> = body.networks.values().flat_map(|attachment| attachment.aliases.clone()).collect();
        aliases.push(service.to_owned());
        aliases.sort_unstable();
        aliases.dedup();
        body.networks = BTreeMap::new();
        if let Some(network) = network {
            body.networks.insert(network.name.clone(), Attachment { aliases, ..Attachment::default() });
        }
        if minion.proxy || minion.routes.iter().any(|route| route.service == service) {
            body.networks.insert(self.config.edge_network.clone(), Attachment::default());
        }
    }

    fn container(&self, role: Role, service: String, body: Service, project: &Project) -> ContainerWanted {
        let name = ContainerName { role: role.clone(), instance: self.instance.id.clone() }.to_string();
        let files = files(&body, project);
        let mut labels = self.labels();
        labels.extend(body.labels.clone());
        labels.insert(LABEL_ROLE.to_owned(), role.as_str().to_owned());
        if let Role::Database(kind) = role {
            labels.insert(LABEL_DATABASE.to_owned(), DatabaseKind::as_str(kind).to_owned());
        }
        labels.insert(LABEL_SERVICE.to_owned(), service.clone());
        labels.insert("com.docker.compose.container-number".to_owned(), "1".to_owned());
        labels.insert("com.docker.compose.oneoff".to_owned(), "False".to_owned());
        labels.insert("com.docker.compose.project.config_files".to_owned(), format!("minions/{}/docker-compose.yml", self.instance.minion));
        labels.insert(
            "com.docker.compose.project.working_dir".to_owned(),
            self.config.layout.instance_files(&self.instance.id).display().to_string(),
        );
        let hash = hash(&Hashed { name: &name, body: &body, labels: &labels, files: &files });
        labels.insert(LABEL_HASH.to_owned(), hash.clone());
        ContainerWanted { name, service, role, image: body.image.clone(), body, labels, files, hash }
    }
}

#[derive(Serialize)]
struct Hashed<'a> {
    name: &'a str,
    body: &'a Service,
    labels: &'a BTreeMap<String, String>,
    files: &'a [(String, String)],
}

fn hash(specification: &Hashed<'_>) -> String {
    // ok: plain structs of texts and numbers with text keys always serialise.
    let bytes = serde_json::to_vec(specification).unwrap_or_default();
    hex::encode(Sha256::digest(bytes))
}

/// Files behind the secrets and configs that a service is given.
fn files(body: &Service, project: &Project) -> Vec<(String, String)> {
    let secrets = body.secrets.iter().map(|grant| (grant, project.secrets.get(&grant.source)));
    let configs = body.configs.iter().map(|grant| (grant, project.configs.get(&grant.source)));
    secrets.chain(configs).filter_map(|(grant, source)| Some((source?.file.clone()?, grant.target.clone()))).collect()
}

/// Docker keeps logs for ever unless told otherwise.
fn bounded_log() -> Logging {
    let options = [("max-size", "10m"), ("max-file", "3")];
    Logging { driver: Some("json-file".into()), options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into() }
}
