//! The container with its engine: made, asked, thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::{ENGINE_IMAGE, HOME, IDENTITY, LABEL, PLACE, PROGRAM, Rehearsal};
use crate::compose::{Mount, MountKind, Service};
use crate::disk;
use crate::docker::{CreateSpec, Engine, ExecPiece, ExecSpec};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::minion::Smoke;

/// Capabilities by their number (capability.h): what an engine needs, without those that reach the host itself (modules,
/// raw devices, its clock, its power). None is an unused number.
const CAPABILITIES: [&str; 38] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "",
    "",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "",
    "SYS_NICE",
    "SYS_RESOURCE",
    "",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "",
    "",
    "",
];
/// It ends by itself then, whatever became of whoever began it.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// How long its engine may take to come up, and between two looks.
const ENGINE_UP: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a page may take.
const PAGE: Duration = Duration::from_secs(60);

/// What a page answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should.
    Right(u16),
    /// Otherwise: why.
    Wrong(String),
}

impl Rehearsal<'_> {
    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL.to_owned(), self.owner.clone())])
    }

    fn volumes(&self) -> [String; 2] {
        [format!("{}_engine", self.name), format!("{}_data", self.name)]
    }

    /// Throws everything of it away; nothing there is fine.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn throw_away(&self) -> Result<()> {
        let label = format!("{LABEL}={}", self.owner);
        for id in self.docker.matching(&[("label".to_owned(), label)]).await? {
            self.docker.remove(&id).await?;
        }
        for volume in self.volumes() {
            self.docker.remove_volume(&volume).await?;
        }
        Ok(())
    }

    /// Makes an empty machine with an engine that runs. `place` is the folder of a repository; it is given read-only.
    ///
    /// # Errors
    /// There is no image for it, or its engine does not come up.
    pub async fn make(&self, place: &Path, program: &Path, identity: Option<&Path>) -> Result<()> {
        if self.docker.image(ENGINE_IMAGE).await?.is_none() {
            return Err(Error::external(format!("a rehearsal needs the image {ENGINE_IMAGE}, an empty machine with an engine"))
                .next(format!("scripts/images {ENGINE_IMAGE}   builds it from Debian's packages in a minute")));
        }
        self.say("an empty machine");
        for volume in self.volumes() {
            self.docker.create_volume(&volume, &self.labels()).await?;
        }
        let service = self.service(place, program, identity)?;
        let labels = self.labels();
        let spec = CreateSpec { name: &self.name, image: ENGINE_IMAGE, service: &service, labels: &labels, files: &[] };
        self.docker.create(&spec).await?;
        self.docker.start(&self.name).await?;
        let since = Instant::now();
        loop {
            let asked = self.docker.exec(&self.name, &command(&["docker", "version"])).await;
            match asked {
                Ok(answer) if answer.exit_code == 0 => return Ok(()),
                _ if since.elapsed() < ENGINE_UP => tokio::time::sleep(LOOK_AGAIN).await,
                Ok(_) | Err(_) => {
                    let log = self.docker.logs(&self.name, 20).await?;
                    return Err(Error::external("the engine of the empty machine does not come up").cause(log));
                }
            }
        }
    }

    fn service(&self, place: &Path, program: &Path, identity: Option<&Path>) -> Result<Service> {
        let [engine, data] = self.volumes();
        let path = |path: &Path| path.display().to_string();
        let seconds = LONGEST.as_secs().to_string();
        let mut volumes = vec![
            mount(MountKind::Volume, Some(engine), "/var/lib/docker", false),
            mount(MountKind::Volume, Some(data), "/rehearsal", false),
            mount(MountKind::Bind, Some("/sys/fs/cgroup".into()), "/sys/fs/cgroup", false),
            mount(MountKind::Bind, Some(path(place)), PLACE, true),
            mount(MountKind::Bind, Some(path(program)), PROGRAM, true),
            mount(MountKind::Tmpfs, None, "/run", false),
            mount(MountKind::Tmpfs, None, "/tmp", false),
        ];
        if let Some(identity) = identity {
            volumes.push(mount(MountKind::Bind, Some(path(identity)), IDENTITY, true));
        }
        Ok(Service {
            entrypoint: Some(["timeout", "--kill-after=10", &seconds, "dockerd"].map(str::to_owned).into()),
            // Its first process must be one that passes signals on.
            init: Some(true),
            network_mode: Some("none".into()),
            cap_add: capabilities()?,
            security_opt: ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"].map(str::to_owned).into(),
            volumes,
            ..Service::default()
        })
    }

    /// Gives the machine an address that config.yml binds its proxy to.
    ///
    /// # Errors
    /// It is refused.
    pub async fn address(&self, address: IpAddr) -> Result<()> {
        if address.is_loopback() || address.is_unspecified() {
            return Ok(());
        }
        let words = ["ip", "address", "add", &address.to_string(), "dev", "lo"];
        let said = self.docker.exec(&self.name, &command(&words)).await?;
        if said.exit_code == 0 {
            return Ok(());
        }
        Err(Error::external(format!("the empty machine cannot have the address {address}")).cause(String::from_utf8_lossy(&said.stderr)))
    }

    /// Runs this very program inside: the whole recovery. Its story is told as it comes; gives its exit code.
    ///
    /// # Errors
    /// The engine's connection is cut.
    pub async fn rebuild(&self, identity: bool, at_place: &str) -> Result<i64> {
        let mut words = vec![PROGRAM, "--yes", "--config", "/rehearsal/config.yml", "install", "--restore-from", at_place];
        words.extend(["--data", "/rehearsal/data"]);
        if identity {
            words.extend(["--identity", IDENTITY]);
        }
        let environment = BTreeMap::from([("HOME".to_owned(), HOME.to_owned()), ("SUMMONER_NO_SERVICE".to_owned(), "1".to_owned())]);
        let spec = ExecSpec { environment, ..command(&words) };
        let mut session = self.docker.open_exec(&self.name, &spec).await?;
        session.input.shutdown().await.map_err(|error| Error::external("cannot speak to the empty machine").cause(error))?;
        while let Some(piece) = session.output.next().await {
            let bytes = match piece? {
                ExecPiece::Out(bytes) | ExecPiece::Err(bytes) => bytes,
            };
            for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.trim().is_empty()) {
                self.listener.hear(&Event::Note { message: format!("  {line}") });
            }
        }
        let state = self.docker.exec_state(&session.id).await?;
        state.exit_code.ok_or_else(|| Error::external("the recovery in the empty machine was cut off"))
    }

    /// Opens a page through the proxy inside.
    ///
    /// # Errors
    /// The machine is gone.
    pub async fn ask(&self, host: &str, port: u16, address: IpAddr, smoke: Option<&Smoke>) -> Result<Answer> {
        let path = smoke.map_or("/", |smoke| smoke.path.as_str());
        let seconds = PAGE.as_secs().to_string();
        let resolve = format!("{host}:{port}:{address}");
        let url = format!("https://{host}:{port}{path}");
        let words = ["curl", "-sSkL", "--max-redirs", "5", "--max-time", &seconds, "-w", "\n%{http_code}", "--resolve", &resolve, &url];
        let said = self.docker.exec(&self.name, &command(&words)).await?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let (page, code) = text.rsplit_once('\n').unwrap_or(("", ""));
        let Some(code) = code.trim().parse::<u16>().ok().filter(|_| said.exit_code == 0) else {
            return Ok(Answer::Wrong(String::from_utf8_lossy(&said.stderr).trim().to_owned()));
        };
        let expect = smoke.map(|smoke| smoke.expect.as_slice()).unwrap_or_default();
        let right = if expect.is_empty() { (200..300).contains(&code) } else { expect.contains(&code) };
        Ok(match smoke.and_then(|smoke| smoke.contains.as_ref()) {
            _ if !right => Answer::Wrong(format!("it answered {code}")),
            Some(text) if !page.contains(text.as_str()) => Answer::Wrong(format!("its page lacks `{text}`")),
            _ => Answer::Right(code),
        })
    }
}

pub(super) fn command(words: &[&str]) -> ExecSpec {
    ExecSpec { command: words.iter().map(|word| (*word).to_owned()).collect(), ..ExecSpec::default() }
}

fn mount(kind: MountKind, source: Option<String>, target: &str, read_only: bool) -> Mount {
    Mount {
        kind,
        source,
        target: target.to_owned(),
        read_only,
        create_host_path: false,
        nocopy: false,
        tmpfs_size_bytes: None,
        tmpfs_mode: None,
        propagation: None,
        selinux: None,
    }
}

/// Those that this host may give at all: an engine refuses others, and a container without one of them is no reason to fail.
fn capabilities() -> Result<Vec<String>> {
    let path = Path::new("/proc/self/status");
    let status = disk::read_bounded(path, 1 << 16)?;
    let text = String::from_utf8_lossy(&status).into_owned();
    let bound = text.lines().find_map(|line| line.strip_prefix("CapBnd:")).and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let bound = bound.ok_or_else(|| Error::new(Kind::External, "the kernel does not say which capabilities there are"))?;
    let known: BTreeSet<&str> =
        CAPABILITIES.iter().enumerate().filter(|(number, _)| bound >> number & 1 == 1).map(|(_, name)| *name).collect();
    Ok(known.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
