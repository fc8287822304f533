//! What every command finds out first: which configuration, which catalogue, which engine.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{Globals, progress};
use crate::apply::{World, recover};
use crate::config::{self, Config, Surroundings, encryption, home};
use crate::daemon::clock;
use crate::disk;
use crate::docker::engine::Docker;
use crate::drill;
use crate::error::{Error, Result};
use crate::event::Listener;
use crate::fault::{Fault, Source, warning_text};
use crate::journal;
use crate::layout;
use crate::lock::Lock;
use crate::minion::catalogue::Catalogue;

/// `~/.summoner` is five lines.
const MAX_HOME_BYTES: u64 = 64 << 10;

/// The surroundings of one command.
#[derive(Clone)]
pub struct Context {
    pub(super) globals: Globals,
    /// The user's home.
    home: Option<PathBuf>,
    home_file: Option<home::HomeFile>,
    pub(super) now: DateTime<Utc>,
}

/// A configuration and what it was read with.
pub struct Loaded {
    pub(super) config: Config,
    pub(super) catalogue: Catalogue,
}

impl Context {
    /// Reads `~/.summoner`; nothing else is touched.
    pub fn new(globals: Globals) -> Result<Self> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let mut home_file = None;
        if let Some(path) = home.as_deref().map(layout::home_file)
            && let Some(bytes) = disk::read_if_there(&path, MAX_HOME_BYTES)?
        {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            home_file = Some(home::parse(&text).map_err(|error| {
                Error::new(crate::error::Kind::Config, format!("{} cannot be read", path.display()))
                    .cause(error)
                    .next("summoner install --config FILE   writes it anew")
            })?);
        }
        Ok(Self { globals, home, home_file, now: clock::now() })
    }

    /// The configuration file that this command uses.
    pub fn config_path(&self) -> Result<PathBuf> {
        let here = std::env::current_dir().map_err(|error| Error::io("find", Path::new("."), &error))?;
        let path = home::locate(
            self.globals.config.as_deref(),
            std::env::var_os("SUMMONER_CONFIG_FILE").as_deref(),
            self.home_file.as_ref(),
            &here,
        );
        Ok(here.join(path))
    }

    /// As it is, for the configuration in another place.
    #[must_use]
    pub(super) fn on(&self, config: PathBuf) -> Self {
        let mut other = self.clone();
        other.globals.config = Some(config);
        other
    }

    /// The configuration that this machine remembers an installation by.
    pub(super) fn remembered_config(&self) -> Option<&Path> {
        self.home_file.as_ref().and_then(|file| file.config.as_deref())
    }

    /// The configuration that the command line names.
    pub(super) fn asked_config(&self) -> Option<PathBuf> {
        self.globals.config.clone()
    }

    /// The catalogue: the one in the binary, shadowed by the person's own.
    pub fn catalogue(&self) -> Result<Catalogue> {
        let config = self.config_path()?;
        let remembered = self.home_file.as_ref().filter(|file| file.config.as_ref() == Some(&config)).and_then(|file| file.minions.clone());
        let variable = std::env::var_os("MINIONS_DIR").map(PathBuf::from);
        let own = variable.or(remembered).or_else(|| Some(config.parent()?.join("minions")));
        Catalogue::open(own.filter(|folder| folder.is_dir()).as_deref())
    }

    /// Reads and resolves the configuration. Its warnings are for the commands that are about it: [`Self::load_aloud`].
    pub fn load(&self) -> Result<Loaded> {
        self.read(false)
    }

    /// As [`Self::load`]; warnings go to standard error.
    pub fn load_aloud(&self) -> Result<Loaded> {
        self.read(true)
    }

    fn read(&self, aloud: bool) -> Result<Loaded> {
        let path = self.config_path()?;
        let source = config::read(&path)?;
        let catalogue = self.catalogue()?;
        let (config, warnings) = self.resolve(&path, &source, &catalogue)?;
        for warning in warnings.iter().filter(|_| aloud) {
            self.note(&warning_text(warning));
        }
        Ok(Loaded { config, catalogue })
    }

    /// Resolves a text that stands, or will stand, at a path; gives its warnings too.
    pub fn resolve(&self, path: &Path, source: &std::sync::Arc<Source>, catalogue: &Catalogue) -> Result<(Config, Vec<Fault>)> {
        // Without a zone of its own the host counts in UTC.
        let zone = iana_time_zone::get_timezone().unwrap_or_else(|_| "UTC".to_owned());
        let surroundings = Surroundings { path, home: self.home.as_deref(), host_timezone: &zone, minions: catalogue };
        let (mut config, warnings) = config::load(source, &surroundings).map_err(|faults| {
            let count = if faults.len() == 1 { "one fault".to_owned() } else { format!("{} faults", faults.len()) };
            Error::faults(format!("{} has {count}; nothing was touched", path.display()), faults)
                .next(format!("mend it, then: summoner config check --config {}", path.display()))
        })?;
        if let Some(listed) = config.recipients_file.clone() {
            let bytes = disk::read_bounded(&listed, encryption::FILE_MAX).map_err(|error| Error {
                kind: crate::error::Kind::Config,
                ..error.next("recipients_file in config.yml names it: a file with a public key in each line")
            })?;
            encryption::add_listed(&mut config, &listed, &String::from_utf8_lossy(&bytes))?;
        }
        Ok((config, warnings))
    }

    /// The storage roots that `~/.summoner` names, for a time when config.yml cannot be read.
    pub fn remembered_roots(&self) -> Vec<PathBuf> {
        self.home_file.iter().flat_map(|file| [file.files.clone(), file.databases.clone()]).flatten().collect()
    }

    /// Connects to the engine.
    pub async fn engine(&self) -> Result<Docker> {
        Docker::connect().await
    }

    /// Takes the host's lock for a command that changes something, and ends what an interrupted one began.
    pub async fn lock(&self, loaded: &Loaded, engine: &Docker, command: &str) -> Result<Lock> {
        let lock = Lock::take(&loaded.config.layout, command, self.globals.wait, self.now).await?;
        let listener = self.listener();
        recover::recover(&self.world(loaded, engine, &*listener)).await?;
        // Nothing that is live depends on it: what cannot be removed now is told, and tried again.
        match drill::sweep::leftovers(engine, &loaded.config.layout, self.now).await {
            Ok(true) => self.note("what an interrupted drill left was removed"),
            Ok(false) => {}
            Err(error) => self.note(&error.to_string()),
        }
        Ok(lock)
    }

    /// Ends what an interrupted command began; whether there was anything.
    ///
    /// # Errors
    /// Another command is at work, or something cannot be put back; it stays in the journal.
    pub async fn make_whole(&self) -> Result<bool> {
        // Without a configuration nothing was begun.
        let Ok(loaded) = self.load() else { return Ok(false) };
        let layout = &loaded.config.layout;
        if journal::open(layout)?.is_empty() {
            // A drill that runs right now is no leftover, and needs nobody's lock.
            return Ok(drill::sweep::is_needed(layout) && drill::sweep::leftovers(&self.engine().await?, layout, self.now).await?);
        }
        let engine = self.engine().await?;
        self.lock(&loaded, &engine, "recovery after an interruption").await.map(|_| true)
    }

    /// What applying and planning need.
    pub fn world<'a>(&self, loaded: &'a Loaded, engine: &'a Docker, listener: &'a dyn Listener) -> World<'a, Docker> {
        World { engine, config: &loaded.config, catalogue: &loaded.catalogue, listener, now: self.now, restored: false }
    }

    /// Tells the story on standard error, as asked for.
    pub fn listener(&self) -> Box<dyn Listener> {
        progress::listener(self.globals.progress, self.globals.quiet)
    }

    /// A line of the story.
    pub fn note(&self, text: &str) {
        if !self.globals.quiet {
            // Nobody reads it any more: the command goes on.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Writes `~/.summoner`, so that every later command finds this configuration.
    pub fn remember(&self, config: &Config) -> Result<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let folder = config.path.parent().map(Path::to_owned).unwrap_or_default();
        let file = home::HomeFile {
            home: Some(folder.clone()),
            minions: Some(folder.join("minions")),
            files: Some(config.layout.files.clone()),
            databases: Some(config.layout.databases.clone()),
            config: Some(config.path.clone()),
        };
        if self.home_file.as_ref() == Some(&file) {
            return Ok(());
        }
        disk::write_atomic(&layout::home_file(home), home::render(&file).as_bytes(), 0o644)
    }
}
