//! How nginx is run: in a container that is ours, in one of the user's, or as a child of this process.
//!
//! Knows how to test a file, to make nginx load its configuration, and where it answers; not what is in the files.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::child::Child;
use super::shell::Shell;
use super::{TEST, culprit};
use crate::docker::{Described, Engine, ExecSpec, Running};
use crate::error::{Error, Result};

/// How long a signal may take to be sent.
const SIGNAL: Duration = Duration::from_secs(10);

/// nginx, wherever it runs.
pub enum Runner<'a, E> {
    /// In a container, told through the engine.
    Container(Contained<'a, E>),
    /// A child of this process.
    Child(&'a Child),
}

/// nginx in a container.
pub struct Contained<'a, E> {
    engine: &'a E,
    name: String,
    /// Its main file, when it was started with another than its own.
    main: Option<String>,
    shell: Mutex<Option<Shell>>,
}

impl<'a, E: Engine> Runner<'a, E> {
    /// nginx in this container; `main` is the file that it was started with, None its own `nginx.conf`.
    pub fn container(engine: &'a E, name: &str, main: Option<&str>) -> Self {
        Self::Container(Contained { engine, name: name.to_owned(), main: main.map(str::to_owned), shell: Mutex::new(None) })
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Container(contained) => &contained.name,
            Self::Child(_) => "nginx",
        }
    }

    /// What `nginx -t` says against a file; None when it accepts it.
    ///
    /// # Errors
    /// nginx cannot be asked.
    pub async fn test(&self, file: &str) -> Result<Option<String>> {
        match self {
            Self::Container(contained) => contained.test(file).await,
            Self::Child(_) => here(&["-t", "-c", file]).await,
        }
    }

    /// Makes nginx load its configuration.
    ///
    /// # Errors
    /// It does not run, or cannot be told.
    pub async fn hang_up(&self) -> Result<()> {
        match self {
            Self::Container(contained) => contained.hang_up().await,
            Self::Child(child) => child.hang_up(),
        }
    }

    /// Where its own server answers; None when it does not run or cannot be reached.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn address(&self) -> Result<Option<IpAddr>> {
        match self {
            Self::Container(contained) => contained.address().await,
            Self::Child(child) => Ok(child.runs().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        }
    }

    /// As [`Self::address`], by a container that was looked at just now.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn address_in(&self, container: Option<&Described>) -> Result<Option<IpAddr>> {
        match (self, container) {
            (Self::Container(_), Some(found)) => Ok(address(found)),
            _ => self.address().await,
        }
    }

    /// The last complaints in its log, where there is one to read.
    pub async fn complaints(&self) -> String {
        match self {
            Self::Container(contained) => {
                contained.engine.logs(&contained.name, 40).await.map(|log| culprit::complaints(&log)).unwrap_or_default()
            }
            Self::Child(_) => String::new(),
        }
    }
}

impl<E: Engine> Contained<'_, E> {
    async fn test(&self, file: &str) -> Result<Option<String>> {
        let mut shell = self.shell.lock().await;
        if let Some(open) = self.opened(&mut shell).await {
            match open.test(file, TEST).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::debug!(%error, "a command instead"),
            }
            *shell = None;
        }
        let command = ["nginx", "-t", "-c", file].map(str::to_owned).to_vec();
        let output = self.engine.exec(&self.name, &ExecSpec { command, timeout: Some(TEST), ..ExecSpec::default() }).await?;
        Ok((output.exit_code != 0).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Not by the engine's own `kill`: Docker takes any signal sent that way for a stop by hand, and a container that
    /// restarts `unless-stopped` would stay down after the next reboot (moby `daemon/kill.go`, `HasBeenManuallyStopped`).
    async fn hang_up(&self) -> Result<()> {
        let mut shell = self.shell.lock().await;
        if let Some(open) = self.opened(&mut shell).await {
            match open.hang_up(SIGNAL).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%error, "a command instead"),
            }
            *shell = None;
        }
        let mut command = ["nginx", "-s", "reload"].map(str::to_owned).to_vec();
        command.extend(self.main.iter().flat_map(|main| ["-c".to_owned(), main.clone()]));
        let output = self.engine.exec(&self.name, &ExecSpec { command, timeout: Some(TEST), ..ExecSpec::default() }).await?;
        if output.exit_code == 0 {
            return Ok(());
        }
        Err(Error::external(format!("{} cannot be told to load its configuration", self.name))
            .cause(String::from_utf8_lossy(&output.stderr)))
    }

    /// The shell, opened when there is none; None when the container has none.
    async fn opened<'s>(&self, shell: &'s mut Option<Shell>) -> Option<&'s mut Shell> {
        if shell.is_none() {
            match timeout(SIGNAL, Shell::open(self.engine, &self.name)).await {
                Ok(Ok(open)) => *shell = Some(open),
                Ok(Err(error)) => tracing::debug!(%error, "no shell in nginx's container"),
                Err(_) => tracing::debug!("no shell in nginx's container in time"),
            }
        }
        shell.as_mut()
    }

    async fn address(&self) -> Result<Option<IpAddr>> {
        Ok(self.engine.describe(&self.name).await?.as_ref().and_then(address))
    }
}

/// Where the nginx in a container answers; None when it does not run, or somebody took it off all networks: it can be asked
/// nothing then, and finds its configuration once it is back.
pub(super) fn address(found: &Described) -> Option<IpAddr> {
    match found.running {
        Running::Running if found.host_mode => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Running::Running => found.networks.values().find_map(|place| place.v4.or(place.v6)),
        _ => None,
    }
}

/// Runs nginx's program for a question; None is success.
async fn here(arguments: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("nginx");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let cannot = || Error::external("cannot run nginx to test its configuration");
    let output = timeout(TEST, command.output()).await.map_err(|_| cannot().cause("it does not end"))?;
    let output = output.map_err(|error| cannot().cause(error).next("install nginx here, or name a container: --nginx NAME"))?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}
