//! A real Docker Engine behind the verbs.
//!
//! The client library throws the negotiated version away on the wire (facts: crates §3), so the version is pinned by
//! us: the answers keep their shape when Docker is upgraded under a running daemon.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::{
    Container, ContainerDetail, CreateSpec, Described, Engine, EngineInfo, Events, ExecOutput, ExecSession, ExecSpec, ExecState, Health,
    Image, Network, NetworkSpec, Running, body, events, exec, failure, session,
};
use crate::error::{Error, Result};

/// Oldest API that has everything used here (Docker Engine 20.10).
pub const OLDEST_API: (usize, usize) = (1, 41);
/// How long a plain call may take.
const CALL: Duration = Duration::from_secs(120);
/// How long a stop may take: GitLab's own grace period is two minutes, Nextcloud AIO's database has half an hour.
const LONG: Duration = Duration::from_secs(3600);
/// How much of a container's log is read at most.
const MAX_LOG: usize = 1 << 20;

/// A connection to a Docker Engine.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    /// The same, for calls whose answer comes when the work is done.
    patient: bollard::Docker,
    api: (usize, usize),
}

impl Docker {
    /// Connects where `DOCKER_HOST` says, or to the local socket, and pins the API version.
    ///
    /// # Errors
    /// No engine, not permitted, or older than API 1.41, each with what to do.
    pub async fn connect() -> Result<Self> {
        Self::connect_to(None).await
    }

    /// As [`Self::connect`], to this socket when one is named.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_to(socket: Option<&Path>) -> Result<Self> {
        let client = match socket {
            Some(path) => bollard::Docker::connect_with_socket(&path.display().to_string(), CALL.as_secs(), bollard::API_DEFAULT_VERSION),
            None => bollard::Docker::connect_with_defaults(),
        };
        let client = client.map_err(|error| failure::explain("reach Docker", &error))?;
        let client = client.with_timeout(CALL).negotiate_version().await.map_err(|error| failure::explain("reach Docker", &error))?;
        let version = client.client_version();
        let api = (version.major_version, version.minor_version);
        if api < OLDEST_API {
            return Err(Error::external(format!(
                "this Docker Engine is too old: its API is {}.{}, at least {}.{} is needed",
                api.0, api.1, OLDEST_API.0, OLDEST_API.1
            ))
            .next("update Docker Engine to 20.10 or newer"));
        }
        let client = client.with_request_modifier(move |mut request| {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            tracing::debug!("engine: {} {path}", request.method());
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = format!("/v{}.{}{path}", api.0, api.1).parse().ok();
            if let Ok(uri) = parts.try_into() {
                *request.uri_mut() = uri;
            }
            request
        });
        let patient = client.clone().with_timeout(LONG);
        Ok(Self { client, patient, api })
    }

    /// The client whose calls may take long.
    pub(super) fn patient(&self) -> &bollard::Docker {
        &self.patient
    }
}

impl Engine for Docker {
    async fn info(&self) -> Result<EngineInfo> {
        let info = self.client.info().await.map_err(|error| failure::explain("ask Docker about itself", &error))?;
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            api: format!("{}.{}", self.api.0, self.api.1),
            architecture: match info.architecture.as_deref() {
                Some("x86_64") => "amd64".into(),
                Some("aarch64") => "arm64".into(),
                other => other.unwrap_or_default().to_owned(),
            },
            cgroup: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            root: info.docker_root_dir.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            system_time: info.system_time.and_then(|time| time.parse().ok()),
        })
    }

    async fn containers(&self) -> Result<Vec<Container>> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let list = self.client.list_containers(Some(options)).await.map_err(|error| failure::explain("list the containers", &error))?;
        Ok(list.into_iter().map(container).collect())
    }

    async fn matching(&self, filters: &[(String, String)]) -> Result<BTreeSet<String>> {
        let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, value) in filters {
            by_name.entry(name).or_default().push(value);
        }
        let options = ListContainersOptionsBuilder::default().all(true).filters(&by_name).build();
        let list = self.client.list_containers(Some(options)).await;
        let list = list.map_err(|error| failure::explain("list the containers that DOCKER_CONTAINER_FILTERS leaves", &error))?;
        Ok(list.into_iter().filter_map(|container| container.id).collect())
    }

    async fn inspect(&self, name: &str) -> Result<Option<ContainerDetail>> {
        let doing = format!("look at the container {name}");
        let Some(found) = found(self.client.inspect_container(name, None).await, &doing)? else { return Ok(None) };
        let state = found.state.unwrap_or_default();
        let health = state.health.unwrap_or_default();
        Ok(Some(ContainerDetail {
            id: found.id.unwrap_or_default(),
            running: running(&state.status.map(|status| status.to_string()).unwrap_or_default()),
            health: events::health(health.status),
            health_output: health
                .log
                .and_then(|log| log.into_iter().next_back())
                .and_then(|last| last.output)
                .filter(|text| !text.trim().is_empty()),
            exit_code: state.exit_code,
            pid: state.pid.filter(|pid| *pid > 0),
            error: state.error.filter(|text| !text.is_empty()),
            restarts: found.restart_count.unwrap_or(0),
            networks: addresses(found.network_settings.and_then(|settings| settings.networks)),
            environment: pairs(found.config.and_then(|config| config.env)),
        }))
    }

    async fn describe(&self, name: &str) -> Result<Option<Described>> {
        found(self.client.inspect_container(name, None).await, &format!("look at the container {name}"))?.map(events::described).transpose()
    }

    fn events(&self, since_ns: Option<i64>) -> Events {
        events::events(&self.client, since_ns)
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        let list = self.client.list_networks(None).await.map_err(|error| failure::explain("list the networks", &error))?;
        Ok(list
            .into_iter()
            .map(|network| Network {
                internal: network.internal.unwrap_or(false),
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                labels: sorted(network.labels),
                subnets: network
                    .ipam
                    .and_then(|ipam| ipam.config)
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|config| config.subnet)
                    .collect(),
            })
            .collect())
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        let doing = format!("look at the image {reference}");
        let image = found(self.client.inspect_image(reference).await, &doing)?;
        Ok(image.map(|image| Image {
            id: image.id.unwrap_or_default(),
            tags: image.repo_tags.unwrap_or_default(),
            digests: image.repo_digests.unwrap_or_default(),
            labels: sorted(image.config.and_then(|config| config.labels)),
        }))
    }

    async fn pull(&self, reference: &str, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<()> {
        // A reference without a tag would pull every tag there is.
        let options = CreateImageOptionsBuilder::default().from_image(reference).build();
        let mut stream = self.patient.create_image(Some(options), None, crate::docker::login::of(reference));
        while let Some(item) = stream.next().await {
            let item = item.map_err(|error| failure::pull(reference, &error))?;
            if let Some(message) = item.error_detail.and_then(|detail| detail.message) {
                return Err(failure::pull(reference, &bollard::errors::Error::DockerStreamError { error: message }));
            }
            if let Some(status) = item.status {
                progress(&status);
            }
        }
        Ok(())
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".into()),
            internal: Some(spec.internal),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig { subnet: Some(spec.subnet.clone()), ..Default::default() }]),
                ..Default::default()
            }),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..Default::default()
        };
        self.client
            .create_network(request)
            .await
            .map(drop)
            .map_err(|error| failure::explain(&format!("make the network {} ({})", spec.name, spec.subnet), &error))
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        absent_is_fine(self.client.remove_network(name).await, &format!("remove the network {name}"))
    }

    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> Result<()> {
        let attachment = crate::compose::Attachment { aliases: aliases.to_vec(), ..Default::default() };
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(body::endpoint(&attachment)) };
        match self.client.connect_network(network, request).await {
            Err(bollard::errors::Error::DockerResponseServerError { message, .. }) if message.contains("already exists in network") => {
                Ok(())
            }
            result => result.map_err(|error| failure::explain(&format!("join {container} to the network {network}"), &error)),
        }
    }

    async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        match self.client.disconnect_network(network, request).await {
            Err(bollard::errors::Error::DockerResponseServerError { message, .. }) if message.contains("is not connected to") => Ok(()),
            result => absent_is_fine(result, &format!("take {container} off the network {network}")),
        }
    }

    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels.clone().into_iter().collect()), ..Default::default() };
        self.client.create_volume(request).await.map(drop).map_err(|error| failure::explain(&format!("make the volume {name}"), &error))
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        absent_is_fine(
            self.client.remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>).await,
            &format!("remove the volume {name}"),
        )
    }

    async fn create(&self, spec: &CreateSpec<'_>) -> Result<String> {
        let doing = format!("make the container {}", spec.name);
        let mut options = CreateContainerOptionsBuilder::default().name(spec.name);
        if let Some(platform) = &spec.service.platform {
            options = options.platform(platform);
        }
        let made = self
            .client
            .create_container(Some(options.build()), body::create(spec, self.api))
            .await
            .map_err(|error| failure::explain(&doing, &error))?;
        for (network, attachment) in spec.service.networks.iter().skip(1) {
            if let Err(error) = self.connect(network, &made.id, &attachment.aliases).await {
                // Half a container would be taken for a whole one.
                self.remove(&made.id).await?;
                return Err(error);
            }
        }
        Ok(made.id)
    }

    async fn start(&self, container: &str) -> Result<()> {
        let result = self.client.start_container(container, None).await;
        result.map_err(|error| failure::explain(&format!("start the container {container}"), &error))
    }

    async fn stop(&self, container: &str, grace: Option<Duration>) -> Result<()> {
        let options =
            grace.map(|grace| StopContainerOptionsBuilder::default().t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX)).build());
        absent_is_fine(self.patient.stop_container(container, options).await, &format!("stop the container {container}"))
    }

    async fn remove(&self, container: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(false).build();
        absent_is_fine(self.patient.remove_container(container, Some(options)).await, &format!("remove the container {container}"))
    }

    async fn discard(&self, container: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        absent_is_fine(self.patient.remove_container(container, Some(options)).await, &format!("remove the container {container}"))
    }

    async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        self.client
            .rename_container(container, options)
            .await
            .map_err(|error| failure::explain(&format!("rename the container {container} to {name}"), &error))
    }

    async fn logs(&self, container: &str, lines: usize) -> Result<String> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let mut stream = self.client.logs(container, Some(options));
        let mut text = Vec::new();
        while let Some(item) = stream.next().await {
            let item = item.map_err(|error| failure::explain(&format!("read the log of {container}"), &error))?;
            text.extend_from_slice(&item.into_bytes());
            if text.len() > MAX_LOG {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        exec::run(&self.patient, container, spec).await
    }

    async fn open_exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecSession> {
        session::open(&self.patient, container, spec).await
    }

    async fn exec_state(&self, id: &str) -> Result<ExecState> {
        session::state(&self.client, id).await
    }
}

fn found<T>(result: Result<T, bollard::errors::Error>, doing: &str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if failure::status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failure::explain(doing, &error)),
    }
}

fn absent_is_fine(result: Result<(), bollard::errors::Error>, doing: &str) -> Result<()> {
    found(result, doing).map(drop)
}

fn container(summary: ContainerSummary) -> Container {
    let status = summary.status.unwrap_or_default();
    let mut published: Vec<u16> = summary.ports.unwrap_or_default().iter().filter_map(|port| port.public_port).collect();
    published.sort_unstable();
    published.dedup();
    let networks = summary.network_settings.and_then(|settings| settings.networks);
    Container {
        id: summary.id.unwrap_or_default(),
        // A container has more names when old links lead to it; its own has no second slash.
        name: summary
            .names
            .unwrap_or_default()
            .into_iter()
            .find(|name| name.matches('/').count() == 1)
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        labels: sorted(summary.labels),
        running: summary.state.as_ref().map_or(Running::Dead, |state: &ContainerSummaryStateEnum| running(state.as_ref())),
        health: health_of_status(&status),
        status,
        network_ids: network_ids(networks.as_ref()),
        networks: addresses(networks),
        published,
        created_at: summary.created.unwrap_or(0),
    }
}

/// The list has no health field before API 1.52; its status text always had it.
fn health_of_status(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("(health: starting)") {
        Health::Starting
    } else {
        Health::None
    }
}

pub(super) fn running(state: &str) -> Running {
    match state {
        "created" => Running::Created,
        "running" | "stopping" => Running::Running,
        "restarting" => Running::Restarting,
        "paused" => Running::Paused,
        "exited" => Running::Exited,
        _ => Running::Dead,
    }
}

fn addresses(networks: Option<HashMap<String, bollard::models::EndpointSettings>>) -> BTreeMap<String, String> {
    networks.unwrap_or_default().into_iter().map(|(name, settings)| (name, settings.ip_address.unwrap_or_default())).collect()
}

fn network_ids(networks: Option<&HashMap<String, bollard::models::EndpointSettings>>) -> BTreeMap<String, String> {
    let known = networks.into_iter().flatten().filter_map(|(name, settings)| Some((name.clone(), settings.network_id.clone()?)));
    known.filter(|(_, id)| !id.is_empty()).collect()
}

/// `KEY=value`, as the engine lists variables.
pub(super) fn pairs(list: Option<Vec<String>>) -> BTreeMap<String, String> {
    let pairs = list.unwrap_or_default();
    pairs.iter().filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn sorted(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}
