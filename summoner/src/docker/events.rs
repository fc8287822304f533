//! What happens at the engine, and one container as the proxy needs to know it.
//!
//! An event means *look again*, never *do this*: it carries no more than whom to look at. Knows the wire only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::pin::Pin;

use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum, HealthStatusEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use super::{Health, Running, failure};
use crate::error::{Error, Result};

/// The actions that can change a route. `health_status` stands for all of its words.
const ACTIONS: [&str; 13] =
    ["start", "stop", "die", "destroy", "rename", "health_status", "update", "pause", "unpause", "connect", "disconnect", "oom", "restart"];

/// Events as they come; the end, or an error, is the end of the connection.
pub type Events = Pin<Box<dyn Stream<Item = Result<Happened>> + Send>>;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A container.
    Container,
    /// A container's place on a network: the id is the container's, the name the network's.
    Network,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// What it is about.
    pub subject: Subject,
    /// `start`, `die`, `connect`; `health_status` without its word.
    pub action: String,
    /// The container's id.
    pub id: String,
    /// The container's name, or the network's.
    pub name: String,
    /// The engine's time in nanoseconds since 1970.
    pub at_ns: i64,
}

/// Where a container is on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// IPv4.
    pub v4: Option<IpAddr>,
    /// IPv6.
    pub v6: Option<IpAddr>,
    /// The network's gateway: the host.
    pub gateway: Option<IpAddr>,
}

/// One container, by one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The variables it was made with.
    pub environment: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Networks by name.
    pub networks: BTreeMap<String, Place>,
    /// TCP ports that it exposes.
    pub exposed: BTreeSet<u16>,
    /// It shares the host's network.
    pub host_mode: bool,
    /// Whether it runs.
    pub running: Running,
    /// What its health check says.
    pub health: Health,
    /// Its first process as the engine's host numbers it, while it runs.
    pub pid: Option<i64>,
}

pub(super) fn events(client: &bollard::Docker, since_ns: Option<i64>) -> Events {
    let filters = HashMap::from(
        [("type".to_owned(), vec!["container", "network"]), ("event".to_owned(), ACTIONS.to_vec())]
            .map(|(key, words): (String, Vec<&str>)| (key, words.into_iter().map(str::to_owned).collect::<Vec<_>>())),
    );
    let mut options = EventsOptionsBuilder::default().filters(&filters);
    if let Some(ns) = since_ns {
        options = options.since(&format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000));
    }
    let stream = client.events(Some(options.build())).filter_map(|item| async {
        match item {
            Ok(message) => happened(message).map(Ok),
            Err(error) => Some(Err(failure::explain("hear what happens at Docker", &error))),
        }
    });
    Box::pin(stream)
}

/// None for what concerns no container.
fn happened(message: EventMessage) -> Option<Happened> {
    let actor = message.actor?;
    let mut attributes = actor.attributes.unwrap_or_default();
    let action = message.action?;
    let action = action.split(':').next().unwrap_or_default().to_owned();
    let at_ns = message.time_nano.unwrap_or(0);
    let name = attributes.remove("name").unwrap_or_default();
    match message.typ? {
        EventMessageTypeEnum::CONTAINER => Some(Happened { subject: Subject::Container, action, id: actor.id?, name, at_ns }),
        EventMessageTypeEnum::NETWORK => {
            Some(Happened { subject: Subject::Network, action, id: attributes.remove("container")?, name, at_ns })
        }
        _ => None,
    }
}

/// # Errors
/// When the answer lacks what every container has.
pub(super) fn described(found: ContainerInspectResponse) -> Result<Described> {
    let state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = |text: Option<String>| text.and_then(|text| text.parse::<IpAddr>().ok());
    let place = |settings: bollard::models::EndpointSettings| Place {
        v4: address(settings.ip_address),
        v6: address(settings.global_ipv6_address),
        gateway: address(settings.gateway).or_else(|| address(settings.ipv6_gateway)),
    };
    Ok(Described {
        id: found.id.ok_or_else(|| Error::external("the engine described a container without an id"))?,
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        environment: super::engine::pairs(config.env),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        networks: networks.into_iter().map(|(name, settings)| (name, place(settings))).collect(),
        exposed: config
            .exposed_ports
            .unwrap_or_default()
            .iter()
            .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
            .collect(),
        host_mode: found.host_config.and_then(|host| host.network_mode).as_deref() == Some("host"),
        running: super::engine::running(&state.status.map(|status| status.to_string()).unwrap_or_default()),
        health: health(state.health.and_then(|health| health.status)),
        pid: state.pid.filter(|pid| *pid > 0),
    })
}

pub(super) fn health(status: Option<HealthStatusEnum>) -> Health {
    match status {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::None,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn message(typ: EventMessageTypeEnum, action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let actor = Some(EventActor { id: Some("0a".into()), attributes: Some(attributes) });
        EventMessage { typ: Some(typ), action: Some(action.into()), actor, time_nano: Some(7), ..EventMessage::default() }
    }

    #[test]
    fn an_event_says_whom_to_look_at() {
        let health = happened(message(EventMessageTypeEnum::CONTAINER, "health_status: healthy", &[("name", "web")])).unwrap();
        assert_eq!((health.action.as_str(), health.id.as_str(), health.name.as_str()), ("health_status", "0a", "web"));
        let joined = happened(message(EventMessageTypeEnum::NETWORK, "connect", &[("name", "front"), ("container", "1b")])).unwrap();
        assert_eq!((joined.subject, joined.id.as_str(), joined.name.as_str()), (Subject::Network, "1b", "front"));
        assert_eq!(happened(message(EventMessageTypeEnum::NETWORK, "connect", &[("name", "front")])), None, "no container, no look");
        assert_eq!(happened(message(EventMessageTypeEnum::IMAGE, "pull", &[])), None);
    }

    #[test]
    fn a_container_is_described() {
        let answer = r#"{"Id":"0a","Name":"/web","State":{"Status":"running","Health":{"Status":"starting"}},
            "Config":{"Env":["VIRTUAL_HOST=a.org","EMPTY="],"Labels":{"x":"y"},"ExposedPorts":{"80/tcp":{},"53/udp":{},"443/tcp":{}}},
            "HostConfig":{"NetworkMode":"host"},
            "NetworkSettings":{"Networks":{"front":{"IPAddress":"10.0.0.2","Gateway":"10.0.0.1","GlobalIPv6Address":""}}}}"#;
        let found = described(serde_json::from_str(answer).unwrap()).unwrap();
        assert_eq!((found.name.as_str(), found.running, found.health, found.host_mode), ("web", Running::Running, Health::Starting, true));
        assert_eq!(found.environment["VIRTUAL_HOST"], "a.org");
        assert_eq!(found.exposed, BTreeSet::from([80, 443]));
        let place = &found.networks["front"];
        assert_eq!((place.v4, place.v6, place.gateway), ("10.0.0.2".parse().ok(), None, "10.0.0.1".parse().ok()));
        assert!(described(ContainerInspectResponse::default()).is_err());
    }
}
