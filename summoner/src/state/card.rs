//! For which configuration the last recovery card was made. A file of its own: nobody has to hold a lock to print a page.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::plan::card::Basis;

/// The form that this program writes.
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// The last card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    version: u32,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// What it names.
    pub basis: Basis,
}

/// The last card that was made here; a file that cannot be understood says nothing: the card is printed once more.
///
/// # Errors
/// The file cannot be read.
pub fn load(layout: &Layout) -> Result<Option<Made>> {
    let bytes = disk::read_if_there(&layout.card(), MAX_BYTES)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Notes that a card was made.
///
/// # Errors
/// When the folder cannot be written; the old note is untouched then.
pub fn save(layout: &Layout, basis: Basis, at: DateTime<Utc>) -> Result<()> {
    disk::ensure_own_folder(&layout.own(), 0o700, None)?;
    let bytes = serde_json::to_vec_pretty(&Made { version: VERSION, at, basis })
        .map_err(|error| Error::internal("the note about the card does not serialise").cause(error))?;
    disk::write_atomic(&layout.card(), &bytes, 0o600)
}

/// Refuses to encrypt what nobody could open: while places are encrypted and no card names their keys.
///
/// # Errors
/// There is no such card ([`Kind::Usage`]).
pub fn require(config: &Config) -> Result<()> {
    let made = load(&config.layout)?;
    let Some(why) = Basis::of(config).refusal(made.as_ref().map(|made| &made.basis)) else { return Ok(()) };
    Err(Error::new(Kind::Usage, format!("what goes to other places would be encrypted, and {why}"))
        .cause("without the private key, and somebody who knows where it lies, no backup there can be opened again")
        .next("summoner recovery-card   writes the page to print"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::loaded;

    const ONE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_card_is_remembered_and_a_damaged_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (mut config, _) = loaded("version: 1\ndomain: a.org\nemail: you@a.org\n");
        config.layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
        assert_eq!(load(&config.layout).unwrap(), None);
        require(&config).unwrap();
        save(&config.layout, Basis::of(&config), DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(load(&config.layout).unwrap().unwrap().basis, Basis::of(&config));
        std::fs::write(config.layout.card(), "{").unwrap();
        assert_eq!(load(&config.layout).unwrap(), None);
        config.recipients = vec![ONE.to_owned()];
        require(&config).unwrap();
    }
}
