//! Where nginx's files lie: in generation folders of ours with a link to the current one, or as `conf.d/default.conf`
//! beside the owner's own files.

use super::classic::Classic;
use super::generation;
use crate::error::Result;
use crate::layout::Layout;
use crate::plan::route::{Generation, INSIDE};

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

    /// The main file to test, as nginx sees it.
    pub(super) fn candidate(&self, id: &str) -> String {
        match self {
            Self::Own(_) => format!("{INSIDE}/{}/nginx.conf", generation::folder_name(id)),
            Self::Classic(classic) => classic.candidate(id),
        }
    }

    /// Writes a part of a generation that is on disk, to be tested and no more; gives its main file as nginx sees it.
    pub(super) fn write_part(&self, part: &Generation, of: &Generation) -> Result<String> {
        match self {
            Self::Own(layout) => Ok(format!("{INSIDE}/{}/nginx.conf", generation::write_part(layout, part, of)?)),
            Self::Classic(classic) => classic.write_part(part),
        }
    }

    /// Puts it in place; it lasts once it is settled.
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
            Self::Classic(classic) => {
                classic.flush()?;
                classic.prune(id, previous)
            }
        }
    }
}
