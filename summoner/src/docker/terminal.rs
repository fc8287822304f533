//! This process's terminal, lent to a command in a container: raw while it runs, as it was afterwards.
//!
//! Knows nothing of containers. `attach` alone asks.

use std::io::{IsTerminal, stdin, stdout};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::{Error, Result};

/// The terminal in raw mode: every key goes through, Ctrl-C too. Dropping it brings the old mode back.
#[derive(Debug)]
pub(super) struct Raw(Termios);

impl Raw {
    /// Makes the terminal raw; None when a person is not at both ends.
    ///
    /// # Errors
    /// The terminal refuses.
    pub(super) fn begin() -> Result<Option<Self>> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Ok(None);
        }
        let refused = |error: rustix::io::Errno| Error::external("cannot use this terminal").cause(error);
        let before = tcgetattr(stdin()).map_err(refused)?;
        let mut raw = before.clone();
        raw.make_raw();
        // The guard first: whatever comes, it brings the old mode back.
        let guard = Self(before);
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(refused)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let restored = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        tracing::debug!(?restored, "mode of the terminal");
    }
}

/// Rows and columns; None when the terminal does not say.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
