//! What the proxy was told of: a crash between a new certificate and the proxy's reload must not leave the old one served.

use super::memory;
use super::tend::Tending;
use crate::error::Result;
use crate::plan::cert::Wanted;

/// Whether certificates lie there that the proxy was not told of: [`told`] was not reached after the last change.
///
/// # Errors
/// A file cannot be read.
pub fn untold(tending: &Tending<'_>) -> Result<bool> {
    let known = memory::load(tending.places)?;
    let fresh = |wanted: &Wanted| known.certificates.get(&wanted.stem).is_some_and(|known| known.told.as_ref() != known.issued.last());
    Ok(tending.wanted.iter().any(fresh))
}

/// Notes that the proxy was told of all certificates.
///
/// # Errors
/// The disk refuses.
pub fn told(tending: &Tending<'_>) -> Result<()> {
    let mut known = memory::load(tending.places)?;
    for wanted in tending.wanted {
        if let Some(known) = known.certificates.get_mut(&wanted.stem) {
            known.told = known.issued.last().cloned();
        }
    }
    memory::save(tending.places, &known)
}
