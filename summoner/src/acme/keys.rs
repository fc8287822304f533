//! Other keys for accounts with authorities (RFC 8555, 7.3.5).

use std::collections::BTreeSet;

use super::account::Door;
use super::client::Client;
use super::tend::{self, Tending};
use crate::error::{Error, Result};

/// Gives all accounts that are used another key; the names of those authorities.
///
/// # Errors
/// An authority refuses, or cannot be reached: those before it have their new key.
pub async fn change_account_keys(tending: &Tending<'_>) -> Result<Vec<String>> {
    let _lock = tend::lock(&tending.places.lock).await?;
    let emails: Vec<String> = tending.wanted.iter().filter_map(|wanted| wanted.email.clone()).collect();
    let mut done: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    for wanted in tending.wanted {
        for number in 0..wanted.authorities.len() {
            let Some(directory) = wanted.directory(number, false) else { continue };
            if !done.insert((directory.to_owned(), wanted.email.clone())) {
                continue;
            }
            let client = Client::new(wanted.authorities[number].root.as_deref())?;
            let (places, authority, now) = (tending.places, &wanted.authorities[number], tending.now);
            let door = Door { places, authority, directory, email: wanted.email.as_deref(), emails: &emails, now };
            let changed = door.change_key(&client).await;
            changed.map_err(|failure| {
                Error::external(format!("cannot change the key of the account with {}", wanted.authorities[number].name))
                    .cause(failure.said)
            })?;
        }
    }
    Ok(done.into_iter().map(|(directory, _)| directory).collect())
}
