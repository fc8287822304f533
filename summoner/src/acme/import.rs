//! A person's own certificate, checked before it takes its place: nothing that nginx would refuse gets there.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::{MAX_PEM_BYTES, Places, read, store, tend};
use crate::apply::crash;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::name::Domain;
use crate::plan::cert::{Observed, covers};

/// Checks a pair and puts it into the place of a host, from then on a person's own.
///
/// # Errors
/// The key does not fit, the chain is in the wrong order, it ended, or it is for other names.
pub async fn import(places: &Places, host: &Domain, certificate: &Path, key: &Path, now: DateTime<Utc>) -> Result<Observed> {
    let chain = disk::read_bounded(certificate, MAX_PEM_BYTES)?;
    let private = disk::read_bounded(key, MAX_PEM_BYTES)?;
    let refuse = |why: String| Error::new(Kind::Usage, format!("{} cannot serve {host}", certificate.display())).cause(why);
    let observed = read::usable(host, &chain, &private).map_err(refuse)?;
    if now >= observed.not_after {
        return Err(refuse(format!("it ended on {}", observed.not_after.format("%Y-%m-%d"))));
    }
    if !covers(&observed.names, host.as_str()) {
        return Err(refuse(format!("it is for {}", observed.names.join(", "))));
    }
    // Nobody who tends may look at half of it.
    disk::ensure_own_folder(&places.acme, 0o700, None)?;
    let _lock = tend::lock(&places.lock).await?;
    let files = store::Files::of(places, host.as_str());
    disk::ensure_folder(&places.certs, 0o700, None)?;
    crash::point();
    disk::write_atomic(&files.key, &private, 0o600)?;
    crash::point();
    disk::write_atomic(&files.certificate, &chain, 0o644)?;
    // That of the pair before would not fit; without it nothing is lost.
    disk::remove_file(&files.chain)?;
    Ok(observed)
}
