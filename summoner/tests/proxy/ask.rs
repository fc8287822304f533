//! One request and what must come of it.
//!
//! Words before the status: `h:Name=value` a header, `body:TEXT`, `upload:BYTES`, `auth:USER:PASSWORD`, `via:NETWORK[/6]` the address
//! of the proxy that is asked, `http1` or `http2`, `tls:1.1` that version alone, `pp:ADDRESS` a PROXY protocol header before all,
//! `times:N` asks so often, `client:NAME` that certificate of ours is shown.
//! `WS` opens a WebSocket and says something; `GRPC` makes a unary call; `LOG` and `CONF` look for an expression in the proxy's
//! log and in nginx's whole configuration.
//!
//! Facts: `KEY=value`, `KEY~regex`, `KEY!` for nothing there. KEY is `name port kind uri host method proto bytes remote` as
//! the server behind saw it, `>header` as it received it, `&PARAMETER` of `FastCGI` and uwsgi; `<header` as we received it,
//! `body`, `size`, `http` the version, `cert` the name of the certificate file that was shown, `names` of all that answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(6);

/// Where the proxy is.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Address by `NETWORK` and `NETWORK/6`; "" is the usual one.
    pub addresses: BTreeMap<String, String>,
    /// The folder of its certificates.
    pub certs: std::path::PathBuf,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: String,
    pub headers: String,
    pub body: String,
    pub http: String,
    pub chain: String,
    pub names: BTreeSet<String>,
}

pub fn ask(place: &Place, method: &str, url: &str, words: &[String]) -> Answer {
    let word = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let address = place.addresses.get(word("via:").unwrap_or_default()).unwrap_or_else(|| panic!("no address for {words:?}"));
    if method == "WS" {
        return web_socket(address, url);
    }
    let times = word("times:").map_or(1, |times| times.parse().expect("a number"));
    let mut names = BTreeSet::new();
    let mut last = Answer::default();
    for _ in 0..times {
        last = curl(place, address, method, url, words);
        names.extend(last.seen()["name"].as_str().map(str::to_owned));
    }
    last.names = names;
    last
}

fn curl(place: &Place, address: &str, method: &str, url: &str, words: &[String]) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-sk", "--path-as-is", "--noproxy", "*", "--max-time"]).arg(PATIENCE.as_secs().to_string());
    command.args(["-o", "-", "-D", "/dev/stderr", "-w", "\n--curl--\n%{http_code} %{http_version} %{exitcode}\n%{certs}"]);
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    command.arg("--connect-to").arg(format!("::{address}:"));
    let mut input = Vec::new();
    match method {
        "HEAD" => drop(command.arg("-I")),
        "GRPC" => {
            command.args(["--http2", "-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", "@-"]);
            // One message, not compressed, of five bytes.
            input = b"\0\0\0\0\x05hello".to_vec();
        }
        _ => drop(command.args(["-X", method])),
    }
    for word in words {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        match name {
            "h" => drop(command.arg("-H").arg(value.replacen('=', ": ", 1))),
            "body" => drop(command.arg("--data-binary").arg(value)),
            "auth" => drop(command.arg("-u").arg(value)),
            "upload" => {
                command.args(["-H", "Expect:", "--data-binary", "@-"]);
                input = vec![b'x'; value.parse().expect("a number of bytes")];
            }
            "http1" => drop(command.arg("--http1.1")),
            "http2" => drop(command.arg("--http2")),
            "tls" => drop(command.arg(format!("--tlsv{value}")).args(["--tls-max", value, "--ciphers", "ALL:@SECLEVEL=0"])),
            "pp" => drop(command.args(["--haproxy-protocol"])),
            "client" => {
                command.arg("--cert").arg(place.certs.join(format!("{value}.crt")));
                command.arg("--key").arg(place.certs.join(format!("{value}.key")));
            }
            "via" | "times" => {}
            other => panic!("what is `{other}` in a request?"),
        }
    }
    let mut child = command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("curl runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    // A refused upload breaks the pipe, as it may.
    std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().expect("curl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, tail) = text.rsplit_once("\n--curl--\n").unwrap_or(("", "000 0 99\n"));
    let (line, chain) = tail.split_once('\n').unwrap_or((tail, ""));
    let mut numbers = line.split(' ');
    let (code, http, exit) = (numbers.next().unwrap_or(""), numbers.next().unwrap_or(""), numbers.next().unwrap_or(""));
    let status = match (code, exit) {
        // 35: the handshake; 56 with TLS 1.3 when the server objects to what the client showed.
        ("000", "35" | "56") if url.starts_with("https") => "refused",
        ("000", _) => "none",
        (code, _) => code,
    };
    Answer {
        status: status.to_owned(),
        headers: String::from_utf8_lossy(&output.stderr).into_owned(),
        body: body.to_owned(),
        http: http.to_owned(),
        chain: chain.to_owned(),
        names: BTreeSet::new(),
    }
}

/// 200 when an expression is found, 404 when not.
pub fn found(text: &str, expression: &str) -> Answer {
    let found = Regex::new(expression).expect("a regular expression").is_match(text);
    Answer { status: if found { "200" } else { "404" }.to_owned(), ..Answer::default() }
}

/// Opens one, sends a masked text frame and waits for it (RFC 6455, the key is its example).
fn web_socket(address: &str, url: &str) -> Answer {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let mut answer = Answer { status: "none".to_owned(), ..Answer::default() };
    let mut talk = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect((address, 80))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")?;
        write!(stream, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        answer.headers = String::from_utf8_lossy(&head).into_owned();
        answer.status = answer.headers.split(' ').nth(1).unwrap_or("none").to_owned();
        if answer.status == "101" {
            // A final text frame of five bytes, masked with zeros.
            stream.write_all(b"\x81\x85\0\0\0\0hello")?;
            let mut frame = [0; 7];
            stream.read_exact(&mut frame)?;
            answer.body = String::from_utf8_lossy(&frame[2..]).into_owned();
        }
        Ok(())
    };
    if let Err(error) = talk() {
        answer.body = error.to_string();
    }
    answer
}

impl Answer {
    /// What the server behind saw.
    pub fn seen(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Why it is not what it must be.
    pub fn fault(&self, place: &Place, status: &str, facts: &[String]) -> Option<String> {
        if self.status != status {
            return Some(format!("{} instead of {status}", self.status));
        }
        facts.iter().find_map(|fact| self.wrong(place, fact))
    }

    fn wrong(&self, place: &Place, fact: &str) -> Option<String> {
        let at = fact.find(['=', '~', '!']).unwrap_or_else(|| panic!("`{fact}` is no fact"));
        let (key, how, value) = (&fact[..at], &fact[at..=at], &fact[at + 1..]);
        let got = self.value(place, key, value);
        let good = match how {
            "=" => got.as_deref() == Some(value),
            "~" => Regex::new(value).expect("a regular expression").is_match(got.as_deref().unwrap_or_default()),
            _ => got.as_deref().unwrap_or_default().is_empty(),
        };
        (!good).then(|| format!("{fact}: it is {got:?}"))
    }

    fn value(&self, place: &Place, key: &str, wanted: &str) -> Option<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        if let Some(header) = key.strip_prefix('>') {
            return text(&self.seen()["headers"][header]);
        }
        if let Some(parameter) = key.strip_prefix('&') {
            return text(&self.seen()["parameters"][parameter]);
        }
        if let Some(header) = key.strip_prefix('<') {
            let of = |line: &str| {
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value.trim().to_owned())
            };
            return self.headers.lines().find_map(of);
        }
        match key {
            "body" => Some(self.body.clone()),
            "size" => Some(self.body.len().to_string()),
            "http" => Some(self.http.clone()),
            "names" => Some(self.names.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
            "cert" => Some(if shows(&self.chain, &place.certs, wanted) { wanted.to_owned() } else { "another".to_owned() }),
            _ => text(&self.seen()[key]),
        }
    }
}

/// Whether the first certificate that was shown is the first one of this file.
fn shows(chain: &str, certs: &Path, name: &str) -> bool {
    let first = |text: &str| {
        let begin = text.split_once("-----BEGIN CERTIFICATE-----")?.1;
        Some(begin.split_once("-----END")?.0.split_whitespace().collect::<String>())
    };
    let file = std::fs::read_to_string(certs.join(format!("{name}.crt"))).unwrap_or_default();
    first(chain).is_some() && first(chain) == first(&file)
}
