//! The engine's HTTP interface without a client: hundreds of containers start in the time that a command line would need
//! for a tenth of them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

/// A start of many containers at once is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// The engine's socket on this host.
pub fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned()
}

/// Status and body of one call.
pub fn call(method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let mut stream = UnixStream::connect(socket()).expect("the engine's socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let body = body.map(Value::to_string).unwrap_or_default();
    // 1.0: the answer is not chunked, and its end is its end.
    let head = format!("{method} /v1.41{path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).expect("a request to the engine");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer of the engine");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

/// As JSON; it must succeed.
pub fn ask(method: &str, path: &str, body: Option<&Value>) -> Value {
    let (status, answer) = call(method, path, body);
    assert!((200..400).contains(&status), "{method} {path} {body:?}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

/// Creates a container, connects it to its further networks and starts it; gives its id.
pub fn start(name: &str, container: &Value, networks: &[String]) -> String {
    let made = ask("POST", &format!("/containers/create?name={name}"), Some(container));
    let id = made["Id"].as_str().expect("an id").to_owned();
    for network in networks {
        connect(network, &id);
    }
    ask("POST", &format!("/containers/{id}/start"), None);
    id
}

pub fn connect(network: &str, container: &str) {
    ask("POST", &format!("/networks/{network}/connect"), Some(&json!({"Container": container})));
}

/// What one network gave a container: its IPv4 and its IPv6 address.
pub fn address(container: &str, network: &str) -> (String, String) {
    let seen = ask("GET", &format!("/containers/{container}/json"), None);
    let of = |key: &str| seen["NetworkSettings"]["Networks"][network][key].as_str().unwrap_or_default().to_owned();
    (of("IPAddress"), of("GlobalIPv6Address"))
}

/// Both streams of a container's log, without the engine's frames.
pub fn logs(container: &str) -> String {
    let output = std::process::Command::new("docker").args(["logs", "--tail", "60", container]).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command in a container and gives both its streams.
pub fn exec(container: &str, words: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(["exec", container]).args(words).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Removes everything with our label and this value.
pub fn sweep(world: &str) {
    let filter = |value: &str| {
        let json = json!({"label": [value]}).to_string();
        json.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    let filters = filter(&format!("summoner.test={world}"));
    let (_, found) = call("GET", &format!("/containers/json?all=1&filters={filters}"), None);
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    let ids: Vec<String> = found.as_array().into_iter().flatten().filter_map(|each| each["Id"].as_str().map(str::to_owned)).collect();
    std::thread::scope(|scope| {
        for chunk in ids.chunks(ids.len().div_ceil(8).max(1)) {
            scope.spawn(move || chunk.iter().for_each(|id| drop(call("DELETE", &format!("/containers/{id}?force=1&v=1"), None))));
        }
    });
    let (_, found) = call("GET", &format!("/networks?filters={filters}"), None);
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    for id in found.as_array().into_iter().flatten().filter_map(|each| each["Id"].as_str()) {
        call("DELETE", &format!("/networks/{id}"), None);
    }
}
