//! What `docker compose config --format json` prints, in the form of Summoner's own model, so that both compare.
//!
//! Written without the code under test: units and short forms are converted here a second time.

use serde_json::{Map, Value, json};

/// Our own model without what the real one cannot print.
pub fn ours(mut project: Value) -> Value {
    each(&mut project, "services", |_, service| {
        if let Some(build) = object(service, "build")
            && build.get("dockerfile").is_none()
        {
            build.insert("dockerfile".into(), json!("Dockerfile"));
        }
        sort(service, "extra_hosts");
    });
    project
}

/// The real one's output in our form.
pub fn comparable(mut theirs: Value) -> Value {
    dollars(&mut theirs);
    let name = theirs["name"].as_str().unwrap_or_default().to_owned();
    if let Some(top) = theirs.as_object_mut() {
        top.retain(|key, value| !key.starts_with("x-") && !value.is_null());
    }
    each(&mut theirs, "services", |_, value| service(value));
    each(&mut theirs, "networks", |_, network| {
        let subnets = network.get("ipam").and_then(|ipam| ipam.get("config")).cloned();
        network.remove("ipam");
        set(network, "subnets", subnets);
    });
    for section in ["secrets", "configs"] {
        each(&mut theirs, section, |key, value| {
            // Off Swarm nothing has that name; only what someone else made needs one.
            if value.get("name") == Some(&json!(format!("{name}_{key}"))) {
                value.remove("name");
            }
        });
    }
    theirs
}

/// It prints text that could be read again, so every dollar sign is doubled.
fn dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("$$", "$"),
        Value::Array(items) => items.iter_mut().for_each(dollars),
        Value::Object(entries) => {
            let undouble = |(key, mut value): (String, Value)| {
                dollars(&mut value);
                (key.replace("$$", "$"), value)
            };
            *entries = std::mem::take(entries).into_iter().map(undouble).collect();
        }
        _ => {}
    }
}

/// It keeps hosts by name and forgets their order.
fn sort(service: &mut Map<String, Value>, key: &str) {
    if let Some(Value::Array(items)) = service.get_mut(key) {
        items.sort_by_key(ToString::to_string);
    }
}

fn each(top: &mut Value, section: &str, mut change: impl FnMut(&str, &mut Map<String, Value>)) {
    let Some(Value::Object(entries)) = top.get_mut(section) else { return };
    for (key, value) in entries {
        if value.is_null() {
            *value = json!({});
        }
        if let Value::Object(entry) = value {
            change(key, entry);
        }
    }
}

fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

fn set(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value.filter(|value| !value.is_null()) {
        map.insert(key.to_owned(), value);
    }
}

fn service(service: &mut Map<String, Value>) {
    service.retain(|key, value| !value.is_null() && !key.starts_with("x-"));
    limits(service);
    let shm = service.remove("shm_size");
    set(service, "shm_size_bytes", shm.as_ref().and_then(number));
    let grace = service.remove("stop_grace_period");
    set(service, "stop_grace_period_ms", grace.as_ref().and_then(milliseconds));
    if let Some(check) = service.get_mut("healthcheck") {
        *check = healthcheck(check);
    }
    if let Some(Value::Object(networks)) = service.get_mut("networks") {
        networks.values_mut().filter(|value| value.is_null()).for_each(|value| *value = json!({}));
    }
    list(service, "ports", port);
    list(service, "volumes", mount);
    list(service, "devices", |device| {
        json!(format!("{}:{}:{}", text(device, "source"), text(device, "target"), text(device, "permissions")))
    });
    list(service, "extra_hosts", |host| json!(host.as_str().unwrap_or_default().replacen('=', ":", 1)));
    sort(service, "extra_hosts");
    list(service, "secrets", |grant| self::grant(grant, "/run/secrets/"));
    list(service, "configs", |grant| self::grant(grant, "/"));
    if let Some(Value::Array(ports)) = service.get("expose") {
        let ports: Vec<Value> = ports.iter().flat_map(exposed).collect();
        service.insert("expose".into(), Value::Array(ports));
    }
    if let Some(Value::Object(limits)) = service.get_mut("ulimits") {
        // It leaves out what is 0.
        let both = |limit: &Value| {
            if limit.is_number() {
                json!({"soft": limit, "hard": limit})
            } else {
                json!({"soft": limit.get("soft").unwrap_or(&json!(0)), "hard": limit.get("hard").unwrap_or(&json!(0))})
            }
        };
        limits.values_mut().for_each(|limit| *limit = both(limit));
    }
    if let Some(Value::Array(tmpfs)) = service.remove("tmpfs") {
        let mounts = tmpfs.iter().map(tmpfs_mount);
        let mut all: Vec<Value> = service.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        all.extend(mounts);
        service.insert("volumes".into(), Value::Array(all));
    }
    for flag in ["privileged", "read_only", "stdin_open", "tty"] {
        if service.get(flag) == Some(&json!(false)) {
            service.remove(flag);
        }
    }
    // An empty group is printed as an empty one, by us as none.
    service.retain(|key, value| {
        matches!(key.as_str(), "command" | "entrypoint" | "healthcheck" | "logging") || !(value == &json!({}) || value == &json!([]))
    });
}

/// Memory, CPUs and processes stand at the service or under `deploy`.
fn limits(service: &mut Map<String, Value>) {
    let deploy = service.remove("deploy").unwrap_or_default();
    let of = |path: &str| deploy.pointer(path).cloned();
    let mut resources = Map::new();
    let mut take = |key: &str, path: &str| service.remove(key).or_else(|| of(path));
    let cpus = take("cpus", "/resources/limits/cpus");
    let memory = take("mem_limit", "/resources/limits/memory");
    let reservation = take("mem_reservation", "/resources/reservations/memory");
    let swap = take("memswap_limit", "/none");
    let pids = take("pids_limit", "/resources/limits/pids");
    let shares = take("cpu_shares", "/none");
    let cpuset = take("cpuset", "/none");
    let replicas = take("scale", "/replicas");
    set(&mut resources, "nano_cpus", cpus.as_ref().and_then(nano));
    set(&mut resources, "memory_bytes", memory.as_ref().and_then(number));
    set(&mut resources, "memory_reservation_bytes", reservation.as_ref().and_then(number));
    set(&mut resources, "memory_swap_bytes", swap.as_ref().and_then(number));
    set(&mut resources, "pids", pids);
    set(&mut resources, "cpu_shares", shares);
    set(&mut resources, "cpuset", cpuset);
    if !resources.is_empty() {
        service.insert("resources".into(), Value::Object(resources));
    }
    set(service, "replicas", replicas);
    if let Some(policy) = of("/restart_policy")
        && !service.contains_key("restart")
    {
        // What `docker compose up` makes of it (pkg/compose/create.go, getRestartPolicy).
        let restart = match (text(&policy, "condition"), policy.get("max_attempts")) {
            ("none", _) => "no".to_owned(),
            ("on-failure", Some(times)) => format!("on-failure:{times}"),
            ("on-failure", None) => "on-failure".to_owned(),
            _ => "always".to_owned(),
        };
        service.insert("restart".into(), json!(restart));
    }
}

fn list(service: &mut Map<String, Value>, key: &str, change: impl Fn(&Value) -> Value) {
    if let Some(Value::Array(items)) = service.get_mut(key) {
        items.iter_mut().for_each(|item| *item = change(item));
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn port(port: &Value) -> Value {
    let mut out = Map::new();
    set(&mut out, "target", port.get("target").cloned());
    set(&mut out, "published", port.get("published").and_then(number));
    set(&mut out, "host_ip", port.get("host_ip").cloned());
    set(&mut out, "protocol", port.get("protocol").cloned());
    Value::Object(out)
}

fn exposed(port: &Value) -> Vec<Value> {
    let text = port.as_str().unwrap_or_default();
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap();
    range.map(|port| json!(format!("{port}/{protocol}"))).collect()
}

fn mount(mount: &Value) -> Value {
    let mut out = Map::new();
    for key in ["type", "source", "target"] {
        set(&mut out, key, mount.get(key).cloned());
    }
    let part = |path: &str| mount.pointer(path).cloned().filter(|value| value != &json!(false));
    set(&mut out, "read_only", part("/read_only"));
    set(&mut out, "create_host_path", part("/bind/create_host_path"));
    set(&mut out, "propagation", part("/bind/propagation"));
    set(&mut out, "selinux", part("/bind/selinux"));
    set(&mut out, "nocopy", part("/volume/nocopy"));
    set(&mut out, "tmpfs_size_bytes", part("/tmpfs/size").as_ref().and_then(number));
    set(&mut out, "tmpfs_mode", part("/tmpfs/mode"));
    Value::Object(out)
}

/// `docker compose config` leaves the short form alone, so it is read here: only what the corpus uses.
fn tmpfs_mount(line: &Value) -> Value {
    let line = line.as_str().unwrap_or_default();
    let (target, options) = line.split_once(':').unwrap_or((line, ""));
    let mut out = json!({"type": "tmpfs", "target": target});
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("size", size)) => out["tmpfs_size_bytes"] = json!(size.trim_end_matches('m').parse::<u64>().unwrap() << 20),
            Some(("mode", mode)) => out["tmpfs_mode"] = json!(u32::from_str_radix(mode, 8).unwrap()),
            _ => {}
        }
    }
    out
}

fn grant(grant: &Value, folder: &str) -> Value {
    let mut out = Map::new();
    let source = text(grant, "source");
    let target = Some(text(grant, "target")).filter(|target| !target.is_empty()).unwrap_or(source);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") };
    set(&mut out, "source", Some(json!(source)));
    set(&mut out, "target", Some(json!(target)));
    set(&mut out, "uid", grant.get("uid").cloned());
    set(&mut out, "gid", grant.get("gid").cloned());
    set(&mut out, "mode", grant.get("mode").and_then(Value::as_str).map(|mode| json!(u32::from_str_radix(mode, 8).unwrap())));
    Value::Object(out)
}

fn healthcheck(check: &Value) -> Value {
    if check.get("disable") == Some(&json!(true)) {
        return json!({"test": ["NONE"]});
    }
    let mut out = Map::new();
    set(&mut out, "test", check.get("test").cloned());
    set(&mut out, "retries", check.get("retries").cloned());
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        set(&mut out, &format!("{key}_ms"), check.get(key).and_then(milliseconds));
    }
    Value::Object(out)
}

/// A number that is printed as text.
fn number(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => text.parse::<i64>().ok().map(|number| json!(number)),
        other => Some(other.clone()),
    }
}

/// CPUs, printed as a number with a fraction.
fn nano(value: &Value) -> Option<Value> {
    let cpus = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))?;
    // The fractions of the corpus are exact to a millionth.
    let millionths = format!("{:.0}", cpus * 1e6).parse::<u64>().ok()?;
    Some(json!(millionths * 1000))
}

/// A duration as Go prints it: `1h1m1.5s`, `500ms`.
fn milliseconds(value: &Value) -> Option<Value> {
    let mut rest = value.as_str()?;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        total += number
            * match &after[..length] {
                "h" => 3_600_000.0,
                "m" => 60_000.0,
                "s" => 1000.0,
                "ms" => 1.0,
                _ => return None,
            };
        rest = &after[length..];
    }
    format!("{total:.0}").parse::<u64>().ok().map(|ms| json!(ms))
}
