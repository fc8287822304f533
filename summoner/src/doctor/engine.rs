//! The engine: does it answer, may everybody command it, can it limit memory, how does it store images.

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Patient, brief, read_text};
use crate::docker::{Container, Engine, EngineInfo};
use crate::error::{Error, Result};

/// An engine that has not said three things in this time hangs.
const ANSWER: Duration = Duration::from_secs(20);
/// The engine's clock may differ so much from this machine's.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(5);
/// Where the engine listens unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// Storage drivers that copy a whole image for each container, or that Docker has given up.
const POOR_STORAGE: [&str; 3] = ["vfs", "aufs", "devicemapper"];

/// What the engine said.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Of itself.
    pub info: EngineInfo,
    /// All containers.
    pub containers: Vec<Container>,
    /// Between these two moments, by the clock of this machine.
    pub between: (DateTime<Utc>, DateTime<Utc>),
}

/// Asks an engine that is being connected to; never longer than [`ANSWER`].
///
/// # Errors
/// There is no engine, or it does not answer.
pub async fn look<E: Engine>(connecting: impl Future<Output = Result<E>>) -> Result<Seen> {
    let asking = async {
        let engine = connecting.await?;
        let asked = Utc::now();
        let (info, containers) = tokio::try_join!(engine.info(), engine.containers())?;
        Ok(Seen { info, containers, between: (asked, Utc::now()) })
    };
    tokio::time::timeout(ANSWER, asking).await.unwrap_or_else(|_| {
        let error = Error::external(format!("Docker Engine has not answered within {} seconds", ANSWER.as_secs()));
        Err(error.next("systemctl restart docker   (containers with a restart policy come back by themselves)"))
    })
}

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let seen = patient.engine;
    let mut checks = vec![answers(seen)];
    let host = std::env::var("DOCKER_HOST").ok();
    checks.push(socket(host.as_deref()));
    checks.push(cgroup(seen, &Controllers::read()));
    if let Ok(seen) = seen {
        checks.push(storage(&seen.info.storage_driver));
        checks.push(clock(seen.info.system_time, seen.between));
    }
    checks
}

fn answers(seen: Result<&Seen, &Error>) -> Check {
    let check = Check::new("engine", "engine", "Every application runs in containers of the Docker Engine.");
    match seen {
        Ok(seen) => check.ok(format!("Docker {}, API {}", seen.info.version, seen.info.api)),
        Err(error) => check.failed(brief(error)).fix(error.next.first().cloned().unwrap_or_else(|| "systemctl status docker".into())),
    }
}

/// Whether the engine's clock shows the time at which it was asked.
fn clock(engine: Option<DateTime<Utc>>, between: (DateTime<Utc>, DateTime<Utc>)) -> Check {
    let check = Check::new("engine-clock", "engine clock", "Ages of containers and of backups are wrong when two clocks differ.");
    let Some(time) = engine else { return check.warning("not verified: the engine does not say what time it is") };
    let (asked, answered) = between;
    let (ahead, behind) = (time - answered, asked - time);
    let (difference, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference <= CLOCKS_DIFFER {
        return check.ok("as the clock of this machine");
    }
    let message = format!("{} s {word} the clock of this machine", difference.num_seconds());
    check.warning(message).fix("see that both machines keep their clocks right: timedatectl status, on each")
}

/// The socket on this machine; None when the engine is reached over a network.
fn socket_path(docker_host: Option<&str>) -> Option<PathBuf> {
    match docker_host.filter(|host| !host.is_empty()) {
        None => Some(SOCKET.into()),
        Some(host) => host.strip_prefix("unix://").map(PathBuf::from),
    }
}

fn socket(docker_host: Option<&str>) -> Check {
    let check = new_socket();
    let Some(path) = socket_path(docker_host) else {
        let host = docker_host.unwrap_or_default();
        return check
            .warning(format!(
                "DOCKER_HOST is {host}: the engine may be on another machine; folders, ports and memory here are this machine's"
            ))
            .fix("unset DOCKER_HOST and run Summoner on the machine of the engine");
    };
    match std::fs::metadata(&path) {
        Ok(found) => judge_socket(&path, found.mode()),
        Err(error) => check.unknown(format!("not checked: {}: {error}", path.display())),
    }
}

fn new_socket() -> Check {
    Check::new("engine-socket", "engine socket", "Whoever can write to the engine's socket is root on this machine.")
}

fn judge_socket(path: &Path, mode: u32) -> Check {
    let shown = path.display();
    if mode & 0o002 == 0 {
        return new_socket().ok(format!("{shown} is closed to others ({:04o})", mode & 0o7777));
    }
    new_socket()
        .failed(format!("{shown} is open to everyone on this machine ({:04o})", mode & 0o7777))
        .fix(format!("chmod o-rwx {shown}   (and find out who opened it: systemctl cat docker.socket)"))
}

/// Whether the kernel can count memory for containers.
struct Controllers {
    /// `cgroup.controllers` of version 2.
    v2: Option<String>,
    /// `/proc/cgroups`.
    v1: Option<String>,
}

impl Controllers {
    fn read() -> Self {
        // What cannot be read is not known, and the judgement below says so.
        let text = |path| read_text(path).ok().flatten();
        Self { v2: text("/sys/fs/cgroup/cgroup.controllers"), v1: text("/proc/cgroups") }
    }

    fn memory(&self) -> Option<bool> {
        if let Some(text) = &self.v2 {
            return Some(text.split_whitespace().any(|name| name == "memory"));
        }
        let line = self.v1.as_ref()?.lines().find(|line| line.split_whitespace().next() == Some("memory"))?;
        Some(line.split_whitespace().nth(3) == Some("1"))
    }
}

fn cgroup(seen: Result<&Seen, &Error>, controllers: &Controllers) -> Check {
    let check = Check::new("cgroup", "cgroup", "Control groups keep one application from taking the memory of all others.");
    if controllers.memory() == Some(false) {
        return check
            .failed("the kernel counts no memory for containers: their limits do nothing")
            .fix("add cgroup_enable=memory to the kernel's command line (Raspberry Pi: /boot/firmware/cmdline.txt), then reboot");
    }
    let Ok(seen) = seen else { return check.unknown("not checked: the engine does not answer") };
    match (seen.info.cgroup.as_str(), controllers.memory()) {
        ("2", Some(_)) => check.ok("version 2"),
        ("1", Some(_)) => check
            .warning("version 1: systemd has dropped it, Docker will")
            .fix("with the next upgrade of the system: boot with systemd.unified_cgroup_hierarchy=1"),
        (version @ ("1" | "2"), None) => check.unknown(format!("version {version}; whether memory is counted could not be read")),
        (other, _) => check.unknown(format!("the engine names the version `{other}`")).fix("update Docker Engine to 20.10 or newer"),
    }
}

fn storage(driver: &str) -> Check {
    let check = Check::new("engine-storage", "image storage", "The storage driver decides how much disk each container takes.");
    if POOR_STORAGE.contains(&driver) {
        let fix = "use overlay2: docs.docker.com/engine/storage/drivers/select-storage-driver";
        return check.warning(format!("{driver}: slow, and every container copies its whole image")).fix(fix);
    }
    check.ok(driver)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doctor::State;

    pub(in crate::doctor) fn seen() -> Seen {
        let info = EngineInfo {
            version: "28.5.2".into(),
            api: "1.51".into(),
            architecture: "amd64".into(),
            cgroup: "2".into(),
            memory_bytes: 8 << 30,
            root: "/".into(),
            storage_driver: "overlay2".into(),
            system_time: None,
        };
        Seen { info, containers: Vec::new(), between: (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH) }
    }

    fn controllers(v2: Option<&str>, v1: Option<&str>) -> Controllers {
        Controllers { v2: v2.map(str::to_owned), v1: v1.map(str::to_owned) }
    }

    #[test]
    fn an_engine_that_answers_is_named_and_one_that_does_not_says_what_to_do() {
        assert_eq!(answers(Ok(&seen())).message, "Docker 28.5.2, API 1.51");
        let error = Error::external("this user may not talk to Docker").cause("permission denied").next("run the command as root (sudo)");
        let check = answers(Err(&error));
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "this user may not talk to Docker: permission denied"));
        assert_eq!(check.fix.as_deref(), Some("run the command as root (sudo)"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_is_given_up() {
        let error = look(std::future::pending::<Result<crate::docker::engine::Docker>>()).await.unwrap_err();
        assert_eq!(error.message, "Docker Engine has not answered within 20 seconds");
    }

    #[test]
    fn a_socket_for_everyone_fails_and_an_engine_elsewhere_is_said() {
        assert_eq!(judge_socket(Path::new(SOCKET), 0o140_660).state, State::Ok);
        let check = judge_socket(Path::new(SOCKET), 0o140_666);
        assert_eq!(
            (check.state, check.message.as_str()),
            (State::Failed, "/var/run/docker.sock is open to everyone on this machine (0666)")
        );
        assert_eq!(socket(Some("tcp://10.0.0.1:2376")).state, State::Warning);
        assert_eq!(socket(Some("unix:///nowhere/docker.sock")).state, State::Unknown);
    }

    #[test]
    fn control_groups_are_judged_by_version_and_by_whether_memory_counts() {
        let seen = |version: &str| Seen { info: EngineInfo { cgroup: version.into(), ..seen().info }, ..seen() };
        let good = controllers(Some("cpuset cpu io memory pids\n"), None);
        assert_eq!(cgroup(Ok(&seen("2")), &good).state, State::Ok);
        let old = controllers(None, Some("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t117\t1\n"));
        let check = cgroup(Ok(&seen("1")), &old);
        assert_eq!((check.state, check.message.as_str()), (State::Warning, "version 1: systemd has dropped it, Docker will"));
        for off in [controllers(Some("cpuset cpu io pids"), None), controllers(None, Some("memory\t0\t1\t0"))] {
            let check = cgroup(Ok(&seen("2")), &off);
            assert_eq!(check.message, "the kernel counts no memory for containers: their limits do nothing");
            assert_eq!(check.state, State::Failed);
        }
        assert_eq!(cgroup(Err(&Error::external("none")), &good).message, "not checked: the engine does not answer");
        assert_eq!(cgroup(Ok(&seen("2")), &controllers(None, None)).state, State::Unknown, "not verified is not ok");
    }

    #[test]
    fn clocks_that_differ_are_a_warning() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let judged = |engine: i64| clock(Some(at(engine)), (at(0), at(15)));
        for well in [-5, 0, 7, 15, 20] {
            assert_eq!(judged(well).state, State::Ok, "an answer may take its time: {well}");
        }
        assert_eq!((judged(-6).state, judged(-6).message), (State::Warning, "6 s behind the clock of this machine".into()));
        assert_eq!((judged(3615).state, judged(3615).message), (State::Warning, "3600 s ahead of the clock of this machine".into()));
        assert_eq!(clock(None, (at(0), at(1))).state, State::Warning, "not verified is not ok");
    }

    #[test]
    fn a_driver_that_copies_images_is_a_warning() {
        assert_eq!(storage("overlay2").state, State::Ok);
        assert!(storage("vfs").message.contains("copies its whole image"));
    }
}
