//! Real servers for tests: `MinIO` and sshd, on free ports of loopback, with keys and folders of their own, gone when dropped.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use summoner::config::repositories::{Place, RepositorySettings, S3, Sftp};

/// Where the programs are; made once.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/stores");
    let said = Command::new(script).output().expect("scripts/stores");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    PathBuf::from(String::from_utf8(said.stdout).expect("a path").trim()).join("bin")
});

const ACCESS: &str = "summoner-test";
const SECRET: &str = "a-secret-of-tests";
/// Accounts that every system has; no shell, no password.
pub const FREE: &str = "daemon";
pub const APPEND_ONLY: &str = "nobody";
/// What the account that may only add is refused (`sftp-server -Q requests` names them all). As in wiki/offsite.md.
pub const REFUSED: &str = "remove,rmdir,setstat,fsetstat,lsetstat,posix-rename,symlink";

pub const MIB: u64 = 1 << 20;

/// Bytes that are the same nowhere in a file.
pub fn bytes(count: u64) -> std::io::Cursor<Vec<u8>> {
    let count = usize::try_from(count).expect("it fits");
    let mut all = Vec::with_capacity(count + 8);
    for at in 0..=(count as u64 / 8) {
        all.extend_from_slice(&at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    }
    all.truncate(count);
    std::io::Cursor::new(all)
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|found| found.local_addr()).expect("a free port").port()
}

fn folder() -> tempfile::TempDir {
    // Each test is a first one for the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tempfile::Builder::new().prefix("summoner-test.").tempdir().expect("a folder")
}

/// A program that ends with the test, also when that is killed.
fn start(log: &Path, program: &Path, fill: impl FnOnce(&mut Command)) -> Child {
    let log = std::fs::File::create(log).expect("a log");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    fill(&mut command);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log).spawn().expect("it starts")
}

fn wait_for(port: u16, log: &Path) {
    let since = Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(since.elapsed() < Duration::from_secs(60), "nothing listens on {port}: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// An object store.
pub struct Minio {
    folder: tempfile::TempDir,
    process: Child,
    pub port: u16,
}

impl Drop for Minio {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

impl Minio {
    pub fn new() -> Self {
        let folder = folder();
        let (port, console) = (free_port(), free_port());
        std::fs::create_dir(folder.path().join("data")).expect("its data");
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).expect("its secret");
        let log = folder.path().join("minio.log");
        let process = start(&log, &PROGRAMS.join("minio"), |command| {
            command
                .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
                .args(["--console-address", &format!("127.0.0.1:{console}")])
                .arg(folder.path().join("data"))
                .env("HOME", folder.path())
                .env("MINIO_ROOT_USER", ACCESS)
                .env("MINIO_ROOT_PASSWORD", SECRET)
                .env("MINIO_BROWSER", "off")
                .env("MINIO_UPDATE", "off")
                .env("MINIO_CI_CD", "1");
        });
        let minio = Self { folder, process, port };
        wait_for(port, &log);
        // It listens, and says that it is ready, before it answers.
        let since = Instant::now();
        while !minio.curl(&[], "/").contains("ListAllMyBucketsResult") {
            assert!(since.elapsed() < Duration::from_secs(60), "{}", std::fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(100));
        }
        minio
    }

    /// Asks it for something that no driver does.
    pub fn curl(&self, arguments: &[&str], path: &str) -> String {
        let said = Command::new("curl")
            .args([
                "-s",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--aws-sigv4",
                "aws:amz:us-east-1:s3",
                "--user",
                &format!("{ACCESS}:{SECRET}"),
            ])
            .args(arguments)
            .arg(format!("http://127.0.0.1:{}{path}", self.port))
            .output()
            .expect("curl");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) -> S3 {
        let said = self.curl(&["-X", "PUT"], &format!("/{name}"));
        assert!(!said.contains("<Error>"), "{said}");
        self.settings(name)
    }

    /// What config.yml would say of a bucket.
    pub fn settings(&self, name: &str) -> S3 {
        S3 {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            bucket: name.to_owned(),
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            access_key: Some(ACCESS.to_owned()),
            secret_key_file: Some(self.folder.path().join("secret")),
        }
    }

    /// The lines of config.yml for a repository in that bucket.
    pub fn yaml(&self, bucket: &str) -> String {
        let secret = self.folder.path().join("secret");
        format!("{{at: 's3+http://127.0.0.1:{}/{bucket}', access_key: {ACCESS}, secret_key_file: {}}}", self.port, secret.display())
    }
}

/// A repository at a place, and nothing else said.
pub fn repository(name: &str, place: Place) -> RepositorySettings {
    RepositorySettings { name: name.to_owned(), ..RepositorySettings::at(place) }
}

/// An SSH server with two accounts, each in a jail with the one folder `/store`: one may do everything there, the other add.
pub struct Sshd {
    folder: tempfile::TempDir,
    process: Child,
    pub port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "summoner-test", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen").success());
}

impl Sshd {
    /// Needs root, as sshd does to change to an account.
    pub fn new() -> Self {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let port = free_port();
        key(&at("host_key"));
        key(&at("key"));
        key(&at("other_key"));
        std::fs::create_dir_all(at("etc")).expect("a folder");
        std::fs::copy(at("key.pub"), at("etc/authorized_keys")).expect("the key");
        for (account, uid) in [(FREE, 1), (APPEND_ONLY, 65_534)] {
            let store = at("jail").join(account).join("store");
            std::fs::create_dir_all(&store).expect("a jail");
            chown(&store, Some(uid), Some(uid)).expect("its owner");
            std::fs::set_permissions(&store, PermissionsExt::from_mode(0o700)).expect("its mode");
        }
        let public = std::fs::read_to_string(at("host_key.pub")).expect("the host's key");
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {public}")).expect("known hosts");
        std::fs::write(at("sshd_config"), config(port, folder.path())).expect("its configuration");
        let log = at("sshd.log");
        let mut accounts = std::fs::read_to_string("/etc/passwd").expect("the accounts");
        if !accounts.contains("\nsshd:") {
            accounts.push_str("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n");
        }
        std::fs::write(at("etc/passwd"), accounts).expect("the accounts");
        // What it wants of the system lies in a mount namespace of its own: the account that sshd changes to before somebody has
        // signed in, its folder in /run, and jails that no folder above lets others write to, as /tmp does.
        let script = "mount --bind \"$1/etc/passwd\" /etc/passwd && mount -t tmpfs -o mode=0755 tmpfs /run \
                      && mkdir /run/sshd /run/etc /run/jail && mount --bind \"$1/etc\" /run/etc && mount --bind \"$1/jail\" /run/jail \
                      && exec \"$2\" -D -e -f \"$1/sshd_config\"";
        let process = start(&log, Path::new("unshare"), |command| {
            command.args(["--mount", "--", "sh", "-c", script, "sh"]).arg(folder.path()).arg(PROGRAMS.join("sshd"));
        });
        wait_for(port, &log);
        Self { folder, process, port }
    }

    /// What config.yml would say of an account's folder.
    pub fn settings(&self, account: &str) -> Sftp {
        Sftp {
            user: account.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            path: "/store".to_owned(),
            key_file: Some(self.folder.path().join("key")),
            known_hosts: Some(self.folder.path().join("known_hosts")),
        }
    }

    /// The lines of config.yml for a repository in an account's folder.
    pub fn yaml(&self, account: &str) -> String {
        let (key, hosts) = (self.folder.path().join("key"), self.folder.path().join("known_hosts"));
        let only = account == APPEND_ONLY;
        let at = format!("sftp://{account}@127.0.0.1:{}/store", self.port);
        format!("{{at: '{at}', key_file: {}, known_hosts: {}, append_only: {only}}}", key.display(), hosts.display())
    }

    /// The same folder as this host sees it.
    pub fn store(&self, account: &str) -> PathBuf {
        self.folder.path().join("jail").join(account).join("store")
    }

    /// A key that no account knows.
    pub fn strange_key(&self) -> PathBuf {
        self.folder.path().join("other_key")
    }

    /// Lets ssh believe that the server also listens there, as a proxy in front of it does.
    pub fn also_at(&self, port: u16) {
        let path = self.folder.path().join("known_hosts");
        let known = std::fs::read_to_string(&path).expect("known hosts");
        let key = known.split_once(' ').map(|(_, key)| key.trim_end()).expect("a key").lines().next().expect("a key").to_owned();
        std::fs::write(&path, format!("{known}[127.0.0.1]:{port} {key}\n")).expect("known hosts");
    }

    /// Ends the server.
    pub fn kill(&mut self) {
        end(&mut self.process);
    }
}

fn config(port: u16, folder: &Path) -> String {
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}/host_key\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel ERROR\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile /run/etc/authorized_keys\n\
         MaxStartups 100\nMaxSessions 100\nDisableForwarding yes\nSubsystem sftp internal-sftp\n\
         Match User {FREE}\n  ChrootDirectory /run/jail/%u\n  ForceCommand internal-sftp\n\
         Match User {APPEND_ONLY}\n  ChrootDirectory /run/jail/%u\n  ForceCommand internal-sftp -P {REFUSED}\n",
        folder.display()
    )
}
