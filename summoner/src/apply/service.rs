//! Sees to it that scheduled jobs run after `install`: a service where systemd runs, a line for cron elsewhere.
//!
//! Knows both texts and where they go, and touches only files that carry its mark and this configuration. `install`
//! calls it at its end; `daemon --uninstall` takes away what it made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crash;
use crate::config::Config;
use crate::disk;
use crate::error::{Error, Result};

/// Files without it are not ours.
const MARK: &str = "# Written by `summoner install`";
/// Set by whoever wants no service: tests, images, packagers.
const NO_SERVICE: &str = "SUMMONER_NO_SERVICE";
const MAX_BYTES: u64 = 64 << 10;
/// Folders that a reboot empties: an installation there is a trial.
const FLEETING: [&str; 2] = ["/tmp", "/var/tmp"];

/// Where a host keeps its services.
#[derive(Debug, Clone)]
pub struct Host {
    /// Is there when systemd runs.
    pub systemd_runs: PathBuf,
    /// The unit.
    pub unit: PathBuf,
    /// The line for cron.
    pub cron: PathBuf,
    /// What obeys it, wherever it lies: a folder for lines is no proof of it.
    pub cron_programs: Vec<PathBuf>,
    /// `systemctl`, or what stands in for it.
    pub systemctl: PathBuf,
    /// The home of whoever installs: what `~` in config.yml stands for.
    pub home: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            systemd_runs: "/run/systemd/system".into(),
            unit: "/etc/systemd/system/summoner.service".into(),
            cron: "/etc/cron.d/summoner".into(),
            cron_programs: ["/usr/sbin/cron", "/usr/sbin/crond", "/usr/bin/crond"].map(PathBuf::from).into(),
            systemctl: "systemctl".into(),
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map_or_else(|| "/root".into(), PathBuf::from),
        }
    }
}

/// Installs what runs the schedule, or takes it away when config.yml says `daemon: false`. Says what it did.
///
/// Does nothing without root, for an installation below a temporary folder, or when `SUMMONER_NO_SERVICE` is set.
///
/// # Errors
/// The file cannot be written, or systemd refuses the unit.
pub fn ensure(config: &Config, exe: &Path) -> Result<Option<String>> {
    let temporary = std::env::temp_dir();
    let fleeting = FLEETING.iter().map(Path::new).chain([temporary.as_path()]).any(|folder| config.layout.files.starts_with(folder));
    if fleeting || std::env::var_os(NO_SERVICE).is_some() || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    ensure_on(&Host::default(), config, exe)
}

/// As [`ensure`] on this host, without asking whether it should.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_on(host: &Host, config: &Config, exe: &Path) -> Result<Option<String>> {
    if !config.daemon {
        return remove_from(host, &config.path);
    }
    if host.systemd_runs.is_dir() {
        return systemd(host, config, exe);
    }
    if !host.cron.parent().is_some_and(Path::is_dir) {
        return Ok(Some(
            "nothing here runs scheduled jobs: there is neither systemd nor cron; let something call `summoner run-due` every five minutes"
                .into(),
        ));
    }
    let note = put(&host.cron, &cron(host, config, exe), &config.path)?;
    if note.as_ref().is_none_or(String::is_empty) && !host.cron_programs.iter().any(|program| program.exists()) {
        return Ok(Some(format!(
            "nothing here runs scheduled jobs: {} is written, but no cron is installed; apt-get install cron, or keep `summoner daemon` running",
            host.cron.display()
        )));
    }
    Ok(note.map(|note| if note.is_empty() { format!("scheduled jobs run by cron ({})", host.cron.display()) } else { note }))
}

fn systemd(host: &Host, config: &Config, exe: &Path) -> Result<Option<String>> {
    match put(&host.unit, &unit(host, config, exe), &config.path)? {
        // A crash may have come between the file and its start.
        None if systemctl(host, &["is-active", "--quiet", "summoner.service"]).is_ok() => return Ok(None),
        Some(refused) if !refused.is_empty() => return Ok(Some(refused)),
        _ => {}
    }
    systemctl(host, &["daemon-reload"])?;
    systemctl(host, &["enable", "summoner.service"])?;
    systemctl(host, &["restart", "summoner.service"])?;
    // A machine that got systemd later needs no second road.
    take(&host.cron, &config.path)?;
    Ok(Some(format!("scheduled jobs run in summoner.service ({})", host.unit.display())))
}

/// Takes away what [`ensure`] made for a configuration. Says what it did.
///
/// # Errors
/// The file cannot be removed, or systemd refuses.
pub fn remove(config: &Path) -> Result<Option<String>> {
    remove_from(&Host::default(), config)
}

/// As [`remove`] on this host.
///
/// # Errors
/// As [`remove`].
pub fn remove_from(host: &Host, config: &Path) -> Result<Option<String>> {
    let mut done = Vec::new();
    if ours(&host.unit, config)? == Some(true) {
        if host.systemd_runs.is_dir() {
            systemctl(host, &["disable", "--now", "summoner.service"])?;
        }
        done.extend(take(&host.unit, config)?);
        if host.systemd_runs.is_dir() {
            systemctl(host, &["daemon-reload"])?;
        }
    }
    done.extend(take(&host.cron, config)?);
    Ok((!done.is_empty()).then(|| format!("removed {}", done.join(" and "))))
}

/// Writes a file; an empty note when it did, none when it was so already, else why it did not.
fn put(path: &Path, text: &str, config: &Path) -> Result<Option<String>> {
    let there = disk::read_if_there(path, MAX_BYTES)?;
    if there.as_deref() == Some(text.as_bytes()) {
        return Ok(None);
    }
    if there.is_some() && ours(path, config)? != Some(true) {
        return Ok(Some(format!("{} is left as it is: it is not of this configuration", path.display())));
    }
    crash::point();
    disk::write_atomic(path, text.as_bytes(), 0o644)?;
    Ok(Some(String::new()))
}

fn take(path: &Path, config: &Path) -> Result<Option<String>> {
    if ours(path, config)? != Some(true) {
        return Ok(None);
    }
    crash::point();
    fs::remove_file(path).map_err(|error| Error::io("remove", path, &error))?;
    Ok(Some(path.display().to_string()))
}

/// Whether a file was written by us for this configuration; none when there is no file.
fn ours(path: &Path, config: &Path) -> Result<Option<bool>> {
    let Some(bytes) = disk::read_if_there(path, MAX_BYTES)? else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(&bytes).lines().next() == Some(mark(config).as_str())))
}

fn mark(config: &Path) -> String {
    format!("{MARK} for {}", config.display())
}

/// The unit. It may write below the storage roots alone; it must reach the engine's socket, and the roots of containers
/// below /proc, through which dumps are read.
fn unit(host: &Host, config: &Config, exe: &Path) -> String {
    format!(
        "{mark}
# Version {version}. Edits are lost; `systemctl edit summoner` keeps them.
[Unit]
Description=Summoner: scheduled dumps, backups and their checks
# A restart of the engine must not end a backup: the daemon waits for it.
After=network-online.target docker.service
Wants=network-online.target

[Service]
Type=notify
# What `~` in config.yml stands for.
Environment={home}
ExecStart={exe} --config {config} daemon
Restart=always
RestartSec=10
WatchdogSec=5min
# The daemon tells its jobs to start their applications again, and waits for them.
KillMode=mixed
TimeoutStopSec=150
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
UMask=0077

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={files} {databases}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
",
        mark = mark(&config.path),
        // Another version is another text, so that the daemon is started anew.
        version = env!("CARGO_PKG_VERSION"),
        home = quoted("HOME=", &host.home),
        exe = quoted("", exe),
        config = quoted("", &config.path),
        files = quoted("-", &config.layout.files),
        databases = quoted("-", &config.layout.databases),
    )
}

/// A path as systemd reads it (systemd.syntax(7)); with a dash before it, one that is missing is no error.
fn quoted(before: &str, path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{before}{text}\"")
}

/// The line for cron. A run that is still at work makes the next one end at once.
fn cron(host: &Host, config: &Config, exe: &Path) -> String {
    // A shell reads it, and cron itself takes a percent sign for a new line.
    let word = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', "'\\''").replace('%', "\\%"));
    format!(
        "{}\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOME={}\n*/5 * * * * root {} --config {} --quiet run-due\n",
        mark(&config.path),
        host.home.display(),
        word(exe),
        word(&config.path)
    )
}

fn systemctl(host: &Host, arguments: &[&str]) -> Result<()> {
    crash::point();
    let output = Command::new(&host.systemctl).args(arguments).output();
    let output = output.map_err(|error| Error::io("start", &host.systemctl, &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::external(format!("systemctl {} ended with {}", arguments.join(" "), output.status))
        .cause(String::from_utf8_lossy(&output.stderr).trim())
        .next("journalctl -u summoner"))
}

#[cfg(test)]
mod tests;
