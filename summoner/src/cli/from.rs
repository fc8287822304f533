//! `--from REPOSITORY`: the other place that a command reads, by its name in config.yml or by its words.

use std::path::{Path, PathBuf};

use super::context::{Context, Loaded};
use super::show;
use crate::backup::blocking;
use crate::config::repositories::{Place, RepositorySettings};
use crate::error::{Error, Kind, Result};
use crate::plan::snapshot::{Snapshot, SnapshotId};
use crate::plan::sync::Memory;
use crate::repository::{Repository, place};
use crate::state::copies;
use crate::sync::{Seen, fetch, look};

/// Where to read from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct From {
    /// Another repository: its name in config.yml, /folder, <sftp://user@host/folder> or <s3+https://host/bucket>
    #[arg(long, value_name = "REPOSITORY")]
    pub(super) from: Option<String>,
    /// The file with the private key, for a repository that is encrypted
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(super) identity: Option<PathBuf>,
}

/// A place that is open to be read.
pub(super) struct Elsewhere {
    pub(super) repository: Repository,
    pub(super) settings: RepositorySettings,
    /// Whether config.yml names it.
    configured: bool,
}

impl Elsewhere {
    /// Opens a place. Without a configuration its words alone are enough.
    pub(super) async fn open(context: &Context, named: &str, identity: Option<&Path>) -> Result<Self> {
        let loaded = context.load();
        let known = |loaded: &Loaded| loaded.config.repositories.iter().find(|settings| settings.name == named).cloned();
        let (settings, configured) = match (loaded.as_ref().ok().and_then(known), named.parse::<Place>()) {
            (Some(settings), _) => (settings, true),
            (None, Ok(place)) => (RepositorySettings::at(place), false),
            (None, Err(why)) if named.contains(['/', ':']) => return Err(Error::usage(why)),
            (None, Err(_)) => return Err(unknown(&loaded?, named)),
        };
        let spool = loaded.as_ref().map_or_else(|_| std::env::temp_dir(), |loaded| loaded.config.layout.backups());
        let recipients = loaded.map(|loaded| loaded.config.recipients).unwrap_or_default();
        let (opened, identity) = (settings.clone(), identity.map(Path::to_owned));
        let repository = blocking(move |_| place::open(&opened, &recipients, identity.as_deref(), &spool)).await?;
        Ok(Self { repository, settings, configured })
    }

    /// What lies there, of which no key is needed to know.
    pub(super) async fn look(&self) -> Result<Seen> {
        let repository = self.repository.clone();
        blocking(move |_| look(repository.backend().as_ref(), None, &Memory::new())).await
    }

    /// The snapshots there with all that is known of them, for which a key may be needed.
    pub(super) async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let repository = self.repository.clone();
        blocking(move |_| {
            let (snapshots, damaged) = repository.list(None)?;
            // Where nothing can be read the reason is one and the same: a key, or the way there.
            if let Some(id) = damaged.first().filter(|_| snapshots.is_empty()).and_then(|first| first.name.parse().ok()) {
                repository.snapshot(&id)?;
            }
            Ok(snapshots)
        })
        .await
    }

    /// Brings one of them into the repository of this host.
    pub(super) async fn fetch(&self, context: &Context, to: &Repository, id: &SnapshotId) -> Result<()> {
        context.note(&format!("fetching {id} from {}", self.repository.location()));
        let received = fetch(&self.repository, to, id, context.now).await?;
        context.note(&format!("{id} is here and was read back: {} came over", show::bytes(received.bytes)));
        Ok(())
    }

    /// What is remembered of it here, when config.yml names it.
    pub(super) fn memory(&self, context: &Context) -> Result<Memory> {
        if !self.configured {
            return Ok(Memory::new());
        }
        copies::load(&context.load()?.config.layout, &self.settings.name)
    }

    /// Writes down what was found out about it.
    pub(super) fn remember(&self, context: &Context, memory: &Memory) -> Result<()> {
        if !self.configured {
            return Ok(());
        }
        copies::save(&context.load()?.config.layout, &self.settings.name, memory)
    }
}

/// A name that config.yml does not know.
pub(super) fn unknown(loaded: &Loaded, named: &str) -> Error {
    let names: Vec<&str> = loaded.config.repositories.iter().map(|settings| settings.name.as_str()).collect();
    if names.is_empty() {
        return Error::new(Kind::Usage, format!("there is no repository `{named}`: config.yml names none"))
            .next("name one below `repositories:` in config.yml (wiki/offsite.md)");
    }
    Error::usage(format!("config.yml names no repository `{named}`")).next(format!("there are: {}", names.join(", ")))
}
