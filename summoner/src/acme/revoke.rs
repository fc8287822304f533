//! Takes a certificate back at its authority (RFC 8555, 7.6), and remembers that it must not be served on.

use chrono::{DateTime, Utc};
use instant_acme::{RevocationReason, RevocationRequest};
use rustls::pki_types::CertificateDer;

use super::account::{Door, NONCE_TRIES, again};
use super::client::Client;
use super::failure::{is_bad_nonce, sort};
use super::{MAX_PEM_BYTES, Places, memory, read, store, tend};
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::cert::memory::Suggested;
use crate::plan::cert::{Lying, Wanted};

/// Why a certificate is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// None is given.
    #[default]
    Unspecified,
    /// Its key is known to others.
    KeyCompromise,
    /// Another one took its place.
    Superseded,
    /// The host is given up.
    CessationOfOperation,
}

/// Revokes the certificate of a stem. It stays in its place until the next one comes, which is due from now on.
///
/// # Errors
/// It is not ours, its authority is not configured any more, or refuses.
pub async fn revoke(places: &Places, wanted: &Wanted, reason: Reason, now: DateTime<Utc>) -> Result<()> {
    let _lock = tend::lock(&places.lock).await?;
    let mut known = memory::load(places)?;
    let Lying::Ours(observed) = store::look(places, &wanted.stem, &known)? else {
        return Err(Error::usage(format!("no authority gave us the certificate of {}: only its authority can revoke it", wanted.stem))
            .next("summoner certs"));
    };
    let signer = known.certificates.get(&wanted.stem).and_then(|known| known.directory.clone()).unwrap_or_default();
    let number = (0..wanted.authorities.len()).find(|number| wanted.directory(*number, false) == Some(signer.as_str()));
    let number = number.ok_or_else(|| {
        Error::usage(format!("the certificate of {} is of an authority that is not in config.yml any more: {signer}", wanted.stem))
            .next("put it back under certificates.authorities, then run the same command again")
    })?;
    let client = Client::new(wanted.authorities[number].root.as_deref())?;
    let email = wanted.email.as_deref();
    let door = Door { places, authority: &wanted.authorities[number], directory: &signer, email, emails: &[], now };
    let refused = |said: String| Error::external(format!("cannot revoke the certificate of {}", wanted.stem)).cause(said);
    let account = door.open(&client).await.map_err(|failure| refused(failure.said))?;
    let pem = disk::read_bounded(&store::Files::of(places, &wanted.stem).certificate, MAX_PEM_BYTES)?;
    let der = read::block(&pem, "CERTIFICATE").ok_or_else(|| Error::internal("a certificate that was read holds none"))?;
    let certificate = CertificateDer::from(der);
    let request = || RevocationRequest { certificate: &certificate, reason: Some(word(reason)) };
    let answer = again!(account.revoke(&request()).await);
    match answer.map_err(|error| sort(&error, client.heard(), now)) {
        Ok(()) => {}
        Err(failure) if failure.kind == "alreadyRevoked" => {}
        Err(failure) => return Err(refused(failure.said)),
    }
    // The authority will suggest the same at its next look; it may be hours until then.
    let entry = known.certificates.entry(wanted.stem.clone()).or_default();
    let fingerprint = observed.fingerprint;
    entry.suggested = Some(Suggested { fingerprint, start: now, end: now, explanation: None });
    memory::save(places, &known)
}

fn word(reason: Reason) -> RevocationReason {
    match reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
    }
}
