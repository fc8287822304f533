//! Keys that the Compose specification knows and Summoner refuses, each with its reason. wiki/compose.md shows them.
//!
//! `ALL` is what the wiki is tested against. A key in no table is unknown and refused as such; to implement one, remove it here and read it.

/// Keys by name with the reason, which is the help of the fault.
pub(super) type Table = &'static [(&'static str, &'static str)];

const ENGINE: &str = "the model has no field for it yet; remove it, or open an issue with the file that needs it";
const SWARM: &str = "only Swarm acts on it";
const TOOL: &str = "it steers the docker compose command, not the container";
const BUILD: &str = "images are pulled or built from a plain Dockerfile";

/// Every table with the place it is for.
#[cfg(test)]
pub(super) const ALL: &[(&str, Table)] = &[
    ("top level", TOP),
    ("service", SERVICE),
    ("build", BUILD_KEYS),
    ("deploy", DEPLOY),
    ("deploy.resources.reservations", RESERVATIONS),
    ("a service's network", ATTACHMENT),
    ("network", NETWORK),
    ("ipam", IPAM),
    ("ipam.config", SUBNET),
    ("secret, config", SOURCE),
    ("bind", BIND),
    ("volume", VOLUME),
];

/// Top level.
pub(super) const TOP: Table = &[("models", "language models are not run by the engine")];

/// A service.
pub(super) const SERVICE: Table = &[
    ("annotations", ENGINE),
    ("attach", TOOL),
    ("blkio_config", ENGINE),
    ("cgroup", ENGINE),
    ("cgroup_parent", ENGINE),
    ("cpu_count", "Windows only"),
    ("cpu_percent", "Windows only"),
    ("cpu_period", "write `cpus`"),
    ("cpu_quota", "write `cpus`"),
    ("cpu_rt_period", ENGINE),
    ("cpu_rt_runtime", ENGINE),
    ("credential_spec", "Windows only"),
    ("develop", TOOL),
    ("device_cgroup_rules", ENGINE),
    ("dns_opt", ENGINE),
    ("external_links", "join the network of the other container"),
    ("gpus", ENGINE),
    ("isolation", "Windows only"),
    ("mac_address", ENGINE),
    ("mem_swappiness", ENGINE),
    ("models", "language models are not run by the engine"),
    ("net", "it was renamed `network_mode` in 2016"),
    ("oom_kill_disable", ENGINE),
    ("oom_score_adj", ENGINE),
    ("post_start", ENGINE),
    ("pre_stop", ENGINE),
    ("provider", "a program of the host would be run"),
    ("storage_opt", ENGINE),
    ("use_api_socket", "it hands the engine to the container"),
    ("uts", ENGINE),
    ("volume_driver", "declare the volume at the top level with its `driver`"),
];

/// `build`.
pub(super) const BUILD_KEYS: Table = &[
    ("additional_contexts", BUILD),
    ("cache_from", BUILD),
    ("cache_to", BUILD),
    ("dockerfile_inline", BUILD),
    ("entitlements", BUILD),
    ("extra_hosts", BUILD),
    ("isolation", BUILD),
    ("labels", BUILD),
    ("network", BUILD),
    ("no_cache", BUILD),
    ("platforms", BUILD),
    ("privileged", BUILD),
    ("provenance", BUILD),
    ("pull", BUILD),
    ("sbom", BUILD),
    ("secrets", BUILD),
    ("shm_size", BUILD),
    ("ssh", BUILD),
    ("tags", BUILD),
    ("ulimits", BUILD),
];

/// `deploy`.
pub(super) const DEPLOY: Table =
    &[("endpoint_mode", SWARM), ("labels", SWARM), ("placement", SWARM), ("rollback_config", SWARM), ("update_config", SWARM)];

/// `deploy.resources.reservations`.
pub(super) const RESERVATIONS: Table = &[("devices", ENGINE), ("generic_resources", SWARM), ("pids", SWARM)];

/// A service's `networks`.
pub(super) const ATTACHMENT: Table = &[
    ("driver_opts", ENGINE),
    ("gw_priority", ENGINE),
    ("interface_name", ENGINE),
    ("link_local_ips", ENGINE),
    ("mac_address", ENGINE),
    ("priority", ENGINE),
];

/// A network at the top level.
pub(super) const NETWORK: Table = &[("enable_ipv4", ENGINE)];

/// `ipam` of a network.
pub(super) const IPAM: Table = &[("options", ENGINE)];

/// A subnet of `ipam`.
pub(super) const SUBNET: Table = &[("aux_addresses", ENGINE)];

/// A secret or config at the top level.
pub(super) const SOURCE: Table = &[("driver", SWARM), ("driver_opts", SWARM), ("labels", SWARM), ("template_driver", SWARM)];

/// The options of a mount, by its kind.
pub(super) const BIND: Table = &[("recursive", ENGINE)];
/// The options of a volume.
pub(super) const VOLUME: Table = &[("labels", ENGINE), ("subpath", "it needs an engine of 2024")];
