//! Name servers for one test each: real programs in a folder of their own, on ports of their own, ended with the test.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(30);

/// The secret of every key but the wrong one.
pub const SECRET: &str = "c3VtbW9uZXIgdGVzdHMgb25seSwgbm8gc2VjcmV0";

/// The folder with the programs.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/pebble");
        let out = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(out.status.success(), "scripts/pebble failed");
        PathBuf::from(String::from_utf8(out.stdout).unwrap().trim()).join("bin")
    })
}

/// A running program; ended and waited for when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A port that nobody has, for UDP and TCP.
fn free() -> SocketAddr {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

/// BIND's name server.
pub struct Named {
    /// Where it answers.
    pub address: SocketAddr,
    folder: TempDir,
    _running: Running,
}

impl Named {
    /// With these zones on a free port: name, records, further lines of its `zone` statement.
    pub fn new(zones: &[(&str, &str, &str)]) -> Self {
        Self::at(free(), "recursion no;", zones)
    }

    pub fn at(address: SocketAddr, options: &str, zones: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().unwrap();
        let path = folder.path().display();
        let mut config = format!(
            "options {{ directory \"{path}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; pid-file none; {options}\n\
             session-keyfile none; dnssec-validation no; empty-zones-enable no; minimal-responses no; notify explicit; check-names primary ignore; max-cache-size 16M; }};\ncontrols {{ }};\n",
            address.port(),
            address.ip()
        );
        for (key, algorithm) in [("acme", "hmac-sha256"), ("long", "hmac-sha512"), ("stranger", "hmac-sha256")] {
            config += &format!("key \"{key}\" {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n");
        }
        for (zone, records, lines) in zones {
            let kind = if lines.contains("primaries") { "secondary" } else { "primary" };
            config += &format!("zone \"{zone}\" {{ type {kind}; file \"{zone}.zone\"; {lines} }};\n");
            if kind == "primary" {
                let text = format!("$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A {}\n{records}\n", address.ip());
                fs::write(folder.path().join(format!("{zone}.zone")), text).unwrap();
            }
        }
        let file = folder.path().join("named.conf");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(programs().join("named"))
            .args(["-g", "-n", "1", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let named = Self { address, folder, _running: Running(child) };
        let begun = Instant::now();
        while zones.iter().any(|(zone, ..)| ask(address, zone, RecordType::SOA).is_none_or(|answer| answer.answers.is_empty())) {
            assert!(begun.elapsed() < START, "named does not answer:\n{}", named.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        named
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A file beside its own, with this mode.
    pub fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The texts at a name, sorted.
    pub fn texts(&self, name: &str) -> Vec<String> {
        texts(self.address, name)
    }
}

/// Pebble's DNS server, which is told what to answer over HTTP.
pub struct Challenges {
    /// Where it answers.
    pub address: SocketAddr,
    /// Where it is told.
    pub management: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl Challenges {
    /// Without an address for names that it was not told of.
    pub fn new() -> Self {
        let (address, management) = (free(), free());
        let folder = tempfile::Builder::new().prefix("summoner-test.").tempdir().unwrap();
        let child = Command::new(programs().join("pebble-challtestsrv"))
            // scripts/test knows a process that a kill left behind by the folder in its arguments.
            .arg0(folder.path().join("pebble-challtestsrv"))
            .args(["-defaultIPv4", "", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .args(["-dnsserver", &address.to_string(), "-management", &management.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = Self { address, management, _running: Running(child), _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(management).is_err() || ask(address, "x.test", RecordType::A).is_none() {
            assert!(begun.elapsed() < START, "pebble-challtestsrv does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        found
    }

    /// Tells it something: `set-servfail`, `add-a` …
    pub fn tell(&self, what: &str, json: &str) {
        let mut stream = TcpStream::connect(self.management).unwrap();
        write!(stream, "POST /{what} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}", json.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    free()
}

/// One question without recursion; None when nobody answers.
fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Option<Message> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(server).ok()?;
    socket.send(&question.to_vec().unwrap()).ok()?;
    let mut room = [0; 4096];
    let length = socket.recv(&mut room).ok()?;
    Message::from_vec(&room[..length]).ok()
}

/// The texts that a server has at a name, sorted.
pub fn texts(server: SocketAddr, name: &str) -> Vec<String> {
    let answer = ask(server, name, RecordType::TXT).expect("an answer");
    let text = |data: &RData| match data {
        RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data[0]).into_owned()),
        _ => None,
    };
    let mut found: Vec<String> = answer.answers.iter().filter_map(|record| text(&record.data)).collect();
    found.sort();
    found
}
