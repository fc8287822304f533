//! Where nginx's files lie: in generation folders of ours with a link to the current one, or as `conf.d/default.conf`
//! beside the owner's own files.

use std::collections::BTreeSet;

use super::classic::Classic;
use super::generation;
use crate::error::Result;
use crate::layout::Layout;
use crate::plan::route::{Generation, HOSTS, INSIDE};

/// Where, and so how they are swapped.
#[derive(Debug, Clone)]
pub enum Place {
    /// Ours: `current` is a link.
    Own(Layout),
    /// nginx-proxy's.
    Classic(Classic),
}

impl Place {
    /// The generation that is in place.
    pub(super) fn current(&self) -> Result<Option<String>> {
        match self {
            Self::Own(layout) => generation::current(layout),
            Self::Classic(classic) => classic.current(),
        }
    }

    /// Whether it is on disk, byte by byte.
    pub(super) fn holds(&self, generation: &Generation) -> Result<bool> {
        match self {
            Self::Own(layout) => generation::holds(layout, generation),
            Self::Classic(classic) => classic.holds(generation),
        }
    }

    /// Writes it beside the one in place; what it shares with `before` is not written again. True when what nginx would
    /// read was not there already.
    pub(super) fn write(&self, generation: &Generation, before: Option<&Generation>) -> Result<bool> {
        match self {
            Self::Own(layout) => generation::write(layout, generation, before),
            // What is in place is another file.
            Self::Classic(classic) => classic.write(generation).map(|()| false),
        }
    }

    /// The main file to test, as nginx sees it: with these files of the hosts alone, or None with all.
    pub(super) fn candidate(&self, generation: &Generation, changed: Option<&BTreeSet<&str>>) -> Result<String> {
        match self {
            Self::Own(layout) => {
                let hosts = format!("{HOSTS}/");
                let shared = |file: &&&str| !file.starts_with(&hosts) && file.ends_with(".conf") && **file != "marker.conf";
                // What all share changed: then all are tested with it.
                let Some(changed) = changed.filter(|changed| !changed.iter().any(|file| shared(&file))) else {
                    return Ok(format!("{INSIDE}/{}/nginx.conf", generation::folder_name(&generation.id)));
                };
                let folder = generation::write_trial(layout, generation, |file| !file.starts_with(&hosts) || changed.contains(file))?;
                Ok(format!("{INSIDE}/{folder}/nginx.conf"))
            }
            Self::Classic(classic) => Ok(classic.candidate(&generation.id)),
        }
    }

    /// The test is over.
    pub(super) fn tested(&self) -> Result<()> {
        match self {
            Self::Own(layout) => generation::remove_trial(layout),
            Self::Classic(_) => Ok(()),
        }
    }

    /// Puts it in place.
    pub(super) fn point(&self, id: &str) -> Result<()> {
        match self {
            Self::Own(layout) => generation::point(layout, id),
            Self::Classic(classic) => classic.point(id),
        }
    }

    /// Removes it, unless it is in place.
    pub(super) fn discard(&self, id: &str) -> Result<()> {
        if self.current()?.as_deref() == Some(id) {
            return Ok(());
        }
        match self {
            Self::Own(layout) => generation::remove(layout, id),
            Self::Classic(classic) => classic.remove(id),
        }
    }

    /// It is live: it has to last, and old ones go.
    pub(super) fn settle(&self, id: &str, previous: Option<&str>) -> Result<()> {
        match self {
            Self::Own(layout) => {
                generation::flush(layout, id)?;
                generation::prune(layout, id, previous)
            }
            Self::Classic(classic) => classic.prune(id, previous),
        }
    }
}
