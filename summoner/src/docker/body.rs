//! A resolved Compose service as the body of the engine's "create container".

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, MountVolumeOptions,
    NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::CreateSpec;
use crate::compose::{Attachment, Healthcheck, Mount, MountKind, Port, Service};

/// Engine API that understands `start_interval`.
const START_INTERVAL_API: (usize, usize) = (1, 44);

/// Leaves the paths of the kernel as they are, which engines hide by default.
const OPEN_PATHS: &str = "systempaths=unconfined";

/// The body, with the first network alone: engines before API 1.44 take no more at creation.
pub(super) fn create(spec: &CreateSpec<'_>, api: (usize, usize)) -> ContainerCreateBody {
    let service = spec.service;
    ContainerCreateBody {
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        env: some_list(environment(service)),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(|check| health(check, api)),
        image: Some(spec.image.to_owned()),
        working_dir: service.working_dir.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period_ms.map(whole_seconds),
        exposed_ports: some_list(exposed(service)),
        host_config: Some(host(spec)),
        networking_config: service
            .networks
            .iter()
            .next()
            .map(|(name, attachment)| NetworkingConfig { endpoints_config: Some(HashMap::from([(name.clone(), endpoint(attachment))])) }),
        ..Default::default()
    }
}

/// How a container is on a network.
pub(super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let fixed = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    EndpointSettings {
        aliases: some_list(attachment.aliases.clone()),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn host(spec: &CreateSpec<'_>) -> HostConfig {
    let service = spec.service;
    let limits = &service.resources;
    let (mounts, binds) = mounts(spec);
    // The engine knows no such option: its own client asks for empty lists of paths to hide.
    let (open, security): (Vec<String>, Vec<String>) = service.security_opt.iter().cloned().partition(|option| option == OPEN_PATHS);
    let hidden = (!open.is_empty()).then(Vec::new);
    HostConfig {
        mounts: some_list(mounts),
        binds: some_list(binds),
        network_mode: service.networks.keys().next().cloned().or_else(|| service.network_mode.clone()),
        port_bindings: (!service.ports.is_empty()).then(|| port_bindings(&service.ports)),
        restart_policy: service.restart.as_deref().map(restart),
        nano_cpus: limits.nano_cpus.map(signed),
        memory: limits.memory_bytes.map(signed),
        memory_reservation: limits.memory_reservation_bytes.map(signed),
        memory_swap: limits.memory_swap_bytes,
        pids_limit: limits.pids,
        cpu_shares: limits.cpu_shares.map(signed),
        cpuset_cpus: limits.cpuset.clone(),
        log_config: service
            .logging
            .as_ref()
            .map(|log| HostConfigLogConfig { typ: log.driver.clone(), config: Some(log.options.clone().into_iter().collect()) }),
        init: service.init,
        privileged: Some(service.privileged),
        readonly_rootfs: Some(service.read_only),
        cap_add: some_list(service.cap_add.clone()),
        cap_drop: some_list(service.cap_drop.clone()),
        security_opt: some_list(security),
        masked_paths: hidden.clone(),
        readonly_paths: hidden,
        devices: some_list(service.devices.iter().map(|text| device(text)).collect()),
        sysctls: (!service.sysctls.is_empty()).then(|| service.sysctls.clone().into_iter().collect()),
        ulimits: some_list(ulimits(service)),
        shm_size: service.shm_size_bytes.map(signed),
        extra_hosts: some_list(service.extra_hosts.clone()),
        dns: some_list(service.dns.clone()),
        dns_search: some_list(service.dns_search.clone()),
        group_add: some_list(service.group_add.clone()),
        pid_mode: service.pid.clone(),
        ipc_mode: service.ipc.clone(),
        userns_mode: service.userns_mode.clone(),
        runtime: service.runtime.clone(),
        ..Default::default()
    }
}

fn environment(service: &Service) -> Vec<String> {
    let entry = |(key, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        // A key alone removes what the image sets.
        None => key.clone(),
    };
    service.environment.iter().map(entry).collect()
}

fn health(check: &Healthcheck, api: (usize, usize)) -> HealthConfig {
    let nanoseconds = |ms: Option<u64>| ms.map(|ms| signed(ms.saturating_mul(1_000_000)));
    HealthConfig {
        test: some_list(check.test.clone()),
        interval: nanoseconds(check.interval_ms),
        timeout: nanoseconds(check.timeout_ms),
        retries: check.retries.map(signed),
        start_period: nanoseconds(check.start_period_ms),
        start_interval: nanoseconds(check.start_interval_ms).filter(|_| api >= START_INTERVAL_API),
    }
}

fn exposed(service: &Service) -> Vec<String> {
    let published = service.ports.iter().map(|port| format!("{}/{}", port.target, port.protocol));
    let mut all: Vec<String> = published.chain(service.expose.iter().cloned()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn port_bindings(ports: &[Port]) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in ports {
        let binding = PortBinding { host_ip: port.host_ip.clone(), host_port: port.published.map(|port| port.to_string()) };
        bindings.entry(format!("{}/{}", port.target, port.protocol)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

/// Typed mounts, so that a colon in a path harms nothing; only SELinux labels need the old text form.
fn mounts(spec: &CreateSpec<'_>) -> (Vec<EngineMount>, Vec<String>) {
    let mut typed = Vec::new();
    let mut binds = Vec::new();
    for mount in &spec.service.volumes {
        match (&mount.selinux, &mount.source) {
            (Some(label), Some(source)) => {
                let mode = if mount.read_only { "ro" } else { "rw" };
                binds.push(format!("{source}:{}:{mode},{label}", mount.target));
            }
            _ => typed.push(typed_mount(mount)),
        }
    }
    typed.extend(spec.files.iter().map(|(source, target)| EngineMount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some(target.clone()),
        read_only: Some(true),
        ..Default::default()
    }));
    (typed, binds)
}

fn typed_mount(mount: &Mount) -> EngineMount {
    let base = EngineMount {
        target: Some(mount.target.clone()),
        source: mount.source.clone(),
        read_only: Some(mount.read_only),
        ..Default::default()
    };
    match mount.kind {
        MountKind::Bind => EngineMount {
            typ: Some(MountType::BIND),
            bind_options: mount
                .propagation
                .as_deref()
                .and_then(propagation)
                .map(|kind| MountBindOptions { propagation: Some(kind), ..Default::default() }),
            ..base
        },
        MountKind::Volume => EngineMount {
            typ: Some(MountType::VOLUME),
            volume_options: mount.nocopy.then(|| MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..base
        },
        MountKind::Tmpfs => EngineMount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: mount.tmpfs_size_bytes.map(signed),
                mode: mount.tmpfs_mode.map(i64::from),
                ..Default::default()
            }),
            ..base
        },
    }
}

fn propagation(text: &str) -> Option<MountBindOptionsPropagationEnum> {
    text.parse().ok()
}

fn restart(text: &str) -> RestartPolicy {
    let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, count.parse().ok()));
    let name = match name {
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => RestartPolicyNameEnum::NO,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: count }
}

fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default().to_owned();
    let inside = parts.next().map_or_else(|| host.clone(), str::to_owned);
    let rights = parts.next().unwrap_or("rwm").to_owned();
    DeviceMapping { path_on_host: Some(host), path_in_container: Some(inside), cgroup_permissions: Some(rights) }
}

fn ulimits(service: &Service) -> Vec<ResourcesUlimits> {
    let limits: &BTreeMap<_, _> = &service.ulimits;
    limits
        .iter()
        .map(|(name, limit)| ResourcesUlimits { name: Some(name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) })
        .collect()
}

/// The engine counts in signed numbers; nothing real is that large.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn whole_seconds(ms: u64) -> i64 {
    signed(ms.div_ceil(1000))
}

fn some_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
