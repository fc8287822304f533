//! How far a private key gets at a place: which blobs it opens, and which stay shut. For the day on which nothing else is
//! left, tried before it comes.

use std::collections::BTreeMap;

use super::Repository;
use crate::error::{Error, Kind, Result};
use crate::layout::repository as layout;

/// What was found out, by the name of the blob; packs that several snapshots share are tried once.
#[derive(Debug, Default)]
pub struct Opened {
    known: BTreeMap<String, bool>,
    /// The first refusal, which names the keys that would fit.
    refused: Option<Error>,
}

impl Opened {
    /// The refusal about everything that stays shut; None when all of it opened.
    #[must_use]
    pub fn refusal(self) -> Option<Error> {
        self.refused
    }
}

impl Repository {
    /// Names those of these blobs that stay shut for the key at hand: the envelope of each is opened, with `read_data` each
    /// is read to its end.
    ///
    /// # Errors
    /// One is missing or damaged, or the place cannot be read.
    pub fn shut(&self, names: &[String], read_data: bool, opened: &mut Opened) -> Result<Vec<String>> {
        let mut shut = Vec::new();
        for name in names {
            let opens = match opened.known.get(name) {
                Some(known) => *known,
                None => self.opens(name, read_data, opened)?,
            };
            if !opens {
                shut.push(name.clone());
            }
        }
        Ok(shut)
    }

    /// The newest record of the installation there, and its blobs.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn newest_record_blobs(&self) -> Result<Option<(String, Vec<String>)>> {
        let blobs = self.backend.list(layout::SERVER)?;
        let folder = |name: &str| name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let Some(newest) = blobs.iter().filter_map(|blob| folder(&blob.name)).max() else { return Ok(None) };
        let names = blobs.into_iter().map(|blob| blob.name).filter(|name| folder(name).as_deref() == Some(&newest)).collect();
        Ok(Some((newest, names)))
    }

    fn opens(&self, name: &str, read_data: bool, opened: &mut Opened) -> Result<bool> {
        let opens = match self.backend.get(name) {
            Err(error) if error.kind == Kind::WrongKey => {
                opened.refused.get_or_insert(error);
                false
            }
            Err(error) => return Err(error),
            Ok(None) => return Err(Error::external(format!("{name} is missing at {}", self.location()))),
            Ok(Some(mut bytes)) => {
                if read_data {
                    let read = std::io::copy(&mut bytes, &mut std::io::sink());
                    read.map_err(|error| Error::external(format!("{name} at {} is damaged", self.location())).cause(error))?;
                }
                true
            }
        };
        opened.known.insert(name.to_owned(), opens);
        Ok(opens)
    }
}
